"""SIGKILL: the lease runs out, another worker goes on, nothing finished is done again, nothing is left behind."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from database.engine import Database
from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.crews import (
    SHORT_LEASE,
    StartWorker,
    assert_completed_once,
    begins,
    enqueue,
    enqueue_many,
    events,
    executions,
    row,
    statuses,
    wait_for_agreement,
    wait_for_all,
    wait_for_status,
)
from tests.support.workers import suspend, wait_for


def lease_over(client: RedisClient, job_id: str) -> None:
    """Wait for the end of a dead worker's lease: before that, a worker that drains leaves the job alone."""
    wait_for(lambda: not client.queue.lease_alive(job_id), what=f"the end of the lease on {job_id}")


def kill_and_finish(client: RedisClient, start_worker: StartWorker, number: int, *, at_once: int = 1) -> None:
    """Kill a worker in the middle of a stage; another one takes over when the lease has run out."""
    enqueue(client, "a", stages=4, items=2, items_at_once=at_once, seconds=0.3)
    first = start_worker("worker-1", **SHORT_LEASE)
    first.wait_for_event("stage_started", stage=f"step_{number}", item="1")
    first.kill()
    found, done = row(client, "a"), executions(client, "a")
    assert (found["status"], found["in_flight"], found["crashes"]) == ("processing", True, 0)
    assert 2 * number - at_once <= len(done) <= 2 * number
    lease_over(client, "a")
    second = start_worker("worker-2", "--drain", **SHORT_LEASE)
    assert second.wait() == 0
    again = {(one["stage"] + "/" + one["item"]) for one in second.events("stage_started")}
    assert len(again) == 8 - len(done)
    assert not again & done.keys()
    assert second.events("swept")[0]["expired"] == 1
    assert_completed_once(client, crashes=1)
    assert begins(client) == {"a": 2}
    assert_agree(client, workers=0)


@pytest.mark.parametrize(
    "number", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow), 4]
)
def test_a_sigkill_in_any_stage_is_outlived(client: RedisClient, start_worker: StartWorker, number: int) -> None:
    kill_and_finish(client, start_worker, number)


def test_a_sigkill_while_items_run_side_by_side_is_outlived(client: RedisClient, start_worker: StartWorker) -> None:
    kill_and_finish(client, start_worker, 2, at_once=2)


def test_a_sigkill_on_postgresql_is_outlived(
    redis_url: str, postgres_database: Database, start_worker: StartWorker
) -> None:
    client = RedisClient(url=redis_url, database=postgres_database)
    kill_and_finish(client, start_worker, 2)
    client.close()


def test_a_job_that_kills_its_workers_is_quarantined_and_the_others_finish(
    client: RedisClient, start_worker: StartWorker
) -> None:
    enqueue(client, "bad", stages=2, crash_at=2)
    good = enqueue_many(client, 5, prefix="good", stages=2)
    env = {**SHORT_LEASE, "QUARANTINE_CRASHES": "2"}
    ends = []
    for number in range(4):
        lease_over(client, "bad")
        worker = start_worker(f"worker-{number}", "--drain", **env)
        ends.append(worker.wait())
        if ends[-1] == 0:
            break
    assert ends == [-signal.SIGKILL, -signal.SIGKILL, 0]
    found = row(client, "bad")
    assert (found["status"], found["crashes"], found["attempt"], found["in_flight"]) == ("quarantined", 2, 0, False)
    assert found["error_class"] == "Quarantined"
    assert executions(client, "bad") == {"step_1": 1}
    assert len(events(client, "bad", "quarantined")) == 1
    for job_id in good:
        assert row(client, job_id)["status"] == "completed"
        assert set(executions(client, job_id).values()) == {1}
    assert_agree(client, workers=0)
    # A person looks, and asks for it again: it counts anew.
    client.retry("bad")
    assert (row(client, "bad")["run"], row(client, "bad")["crashes"]) == (2, 0)
    client.cancel("bad")
    assert_agree(client, workers=0)


def test_a_worker_that_slept_past_its_lease_writes_nothing_any_more(
    client: RedisClient, start_worker: StartWorker
) -> None:
    enqueue(client, "a", stages=4, seconds=0.5)
    sleeper = start_worker("sleeper", **SHORT_LEASE)
    sleeper.wait_for_event("stage_started", stage="step_2")
    suspend(sleeper, client.database)
    other = start_worker("other", **SHORT_LEASE)
    other.wait_for_event("job_processing_started", job_id="a")
    sleeper.signal(signal.SIGCONT)
    wait_for_status(client, "a", "completed")
    wait_for(lambda: sleeper.events("stale_write_refused") or sleeper.events("job_lost"), what=sleeper.text)
    wait_for_agreement(client)
    assert row(client, "a")["owner"] == "other"
    assert set(executions(client, "a").values()) == {1}
    assert [one["worker_id"] for one in events(client, "a", "completed")] == ["other"]
    # It works on: its slot is free again.
    enqueue_many(client, 10)
    wait_for_all(client, "completed")
    assert sleeper.stop() == 0
    assert other.stop() == 0
    assert_agree(client, workers=0)


def test_a_cancelled_job_of_a_dead_worker_ends_without_running_again(
    client: RedisClient, start_worker: StartWorker
) -> None:
    enqueue(client, "a", stages=2, seconds=0.5)
    first = start_worker("worker-1", **SHORT_LEASE)
    first.wait_for_event("stage_started", stage="step_1")
    first.kill()
    assert client.cancel("a") == "processing"
    lease_over(client, "a")
    second = start_worker("worker-2", "--drain", **SHORT_LEASE)
    assert second.wait() == 0
    assert row(client, "a")["status"] == "cancelled"
    assert not second.events("stage_started")
    assert_agree(client, workers=0)


@pytest.mark.slow
def test_twenty_kills_lose_nothing(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue_many(client, 60, stages=3, seconds=0.05)
    env = {**SHORT_LEASE, "QUARANTINE_CRASHES": "0"}
    for number in range(6):
        worker = start_worker(f"worker-{number}", "--concurrency", "4", **env)
        wait_for(lambda w=worker: len(w.events("stage_completed")) >= 4 or statuses(client).keys() == {"completed"})  # type: ignore[misc]
        worker.kill()
    assert start_worker("last", "--drain", "--concurrency", "4", **env).wait(90) == 0
    wait_for_all(client, "completed")
    assert set(executions(client).values()) == {1}
    assert_agree(client, workers=0)


def offspring(state_dir: Path) -> dict[int, str]:
    """The living processes that a worker on this STATE_DIR has left or has: they inherit its environment."""
    mark, found = f"STATE_DIR={state_dir}".encode(), {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def test_a_killed_worker_leaves_no_child_behind(
    client: RedisClient, start_worker: StartWorker, state_dir: Path
) -> None:
    words = {"product_name": "Nova Flask", "style": "minimal", "cta_text": "Buy Now", "duration_seconds": 8}
    client.enqueue_job("film", words)
    worker = start_worker("worker-1", **SHORT_LEASE)
    worker.wait_for_event("stage_started", 60, stage="voice_gen")
    wait_for(
        lambda: len(offspring(state_dir)) > 1, what=lambda: f"a child (now {offspring(state_dir)}): {worker.text()}"
    )
    worker.kill()
    wait_for(lambda: not offspring(state_dir), 10, what=lambda: f"the end of {offspring(state_dir)}")
    client.cancel("film")
    lease_over(client, "film")
    assert start_worker("worker-2", "--drain", **SHORT_LEASE).wait() == 0
    assert row(client, "film")["status"] == "cancelled"
    assert_agree(client, workers=0)
