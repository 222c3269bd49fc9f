"""Redis bytes per queued job."""

from __future__ import annotations

from collections.abc import Iterator

from bench.place import Place, new_id, place
from bench.rows import Row, say
from database.open_jobs import OpenJob
from states import JobStatus

PART = "redis"
SIZES = (1_000, 100_000)
BATCH = 1_000


def measure() -> Iterator[Row]:
    for size in SIZES:
        say(f"redis: {size:,} queued jobs")
        with place() as here:
            here.client.queue.enqueue_many([queued()])  # connections and scripts are there before the first look
            before = used(here)
            for _ in range(size // BATCH):
                here.client.queue.enqueue_many([queued() for _ in range(BATCH)])
            taken = used(here) - before
        yield Row(PART, f"bytes per queued job at {size:,}", f"{taken / size:,.0f}")


def used(here: Place) -> int:
    return int(here.client.get_client().info("memory")["used_memory"])


def queued() -> OpenJob:
    """What enqueue_many hands to Redis of a stored selftest job."""
    return OpenJob(
        new_id(),
        "selftest",
        "video_generation_queue",
        "default",
        "normal",
        JobStatus.PENDING,
        0,
        in_flight=False,
        progress=0.0,
        stage="step_1",
        wait_ms=0,
        created_ms=0,
    )
