"""Rows in which workers are killed: alone, with Redis, and with the end of Redis's log."""

from __future__ import annotations

from sqlalchemy import select

from database.tables import Event
from tests.soak.carry import Every, carry, come_to_rest
from tests.soak.forks import ForkServer
from tests.soak.house import House, open_house
from tests.soak.jobs import Spec, mixed
from tests.soak.measure import Result, measure
from tests.soak.plan import Plan
from tests.support.workers import start_worker, suspend, wait_for

FLEET, SLOTS = 4, ("--concurrency", "4")
BLOCK_SECONDS = 2.0


def c1_idle(parent: ForkServer, plan: Plan) -> Result:
    """SIGKILL of an idle, blocked worker at the moment of a push: the next one claims within block time + 1 s."""
    with open_house(parent, seed=plan.seed) as house:
        house.crew(2)
        late = 0.0
        for number in range(plan.pick(200, 8)):
            wait_for(lambda: _blocked(house) >= 2, what="two blocked workers")
            spec = Spec(f"job-{number:05}", {"stages": 1})
            victim = house.dice.choice(house.workers)
            way = house.dice.choice(("into its sleep", "before", "after"))
            if way == "into its sleep":  # Redis hands the job to a client that will never read it
                suspend(victim, house.database)
            if way != "after":
                house.enqueue([spec])
            house.bury(victim)
            had_it = way != "after" and house.client.queue.inspect(spec.id).worker == victim.name
            if way == "after":
                house.enqueue([spec])
            house.fork()
            wait_for(house.is_done, 30, what=f"the end of {spec.id}")
            if not had_it:  # else its lease had to run out first
                late = max(late, _waited(house, spec.id))
        found = measure(house, "C1", come_to_rest(house, 0.0, 1.0))
        found.blows = f"{len(house.specs)} kills of an idle worker at a push"
        found.notes = f"claimed within {late:.2f} s"
        if late > BLOCK_SECONDS + 1:
            found.faults.append(f"a job that no dead worker had claimed waited {late:.1f} s")
        return found


def _blocked(house: House) -> int:
    return sum(one["cmd"] == "blpop" and "b" in one["flags"] for one in house.server.client().client_list())


def _waited(house: House, job_id: str) -> float:
    """Seconds from its enqueue to its first begin."""
    query = select(Event.kind, Event.at_ms).where(Event.job_id == job_id).order_by(Event.id.desc())
    with house.database.read() as connection:
        times = {row.kind: row.at_ms for row in connection.execute(query)}
    return float(times["processing"] - times["enqueued"]) / 1000


def c2_kills(parent: ForkServer, plan: Plan) -> Result:
    """SIGKILL of one of four workers every 200 ms; each stage is paid for."""
    with open_house(parent, seed=plan.seed) as house:
        house.pay()
        house.ask_for(mixed(plan.jobs, plan.dice()))
        house.crew(FLEET, *SLOTS)
        seconds = carry(house, [_kills_of(house, plan)], deadline=plan.deadline)
        found = measure(house, "C2", come_to_rest(house, seconds, plan.deadline))
        found.blows = f"{_kills(house)} kills"
        _no_crash_missed(house, found)
        return found


def c2x_whole_processes(parent: ForkServer, plan: Plan) -> Result:
    """The same with whole processes, `python worker.py`, one of them killed every 2 s."""
    with open_house(parent, seed=plan.seed) as house:
        house.ask_for(mixed(plan.jobs, plan.dice()))
        live = [start_worker(house.logs, f"x{number:05}", *SLOTS, **house.env) for number in range(FLEET)]

        def kill() -> None:
            victim = live.pop(house.dice.randrange(FLEET))
            house.kill(victim)
            live.append(start_worker(house.logs, f"x{FLEET + len(house.blows):05}", *SLOTS, **house.env))

        try:
            seconds = carry(house, [Every(2.0, kill)], deadline=plan.deadline)
            end = come_to_rest(house, seconds, plan.deadline)
            end.codes.update({one.name: one.stop() for one in live})
        finally:
            for one in live:
                one.kill()
        found = measure(house, "C2x", end)
        found.blows = f"{_kills(house)} kills of whole processes"
        _no_crash_missed(house, found)
        return found


def c3_kills_and_redis(parent: ForkServer, plan: Plan) -> Result:
    """C2, and kill -9 of Redis every 3 s."""
    return _with_redis(parent, plan, "C3", cut=0.0)


def c4_cut_log(parent: ForkServer, plan: Plan) -> Result:
    """C3, and the last second of Redis's log is gone after each kill."""
    return _with_redis(parent, plan, "C4", cut=1.0)


def _with_redis(parent: ForkServer, plan: Plan, row: str, *, cut: float) -> Result:
    with open_house(parent, seed=plan.seed) as house:
        house.pay()
        house.ask_for(mixed(plan.jobs, plan.dice()))
        house.crew(FLEET, *SLOTS)
        lost: list[int] = []

        def kill_redis() -> None:
            house.server.kill()
            if cut:
                lost.append(house.server.cut(cut))
            house.server.start()
            house.redis_broke("redis killed")

        blows = [_kills_of(house, plan), Every(plan.pick(30, 20) / 10, kill_redis, plan.pick(100_000, 2))]
        seconds = carry(house, blows, deadline=plan.deadline, replace=SLOTS)
        found = measure(house, row, come_to_rest(house, seconds, plan.deadline))
        times = sum(blow.kind == "redis killed" for blow in house.blows)
        found.blows = f"{_kills(house)} kills, Redis {times} times"
        if cut:
            found.blows += f", {sum(lost) >> 10} KB cut off"
            found.notes = _healing(house)
        return found


def _healing(house: House) -> str:
    return f"right again in {max(house.healed):.1f} s at most" if house.healed else "never put right in between"


def c12_killer(parent: ForkServer, plan: Plan) -> Result:
    """A job that kills its worker, one among a thousand: quarantined after three deaths; all others finish."""
    with open_house(parent, seed=plan.seed, QUARANTINE_CRASHES="3") as house:
        specs = mixed(plan.jobs, plan.dice())
        bad = max(1, plan.jobs // 1000)
        for number in range(bad):
            at = (number * 2 + 1) * plan.jobs // (2 * bad)
            payload = {"stages": 3, "crash_at": 2, "seconds": 0.01}
            specs[at] = Spec(f"bad-{number:05}", payload, ends=frozenset({"quarantined"}))
        house.ask_for(specs)
        house.crew(FLEET)
        seconds = carry(house, deadline=plan.deadline, replace=())
        found = measure(house, "C12", come_to_rest(house, seconds, plan.deadline))
        found.blows = f"{bad} jobs that kill their worker"
        if found.crashes != 3 * bad:
            found.faults.append(f"{found.crashes} crashes, not {3 * bad}")
        return found


def _kills_of(house: House, plan: Plan) -> Every:
    """One every 200 ms; in a small run not to its end."""
    return Every(0.2, lambda: house.kill_one(*SLOTS), plan.pick(100_000, 25))


def _kills(house: House) -> int:
    return sum(blow.kind == "kill" for blow in house.blows)


def _no_crash_missed(house: House, found: Result) -> None:
    """Each job that was in flight at a death counts it, once; `measure` sees that nothing else is counted."""
    deaths = sum(len(blow.jobs) for blow in house.blows if blow.kind == "kill")
    if found.crashes != deaths:
        found.faults.append(f"{found.crashes} crashes are counted, {deaths} jobs were in flight at a death")
