"""The unfinished stages of one job -> Outcome; never raises for a stage's fault.

`PipelineOrchestrator(job_id, redis_client, db_session).execute_pipeline(job_data)` is the documented door: eager
mode, here and now, no worker needed. A worker calls `run` under its claim.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import structlog
from sqlalchemy.orm import Session

from artifacts import LocalStore, open_store
from database.engine import Database
from database.fenced import FencedWrites
from database.jobs import find_job, insert_jobs, open_job, same_job
from database.records import Begun, Holder, JobRecord, NotBegun
from errors import InvalidInput, QueueUnavailable, StagecrewError
from log import redact
from pipeline.outcome import HandBack, Outcome
from pipeline.runner import Runner
from pipeline.settle import tell_redis, write_outcome
from pipeline.stop import StopSignal
from redis_client.client import RedisClient
from redis_client.queue import Grant, Slot
from settings import get_settings
from states import ENDED

log = structlog.get_logger()


class TryAgain(StagecrewError):
    """An eager run ended before the job did: it waits for a retry, or stands with somebody else."""


class PipelineOrchestrator:
    """Runs the stages of one job. `db_session` is a Database, or a Session of the database that settings name."""

    def __init__(
        self,
        job_id: str,
        redis_client: RedisClient,
        db_session: Session | Database | None = None,
        *,
        store: LocalStore | None = None,
    ) -> None:
        self.job_id = job_id
        self.client = redis_client
        if isinstance(db_session, Session) and db_session.get_bind() is not redis_client.database.engine:
            raise InvalidInput("db_session belongs to another database than the queue's: use database.get_database()")
        self.database = db_session if isinstance(db_session, Database) else redis_client.database
        self.settings = get_settings()
        self.writes = FencedWrites(self.database, quarantine_crashes=self.settings.quarantine_crashes)
        self.store = store or open_store()

    def run(self, job: JobRecord, holder: Holder, *, stop: StopSignal, label: str, queue: str | None = None) -> Outcome:
        """Run what is missing of this job under a claim; `queue` is where it was claimed (None: any stage may run)."""
        numbers = count(1)

        def publish(progress: float, stage: str, active: Sequence[str], message: str) -> None:
            try:
                self.client.queue.progress(
                    job.id,
                    holder.token,
                    next(numbers),
                    progress=progress,
                    stage=stage,
                    active=active,
                    label=label,
                    message=redact(message) if message else "",
                )
            except QueueUnavailable as error:
                log.debug("progress_not_told", error=str(error))  # a hint: the next one says the same and more

        return Runner(self.writes, self.store).run(job, holder, stop=stop, publish=publish, queue=queue)

    def execute_pipeline(self, job_data: dict[str, Any], *, pipeline: str = "product_video") -> dict[str, Any]:
        """Run a job here and now; its status at the end (see `RedisClient.get_job_status`).

        Stored like any other job and leased in Redis while it runs, so that a worker takes it over when this
        process dies. Errors: InvalidInput at the door; TryAgain when it did not end here.
        """
        new = self.client.prepare(self.job_id, job_data, pipeline=pipeline)
        if not insert_jobs(self.database, [new]) and not same_job(self.database, new):
            raise InvalidInput(f"id={self.job_id!r} is taken by a job with another payload; choose another id")
        row = find_job(self.database, self.job_id)
        if row["status"] in ENDED:
            return self.client.get_job_status(self.job_id)
        if row["in_flight"] and self._somebody_runs_it():
            raise TryAgain(f"job {self.job_id} is run by {row['owner']} now")
        label = f"eager-{socket.gethostname()[:40]}-{os.getpid()}"
        slot = Slot(secrets.token_hex(16), label, "0.0", (), self.settings.lease_seconds)
        token = max(int(row["fence"]) + 1, self.database.clock_us())
        holder, grant = Holder(self.job_id, token, label), Grant(self.job_id, token, 0, new.queue)
        # In flight without a lease: its last runner died, and that is counted like any crash.
        begun = self.writes.begin(holder, expired=int(row["fence"]) if row["in_flight"] else 0)
        if isinstance(begun, NotBegun):
            raise TryAgain(f"job {self.job_id} cannot start now: {begun.verdict}")
        self._run_leased(begun, holder, slot, grant)
        status = self.client.get_job_status(self.job_id)
        if status["status"] not in ENDED:
            raise TryAgain(f"job {self.job_id} is {status['status']}: {status['error'] or status['waiting_for'] or ''}")
        return status

    def _somebody_runs_it(self) -> bool:
        try:
            return self.client.queue.lease_alive(self.job_id)
        except QueueUnavailable:
            return True  # nobody can be asked

    def _run_leased(self, begun: Begun, holder: Holder, slot: Slot, grant: Grant) -> None:
        stop = StopSignal(soft_seconds=self.settings.task_soft_time_limit, hard_seconds=self.settings.task_time_limit)
        with self._leased(holder, slot), structlog.contextvars.bound_contextvars(job_id=holder.job_id):
            try:
                outcome = self.run(begun.job, holder, stop=stop, label=slot.label)
            except KeyboardInterrupt:
                stop.request("shutdown")
                self._settle(begun, holder, slot, grant, HandBack("interrupted"), stop)
                raise
            self._settle(begun, holder, slot, grant, outcome, stop)

    def _settle(
        self, begun: Begun, holder: Holder, slot: Slot, grant: Grant, outcome: Outcome, stop: StopSignal
    ) -> None:
        ended = write_outcome(self.writes, holder, begun.job, outcome, stop)
        try:
            tell_redis(self.client.queue, slot, grant, ended)
        except QueueUnavailable as error:
            log.warning("settle_deferred", error=str(error))

    @contextmanager
    def _leased(self, holder: Holder, slot: Slot) -> Iterator[None]:
        """Hold the job in Redis like a worker does: without it a reconciler would give it to somebody else."""
        over = threading.Event()
        job = open_job(self.database, holder.job_id)

        def keep() -> None:
            while job is not None and not over.is_set():
                try:
                    self.client.queue.adopt(job, token=holder.token, lease_seconds=slot.lease_seconds, slot=slot)
                except QueueUnavailable as error:
                    log.warning("beat_failed", error=str(error))
                over.wait(self.settings.beat_seconds)

        thread = threading.Thread(target=keep, name="eager-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=self.settings.beat_seconds)
