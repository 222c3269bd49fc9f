"""Short words for tests of the queue's moves: jobs, slots, and a Redis that is looked at directly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from database.fenced import FencedWrites
from database.open_jobs import OpenJob
from database.records import Begun, Checkpoint, Failure, Holder, JobRecord
from redis_client.answers import Grant, Slot
from redis_client.client import RedisClient
from redis_client.queue import Queue

MAIN, SECOND = "video_generation_queue", "selftest-queue"
LEASE_SECONDS = 30.0
_JOB = OpenJob(
    id="a",
    pipeline="selftest",
    queue=MAIN,
    tenant="default",
    priority="normal",
    status="pending",
    fence=0,
    in_flight=False,
    progress=0.0,
    stage="step_1",
    wait_ms=0,
    created_ms=1_700_000_000_000,
)


def job(job_id: str = "a", **fields: Any) -> OpenJob:
    """A job as the queue is told of it."""
    return replace(_JOB, id=job_id, **fields)


def slot(worker: str = "w1", name: str = "0", *queues: str, lease_seconds: float = LEASE_SECONDS) -> Slot:
    """A slot of a worker; of the default queue unless others are given."""
    return Slot(worker, f"label-{worker}", name, queues or (MAIN,), lease_seconds)


def take(queue: Queue, where: Slot | None = None, nonce: str = "n") -> Grant:
    """Claim, and be sure to get something."""
    claim = queue.claim(where or slot(), nonce=nonce)
    assert isinstance(claim, Grant), claim
    return claim


def facts(queue: Queue, job_id: str = "a") -> dict[str, str]:
    """The job's hash."""
    found: Any = queue.connections.commands().hgetall(queue.key(f"job:{job_id}"))
    return dict(found)


def bells(queue: Queue, name: str = MAIN) -> list[str]:
    """The elements of a queue's list."""
    found: Any = queue.connections.commands().lrange(queue.list_key(name), 0, -1)
    return list(found)


def ready(queue: Queue, name: str = MAIN) -> list[str]:
    """The ready jobs of a queue, best first."""
    found: Any = queue.connections.commands().zrange(queue.key(f"ready:{name}"), 0, -1)
    return list(found)


def whole(queue: Queue) -> dict[str, Any]:
    """Everything in Redis, for "nothing has changed"."""
    redis, held = queue.connections.commands(), {}
    readers: dict[str, Any] = {
        "hash": redis.hgetall,
        "list": lambda key: redis.lrange(key, 0, -1),
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        "set": redis.smembers,
        "string": redis.get,
        "stream": redis.xrange,
    }
    for key in redis.scan_iter(count=1000):
        held[str(key)] = readers[str(redis.type(key))](key)
    return held


def forget(queue: Queue) -> None:
    """Redis is emptied, and said to be whole all the same: what the test puts there is all there is."""
    redis: Any = queue.connections.commands()
    redis.flushall()
    redis.set(queue.key("canary"), 1)


def rebuild(queue: Queue, row: OpenJob) -> str:
    """What the reconciler does with one open row; what that was."""
    return queue.reconcile(row, lease_seconds=LEASE_SECONDS)


def stands(queue: Queue, job_id: str = "a") -> tuple[str, int]:
    """The state and token of a job in Redis."""
    found = queue.inspect(job_id)
    return found.state, found.token


def run_out(queue: Queue, job_id: str = "a") -> None:
    """The lease of a job has run out."""
    queue.connections.commands().zadd(queue.key("leases"), {job_id: 1})


def sweep(queue: Queue) -> dict[str, int]:
    """Sweep, as a worker does with a lease of 30 s every 5 s."""
    return queue.sweep(lease_seconds=LEASE_SECONDS, sweep_seconds=5)


def begin(client: RedisClient, grant: Grant, owner: str = "label-w1", *, quarantine: int = 3) -> JobRecord:
    """Begin a granted job in SQL, and be sure that it began."""
    answer = FencedWrites(client.database, quarantine).begin(
        holder(grant, owner), expired=grant.expired, known=grant.known
    )
    assert isinstance(answer, Begun), answer
    return answer.job


def holder(grant: Grant, owner: str = "label-w1") -> Holder:
    return Holder(grant.job_id, grant.token, owner)


def checkpoint(stage: str = "step_1", item: str = "", result: Any = None, **fields: Any) -> Checkpoint:
    return Checkpoint(stage, item, {"number": 1} if result is None else result, "1", **fields)


def failure(stage: str = "step_1", attempt: int = 1, **fields: Any) -> Failure:
    return Failure(stage, "", attempt, "Unreachable", "no connection", **fields)


def set_limit(queue: Queue, group: str, most: int | None) -> int:
    """What a copy of the controls does in Redis for one limit (None: it is lifted); how many were woken by it."""
    return int(queue.run("limit", group=group, limit=-1 if most is None else most))


def end_pause(queue: Queue, name: str) -> None:
    """What a copy of the controls does in Redis for a queue that is paused no more."""
    queue.run("resume", queue=name)
