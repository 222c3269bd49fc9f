"""Random walks over the queue's moves beside a small model: the invariants of the protocol hold after each.

The model is tests/support/model.py, the moves are tests/support/walks.py. Time is the test's own (edits.py), so that a
seed makes the same walk again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from redis_client.answers import Grant, Nothing
from redis_client.connection import Connections
from redis_client.gates import hold, release, take
from redis_client.queue import Queue
from tests.support.edits import Clock, use_scripts
from tests.support.held import read
from tests.support.moves import MAIN, SECOND, job, slot
from tests.support.walks import MOVES, Walk, more, walk

T = TypeVar("T")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(redis_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    use_scripts(monkeypatch, clock=clock)
    made = Queue(Connections(redis_url))
    yield made
    made.connections.close()


class Drawn:
    """The dice of Hypothesis: what it draws, it makes simpler when a walk fails."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def pick(self, options: Sequence[T]) -> T:
        return self.data.draw(st.sampled_from(options))


class Moves(RuleBasedStateMachine):
    """Every move is a rule."""

    queue: ClassVar[Queue]
    clock: ClassVar[Clock]

    @initialize()
    def start(self) -> None:
        self.walk = Walk(self.queue, self.clock)

    @invariant()
    def all_is_well(self) -> None:
        self.walk.check()


def _rule(name: str) -> Callable[..., None]:
    def move(self: Moves, data: st.DataObject) -> None:
        self.walk.make(name, Drawn(data))

    move.__name__ = name
    return rule(data=st.data())(move)


for _name in sorted(set(MOVES)):
    setattr(Moves, _name, _rule(_name))


def test_the_invariants_hold_on_walks_that_are_made_simpler_when_they_fail(
    queue: Queue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Moves, "queue", queue, raising=False)
    monkeypatch.setattr(Moves, "clock", clock, raising=False)
    run_state_machine_as_test(
        seed(1)(Moves),
        settings=settings(
            max_examples=more(40),
            stateful_step_count=50,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_invariants_hold_on_long_walks(queue: Queue, clock: Clock) -> None:
    for number in range(more(14)):
        walk(queue, clock, number, 200)


def test_a_seed_makes_the_same_walk_again(queue: Queue, clock: Clock) -> None:
    walks = []
    for _ in range(2):
        trail = walk(queue, clock, 5, 150)
        held = read(queue)
        for events in held.streams.values():  # Redis numbers them by its own clock, and tells when they were written
            events.clear()
        walks.append((trail, held))
    assert walks[0] == walks[1]


@pytest.mark.parametrize("number", range(4))
def test_tenants_that_wait_get_their_shares_whatever_is_given_back(queue: Queue, clock: Clock, number: int) -> None:
    """Start-time fair queueing: what two of them have had, each by its weight, differs by one job of each at most."""
    dice, weights = random.Random(number), {"acme": 1.0, "beta": 3.0, "core": 0.5}
    redis: Any = queue.connections.commands()
    redis.hset(queue.key("weights"), mapping={tenant: f"{weight:g}" for tenant, weight in weights.items()})
    served: Counter[str] = Counter()
    names: dict[str, str] = {}

    def enqueue(tenant: str) -> None:
        name = f"j{len(names)}"
        names[name] = tenant
        queue.enqueue(job(name, tenant=tenant, priority=dice.choice(("high", "normal", "low"))))

    for _ in range(10):
        for tenant in weights:
            enqueue(tenant)
    for turn in range(150):
        clock.us += dice.choice((0, 1000, 50_000))
        grant = queue.claim(slot(), nonce=f"n{turn}")
        assert isinstance(grant, Grant)
        tenant = names[grant.job_id]
        served[tenant] += 1
        if dice.random() < 0.3:
            queue.requeue(slot(), grant)
        else:
            queue.finish(slot(), grant, status="completed")
            enqueue(tenant)
        for (one, mine), (other, theirs) in combinations(weights.items(), 2):
            apart = abs(served[one] / mine - served[other] / theirs)
            assert apart <= 1 / mine + 1 / theirs + 1e-9, (turn, served)
    assert isinstance(queue.claim(slot("w2", "0", SECOND), nonce="other"), Nothing)
    assert len(redis.zrange(queue.key(f"ready:{MAIN}"), 0, -1)) == 30


@pytest.mark.parametrize("number", range(4))
def test_in_no_window_a_rate_grants_more_than_its_burst_and_what_time_brought(
    queue: Queue, clock: Clock, number: int
) -> None:
    """I17, and what it does not grant it would grant after the wait it tells, no sooner."""
    dice, per_second, burst = random.Random(number), 8.0, 5
    granted: list[tuple[float, int]] = []
    for _ in range(300):
        cost = dice.randint(1, 3)
        wait = take(queue, "vendor", per_second=per_second, burst=burst, cost=cost)
        if wait == 0:
            granted.append((clock.seconds, cost))
            clock.advance(dice.choice((0, 0, 0.001, 0.2, 1.0)))
            continue
        clock.us += round(wait * 1e6) - 1
        assert take(queue, "vendor", per_second=per_second, burst=burst, cost=cost) > 0
        clock.us += dice.choice((0, 1, 1_000_000))
    for first, (since, _) in enumerate(granted):
        spent = 0
        for now, cost in granted[first:]:
            spent += cost
            assert spent <= burst + (now - since) * per_second + 1e-3
    assert len(granted) > 50


def test_the_slots_of_a_resource_are_never_passed(queue: Queue, clock: Clock) -> None:
    dice, until = random.Random(1), dict[str, float]()
    for _ in range(400):
        holder = f"h{dice.randrange(6)}"
        until = {one: end for one, end in until.items() if end > clock.seconds}
        if dice.random() < 0.3:
            assert release(queue, "vendor", holder) or holder not in until
            until.pop(holder, None)
        else:
            got = hold(queue, "vendor", holder, slots=3, lease_seconds=10)
            assert got == (holder in until or len(until) < 3)
            until |= {holder: clock.seconds + 10} if got else {}
        clock.advance(dice.choice((0, 1, 4)))
