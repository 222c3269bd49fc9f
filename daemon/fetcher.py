"""The thread that finds work for free slots: claim, and when there is nothing, block on the doorbells."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from daemon.crew import Crew, Lane, SlotState
from daemon.housekeeping import Health
from errors import QueueUnavailable
from pipeline.stop import clock
from redis_client.answers import Busy, Claim, Grant, Nothing, Rewound
from redis_client.connection import queue_errors
from redis_client.queue import Queue

BLOCK_SECONDS = 2.0
# Redis 6.2 takes a block of 0.001 s as for ever.
SHORTEST_BLOCK_SECONDS = 0.01
REST_SECONDS = 0.5
BUSY_SECONDS = 0.5


class Rights(Protocol):
    """Who says whether, and how many, jobs may be claimed: the worker."""

    def may_claim(self) -> bool:
        """Whether jobs are taken now."""

    def reserve(self) -> bool:
        """The right to claim one job."""

    def claimed(self, *, granted: bool) -> None:
        """What came of it."""


@dataclass
class Fetcher:
    """BLPOP is a doorbell: it wakes, and does not decide; the claim takes the best ready job."""

    queue: Queue
    crew: Crew
    health: Health
    rights: Rights
    foreign: Callable[[], None]
    doubt: Callable[[], None]
    ticked: float = 0.0
    paused: frozenset[str] = frozenset()
    listening: frozenset[str] = frozenset()
    _client: Any = None
    _client_id: int | None = None
    _blocking: bool = False
    _popped: tuple[str, str] = ("", "")
    _stopped: bool = field(default=False)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """The thread's loop."""
        try:
            self._loop()
        finally:
            self.ended.set()

    def _loop(self) -> None:
        while not self._stopped:
            self.ticked = clock()
            if not self.crew.wait_for_free(REST_SECONDS) or not self._claims_now():
                continue
            try:
                wait = self._fill()
                self._keep()
                if wait > 0:
                    self._popped = self._doorbell(wait)
            except QueueUnavailable as error:
                self._drop()
                self.health.redis_healthy = False
                self.health.report(str(error), 1.0)
        with suppress(QueueUnavailable):
            self._keep()
        self._drop()

    def stop(self) -> None:
        """End the loop: out of BLPOP at once; nothing it pops later is lost, since a pop decides nothing."""
        self._stopped = True
        self.wake()

    def wake(self) -> None:
        """Out of BLPOP, if in it."""
        if not self._blocking or self._client_id is None:
            return
        try:
            with queue_errors():
                self.queue.connections.commands().client_unblock(self._client_id)
        except QueueUnavailable:
            pass

    def hear(self, state: SlotState) -> None:
        """A slot is free: listen for its queues too, if BLPOP does not."""
        if self._blocking and not self.listening.issuperset(state.slot.queues):
            self.wake()

    def _claims_now(self) -> bool:
        if self.rights.may_claim():
            return True
        with self.crew.free:
            # Back soon after the trouble: the job that met it comes back too, and must not be the only one.
            self.crew.free.wait(min(REST_SECONDS, max(0.05, self.health.trouble_until - clock())))
        return False

    def _keep(self) -> None:
        """What was popped and no claim took along: Redis keeps it if it is another program's."""
        if self._popped[0]:
            slot = replace(self.crew.slots[0].slot, queues=())
            self.queue.claim(slot, nonce=self.crew.nonce(), popped=self._popped)
            self._popped = ("", "")

    def _fill(self) -> float:
        """Claim for every free slot; how long to block afterwards (0: there may be more)."""
        wait, paused = BLOCK_SECONDS, set[str]()
        empty: set[Lane] = set()
        for state in self.crew.free_slots():
            if self._stopped or state.lane in empty or not self.rights.reserve():
                continue
            mine = self._popped if self._popped[0] in state.slot.queues else ("", "")
            claim: Claim | None = None
            state.unanswered = state.unanswered or self.crew.nonce()
            try:
                claim = self.queue.claim(state.slot, nonce=state.unanswered, popped=mine)
            finally:
                self.rights.claimed(granted=isinstance(claim, Grant))
            state.unanswered = ""
            if mine[0]:
                self._popped = ("", "")
                if mine[1].startswith(("{", "[")):
                    self.foreign()  # the claim has moved it to the inbox
            again = self._take(state, claim)
            if isinstance(claim, Rewound):
                self.doubt()
                self.paused = frozenset(self.crew.queues)  # the bells say nothing until Redis is whole again
                return REST_SECONDS
            if isinstance(claim, Nothing):
                empty.add(state.lane)
                paused.update(claim.paused)
                if claim.wait_seconds is not None:
                    wait = min(wait, max(SHORTEST_BLOCK_SECONDS, claim.wait_seconds))
            if again:
                wait = 0.0
        self.paused = frozenset(paused)
        rest = self.crew.resting()
        return wait if rest is None else min(wait, max(SHORTEST_BLOCK_SECONDS, rest))

    def _take(self, state: SlotState, claim: Claim) -> bool:
        """Hand a grant to its slot; whether there may be more to examine at once."""
        match claim:
            case Grant():
                self.crew.give(state, claim)
                return False
            case Busy(job_id):
                # Its last job is still leased to this slot: the beat does not renew it, so the sweep frees it. Until
                # then each bell would bring the same answer.
                state.rests_until = clock() + BUSY_SECONDS
                structlog.get_logger().warning("slot_busy", job_id=job_id, slot=state.slot.name)
                return False
            case Nothing(_, again, _):
                return again
            case Rewound():
                return False

    def _doorbell(self, wait: float) -> tuple[str, str]:
        """Block on the lists of the queues with a free slot here; a paused queue is not listened to."""
        queues = dict.fromkeys(queue for state in self.crew.free_slots() for queue in state.slot.queues)
        lists = [self.queue.list_key(queue) for queue in queues if queue not in self.paused]
        self.listening = frozenset(queues)
        if not lists:
            with self.crew.free:
                self.crew.free.wait(min(wait, REST_SECONDS))
            return ("", "")
        with queue_errors():
            if self._client is None:
                self._client = self.queue.connections.build(socket_timeout=BLOCK_SECONDS + 5, single=True)
                self._client_id = int(self._client.client_id())
            self._blocking = True
            try:
                found = None if self._stopped else self._client.blpop(lists, timeout=wait)
            finally:
                self._blocking = False
        if not found:
            return ("", "")
        return (self.queue.queue_of_list(found[0]), str(found[1]))

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._client_id = None
