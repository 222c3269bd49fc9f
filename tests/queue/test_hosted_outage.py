"""A vendor is away for an hour: nothing fails, it is hardly asked, and everything is done when it is back."""

from __future__ import annotations

import pytest

from database.engine import Database
from pipeline.providers.replicate_call import MOST_FAILED_LOOKS
from redis_client.client import RedisClient
from redis_client.gates import FAILURES_IN_A_ROW
from tests.stub.server import Stub
from tests.support.actors import keep_time
from tests.support.edits import Clock, use_scripts
from tests.support.hosted import (
    CLAUDE,
    CLAUDE_CALLS,
    CLIPS,
    FACTS,
    VOICE,
    Setting,
    books,
    cut_short,
    host_everything,
    prepare_answers,
    quick_stub,
)
from tests.support.points import Life

pytest_plugins = ("tests.stub.fixtures",)

HOUR, QUARTER, STEP = 3600.0, 900.0, 20.0
SCENES = 2
# After the breaker has opened: after 30 s, 60, 120, 240, and then every 300.
PROBES = 4 + 11


@pytest.fixture
def clock(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Redis and SQLite stand still until this one moves."""
    found = Clock()
    use_scripts(monkeypatch, clock=found)
    keep_time(sqlite_database, found)
    return found


def work_for(life: Life, clock: Clock, seconds: float) -> None:
    until = clock.seconds + seconds
    while clock.seconds < until:
        life.round()
        while life.take_and_run():
            pass
        clock.advance(STEP)


@pytest.fixture
def life(clock: Clock, client: RedisClient, stub: Stub, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> Life:
    host_everything(setting, stub)
    setting("MIN_FREE_MB", 0)
    monkeypatch.setattr("database.engine._database", client.database)  # a changed setting forgets it
    cut_short(monkeypatch)
    quick_stub(monkeypatch)
    prepare_answers(stub, SCENES)
    found = Life(client, "worker")
    found.start()
    return found


def outage(life: Life, clock: Clock, stub: Stub, vendor: str, jobs: list[str], method: str = "POST") -> int:
    """An hour without a vendor, and some minutes with it again; how often it was asked in that hour."""
    stub.faults("status", vendor=vendor, method=method, status=503, n=None)
    for job_id in jobs:
        life.client.enqueue_job(job_id, FACTS, tenant=job_id)
    work_for(life, clock, HOUR)
    found = [life.client.get_job(job_id) for job_id in jobs]
    assert {one["status"] for one in found} <= {"pending", "waiting"}, [one["error"] for one in found]
    asked = sum(one.status == 503 for one in stub.requests(vendor, method=method))
    stub.forgive()
    work_for(life, clock, QUARTER)
    life.end()
    return asked


def assert_done(client: RedisClient, stub: Stub, jobs: list[str]) -> None:
    found = [books(client, stub, job_id) for job_id in jobs]
    assert [client.get_job(job_id)["status"] for job_id in jobs] == ["completed"] * len(jobs)
    assert [one.answers for one in found] == [[1] * (CLAUDE_CALLS + 2 * SCENES)] * len(jobs)
    assert len(stub.charges()) == sum(len(one.answers) for one in found)
    assert found[0].reserved == pytest.approx(0, abs=1e-9)


ALONE = ["film"]
FOUR = [f"film-{number}" for number in range(4)]


@pytest.mark.parametrize(
    ("vendor", "jobs"),
    [
        (VOICE, FOUR),
        pytest.param(CLAUDE, ALONE, marks=pytest.mark.slow),
        pytest.param(CLAUDE, FOUR, marks=pytest.mark.slow),
        pytest.param(VOICE, ALONE, marks=pytest.mark.slow),
        pytest.param(CLIPS, ALONE, marks=pytest.mark.slow),
        pytest.param(CLIPS, FOUR, marks=pytest.mark.slow),
    ],
)
def test_an_hour_without_a_vendor_fails_no_job_and_hardly_asks_it(
    life: Life, clock: Clock, stub: Stub, vendor: str, jobs: list[str]
) -> None:
    asked = outage(life, clock, stub, vendor, jobs)
    assert 10 < asked <= FAILURES_IN_A_ROW + PROBES
    assert_done(life.client, stub, jobs)


@pytest.mark.slow
def test_an_hour_in_which_nobody_can_see_what_was_ordered_buys_nothing_twice(
    life: Life, clock: Clock, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.providers.replicate_call.LONGEST_WAIT_SECONDS", 0.01)
    asked = outage(life, clock, stub, CLIPS, FOUR[:2], method="GET")
    assert 10 < asked <= MOST_FAILED_LOOKS * (FAILURES_IN_A_ROW + SCENES + PROBES)
    assert_done(life.client, stub, FOUR[:2])
    assert len(stub.charges(CLIPS)) == 2 * SCENES


@pytest.mark.slow
def test_a_lost_answer_and_the_history_is_away_buys_nothing_twice(life: Life, clock: Clock, stub: Stub) -> None:
    """Speech is taken and its answer lost, and the history that would tell it cannot be read either."""
    stub.advance(clock.seconds - stub.now())  # the history is searched by time
    stub.faults("reset_after", vendor=VOICE, method="POST", n=1)
    outage(life, clock, stub, VOICE, ALONE, method="GET")
    assert_done(life.client, stub, ALONE)
