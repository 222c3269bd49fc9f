"""The unfinished stages of one job -> Outcome; never raises for a stage's fault.

`PipelineOrchestrator(job_id, redis_client, db_session).execute_pipeline(job_data)` is the documented door: eager
mode, here and now, no worker needed. A worker calls `run` under its claim.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import structlog
from sqlalchemy.orm import Session

import process
from artifacts import LocalStore, open_store
from database.engine import Database
from database.fenced import FencedWrites
from database.jobs import find_job, insert_jobs, same_job
from database.meta import bind_store
from database.open_jobs import open_job
from database.records import Begun, Holder, JobRecord, NotBegun
from errors import HostTrouble, InvalidInput, QueueUnavailable, StagecrewError
from log import redact
from pipeline.family import Family
from pipeline.outcome import HandBack, Outcome
from pipeline.runner import Runner
from pipeline.settle import tell_redis, write_outcome
from pipeline.stop import StopSignal, clock
from redis_client.answers import Grant, Slot
from redis_client.client import RedisClient
from settings import get_settings
from states import ENDED

PAID_PAUSE_SECONDS = 0.1
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

        family = Family(self.client, self.database, holder, job)
        runner = Runner(self.writes, self.store)
        return runner.run(job, holder, stop=stop, publish=publish, family=family, queue=queue)

    def execute_pipeline(self, job_data: dict[str, Any], *, pipeline: str = "product_video") -> dict[str, Any]:
        """Run a job here and now; its status at the end (see `RedisClient.get_job_status`).

        Stored like any other job and leased in Redis while it runs, so that a worker takes it over when this
        process dies. Errors: InvalidInput at the door; TryAgain when it did not end here.
        """
        new = self.client.prepare(self.job_id, job_data, pipeline=pipeline)
        bind_store(self.database, self.store.identity())
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
        begun = self.writes.begin(holder, expired=int(row["fence"]) if row["in_flight"] else 0, known=int(row["fence"]))
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
        interrupt: KeyboardInterrupt | None = None
        with structlog.contextvars.bound_contextvars(job_id=holder.job_id):
            with self._leased(holder, slot, stop):
                try:
                    outcome = self.run(begun.job, holder, stop=stop, label=slot.label)
                except KeyboardInterrupt as error:
                    stop.request("shutdown")
                    outcome, interrupt = HandBack("interrupted"), error
                    _let_paid_calls_end(stop)
            # After the last beat: an adoption that came later would leave a lease on an ended job.
            self._settle(begun, holder, slot, grant, outcome, stop)
        if interrupt is not None:
            raise interrupt

    def _settle(
        self, begun: Begun, holder: Holder, slot: Slot, grant: Grant, outcome: Outcome, stop: StopSignal
    ) -> None:
        ended = write_outcome(self.writes, holder, begun.job, outcome, stop)
        try:
            tell_redis(self.client.queue, slot, grant, ended)
        except QueueUnavailable as error:
            log.warning("settle_deferred", error=str(error))

    @contextmanager
    def _leased(self, holder: Holder, slot: Slot, stop: StopSignal) -> Iterator[None]:
        """Hold the job in Redis like a worker does: without it a reconciler would give it to somebody else."""
        over = threading.Event()
        thread = threading.Thread(
            target=self._keep_lease, args=(holder, slot, stop, over), name="eager-beat", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=self.settings.beat_seconds)
            with suppress(HostTrouble):
                self.client.queue.forget_worker(slot.worker)

    def _keep_lease(self, holder: Holder, slot: Slot, stop: StopSignal, over: threading.Event) -> None:
        """Adopt once, then beat; hear of a cancel within a second, and hold the stages to their hard limits."""
        is_adopted, beaten_at = False, float("-inf")
        while not over.is_set():
            try:
                if not is_adopted:
                    job = open_job(self.database, holder.job_id)
                    if job is None:
                        return
                    is_adopted = self.client.queue.adopt(
                        job, token=holder.token, lease_seconds=slot.lease_seconds, slot=slot
                    )
                if clock() - beaten_at >= min(1.0, self.settings.beat_seconds):
                    beaten_at = clock()
                    is_adopted = self._beat(holder, slot, stop)
            except HostTrouble as error:
                log.warning("beat_failed", error=str(error))
            for limit in stop.limits():
                if limit.passed_hard():
                    process.kill_children("time_limit")
            over.wait(0.2)

    def _beat(self, holder: Holder, slot: Slot, stop: StopSignal) -> bool:
        record = {"worker_id": slot.label, "uuid": slot.worker, "pid": os.getpid(), "jobs": [holder.job_id]}
        word = self.client.queue.beat(
            self.client.get_client(),
            worker=slot.worker,
            lease_seconds=slot.lease_seconds,
            record=record,
            jobs=[(holder.job_id, holder.token)],
        )[0]
        if word == "cancel":
            stop.request("cancelled")
        if word == "lost" and not self.writes.still_mine(holder):
            stop.fence()
        return word != "lost"


def _let_paid_calls_end(stop: StopSignal) -> None:
    """Answers that are paid for are waited for, in whatever thread; a second interrupt leaves without them."""
    with suppress(KeyboardInterrupt):
        while stop.paid_calls and stop.lease_alive():
            time.sleep(PAID_PAUSE_SECONDS)
