"""Who asks the queue for work, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Slot:
    """Who claims: the worker's uuid and its id for people, the slot's name, the queues it serves."""

    worker: str
    label: str
    name: str
    queues: tuple[str, ...]
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to run a job: `token` is its fence, `expired` the token whose lease ran out (0: none).

    `known` is the newest token that Redis had heard of before: a higher fence in SQL means that Redis was rewound.
    """

    job_id: str
    token: int
    expired: int
    queue: str
    known: int = 0


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to take; `wait_seconds` until the next delayed job (None: none), `again` when more must be examined."""

    wait_seconds: float | None
    again: bool
    paused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Busy:
    """The slot still holds this job in Redis."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Rewound:
    """Redis was flushed: nothing is granted until a reconciler has put back what SQL holds."""


Claim = Grant | Nothing | Busy | Rewound


@dataclass(frozen=True, slots=True)
class Standing:
    """Where Redis thinks a job is; `state` is "" for an unknown one.

    `left_seconds`: until its lease runs out, or it is due; `ahead`: how many jobs of its queue have a better score.
    """

    state: str
    token: int
    queue: str
    parked: str
    worker: str
    left_seconds: float
    ahead: int


def read_grant(answer: Sequence[Any]) -> Claim:
    """What lua/grant.lua answers."""
    match answer[0]:
        case "granted":
            return Grant(str(answer[1]), int(answer[2]), int(answer[3]), str(answer[4]), int(answer[5]))
        case "busy":
            return Busy(str(answer[1]))
        case "rewound":
            return Rewound()
        case _:
            wait = int(answer[1])
            paused = tuple(part for part in str(answer[3]).split(",") if part)
            return Nothing(None if wait < 0 else wait / 1000, str(answer[2]) == "1", paused)
