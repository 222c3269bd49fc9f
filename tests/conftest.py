"""What every test stands on: a private STATE_DIR, a bare PATH, no inherited settings, and real servers from wheels."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
import structlog
from sqlalchemy import text

import log
from database.engine import Database, reset_database
from database.migrate import HEAD
from database.tables import Base
from redis_client import redis_client as global_client
from redis_client.client import RedisClient
from settings import Settings, get_settings
from tests.support.servers import bare_path, postgres_server, redis_server
from tests.support.workers import WorkerProcess
from tests.support.workers import start_worker as spawn_worker

LOG_SHOWN = 6000
CANARY = "{video_generation_queue}:canary"
SYSTEMD = ("INVOCATION_ID", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "WATCHDOG_USEC")


def make_schema(database: Database) -> None:
    """The tables without Alembic, which takes seconds; tests/process/test_database.py proves that both are one."""
    Base.metadata.create_all(database.engine)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def forget_settings() -> None:
    """Read the environment again at the next look; call it after changing a setting by monkeypatch.setenv."""
    get_settings.cache_clear()
    log._secrets.cache_clear()
    reset_database()


@pytest.fixture(scope="session")
def tool_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH that hides what this machine happens to have installed."""
    return bare_path(tmp_path_factory.mktemp("bin"))


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, tool_path: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A private STATE_DIR, and nothing of the outside: no settings, no `.env`, no systemd."""
    for name in (*(field.upper() for field in Settings.model_fields), *SYSTEMD):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("STATE_DIR", str(folder))
    monkeypatch.setenv("PATH", tool_path)
    forget_settings()
    yield folder
    global_client.close()
    global_client._is_ready = global_client._is_bound = False
    forget_settings()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], None]:
    """`setting("LEASE_SECONDS", 2)`: change a setting of this test (and of the processes it starts)."""

    def change(name: str, value: object) -> None:
        monkeypatch.setenv(name, str(value))
        forget_settings()

    return change


@pytest.fixture(scope="session")
def redis_of_session() -> Iterator[str]:
    """The URL of one redis-server for all tests; use `redis_url`, which empties it first."""
    with redis_server() as url:
        yield url


@pytest.fixture
def redis_url(redis_of_session: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty Redis; REDIS_URL names it too, for the processes a test starts."""
    with redis.Redis.from_url(redis_of_session) as server:
        server.flushall()
        server.config_set("maxmemory", 0)
        server.set(CANARY, 1)  # whole, as a first reconciler would leave it
    monkeypatch.setenv("REDIS_URL", redis_of_session)
    forget_settings()
    return redis_of_session


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite file with our tables."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    make_schema(database)
    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.dispose()
    return path


@pytest.fixture
def sqlite_database(state_dir: Path, sqlite_template: Path) -> Iterator[Database]:
    """The SQLite of this STATE_DIR: also what `get_database()` and started processes use."""
    shutil.copy(sqlite_template, state_dir / "stagecrew.db")
    database = Database(f"sqlite:///{state_dir / 'stagecrew.db'}")
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of one PostgreSQL for all tests; use `postgres_database`, which empties it first."""
    with postgres_server() as url:
        database = Database(url)
        make_schema(database)
        database.dispose()
        yield url


@pytest.fixture
def postgres_database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An empty PostgreSQL with our tables; DATABASE_URL names it too."""
    database = Database(postgres_url)
    with database.write() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())  # a TRUNCATE costs far more where there are a few rows
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    forget_settings()
    yield database
    database.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each of the two databases, migrated and empty."""
    found: Database = request.getfixturevalue("sqlite_database" if request.param == "sqlite" else "postgres_database")
    return found


@pytest.fixture
def client(redis_url: str, sqlite_database: Database) -> Iterator[RedisClient]:
    """The queue over an empty Redis and an empty SQLite."""
    made = RedisClient(url=redis_url, database=sqlite_database)
    yield made
    made.close()


@pytest.fixture
def any_client(redis_url: str, database: Database) -> Iterator[RedisClient]:
    """The queue over an empty Redis and each of the two databases."""
    made = RedisClient(url=redis_url, database=database)
    yield made
    made.close()


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """`start_worker("worker-1", "--drain", LEASE_SECONDS="2")`: a real worker; killed at the end of the test."""
    started: list[WorkerProcess] = []

    def start(name: str = "worker-1", *arguments: str, **env: str) -> WorkerProcess:
        worker = spawn_worker(tmp_path / "workers", name, *arguments, **env)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        print(f"{worker.name} ({worker.pid}):\n{worker.text()[-LOG_SHOWN:]}")  # seen where the test failed
