"""An outcome becomes writes: SQL first, then Redis, which also grants the next job."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, assert_never

import structlog

from database.fenced import FencedWrites
from database.records import Failure, Holder, JobRecord
from errors import DatabaseUnavailable, Fenced, HostTrouble
from log import tail_of
from pipeline.outcome import Cancelled, Dead, Done, HandBack, HandOver, Hold, Lost, Outcome, RetryIn, Wait
from pipeline.runner import patiently
from pipeline.stop import StopSignal
from redis_client.answers import Claim, Grant, Slot
from redis_client.queue import Queue
from states import JobStatus

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ended:
    """What Redis must be told of a job that SQL has settled, and its facts.

    `move`: finish, requeue, "owner" (it runs elsewhere under the fence `floor`, which Redis has forgotten), or none.
    """

    move: str
    status: str = ""
    stage: str = ""
    progress: float = 0.0
    queue: str | None = None
    delay_seconds: float = 0.0
    waits: bool = False
    floor: int = 0
    message: str = ""


FORGOTTEN = Ended("none")


def write_outcome(writes: FencedWrites, holder: Holder, job: JobRecord, outcome: Outcome, stop: StopSignal) -> Ended:
    """Write an outcome to SQL under the fence; what Redis must be told. A lost fence writes nothing."""
    try:
        return _write(writes, holder, job, outcome, stop)
    except Fenced:
        log.warning("stale_write_refused", token=holder.token)
        return FORGOTTEN
    except DatabaseUnavailable as error:
        # Redis gives it to somebody who may reach the database; SQL still says in flight, under our fence,
        # and the next begin takes it over without counting a crash.
        log.warning("settle_deferred", error=str(error))
        return Ended("requeue", delay_seconds=error.retry_after, message="the database was away")


def _write(writes: FencedWrites, holder: Holder, job: JobRecord, outcome: Outcome, stop: StopSignal) -> Ended:
    match outcome:
        case Done(result, last, fault):
            try:
                patiently(lambda: writes.complete(holder, job, last, result), stop)
            except Exception as error:
                if fault is None or isinstance(error, HostTrouble):
                    raise
                return _write(writes, holder, job, fault(error), stop)
            if last:
                log.info("stage_completed", stage=last.stage, item=last.item, seconds=round(last.seconds, 3))
            log.info("job_completed")
            return Ended("finish", JobStatus.COMPLETED, last.stage if last else "", 100.0)
        case Dead(failure):
            failure = replace(failure, log_tail=tail_of(job.id))
            patiently(lambda: writes.fail(holder, job, failure), stop)
            log.error("job_failed", **_told(failure))
            return Ended("finish", JobStatus.FAILED, failure.stage, message=f"{failure.error_class}: {failure.message}")
        case Cancelled():
            patiently(lambda: writes.cancelled(holder), stop)
            log.info("job_cancelled")
            return Ended("finish", JobStatus.CANCELLED)
        case Lost():
            log.warning("job_lost", token=holder.token)
            return FORGOTTEN
        case RetryIn() | HandBack() | HandOver() | Wait() | Hold():
            return _give_back(writes, holder, job, outcome, stop)
        case _:
            assert_never(outcome)


def _give_back(
    writes: FencedWrites,
    holder: Holder,
    job: JobRecord,
    outcome: RetryIn | HandBack | HandOver | Wait | Hold,
    stop: StopSignal,
) -> Ended:
    match outcome:
        case RetryIn(seconds, failure):
            failure = replace(failure, log_tail=tail_of(job.id))
            patiently(lambda: writes.retry_later(holder, job, failure, delay_seconds=seconds), stop)
            log.warning("job_retry_scheduled", seconds=seconds, **_told(failure))
            return Ended("requeue", delay_seconds=seconds, message=f"{failure.error_class}: {failure.message}")
        case HandBack(reason, seconds, _):
            writes.release(holder, job, reason=reason, delay_seconds=seconds)
            log.info("job_requeued", reason=reason, seconds=seconds, token=holder.token)
            return Ended("requeue", delay_seconds=seconds, message=reason)
        case HandOver(queue):
            patiently(lambda: writes.release(holder, job, reason="handed over", queue=queue), stop)
            log.info("job_requeued", reason="handed over", queue=queue)
            return Ended("requeue", queue=queue)
        case Wait():
            waits = writes.wait_for_children(holder, job)
            log.info("job_requeued", reason="waits for its children")
            return Ended("requeue", waits=waits, message="waits for its children")
        case Hold(reason):
            patiently(lambda: writes.hold(holder, job, reason=reason), stop)
            log.warning("job_requeued", reason=reason)
            return Ended("requeue", waits=True, message=reason)
        case _:
            assert_never(outcome)


def _told(failure: Failure) -> dict[str, Any]:
    return {
        "error_class": failure.error_class,
        "error": failure.message,
        "stage": failure.stage,
        "attempt": failure.attempt,
    }


def tell_redis(queue: Queue, slot: Slot, grant: Grant, ended: Ended, *, nonce: str = "") -> Claim | None:
    """Move the job in Redis as SQL has it; with a nonce also claim the slot's next job in the same trip."""
    match ended.move:
        case "finish":
            return queue.finish(
                slot,
                grant,
                status=ended.status,
                stage=ended.stage,
                progress=ended.progress,
                message=ended.message,
                nonce=nonce,
            )
        case "requeue":
            return queue.requeue(
                slot,
                grant,
                queue=ended.queue,
                delay_seconds=ended.delay_seconds,
                waits=ended.waits,
                floor=ended.floor,
                message=ended.message,
                nonce=nonce,
            )
        case _:
            return queue.claim(slot, nonce=nonce) if nonce else None
