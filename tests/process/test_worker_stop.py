"""SIGTERM and SIGINT: jobs go back to the front of their queue, nothing is burnt, nothing finished is done again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.crews import (
    Setting,
    StartWorker,
    assert_completed_once,
    enqueue,
    enqueue_many,
    executions,
    family,
    mortal_redis,
    row,
    statuses,
    wait_for_agreement,
    wait_for_all,
    wait_for_status,
)
from tests.support.workers import WorkerProcess, wait_for

SHUTDOWN_SECONDS = 20.0


def reach(worker: WorkerProcess, number: int) -> None:
    """Wait until the second item of a stage is at work."""
    worker.wait_for_event("stage_started", stage=f"step_{number}", item="1")


def assert_handed_back(client: RedisClient, job_id: str) -> None:
    found = row(client, job_id)
    assert (found["status"], found["attempt"], found["crashes"], found["in_flight"]) == ("pending", 0, 0, False)
    assert set(executions(client, job_id).values()) == {1}


def stop_and_finish(
    client: RedisClient, start_worker: StartWorker, number: int, signal_number: int = signal.SIGTERM
) -> None:
    """Stop a worker in the middle of a stage; another one does what is left."""
    enqueue(client, "a", stages=4, items=2, seconds=0.4)
    first = start_worker("worker-1")
    reach(first, number)
    first.signal(signal_number)
    told = time.monotonic()
    assert first.wait() == 0
    assert time.monotonic() - told < SHUTDOWN_SECONDS
    assert first.events("worker_shutdown_complete")[0]["reason"] == "signal"
    assert first.events("job_requeued")[0]["reason"] == "shutdown"
    assert_handed_back(client, "a")
    assert len(executions(client, "a")) == 2 * number - 1
    assert_agree(client, workers=0)
    assert client.workers() == []
    second = start_worker("worker-2", "--drain")
    assert second.wait() == 0
    done = {(one["stage"], one["item"]) for one in second.events("stage_started")}
    assert len(done) == 8 - (2 * number - 1)
    assert_completed_once(client)
    assert_agree(client, workers=0)


@pytest.mark.parametrize(
    "number", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow), 4]
)
def test_a_sigterm_in_any_stage_hands_the_job_back_and_another_worker_finishes_it(
    client: RedisClient, start_worker: StartWorker, number: int
) -> None:
    stop_and_finish(client, start_worker, number)


def test_a_sigint_is_the_same(client: RedisClient, start_worker: StartWorker) -> None:
    stop_and_finish(client, start_worker, 2, signal.SIGINT)


def test_a_sigterm_on_postgresql_is_the_same(
    redis_url: str, postgres_database: object, start_worker: StartWorker
) -> None:
    client = RedisClient(url=redis_url, database=postgres_database)  # type: ignore[arg-type]
    stop_and_finish(client, start_worker, 3)
    client.close()


def test_an_idle_worker_ends_fast(client: RedisClient, start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.wait_for_event("worker_started")
    wait_for(lambda: client.get_client().client_list(_type="normal"))
    wait_for(lambda: any(one["cmd"] == "blpop" for one in client.get_client().client_list()), what="a BLPOP")
    told = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - told < 2
    assert worker.events("worker_shutdown_complete", reason="signal")
    assert_agree(client, workers=0)


@pytest.mark.slow
def test_all_slots_hand_back(client: RedisClient, start_worker: StartWorker) -> None:
    ids = enqueue_many(client, 6, stages=4, seconds=0.5)
    first = start_worker("worker-1", "--concurrency", "4")
    wait_for(lambda: len(first.events("stage_started", stage="step_2")) >= 4, what=first.text)
    assert first.stop() == 0
    for job_id in ids:
        found = row(client, job_id)
        assert (found["status"], found["attempt"], found["crashes"], found["in_flight"]) == ("pending", 0, 0, False)
    assert_agree(client, workers=0)
    assert start_worker("worker-2", "--drain", "--concurrency", "6").wait() == 0
    assert_completed_once(client)
    assert_agree(client, workers=0)


def test_what_was_handed_back_goes_first(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "first", stages=4, seconds=0.3)
    first = start_worker("worker-1")
    first.wait_for_event("stage_started", stage="step_2")
    enqueue(client, "second")
    assert first.stop() == 0
    second = start_worker("worker-2", "--drain")
    assert second.wait() == 0
    assert [one["job_id"] for one in second.events("job_completed")] == ["first", "second"]
    assert_completed_once(client)
    assert_agree(client, workers=0)


def test_a_finished_stage_is_kept_though_the_signal_came_while_it_ran(
    client: RedisClient, start_worker: StartWorker
) -> None:
    # The stage looks at no signal until it has done its work: that work is then committed and not thrown away.
    enqueue(client, "a", stages=2, seconds=0, bytes=60_000_000)
    first = start_worker("worker-1")
    first.wait_for_event("stage_started", stage="step_1")
    assert first.stop() == 0
    wait_for_agreement(client, workers=0)
    assert start_worker("worker-2", "--drain").wait() == 0
    assert_completed_once(client)
    assert_agree(client, workers=0)


def test_a_stage_that_hears_nothing_is_left_at_the_deadline(
    client: RedisClient, start_worker: StartWorker, setting: Setting
) -> None:
    setting("SHUTDOWN_SECONDS", 2)
    enqueue(client, "good", stages=2, seconds=0.5)
    enqueue(client, "deaf", seconds=60, ignore_limits_at=1)
    worker = start_worker("worker-1", "--concurrency", "2")
    worker.wait_for_event("stage_started", job_id="deaf")
    worker.wait_for_event("job_completed", job_id="good")
    told = time.monotonic()
    assert worker.stop() == 0
    assert 1.5 < time.monotonic() - told < 10
    assert worker.events("worker_shutdown_complete")
    found = row(client, "deaf")
    assert (found["status"], found["attempt"], found["crashes"], found["in_flight"]) == ("pending", 0, 0, False)
    assert_agree(client, workers=0)


def test_a_second_signal_forces(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "deaf", seconds=60, ignore_limits_at=1)
    worker = start_worker("worker-1", SHUTDOWN_SECONDS="60", BEAT_SECONDS="0.3")
    worker.wait_for_event("stage_started")
    worker.signal(signal.SIGTERM)
    wait_for(lambda: client.workers()[0]["stopping"] == "signal", what=worker.text)
    worker.signal(signal.SIGTERM)
    told = time.monotonic()
    assert worker.wait() == 0
    assert time.monotonic() - told < 15
    found = row(client, "deaf")
    assert (found["status"], found["attempt"], found["crashes"], found["in_flight"]) == ("pending", 0, 0, False)
    assert_agree(client, workers=0)


def test_a_signal_while_it_finishes_its_last_jobs_still_has_its_time(
    client: RedisClient, start_worker: StartWorker
) -> None:
    # --max-jobs is reached long before the signal: the job gets the whole SHUTDOWN_SECONDS from the signal on.
    enqueue(client, "a", stages=8, seconds=0.5)
    worker = start_worker("worker-1", "--max-jobs", "1", SHUTDOWN_SECONDS="2")
    worker.wait_for_event("stage_started", stage="step_6")
    assert worker.stop() == 0
    assert [one["reason"] for one in worker.events("job_requeued")] == ["shutdown"]
    assert worker.events("job_requeued")[0].get("stage") is None
    assert worker.events("worker_shutdown_complete")
    assert_handed_back(client, "a")
    assert_agree(client, workers=0)


@contextmanager
def asleep(*pids: int) -> Iterator[None]:
    """These processes answer nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_it_ends_in_time_though_redis_hangs(
    sqlite_database: object, start_worker: StartWorker, setting: Setting
) -> None:
    with mortal_redis() as server:
        setting("REDIS_URL", server.url)
        client = RedisClient(url=server.url, database=sqlite_database)  # type: ignore[arg-type]
        enqueue(client, "a", stages=4, seconds=1)
        worker = start_worker("worker-1", SHUTDOWN_SECONDS="3", LEASE_SECONDS="2", BEAT_SECONDS="0.5")
        worker.wait_for_event("stage_started", stage="step_2")
        with asleep(server.pid):
            told = time.monotonic()
            assert worker.stop() == 0
            assert time.monotonic() - told < 3 + 10
            assert worker.events("worker_shutdown_complete")
            found = row(client, "a")
            assert (found["status"], found["attempt"], found["crashes"], found["in_flight"]) == ("pending", 0, 0, False)
        # Redis still says that it runs: its lease runs out, and no crash is counted since SQL has it back.
        setting("LEASE_SECONDS", 2)
        setting("BEAT_SECONDS", 0.5)
        setting("SWEEP_SECONDS", 0.3)
        assert start_worker("worker-2", "--drain").wait() == 0
        assert_completed_once(client)
        assert_agree(client, workers=0)
        client.close()


