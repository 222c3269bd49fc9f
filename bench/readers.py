"""Two thousand jobs under way and two hundred readers of their events: what each hears, how soon, and what it costs."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import httpx

from bench import proc
from bench.place import Place, place
from bench.rows import Row, percentile, say
from tests.support.web import Server, serve

PART = "readers"
SECONDS = float(os.environ.get("BENCH_READERS_SECONDS", "60"))
JOBS, READERS, WORKERS, SLOTS = 2000, 200, 8, 250
STAGES, STAGE_SECONDS = 10, 200.0  # each tells of its progress every 10 s: 200 events a second in all
LEAVES_AFTER = (5, 40)  # events, and then it comes back with the id of the last one
PAGE_MS, EVENT_MS, GROWTH = 300.0, 300.0, 1.1
PAGE_PAUSE_SECONDS = 0.5


@dataclass
class Reader:
    """One browser's stream of one job's events."""

    job_id: str
    dice: random.Random
    ids: list[str] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)

    async def read(self, web: httpx.AsyncClient, stop: asyncio.Event) -> None:
        """Read, leave, and come back, until it is told to stop."""
        while not stop.is_set():
            headers = {"Last-Event-ID": self.ids[-1]} if self.ids else {}
            with suppress(httpx.HTTPError):
                async with web.stream("GET", f"/jobs/{self.job_id}/events", headers=headers) as answer:
                    await self._hear(answer, stop)

    async def _hear(self, answer: httpx.Response, stop: asyncio.Event) -> None:
        heard, most, came = 0, self.dice.randint(*LEAVES_AFTER), time.time() * 1000
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                self.ids.append(line[4:])
                if (made := int(line[4:].partition("-")[0])) > came:  # what was there before is not late
                    self.late_ms.append(time.time() * 1000 - made)
                heard += 1
            if stop.is_set() or heard >= most:
                return


def measure() -> Iterator[Row]:
    say(f"readers: {JOBS:,} jobs under way and {READERS} readers for {SECONDS:.0f} s")
    with place() as here, ExitStack() as stack:
        ids = _begin(here, stack)
        server = stack.enter_context(serve(here.folder, f"unix://{here.socket}"))
        pages: list[float] = []
        memory: list[float] = []
        over = threading.Event()
        watchers = [
            threading.Thread(target=_look_at_pages, args=(server, ids, pages, over)),
            threading.Thread(target=_weigh, args=(server, memory, over)),
        ]
        for one in watchers:
            one.start()
        readers = [Reader(job_id, random.Random(job_id)) for job_id in ids[:READERS]]
        asyncio.run(_read_all(server, readers))
        over.set()
        for one in watchers:
            one.join()
        yield from _told(here, readers, pages, memory)


def _begin(here: Place, stack: ExitStack) -> list[str]:
    """Workers with all jobs in their slots."""
    for number in range(WORKERS):
        stack.enter_context(here.worker(f"bench-readers-{number}", "--concurrency", str(SLOTS)))
    jobs = here.prepare(JOBS, stages=STAGES, seconds=STAGE_SECONDS)
    here.client.enqueue_many(jobs)
    while (running := here.query("SELECT count(*) FROM jobs WHERE in_flight")[0]) < JOBS:
        say(f"readers: {running:,} of {JOBS:,} are under way")
        time.sleep(5)
    return [job.id for job in jobs]


async def _read_all(server: Server, readers: list[Reader]) -> None:
    stop = asyncio.Event()
    limits = httpx.Limits(max_connections=2 * READERS)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as web:
        tasks = [asyncio.create_task(one.read(web, stop)) for one in readers]
        await asyncio.sleep(SECONDS)
        stop.set()
        done, late = await asyncio.wait(tasks, timeout=15)
        for one in late:
            one.cancel()
        for one in done:
            one.result()


def _look_at_pages(server: Server, ids: list[str], found: list[float], over: threading.Event) -> None:
    dice = random.Random(1)
    with httpx.Client(base_url=server.url, timeout=60) as web:
        while not over.wait(PAGE_PAUSE_SECONDS):
            began = time.perf_counter()
            answer = web.get(f"/ui/jobs/{dice.choice(ids)}", headers={"Accept": "text/html"})
            found.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, answer.text


def _weigh(server: Server, found: list[float], over: threading.Event) -> None:
    while not over.wait(2):
        found.append(proc.memory_mb(server.process.pid)[0])


def _told(here: Place, readers: list[Reader], pages: list[float], memory: list[float]) -> Iterator[Row]:
    missed = repeated = heard = 0
    for one in readers:
        heard += len(one.ids)
        repeated += len(one.ids) - len(set(one.ids))
        if one.ids:
            there = [event["id"] for event in here.events(one.job_id)]
            upto = there[: there.index(one.ids[-1]) + 1] if one.ids[-1] in there else there
            missed += len(set(upto) - set(one.ids))
    late = [value for one in readers for value in one.late_ms]
    yield Row(PART, "events heard, by readers", f"{heard:,}, {sum(1 for one in readers if one.ids)}")
    yield Row(PART, "events missed, and told twice", f"{missed}, {repeated}", "0, 0", missed == repeated == 0)
    yield _times("event to reader", late, EVENT_MS)
    yield _times("job page", pages, PAGE_MS)
    early, end = memory[len(memory) // 10 : len(memory) // 5] or memory, memory[-len(memory) // 10 :]
    first, last = sum(early) / len(early), sum(end) / len(end)
    bar = f"<= {GROWTH:g} of its begin"
    yield Row(
        PART,
        f"memory of python -m api over {SECONDS:.0f} s",
        f"{first:.0f} MB, at its end {last:.0f} MB",
        bar,
        last <= GROWTH * first,
    )


def _times(what: str, values: list[float], bar: float) -> Row:
    p95 = percentile(values, 0.95)
    seen = f"p50 {percentile(values, 0.5):.0f} ms, p95 {p95:.0f} ms, longest {max(values):.0f} ms"
    return Row(PART, what, seen, f"p95 <= {bar:.0f} ms", p95 <= bar)
