"""Retries and their waits, time limits, cancel and retry by people, progress, branches."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import pytest

from database.engine import Database
from pipeline.faults import failure_of
from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.crews import (
    Setting,
    StartWorker,
    assert_completed_once,
    begins,
    enqueue,
    events,
    executions,
    hold,
    row,
    wait_for_agreement,
    wait_for_status,
)
from tests.support.workers import ROOT, WorkerProcess, wait_for

FAST = {"RETRY_BASE_SECONDS": "0.2"}
WAITS = [0.2, 0.4, 0.8]


def end(worker: WorkerProcess, client: RedisClient) -> None:
    """The worker stops in order, and SQL and Redis agree."""
    assert worker.stop() == 0, worker.text()
    assert_agree(client, workers=0)


def facts(client: RedisClient, job_id: str) -> tuple[Any, ...]:
    found = row(client, job_id)
    return tuple(found[name] for name in ("status", "attempt", "crashes", "in_flight"))


# -- retries -----------------------------------------------------------------------------------------------------------


def test_a_stage_is_retried_three_times_after_the_waits_of_the_table(
    any_client: RedisClient, start_worker: StartWorker
) -> None:
    client = any_client
    enqueue(client, "never", stages=3, fail_at=2)
    enqueue(client, "bug", stages=3, fail_at=2, fail_kind="bug", fail_times=2)
    enqueue(client, "no", stages=3, fail_at=2, fail_kind="permanent")
    worker = start_worker("worker-1", **FAST)
    wait_for_status(client, "never", "failed")
    wait_for_status(client, "bug", "completed")
    wait_for_status(client, "no", "failed")
    end(worker, client)

    assert facts(client, "never") == ("failed", 4, 0, False)
    assert (row(client, "never")["error_class"], row(client, "never")["error_stage"]) == ("Unreachable", "step_2")
    tries = events(client, "never", "retry_scheduled")
    assert [one["data"]["delay_seconds"] for one in tries] == WAITS
    assert [one["data"]["attempt"] for one in tries] == [1, 2, 3]
    assert events(client, "never", "failed")[0]["data"]["attempt"] == 4
    began = [one["at_ms"] for one in events(client, "never", "processing")]
    assert len(began) == 4
    for wait, failed, again in zip(WAITS, tries, began[1:], strict=True):
        assert again - failed["at_ms"] >= wait * 1000 - 2  # SQL's clock counts milliseconds
    assert executions(client, "never") == {"step_1": 1, "step_2": 0}

    assert facts(client, "bug") == ("completed", 0, 0, False)
    assert [one["data"]["error_class"] for one in events(client, "bug", "retry_scheduled")] == ["ZeroDivisionError"] * 2
    assert set(executions(client, "bug").values()) == {1}

    assert facts(client, "no") == ("failed", 1, 0, False)
    assert row(client, "no")["error_class"] == "InvalidInput"
    assert not events(client, "no", "retry_scheduled")
    assert worker.events("job_failed", job_id="no")


def test_only_the_failed_item_is_tried_again(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a", stages=2, items=3, fail_at=2, fail_times=2)
    worker = start_worker("worker-1", "--drain", RETRY_BASE_SECONDS="0.05")
    assert worker.wait(60) == 0
    started = [(one["stage"], one["item"]) for one in worker.events("stage_started")]
    assert [started.count(("step_1", str(item))) for item in range(3)] == [1, 1, 1]
    assert [started.count(("step_2", str(item))) for item in range(3)] == [3, 3, 3]  # each fails twice, alone
    assert [one["attempt"] for one in worker.events("stage_started", stage="step_2", item="2")] == [0, 1, 2]
    assert row(client, "a")["status"] == "completed"
    assert set(executions(client, "a").values()) == {1}
    assert_agree(client, workers=0)


def test_trouble_of_the_host_burns_nothing_and_starves_nobody(client: RedisClient, start_worker: StartWorker) -> None:
    # Its job always stands at the front of the queue; the others must get through all the same.
    enqueue(client, "sick", stages=2, fail_at=2, fail_kind="host")
    for number in range(3):
        enqueue(client, f"well-{number}", stages=2)
    worker = start_worker()
    for number in range(3):
        wait_for_status(client, f"well-{number}", "completed", deadline=30)
    wait_for(lambda: len(events(client, "sick", "requeued")) >= 3, what=worker.text)
    assert worker.events("host_trouble")
    assert worker.events("host_recovered")
    client.cancel("sick")
    assert wait_for_status(client, "sick", "cancelled")["attempt"] == 0
    assert facts(client, "sick")[2:] == (0, False)
    assert executions(client, "sick") == {"step_1": 1}
    wait_for_agreement(client)
    end(worker, client)


def test_what_an_error_says_can_always_be_stored() -> None:
    failure = failure_of("voice_gen", "", 1, ValueError("no file \udcff named a\0b"))
    assert failure.message == "no file \\udcff named ab"
    (failure.message + failure.detail).encode()
    assert "\0" not in failure.detail


# -- cancel and retry --------------------------------------------------------------------------------------------------


def test_queued_delayed_and_running_jobs_are_cancelled(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "runs", stages=3, seconds=20)
    worker = start_worker()
    worker.wait_for_event("stage_started", job_id="runs")
    enqueue(client, "queued")
    enqueue(client, "delayed", delay=600)
    assert client.cancel("queued") == "cancelled"
    assert client.cancel("delayed") == "cancelled"
    told = time.monotonic()
    assert client.cancel("runs") == "processing"
    wait_for_status(client, "runs", "cancelled")
    assert time.monotonic() - told < 5  # by the message, and not by the beat ten seconds later
    assert client.cancel("runs") == "cancelled"
    for job_id in ("queued", "delayed", "runs"):
        assert facts(client, job_id) == ("cancelled", 0, 0, False)
    enqueue(client, "next")
    wait_for_status(client, "next", "completed")
    assert begins(client).keys() == {"runs", "next"}
    end(worker, client)


def test_a_cancelled_and_a_failed_job_are_retried_and_keep_their_finished_stages(
    client: RedisClient, start_worker: StartWorker
) -> None:
    enqueue(client, "c", stages=4, seconds=0.4)
    enqueue(client, "f", stages=3, fail_at=3, fail_times=1)
    worker = start_worker("worker-1", "--concurrency", "2", MAX_RETRIES="0")
    worker.wait_for_event("stage_started", job_id="c", stage="step_3")
    client.cancel("c")
    wait_for_status(client, "c", "cancelled")
    client.retry("c")  # at once: Redis may not have heard of the end of the first run yet
    wait_for_status(client, "f", "failed")
    assert facts(client, "f") == ("failed", 1, 0, False)
    client.retry("f")
    wait_for_status(client, "c", "completed")
    wait_for_status(client, "f", "failed")  # a person's retry counts the tries anew: it fails once more
    for job_id in "cf":
        assert row(client, job_id)["run"] == 2
    assert executions(client, "c") == {f"step_{number}": 1 for number in range(1, 5)}
    assert {name: executions(client, "f")[name] for name in ("step_1", "step_2")} == {"step_1": 1, "step_2": 1}
    assert len(worker.events("stage_started", job_id="f")) == 4
    wait_for_agreement(client)
    end(worker, client)


def test_a_retry_right_after_the_end_is_never_forgotten(client: RedisClient, start_worker: StartWorker) -> None:
    worker = start_worker()
    enqueue(client, "a", stages=2, fail_at=2, fail_kind="permanent")
    for run in range(2, 12):
        wait_for_status(client, "a", "failed")
        client.retry("a")
        wait_for(lambda n=run: row(client, "a")["begins"] >= n, what=worker.text)  # type: ignore[misc]
    wait_for_status(client, "a", "failed")
    assert row(client, "a")["run"] == 11
    assert executions(client, "a") == {"step_1": 1, "step_2": 0}
    wait_for_agreement(client)
    end(worker, client)


# -- limits ------------------------------------------------------------------------------------------------------------


def test_the_soft_limit_of_a_stage_is_a_failed_try(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a", stages=1, seconds=30, stage_seconds=0.4)
    worker = start_worker("worker-1", **FAST, MAX_RETRIES="1")
    found = wait_for_status(client, "a", "failed")
    assert (found["attempt"], found["error_class"]) == (2, "TimedOut")
    assert found["error"] == "stage step_1 passed its limit of 0.4 s"
    assert [one["data"]["error_class"] for one in events(client, "a", "retry_scheduled")] == ["TimedOut"]
    end(worker, client)


def test_the_limit_of_a_job_counts_over_its_stages(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a", stages=6, seconds=0.4)
    worker = start_worker("worker-1", **FAST, TASK_SOFT_TIME_LIMIT="1", TASK_TIME_LIMIT="20")
    wait_for_status(client, "a", "completed")
    tries = events(client, "a", "retry_scheduled")
    assert tries
    assert "the job passed its limit of 1 s" in tries[0]["data"]["error"]
    assert_completed_once(client)
    end(worker, client)


def test_a_stage_that_ignores_its_limits_makes_the_worker_leave(
    client: RedisClient, start_worker: StartWorker, setting: Setting
) -> None:
    setting("TASK_SOFT_TIME_LIMIT", 3)
    setting("TASK_TIME_LIMIT", 3)
    setting("RETRY_BASE_SECONDS", 0.2)
    enqueue(client, "deaf", stages=2, items=2, seconds=60, ignore_limits_at=1)
    script = "import os, worker; worker.IGNORED_SECONDS = 1; os._exit(worker.main(['w', '--concurrency', '2']))"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for_status(client, "deaf", "processing")
        hold(2)
        enqueue(client, "other", stages=50, seconds=0.2)  # under way, and within its limits, when the worker leaves
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 70, output
    assert b"limits_ignored" in output
    assert b"worker_shutdown_complete" in output
    found = row(client, "deaf")
    assert (found["status"], found["attempt"], found["crashes"], found["in_flight"]) == ("waiting", 1, 0, False)
    assert found["error"] == "stage step_1 ignored its limit of 3 s"
    found = row(client, "other")
    assert (found["status"], found["attempt"], found["crashes"], found["in_flight"]) == ("pending", 0, 0, False)
    assert_agree(client, workers=0)


# -- progress and branches ---------------------------------------------------------------------------------------------


def told(client: RedisClient, job_id: str) -> list[dict[str, Any]]:
    return list(client.watch(job_id, timeout=30))


def assert_progress(stream: list[dict[str, Any]], boundaries: set[float]) -> None:
    values = [one["progress"] for one in stream]
    assert all(before <= after for before, after in pairwise(values)), values
    assert all(before["seq"] < after["seq"] for before, after in pairwise(stream))
    assert values[-1] == 100
    assert boundaries <= set(values), values
    assert stream[-1]["status"] == "completed"


def test_progress_never_falls_and_tells_each_boundary_across_a_retry_and_a_stop(
    client: RedisClient, start_worker: StartWorker
) -> None:
    enqueue(client, "plain", stages=4)
    enqueue(client, "hard", stages=4, items=2, seconds=0.3, fail_at=3, fail_times=1)
    first = start_worker("worker-1", **FAST)
    first.wait_for_event("stage_started", job_id="hard", stage="step_2")
    seen = [client.get_job_status("hard")["progress"]]
    assert first.stop() == 0
    seen.append(client.get_job_status("hard")["progress"])
    second = start_worker("worker-2", **FAST)
    wait_for(
        lambda: seen.append(client.get_job_status("hard")["progress"]) or seen[-1] == 100,  # type: ignore[func-returns-value]
        what=second.text,
    )
    assert seen == sorted(seen)
    wait_for_status(client, "hard", "completed")
    assert_progress(told(client, "plain"), {0, 25, 50, 75, 100})
    assert_progress(told(client, "hard"), {0, 25, 50, 75, 100})
    stages = [one["stage"] for one in told(client, "plain") if one["status"] == "processing"]
    assert stages == sorted(stages)
    assert_completed_once(client)
    end(second, client)


def test_branches_run_side_by_side_also_when_they_are_resumed(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a", stages=4, branches=3, seconds=2)
    first = start_worker("worker-1")
    wait_for(lambda: len(first.events("stage_started")) == 3, what=first.text)
    assert first.stop() == 0
    assert facts(client, "a") == ("pending", 0, 0, False)
    began = time.monotonic()
    second = start_worker("worker-2", "--drain")
    assert second.wait(60) == 0
    assert time.monotonic() - began < 4 * 2 + 3
    starts = second.events("stage_started")
    ends = {one["stage"]: one["timestamp"] for one in second.events("stage_completed")}
    assert max(one["timestamp"] for one in starts[:3]) < min(ends.values())  # all three began before the first ended
    assert {one["stage"] for one in starts[:3]} == {"step_1", "step_2", "step_3"}
    assert starts[3]["stage"] == "step_4"
    assert_completed_once(client)
    assert_agree(client, workers=0)


def test_a_failed_branch_lets_its_siblings_finish(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a", stages=4, branches=3, seconds=0.5, fail_at=2, fail_times=1)
    worker = start_worker("worker-1", "--drain", **FAST)
    assert worker.wait(60) == 0
    started = [one["stage"] for one in worker.events("stage_started")]
    assert {name: started.count(name) for name in set(started)} == {"step_1": 1, "step_2": 2, "step_3": 1, "step_4": 1}
    assert_completed_once(client)
    assert_agree(client, workers=0)


@pytest.mark.slow
def test_the_default_waits_are_two_four_and_eight_seconds(
    sqlite_database: Database, client: RedisClient, start_worker: StartWorker
) -> None:
    enqueue(client, "a", fail_at=1)
    worker = start_worker("worker-1", "--drain")
    assert worker.wait(60) == 0
    assert [one["data"]["delay_seconds"] for one in events(client, "a", "retry_scheduled")] == [2, 4, 8]
    assert facts(client, "a") == ("failed", 4, 0, False)
    assert_agree(client, workers=0)
