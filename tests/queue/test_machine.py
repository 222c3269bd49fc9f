"""A random walk over the queue's moves beside a small model: the invariants of PROTOCOL section 7 hold after each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from redis_client.answers import Busy, Claim, Grant, Nothing, Slot
from redis_client.connection import Connections
from redis_client.queue import HEAD_START_SECONDS, Queue
from tests.support.moves import MAIN, SECOND, job, slot, whole

IDS = [f"j{number}" for number in range(6)]
QUEUES = (MAIN, SECOND)
SEATS = ("w1", "w2", "w3")
A_DAY_MS = 86_400_000
ids = st.sampled_from(IDS)
queues = st.sampled_from(QUEUES)
seats = st.sampled_from(SEATS)
serving = st.sampled_from([(MAIN,), (SECOND,), QUEUES])
priorities = st.sampled_from(sorted(HEAD_START_SECONDS))


@dataclass
class Modelled:
    """What one job should be."""

    state: str
    queue: str
    tokens: list[int] = field(default_factory=list)
    seat: str = ""
    cancel: bool = False
    expired: int = 0
    due: bool = False
    progress: float = 0.0


class Moves(RuleBasedStateMachine):
    """The moves as workers and people make them, some of them twice."""

    queue: ClassVar[Queue]

    def __init__(self) -> None:
        super().__init__()
        self.redis: Any = self.queue.connections.commands()
        self.jobs: dict[str, Modelled] = {}
        self.held: dict[str, Grant] = {}
        self.stale: list[tuple[Slot, Grant]] = []
        self.paused: set[str] = set()
        self.number = 0

    @initialize()
    def begin(self) -> None:
        self.redis.flushall()
        self.swept()

    # --- moves

    @rule(name=ids, queue=queues, priority=priorities, later=st.booleans())
    def enqueue(self, name: str, queue: str, priority: str, *, later: bool) -> None:
        new = self.queue.enqueue(job(name, queue=queue, priority=priority, wait_ms=A_DAY_MS if later else 0))
        assert new == (name not in self.jobs)
        if new:
            self.jobs[name] = Modelled("delayed" if later else "ready", queue)

    @rule(seat=seats, wanted=serving, twice=st.booleans(), rung=st.booleans())
    def claim(self, seat: str, wanted: tuple[str, ...], *, twice: bool, rung: bool) -> None:
        where, nonce, popped = slot(seat, "0", *wanted), self.nonce(), ("", "")
        if rung:
            for name in wanted:
                bell = self.redis.lpop(self.queue.list_key(name))
                if bell:
                    popped = (name, bell)
                    break
        best = self.best(wanted)
        answer = self.queue.claim(where, nonce=nonce, popped=popped)
        if seat in self.held:
            assert answer == Busy(self.held[seat].job_id)
            if popped[0]:  # a worker claims for free slots only; what it popped would be lost here
                self.redis.rpush(self.queue.list_key(popped[0]), popped[1])
            return
        self.granted(seat, answer, best)
        if twice:
            self.same(lambda: self.queue.claim(where, nonce=nonce, popped=popped), answer)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), wanted=serving, following=st.booleans(), twice=st.booleans())
    def finish(self, data: st.DataObject, wanted: tuple[str, ...], *, following: bool, twice: bool) -> None:
        seat = data.draw(st.sampled_from(sorted(self.held)))
        grant, where = self.held.pop(seat), slot(seat, "0", *wanted)
        nonce = self.nonce() if following else ""
        self.jobs[grant.job_id].state = "completed"
        best = self.best(wanted) if following else None
        answer = self.queue.finish(where, grant, status="completed", progress=100.0, nonce=nonce)
        self.jobs[grant.job_id].progress = 100.0
        if following:
            self.granted(seat, answer, best)
        if twice:
            self.same(lambda: self.queue.finish(where, grant, status="completed", progress=100.0, nonce=nonce), answer)
        self.stale.append((where, grant))

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        wanted=serving,
        into=queues,
        later=st.booleans(),
        following=st.booleans(),
        twice=st.booleans(),
    )
    def requeue(
        self, data: st.DataObject, wanted: tuple[str, ...], into: str, *, later: bool, following: bool, twice: bool
    ) -> None:
        seat = data.draw(st.sampled_from(sorted(self.held)))
        grant, where = self.held.pop(seat), slot(seat, "0", *wanted)
        nonce, model = self.nonce() if following else "", self.jobs[grant.job_id]
        model.state = "delayed" if later and not model.cancel else "ready"
        model.queue, model.expired, model.due = into, 0, False

        def move() -> Claim | None:
            delay = A_DAY_MS / 1000 if later else 0.0
            return self.queue.requeue(where, grant, queue=into, delay_seconds=delay, nonce=nonce)

        score = self.redis.hget(self.queue.key(f"job:{grant.job_id}"), "score")
        best = self.best(wanted, {grant.job_id: float(score)}) if following else None
        answer = move()
        if following:
            self.granted(seat, answer, best)
        if twice:
            self.same(move, answer)
        self.stale.append((where, grant))

    @rule(name=ids)
    def cancel(self, name: str) -> None:
        model = self.jobs.get(name)
        was = self.queue.cancel(name)
        assert was == (model.state if model else "none")
        if model is None:
            return
        if model.state == "running" or (model.state == "ready" and model.expired):
            model.cancel = True
        elif model.state in {"ready", "delayed"}:
            model.state = "cancelled"
        self.same(lambda: self.queue.cancel(name), model.state)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def lease_runs_out(self, data: st.DataObject) -> None:
        seat = data.draw(st.sampled_from(sorted(self.held)))
        grant = self.held.pop(seat)
        self.redis.zadd(self.queue.key("leases"), {grant.job_id: 1})
        model = self.jobs[grant.job_id]
        model.state, model.expired = "ready", grant.token
        self.stale.append((slot(seat), grant))
        assert self.swept()["expired"] == 1

    @rule()
    def sweep(self) -> None:
        assert self.swept()["expired"] == 0

    def swept(self) -> dict[str, int]:
        self.promote()
        self.redis.hdel(self.queue.key("swept"), "at", "grace_until")  # a slow machine is no silence
        counts = self.queue.sweep(lease_seconds=30, sweep_seconds=5)
        assert counts["bad"] == 0
        return counts

    @rule(data=st.data())
    def time_passes(self, data: st.DataObject) -> None:
        delayed = [name for name, model in self.jobs.items() if model.state == "delayed"]
        if delayed:
            name = data.draw(st.sampled_from(delayed))
            self.redis.zadd(self.queue.key("delayed"), {name: 1})
            self.jobs[name].due = True

    @precondition(lambda self: self.held)
    @rule()
    def beat(self) -> None:
        for seat, grant in self.held.items():
            words = self.queue.beat(
                self.redis, worker=seat, lease_seconds=30, record={}, jobs=[(grant.job_id, grant.token)]
            )
            assert words == ["cancel" if self.jobs[grant.job_id].cancel else "ok"]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), value=st.floats(-10, 200), number=st.integers(0, 3))
    def progress(self, data: st.DataObject, value: float, number: int) -> None:
        grant = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        model = self.jobs[grant.job_id]
        if self.queue.progress(grant.job_id, grant.token, number, progress=value, stage="s", active=["s"], label="w"):
            model.progress = min(100.0, max(model.progress, round(value, 2)))

    @rule(queue=queues)
    def pause(self, queue: str) -> None:
        self.redis.hset(self.queue.key("paused"), queue, "1")
        self.paused.add(queue)

    @rule(queue=queues)
    def resume(self, queue: str) -> None:
        self.queue.resume(queue)
        self.paused.discard(queue)

    @rule(name=ids, queue=queues)
    def ask_again(self, name: str, queue: str) -> None:
        model = self.jobs.get(name)
        if model is None or model.state not in {"completed", "cancelled"}:
            return
        progress = model.progress
        assert self.queue.enqueue(
            job(name, queue=queue, fence=max(model.tokens, default=0), progress=progress), mode="reopen"
        )
        self.jobs[name] = Modelled("ready", queue, model.tokens, progress=progress)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def a_zombie_speaks(self, data: st.DataObject) -> None:
        """I8: whatever an old token says changes nothing."""
        where, grant = data.draw(st.sampled_from(self.stale))
        before = whole(self.queue)
        self.queue.finish(where, grant, status="completed")
        self.queue.requeue(where, grant, delay_seconds=60)
        self.queue.progress(grant.job_id, grant.token, 99, progress=99, stage="s", active=[], label="w")
        assert whole(self.queue) == before

    @rule()
    def redis_forgets(self) -> None:
        """FLUSHALL, and the reconciler: what runs is adopted, the rest is put back."""
        self.redis.flushall()
        for name, model in self.jobs.items():
            fence = max(model.tokens, default=0)
            row = job(name, queue=model.queue, fence=fence, progress=model.progress, wait_ms=self.wait_ms(model))
            if model.state == "running":
                assert self.queue.adopt(row, token=fence, lease_seconds=30, slot=slot(model.seat))
                model.cancel = False
            elif model.state in {"ready", "delayed"}:
                assert self.queue.enqueue(row, mode="rebuild")
                model.expired, model.cancel, model.due = 0, False, False
            else:
                self.queue.enqueue(row)  # the id of an ended job is refused in SQL; here it only keeps the model whole
                self.redis.hset(self.queue.key(f"job:{name}"), "state", model.state)
                self.redis.zrem(self.queue.key(f"ready:{model.queue}"), name)
                self.redis.lrem(self.queue.list_key(model.queue), 1, name)
        for queue in self.paused:
            self.redis.hset(self.queue.key("paused"), queue, "1")

    # --- the model

    def nonce(self) -> str:
        self.number += 1
        return f"n{self.number}"

    def wait_ms(self, model: Modelled) -> int:
        return A_DAY_MS if model.state == "delayed" else 0

    def promote(self) -> None:
        for model in self.jobs.values():
            if model.state == "delayed" and model.due:
                model.state, model.due = "ready", False

    def best(self, wanted: tuple[str, ...], scores: dict[str, float] | None = None) -> float | None:
        """The score of the job that must be granted; what is due counts too."""
        self.promote()
        known = scores or {}
        found = [
            known.get(name, 0.0) or float(self.redis.hget(self.queue.key(f"job:{name}"), "score"))
            for name, model in self.jobs.items()
            if model.state == "ready" and model.queue in wanted and model.queue not in self.paused
        ]
        return min(found, default=None)

    def granted(self, seat: str, answer: Claim | None, best: float | None) -> None:
        if best is None:
            assert isinstance(answer, Nothing)
            return
        assert isinstance(answer, Grant)
        model = self.jobs[answer.job_id]
        assert (model.state, model.queue) == ("ready", answer.queue)
        assert float(self.redis.hget(self.queue.key(f"job:{answer.job_id}"), "score")) == best
        assert answer.expired == model.expired
        assert answer.token > max(model.tokens, default=0)  # I6
        model.tokens.append(answer.token)
        model.state, model.seat = "running", seat
        self.held[seat] = answer

    def same(self, move: Any, answer: Any) -> None:
        """I7: sent again, a move answers the same and changes nothing."""
        before = whole(self.queue)
        again = move()
        assert again == answer or (isinstance(again, Nothing) and isinstance(answer, Nothing))  # the time goes on
        assert whole(self.queue) == before

    # --- the invariants

    @invariant()
    def all_is_well(self) -> None:
        key = self.queue.key
        pipe = self.redis.pipeline(transaction=False)
        for queue in QUEUES:
            pipe.zrange(key(f"ready:{queue}"), 0, -1)
            pipe.lrange(self.queue.list_key(queue), 0, -1)
        pipe.zrange(key("delayed"), 0, -1)
        pipe.zrange(key("leases"), 0, -1)
        pipe.hgetall(key("slots"))
        pipe.exists(key("bad"))
        pipe.llen(key("inbox"))
        for name in IDS:
            pipe.hmget(key(f"job:{name}"), "state", "queue", "progress")
        *indexes, slots, bad, foreign = (answers := pipe.execute())[: -len(IDS)]
        ready_main, bells_main, ready_second, bells_second, delayed, leases = indexes
        # I1: in exactly the index that its state says, and in none when it has ended.
        places = {
            "ready": {(name, MAIN) for name in ready_main} | {(name, SECOND) for name in ready_second},
            "delayed": {(name, "") for name in delayed},
            "running": {(name, "") for name in leases},
        }
        for state, found in places.items():
            wanted = {
                (name, model.queue if state == "ready" else "")
                for name, model in self.jobs.items()
                if model.state == state
            }
            assert found == wanted, state
        # I3: slots and running jobs, one to one.
        assert slots == {f"{seat}#0": grant.job_id for seat, grant in self.held.items()}
        for queue, ready, bells in ((MAIN, ready_main, bells_main), (SECOND, ready_second, bells_second)):
            # I5: a bell while a job is ready (a paused queue is not listened to). I16: not many more bells than jobs.
            assert bells or not ready or queue in self.paused, queue
            assert len(bells) <= len(ready) + len(SEATS), queue
        assert not bad
        assert not foreign
        for name, (state, queue, progress) in zip(IDS, answers[-len(IDS) :], strict=True):
            model = self.jobs.get(name)
            assert state == (model.state if model else None)
            if model is not None:
                assert queue == model.queue
                assert float(progress) == pytest.approx(model.progress)  # I18


@pytest.fixture
def machine(redis_url: str) -> Iterator[type[Moves]]:
    Moves.queue = Queue(Connections(redis_url))
    yield Moves
    Moves.queue.connections.close()


def test_the_invariants_hold_on_random_walks(machine: type[Moves]) -> None:
    walks = int(os.environ.get("STAGECREW_TEST_WALKS", "60"))  # make soak walks further
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=walks,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
