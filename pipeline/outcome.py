"""What running a job comes to: values, which only the worker turns into writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from database.records import Checkpoint, Failure


@dataclass(frozen=True, slots=True)
class Done:
    """Every stage is done. `last` is the checkpoint of the last one, still to be committed with the end.

    `fault` says what the run comes to when that commit breaks by the stage's own doing.
    """

    result: Any
    last: Checkpoint | None = None
    fault: Callable[[Exception], Outcome] | None = None


@dataclass(frozen=True, slots=True)
class RetryIn:
    """A stage failed and may be tried again."""

    seconds: float
    failure: Failure


@dataclass(frozen=True, slots=True)
class Dead:
    """Trying again cannot help, or was tried often enough."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody cancelled the job."""


@dataclass(frozen=True, slots=True)
class HandBack:
    """Nobody's failure: back to the front of the queue, after `seconds`; burns nothing."""

    reason: str
    seconds: float = 0.0
    host_trouble: bool = False


@dataclass(frozen=True, slots=True)
class HandOver:
    """The next stage belongs to another queue."""

    queue: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Its children must end first: it waits without a slot, in no index."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A person must decide first: it waits in no index until somebody frees it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Somebody newer owns the job: write nothing."""


Outcome = Done | RetryIn | Dead | Cancelled | HandBack | HandOver | Wait | Hold | Lost
# When several branches end a run, the gravest decides.
GRAVITY: tuple[type, ...] = (Lost, Cancelled, Dead, Hold, HandBack, RetryIn, HandOver, Wait, Done)


def gravest(outcomes: list[Outcome]) -> Outcome:
    """The outcome that decides a run whose branches ended differently; of failures, the one tried most often."""
    return min(outcomes, key=lambda one: (GRAVITY.index(type(one)), -_tries(one)))


def _tries(outcome: Outcome) -> int:
    return outcome.failure.attempt if isinstance(outcome, RetryIn) else 0
