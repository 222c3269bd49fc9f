"""Following a job: its events from Redis, its row in SQL when Redis is silent; bars, lines or JSON lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.door import Output, plain, print_json
from errors import StagecrewError
from redis_client import RedisClient
from states import ENDED

SLICE_SECONDS = 1.0
LINE_STEP = 10.0


def follow(
    client: RedisClient,
    job_id: str,
    *,
    timeout: float = float("inf"),
    last_id: str = "0",
    on_quiet: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, Any]]:
    """The job's events until it has ended, from `last_id` on; TimeoutError after `timeout` seconds.

    When Redis tells nothing, a change in SQL makes an event of its own. `on_quiet` is called about once a
    second and may raise to leave.
    """
    until = time.monotonic() + timeout
    told: dict[str, Any] = {"status": None, "progress": 0.0}
    while (left := until - time.monotonic()) > 0:
        quiet = True
        for event in client.watch(job_id, timeout=min(left, SLICE_SECONDS), last_id=last_id):
            quiet, last_id, told = False, event["id"], event
            yield event
        status = client.get_job_status(job_id)
        if status["status"] in ENDED and (quiet or told["status"] == status["status"]):
            if told["status"] != status["status"]:
                yield _event_of(status, told, last_id)
            return
        if quiet and (news := _event_of(status, told, last_id)) != told:
            told = news
            yield news
        on_quiet()
    raise TimeoutError(f"job {job_id} is still open after {timeout:g} s; it goes on, see: jobs.py watch {job_id}")


def _event_of(status: dict[str, Any], told: dict[str, Any], last_id: str) -> dict[str, Any]:
    """What SQL says as an event; the one told before when there is nothing new, and no progress that falls."""
    progress = round(float(status["progress"]), 2)
    if status["status"] == told["status"] and progress <= float(told["progress"]):
        return told
    kept = {name: status[name] for name in ("job_id", "status", "stage", "worker_id")}
    active = told.get("active", []) if status["stage"] == told.get("stage") else []
    more = {"progress": progress, "active": active, "message": status["error"] or "", "id": last_id, "source": "sql"}
    return kept | more


class Reporter(Protocol):
    """What shows events."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, event: dict[str, Any]) -> None:
        """One event."""


class Bars:
    """Live bars on a terminal: the whole job, and each stage that runs now."""

    def __init__(self, console: Console, label: str, ranges: dict[str, tuple[float, float]]) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console)
        self._overall = self._progress.add_task(plain(label), total=100)
        self._stages: dict[str, TaskID] = {}
        self._ranges = ranges

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: dict[str, Any]) -> None:
        """Move the bars."""
        overall, status = float(event["progress"]), str(event["status"])
        active = [] if status in ENDED else list(event.get("active") or [])
        self._progress.update(self._overall, completed=overall)
        for name in set(self._stages) - set(active):
            self._progress.remove_task(self._stages.pop(name))
        for name in active:
            if name not in self._stages:
                self._stages[name] = self._progress.add_task(f"  {plain(name)}", total=None)
            if len(active) == 1 and name in self._ranges:  # side by side, nobody says whose gain it was
                low, high = self._ranges[name]
                share = max(0.0, min(1.0, (overall - low) / (high - low)))
                self._progress.update(self._stages[name], total=1.0, completed=share)


class Lines:
    """Plain lines: each new stage or state, and every ten percent."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._told: tuple[str, str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: dict[str, Any]) -> None:
        """Print a line when there is something new."""
        stage = ", ".join(event.get("active") or []) or str(event.get("stage") or "")
        here = (str(event["status"]), stage, int(float(event["progress"]) // LINE_STEP))
        if here != self._told:
            self._told = here
            message = f"  {plain(event['message'])}" if event.get("message") else ""
            print(f"{self._label}  {float(event['progress']):3.0f}%  {here[0]}  {plain(stage)}{message}", flush=True)


class JsonLines:
    """One JSON document a line, for programs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, event: dict[str, Any]) -> None:
        """Print the event."""
        print_json(event)


def reporter_for(console: Console, output: Output, label: str, job: dict[str, Any] | None = None) -> Reporter:
    """Bars on a terminal, JSON lines for a program, else plain lines."""
    if output.is_json():
        return JsonLines()
    if not console.is_terminal:
        return Lines(label)
    return Bars(console, label, stage_ranges(job["pipeline"], job["payload"]) if job else {})


def stage_ranges(pipeline: str, payload: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Where each stage's share of the progress begins and ends, 0 to 100; empty when this program cannot tell."""
    from pipeline.catalog.base import find_pipeline, validate_payload
    from pipeline.stage import plan_steps

    try:
        chosen = find_pipeline(pipeline)
        steps = plan_steps(chosen, validate_payload(chosen, payload))
    except StagecrewError:
        return {}
    total = sum(step.weight for step in steps) or 1.0
    ranges, low = {}, 0.0
    for step in steps:
        high = low + 100.0 * step.weight / total
        ranges[step.name] = (low, high)
        low = high
    return ranges
