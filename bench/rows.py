"""The table: what was measured, what was seen, its bar, and whether it holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 130


@dataclass(frozen=True, slots=True)
class Row:
    part: str
    what: str
    seen: str
    bar: str = ""
    holds: bool | None = None  # None: nothing is asked of it

    @property
    def verdict(self) -> str:
        return {None: "", True: "ok", False: "short"}[self.holds]


def at_least(part: str, what: str, rounds: Sequence[float], bar: float) -> Row:
    return Row(part, what, spread(rounds, 3), f">= {bar:g}", median(rounds) >= bar)


def at_most(part: str, what: str, rounds: Sequence[float], bar: float, unit: str = "") -> Row:
    return Row(part, what, f"{spread(rounds, 2)}{unit}", f"<= {bar:g}{unit}", median(rounds) <= bar)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The median, and from where to where the rounds went."""
    middle, low, high = (f"{value:,.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle}  ({low} .. {high})"


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest value that at least `share` of all do not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def say(text: str) -> None:
    """What goes on, for the person who waits."""
    print(text, file=sys.stderr, flush=True)


def show(rows: Sequence[Row]) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    table = Table(title=f"stagecrew bench: {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    for name in ("part", "what", "seen", "bar", ""):
        table.add_column(name, overflow="fold")
    before = ""
    for row in rows:
        if before and row.part != before:
            table.add_section()
        table.add_row(row.part if row.part != before else "", row.what, row.seen, row.bar, row.verdict)
        before = row.part
    console.print(table)
