"""`init_db()` by many processes at one instant, on both databases; and the migrations make what the tables say."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from database.engine import Database
from database.migrate import HEAD, init_db
from database.tables import Base
from errors import HostTrouble
from tests.support.workers import ROOT

PROCESSES = 10
STARTER = """
import sys
from database import init_db
print("ready", flush=True)
sys.stdin.readline()
init_db()
from database.engine import get_database
from sqlalchemy import text
with get_database().read() as connection:
    print(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    connection.execute(text("SELECT count(*) FROM jobs"))
assert not [name for name in sys.modules if name.split(".")[0] == "alembic"], "a worker must not carry alembic"
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, state_dir: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{state_dir / 'fresh.db'}"
    url: str = request.getfixturevalue("postgres_url")
    server = Database(url)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE IF EXISTS fresh WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE fresh"))
    server.dispose()
    return url.replace("/postgres?", "/fresh?")


def differences(database: Database) -> list[Any]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def test_ten_processes_that_start_at_once_make_one_schema(empty_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": empty_url}
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("\n")
        starter.stdin.flush()
    for starter in starters:
        out, err = starter.communicate(timeout=120)
        assert (starter.returncode, out) == (0, f"{HEAD}\n"), err
    database = Database(empty_url)
    assert differences(database) == []
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
    init_db(database)
    database.dispose()


def test_the_tables_of_the_tests_are_those_of_the_migrations(database: Database) -> None:
    """conftest makes them without Alembic; what a migration makes was compared above."""
    assert differences(database) == []


def test_init_db_of_another_database_than_the_settings_makes_that_one(state_dir: Path) -> None:
    database = Database(f"sqlite:///{state_dir / 'other.db'}")
    init_db(database)
    assert differences(database) == []
    assert not (state_dir / "stagecrew.db").exists()
    database.dispose()


def set_version(database: Database, version: str, floor: str | None = None) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})
        if floor:
            connection.execute(text("INSERT INTO meta VALUES ('schema_floor', :floor)"), {"floor": floor})


def test_a_newer_schema_that_still_serves_us_is_left_alone(sqlite_database: Database) -> None:
    set_version(sqlite_database, "9999")
    init_db(sqlite_database)


def test_a_schema_that_serves_newer_programs_only_is_refused_in_a_sentence(sqlite_database: Database) -> None:
    set_version(sqlite_database, "9999", floor="9998")
    with pytest.raises(HostTrouble, match="serves programs from 9998 on"):
        init_db(sqlite_database)


def test_a_migration_that_cannot_run_is_told_in_a_sentence_without_the_password(
    setting: Callable[[str, object], None], tmp_path: Path
) -> None:
    url = f"postgresql+psycopg://user:marker-secret@/x?host={tmp_path}"
    setting("DATABASE_URL", url)
    with pytest.raises(HostTrouble) as caught:
        init_db()
    assert "marker" not in str(caught.value)
