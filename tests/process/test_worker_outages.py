"""Redis and the database go away and come back: nothing is lost, nothing is burnt, nothing is done twice."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import embedded
from database.engine import Database
from database.migrate import init_db
from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.crews import (
    Setting,
    StartWorker,
    assert_completed_once,
    begins,
    enqueue_many,
    family,
    hold,
    mortal_redis,
    statuses,
    wait_for_agreement,
    wait_for_all,
)
from tests.support.servers import postgres_server
from tests.support.workers import WorkerProcess, wait_for


def in_the_middle(client: RedisClient, workers: list[WorkerProcess], done: int) -> None:
    """Wait until some jobs are done and others are not."""
    wait_for(
        lambda: statuses(client).get("completed", 0) >= done,
        what=lambda: f"{done} completed jobs: {statuses(client)} {workers[0].text()}",
    )
    assert statuses(client).keys() > {"completed"}, "too late: all are done"


def finish(client: RedisClient, workers: list[WorkerProcess]) -> None:
    """Everything completes, once; no attempt, no crash."""
    wait_for_all(client, "completed", deadline=90)
    assert_completed_once(client)
    wait_for_agreement(client)
    assert [worker.stop() for worker in workers] == [0] * len(workers)
    assert_agree(client, workers=0)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the write lock of an SQLite file."""
    other = sqlite3.connect(path, isolation_level=None, timeout=30)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_a_locked_sqlite_is_waited_for(client: RedisClient, start_worker: StartWorker, state_dir: Path) -> None:
    enqueue_many(client, 6, stages=4, seconds=0.3)
    worker = start_worker("worker-1", "--concurrency", "2")
    worker.wait_for_event("stage_started", stage="step_2")
    with locked(state_dir / "stagecrew.db"):
        hold(8)  # longer than SQLite itself waits
    assert worker.events("commit_deferred") or worker.events("host_trouble")
    finish(client, [worker])


def postmaster(client: RedisClient) -> int:
    with client.database.read() as connection:
        folder = connection.exec_driver_sql("SHOW data_directory").scalar_one()
    return int((Path(folder) / "postmaster.pid").read_text().split()[0])


@pytest.mark.slow
def test_a_postgresql_that_hangs_and_drops_everybody_is_waited_for(
    redis_url: str, postgres_database: Database, start_worker: StartWorker
) -> None:
    client = RedisClient(url=redis_url, database=postgres_database)
    enqueue_many(client, 6, stages=4, seconds=0.3)
    worker = start_worker("worker-1", "--concurrency", "2")
    worker.wait_for_event("stage_started", stage="step_2")
    stopped = family(postmaster(client))
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        hold(6)
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)
    with client.database.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )
    finish(client, [worker])
    client.close()


@pytest.mark.slow
def test_a_postgresql_that_crashes_and_recovers_is_waited_for(
    redis_url: str, start_worker: StartWorker, setting: Setting
) -> None:
    with postgres_server() as url:
        setting("DATABASE_URL", url)
        database = Database(url)
        init_db(database)
        client = RedisClient(url=redis_url, database=database)
        enqueue_many(client, 6, stages=4, seconds=0.3)
        worker = start_worker("worker-1", "--concurrency", "2")
        worker.wait_for_event("stage_started", stage="step_2")
        # kill -9 of one backend makes the postmaster drop them all and recover from its log.
        backends = family(postmaster(client))[1:]
        os.kill(backends[-1], signal.SIGKILL)
        database.dispose()
        wait_for(database.ping, what="PostgreSQL")
        finish(client, [worker])
        client.close()
        database.dispose()


def test_redis_killed_twice_in_the_middle_costs_nothing(
    sqlite_database: Database, start_worker: StartWorker, setting: Setting
) -> None:
    with mortal_redis() as server:
        setting("REDIS_URL", server.url)
        setting("SWEEP_SECONDS", 1)
        client = RedisClient(url=server.url, database=sqlite_database)
        enqueue_many(client, 40, stages=3, seconds=0.1)
        workers = [start_worker(f"worker-{number}", "--concurrency", "2") for number in range(2)]
        for worker in workers:
            worker.wait_for_event("worker_started")  # one that meets no Redis at its start leaves it to its manager
        for done in (4, 14):
            in_the_middle(client, workers, done)
            server.kill()
            hold(1.5)
            server.start()
            client.close()  # its connections are the old server's
        finish(client, workers)
        assert any(worker.events("beat_failed") or worker.events("host_trouble") for worker in workers)
        assert set(begins(client).values()) == {1}
        client.close()


@pytest.mark.slow
def test_redis_that_stops_for_two_leases_costs_nothing(
    sqlite_database: Database, start_worker: StartWorker, setting: Setting
) -> None:
    with mortal_redis() as server:
        for name, value in (
            ("REDIS_URL", server.url),
            ("LEASE_SECONDS", 2),
            ("BEAT_SECONDS", 0.5),
            ("SWEEP_SECONDS", 0.3),
        ):
            setting(name, value)
        client = RedisClient(url=server.url, database=sqlite_database)
        enqueue_many(client, 4, stages=4, seconds=1.5)
        worker = start_worker("worker-1", "--concurrency", "4")
        wait_for(lambda: len(worker.events("stage_started")) >= 4, what=worker.text)
        os.kill(server.pid, signal.SIGSTOP)
        hold(4)
        os.kill(server.pid, signal.SIGCONT)
        finish(client, [worker])
        assert set(begins(client).values()) == {1}
        assert len(worker.events("stage_started")) == 16
        client.close()


def test_a_flush_in_the_middle_changes_no_result(
    client: RedisClient, start_worker: StartWorker, setting: Setting
) -> None:
    setting("LEASE_SECONDS", 4)
    setting("BEAT_SECONDS", 1)
    setting("SWEEP_SECONDS", 0.5)
    enqueue_many(client, 50, stages=3, seconds=0.05)
    workers = [start_worker(f"worker-{number}", "--concurrency", "2") for number in range(2)]
    in_the_middle(client, workers, 5)
    client.get_client().flushall()
    in_the_middle(client, workers, 15)
    client.get_client().flushall()
    finish(client, workers)


def test_an_empty_redis_is_filled_from_sql_at_the_start(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue_many(client, 10, stages=2)
    client.get_client().flushall()
    worker = start_worker()
    finish(client, [worker])
    assert worker.events("reconciled", rebuilt=10)


def test_a_killed_embedded_redis_is_started_again(
    sqlite_database: Database, start_worker: StartWorker, state_dir: Path
) -> None:
    client = RedisClient(database=sqlite_database)
    try:
        enqueue_many(client, 12, stages=3, seconds=0.15)
        worker = start_worker("worker-1", "--concurrency", "2")
        in_the_middle(client, [worker], 3)
        before = int(client.get_client().info("server")["process_id"])
        os.kill(before, signal.SIGKILL)
        wait_for_all(client, "completed", deadline=60)
        client.close()
        assert int(client.get_client().info("server")["process_id"]) != before
        finish(client, [worker])
    finally:
        client.close()
        embedded.release()
