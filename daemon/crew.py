"""The slots of one worker: what each serves, what each runs, and what a slot's thread does."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import structlog

from errors import InvalidInput
from pipeline.catalog.base import declared_queues
from pipeline.catalog.complaints import nearest
from pipeline.stop import StopSignal, clock
from redis_client.answers import Grant, Slot

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lane:
    """Queues that share some slots."""

    queues: tuple[str, ...]
    slots: int


@dataclass(slots=True)
class Running:
    """A job in a slot."""

    grant: Grant
    stop: StopSignal
    since: float
    record: Any = None  # database.fenced.JobRecord once begun
    settled: bool = False  # SQL has it; a "lost" from the beat is old news
    given_up: bool = False  # the main thread has settled it, since its slot did not


@dataclass(slots=True)
class SlotState:
    """One slot."""

    slot: Slot
    lane: Lane
    inbox: SimpleQueue[Grant | None] = field(default_factory=SimpleQueue)
    running: Running | None = None
    is_free: bool = True
    rests_until: float = 0.0  # Redis has its last job still in it; `clock()`
    unanswered: str = ""  # the nonce of a claim whose reply never came: asked again, it brings the same grant


def parse_lanes(queues: str, concurrency: int) -> tuple[Lane, ...]:
    """`--queues images-queue=2,text-queue` and `--concurrency`: a queue with a number has slots of its own.

    The others share `concurrency` slots. Without any, every declared queue but those marked only_when_named.
    """
    known = declared_queues()
    shared: list[str] = []
    lanes: list[Lane] = []
    for part in (part.strip() for part in queues.split(",") if part.strip()):
        name, equals, number = part.partition("=")
        if name not in known:
            raise InvalidInput(f"queue={name!r} is unknown{nearest(name, known)}")
        if not equals:
            shared.append(name)
        elif number.isdecimal() and 1 <= int(number) <= 256:
            lanes.append(Lane((name,), int(number)))
        else:
            raise InvalidInput(f"queue {name}={number}: give a number of slots from 1 to 256")
    if not queues.strip():
        shared = [name for name, only_when_named in known.items() if not only_when_named]
    if shared:
        lanes.insert(0, Lane(tuple(shared), concurrency))
    return tuple(lanes)


class Crew:
    """All slots of a worker; threads wait here for work and for free slots."""

    def __init__(self, lanes: Sequence[Lane], *, worker_uuid: str, label: str, lease_seconds: float) -> None:
        self.free = threading.Condition()
        self.slots = [
            SlotState(Slot(worker_uuid, label, f"{number}.{seat}", lane.queues, lease_seconds), lane)
            for number, lane in enumerate(lanes)
            for seat in range(lane.slots)
        ]
        self._nonce = 0
        self._boot = secrets.token_hex(4)

    @property
    def queues(self) -> tuple[str, ...]:
        """Every queue this worker serves."""
        return tuple(dict.fromkeys(queue for state in self.slots for queue in state.slot.queues))

    def nonce(self) -> str:
        """A word that no claim of this process has used."""
        with self.free:
            self._nonce += 1
            return f"{self._boot}.{self._nonce}"

    def start(
        self,
        work: Callable[[SlotState, Grant], Grant | None],
        *,
        freed: Callable[[SlotState], None],
        died: Callable[[BaseException], None],
    ) -> None:
        """Start a thread a slot; `work` runs one job and returns the next grant of its trip, if any."""
        for state in self.slots:
            context = copy_context()
            threading.Thread(
                target=context.run,
                args=(self._loop, state, work, freed, died),
                name=f"slot-{state.slot.name}",
                daemon=True,
            ).start()

    def give(self, state: SlotState, grant: Grant) -> None:
        """Hand a grant to a free slot."""
        with self.free:
            state.is_free = False
        state.inbox.put(grant)

    def free_slots(self) -> list[SlotState]:
        """The slots that may claim."""
        now = clock()
        return [state for state in self.slots if state.is_free and state.rests_until <= now]

    def resting(self) -> float | None:
        """Seconds until the first of the resting slots may claim again; None when no free one rests."""
        now = clock()
        return min(
            (state.rests_until - now for state in self.slots if state.is_free and state.rests_until > now), default=None
        )

    def wait_for_free(self, timeout: float) -> bool:
        """Wait until a slot is free."""
        with self.free:
            return self.free.wait_for(lambda: any(state.is_free for state in self.slots), timeout)

    def running(self) -> list[Running]:
        """What runs now, the oldest first."""
        found = [state.running for state in self.slots if state.running is not None]
        return sorted(found, key=lambda one: one.since)

    def is_idle(self) -> bool:
        """Whether no slot has a job."""
        return all(state.is_free for state in self.slots)

    def _loop(
        self,
        state: SlotState,
        work: Callable[[SlotState, Grant], Grant | None],
        freed: Callable[[SlotState], None],
        died: Callable[[BaseException], None],
    ) -> None:
        try:
            while (grant := state.inbox.get()) is not None:
                next_grant: Grant | None = grant
                while next_grant is not None:
                    next_grant = work(state, next_grant)
                with self.free:
                    state.is_free = True
                    self.free.notify_all()
                freed(state)
        except BaseException as error:  # noqa: BLE001 - the top of a thread: say it, and let the worker stop
            died(error)
