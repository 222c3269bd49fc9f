"""Queues and workers: what stands where, who works, whether all is well; and what people switch."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, status
from pydantic import Field

from api.access import Caller, FleetReader, Operator
from api.fields import Body, Name, Reason, Tenant
from api.problems import Problem
from database.controls import controls
from database.jobs import count_unread
from database.overview import oldest_by_queue
from errors import HostTrouble, InvalidInput, StagecrewError
from redis_client import redis_client
from redis_client.fleet import MOST_LINES, find_lines, forget_workers
from redis_client.gates import GateState, look_at
from redis_client.pools import Action, ask_pool, find_pools
from states import JobStatus

OLDEST_SECONDS = 300.0
MOST_PENDING_A_WORKER = 10
router = APIRouter(tags=["fleet"])
Level = Literal["healthy", "warning", "critical"]


class Switch(Body):
    """Why something is paused; people see it."""

    reason: Reason = ""


class Asked(Body):
    """Of which host's pool; the only one when missing."""

    host: Tenant | None = None
    worker_id: Tenant | None = Field(None, description="which worker to stop; the youngest when missing")


class Limit(Body):
    """How many jobs of a group may run at once; null lifts the limit."""

    most: int | None = Field(ge=0, le=1_000_000)
    reason: Reason = ""


@router.get("/queues")
def queues(_caller: FleetReader) -> dict[str, Any]:
    """Each queue: its jobs by status, whether it is paused, its limit; and what else is paused or limited."""
    found = controls(redis_client.database)
    switched = {"pauses": found.pauses, "limits": found.limits, "weights": found.weights}
    return {"queues": redis_client.queues(), "controls": switched}


@router.post("/queues/{name}/pause")
def pause(name: Name, given: Switch, caller: Operator) -> dict[str, Any]:
    """Let no job of this queue start; what runs goes on."""
    redis_client.pause(name, reason=given.reason, by=caller.name)
    caller.wrote("pause", f"queue:{name}", reason=given.reason)
    return _queue(name)


@router.post("/queues/{name}/resume")
def resume(name: Name, caller: Operator) -> dict[str, Any]:
    """Let the jobs of this queue start again."""
    redis_client.resume(name)
    caller.wrote("resume", f"queue:{name}")
    return _queue(name)


@router.post("/{kind}/{name}/pause")
def pause_group(kind: Literal["pipelines", "tenants"], name: Tenant, given: Switch, caller: Operator) -> dict[str, Any]:
    """Let no job of this pipeline or tenant start; what runs goes on."""
    word = kind.removesuffix("s")
    redis_client.pause(name, kind=word, reason=given.reason, by=caller.name)
    caller.wrote("pause", f"{word}:{name}", reason=given.reason)
    return {word: name, "paused": True, "reason": given.reason}


@router.post("/{kind}/{name}/resume")
def resume_group(kind: Literal["pipelines", "tenants"], name: Tenant, caller: Operator) -> dict[str, Any]:
    """Let the jobs of this pipeline or tenant start again."""
    word = kind.removesuffix("s")
    redis_client.resume(name, kind=word)
    caller.wrote("resume", f"{word}:{name}")
    return {word: name, "paused": False}


@router.put("/limits/{group}")
def limit(group: str, given: Limit, caller: Operator) -> dict[str, Any]:
    """Let at most so many jobs of a group (queue:NAME, pipeline:NAME, tenant:NAME, or a name of its own) run at once."""
    redis_client.limit(group, given.most, reason=given.reason, by=caller.name)
    caller.wrote("limit", group[:160], most=given.most)
    return {"group": group, "limit": given.most}


@router.get("/workers/status")
def workers(_caller: FleetReader) -> dict[str, Any]:
    """The living workers: their queues and slots, what each runs now, when it was heard last."""
    return {"workers": redis_client.workers()}


@router.get("/workers/health")
def health(_caller: FleetReader) -> dict[str, Any]:
    """Whether all is well, and if not, why: healthy, warning or critical."""
    return judge(look())


@dataclass(frozen=True, slots=True)
class Sight:
    """The fleet as it was seen in one look; None is what could not be seen, for the `trouble`."""

    queues: list[dict[str, Any]] | None = None
    workers: list[dict[str, Any]] | None = None
    oldest: dict[str, float] = field(default_factory=dict)  # of each queue, in seconds
    gates: dict[str, GateState] = field(
        default_factory=dict
    )  # of the vendors, as far as living workers have come to them
    pools: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""

    @property
    def oldest_seconds(self) -> float:
        """How long the job has waited that could have run for the longest time."""
        return max(self.oldest.values(), default=0.0)


def look() -> Sight:
    """Ask the records and Redis once."""
    try:
        queues = redis_client.queues()
        oldest = oldest_by_queue(redis_client.database)
    except HostTrouble as error:
        return Sight(trouble=str(error))
    try:
        workers = redis_client.workers()
        return Sight(queues, workers, oldest, _gates(workers), find_pools(redis_client.queue))
    except StagecrewError as error:
        return Sight(queues, None, oldest, trouble=str(error))


def _gates(workers: list[dict[str, Any]]) -> dict[str, GateState]:
    slots: dict[str, int | None] = {}
    for worker in workers:
        slots |= worker.get("gates", {})
    return look_at(redis_client.queue, slots)


