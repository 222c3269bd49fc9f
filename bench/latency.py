"""Enqueue to start on an idle worker."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import orjson
import redis

from bench.place import Place, new_id, place
from bench.rows import Row, at_most, percentile, say

PART = "latency"
JOBS, WARM = 200, 10
REST_SECONDS = 0.02
ECHO = """
import sys, redis
client = redis.Redis(unix_socket_path=sys.argv[1], single_connection_client=True)
while True:
    client.publish("job_progress", client.blpop(["bench:echo"], timeout=0)[1])
"""


class Ear:
    """Hears all progress on a thread of its own, so that a message's time is that of its arrival."""

    def __init__(self, here: Place) -> None:
        self._client = here.bare()
        plain: Any = self._client
        self._messages = plain.pubsub()
        self._messages.subscribe("job_progress")
        assert self._messages.get_message(timeout=5)["type"] == "subscribe"
        self.heard: dict[tuple[str, str], float] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._listen, name="bench-ear", daemon=True)
        self._thread.start()

    def when(self, job_id: str, status: str) -> float:
        with self._changed:
            if not self._changed.wait_for(lambda: (job_id, status) in self.heard, 60):
                raise SystemExit(f"{status} of a job was not heard within a minute")
            return self.heard[job_id, status]

    def close(self) -> None:
        self._stopped = True
        self._thread.join()
        self._messages.close()
        self._client.close()

    def _listen(self) -> None:
        while not self._stopped:
            message = self._messages.get_message(timeout=0.5)
            now = time.perf_counter()
            if message and message["type"] == "message":
                event = orjson.loads(message["data"])
                with self._changed:
                    self.heard[event["job_id"], event["status"]] = now
                    self._changed.notify_all()


def measure() -> Iterator[Row]:
    say(f"latency: {JOBS} jobs, one at a time")
    with place() as here, here.worker("bench-latency") as worker:
        worker.event("worker_started")
        pickups, wholes, calls, bares = one_by_one(here)
    bare = f"{percentile(bares, 0.5):.2f} ms / {percentile(bares, 0.99):.2f} ms"
    yield Row(PART, "a bare process: RPUSH, BLPOP, PUBLISH, heard, p50 / p99", bare)
    for what, values in (("enqueue_job itself", calls), ("enqueue_job called to no-op job completed", wholes)):
        shown = f"{percentile(values, 0.5):.2f} ms / {percentile(values, 0.99):.2f} ms"
        yield Row(PART, f"{what}, p50 / p99", shown)
    yield Row(PART, "row committed to claimed ('processing' heard), p50", f"{percentile(pickups, 0.5):.2f} ms")
    yield at_most(PART, "row committed to claimed ('processing' heard), p99", [percentile(pickups, 0.99)], 10, " ms")


@contextmanager
def echo(here: Place) -> Iterator[redis.Redis]:
    """A bare process that is woken by RPUSH and answers on the channel that the ear hears; its client."""
    process = subprocess.Popen([sys.executable, "-c", ECHO, here.socket])
    try:
        with here.bare() as client:
            yield client
    finally:
        process.kill()
        process.wait()


def one_by_one(here: Place) -> tuple[list[float], list[float], list[float], list[float]]:
    """Milliseconds of each job: to its pickup, to its end, of the call alone; and of a bare process in its place."""
    pickups, wholes, calls, bares = [], [], [], []
    rung = 0.0
    ring = here.client.queue.enqueue

    def ring_and_note(*arguments: Any, **options: Any) -> bool:
        nonlocal rung
        rung = time.perf_counter()  # its row is committed, Redis has not been told
        return ring(*arguments, **options)

    here.client.queue.enqueue = ring_and_note  # type: ignore[method-assign]
    ear = Ear(here)
    with closing(ear), echo(here) as bare:
        for number in range(WARM + JOBS):
            job_id, called = new_id(), time.perf_counter()
            here.client.enqueue_job(job_id, {}, pipeline="selftest")
            returned = time.perf_counter()
            claimed, ended = ear.when(job_id, "processing"), ear.when(job_id, "completed")
            if number >= WARM:
                pickups.append((claimed - rung) * 1000)
                wholes.append((ended - called) * 1000)
                calls.append((returned - called) * 1000)
            time.sleep(REST_SECONDS)  # the worker goes back to its doorbell
            sent = time.perf_counter()
            bare.rpush("bench:echo", orjson.dumps({"job_id": job_id, "status": "echo"}))
            if (heard := ear.when(job_id, "echo")) and number >= WARM:
                bares.append((heard - sent) * 1000)
    return pickups, wholes, calls, bares
