"""The values that a worker's writes take and give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from artifacts import Artifact


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a job: its id, the token of the claim, the worker's id."""

    job_id: str
    token: int
    owner: str


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as `begin` found it."""

    id: str
    pipeline: str
    queue: str
    tenant: str
    payload: dict[str, Any]
    options: dict[str, Any]
    providers: dict[str, Any] | None
    run: int
    attempt: int
    crashes: int
    begins: int
    progress: float
    priority: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One finished stage, or item of it, ready to be committed."""

    stage: str
    item: str
    result: Any
    version: str
    provider: str | None = None
    cache_key: str | None = None
    reused_from: str | None = None
    cost_usd: float = 0.0
    progress: float = 0.0
    seconds: float = 0.0
    artifacts: Sequence[Artifact] = ()
    commit: Callable[[Connection], None] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed try: where, what class, one sentence, the traceback for --debug, and the tries so far."""

    stage: str
    item: str
    attempt: int
    error_class: str
    message: str
    detail: str = ""
    log_tail: str = ""


def failure_parameters(failure: Failure, status: str) -> dict[str, Any]:
    """The parameters of FAIL and RETRY; each takes those it names."""
    return {
        "b_status": status,
        "b_stage": failure.stage or None,
        "b_attempt": failure.attempt,
        "b_error_class": failure.error_class,
        "b_error": failure.message,
        "b_detail": failure.detail,
        "b_log_tail": failure.log_tail,
        "b_progress": 0.0,
        "b_result": None,
    }


@dataclass(frozen=True, slots=True)
class Begun:
    """`begin` took the job."""

    job: JobRecord


@dataclass(frozen=True, slots=True)
class NotBegun:
    """`begin` did not take the job.

    `verdict`: "gone" (no row), "ended" (terminal: forget it), "cancelled", "quarantined",
    "not_due" (back, for `wait_ms`), "waits" (back, for its children or a person), "stale" (back, with `floor`),
    "rewound" (Redis has forgotten who runs it: its fence is `floor`).
    """

    verdict: str
    status: str = ""
    wait_ms: int = 0
    floor: int = 0
