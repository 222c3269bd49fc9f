"""Enqueue/s and no-op jobs/s against a bare GET loop and a bare BLPOP loop, in turn."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from bench.anatomy import anatomy
from bench.place import Place, new_id, place
from bench.rows import Row, at_least, percentile, say, spread

PART = "queue"
ROUNDS, JOBS, SINGLE = 3, 1500, 300
LOOP_SECONDS = 1.0
POPS = 20_000
SYNCS = 200


def measure() -> Iterator[Row]:
    with place() as here:
        rounds = [one_round(here, number) for number in range(ROUNDS)]
        columns: dict[str, list[float]] = {name: [one[name] for one in rounds] for name in rounds[0]}
        yield Row(PART, "bare GET/s", spread(columns["get"]))
        yield Row(PART, "bare BLPOP/s", spread(columns["pop"]))
        yield Row(PART, "enqueue_job/s, one by one", spread(columns["single"]))
        yield Row(PART, f"enqueue_many jobs/s, {JOBS} at once", spread(columns["many"]))
        yield Row(PART, "no-op jobs/s, 1 slot", spread(columns["slot1"]))
        yield Row(PART, "no-op jobs/s, 8 slots", spread(columns["slot8"]))
        yield at_least(PART, "1 slot, jobs / GET", columns["ratio1"], 0.025)
        yield at_least(PART, "8 slots, jobs / GET", columns["ratio8"], 0.8 * 0.025)
        yield at_least(PART, "8 slots / 1 slot", columns["eight"], 0.8)
        yield Row(PART, "1 slot, jobs / BLPOP", spread(columns["pops1"], 3))
        syncs = sync_us(here)
        yield Row(PART, "fdatasync of 4 KiB, us, p50 / p99", f"{median(syncs):,.0f} / {percentile(syncs, 0.99):,.0f}")
    with place() as here:
        yield from anatomy(here, PART)


def one_round(here: Place, number: int) -> dict[str, float]:
    """Everything once, the bare loops around each of ours."""
    say(f"queue: round {number + 1} of {ROUNDS}")
    gets, pop = [get_rate(here)], pop_rate(here)
    single = single_rate(here)
    many, slot1 = drain_rate(here, 1)
    gets.append(get_rate(here))
    _, slot8 = drain_rate(here, 8)
    gets.append(get_rate(here))
    return {
        "get": median(gets),
        "pop": pop,
        "single": single,
        "many": many,
        "slot1": slot1,
        "slot8": slot8,
        "ratio1": slot1 / ((gets[0] + gets[1]) / 2),
        "ratio8": slot8 / ((gets[1] + gets[2]) / 2),
        "pops1": slot1 / pop,
        "eight": slot8 / slot1,
    }


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
    """By ones; the jobs are taken out of the way by the next drain."""
    started = time.perf_counter()
    for _ in range(SINGLE):
        here.client.enqueue_job(new_id(), {}, pipeline="selftest")
    return SINGLE / (time.perf_counter() - started)


def drain_rate(here: Place, slots: int) -> tuple[float, float]:
    """(jobs enqueued a second, jobs done a second): the second from the first start to the last end, by their rows."""
    started = time.perf_counter()
    here.client.enqueue_many(here.prepare(JOBS))
    enqueued = JOBS / (time.perf_counter() - started)
    before = int(here.query("SELECT coalesce(max(finished_ms), 0) FROM jobs")[0])
    with here.worker(f"bench-{slots}", "--drain", "--concurrency", str(slots)) as worker:
        worker.end()
    done, first, last = here.query(
        f"SELECT count(*), min(started_ms), max(finished_ms) FROM jobs WHERE finished_ms > {before} "
        "AND status = 'completed'"
    )
    assert done >= JOBS, f"only {done} of {JOBS} jobs were completed"
    return enqueued, done / ((last - first) / 1000)


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
