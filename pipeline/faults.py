"""An error of a stage becomes an outcome: the one place that says what the worker does next."""

from __future__ import annotations

import errno
import traceback

import structlog

from database.records import Failure
from errors import AwaitChildren, Fenced, HostTrouble, Interrupted, NeedsPerson, NotNow, Permanent
from log import redact
from pipeline.catalog.base import Policy
from pipeline.outcome import Cancelled, Dead, HandBack, Hold, Lost, Outcome, RetryIn, Wait
from pipeline.retry import delay_seconds
from pipeline.run import Run
from settings import get_settings

HOST_TROUBLE_SECONDS = 5.0
# The disk, the memory and the file table are the host's, not the job's.
HOST_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
)
log = structlog.get_logger()


def judge(run: Run, step: str, item: str, attempt: int, soft_seconds: float, error: BaseException) -> Outcome:
    """What an error of one try means: stop, hand back, try again, or give up."""
    stop = run.stop
    if isinstance(error, Fenced) or stop.fenced:
        return Lost()
    match error:
        case Interrupted(reason="time_limit"):
            return failed(run, step, item, attempt, stop.timed_out(step, soft_seconds))
        case Interrupted():
            return _stopped(error)
        case _ if stop.reason in {"shutdown", "cancelled"}:
            return _stopped(Interrupted(stop.reason))  # its child was killed because we stop
        case AwaitChildren():
            return Wait()
    return _nobodys_failure(step, error) or failed(run, step, item, attempt, error)


def _nobodys_failure(step: str, error: BaseException) -> Outcome | None:
    """What costs no attempt: trouble of the host, a vendor that is down, a decision that only a person can make."""
    match error:
        case NotNow():
            return HandBack(plain(str(error)), error.retry_after)
        case NeedsPerson():
            return Hold(plain(str(error)))
        case HostTrouble():
            log.warning("host_trouble", error=str(error))
            return HandBack(plain(str(error)), error.retry_after, host_trouble=True)
        case OSError() | MemoryError() if _is_the_hosts(error):
            reason = f"stage {step}: {getattr(error, 'strerror', None) or 'out of memory'}"
            return HandBack(reason, HOST_TROUBLE_SECONDS, host_trouble=True)
    return None


def failed(run: Run, step: str, item: str, attempt: int, error: BaseException) -> Outcome:
    """A failed try: again later, or for the last time."""
    failure = failure_of(step, item, attempt + 1, error)
    if isinstance(error, Permanent):
        return Dead(failure)
    return again_or_dead(run.pipeline.policy, failure, error)


def again_or_dead(policy: Policy, failure: Failure, error: BaseException | None = None) -> Outcome:
    """Another try as the pipeline's policy has it, if one is left."""
    settings = get_settings()
    allowed = settings.max_retries if policy.max_retries is None else policy.max_retries
    if failure.attempt > allowed:
        return Dead(failure)
    seconds = delay_seconds(failure.attempt, settings.retry_base_seconds, error, policy.retry_seconds)
    return RetryIn(seconds, failure)


def failure_of(stage: str, item: str, attempt: int, error: BaseException) -> Failure:
    """What SQL keeps of an error: its class, one sentence, and the traceback for --debug."""
    message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    detail = "".join(traceback.format_exception(error))
    return Failure(stage, item, attempt, type(error).__name__, plain(message)[:1000], plain(detail)[-8000:])


def _stopped(stop: Interrupted) -> Outcome:
    return Cancelled() if stop.reason == "cancelled" else HandBack(stop.reason)


def _is_the_hosts(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in HOST_ERRNOS


def plain(text: str) -> str:
    """What every database stores: no secret, no NUL, no half of a character (as in names of files)."""
    return redact(text).replace("\0", "").encode(errors="backslashreplace").decode()
