"""Every point between two durable steps of a job: the worker dies there, sleeps past its lease, is told to stop, or
Redis forgets; and the job comes to what it would have come to.

The points are found by watching (tests/support/points.py): a first run counts them, then each is visited in turn.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from database.engine import Database
from database.meta import raise_canary
from errors import DatabaseUnavailable
from redis_client.client import RedisClient
from redis_client.reconcile import _Lock
from tests.soak.rules import watch_rows
from tests.soak.trials import BRANCHES, LATE_CANCELS, SHAPES, Shape, Trial, undisturbed, visit
from tests.support.moves import begin, run_out, slot, sweep, take
from tests.support.points import (
    AFTER,
    BEFORE,
    OPEN,
    Act,
    Life,
    Points,
    points_on,
    remember,
    rewind,
)

EVERY_SHAPE = [pytest.param(one, id=name) for name, one in SHAPES.items()]


def shapes(*names: str) -> list[Any]:
    """Every shape; those that are not named are left to the long tests."""
    return [pytest.param(one, id=name, marks=() if name in names else pytest.mark.slow) for name, one in SHAPES.items()]


@pytest.fixture
def points(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Points]:
    with points_on(redis_url, monkeypatch) as found:
        yield found


@pytest.fixture
def fast(setting: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RETRY_BASE_SECONDS", 0.01), ("QUARANTINE_CRASHES", 3), ("MIN_FREE_MB", 0)):
        setting(name, value)
    monkeypatch.setattr("worker.near_misses", dict)  # it compares all names of the environment, at every start


# -- the worker dies ---------------------------------------------------------------------------------------------------


def kill_at_every_point(client: RedisClient, points: Points, its: Shape, where: str) -> None:
    trial = Trial(client, points, its)
    wanted = undisturbed(trial)

    def die(position: str, name: str) -> None:
        # A command has no moment between "about to be sent" and "sent".
        if position == where or (where == BEFORE and position == OPEN and name.startswith("redis")):
            points.kill()

    def check(_life: Life) -> None:
        crashes = trial.in_flight()
        trial.go_on()
        trial.check(wanted, crashes)

    visit(trial, lambda number: {number: die}, check)


@pytest.mark.parametrize("its", [*EVERY_SHAPE, pytest.param(BRANCHES, id="branches")])
@pytest.mark.usefixtures("fast")
def test_a_kill_after_any_durable_step_costs_nothing_but_the_work_it_hit(
    client: RedisClient, points: Points, its: Shape
) -> None:
    kill_at_every_point(client, points, its, AFTER)


# Before step n the world is as after step n - 1, so the rest of these are left to the long tests.
@pytest.mark.parametrize("its", shapes("items and queues"))
@pytest.mark.usefixtures("fast")
def test_a_kill_before_any_durable_step_leaves_nothing_half_done(
    client: RedisClient, points: Points, its: Shape
) -> None:
    kill_at_every_point(client, points, its, BEFORE)


@pytest.mark.parametrize("its", shapes("retry"))
@pytest.mark.usefixtures("fast")
def test_a_kill_after_any_durable_step_is_outlived_on_postgresql(
    redis_url: str, postgres_database: Database, points: Points, its: Shape
) -> None:
    client = RedisClient(url=redis_url, database=postgres_database)
    kill_at_every_point(client, points, its, AFTER)
    client.close()


# -- the worker sleeps past its lease, another one does the work, and it wakes up --------------------------------------


@pytest.mark.parametrize("where", [pytest.param(OPEN, marks=pytest.mark.slow), AFTER])
@pytest.mark.parametrize("its", shapes("items and queues", "failing child"))
@pytest.mark.usefixtures("fast")
def test_a_worker_that_sleeps_past_its_lease_at_any_point_writes_nothing_afterwards(
    client: RedisClient, points: Points, its: Shape, where: str
) -> None:
    trial = Trial(client, points, its)
    wanted = undisturbed(trial)

    def sleep(position: str, _name: str) -> None:
        if position == where:
            trial.sleep()

    def check(_life: Life) -> None:
        if trial.woke_at is None:
            return  # a command has no such position
        assert trial.whole() == trial.left
        trial.check(wanted, trial.expected)
        told = {one["event"] for one in trial.log} & {"stale_write_refused", "job_lost"}
        assert bool(told) == trial.holds, trial.log

    visit(trial, lambda number: {number: sleep}, check)


# -- Redis forgets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("healed", ["at once", "later"])
@pytest.mark.parametrize("its", shapes("failing child"))
@pytest.mark.usefixtures("fast")
def test_a_flush_at_any_point_changes_no_result_and_starts_no_stage_again(
    client: RedisClient, points: Points, its: Shape, healed: str
) -> None:
    trial = Trial(client, points, its)
    wanted = undisturbed(trial)
    starts = trial.starts()

    def flush(position: str, _name: str) -> None:
        if position == AFTER:
            client.get_client().flushall()
            if healed == "at once":
                trial.bystander().round()

    def check(_life: Life) -> None:
        trial.go_on()  # what was forgotten after the end is put away by others
        trial.check(wanted, {}, cancels=LATE_CANCELS)
        assert its.cancel_in or trial.starts() == starts

    visit(trial, lambda number: {number: flush}, check)


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("its", shapes("items and queues"))
@pytest.mark.usefixtures("fast")
def test_a_redis_that_forgets_its_last_steps_changes_no_result(
    client: RedisClient, points: Points, its: Shape, steps: int
) -> None:
    trial = Trial(client, points, its)
    wanted = undisturbed(trial)
    starts = trial.starts()
    held: list[Any] = []

    def look(position: str, _name: str) -> None:
        if position == OPEN:
            held[:] = [remember(client)]

    def forget(position: str, name: str) -> None:
        if position == OPEN and steps == 1:
            look(position, name)
        if position == AFTER and held:
            rewind(client, held[0])
            trial.bystander().worker.house._run_id = "another server"
            trial.bystander().round()

    def check(_life: Life) -> None:
        trial.go_on()  # what was forgotten after the end is put away by others
        trial.check(wanted, {}, cancels=LATE_CANCELS)
        assert its.cancel_in or trial.starts() == starts

    def acts(number: int) -> dict[int, Act]:
        held.clear()
        return {max(1, number - steps + 1): look, number: forget}

    visit(trial, acts, check)


# -- the worker is told to stop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("its", shapes("items and queues"))
@pytest.mark.usefixtures("fast")
def test_a_stop_at_any_point_burns_no_attempt_and_counts_no_crash(
    client: RedisClient, points: Points, its: Shape
) -> None:
    trial = Trial(client, points, its)
    wanted = undisturbed(trial)

    def stop(position: str, _name: str) -> None:
        if position == AFTER and trial.life is not None:
            worker = trial.life.worker
            worker.stopping = "signal"
            for running in worker.crew.running():
                running.stop.request("shutdown")

    def check(_life: Life) -> None:
        trial.go_on()
        trial.check(wanted, {}, cancels=LATE_CANCELS)

    visit(trial, lambda number: {number: stop}, check)


# -- the instrument ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fast")
def test_the_shapes_reach_every_write_of_a_worker(client: RedisClient, points: Points) -> None:
    watch_rows(client.database)
    seen: set[str] = set()
    for its in SHAPES.values():
        Trial(client, points, its).run({})
        seen.update(points.names)
    commits = {"begin", "checkpoint", "complete", "fail", "retry_later", "release", "cancelled", "wait_for_children"}
    commits |= {"insert_jobs", "spawn", "take_letters", "delivered", "request_cancel", "raise_canary"}
    scripts = {"enqueue", "claim", "beat", "progress", "finish", "requeue", "cancel", "sweep", "canary"}
    assert {f"sql {name}" for name in commits} | {f"redis {name}" for name in scripts} <= seen


@pytest.mark.usefixtures("fast")
def test_the_instrument_kills(client: RedisClient, points: Points) -> None:
    """After its death a life does nothing durable, whatever its handlers try."""
    watch_rows(client.database)
    trial = Trial(client, points, SHAPES["failure"])

    def die(position: str, _name: str) -> None:
        if position == BEFORE:
            points.kill()

    trial.run({})
    number = points.names.index("sql fail") + 1
    trial.run({number: die})
    assert points.names[-1] == "sql fail"
    assert len(points.names) == number
    assert trial.facts().jobs["a"][0] == "processing"


def strike(trial: Trial, points: Points, step: str, act: Act) -> None:
    """Run it in peace, and again with an act at the first step of this name."""
    trial.run({})
    trial.run({points.names.index(step) + 1: act})


# -- what these tests have found ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fast")
def test_a_cancel_is_heard_after_redis_was_flushed(client: RedisClient, points: Points) -> None:
    watch_rows(client.database)
    trial = Trial(client, points, SHAPES["cancel"])

    def flush(position: str, _name: str) -> None:
        if position == AFTER:
            client.get_client().flushall()

    strike(trial, points, "redis cancel", flush)
    assert trial.facts().jobs["a"][0] == "cancelled"


@pytest.mark.usefixtures("fast")
def test_a_worker_whose_lease_ran_out_begins_no_other_work(client: RedisClient, points: Points) -> None:
    watch_rows(client.database)
    trial = Trial(client, points, SHAPES["items and queues"])

    def sleep(position: str, _name: str) -> None:
        if position == AFTER:
            trial.sleep()

    strike(trial, points, "sql checkpoint", sleep)
    assert [line.work for line in trial.lines[trial.woke_at :] if line.what == "start"] == []


def test_a_claim_that_dies_before_its_begin_hides_no_crash(client: RedisClient) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    begin(client, take(client.queue, slot("w1"), "n1"), "label-w1")
    run_out(client.queue)
    sweep(client.queue)
    take(client.queue, slot("w2"), "n2")
    run_out(client.queue)
    sweep(client.queue)
    assert begin(client, take(client.queue, slot("w3"), "n3"), "label-w3").crashes == 1


def test_a_reconciler_that_dies_holds_the_others_up_for_a_few_seconds_only(client: RedisClient) -> None:
    lock = _Lock(client.queue, "w1")
    assert lock.take()
    assert client.get_client().pttl(client.queue.key("reconciler")) <= 2000


@pytest.mark.usefixtures("fast")
def test_a_lease_that_is_lost_before_the_begin_counts_no_crash(client: RedisClient, points: Points) -> None:
    watch_rows(client.database)
    trial = Trial(client, points, SHAPES["failure"])

    def flush(position: str, _name: str) -> None:
        if position == OPEN and trial.life is not None:
            client.get_client().flushall()
            for _ in range(2):  # the beat hears that the lease is gone, and the house asks SQL
                trial.life.round()

    strike(trial, points, "sql begin", flush)
    assert trial.facts().crashes == {"a": 0}


def test_a_worker_that_is_suspended_in_its_commit_holds_nobody_up_for_ever(postgres_database: Database) -> None:
    """Each round of housekeeping writes the canary: one worker that sleeps there must not stop all others."""
    raise_canary(postgres_database, 0)
    refused: list[DatabaseUnavailable] = []

    def write() -> None:
        try:
            raise_canary(postgres_database, 1)
        except DatabaseUnavailable as error:
            refused.append(error)

    other = threading.Thread(target=write, daemon=True)
    with postgres_database.write() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = value")
        other.start()
        other.join(8)
        assert refused
    other.join()
