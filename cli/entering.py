"""Prepared jobs enter the queue: one, or many equal ones in batches."""

from __future__ import annotations

from dataclasses import replace

from cli.door import Output, print_json
from database.jobs import NewJob
from errors import InvalidInput
from redis_client import RedisClient

BATCH = 500
LONGEST_ID = 128


def numbered(base: str, number: int, count: int) -> str:
    """The id of one of `count` equal jobs; the numbers have one width, so that they sort."""
    return f"{base}-{number:0{len(str(count))}d}"


def enqueue_one(client: RedisClient, job: NewJob, output: Output) -> None:
    """Store one job and tell; the same job again is no error, another one under its id is."""
    is_new = client.store(job)
    if output.is_json():
        print_json({"job_id": job.id, "created": is_new, "pipeline": job.pipeline, "queue": job.queue})
    else:
        print(f"job {job.id} {'stands in' if is_new else 'was there already, in'} {job.queue}", flush=True)


def enqueue_count(client: RedisClient, first: NewJob, base: str, count: int, output: Output) -> None:
    """Store `count` jobs like the first one, and tell how many are new."""
    last = numbered(base, count, count)
    if len(last) > LONGEST_ID:
        raise InvalidInput(f"id={last!r}: use at most {LONGEST_ID} characters")
    stored = 0
    for start in range(1, count + 1, BATCH):
        numbers = range(start, min(start + BATCH, count + 1))
        stored += client.enqueue_many([replace(first, id=numbered(base, number, count)) for number in numbers])
    if output.is_json():
        print_json({"count": count, "created": stored, "first": first.id, "last": last, "queue": first.queue})
        return
    already = f"; {count - stored} were there already" if stored < count else ""
    print(f"{stored} jobs stand in {first.queue}, {first.id} to {last}{already}", flush=True)
