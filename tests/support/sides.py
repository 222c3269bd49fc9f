"""Redis and the model side by side: the same move on both, and what is compared afterwards. The rows play SQL's part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import redis

from database.open_jobs import OpenJob
from redis_client.answers import Claim, Grant
from redis_client.queue import HEAD_START_SECONDS, Queue
from tests.support.edits import FIRST_US, Clock
from tests.support.held import Held, as_model, broken, read
from tests.support.model import LEASE_MS, OPEN, Model, Task
from tests.support.moves import MAIN, SECOND, end_pause, forget, job, set_limit, slot

T = TypeVar("T")
QUEUES = (MAIN, SECOND)
SEATS = ("w1", "w2", "w3", "w4")
SERVING = ((MAIN,), (SECOND,), (MAIN, SECOND), (SECOND, MAIN))
LEASE_SECONDS = LEASE_MS / 1000


class Dice(Protocol):
    """Where chance comes from."""

    def pick(self, options: Sequence[T]) -> T: ...


@dataclass
class Row:
    """A job as SQL has it."""

    queue: str
    tenant: str
    pipeline: str
    groups: tuple[str, ...]
    priority: str
    created: int
    open: bool = True
    fence: int = 0
    in_flight: bool = False
    waits: bool = False
    not_before: int = 0
    cancel: bool = False
    tokens: list[int] = field(default_factory=list)  # every one that a claim was granted


class Sides:
    """One Redis, one model, and the rows."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        clock.us = FIRST_US
        self.queue, self.clock, self.newest_us = queue, clock, clock.us
        self.redis: Any = queue.connections.commands()
        self.rows: dict[str, Row] = {}
        self.held: dict[str, Grant] = {}  # by seat
        self.stale: list[tuple[str, Grant]] = []
        self.limits: dict[str, int] = {}
        self.foreign: set[str] = set()
        self.deaf: set[str] = set()  # queues of which a bell was lost
        self.spare = dict.fromkeys(QUEUES, 0)  # bells too many
        self.served: set[str] = set()  # queues of which this move took a job
        self.may_leak = False
        self.memory: list[tuple[bytes, int, bytes]] = []
        self.number = 0
        self.blind = False  # Redis was damaged: what it holds is not known until it is mended
        forget(queue)
        self.model = Model(clock)
        self._note(self.queue.sweep(lease_seconds=LEASE_SECONDS, sweep_seconds=5)["expired"], self.model.sweep())

    def check(self) -> None:
        """The invariants hold, and Redis holds what the model says."""
        held = read(self.queue)
        self.deaf = {queue for queue in self.deaf if held.silent(queue)}
        # Whoever takes a job rings for the next, also where a bell was lost.
        wrong = broken(held, workers=len(SEATS), deaf=self.deaf - self.served) + self._leaks(held)
        assert not wrong, "\n".join(wrong)
        found = as_model(held, self.clock)
        for name in found.tasks.keys() | self.model.tasks.keys():
            mine, theirs = self.model.tasks.get(name), found.tasks.get(name)
            assert mine == theirs, f"{name} should be {mine}, and is {theirs}"
        assert found == self.model
        assert self.foreign <= held.pushed(), "what another program pushed is lost"

    def _leaks(self, held: Held) -> list[str]:
        """I16, move by move: a bell may be left over where one was popped, or where another program's stood for it."""
        before, self.spare = self.spare, {queue: len(held.surplus(queue)) for queue in QUEUES}
        leaked = [f"I16: {queue} has a bell too many" for queue in QUEUES if self.spare[queue] > before[queue]]
        return [] if self.may_leak or self.foreign else leaked

    # --- the same move on both sides

    def _note(self, answer: T, expected: T) -> None:
        """What Redis answered, and what the model did: until Redis is mended nobody knows better than it."""
        assert self.blind or answer == expected

    def _same(self, move: Callable[[], Any], *, answer: Any) -> None:
        """I7: its reply was lost, and it is sent again: it answers the same and changes nothing."""
        if self.blind:
            return
        before = read(self.queue)
        assert move() == answer
        changes = before.changes(read(self.queue))
        assert not changes, f"I7: {changes}"

    def _place(self, name: str, row: Row, mode: str) -> bool:
        new = Task(row.queue, row.tenant, row.pipeline, row.groups, 0.0, floor=row.fence)
        placed = self.queue.enqueue(self._told(name, row), mode=mode)
        head_start, delay = HEAD_START_SECONDS[row.priority] * 1000, max(0, row.not_before - self.clock.ms)
        self._note(placed, self.model.enqueue(mode, name, new, head_start_ms=head_start, delay_ms=delay))
        return placed

    def _claim(self, seat: str, wanted: Sequence[str], nonce: str, popped: tuple[str, str] = ("", "")) -> Claim:
        answer = self.queue.claim(slot(seat, "0", *wanted), nonce=nonce, popped=popped)
        self._granted(seat, answer, wanted, nonce)
        return answer

    def _granted(self, seat: str, answer: Claim | None, wanted: Sequence[str] | None, nonce: str) -> None:
        expected = self.model.grant(f"{seat}#0", nonce, wanted) if wanted is not None and not self.blind else None
        self._note(answer, expected)
        if not isinstance(answer, Grant):
            return
        self.held[seat] = answer
        self.served.add(answer.queue)
        row = self.rows.get(answer.job_id)
        if row is not None:
            assert all(answer.token > token for token in row.tokens), "I6"
            row.tokens.append(answer.token)
        if self.blind:
            return
        task = self.model.tasks[answer.job_id]
        behind = [self.model.tasks[one] for one in self.model.ready(answer.queue)]
        assert all(one.score >= task.score for one in behind if one.tenant == task.tenant), "I13"
        assert all(self.model.room(group) >= 0 for group in self.model.groups_of(answer.job_id)), "I2"

    def _begin(self, seat: str) -> bool:
        """Whether SQL lets it begin; what else a worker does is done (database/begin.py, daemon/settle.py)."""
        grant = self.held[seat]
        name, row = grant.job_id, self.rows.get(grant.job_id)
        if row is None or not row.open:
            self._finish(seat, "cancelled")
        elif row.fence == grant.token and row.in_flight:
            return True
        elif row.fence >= grant.token:
            self._requeue(seat, grant.queue, floor=row.fence)
        elif row.in_flight and row.fence > grant.known:
            assert self.blind, "I6: Redis gives away what it should know to be running"
            told = self._told(name, row)
            assert self.queue.adopt(told, token=row.fence, lease_seconds=LEASE_SECONDS, held=grant.token)
            del self.held[seat]
        elif row.cancel:
            row.open = row.in_flight = False
            self._finish(seat, "cancelled")
        elif row.waits:
            self._requeue(seat, row.queue, delay_ms=-1)
        elif row.not_before > self.clock.ms:
            self._requeue(seat, row.queue, delay_ms=row.not_before - self.clock.ms)
        else:
            row.fence, row.in_flight, row.not_before = grant.token, True, 0
            return True
        return False

    def _finish(self, seat: str, status: str, following: Sequence[str] | None = None) -> None:
        grant, nonce = self.held.pop(seat), self._nonce() if following else ""
        where, value = slot(seat, "0", *(following or ())), 100.0 if status == "completed" else 0.0

        def move() -> Claim | None:
            return self.queue.finish(where, grant, status=status, progress=value, nonce=nonce)

        answer = move()
        self.model.finish(grant.job_id, grant.token, status, value)
        self._after(seat, grant, answer, following, nonce, move)

    def _requeue(
        self, seat: str, into: str, *, delay_ms: int = 0, floor: int = 0, following: Sequence[str] | None = None
    ) -> None:
        grant, nonce = self.held.pop(seat), self._nonce() if following else ""
        where = slot(seat, "0", *(following or ()))

        def move() -> Claim | None:
            waits, delay = delay_ms < 0, delay_ms / 1000
            return self.queue.requeue(
                where, grant, queue=into, delay_seconds=delay, waits=waits, floor=floor, nonce=nonce
            )

        answer = move()
        self.model.requeue(grant.job_id, grant.token, into, delay_ms=delay_ms, floor=floor)
        self._after(seat, grant, answer, following, nonce, move)

    def _after(
        self,
        seat: str,
        grant: Grant,
        answer: Claim | None,
        following: Sequence[str] | None,
        nonce: str,
        move: Callable[[], Claim | None],
    ) -> None:
        self._granted(seat, answer, following, nonce)
        self._same(move, answer=answer)
        self.stale.append((seat, grant))

    def _beat(self, seat: str, grant: Grant) -> str:
        jobs = [(grant.job_id, grant.token)]
        return self.queue.beat(self.redis, worker=seat, lease_seconds=LEASE_SECONDS, record={}, jobs=jobs)[0]

    def _progress(self, grant: Grant, number: int, value: float) -> bool:
        return self.queue.progress(
            grant.job_id, grant.token, number, progress=value, stage="s", active=["s"], label="w"
        )

    # --- Redis is mended by what SQL says

    def _mend(self, dice: Dice) -> None:
        """Workers may meet the damage before the reconciler does; afterwards all stands as SQL says."""
        self.blind = True
        self.clock.us = max(self.clock.us, self.newest_us) + 1_000_000
        for _ in range(dice.pick((0, 0, 1, 2))):
            seat = dice.pick(SEATS)
            if dice.pick((True, False)):
                self.queue.sweep(lease_seconds=LEASE_SECONDS, sweep_seconds=5)
            elif seat not in self.held:
                self._claim(seat, dice.pick(SERVING), self._nonce())
                if seat in self.held:
                    self._begin(seat)
        self._reconcile()
        self.model, self.blind = as_model(read(self.queue), self.clock), False
        for name, row in self.rows.items():
            state, token = self._state(name), self.model.tasks[name].token if name in self.model.tasks else 0
            assert not row.open or row.waits or state in OPEN, f"{name} is open in SQL, and {state} here"
            # Its worker may have given it back while SQL was away.
            assert not row.in_flight or (state in OPEN and token >= row.fence), f"{name} runs, and is {state} here"
        self._beat_after_damage()
        held = read(self.queue)
        self.deaf = {queue for queue in QUEUES if held.silent(queue)}
        self.foreign = held.pushed()
        for queue in QUEUES:
            for bell in held.surplus(queue):  # they wake somebody in vain, once
                self.redis.lrem(self.queue.list_key(queue), 1, bell)

    def _beat_after_damage(self) -> None:
        """A lost beat: SQL is asked, and a job that is still its worker's is put back."""
        for seat, grant in list(self.held.items()):
            word, expected = self._beat(seat, grant), self.model.beat(grant.job_id, grant.token)
            assert word == expected
            if word == "lost":
                self._lost(seat)

    def _reconcile(self) -> None:
        """redis_client/reconcile.py: the controls, every open row, and then the canary."""
        key, paused = self.queue.key, self.redis.hkeys(self.queue.key("paused"))
        for queue in set(paused) - self.model.paused:
            end_pause(self.queue, queue)
        if self.model.paused:
            self.redis.hset(key("paused"), mapping=dict.fromkeys(self.model.paused, "1"))
        for group, most in self.limits.items():
            set_limit(self.queue, group, most)
        for group in self.redis.hkeys(key("limits")):
            if group not in self.limits:
                set_limit(self.queue, group, None)
        self.redis.delete(key("weights"))
        if self.model.weights:
            weights: dict[Any, Any] = {tenant: f"{weight:g}" for tenant, weight in self.model.weights.items()}
            self.redis.hset(key("weights"), mapping=weights)
        self.redis.set(key("reconciler"), "me")
        self.redis.hset(key("swept"), "healing", "me")
        for name, row in sorted(self.rows.items()):
            if row.open:
                self._repair(name)
        again = {name: self._repair(name) for name, row in sorted(self.rows.items()) if row.open}
        assert set(again.values()) <= {"fine"}, again
        assert self.queue.look_at_canary(1, healer="me")[0]
        self.redis.delete(key("reconciler"))

    def _repair(self, name: str) -> str:
        told = self._told(name, self.rows[name])
        answer = self.queue.reconcile(told, lease_seconds=LEASE_SECONDS)
        return (
            self.queue.reconcile(told, lease_seconds=LEASE_SECONDS, sure=True)
            if answer in {"ended", "unsure"}
            else answer
        )

    # --- small things

    def _lost(self, seat: str) -> None:
        self.stale.append((seat, self.held.pop(seat)))

    def _see_who_lost(self) -> None:
        for seat, grant in list(self.held.items()):
            task = self.model.tasks.get(grant.job_id)
            if not task or (task.state, task.token) != ("running", grant.token):
                self._lost(seat)

    def _told(self, name: str, row: Row) -> OpenJob:
        return job(
            name, queue=row.queue, tenant=row.tenant, pipeline=row.pipeline, groups=row.groups, priority=row.priority,
            fence=row.fence, in_flight=row.in_flight, waits=row.waits, created_ms=row.created,
            wait_ms=max(0, row.not_before - self.clock.ms),
        )  # fmt: skip

    def _agrees(self, name: str) -> bool:
        """Whether the job stands where SQL says; else its next claim, or the end of a lease, decides that."""
        task, row = self.model.tasks[name], self.rows.get(name)
        if row is None or not row.open or row.waits or row.queue != task.queue:
            return False
        if task.state == "running":
            return row.fence == task.token if row.in_flight else row.fence < task.token
        is_delayed = row.not_before > self.clock.ms
        return not row.in_flight and task.state in ({"delayed"} if is_delayed else {"ready", "parked"})

    def _is_owner(self, seat: str, grant: Grant) -> bool:
        """Whether SQL still gives the job to this free seat."""
        row = self.rows.get(grant.job_id)
        return row is not None and row.in_flight and row.fence == grant.token and seat not in self.held

    def _holds_back(self, group: str) -> bool:
        return any(task.parked == group for task in self.model.tasks.values())

    def _task(self, seat: str) -> Task:
        return self.model.tasks[self.held[seat].job_id]

    def _state(self, name: str) -> str:
        return self.model.tasks[name].state if name in self.model.tasks else ""

    def _plain(self) -> Any:
        """Redis as bytes."""
        pool = self.redis.connection_pool
        known = dict(pool.connection_kwargs) | {"decode_responses": False}
        return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **known))

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _nonce(self) -> str:
        return f"n{self._next()}"
