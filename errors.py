"""The errors of Stagecrew: each class says what the worker does next, not who raised it."""

from __future__ import annotations


class StagecrewError(Exception):
    """The root; never raised itself."""


class Transient(StagecrewError):
    """Try again later; `retry_after` in seconds, when given, wins over the retry table."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Transient):
    """The other side asked us to slow down."""


class Unreachable(Transient):
    """No connection, or it broke."""


class Overloaded(Transient):
    """The other side answered that it is too busy (5xx)."""


class BadReply(Transient):
    """The other side answered something that is not an answer."""


class Unanswered(Unreachable):
    """The other side may have taken the call, and charge for it; its answer never came."""


class TimedOut(Transient):
    """A stage passed its soft or hard time limit."""


class Permanent(StagecrewError):
    """Trying again cannot help."""


class InvalidInput(Permanent):
    """A field is missing or wrong; the message names the field, the value and what would be right."""


class Taken(InvalidInput):
    """The id belongs to another job already."""


class Refused(Permanent):
    """A provider, or a rule of ours, will not do this work."""


class Unsupported(Permanent):
    """A format, language or option that this program cannot handle."""


class TooLarge(Permanent):
    """A file or text over its cap."""


class BudgetSpent(Permanent):
    """The most this call could cost does not fit the budget."""


class ChildFailed(Permanent):
    """A job that this one has started failed, and it was said that this one then fails too."""


class JobFailed(StagecrewError):
    """Raised to a caller who waits for a result that will never come; carries the job's status."""

    def __init__(self, job_id: str, status: str, message: str) -> None:
        super().__init__(f"job {job_id} is {status}: {message}")
        self.job_id = job_id
        self.status = status


class Unknown(StagecrewError):
    """Nothing that whoever asks may see has this id."""


class UnknownJob(Unknown):
    """No job has this id."""


class HostTrouble(StagecrewError):
    """Nobody's failure: Redis, the database, disk, memory or a missing engine. Burns no attempt."""

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotNow(StagecrewError):
    """Nobody's failure and not the host's either (a vendor is down, a limit is full): back after a while, burns nothing."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NeedsPerson(StagecrewError):
    """Only a person can decide (a call in doubt, a budget that is spent): the job waits in no index until then."""


class QueueUnavailable(HostTrouble):
    """Redis does not answer, or answers that it cannot serve now."""


class DatabaseUnavailable(HostTrouble):
    """The database does not answer, or is locked."""


class Interrupted(BaseException):
    """The worker is stopping, or the job was cancelled or ran out of time: leave at once.

    A BaseException, so that no `except Exception` of a stage swallows it. `reason` is
    "shutdown", "cancelled", "time_limit" or "sibling" (another branch ended the run).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AwaitChildren(BaseException):
    """The stage has started other jobs and goes on when they have ended."""


class Fenced(BaseException):
    """Somebody newer owns this job: stop, and write nothing."""
