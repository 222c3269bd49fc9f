"""`init_db()`: the schema is brought up to date once, however many processes start at the same instant.

The version is read with one SELECT. Only when it differs, Alembic runs, in a child process (importing it
costs 0.4 s and 9 MB that no worker should carry), under a file lock or a PostgreSQL advisory lock.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from database.engine import Database, get_database
from errors import DatabaseUnavailable, HostTrouble
from settings import ROOT, child_environment

HEAD = "0003"
ADVISORY_LOCK = 0x57A6EC4E
MIGRATE_SECONDS = 300


def init_db(database: Database | None = None) -> None:
    """Create or upgrade the schema of `DATABASE_URL`; safe when many processes call it at once."""
    database = database or get_database()
    if _is_current(database, _version(database)):
        return
    with _migration_lock(database):
        if not _is_current(database, _version(database)):
            _run_alembic(database)


def _is_current(database: Database, version: str | None) -> bool:
    if version is None or version < HEAD:
        return False
    if version > HEAD:
        # A newer program has expanded the schema; expansions are safe for us until its floor passes us.
        floor = _floor(database)
        if floor > HEAD:
            raise HostTrouble(
                f"the database is at schema {version} and serves programs from {floor} on; this one knows {HEAD}: upgrade it"
            )
    return True


def _version(database: Database) -> str | None:
    try:
        with database.read() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except DatabaseUnavailable as error:
        if "no such table" in str(error):
            return None
        raise
    except DBAPIError as error:
        if "does not exist" in str(error.orig):
            return None
        raise


def _floor(database: Database) -> str:
    with database.read() as connection:
        return connection.execute(text("SELECT value FROM meta WHERE name = 'schema_floor'")).scalar() or "0000"


@contextmanager
def _migration_lock(database: Database) -> Iterator[None]:
    if not database.is_sqlite:
        with database.engine.connect() as connection, _advisory_lock(connection):
            yield
        return
    # Beside the file: processes with different STATE_DIRs may share one database.
    with Path(database.engine.url.database or "").with_name("migrate.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _advisory_lock(connection: Connection) -> Iterator[None]:
    for wait in ("lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {wait} = 0"))  # a migration may take as long as it must
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": ADVISORY_LOCK})


def _run_alembic(database: Database) -> None:
    """Run the migrations in a child, on this database: it need not be the one that the settings name."""
    done = subprocess.run(  # not process.py: that starts children without the secrets, this one needs a URL
        [sys.executable, "-m", "database.migrate"],
        cwd=ROOT,
        env=child_environment(DATABASE_URL=database.url),
        capture_output=True,
        text=True,
        timeout=MIGRATE_SECONDS,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise HostTrouble(f"the database schema could not be brought to {HEAD}: {last}")


def upgrade() -> None:
    """What the child does."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")


if __name__ == "__main__":
    upgrade()
