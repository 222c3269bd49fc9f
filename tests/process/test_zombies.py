"""Workers that sleep past their lease and wake up, and a Redis that does: nobody's work is done twice, and none is lost.

A sleeper is stopped exactly before one durable step (tests/support/points.py), so that this very step is the first
thing it does when it wakes up.
"""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import text

from tests.soak import ledger
from tests.soak.forks import Forked, ForkServer
from tests.soak.house import House, open_house
from tests.soak.jobs import Spec, plain
from tests.soak.measure import STALE, log_events
from tests.soak.rules import broken_rules
from tests.support.agree import assert_agree
from tests.support.crews import SECOND, hold
from tests.support.workers import is_stopped, wait_for

# Before which step it sleeps, and a job that leads there. The last word: whether SQL had the job in flight by then.
SLEEPS: dict[str, tuple[dict[str, Any], bool]] = {
    "sql begin": ({"stages": 2}, False),
    "redis progress": ({"stages": 2}, True),
    "sql checkpoint": ({"stages": 2}, True),
    "sql complete": ({"stages": 2}, True),
    "redis finish": ({"stages": 2}, False),
    "sql release": ({"stages": 2, "two_queues": True}, True),
    "redis requeue": ({"stages": 2, "two_queues": True}, False),
    "sql retry_later": ({"fail_at": 1, "fail_times": 1}, True),
    "sql fail": ({"fail_at": 1, "fail_kind": "permanent"}, True),
    "sql spawn": ({"children": 1}, True),
    "sql wait_for_children": ({"children": 1}, True),
}


def whole(house: House) -> dict[str, Any]:
    """Everything that stands of the jobs, in SQL and in Redis."""
    with house.database.read() as connection:
        tables = ("jobs", "stages", "events")
        rows = {name: connection.execute(text(f"SELECT * FROM {name} ORDER BY 1, 2, 3")).all() for name in tables}
    server, key = house.server.client(), house.client.queue.key
    ids = [row.id for row in rows["jobs"]]
    hashes = {one: server.hgetall(key(f"job:{one}")) for one in ids}
    return {**rows, "hashes": hashes, "events told": {one: server.xlen(key(f"events:{one}")) for one in ids}}


def test_whatever_a_sleeper_writes_is_refused_and_said(parent: ForkServer) -> None:
    with open_house(parent, seed=1, LEASE_SECONDS="10", BEAT_SECONDS="1", SWEEP_SECONDS="0.3") as house:
        sleepers = {}
        for number, (step, (payload, _)) in enumerate(SLEEPS.items()):
            house.enqueue([Spec(f"job-{number}", payload, ends=frozenset({"completed", "failed"}))])
            sleepers[step] = house.fork(hooks={"sleep_at": step})
            wait_for(partial(is_stopped, sleepers[step].pid), what=f"a worker that sleeps before {step}")
        other = house.fork("--concurrency", "4")
        wait_for(house.is_done, 150, what="the end of all jobs by the one worker that is awake")
        wait_for(lambda: _at_rest(house), what="rest")
        before = whole(house)
        for one in sleepers.values():
            one.signal(signal.SIGCONT)
        for step, (_, in_flight) in SLEEPS.items():
            if in_flight:
                wait_for(partial(_said, sleepers[step]), what=f"a line about {step}")
        # They are whole again: each takes a job of a storm that only all together can end.
        house.enqueue(plain(40, prefix="later", seconds=0.05))
        wait_for(house.is_done, 60, what="the end of the later jobs")
        after = whole(house)
        for name, was in before.items():
            now = after[name]
            assert was == (
                {one: now[one] for one in was} if isinstance(was, dict) else [row for row in now if row in was]
            )
        assert broken_rules(house.database) == []
        work = ledger.weigh(ledger.read(house.logs))
        assert (work.repeated, work.after_end, work.two_owners) == (0, 0, 0)
        for one in [*sleepers.values(), other]:
            one.signal(signal.SIGTERM)
            one.wait()
            assert parent.exit_code(one) == 0
        assert_agree(house.client, workers=0)


def _said(one: Forked) -> bool:
    """Of whichever job: on a busy machine the lease of an earlier sleeper's job ends before all have begun to sleep."""
    return any(event.get("job_id") for event in log_events(one.log_file, *STALE))


def _at_rest(house: House) -> bool:
    server, key = house.server.client(), house.client.queue.key
    return not server.exists(key("leases"), key("delayed"))


# -- Redis sleeps, and forgets -----------------------------------------------------------------------------------------


def test_redis_stopped_for_two_leases_and_then_rewound_under_running_jobs(parent: ForkServer, tmp_path: Path) -> None:
    """No stage is begun again, no crash is counted, pauses and limits hold."""
    with open_house(parent, seed=1) as house:
        house.client.limit("narrow", 2)
        house.client.pause(SECOND)
        house.enqueue([Spec("paused-1", {"stages": 2}, {"queue": SECOND})])
        house.enqueue(plain(4, prefix="first", seconds=1.5))
        house.fork("--concurrency", "8")
        wait_for(lambda: len(house.in_flight()) == 4, what="four running jobs")
        house.enqueue(plain(6, prefix="narrow", seconds=0.2, groups=("narrow",)))
        house.server.stop()
        hold(2 * house.lease)
        house.server.go_on()
        wait_for(lambda: _done(house, "first-", "narrow-") == 10, 60, what=lambda: f"ten jobs: {_log(house)}")
        _nothing_is_counted(house)

        house.server.copy(tmp_path / "copy")
        house.client.limit("narrow", 3)  # Redis will not remember
        house.enqueue(plain(4, prefix="second", seconds=1.5))
        house.enqueue(plain(8, prefix="narrow-again", seconds=0.3, groups=("narrow",)))
        wait_for(lambda: len(house.in_flight()) == 7, what="four more running jobs, and three of the group")
        house.server.kill()
        house.server.put_back(tmp_path / "copy")
        house.server.start()
        house.client.close()
        wait_for(lambda: _done(house, "second-", "narrow-again-") == 12, 60, what=lambda: f"12 jobs: {_log(house)}")
        _nothing_is_counted(house)
        lines = [line for line in ledger.read(house.logs) if line.job.startswith("narrow")]
        assert ledger.weigh(lines).most_at_once == 3
        assert not house.has_begun("paused-1")
        house.client.resume(SECOND)
        wait_for(house.is_done, what="the job of the queue that was paused")
        _nothing_is_counted(house)


def _done(house: House, *prefixes: str) -> int:
    with house.database.read() as connection:
        rows = connection.execute(text("SELECT id FROM jobs WHERE status = 'completed'")).scalars()
        return sum(one.startswith(prefixes) for one in rows)


def _log(house: House) -> str:
    return house.workers[0].log_file.read_text()[-3000:]


def _nothing_is_counted(house: House) -> None:
    work = ledger.weigh(ledger.read(house.logs))
    assert (work.again, work.repeated, work.two_owners) == (0, 0, 0)
    with house.database.read() as connection:
        columns = "SELECT sum(crashes), sum(attempt) FROM jobs"
        assert tuple(connection.execute(text(columns)).one()) == (0, 0)
    assert broken_rules(house.database) == []
