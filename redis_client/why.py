"""`why JOB`: one answer to why a job does not run, and the command that frees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from database.controls import Controls, controls
from database.engine import Database
from database.family import find_children
from database.jobs import find_job, of_tenant
from database.open_jobs import open_job
from errors import QueueUnavailable
from redis_client.answers import Standing
from redis_client.client import RedisClient
from states import DEAD, ENDED, JobStatus

SHOWN, LOOKED_AT = 3, 100


@dataclass(frozen=True, slots=True)
class Why:
    """`reason` is one word for programs, `sentence` for people; `command` frees the job ("" when nothing need be done).

    Reasons: completed, failed, cancelled, quarantined, running, lease_lost, cancelling, retry_at, delayed,
    host_trouble, children, child_needs_a_person, charge_in_doubt, charge_lost, budget, person, paused, limit_full, no_worker, worker_trouble, queued,
    redis_away, unknown_to_redis.
    """

    job_id: str
    status: str
    reason: str
    sentence: str
    command: str = ""


def why(client: RedisClient, job_id: str) -> Why:
    """What keeps a job from running now. UnknownJob when there is none."""
    row = find_job(client.database, job_id)
    reason, sentence, command = _answer(client, row)
    return Why(job_id, row["status"], reason, sentence, command)


Answer = tuple[str, str, str]


def _answer(client: RedisClient, row: dict[str, Any]) -> Answer:
    if row["status"] in ENDED:
        return _ended(row)
    if row["status"] == JobStatus.WAITING and row["not_before_ms"] is None:
        return _held(client.database, row)
    try:
        standing = client.queue.inspect(row["id"])
    except QueueUnavailable as error:
        return "redis_away", f"{error}; the job is safe in the database and goes on when Redis is back", ""
    if row["in_flight"]:
        return _in_flight(row, standing)
    if row["status"] == JobStatus.WAITING:
        return _timed(client.database, row)
    return _pending(client, row, standing)


def _ended(row: dict[str, Any]) -> Answer:
    job_id = row["id"]
    retry = f"jobs.py retry {job_id}"
    match row["status"]:
        case JobStatus.COMPLETED:
            return "completed", "it is completed", f"jobs.py show {job_id}"
        case JobStatus.CANCELLED:
            return "cancelled", "somebody cancelled it", retry
        case JobStatus.QUARANTINED:
            sentence = f"its worker died {row['crashes']} times while running it, so it was put aside"
            return "quarantined", sentence, f"jobs.py show {job_id} --debug, then {retry}"
    where = f" in stage {row['error_stage']}" if row["error_stage"] else ""
    return "failed", f"it failed{where}: {row['error_class']}: {row['error']}", retry


def _held(database: Database, row: dict[str, Any]) -> Answer:
    """It waits without a time: for its children, or for a person."""
    if row["waiting_for"] != "children":
        return _for_a_person(row)
    children = find_children(database, row["id"])
    for child in children:
        if child.status in DEAD and child.on_child_failure == "wait":
            sentence = f"its child {child.id} is {child.status}, and a person must decide: {child.error}"
            return (
                "child_needs_a_person",
                sentence,
                f"jobs.py retry {child.id} (or give it up: jobs.py cancel {child.id})",
            )
    left = [child.id for child in children if child.status not in ENDED]
    shown = ", ".join(left[:SHOWN]) + (f" and {len(left) - SHOWN} more" if len(left) > SHOWN else "")
    return "children", f"it waits for {len(left)} of its children: {shown}", f"jobs.py why {left[0]}" if left else ""


def _for_a_person(row: dict[str, Any]) -> Answer:
    what = str(row["waiting_for"] or "").removeprefix("a person: ")
    match what.split(" "):
        case ["charge", key, *rest] if "doubt" not in rest:
            return "charge_lost", f"a paid answer is lost: {what}", f"jobs.py decide {key.rstrip(':')} lost"
        case ["charge", key, *_]:
            key = key.rstrip(":")
            sentence = f"a paid call is in doubt, and a person must say whether it was made: {what}"
            return "charge_in_doubt", sentence, f"jobs.py decide {key} lost (or: made ID-AT-THE-VENDOR)"
        case ["budget", scope]:
            return "budget", f"the budget {scope} is spent", f"jobs.py budget {scope} USD"
    return "person", f"it waits for a person: {what}", f"jobs.py free {row['id']}"


def _in_flight(row: dict[str, Any], standing: Standing) -> Answer:
    owner = row["owner"]
    if row["cancel_requested"]:
        return "cancelling", f"somebody cancelled it; worker {owner} stops it at its next safe point", ""
    if standing.state == "running" and standing.left_seconds > 0:
        where = f" in stage {row['stage']}" if row["stage"] else ""
        return (
            "running",
            f"it runs on worker {owner}{where}; its lease is good for {standing.left_seconds:.0f} s more",
            "",
        )
    sentence = f"worker {owner} stopped answering; another worker takes the job over"
    return "lease_lost", sentence, "start a worker, if none runs (jobs.py workers)"


def _timed(database: Database, row: dict[str, Any]) -> Answer:
    job = open_job(database, row["id"])
    due = f"in {max(0, job.wait_ms if job else 0) / 1000:.0f} s"
    match row["waiting_for"]:
        case "retry":
            sentence = f"try {row['attempt']} of stage {row['error_stage']} failed ({row['error']}); the next is {due}"
            return "retry_at", sentence, ""
        case "delay":
            return "delayed", f"it was asked for with a delay; it is due {due}", ""
    if str(row["waiting_for"]).startswith("budget:"):
        return "budget", f"{row['waiting_for']}; the next day begins {due}", "jobs.py budget"
    return "host_trouble", f"its worker handed it back: {row['waiting_for']}; the next try is {due}", "jobs.py workers"


def _pending(client: RedisClient, row: dict[str, Any], standing: Standing) -> Answer:
    queue, switched = row["queue"], controls(client.database)
    if (paused := _paused(row, switched)) is not None:
        return paused
    if standing.state == "parked":
        return _parked(client, row, standing.parked, switched)
    workers = [one for one in client.workers() if queue in one["queues"] and not one.get("stopping")]
    if not workers:
        command = f"python worker.py --queues {queue}"
        return "no_worker", f"no living worker serves its queue {queue}", command
    if standing.state == "running":
        return "running", f"worker {standing.worker} has just claimed it", ""
    if standing.state not in {"ready", "delayed"}:
        return "unknown_to_redis", "Redis has lost it; a worker puts it back within about a minute", ""
    healthy = [one for one in workers if not one.get("trouble")]
    if not healthy:
        first = workers[0]
        return "worker_trouble", f"worker {first['worker_id']} takes no jobs now: {first['trouble']}", "jobs.py workers"
    busy = sum(len(one["jobs"]) for one in healthy)
    ahead = f"{standing.ahead} jobs stand ahead of it" if standing.ahead else "it is the next one"
    return "queued", f"{ahead} in {queue}; {len(healthy)} workers serve that queue and run {busy} jobs", ""


def _paused(row: dict[str, Any], switched: Controls) -> Answer | None:
    flags = {"pipeline": "--pipeline ", "tenant": "--tenant ", "queue": ""}
    for kind in ("queue", "pipeline", "tenant"):
        name = row[kind]
        control = name if kind == "queue" else f"{kind}:{name}"
        if control in switched.pauses:
            told = f" ({switched.pauses[control]})" if switched.pauses[control] else ""
            return "paused", f"{kind} {name} is paused{told}", f"jobs.py resume {flags[kind]}{name}"
    return None


def _parked(client: RedisClient, row: dict[str, Any], group: str, switched: Controls) -> Answer:
    most = switched.group_limits().get(group)
    running: Any = client.get_client().zrange(client.queue.key(f"group:{group}"), 0, LOOKED_AT - 1)
    named = of_tenant(client.database, row["tenant"], running)[:SHOWN]  # of another tenant's jobs nobody hears
    told = f": {', '.join(named)}" if named else ""
    sentence = f"{most} jobs of {group} may run at once, and so many do{told}"
    return "limit_full", sentence, f"jobs.py limit {group} {(most or 0) + 1}"
