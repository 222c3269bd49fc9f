"""What a paid call passes on its way out: the vendor's circuit breaker, its rate, its slots; all shared by the fleet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import structlog

from errors import NotNow, Overloaded, QueueUnavailable, RateLimited, Unreachable
from pipeline.providers.paid import Gate, Pause
from pipeline.stop import StopSignal, clock
from redis_client import gates
from redis_client.queue import Queue

# A longer wait gives the slot of the worker back, and burns nothing.
LONGEST_WAIT_SECONDS = 5.0
SLOT_AGAIN_SECONDS = 15.0
SLICE_SECONDS = 1.0
LONGEST_COOL_SECONDS = 300.0  # results wait for an hour at most, and fetching them goes through the same gate
Move = Literal["look", "ok", "fail", "cool"]
log = structlog.get_logger()
_passed: dict[str, int | None] = {}


def passed_gates() -> dict[str, int | None]:
    """The gates that calls of this process have come to: name -> slots of the fleet (None: no limit)."""
    return dict(_passed)


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates of one worker's calls for one job."""

    queue: Queue
    stop: StopSignal
    lease_seconds: float

    @contextmanager
    def pass_through(self, gate: Gate | None, holder: str) -> Iterator[None]:
        """Hold what a call needs while it is made; NotNow when that is not to be had within some seconds."""
        if gate is None:
            yield
            return
        self.ask(gate, holder)
        with self._slot(gate, holder):
            self._take_turn(gate)
            yield

    def ask(self, gate: Gate | None, holder: str) -> None:
        """NotNow while the vendor's breaker is open."""
        if gate is None:
            return
        _passed[gate.name] = gate.slots
        wait = gates.breaker(self.queue, gate.name, holder, "ask")
        if wait > 0:
            raise NotNow(f"{gate.name} is out of order", retry_after=wait)

    def is_open(self, gate_name: str) -> bool:
        """Whether a vendor's breaker is open: a call now would be turned away."""
        return gates.breaker(self.queue, gate_name, "", "look") > 0

    def answered(self, gate: Gate | None, holder: str = "") -> None:
        """The vendor has answered."""
        if gate is not None:
            self._tell(gate, holder, "ok")

    def failed(self, gate: Gate | None, error: Exception, holder: str = "") -> Exception:
        """A call came to nothing; what is the vendor's trouble counts against it.

        What that means for its job: NotNow once the vendor is known to be down, else the error itself.
        """
        if gate is None:
            return error
        match error:
            case RateLimited(retry_after=seconds) if seconds is not None:
                self._tell(gate, holder, "cool", min(seconds, LONGEST_COOL_SECONDS))
            case Unreachable() | Overloaded():
                self._tell(gate, holder, "fail")
                wait = self._tell(gate, holder, "look")
                if wait > 0:
                    return NotNow(f"{gate.name} is out of order: {error}", retry_after=wait)
            case _:
                self._tell(gate, holder, "ok")  # it answered, if only that it will not
        return error

    def pause_for(self, external_id: str) -> Pause:
        """Sleep between two looks at what a vendor works on; a hint of its end wakes early."""

        def pause(seconds: float) -> None:
            until = clock() + seconds
            self.stop.check()
            while (left := until - clock()) > 0:
                if gates.wait_for_hint(self.queue, external_id, min(left, SLICE_SECONDS)):
                    break
                self.stop.check()

        return pause

    @contextmanager
    def _slot(self, gate: Gate, holder: str) -> Iterator[None]:
        if gate.slots is None:
            yield
            return
        until = clock() + LONGEST_WAIT_SECONDS
        while not gates.hold(self.queue, gate.name, holder, slots=gate.slots, lease_seconds=self.lease_seconds):
            if clock() > until:
                raise NotNow(f"all {gate.slots} slots of {gate.name} are taken", retry_after=SLOT_AGAIN_SECONDS)
            self.stop.wait(0.25)
        held = (gate.name, holder)
        self.stop.holds.add(held)
        try:
            yield
        finally:
            self.stop.holds.discard(held)
            try:
                gates.release(self.queue, gate.name, holder)
            except QueueUnavailable as error:
                log.warning("slot_not_released", gate=gate.name, error=str(error))  # it runs out by itself

    def _take_turn(self, gate: Gate) -> None:
        if gate.per_second is None:
            return
        waited = 0.0
        while (wait := gates.take(self.queue, gate.name, per_second=gate.per_second, burst=gate.burst)) > 0:
            waited += wait
            if waited > LONGEST_WAIT_SECONDS:
                raise NotNow(f"the rate of {gate.name} is used up", retry_after=wait)
            self.stop.wait(wait)

    def _tell(self, gate: Gate, holder: str, move: Move, seconds: float = 30.0) -> float:
        """The seconds to wait before another call."""
        try:
            return gates.breaker(self.queue, gate.name, holder, move, open_seconds=seconds)
        except QueueUnavailable as error:
            log.warning("breaker_not_told", gate=gate.name, error=str(error))
            return 0.0
