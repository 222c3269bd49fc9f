"""How a running job learns that it must stop, and how its stages learn of their time limits.

One `StopSignal` a job run. The worker's threads set plain attributes; the stage asks with `check()`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from errors import Fenced, Interrupted, TimedOut


def clock() -> float:
    """Seconds that also pass while the machine sleeps; local deadlines are read on it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Limit:
    """The time limits of one running stage, or item of it; deadlines on `clock()`."""

    stage: str
    soft: float
    hard: float
    soft_seconds: float
    hard_seconds: float
    thread: int
    children_killed: bool = False
    item: str = ""

    @property
    def tag(self) -> str:
        """What marks the children of its stage, among those of one job."""
        return f"{self.stage}/{self.item}"

    def passed_soft(self) -> bool:
        """Whether the stage should have stopped by itself."""
        return clock() >= self.soft

    def passed_hard(self) -> bool:
        """Whether its children must be killed."""
        return clock() >= self.hard


class StopSignal:
    """Why a job must stop (None: it need not), whether its lease is alive, and the limits of its stages."""

    def __init__(self, *, soft_seconds: float = float("inf"), hard_seconds: float = float("inf")) -> None:
        self.reason: str | None = None
        self.fenced = False
        self.lease_until = float("inf")
        self.paid_calls = 0  # in flight, and waited for before the job leaves
        self.holds: set[tuple[str, str]] = set()  # (resource, holder) of fleet-wide slots; the beat renews them
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._limits: dict[int, Limit] = {}
        start = clock()
        self.job_limit = Limit("", start + soft_seconds, start + hard_seconds, soft_seconds, hard_seconds, 0)

    def limit_job(self, soft_seconds: float, hard_seconds: float) -> None:
        """The limits of the whole job, from when this signal was made; the hard one never comes first."""
        start = self.job_limit.soft - self.job_limit.soft_seconds
        if self.job_limit.soft == float("inf"):
            start = clock()
        soft_seconds = min(soft_seconds, hard_seconds)
        self.job_limit = Limit("", start + soft_seconds, start + hard_seconds, soft_seconds, hard_seconds, 0)

    def request(self, reason: str) -> None:
        """Ask the job to stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason
        self._wake.set()

    def fence(self) -> None:
        """Somebody newer owns the job."""
        self.fenced = True
        self._wake.set()

    def check(self) -> None:
        """Raise when this thread's stage must stop."""
        if self.fenced:
            raise Fenced
        if self.reason is not None:
            raise Interrupted(self.reason)
        limit = self._limits.get(threading.get_ident())
        for one in (limit, self.job_limit):
            if one is not None and one.passed_soft():
                raise Interrupted("time_limit")

    def wait(self, seconds: float) -> None:
        """Sleep, unless it must stop first."""
        until = clock() + seconds
        self.check()
        while (left := until - clock()) > 0:
            # Short naps: a time limit has no event of its own.
            self._wake.wait(min(left, 0.2))
            self.check()

    def lease_alive(self) -> bool:
        """Whether the last beat that was answered still covers now."""
        return not self.fenced and clock() < self.lease_until

    @contextmanager
    def paid_call(self) -> Iterator[None]:
        """A paid call is in flight: the job is not handed back by force under it."""
        with self._lock:
            self.paid_calls += 1
        try:
            yield
        finally:
            with self._lock:
                self.paid_calls -= 1

    @contextmanager
    def stage(self, name: str, item: str = "", *, soft_seconds: float, hard_seconds: float) -> Iterator[Limit]:
        """Put the calling thread under the limits of a stage, or of an item of it."""
        ident, now = threading.get_ident(), clock()
        limit = Limit(name, now + soft_seconds, now + hard_seconds, soft_seconds, hard_seconds, ident, item=item)
        self._limits[ident] = limit
        try:
            yield limit
        finally:
            self._limits.pop(ident, None)

    def limits(self) -> list[Limit]:
        """The limits in force now, the job's own included."""
        return [*list(self._limits.values()), self.job_limit]

    def timed_out(self, stage: str, soft_seconds: float) -> TimedOut:
        """The error of a stage that was stopped by a limit: its own, or the job's."""
        if self.job_limit.passed_soft():
            return TimedOut(f"the job passed its limit of {self.job_limit.soft_seconds:g} s, in stage {stage}")
        return TimedOut(f"stage {stage} passed its limit of {soft_seconds:g} s")
