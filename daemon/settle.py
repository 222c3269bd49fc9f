"""One job in one slot: begin, run, settle in SQL, tell Redis, and take the next in the same trip."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from daemon.beat import lease_margin
from daemon.crew import Running, SlotState
from database.engine import get_database
from database.fenced import FencedWrites
from database.open_jobs import open_job
from database.records import Failure, Holder, JobRecord, NotBegun
from errors import DatabaseUnavailable, QueueUnavailable
from log import drop_tail, keep_tail
from pipeline.catalog.base import find_pipeline
from pipeline.faults import again_or_dead
from pipeline.orchestrator import PipelineOrchestrator
from pipeline.outcome import HandBack, Outcome
from pipeline.settle import FORGOTTEN, Ended, tell_redis, write_outcome
from pipeline.stop import Limit, StopSignal, clock
from redis_client.answers import Busy, Claim, Grant, Nothing, Rewound

if TYPE_CHECKING:
    from worker import Worker

TELL_AGAIN_SECONDS = 1.0
log = structlog.get_logger()


class Desk:
    """Where a slot's thread works its jobs off."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.writes = FencedWrites(
            get_database(), quarantine_crashes=worker.settings.quarantine_crashes, posted=self._posted
        )

    def _posted(self) -> None:
        self._worker.house.hurry()  # it delivers what stands in the outbox

    def run_job(self, state: SlotState, grant: Grant) -> Grant | None:
        """Run one granted job to its end here; the grant of the slot's next job, if any."""
        settings = self._worker.settings
        stop = StopSignal(soft_seconds=settings.task_soft_time_limit, hard_seconds=settings.task_time_limit)
        stop.lease_until = clock() + lease_margin(settings.lease_seconds)
        running = Running(grant, stop, since=clock())
        state.running = running
        structlog.contextvars.bind_contextvars(job_id=grant.job_id)
        keep_tail(grant.job_id)
        try:
            ended = self._work(running)
            if running.given_up:
                return None
            return self._next(state, running, ended)
        finally:
            structlog.contextvars.unbind_contextvars("job_id", "pipeline", "attempt")
            drop_tail(grant.job_id)

    def hand_back(self, reason: str, *, spare: Callable[[Running], bool] = lambda _: False) -> None:
        """Give all jobs back from outside their threads, which did not stop in time; SQL hears of all of them first.

        Those that `spare` names stay.
        """
        left: list[tuple[SlotState, Running, Ended]] = []
        for state in self._worker.crew.slots:
            running = state.running
            if running is None or running.settled or spare(running):
                continue
            running.stop.request("shutdown")
            running.settled = True
            ended = Ended("requeue", message=reason)
            if running.record is not None:
                holder = self._holder(running.grant)
                ended = write_outcome(self.writes, holder, running.record, HandBack(reason), running.stop)
            left.append((state, running, ended))
        for state, running, ended in left:
            self._tell(state, running, ended)

    def give_up(self, running: Running, limit: Limit) -> None:
        """A stage heeded neither of its limits: settle its job as a failed try, from outside its thread."""
        state = next((one for one in self._worker.crew.slots if one.running is running), None)
        job = running.record
        if job is None or state is None or running.settled:
            return
        running.given_up = running.settled = True
        running.stop.request("shutdown")  # nothing may wait here for a database that is away
        attempt = job.attempt + 1
        stage = limit.stage or next((one.stage for one in running.stop.limits() if one.stage), "")
        message = f"stage {stage} ignored its limit of {limit.hard_seconds:g} s"
        failure = Failure(stage, "", attempt, "TimedOut", message)
        outcome = again_or_dead(find_pipeline(job.pipeline).policy, failure)
        self._tell(state, running, write_outcome(self.writes, self._holder(running.grant), job, outcome, running.stop))

    def _tell(self, state: SlotState, running: Running, ended: Ended) -> None:
        try:
            self._move(state, running, ended, "")
        except QueueUnavailable as error:
            log.warning("settle_deferred", job_id=running.grant.job_id, error=str(error))

    def _work(self, running: Running) -> Ended:
        """Begin and run; SQL is settled when this returns."""
        holder = self._holder(running.grant)
        if self._worker.hands_back:
            return Ended("requeue", message="shutdown")
        try:
            begun = self.writes.begin(holder, expired=running.grant.expired, known=running.grant.known)
        except DatabaseUnavailable as error:
            self._rest(str(error), error.retry_after)
            return Ended("requeue", delay_seconds=error.retry_after, message="the database was away")
        if isinstance(begun, NotBegun):
            return self._not_begun(holder.job_id, begun)
        running.record = job = begun.job
        structlog.contextvars.bind_contextvars(pipeline=job.pipeline, attempt=job.attempt)
        log.info("job_processing_started", queue=running.grant.queue, run=job.run, crashes=job.crashes)
        outcome = self._run(job, holder, running)
        if isinstance(outcome, HandBack) and outcome.host_trouble:
            self._rest(outcome.reason, outcome.seconds)
        ended = FORGOTTEN if running.given_up else write_outcome(self.writes, holder, job, outcome, running.stop)
        running.settled = True
        return ended

    def _rest(self, reason: str, seconds: float) -> None:
        """Claim nothing for half of the time that the job stays away: what only it meets must not starve the others."""
        self._worker.health.report(reason, seconds / 2)
        self._worker.house.hurry()

    def _run(self, job: JobRecord, holder: Holder, running: Running) -> Outcome:
        worker = self._worker
        orchestrator = PipelineOrchestrator(job.id, worker.client, worker.client.database, store=worker.store)
        return orchestrator.run(job, holder, stop=running.stop, label=worker.worker_id, queue=running.grant.queue)

    def _not_begun(self, job_id: str, answer: NotBegun) -> Ended:
        match answer.verdict:
            case "waits":
                return Ended("requeue", waits=True, message="waits for its children or a person")
            case "rewound":
                log.warning("redis_rewound", job_id=job_id, fence=answer.floor)
                self._worker.house.doubt_redis()
                return Ended("owner", floor=answer.floor)
            case "stale":
                return Ended("requeue", floor=answer.floor, message="a newer token was seen")
            case "not_due":
                return Ended("requeue", delay_seconds=answer.wait_ms / 1000, message="not due yet")
            case "gone":
                log.warning("job_dropped", reason="no row has this id")
                return Ended("finish", "gone")
            case "quarantined":
                log.error("job_quarantined")
        return Ended("finish", answer.status)

    def _next(self, state: SlotState, running: Running, ended: Ended) -> Grant | None:
        """Tell Redis, until it hears; then the slot is empty or has its next job."""
        worker, claim = self._worker, None
        # Asked again with the same nonce, so that a grant whose reply was lost is found and not left to its lease.
        nonce = worker.crew.nonce() if worker.reserve() else ""
        try:
            claim = self._tell_until_heard(state, running, ended, nonce)
        finally:
            if nonce:
                worker.claimed(granted=isinstance(claim, Grant))
        state.running = None
        return self._granted(claim)

    def _tell_until_heard(self, state: SlotState, running: Running, ended: Ended, nonce: str) -> Claim | None:
        worker = self._worker
        while True:
            try:
                return self._move(state, running, ended, nonce)
            except QueueUnavailable as error:
                worker.health.report(str(error), TELL_AGAIN_SECONDS)
                log.warning("settle_deferred", error=str(error))
            if worker.hands_back:
                # Nobody waits for Redis at the end: the lease runs out, and the next begin sees what SQL says.
                return None
            time.sleep(TELL_AGAIN_SECONDS)

    def _move(self, state: SlotState, running: Running, ended: Ended, nonce: str) -> Claim | None:
        client = self._worker.client
        if ended.move == "owner":
            # Who runs it in truth may be alive: it gets one whole lease to say so.
            job = open_job(client.database, running.grant.job_id)
            if job is not None:
                held = running.grant.token
                client.queue.adopt(job, token=ended.floor, lease_seconds=state.slot.lease_seconds, held=held)
        return tell_redis(client.queue, state.slot, running.grant, ended, nonce=nonce)

    def _granted(self, claim: Claim | None) -> Grant | None:
        match claim:
            case Grant():
                return claim
            case Busy(job_id):
                log.warning("slot_busy", busy_with=job_id)
            case Rewound():
                self._worker.house.doubt_redis()
            case Nothing() | None:
                pass
        return None

    def _holder(self, grant: Grant) -> Holder:
        return Holder(grant.job_id, grant.token, self._worker.worker_id)
