"""The command line of a worker, its exit codes, drain and --max-jobs, health, a disk that is almost full."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.crews import (
    MAIN,
    StartWorker,
    assert_completed_once,
    begins,
    enqueue,
    enqueue_many,
    row,
    statuses,
    wait_for_status,
)
from tests.support.workers import wait_for
from worker import Worker


def test_drain_does_what_is_due_within_the_minute_and_leaves_the_rest(
    client: RedisClient, start_worker: StartWorker
) -> None:
    enqueue_many(client, 5, stages=2)
    enqueue(client, "soon", delay=2)
    enqueue(client, "late", delay=120)
    worker = start_worker("worker-1", "--drain")
    assert worker.wait() == 0
    assert worker.events("worker_shutdown_complete", reason="drained")
    assert row(client, "soon")["status"] == "completed"
    assert row(client, "late")["status"] == "waiting"
    assert statuses(client) == {"completed": 6, "waiting": 1}
    assert_agree(client, workers=0)


def test_drain_of_nothing_ends_at_once(client: RedisClient, start_worker: StartWorker) -> None:
    worker = start_worker("worker-1", "--drain")
    assert worker.wait() == 0
    assert_agree(client, workers=0)


@pytest.mark.parametrize("slots", ["1", "3"])
def test_max_jobs_is_exact(client: RedisClient, start_worker: StartWorker, slots: str) -> None:
    enqueue_many(client, 12, seconds=0.02)
    worker = start_worker("worker-1", "--max-jobs", "5", "--concurrency", slots)
    assert worker.wait() == 0
    assert worker.events("worker_shutdown_complete", reason="max_jobs")
    assert statuses(client) == {"completed": 5, "pending": 7}
    assert len(begins(client)) == 5
    assert_agree(client, workers=0)


def test_a_worker_without_a_name_makes_one_up(client: RedisClient, start_worker: StartWorker) -> None:
    worker = start_worker("--drain")
    assert worker.wait() == 0
    name = worker.events("worker_started")[0]["worker_id"]
    assert re.fullmatch(r"[A-Za-z0-9._:@-]+-[0-9a-f]{6}", name)
    assert_agree(client, workers=0)


@pytest.mark.parametrize(
    ("arguments", "env", "code", "said"),
    [
        (("no-such-name!",), {}, 2, "no-such-name!"),
        (("w", "--concurrency", "0"), {}, 2, "--concurrency"),
        (("w", "--concurrency", "-3"), {}, 2, "--concurrency"),
        (("w", "--max-jobs", "-1"), {}, 2, "--max-jobs"),
        (("w", "--max-jobs", "many"), {}, 2, "--max-jobs"),
        (("w", "--queues", "video_generation_quue"), {}, 2, "did you mean 'video_generation_queue'"),
        (("w", "--queues", f"{MAIN}=0"), {}, 2, "1 to 256"),
        (
            (
                "w",
                "--nonsense",
            ),
            {},
            2,
            "--nonsense",
        ),
        (("w",), {"LEASE_SECONDS": "soon"}, 78, "LEASE_SECONDS='soon'"),
        (("w",), {"LEASE_SECONDS": "10", "BEAT_SECONDS": "9"}, 78, "BEAT_SECONDS=9"),
        (("w",), {"WORKER_QUEUES": "nowhere"}, 78, "nowhere"),
        (("w",), {"REDIS_URL": "gopher://x"}, 78, "REDIS_URL"),
        (("w",), {"DATABASE_URL": "mysql://x/y"}, 78, "DATABASE_URL"),
        (("w",), {"REDIS_URL": "unix:///nowhere/s"}, 75, "Redis does not answer"),
        (("w",), {"DATABASE_URL": "postgresql://nobody@/x?host=/nowhere"}, 75, "database"),
    ],
)
def test_what_is_wrong_at_the_start_ends_it_with_a_code_and_a_sentence(
    client: RedisClient,
    start_worker: StartWorker,
    arguments: tuple[str, ...],
    env: dict[str, str],
    code: int,
    said: str,
) -> None:
    worker = start_worker(*arguments, **env)
    assert worker.wait() == code, worker.text()
    assert said in worker.text()
    assert "Traceback" not in worker.text()
    assert_agree(client, workers=0)


def test_another_artifact_store_is_refused_with_a_sentence(
    client: RedisClient, start_worker: StartWorker, tmp_path: Path
) -> None:
    assert start_worker("worker-1", "--drain").wait() == 0
    worker = start_worker("worker-1", "--drain", ARTIFACT_STORE=str(tmp_path / "other"))
    assert worker.wait() == 78, worker.text()
    assert "ARTIFACT_STORE" in worker.text()
    assert "Traceback" not in worker.text()


def test_the_health_of_a_worker_that_does_not_run(client: RedisClient) -> None:
    health = Worker("worker-1", client=client).get_health_status()
    assert {name: health[name] for name in health if name != "timestamp"} == {
        "worker_id": "worker-1",
        "running": False,
        "current_job": None,
        "current_jobs": [],
        "redis_healthy": True,
        "database_healthy": True,
        "healthy": True,
        "trouble": None,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", health["timestamp"])


def test_a_running_worker_reports_itself(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a", seconds=30)
    worker = start_worker("worker-1", BEAT_SECONDS="0.5", HEALTH_SECONDS="0.5", SWEEP_SECONDS="0.2")
    wait_for(lambda: [one["jobs"] for one in client.workers()] == [["a"]], what="the record of the worker")
    assert client.workers()[0]["worker_id"] == "worker-1"
    wait_for(
        lambda: len(worker.events("health_check", redis_healthy=True, database_healthy=True)) > 1, what=worker.text
    )
    assert worker.stop() == 0
    assert client.workers() == []
    assert_agree(client, workers=0)


def test_a_disk_that_is_almost_full_stops_claims(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a")
    full = start_worker("full", MIN_FREE_MB="1000000000", HEALTH_SECONDS="0.5", SWEEP_SECONDS="0.3", BEAT_SECONDS="0.5")
    seen = wait_for(lambda: full.events("health_check"), what=full.text)
    assert "MIN_FREE_MB" in seen[0]["trouble"]
    wait_for(lambda: any("MIN_FREE_MB" in (one["trouble"] or "") for one in client.workers()), what="the trouble")
    wait_for(lambda: len(full.events("health_check")) > 2, what=full.text)
    assert row(client, "a")["status"] == "pending"
    good = start_worker("good")
    assert wait_for_status(client, "a", "completed")["owner"] == "good"
    assert full.stop() == 0
    assert good.stop() == 0
    assert not full.events("job_processing_started")
    assert not full.events("host_recovered")
    assert_completed_once(client)
    assert_agree(client, workers=0)
