"""Walks over the queue's moves: each is made on a real Redis and on the model, and afterwards both are compared.

What to do next comes from dice: those of Hypothesis, which shrink, or those of a seed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

from redis_client.answers import Busy, Rewound
from redis_client.queue import HEAD_START_SECONDS, Queue
from tests.support.edits import Clock
from tests.support.held import read
from tests.support.model import OPEN
from tests.support.moves import MAIN, end_pause, set_limit, slot
from tests.support.sides import LEASE_SECONDS, QUEUES, SEATS, SERVING, Dice, Row, Sides

T = TypeVar("T")
IDS = tuple(f"j{number}" for number in range(16))
TENANTS, PIPELINES = ("acme", "beta"), ("selftest", "product_video")
OWN_GROUPS = ((), ("vendor",), ("gpu",), ("vendor", "gpu"), ("vendor", "gpu"))
GROUPS = (f"queue:{MAIN}", "pipeline:selftest", "tenant:acme", "vendor", "vendor", "gpu", "gpu")
A_DAY_MS = 86_400_000


def more(number: int) -> int:
    """So many walks; STAGECREW_TEST_WALKS times as many for who has the time."""
    return number * int(os.environ.get("STAGECREW_TEST_WALKS", "1"))


class Seeded:
    """The same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, options: Sequence[T]) -> T:
        return self.random.choice(options)


