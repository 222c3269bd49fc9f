"""Redis is rebuilt from SQL: open rows that it does not know, or holds in the wrong place, are put back."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from database.engine import Database
from database.meta import canary, database_id, raise_canary
from database.open_jobs import OpenJob, cancels_in_flight, known_open_jobs, mark_reconciled, open_job
from errors import QueueUnavailable
from redis_client.connection import RedisError, queue_errors
from redis_client.controls import copy_controls
from redis_client.queue import Queue

ROWS_PER_SECOND = 2000
LOCK_SECONDS, RENEW_SECONDS = 2.0, 0.5  # a dead reconciler holds the others up for no longer
LOCK_MS = int(LOCK_SECONDS * 1000)
log = structlog.get_logger()


class _Lock:
    """One reconciler at a time over the fleet; renewed page by page."""

    def __init__(self, queue: Queue, owner: str) -> None:
        self._queue, self._key = queue, queue.key("reconciler")
        self.me = f"{owner}/{secrets.token_hex(8)}@{queue.run_id()}"
        self._renewed = time.monotonic()

    def take(self) -> bool:
        """False when somebody else is at it."""
        with queue_errors():
            client = self._queue.connections.commands()
            if not client.set(self._key, self.me, nx=True, px=LOCK_MS):
                return False
            # Goes with a flush: what was put back before that is gone too.
            client.hset(self._queue.key("swept"), "healing", self.me)
            return True

    def renew_if_due(self) -> bool:
        """Renew it every half second."""
        return time.monotonic() - self._renewed < RENEW_SECONDS or self.renew()

    def renew(self) -> bool:
        """False when it took too long and somebody else has begun."""
        self._renewed = time.monotonic()
        with queue_errors():
            client = self._queue.connections.commands()
            if client.set(self._key, self.me, nx=True, px=LOCK_MS):
                return True
            if client.get(self._key) != self.me:
                return False
            client.pexpire(self._key, LOCK_MS)
            return True

    def give_back(self) -> None:
        with queue_errors():
            client = self._queue.connections.commands()
            if client.get(self._key) == self.me:
                client.delete(self._key)


class _Way:
    """How far Redis was compared with SQL under one start of the server and one number of the canary."""

    def __init__(self, queue: Queue, healer: str, number: int, run_id: str) -> None:
        self._queue, self._healer, self._run_id = queue, healer, run_id
        self._mark = f"{number} {run_id}"

    def begun(self) -> str:
        """The id of the last job that was compared, or "" to begin at the first."""
        with queue_errors():
            noted: Any = self._queue.connections.commands().hget(self._queue.key("swept"), "compared")
        mark, _, after = str(noted or "").rpartition(" ")
        return after if self._run_id and mark == self._mark else ""

    def note(self, after: str) -> bool:
        """False when Redis was flushed meanwhile, or somebody else has begun."""
        return bool(self._queue.run("compared", healer=self._healer, mark=self._mark, after=after) == "noted")


def start_of(healer: str) -> str:
    """Under which start of which server somebody has put Redis right ("" where nobody may ask for it)."""
    return healer.rpartition("@")[2]


def reconcile(
    queue: Queue,
    database: Database,
    *,
    lease_seconds: float,
    untouched_seconds: float = 60.0,
    owner: str = "",
    stopping: Callable[[], bool] = lambda: False,
) -> Counter[str] | None:
    """Compare every open row that was untouched for a while with Redis and repair it; what was done, by kind.

    None when somebody else is at it, or it was cut short. Page by page; a bad row is logged and does not stop the
    others. With `untouched_seconds` 0 every open row is compared, and Redis counts as whole again at the end; one that
    died on its way has left a note how far it came, and the next one goes on from there.
    """
    lock = _Lock(queue, owner)
    if not lock.take():
        return None
    done: Counter[str] = Counter()
    try:
        number, run_id = canary(database), queue.run_id()
        queue.bind(database_id(database))
        copy_controls(queue, database, anew=True)
        whole = untouched_seconds == 0
        way = _Way(queue, lock.me, number, run_id) if whole else None
        for page in _pages(database, untouched_seconds, after=way.begun() if way else ""):
            for job in page:
                if stopping() or not lock.renew_if_due():
                    return None
                done[_repair_or_log(queue, database, job, lease_seconds)] += 1
            mark_reconciled(database, [job.id for job in page])
            if way and not way.note(page[-1].id):
                return None
        for job_id in cancels_in_flight(database):
            # Redis may have been away when somebody asked, or have forgotten it; asking twice changes nothing.
            queue.cancel(job_id, in_flight=True)
        if not lock.renew():
            return None
        if whole:
            # Started anew meanwhile: what was compared before may be gone again.
            if queue.run_id() != run_id or not queue.look_at_canary(number, healer=lock.me)[0]:
                return None
            raise_canary(database, number)
    finally:
        lock.give_back()
    repaired = {kind: count for kind, count in done.items() if kind != "fine"}
    if repaired:
        log.warning("reconciled", **repaired)
    return done


def repair_job(queue: Queue, database: Database, job_id: str, *, lease_seconds: float) -> str:
    """Compare one job with Redis and repair it; what was done ("gone" when it is not open)."""
    job = open_job(database, job_id)
    return _repair(queue, database, job, lease_seconds) if job else "gone"


def _pages(database: Database, untouched_seconds: float, *, after: str) -> Iterator[list[OpenJob]]:
    while page := known_open_jobs(database, untouched_seconds=untouched_seconds, after=after):
        started = time.monotonic()
        yield page
        after = page[-1].id
        time.sleep(max(0.0, len(page) / ROWS_PER_SECOND - (time.monotonic() - started)))  # leave others some of both


def _repair_or_log(queue: Queue, database: Database, job: OpenJob, lease_seconds: float) -> str:
    try:
        return _repair(queue, database, job, lease_seconds)
    except QueueUnavailable:
        raise
    except (RedisError, LookupError, ValueError):
        log.exception("reconcile_failed", job_id=job.id)
        return "bad"


def _repair(queue: Queue, database: Database, job: OpenJob, lease_seconds: float) -> str:
    answer = queue.reconcile(job, lease_seconds=lease_seconds)
    if answer not in {"ended", "unsure"}:
        return answer
    again = open_job(database, job.id)  # it may have ended in SQL, or wait there, since the page was read
    return "fine" if again is None else queue.reconcile(again, lease_seconds=lease_seconds, sure=True)
