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
    r"(inbox|inbox_bad|ready:.+|lane:.+|lanes:.+|fair:.+|weights|queue:.+|delayed|leases|parked:.+|parking|parking:.+"
    r"|group:.+|limits|paused|copied|job:.+|slots|workers|worker:.+|lines:.+|starts:.+|pools|pool:.+|orders:.+|events:.+|rate:.+|sem:.+|canary|reconciler|swept|bad"
    r"|database|collector|breaker:.+|hint:.+|seen:.+)"
)
NOBODY = "#"  # the slot of a job that the reconciler put back for a worker it cannot ask


def snapshot(client: RedisClient) -> dict[str, Any]:
    """What Redis holds: jobs, indexes, slots, lists."""
    redis, prefix, default = client.get_client(), client.queue.prefix, client.queue.namespace
    keys: list[str] = sorted(str(key) for key in redis.scan_iter(count=1000))
    unknown = [key for key in keys if key != default and not (key.startswith(prefix) and _known(key, prefix))]
    jobs, ready, lists, parked, lanes, groups = {}, {}, {}, {}, {}, {}
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
        elif kind == "parked":
            parked[name] = dict(_pairs(redis, key))
        elif kind == "lane":
            lanes[name] = dict(_pairs(redis, key))
        elif kind == "group":
            groups[name] = redis.zrange(key, 0, -1)
    return {
        "jobs": jobs,
        "ready": ready,
        "lists": lists,
        "parked": parked,
        "lanes": lanes,
        "groups": groups,
        "limits": {group: int(most) for group, most in redis.hgetall(prefix + "limits").items()},
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
        columns = (Job.id, Job.queue, Job.status, Job.in_flight, Job.fence, Job.not_before_ms)
        rows = {row.id: row for row in connection.execute(select(*columns))}
    wrong = [f"the key {key} belongs to no pattern" for key in held["unknown"]]
    wrong += _places(held, rows)
    wrong += _slots(held)
    wrong += _lanes(held)
    wrong += _groups(held)
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
    indexes |= {f"parked:{name}": ids for name, ids in held["parked"].items()}
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
        if row.status == JobStatus.WAITING and row.not_before_ms is None:  # for children or a person
            if places or state not in {None, "waiting"}:
                wrong.append(f"{job_id} waits without a time in SQL, is {state} in Redis and stands in {places}")
            continue
        wanted = {
            "ready": f"ready:{row.queue}",
            "delayed": "delayed",
            "running": "leases",
            "parked": f"parked:{job.get('parked')}:{row.queue}",
        }.get(state or "")
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


def _lanes(held: dict[str, Any]) -> list[str]:
    """Every ready job stands in the lane of its tenant, with the same score, and nothing else does."""
    wanted: dict[str, dict[str, float]] = {}
    for queue, ids in held["ready"].items():
        for job_id, score in ids.items():
            lane = f"{queue}:{held['jobs'].get(job_id, {}).get('tenant')}"
            wanted.setdefault(lane, {})[job_id] = score
    return [] if wanted == held["lanes"] else [f"lanes are {held['lanes']}, not {wanted}"]


def _groups(held: dict[str, Any]) -> list[str]:
    """Who runs counts in each of its limited groups; nobody sleeps beside free room."""
    wrong, running = [], {group: set[str]() for group, most in held["limits"].items() if most >= 0}
    for job_id in held["leases"]:
        for group in _groups_of(held["jobs"].get(job_id, {})) & running.keys():
            running[group].add(job_id)
    for group, ids in running.items():
        if ids != set(held["groups"].get(group, ())):
            wrong.append(f"of group {group} run {ids}, counted are {held['groups'].get(group)}")
    for name, ids in held["parked"].items():
        group, most = name.rpartition(":")[0], held["limits"].get(name.rpartition(":")[0], -1)
        has_room = most < 0 or len(running.get(group, ())) < most
        stand_for = [one for queue in held["ready"].values() for one in queue if group in _groups_of(held["jobs"][one])]
        if has_room and not stand_for:
            wrong.append(f"{sorted(ids)} are parked for {group}, which has room, and nothing of it is ready")
    return wrong


def _groups_of(job: dict[str, str]) -> set[str]:
    extra = {name for name in job.get("groups", "").split(",") if name}
    return extra | {f"{kind}:{job.get(kind)}" for kind in ("queue", "pipeline", "tenant")}


def _known(key: str, prefix: str) -> bool:
    return KEYS.fullmatch(key.removeprefix(prefix)) is not None


def _pairs(redis: Any, key: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = redis.zrange(key, 0, -1, withscores=True)
    return found
