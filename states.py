"""The states of a job and of a stage, the same words in SQL, the API and the command line."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    WAITING = "waiting"  # on a time, a child, a limit or a person
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"


OPEN = frozenset({JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.WAITING})
ENDED = frozenset(JobStatus) - OPEN
DEAD = frozenset({JobStatus.FAILED, JobStatus.QUARANTINED})


# Events of a job that others can be told of (webhooks); what is not named otherwise: its ends, and when a person is needed.
TELLABLE = (
    *("processing", "stage_completed", "retry_scheduled", "needs_a_person", "child_needs_a_person"),
    *("completed", "failed", "cancelled", "quarantined"),
)
TOLD_UNASKED = TELLABLE[3:]


class StageStatus(StrEnum):
    """Where one stage, or one item of a stage, stands."""

    COMPLETED = "completed"
    FAILED = "failed"  # its last try failed; it may be tried again


class Priority(StrEnum):
    """How early a job is taken: a head start in time, so that nothing starves."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
