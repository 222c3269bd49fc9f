"""Rows in which workers sleep, are told to stop, run long, or in which the clock of Redis is put back."""

from __future__ import annotations

import signal
import time
from collections import Counter

from sqlalchemy import func, select

from database.tables import Event, Job
from tests.soak.carry import Every, carry, come_to_rest
from tests.soak.forks import Forked, ForkServer
from tests.soak.hooks import CLOCK, shifted_clock
from tests.soak.house import House, open_house
from tests.soak.jobs import Spec, mixed, plain
from tests.soak.measure import Result, measure, unsaid
from tests.soak.plan import Plan
from tests.support.workers import suspend

FLEET, SLOTS = 4, ("--concurrency", "4")
DRAIN_SECONDS = 25.0


def c7_zombies(parent: ForkServer, plan: Plan) -> Result:
    """SIGSTOP past the lease, then SIGCONT: every stale write is refused, and a line says so.

    Not within a commit: on SQLite everybody, this row too, would wait for the sleeper.
    """
    with open_house(parent, seed=plan.seed, LEASE_SECONDS="1", BEAT_SECONDS="0.3", SWEEP_SECONDS="0.3") as house:
        house.ask_for(plain(plan.jobs, seconds=0.1))
        house.crew(2 * FLEET, *SLOTS)
        asleep: dict[Forked, float] = {}
        stops = plan.pick(500, 20)

        def stop() -> None:
            awake = [one for one in house.workers if one not in asleep]
            if len(asleep) < FLEET:
                one = house.dice.choice(awake)
                suspend(one, house.database)
                asleep[one] = time.monotonic() + house.lease + house.dice.uniform(0.7, 1.2)
                house.note("stop", house.in_flight(one.name))

        def wake() -> None:
            for one in [one for one, until in asleep.items() if time.monotonic() >= until]:
                one.signal(signal.SIGCONT)
                del asleep[one]

        seconds = carry(house, [Every(0.3, stop, stops)], deadline=plan.deadline, watch=wake)
        found = measure(house, "C7", come_to_rest(house, seconds, plan.deadline), deaths_by_themselves=True)
        silent = unsaid(house)
        found.unsaid = len(silent)
        found.faults += [f"nothing is said of the stale claim of {one}" for one in silent[:3]]
        times = sum(blow.kind == "stop" for blow in house.blows)
        found.blows = f"{times} sleeps past the lease, {sum(len(blow.jobs) for blow in house.blows)} jobs under them"
        return found


def c8_long(parent: ForkServer, plan: Plan) -> Result:
    """Jobs of ten leases among short ones: each is begun once."""
    with open_house(parent, seed=plan.seed) as house:
        long = [Spec(f"long-{number}", {"stages": 1, "seconds": 10 * house.lease}) for number in range(8)]
        house.ask_for([*long, *mixed(plan.jobs, plan.dice())])
        house.crew(FLEET, *SLOTS)
        seconds = carry(house, deadline=plan.deadline)
        found = measure(house, "C8", come_to_rest(house, seconds, plan.deadline))
        begins = _begins(house)
        found.blows = f"{len(long)} jobs of ten leases"
        found.faults += [f"{one.id} was begun {begins[one.id]} times" for one in long if begins[one.id] != 1]
        return found


def c9_rolling(parent: ForkServer, plan: Plan) -> Result:
    """SIGTERM of one worker after the other: no attempt, no crash, each leaves within 25 s, with 0."""
    with open_house(parent, seed=plan.seed) as house:
        house.ask_for(mixed(plan.jobs, plan.dice(), seconds=0.1))
        house.crew(FLEET, *SLOTS)
        leaving: dict[Forked, float] = {}
        left: list[float] = []
        wrong: list[str] = []

        def roll() -> None:
            one = house.workers.pop(0)
            one.signal(signal.SIGTERM)
            leaving[one] = time.monotonic()
            house.gone.append(one)
            house.note("stop", house.in_flight(one.name))
            house.fork(*SLOTS)

        def look() -> None:
            for one in [one for one in leaving if not one.is_alive()]:
                one.wait()
                left.append(time.monotonic() - leaving.pop(one))
                if code := parent.exit_code(one):
                    wrong.append(f"{one.name} left with {code}")

        interval = 5.0 if plan.jobs > 1000 else 1.5
        seconds = carry(house, [Every(interval, roll)], deadline=plan.deadline, watch=look)
        end = come_to_rest(house, seconds, plan.deadline)
        look()
        found = measure(house, "C9", end)
        found.blows, found.notes = f"{len(left)} SIGTERMs", f"left within {max(left, default=0):.1f} s"
        found.faults += wrong + [f"{one.name} has not left" for one in leaving]
        if max(left, default=0) > DRAIN_SECONDS:
            found.faults.append(f"a worker took {max(left):.0f} s to leave")
        if found.crashes:
            found.faults.append(f"{found.crashes} crashes are counted for workers that left in order")
        return found


def c15_clock(parent: ForkServer, plan: Plan) -> Result:
    """The clock of Redis is put back by 10 s, again and again, while workers are killed: tokens still rise."""
    with shifted_clock(), open_house(parent, seed=plan.seed) as house:
        house.hooks["clock"] = True
        steps = plan.pick(6, 2)
        server = house.server.client()
        server.set(CLOCK, 10 * steps)
        house.ask_for(mixed(plan.jobs, plan.dice()))
        house.crew(FLEET, *SLOTS)

        def put_back() -> None:
            server.decrby(CLOCK, 10)
            house.note("clock")

        blows = [Every(4.0, put_back, steps), Every(1.0, lambda: house.kill_one(*SLOTS))]
        done = lambda: server.get(CLOCK) == "0"  # noqa: E731 - a row's own end
        seconds = carry(house, blows, deadline=plan.deadline + 60, until=done)
        server.delete(CLOCK)
        found = measure(house, "C15", come_to_rest(house, seconds, plan.deadline + 60))
        found.blows = f"{steps} times 10 s back, {sum(blow.kind == 'kill' for blow in house.blows)} kills"
        return found


def _begins(house: House) -> Counter[str]:
    query = select(Event.job_id, func.count()).where(Event.kind == "processing").group_by(Event.job_id)
    with house.database.read() as connection:
        return Counter({row[0]: row[1] for row in connection.execute(query)})


def crashes_of(house: House, prefix: str) -> int:
    """Crashes counted for the jobs of this name."""
    query = select(func.sum(Job.crashes)).where(Job.id.startswith(prefix))
    with house.database.read() as connection:
        return int(connection.execute(query).scalar_one() or 0)