class Walk(Sides):
    """Workers, people and faults; `make` is one move, `check` what must hold after it."""

    def make(self, name: str, dice: Dice) -> None:
        self.clock.us += dice.pick((0, 1, 1000, 7000))
        self.served, self.may_leak = set(), False
        getattr(self, name)(dice)

    # --- moves of people

    def enqueue(self, dice: Dice) -> None:
        name, now = dice.pick(IDS), self.clock.ms
        if (name in self.rows) != (name in self.model.tasks):
            return  # Redis has forgotten it, and SQL refuses a known id; or the other way round, after a rewind
        made = Row(
            dice.pick(QUEUES), dice.pick(TENANTS), dice.pick(PIPELINES), dice.pick(OWN_GROUPS),
            dice.pick(sorted(HEAD_START_SECONDS)), now, not_before=dice.pick((0, 0, 0, 0, now + 1500, now + A_DAY_MS)),
        )  # fmt: skip
        is_new = self._place(name, made, "new")
        assert is_new == (name not in self.rows)
        if is_new:
            self.rows[name] = made
        self._same(lambda: self.queue.enqueue(self._told(name, made), mode="new"), answer=False)

    def ask_again(self, dice: Dice) -> None:
        """An ended job is retried by a person."""
        ended = [name for name, row in self.rows.items() if not row.open and self._state(name) not in OPEN]
        if not ended:
            return
        row = self.rows[name := dice.pick(sorted(ended))]
        row.open, row.in_flight, row.cancel, row.waits, row.not_before = True, False, False, False, 0
        assert self._place(name, row, "reopen")
        self._same(lambda: self.queue.enqueue(self._told(name, row), mode="reopen"), answer=False)

    def wake(self, dice: Dice) -> None:
        """What it waited for is there."""
        found = [name for name, row in self.rows.items() if row.open]
        if not found:
            return
        row = self.rows[name := dice.pick(sorted(found))]
        row.waits, row.not_before = False, 0
        self._place(name, row, "wake")
        self._same(lambda: self.queue.enqueue(self._told(name, row), mode="wake"), answer=False)

    def cancel(self, dice: Dice) -> None:
        # Whoever stands for others that are parked is asked for most.
        standing = {
            name for name in self.model.tasks for group in self.model.groups_of(name) if self._holds_back(group)
        }
        ready = sorted(name for name in standing if self._state(name) == "ready")
        name = dice.pick((*sorted(name for name, row in self.rows.items() if row.open), *ready, *ready, *IDS[:3]))
        row = self.rows.get(name)
        in_flight = row is not None and row.in_flight
        if row is not None and row.open:
            row.cancel, row.open = True, in_flight
        self._note(self.queue.cancel(name, in_flight=in_flight), self.model.cancel(name, in_flight=in_flight))
        self._same(lambda: self.queue.cancel(name, in_flight=in_flight), answer=self._state(name) or "none")

    def limit(self, dice: Dice) -> None:
        group, most = dice.pick(GROUPS), dice.pick((None, None, 0, 1, 1, 2))
        if most is None:
            self.limits.pop(group, None)
        else:
            self.limits[group] = most
        set_limit(self.queue, group, most)
        self.model.limit(group, most)

    def a_gate_is_narrow(self, dice: Dice) -> None:
        """Three more jobs for a group of which one may run, and workers for them."""
        group, queue = dice.pick(("vendor", "gpu")), dice.pick(QUEUES)
        self.limits[group] = 1
        set_limit(self.queue, group, 1)
        self.model.limit(group, 1)
        free = [name for name in IDS if name not in self.rows and name not in self.model.tasks]
        for name in free[:3]:
            groups = dice.pick(((group,), ("vendor", "gpu")))
            self.rows[name] = Row(queue, dice.pick(TENANTS), dice.pick(PIPELINES), groups, "normal", self.clock.ms)
            self._place(name, self.rows[name], "new")
        for seat in [seat for seat in SEATS if seat not in self.held][:2]:
            self._claim(seat, (queue,), self._nonce())

    def pause(self, dice: Dice) -> None:
        queue = dice.pick(QUEUES)
        self.redis.hset(self.queue.key("paused"), queue, "1")
        self.model.paused.add(queue)

    def resume(self, dice: Dice) -> None:
        queue = dice.pick(QUEUES)
        end_pause(self.queue, queue)
        self.model.paused.discard(queue)
        self.deaf.discard(queue)

    def weigh(self, dice: Dice) -> None:
        tenant, weight = dice.pick(TENANTS), dice.pick((0.5, 1.0, 3.0))
        self.redis.hset(self.queue.key("weights"), tenant, f"{weight:g}")
        self.model.weights[tenant] = weight

    def push(self, dice: Dice) -> None:
        """Another program pushes onto a list."""
        value = f'{{"number":{self._next()}}}'
        if len(self.foreign) < 5:
            self.redis.rpush(self.queue.list_key(dice.pick(QUEUES)), value)
            self.foreign.add(value)

    # --- moves of workers

    def claim(self, dice: Dice) -> None:
        seat, wanted, popped = dice.pick(SEATS), dice.pick(SERVING), ("", "")
        if dice.pick((True, False)):
            lists = [name for name in wanted if name not in self.model.paused]
            found = next(((name, bell) for name in lists if (bell := self.redis.lpop(self.queue.list_key(name)))), None)
            popped = found or popped
        nonce, self.may_leak = self._nonce(), popped[0] != ""
        answer = self._claim(seat, wanted, nonce, popped)
        if isinstance(answer, Busy) and popped[0]:  # a worker claims for free slots only
            self.redis.rpush(self.queue.list_key(popped[0]), popped[1])
            return
        if popped[1] in self.model.tasks or not popped[0]:  # else it is kept for adoption, twice, which does no harm
            self._same(lambda: self.queue.claim(slot(seat, "0", *wanted), nonce=nonce, popped=popped), answer=answer)

    def a_bell_is_lost(self, dice: Dice) -> None:
        """A worker dies with what it popped."""
        queue = dice.pick(QUEUES)
        if queue not in self.model.paused and (bell := self.redis.lpop(self.queue.list_key(queue))):
            self.deaf.add(queue)
            self.foreign.discard(bell)

    def begin(self, dice: Dice) -> None:
        if self.held:
            self._begin(dice.pick(sorted(self.held)))

    def finish(self, dice: Dice) -> None:
        if not self.held or not self._begin(seat := dice.pick(sorted(self.held))):
            return
        row = self.rows[self.held[seat].job_id]
        row.open, row.in_flight = False, False
        self._finish(seat, dice.pick(("completed", "failed", "cancelled")), dice.pick((None, *SERVING)))

    def requeue(self, dice: Dice) -> None:
        """Given back: begun (then SQL says how), or before it began."""
        if not self.held:
            return
        seats = sorted(self.held)
        flagged = [seat for seat in seats if self._task(seat).cancel or self._task(seat).again]
        seat = dice.pick((*seats, *flagged, *flagged))
        row = self.rows.get(self.held[seat].job_id)
        delay_ms, into = dice.pick((0, 0, 0, 1500, A_DAY_MS)), self.held[seat].queue
        if dice.pick((True, False)):
            if row is None or not self._begin(seat):
                return
            delay_ms, into = dice.pick((delay_ms, delay_ms, -1)), dice.pick(QUEUES)
            row.in_flight, row.queue, row.waits = False, into, delay_ms < 0
            row.not_before = self.clock.ms + delay_ms if delay_ms > 0 else 0
        self._requeue(seat, into, delay_ms=delay_ms, following=dice.pick((None, *SERVING)))

    def beat(self, _dice: Dice) -> None:
        for seat, grant in self.held.items():
            self._note(self._beat(seat, grant), self.model.beat(grant.job_id, grant.token))

    def progress(self, dice: Dice) -> None:
        if not self.held:
            return
        grant, number = self.held[dice.pick(sorted(self.held))], dice.pick(range(4))
        value = dice.pick((-10.0, 0.0, 12.345, 40.0, 99.99, 200.0))
        told = self._progress(grant, number, value)
        self._note(told, self.model.progress(grant.job_id, grant.token, number, round(value, 2)))
        self._same(lambda: self._progress(grant, number, value), answer=False)

    def sweep(self, _dice: Dice) -> None:
        counts = self.queue.sweep(lease_seconds=LEASE_SECONDS, sweep_seconds=5)
        self._note(counts["expired"], self.model.sweep())
        assert counts["bad"] == 0
        self._see_who_lost()

    def lease_runs_out(self, dice: Dice) -> None:
        if self.held:
            name = self.held[dice.pick(sorted(self.held))].job_id
            self.redis.zadd(self.queue.key("leases"), {name: 1})
            self.model.tasks[name].lease = 1

    # --- moves of time, and faults

    def time_passes(self, dice: Dice) -> None:
        self.clock.advance(dice.pick((0.01, 1.0, 6.0, 14.0, 16.0, 31.0, 86_400.0)))

    def clock_is_put_back(self, _dice: Dice) -> None:
        self.newest_us = max(self.newest_us, self.clock.us)
        self.clock.advance(-10)
        for name, row in self.rows.items():
            # A Redis that forgets, and goes back too, may issue one again: SQL's fence refuses it, and is its next floor.
            task = self.model.tasks.get(name)
            row.tokens = [token for token in row.tokens if task and token <= max(task.token, task.floor)]

    def ended_is_forgotten(self, dice: Dice) -> None:
        """Its hour is over, and so is the time that SQL keeps it."""
        ended = [name for name, row in self.rows.items() if not row.open and self._state(name) not in OPEN]
        if ended:
            name = dice.pick(sorted(ended))
            self.redis.delete(self.queue.key(f"job:{name}"), self.queue.key(f"events:{name}"))
            self.model.tasks.pop(name, None)
            del self.rows[name]
            self.memory = []  # no rewind goes back so far
            self.stale = [one for one in self.stale if one[1].job_id != name]

    def a_zombie_speaks(self, dice: Dice) -> None:
        """I8: whatever an old token says changes nothing; unless SQL still gives the job to it."""
        if not self.stale:
            return
        owners = [one for one in self.stale if self._is_owner(*one)]
        seat, grant = dice.pick((*self.stale[-3:], *owners, *owners))
        row, task = self.rows.get(grant.job_id), self.model.tasks.get(grant.job_id)
        if task and (task.state, task.token) == ("running", grant.token):
            return  # a rewound Redis thinks so: only the fence in SQL stops it
        assert self._beat(seat, grant) == "lost"
        if row and self._is_owner(seat, grant):
            told = self._told(grant.job_id, row)
            adopted = self.queue.adopt(told, token=grant.token, lease_seconds=LEASE_SECONDS, slot=slot(seat))
            self._note(adopted, self.model.adopt(grant.job_id, grant.token, seat=f"{seat}#0"))
            if adopted:
                self.stale.remove((seat, grant))
                self.held[seat] = grant
            return
        before = read(self.queue)
        self.queue.finish(slot(seat), grant, status="completed")
        self.queue.requeue(slot(seat), grant, delay_seconds=60)
        self._progress(grant, 99, 99.0)
        changes = before.changes(read(self.queue))
        assert not changes, f"I8: {changes}"

    def redis_is_remembered(self, _dice: Dice) -> None:
        """What a rewind comes back to."""
        plain = self._plain()
        self.memory = [(key, max(0, plain.pttl(key)), plain.dump(key)) for key in plain.keys("*")]

    def redis_is_rewound(self, dice: Dice) -> None:
        self.redis.flushall()
        for key, ttl, value in self.memory:
            self._plain().restore(key, ttl, value)
        self._mend(dice)

    def redis_forgets(self, dice: Dice) -> None:
        self.redis.flushall()
        assert isinstance(self.queue.claim(slot("w9", "0", *QUEUES), nonce=self._nonce()), Rewound)
        self._mend(dice)

    def damage(self, dice: Dice) -> None:
        """An index, a list of bells, or something of one job is lost."""
        known = [name for name in self.model.tasks if self._agrees(name)]
        if not known:
            return
        name = dice.pick(sorted(known))
        task, key = self.model.tasks[name], self.queue.key
        ready, lane = f"ready:{task.queue}", f"lane:{task.queue}:{task.tenant}"
        place = {"ready": ready, "running": "leases", "parked": f"parked:{task.parked}:{task.queue}"}
        match dice.pick(("place", "lane", "field", "record", "key", "bells")):
            case "place":
                self.redis.zrem(key(place.get(task.state, "delayed")), name)
            case "lane":
                self.redis.zrem(key(lane), name)
            case "field" if task.state != "running" or self.rows[name].in_flight:
                self.redis.hdel(key(f"job:{name}"), dice.pick(("state", "token", "score", "tenant", "floor")))
            case "record" if task.state in {"ready", "delayed", "waiting"}:
                self.redis.delete(key(f"job:{name}"), key(f"events:{name}"))
            case "key" if len(known) == sum(task.state in OPEN for task in self.model.tasks.values()):
                kept = ("limits", "paused", "weights", "swept", "bad")
                self.redis.delete(key(dice.pick((ready, lane, f"fair:{task.queue}", "delayed", "leases", *kept))))
            case "bells":
                self.redis.delete(self.queue.list_key(task.queue))
        self._mend(dice)


