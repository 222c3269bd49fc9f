"""Do SQL and Redis agree? The checker that all process tests share."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import select

from database.tables import Job
from redis_client.client import RedisClient
from states import OPEN, JobStatus

# Every key of the protocol (PROTOCOL section 2), after the prefix.
KEYS = re.compile(
    r"(inbox|inbox_bad|ready:.+|queue:.+|delayed|leases|parked:.+|group:.+|limits|paused|fair|job:.+|slots|workers"
    r"|worker:.+|events:.+|rate:.+|sem:.+|canary|reconciler|swept|bad)"
)
NOBODY = "#"  # the slot of a job that the reconciler put back for a worker it cannot ask


def snapshot(client: RedisClient) -> dict[str, Any]:
    """What Redis holds: jobs, indexes, slots, lists."""
    redis, prefix, default = client.get_client(), client.queue.prefix, client.queue.namespace
    keys: list[str] = sorted(str(key) for key in redis.scan_iter(count=1000))
    unknown = [key for key in keys if key != default and not (key.startswith(prefix) and _known(key, prefix))]
    jobs, ready, lists = {}, {}, {}
    for key in keys:
        kind, _, name = key.removeprefix(prefix).partition(":")
        if key == default:
            lists[default] = redis.lrange(key, 0, -1)
        elif kind == "job":
            jobs[name] = redis.hgetall(key)
        elif kind == "ready":
            ready[name] = dict(_pairs(redis, key))
        elif kind == "queue":
            lists[name] = redis.lrange(key, 0, -1)
    return {
        "jobs": jobs,
        "ready": ready,
        "lists": lists,
        "delayed": dict(_pairs(redis, prefix + "delayed")),
        "leases": dict(_pairs(redis, prefix + "leases")),
        "slots": redis.hgetall(prefix + "slots"),
        "workers": redis.zcard(prefix + "workers"),
        "unknown": unknown,
    }


def disagreements(client: RedisClient, *, workers: int | None = None) -> list[str]:
    """Every sentence about what does not agree; empty when all is well.

    For a system at rest: nothing is between its SQL commit and its Redis move. `workers` bounds the length of the
    lists; the number of worker records unless given.
    """
    held = snapshot(client)
    with client.database.read() as connection:
        columns = (Job.id, Job.queue, Job.status, Job.in_flight, Job.fence)
        rows = {row.id: row for row in connection.execute(select(*columns))}
    wrong = [f"the key {key} belongs to no pattern" for key in held["unknown"]]
    wrong += _places(held, rows)
    wrong += _slots(held)
    allowed = held["workers"] if workers is None else workers
    for queue, bells in held["lists"].items():
        count = len(held["ready"].get(queue, {}))
        if len(bells) > count + allowed:
            wrong.append(f"the list of {queue} holds {len(bells)}, ready are {count}, workers {allowed}")
    return wrong


def assert_agree(client: RedisClient, *, workers: int | None = None) -> None:
    """Fail with every disagreement between SQL and Redis."""
    wrong = disagreements(client, workers=workers)
    assert not wrong, "\n".join(wrong)


def _places(held: dict[str, Any], rows: dict[str, Any]) -> list[str]:
    wrong = []
    indexes = {"delayed": held["delayed"], "leases": held["leases"]}
    indexes |= {f"ready:{queue}": ids for queue, ids in held["ready"].items()}
    standing: dict[str, list[str]] = {}
    for index, ids in indexes.items():
        for job_id in ids:
            standing.setdefault(job_id, []).append(index)
    for job_id, places in standing.items():
        row = rows.get(job_id)
        if row is None or row.status not in OPEN:
            wrong.append(f"{job_id} is {row.status if row else 'unknown'} in SQL and stands in {places}")
    for job_id, row in rows.items():
        if row.status not in OPEN:
            continue
        job, places = held["jobs"].get(job_id, {}), standing.get(job_id, [])
        state = job.get("state")
        wanted = {"ready": f"ready:{row.queue}", "delayed": "delayed", "running": "leases"}.get(state or "")
        if places != [wanted]:
            wrong.append(f"{job_id} is {row.status} in SQL and {state} in Redis, and stands in {places}, not {wanted}")
        if row.status == JobStatus.PROCESSING and state != "running":
            wrong.append(f"{job_id} is processing in SQL and {state} in Redis")
        if state == "running" and row.in_flight and int(job.get("token", 0)) < row.fence:
            wrong.append(f"{job_id} runs under {job.get('token')} in Redis, below its fence {row.fence}")
    return wrong


def _slots(held: dict[str, Any]) -> list[str]:
    wrong = []
    jobs = held["jobs"]
    for slot, job_id in held["slots"].items():
        job = jobs.get(job_id, {})
        if job.get("state") != "running" or job.get("slot") != slot:
            wrong.append(f"slot {slot} holds {job_id}, which is {job.get('state')} in slot {job.get('slot')}")
    for job_id in held["leases"]:
        slot = jobs.get(job_id, {}).get("slot")
        if slot != NOBODY and held["slots"].get(slot) != job_id:
            wrong.append(f"{job_id} is leased to slot {slot}, which holds {held['slots'].get(slot)}")
    return wrong


def _known(key: str, prefix: str) -> bool:
    return KEYS.fullmatch(key.removeprefix(prefix)) is not None


def _pairs(redis: Any, key: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = redis.zrange(key, 0, -1, withscores=True)
    return found