@pytest.mark.slow
def test_it_ends_in_time_though_the_database_hangs(
    redis_url: str, postgres_database: object, start_worker: StartWorker
) -> None:
    client = RedisClient(url=redis_url, database=postgres_database)  # type: ignore[arg-type]
    enqueue(client, "a", stages=4, seconds=0.5)
    with client.database.read() as connection:
        postmaster = _ppid(int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()))
    worker = start_worker("worker-1", SHUTDOWN_SECONDS="3", LEASE_SECONDS="2", BEAT_SECONDS="0.5", SWEEP_SECONDS="0.3")
    worker.wait_for_event("stage_started", stage="step_2")
    with asleep(*family(postmaster)):
        told = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - told < 3 + 10
        assert worker.events("worker_shutdown_complete")
    second = start_worker("worker-2", "--drain", LEASE_SECONDS="2", BEAT_SECONDS="0.5", SWEEP_SECONDS="0.3")
    assert second.wait() == 0
    wait_for_status(client, "a", "completed")
    assert set(executions(client, "a").values()) == {1}
    assert row(client, "a")["attempt"] == 0
    assert_agree(client, workers=0)
    client.close()


@pytest.mark.slow
def test_rolling_restarts_finish_everything_and_burn_nothing(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue_many(client, 30, stages=4, seconds=0.1)
    for number in range(6):
        worker = start_worker(f"worker-{number}", "--concurrency", "3")
        wait_for(lambda w=worker: len(w.events("stage_completed")) >= 6 or statuses(client).keys() == {"completed"})  # type: ignore[misc]
        assert worker.stop() == 0
        assert_agree(client, workers=0)
    assert start_worker("last", "--drain", "--concurrency", "4").wait() == 0
    wait_for_all(client, "completed")
    assert_completed_once(client)
    assert_agree(client, workers=0)


def _ppid(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