# As often as they should come: in MOVES everything happens, in CROWDED many jobs meet narrow limits, without faults.
ENTER = ("enqueue", "enqueue", "enqueue", "ask_again", "ask_again")
OFTEN = (*ENTER, "claim", "claim", "claim", "claim", "begin", "finish", "finish", "requeue")
SOMETIMES = ("cancel", "wake", "limit", "sweep", "time_passes", "progress", "beat", "lease_runs_out", "a_zombie_speaks")
SELDOM = ("pause", "resume", "resume", "push", "ended_is_forgotten", "a_bell_is_lost", "clock_is_put_back")
SELDOM_TOO = ("a_gate_is_narrow", "weigh", "weigh")
FAULTS = ("redis_is_remembered", "redis_is_remembered", "redis_is_rewound", "redis_forgets", "damage", "damage")
MOVES = OFTEN * 4 + SOMETIMES * 2 + SELDOM + SELDOM_TOO + FAULTS
CROWDED = OFTEN * 4 + SOMETIMES * 2 + SELDOM_TOO * 2


def walk(queue: Queue, clock: Clock, seed: int, steps: int) -> list[str]:
    """A walk of a seed; the moves it made."""
    made, dice, trail = Walk(queue, clock), Seeded(seed), list[str]()
    moves = CROWDED if seed % 2 else MOVES
    for number in range(steps):
        trail.append(dice.pick(moves) if number > 8 else "enqueue")
        try:
            made.make(trail[-1], dice)
            made.check()
        except AssertionError as error:
            error.add_note(f"seed {seed}, step {number}: {', '.join(trail[-12:])}")
            raise
    return trail
