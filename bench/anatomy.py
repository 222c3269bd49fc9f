"""Where the time of one no-op job goes: wrappers around the parts of a worker inside this process."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from statistics import median
from typing import Any
from unittest.mock import patch

import structlog

from bench.place import Place
from bench.rows import Row, say
from daemon.settle import Desk
from database.engine import Database
from database.fenced import FencedWrites
from database.prepared import Prepared
from log import configure_logging
from pipeline.orchestrator import PipelineOrchestrator
from redis_client.queue import Queue
from worker import Worker

JOBS = 600
WARM = 100
OTHERS = frozenset({"beat", "housekeeping", "fetcher"})
# name: (where, attribute); what stands deeper is inside a part above it.
PARTS: dict[str, tuple[Any, str]] = {
    "one job": (Desk, "run_job"),
    "begin commit": (FencedWrites, "begin"),
    "run": (PipelineOrchestrator, "run"),
    "terminal commit": (FencedWrites, "complete"),
    "finish and claim, one trip": (Queue, "finish"),
    "of which: SQL statements": (Prepared, "run"),
}


class Meter:
    """Sums the wall and CPU microseconds of calls, by name; nested calls count in both."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                self.cpu[name].append((time.thread_time() - cpu) * 1e6)
                self.wall[name].append((time.perf_counter() - wall) * 1e6)

        return timed

    def job(self, name: str, jobs: int) -> tuple[float, float]:
        """(wall, CPU) of this part a job: the median call, times its calls a job."""
        calls = len(self.wall[name]) / jobs
        first = round(WARM * calls)
        if not self.wall[name][first:]:
            return 0.0, 0.0
        return median(self.wall[name][first:]) * calls, median(self.cpu[name][first:]) * calls


def anatomy(here: Place, part: str) -> Iterator[Row]:
    """Rows of wall and CPU microseconds a job, for each part of it."""
    say("queue: where the time of one job goes")
    here.client.enqueue_many(here.prepare(JOBS))
    meter = Meter()
    with (here.folder / "anatomy.log").open("w") as stream, ExitStack() as stack:
        configure_logging(stream=stream)
        for name, (owner, attribute) in PARTS.items():
            stack.enter_context(patch.object(owner, attribute, meter.around(name, getattr(owner, attribute))))
        logger = structlog.get_config()["wrapper_class"]
        stack.enter_context(patch.object(logger, "info", meter.around("of which: log lines", logger.info)))
        stack.enter_context(_commits(meter))
        worker = Worker("bench-anatomy", drain=True, concurrency=1, client=here.client)
        thread = threading.Thread(target=worker.start, name="bench-worker")
        thread.start()
        thread.join()
        for other in threading.enumerate():
            if other.name in OTHERS:  # they end by themselves, and must before their Redis does
                other.join(10)
        jobs = worker.started_jobs
    structlog.reset_defaults()
    for name in (*PARTS, "of which: BEGIN to COMMIT", "of which: log lines"):
        wall, cpu = meter.job(name, jobs)
        yield Row(part, f"us a job, {name}: wall / CPU", f"{wall:,.0f} / {cpu:,.0f}")


def _commits(meter: Meter) -> Any:
    """The write transactions, from asking for the lock to the COMMIT."""
    real = Database.write

    class Timed:
        def __init__(self, database: Database) -> None:
            self.inner: Any = real(database)

        def __enter__(self) -> Any:
            self.wall, self.cpu = time.perf_counter(), time.thread_time()
            return self.inner.__enter__()

        def __exit__(self, *error: object) -> Any:
            try:
                return self.inner.__exit__(*error)
            finally:
                name = "of which: BEGIN to COMMIT"
                meter.wall[name].append((time.perf_counter() - self.wall) * 1e6)
                meter.cpu[name].append((time.thread_time() - self.cpu) * 1e6)

    return patch.object(Database, "write", lambda database: Timed(database))  # noqa: PLW0108 - a class would not bind
