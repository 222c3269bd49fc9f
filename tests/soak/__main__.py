"""`python -m tests.soak [ROW ...] [--jobs 5000] [--seed 1] [--small]`: run the rows and print what they cost."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback

from rich.console import Console
from rich.table import Table

import log
from settings import Settings
from tests.soak.forks import ForkServer
from tests.soak.measure import Result
from tests.soak.plan import Plan
from tests.soak.rows import ROWS

WIDTH = 230  # where no terminal says how wide it is
COLUMNS = {
    "jobs": "jobs",
    "lost": "lost",
    "stuck": "stuck",
    "wrong": "wrong end",
    "repeated": "finished stages run again",
    "twice": "finished twice",
    "double": "double claims",
    "paid_twice": "paid twice",
    "burnt": "attempts or crashes burnt",
    "unsaid": "stale, unsaid",
    "again": "stages begun again",
    "in_vain": "finished stages begun by a sleeper",
    "crashes": "crashes",
    "stale": "stale writes refused",
}


def main() -> int:
    """Run the rows that were named, or all; 1 when one of them is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all unless given")
    parser.add_argument("--jobs", type=int, default=0, help="jobs a row (5000; 300 with --small)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="fewer jobs and blows, without the longest rows")
    given = parser.parse_args()
    names = [name.upper() for name in given.rows] or list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        parser.error(f"{unknown[0]} is not one of {', '.join(ROWS)}")
    plan = Plan(given.jobs or (300 if given.small else 5000), given.seed, given.small)
    Settings.model_config["env_file"] = None
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    found: list[Result] = []
    with tempfile.TemporaryFile("w+") as quiet:
        log.configure_logging(stream=quiet)
        parent = ForkServer()
        parent.start()
        try:
            for name in names:
                began = time.monotonic()
                console.print(f"{name}: {(ROWS[name].__doc__ or '').splitlines()[0]}", highlight=False)
                result = run(name, parent, plan)
                result.seconds = time.monotonic() - began
                found.append(result)
                show(console, result)
        finally:
            parent.close()
    console.print(table(found))
    return 0 if all(one.is_good for one in found) else 1


def run(name: str, parent: ForkServer, plan: Plan) -> Result:
    """One row; one that breaks is a bad one, and the others still run."""
    try:
        return ROWS[name](parent, plan)
    except Exception:  # noqa: BLE001 - whatever it was, its traceback is the fault
        return Result(name, faults=[traceback.format_exc()])


def show(console: Console, one: Result) -> None:
    """A row's own line, as soon as it is done."""
    console.print(
        f"  {'good' if one.is_good else 'BAD'} in {one.seconds:.0f} s: {one.blows}; {one.notes}", highlight=False
    )
    for fault in one.faults[:10]:
        console.print(f"  {fault}", highlight=False, markup=False)


def table(found: list[Result]) -> Table:
    """What all rows cost."""
    made = Table(title="What it cost. Each column up to “stale, unsaid” must be 0 in every row.")
    made.add_column("row")
    made.add_column("what was done")
    for title in COLUMNS.values():
        made.add_column(title, justify="right")
    made.add_column("time to heal, s", justify="right")
    made.add_column("took, s", justify="right")
    for one in found:
        counts = [str(getattr(one, name)) for name in COLUMNS]
        heal = "" if one.heal is None else f"{one.heal:.1f}"
        style = None if one.is_good else "bold red"
        made.add_row(one.row, one.blows, *counts, heal, f"{one.seconds:.0f}", style=style)
    return made


if __name__ == "__main__":
    sys.exit(main())
