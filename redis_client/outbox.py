"""Delivers what stands in the outbox: a parent is woken, the next job of a chain is stored, children are cancelled.

Every worker does it; a letter may arrive twice, and does no harm then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog

from database.jobs import NewJob, find_job, refuse_job
from database.open_jobs import open_job
from database.outbox import Letter, deferred, delivered, take_letters
from database.requests import find_open_children
from errors import HostTrouble, NotNow, Permanent, UnknownJob
from pipeline.catalog.base import find_pipeline
from redis_client.client import RedisClient

LONGEST_ID = 128
log = structlog.get_logger()


def deliver_letters(
    client: RedisClient, *, limit: int = 50, others: Mapping[str, Callable[[Letter], None]] = MappingProxyType({})
) -> int:
    """Deliver what is due, the oldest first; how many arrived. One bad letter does not stop the others.

    `others` delivers the kinds that are not the queue's business.
    """
    arrived = []
    try:
        for letter in take_letters(client.database, limit=limit):
            try:
                others.get(letter.kind, partial(_deliver, client))(letter)
                arrived.append(letter.id)
            except HostTrouble as error:
                deferred(client.database, letter, str(error))
                raise
            except NotNow as error:
                deferred(client.database, letter, str(error))
            except Exception as error:
                log.exception("letter_deferred", kind=letter.kind, job_id=letter.job_id)
                deferred(client.database, letter, f"{type(error).__name__}: {error}")
    finally:
        delivered(client.database, arrived)
    return len(arrived)


def _deliver(client: RedisClient, letter: Letter) -> None:
    assert letter.job_id is not None
    match letter.kind:
        case "wake":
            job = open_job(client.database, letter.job_id)
            if job is not None and not job.waits:  # else it was woken before, and waits for others now
                client.queue.enqueue(job, mode="wake")
        case "cancel_children":
            for child in find_open_children(client.database, letter.job_id):
                client.cancel(child)
        case "then":
            _start_next(client, letter.job_id)
        case _:
            raise Permanent(f"a letter of the kind {letter.kind!r} is not known to this version")


def _start_next(client: RedisClient, job_id: str) -> None:
    """The next job of a chain; what its door refuses becomes a failed job that people see, never a lost one."""
    try:
        row = find_job(client.database, job_id)
    except UnknownJob:
        return  # its keep time is over: it was delivered long ago
    then: dict[str, Any] = row["then"]
    next_id = str(then.get("id") or f"{job_id[: LONGEST_ID - 5]}.then")
    payload = dict(then["payload"])
    try:
        for field, path in (then.get("take") or {}).items():
            payload[field] = _find(row["result"], path)
        options = {name: then[name] for name in ("pipeline", "queue", "priority", "delay", "groups", "then")}
        options |= {"tenant": row["tenant"], "reuse": then.get("reuse", True), "webhook": then.get("webhook")}
        client.enqueue_job(next_id, payload, **options)
    except Permanent as error:
        log.exception("chain_refused", job_id=next_id, after=job_id)
        queue = then["queue"] or find_pipeline(then["pipeline"]).default_queue()
        refused = NewJob(next_id, then["pipeline"], queue, payload, "", tenant=row["tenant"], priority=then["priority"])
        refuse_job(client.database, refused, error)


def _find(result: Any, path: str) -> Any:
    found = result
    for part in path.split("."):
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise Permanent(f"then.take: the result of the job before has no {path!r}")
    return found
