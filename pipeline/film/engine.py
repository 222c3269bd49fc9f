"""Runs the film engine's child programs and reads their lines: progress, a result, or an error by its class."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import errors
import process
from pipeline.film.render_job import PlateJob, PlateReport
from settings import ROOT

Report = Callable[[float, str], None]
LOOK_SECONDS, LOOK_MEMORY_MB = 30.0, 1500
PLATE_SECONDS, PLATE_MEMORY_MB = 120.0, 1500


@dataclass
class Answer:
    """The last words of a child."""

    lines: dict[str, Any] = field(default_factory=dict)

    def hear(self, line: str, report: Report) -> None:
        """Take one line; what is not JSON is a library's chatter."""
        try:
            said = json.loads(line)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        if "progress" in said:
            report(float(said["progress"]), str(said.get("step", "")))
        else:
            self.lines = said


def run_engine(
    module: str,
    *arguments: str | Path,
    timeout_seconds: float,
    stall_seconds: float | None = None,
    memory_mb: int,
    check: Callable[[], None],
    report: Report = lambda _share, _step: None,
) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS`; what it answered. Its error is raised here as the class it names."""
    answer = Answer()
    try:
        process.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            timeout_seconds=timeout_seconds,
            stall_seconds=stall_seconds,
            cwd=ROOT,
            check=check,
            on_line=lambda line: answer.hear(line, report),
            limits=process.Limits(memory_mb=memory_mb),
        )
    except process.ChildFailed:
        kind = getattr(errors, str(answer.lines.get("error", "")), None)
        if isinstance(kind, type) and issubclass(kind, errors.StagecrewError):
            raise kind(str(answer.lines.get("message", "no reason was given"))) from None
        raise
    return answer.lines


def prepare(order: PlateJob, folder: Path, *, check: Callable[[], None]) -> PlateReport:
    """Make one picture, in a child: the user's, or art; `folder` is the caller's own."""
    order_file = folder / f"{order.output.stem}.json"
    order_file.write_text(order.model_dump_json())
    answer = run_engine(
        "pipeline.film.plates", order_file, timeout_seconds=PLATE_SECONDS, memory_mb=PLATE_MEMORY_MB, check=check
    )
    return PlateReport.model_validate(answer)


def look_at(kind: Literal["clip", "sound"], path: Path, *, check: Callable[[], None] = lambda: None) -> None:
    """Open a stranger's film or sound, in a child only; InvalidInput or Unsupported when it cannot be used."""
    run_engine(
        "pipeline.film.plates",
        f"--inspect-{kind}",
        path,
        timeout_seconds=LOOK_SECONDS,
        memory_mb=LOOK_MEMORY_MB,
        check=check,
    )
