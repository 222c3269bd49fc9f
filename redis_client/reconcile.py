"""Redis is rebuilt from SQL: open rows that it does not know, or holds in the wrong place, are put back."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

from database.engine import Database
from database.jobs import OpenJob, cancels_in_flight, known_open_jobs, mark_reconciled, open_job, pauses
from redis_client.connection import RedisError, queue_errors
from redis_client.queue import Queue
from states import ENDED

ROWS_PER_SECOND = 2000
LOCK_SECONDS = 60
log = structlog.get_logger()


def reconcile(
    queue: Queue,
    database: Database,
    *,
    lease_seconds: float,
    untouched_seconds: float = 60.0,
    owner: str = "",
    stopping: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Compare every open row that was untouched for a while with Redis and repair it; what was done, by kind.

    One reconciler at a time over the fleet; page by page; a bad row is logged and does not stop the others.
    """
    done: Counter[str] = Counter()
    lock, me = queue.key("reconciler"), f"{owner}/{secrets.token_hex(8)}"
    with queue_errors():
        client = queue.connections.commands()
        if not client.set(lock, me, nx=True, px=LOCK_SECONDS * 1000):
            return done
    try:
        copy_pauses(queue, database)
        for job_id in cancels_in_flight(database):
            # Redis may have been away when somebody asked; asking twice changes nothing.
            queue.cancel(job_id, in_flight=True)
        after = ""
        while not stopping():
            page = known_open_jobs(database, untouched_seconds=untouched_seconds, after=after)
            if not page:
                break
            after, started = page[-1].id, time.monotonic()
            for job in page:
                try:
                    done[_repair(queue, database, job, lease_seconds)] += 1
                except (RedisError, LookupError, ValueError):
                    log.exception("reconcile_failed", job_id=job.id)
                    done["bad"] += 1
            mark_reconciled(database, [job.id for job in page])
            with queue_errors():
                if client.get(lock) != me:
                    break  # it took too long: somebody else has begun
                client.pexpire(lock, LOCK_SECONDS * 1000)
            time.sleep(max(0.0, len(page) / ROWS_PER_SECOND - (time.monotonic() - started)))
    finally:
        with queue_errors():
            if client.get(lock) == me:
                client.delete(lock)
    repaired = {kind: count for kind, count in done.items() if kind != "fine"}
    if repaired:
        log.warning("reconciled", **repaired)
    return done


def repair_job(queue: Queue, database: Database, job_id: str, *, lease_seconds: float) -> str:
    """Compare one job with Redis and repair it; what was done ("gone" when it is not open)."""
    job = open_job(database, job_id)
    return _repair(queue, database, job, lease_seconds) if job else "gone"


def copy_pauses(queue: Queue, database: Database) -> None:
    """Redis holds a copy of SQL's pauses."""
    wanted = pauses(database)
    with queue_errors():
        client = queue.connections.commands()
        held: Any = client.hkeys(queue.key("paused"))
        for name in set(held) - set(wanted):
            queue.resume(name)
        for name, reason in wanted.items():
            client.hset(queue.key("paused"), name, reason or "1")


def _repair(queue: Queue, database: Database, job: OpenJob, lease_seconds: float) -> str:
    state, token, held = queue.inspect(job.id)
    if job.in_flight and state not in ENDED and (not held or token < job.fence):
        # Put back as running under its fence: a living owner's next beat matches, a dead one's lease runs out.
        return "adopted" if queue.adopt(job, token=job.fence, lease_seconds=lease_seconds) else "fine"
    if state in ENDED:
        again = open_job(database, job.id)  # it may have ended in SQL since the page was read
        if again is None:
            return "fine"
    elif state and held:
        return "fine"
    elif state:
        queue.mend(job.id, state)
    return "rebuilt" if queue.enqueue(job, mode="rebuild") else "fine"
