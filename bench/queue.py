"""Enqueue/s and no-op jobs/s against a bare GET loop and a bare BLPOP loop, in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.anatomy import anatomy
from bench.place import Place, new_id, place, wait_for
from bench.rows import Row, at_least, percentile, say, spread

PART = "queue"
ROUNDS, CHUNKS, JOBS, SINGLE = 3, 4, 250, 100
LOOP_SECONDS = 0.4
POPS = 20_000
SYNCS = 200
LOOK_SECONDS = 0.1
QUEUE = "video_generation_queue"
# Wide enough never to hold a job up: what counts is that they are asked.
GROUPS, WIDE = ("bench", f"queue:{QUEUE}", "pipeline:selftest", "tenant:default"), 1000


@dataclass
class Seen:
    """Rates a second of all rounds, and ratios to the GET loops just before and after."""

    get: list[float] = field(default_factory=list)
    pop: list[float] = field(default_factory=list)
    single: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    jobs: dict[int, list[float]] = field(default_factory=lambda: {1: [], 8: []})
    to_get: dict[int, list[float]] = field(default_factory=lambda: {1: [], 8: []})
    eight_to_one: list[float] = field(default_factory=list)
    limited: dict[int, list[float]] = field(default_factory=lambda: {1: [], 8: []})


def measure() -> Iterator[Row]:
    with place() as here:
        seen = Seen()
        for number in range(ROUNDS):
            say(f"queue: round {number + 1} of {ROUNDS}")
            one_round(here, seen)
        yield Row(PART, "bare GET/s", spread(seen.get))
        yield Row(PART, "bare BLPOP/s", spread(seen.pop))
        yield Row(PART, "enqueue_job/s, one by one", spread(seen.single))
        yield Row(PART, f"enqueue_many jobs/s, {JOBS} at once", spread(seen.many))
        yield Row(PART, "no-op jobs/s, 1 slot", spread(seen.jobs[1]))
        yield Row(PART, "no-op jobs/s, 8 slots", spread(seen.jobs[8]))
        yield at_least(PART, "1 slot, jobs / GET", seen.to_get[1], 0.025)
        yield at_least(PART, "8 slots, jobs / GET", seen.to_get[8], 0.8 * 0.025)
        yield at_least(PART, "8 slots / 1 slot", seen.eight_to_one, 0.8)
        for slots, ratios in seen.limited.items():
            yield at_least(PART, f"{slots} slot{'s' * (slots > 1)}, all limits and turns on / off", ratios, 0.9)
        yield Row(PART, "1 slot, jobs / BLPOP", f"{median(seen.jobs[1]) / median(seen.pop):.3f}")
        syncs = sync_us(here)
        yield Row(PART, "fdatasync of 4 KiB, us, p50 / p99", f"{median(syncs):,.0f} / {percentile(syncs, 0.99):,.0f}")
    with place() as here:
        yield from anatomy(here, PART)


def one_round(here: Place, seen: Seen) -> None:
    """Everything once: short pieces of ours, each between two bare loops."""
    seen.pop.append(pop_rate(here))
    seen.single.append(single_rate(here))
    for slots in seen.jobs:
        with here.worker(f"bench-{slots}", "--concurrency", str(slots)) as worker:
            worker.event("worker_started")
            wait_until_done(here)
            for _ in range(CHUNKS):
                bare = chunk(here, slots, seen)
                seen.to_get[slots].append(bare)
                with limits(here):
                    seen.limited[slots].append(chunk(here, slots, seen, groups=("bench",)) / bare)
    one, eight = (median(seen.to_get[slots][-CHUNKS:]) for slots in seen.jobs)
    seen.eight_to_one.append(eight / one)


@contextmanager
def limits(here: Place) -> Iterator[None]:
    """Every kind of limit over the fleet, and turns between tenants."""
    for group in GROUPS:
        here.client.limit(group, WIDE)
    here.client.weigh("default", 2.0)
    try:
        yield
    finally:
        here.client.weigh("default", None)
        for group in GROUPS:
            here.client.limit(group, None)


def chunk(here: Place, slots: int, seen: Seen, *, groups: tuple[str, ...] = ()) -> float:
    """Some jobs while the worker waits for work, between two GET loops; the queue opens when all are there.

    Jobs / GET, from the first start to the last end, by their own rows.
    """
    before = get_rate(here)
    mark = here.client.database.clock_us() // 1000
    here.client.pause(QUEUE, reason="bench")
    started = time.perf_counter()
    here.client.enqueue_many(here.prepare(JOBS, groups=groups))
    seen.many.append(JOBS / (time.perf_counter() - started))
    here.client.resume(QUEUE)
    wait_until_done(here)
    done, first, last = here.query(
        "SELECT count(*), min(started_ms), max(finished_ms) FROM jobs "
        f"WHERE created_ms >= {mark} AND status = 'completed'"
    )
    assert done == JOBS, f"{done} of {JOBS} jobs were completed"
    rate, after = JOBS / ((last - first) / 1000), get_rate(here)
    seen.get += [before, after]
    if not groups:
        seen.jobs[slots].append(rate)
    return float(rate / ((before + after) / 2))


def wait_until_done(here: Place) -> None:
    def look() -> bool | None:
        time.sleep(LOOK_SECONDS)
        return True if here.query("SELECT count(*) FROM jobs WHERE finished_ms IS NULL")[0] == 0 else None

    wait_for(look, "the end of the jobs")


def get_rate(here: Place) -> float:
    with here.bare() as client:
        client.set("bench:get", "x" * 32)
        return loops_a_second(lambda: client.get("bench:get"))


def pop_rate(here: Place) -> float:
    with here.bare() as client:
        values = [new_id() for _ in range(POPS)]
        client.rpush("bench:pop", *values)
        started, popped = time.perf_counter(), 0
        while popped < POPS and time.perf_counter() - started < LOOP_SECONDS:
            client.blpop(["bench:pop"], timeout=1)
            popped += 1
        rate = popped / (time.perf_counter() - started)
        client.delete("bench:pop")
        return rate


def loops_a_second(once: Callable[[], Any]) -> float:
    started, done = time.perf_counter(), 0
    while time.perf_counter() - started < LOOP_SECONDS:
        once()
        done += 1
    return done / (time.perf_counter() - started)


def single_rate(here: Place) -> float:
    """By ones; the next worker clears them away before anything is measured."""
    started = time.perf_counter()
    for _ in range(SINGLE):
        here.client.enqueue_job(new_id(), {}, pipeline="selftest")
    return SINGLE / (time.perf_counter() - started)


def sync_us(here: Place) -> list[float]:
    """What one durable commit costs at least on this disk."""
    path, page, seen = here.folder / "sync", b"x" * 4096, []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            started = time.perf_counter()
            file.write(page)
            os.fdatasync(file.fileno())
            seen.append((time.perf_counter() - started) * 1e6)
    return seen
