"""What a program refuses at its start, before it can do harm: each with a sentence that says what to set."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import embedded
from database import meta
from database.engine import Database
from embedded.host import HOST, refuse_other_host
from errors import HostTrouble, InvalidInput
from redis_client.client import RedisClient
from redis_client.connection import Connections
from redis_client.queue import Queue
from tests.support.workers import WorkerProcess


@pytest.mark.parametrize("url", ["redis://10.0.0.5:6379/0", "redis://queue.internal", "redis://[2001:db8::1]:6379"])
def test_a_redis_on_another_machine_that_asks_for_nothing_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"neither a password nor TLS.*REDIS_ALLOW_INSECURE=true"):
        Connections(url).refuse_exposed()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://127.0.0.1",
        "redis://[::1]:6379",
        "unix:///tmp/redis.sock",
        "rediss://queue.internal",
        "redis://:secret@queue.internal",
    ],
)
def test_a_redis_that_is_near_or_guarded_is_taken(url: str) -> None:
    Connections(url).refuse_exposed()


def test_a_password_without_tls_is_warned_of(capfd: Any) -> None:
    with capture_logs() as logs:
        Connections("redis://:secret@queue.internal").refuse_exposed()
    assert [(entry["event"], entry["host"]) for entry in logs] == [("redis_without_tls", "queue.internal")]


def test_a_setting_allows_the_exposed_one(setting: Callable[[str, object], None]) -> None:
    setting("REDIS_ALLOW_INSECURE", "true")
    Connections("redis://10.0.0.5:6379/0").refuse_exposed()


def test_an_exposed_redis_is_refused_before_anything_is_sent(start_worker: Any, sqlite_database: Database) -> None:
    worker: WorkerProcess = start_worker("worker-1", REDIS_URL="redis://192.0.2.1:6379/0")
    assert worker.wait() == 78
    assert "REDIS_ALLOW_INSECURE" in worker.text()


class _Old:
    def info(self, section: str) -> dict[str, str]:
        return {"redis_version": "6.0.16"} if section == "server" else {"maxmemory_policy": "noeviction"}


def test_an_old_redis_is_refused() -> None:
    from redis_client.connection import _refuse_unfit

    with pytest.raises(HostTrouble, match=r"Redis is 6\.0\.16: it must be 6\.2 or newer"):
        _refuse_unfit(_Old())  # type: ignore[arg-type]


# --- one Redis, two databases


def test_a_namespace_that_holds_the_jobs_of_another_database_is_refused(
    client: RedisClient, redis_url: str, tmp_path: Path
) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    other = RedisClient(url=redis_url, database=Database(f"sqlite:///{tmp_path / 'other.db'}"))
    with pytest.raises(InvalidInput, match=r"another database.*QUEUE_NAMESPACE"):
        other.enqueue_job("b", {}, pipeline="selftest")
    elsewhere = RedisClient(url=redis_url, namespace="elsewhere", database=other.database)
    elsewhere.enqueue_job("c", {}, pipeline="selftest")


def test_a_flushed_namespace_is_bound_again_by_its_reconciler(client: RedisClient) -> None:
    from redis_client.reconcile import reconcile

    client.enqueue_job("a", {}, pipeline="selftest")
    client.get_client().flushall()
    reconcile(client.queue, client.database, lease_seconds=30, untouched_seconds=0)
    with pytest.raises(InvalidInput):
        Queue(client.queue.connections).bind("somebody else")


# --- one host only


@pytest.fixture
def another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is on another machine from now on."""
    monkeypatch.setattr("settings.this_host", lambda: ("second", "boot-2"))


def test_the_second_host_is_told_what_to_set(sqlite_database: Database) -> None:
    meta.bind_host(sqlite_database, "first", "boot-1")
    with pytest.raises(HostTrouble, match=r"used by the host first now.*set DATABASE_URL to a PostgreSQL"):
        meta.bind_host(sqlite_database, "second", "boot-2")


@pytest.mark.parametrize(("name", "boot"), [("second", "boot-9"), ("first", "boot-2")])
def test_a_reboot_and_a_container_are_no_other_host(sqlite_database: Database, name: str, boot: str) -> None:
    meta.bind_host(sqlite_database, name, boot)
    meta.bind_host(sqlite_database, "second", "boot-2")


def test_a_host_that_left_long_ago_hinders_nobody(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    meta.bind_host(sqlite_database, "first", "boot-1")
    monkeypatch.setattr(meta, "SILENT_MS", 0)
    meta.bind_host(sqlite_database, "second", "boot-2")


def test_a_postgresql_serves_every_host(postgres_database: Database) -> None:
    meta.bind_host(postgres_database, "first", "boot-1")
    meta.bind_host(postgres_database, "second", "boot-2")


def test_an_embedded_redis_that_another_host_runs_is_refused(state_dir: Path, another_host: None) -> None:
    import os

    folder = state_dir / "redis"
    folder.mkdir()
    (folder / HOST).write_text("first\nboot-1")
    with pytest.raises(HostTrouble, match=r"runs on the host first.*set REDIS_URL"):
        embedded.ensure(state_dir)
    os.utime(folder / HOST, (1, 1))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        refuse_other_host(descriptor)  # silent for long: it has left
    finally:
        os.close(descriptor)
