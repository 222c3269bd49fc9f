"""What a worker costs that does nothing, and how soon it does something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from bench import proc
from bench.place import Place, new_id, place
from bench.rows import Row, at_most, say, spread

PART = "idle"
SETTLE_SECONDS, WATCH_SECONDS = 10.0, 20.0
LAUNCHES = 5
JOBS = 100


def measure() -> Iterator[Row]:
    with place() as here:
        yield from launches(here)
        with here.worker("bench-idle") as worker:
            worker.event("worker_started")
            say(f"idle: {SETTLE_SECONDS + WATCH_SECONDS:.0f} seconds of nothing")
            time.sleep(SETTLE_SECONDS)
            pid = worker.process.pid
            rss, pss = proc.memory_mb(pid)
            started, cpu = time.perf_counter(), proc.cpu_seconds(pid)
            time.sleep(WATCH_SECONDS)
            share = 100 * (proc.cpu_seconds(pid) - cpu) / (time.perf_counter() - started)
            yield at_most(PART, "memory (RSS) of an idle worker", [rss], 85, " MB")
            yield Row(PART, "its share of it (PSS)", f"{pss:.1f} MB")
            yield at_most(PART, f"CPU of an idle worker over {WATCH_SECONDS:.0f} s", [share], 0.5, " %")
            here.client.enqueue_many(jobs := here.prepare(JOBS))
            here.client.wait(jobs[-1].id)
            yield Row(PART, f"memory (RSS) after {JOBS} jobs", f"{proc.memory_mb(pid)[0]:.1f} MB")


def launches(here: Place) -> Iterator[Row]:
    """The process's start to its first `job_processing_started`, with a job already there and Redis running."""
    seen, cpu = [], []
    for number in range(LAUNCHES + 1):
        say(f"idle: launch {number} of {LAUNCHES}")
        here.client.enqueue_job(new_id(), {}, pipeline="selftest")
        with here.worker("bench-launch") as worker:
            stamp = worker.event("job_processing_started")["timestamp"]
            spent = proc.cpu_seconds(worker.process.pid)
        if number:  # the first one fills the disk's cache
            seen.append(datetime.fromisoformat(stamp).timestamp() - worker.launched)
            cpu.append(spent)
    yield at_most(PART, "launch to first claim", seen, 1.5, " s")
    yield Row(PART, "CPU of it", f"{spread(cpu, 2)} s")