def judge(seen: Sight) -> dict[str, Any]:
    """The health of the fleet, with its reasons."""
    if seen.queues is None or seen.workers is None:
        return _health("critical", [seen.trouble])
    living, oldest = [one for one in seen.workers if not one["stopping"]], seen.oldest_seconds
    pending = sum(int(queue.get(JobStatus.PENDING, 0)) for queue in seen.queues)
    reasons = []
    if not living:
        reasons.append("no living worker; start one: python worker.py worker-1")
    if oldest > OLDEST_SECONDS:
        reasons.append(f"the oldest job that could run has waited for {oldest / 60:.0f} min")
    if living and pending > MOST_PENDING_A_WORKER * len(living):
        reasons.append(f"{pending} jobs wait for {len(living)} workers")
    reasons += [
        f"the vendor {name} is out of order, for {gate.open_seconds:.0f} s more"
        for name, gate in seen.gates.items()
        if gate.open_seconds > 0
    ]
    reasons += [f"worker {one['worker_id']} takes no jobs now: {one['trouble']}" for one in living if one["trouble"]]
    facts = {"workers": len(living), "pending": pending, "oldest_pending_seconds": round(oldest, 1)}
    return _health("warning" if reasons else "healthy", reasons) | facts


@router.get("/workers/queue-stats")
def queue_stats(_caller: FleetReader) -> dict[str, Any]:
    """How many jobs stand in each queue, and all together: pending (ready, delayed or parked), in progress, and ready.

    Those that are ready are completed, and nobody has asked for their result yet.
    """
    unread = count_unread(redis_client.database)
    rows = [_stats(one, unread) for one in redis_client.queues()]
    summary = {
        "total_queues": len(rows),
        "active_queues": sum(1 for row in rows if row["pending"] or row["in_progress"]),
        "total_pending": sum(row["pending"] for row in rows),
        "total_ready": sum(row["ready"] for row in rows),
        "total_in_progress": sum(row["in_progress"] for row in rows),
    }
    return {"summary": summary, "queues": rows}


@router.get("/workers/logs")
def worker_logs(
    worker_id: Tenant, _caller: FleetReader, limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 200
) -> dict[str, Any]:
    """The last log lines of a worker, oldest first, up to 1,000; kept for a day."""
    return {"worker_id": worker_id, "lines": find_lines(redis_client.queue, worker_id, limit=limit)}


@router.get("/workers/pools")
def pools(_caller: FleetReader) -> dict[str, Any]:
    """The pools that live: of which host, how many workers each aims at, and which it has."""
    return {"pools": find_pools(redis_client.queue)}


@router.post("/workers/start", status_code=status.HTTP_202_ACCEPTED)
def start(given: Asked, caller: Operator) -> dict[str, Any]:
    """Let a host's pool start one worker more."""
    return _order(caller, given, "start")


@router.post("/workers/stop", status_code=status.HTTP_202_ACCEPTED)
def stop(given: Asked, caller: Operator) -> dict[str, Any]:
    """Let a host's pool stop one worker, which hands its jobs back."""
    return _order(caller, given, "stop")


@router.post("/workers/process-all-pending", status_code=status.HTTP_202_ACCEPTED)
def process_all_pending(given: Asked, caller: Operator) -> dict[str, Any]:
    """Let a pool start a worker that works off what waits and ends; 409 while one does."""
    if any(worker["drains"] for pool in find_pools(redis_client.queue) for worker in pool["workers"]):
        raise Problem(HTTPStatus.CONFLICT, "a worker that works everything off runs already", kind="drains")
    return _order(caller, given, "drain")


@router.post("/workers/clear-stale")
def clear_stale(caller: Operator) -> dict[str, Any]:
    """Forget workers whose heartbeat has run out; their leases run out by themselves."""
    gone = forget_workers(redis_client.queue)
    caller.wrote("clear_stale", f"{len(gone)} workers")
    return {"forgotten": gone}


def _order(caller: Caller, given: Asked, action: Action) -> dict[str, Any]:
    """Leave an order for the pool of the named host, or of the only one."""
    found = {pool["host"]: pool for pool in find_pools(redis_client.queue)}
    if not found:
        raise Problem(HTTPStatus.CONFLICT, "no pool runs; start one: python pool.py --min 1 --max 4", kind="no-pool")
    host = given.host or (next(iter(found)) if len(found) == 1 else "")
    if host not in found:
        raise InvalidInput(f"host={given.host!r}: name one of {', '.join(found)}")
    if given.worker_id not in {None, *(worker["worker_id"] for worker in found[host]["workers"])}:
        raise InvalidInput(f"worker_id={given.worker_id!r}: the pool of {host} has no such worker")
    order_id = ask_pool(redis_client.queue, host, action, given.worker_id or "")
    caller.wrote(f"worker_{action}", f"{host}", worker_id=given.worker_id)
    return {"order": order_id, "host": host, "action": action}


def _queue(name: str) -> dict[str, Any]:
    return next((one for one in redis_client.queues() if one["queue"] == name), {"queue": name})


def _stats(queue: dict[str, Any], unread: dict[str, int]) -> dict[str, Any]:
    return {
        "queue": queue["queue"],
        "paused": queue["paused"],
        "pending": int(queue.get(JobStatus.PENDING, 0)) + int(queue.get(JobStatus.WAITING, 0)),
        "ready": unread.get(queue["queue"], 0),
        "in_progress": int(queue.get(JobStatus.PROCESSING, 0)),
    }


def _health(level: Level, reasons: list[str]) -> dict[str, Any]:
    return {"status": level, "reasons": reasons}
