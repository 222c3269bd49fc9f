"""The one place that builds an engine; short write transactions, one at a time a process on SQLite."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import orjson
from sqlalchemy import BigInteger, Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql.expression import FunctionElement

from errors import DatabaseUnavailable, InvalidInput
from settings import ROOT, get_settings

BUSY_TIMEOUT_MS = 5000
# A worker that is suspended in the middle of a commit holds the locks of its rows, until the server ends its session.
IDLE_TRANSACTION_MS = 30_000


class now_ms(FunctionElement[int]):  # noqa: N801 - reads as a SQL function
    """The database's own clock, in epoch milliseconds."""

    inherit_cache = True
    type = BigInteger()


@compiles(now_ms, "sqlite")
def _now_ms_sqlite(_element: object, _compiler: object, **_options: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_ms_postgresql(_element: object, _compiler: object, **_options: object) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


def to_json(value: Any) -> str:
    """JSON as the database keeps it."""
    return orjson.dumps(value).decode()


def from_json(value: Any) -> Any:
    """What `to_json` wrote; SQLite keeps a bare number in a JSON column as a number."""
    return value if isinstance(value, int | float) else orjson.loads(value)


def make_state_dir() -> None:
    """Make STATE_DIR; InvalidInput when it cannot be."""
    folder = get_settings().state_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"STATE_DIR={str(folder)!r} cannot be made: {error.strerror}") from None


def database_url() -> str:
    """`DATABASE_URL`, with our drivers filled in; without it SQLite in STATE_DIR."""
    settings = get_settings()
    if settings.database_url is None:
        return f"sqlite:///{settings.state_dir / 'stagecrew.db'}"
    text = settings.database_url.get_secret_value()
    try:
        url = make_url(text)
    except ArgumentError:
        raise InvalidInput("DATABASE_URL: not a database URL; write postgresql://user:password@host/name") from None
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidInput(f"DATABASE_URL: {url.get_backend_name()} is not served; use postgresql:// or sqlite:///")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InvalidInput("DATABASE_URL: name a file, sqlite:////var/lib/stagecrew/stagecrew.db for example")
        # From the checkout, like STATE_DIR: every process must mean the same file, wherever it was started.
        url = url.set(database=str(ROOT / url.database))
    return url.render_as_string(hide_password=False)


class _SqliteTransaction:
    """`Database.write()` on SQLite: the hot path of every job, so a plain class on the thread's own connection."""

    __slots__ = ("_connection", "_database", "_driver")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Connection:
        self._database.write_lock.acquire()
        try:
            with _database_errors():
                self._connection = self._database.own_connection()
                driver: Any = self._connection.connection.driver_connection
                self._driver = driver
                self._driver.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._database.write_lock.release()
            raise
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        try:
            with _database_errors():
                if error is not None:
                    self._roll_back()
                    raise error
                try:
                    self._driver.commit()
                except BaseException:
                    self._roll_back()
                    raise
                # What ran through SQLAlchemy has begun a transaction there too; both ends are told.
                if self._connection.in_transaction():
                    self._connection.commit()
        finally:
            self._database.write_lock.release()

    def _roll_back(self) -> None:
        try:
            self._driver.rollback()
            self._connection.rollback()
        except Exception:  # noqa: BLE001 - the first error is the one to tell
            self._database.drop_own_connection()


class Database:
    """An engine with the two ways to use it: `read()` and `write()`."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self.write_lock = threading.Lock()
        self._local = threading.local()
        self.engine = self._build(url, pool_size)

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction that may write; committed at the end, rolled back on any exception.

        SQLite: BEGIN IMMEDIATE under one lock of the process, so that threads queue here and never
        meet "database is locked" (four processes writing flat out saw it without the lock).
        """
        return _SqliteTransaction(self) if self.is_sqlite else self._write_postgresql()

    @contextmanager
    def _write_postgresql(self) -> Iterator[Connection]:
        with _database_errors(), self.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            try:
                yield connection
            except BaseException:
                driver.rollback()
                connection.rollback()
                raise
            # What ran on the driver itself is unknown to SQLAlchemy; both ends are told.
            driver.commit()
            connection.commit()

    def own_connection(self) -> Connection:
        """The calling thread's own connection: taking one from the pool costs more than a small transaction."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = self._local.connection = self.engine.connect()
        return connection

    def drop_own_connection(self) -> None:
        """The thread's connection broke."""
        connection: Connection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for SELECTs."""
        with _database_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def session(self) -> Iterator[Session]:
        """An ORM session for code off the hot path; the caller commits."""
        with _database_errors(), Session(self.engine) as session:
            yield session

    def ping(self) -> bool:
        """Whether SELECT 1 answers."""
        try:
            with self.read() as connection:
                return connection.exec_driver_sql("SELECT 1").scalar() == 1
        except DatabaseUnavailable:
            return False

    def clock_us(self) -> int:
        """The database's clock in epoch microseconds, at its millisecond grain."""
        with self.read() as connection:
            return int(connection.execute(select(now_ms())).scalar_one()) * 1000

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _build(self, url: str, pool_size: int) -> Engine:
        options: dict[str, Any] = {
            "json_serializer": to_json,
            "json_deserializer": from_json,
            "pool_size": pool_size,
            "max_overflow": -1 if self.is_sqlite else 8,  # SQLite: each thread keeps its own
            "poolclass": QueuePool,
        }
        if self.is_sqlite:
            # The driver's own BEGIN comes too late (at the first write) and a read then cannot be upgraded.
            engine = create_engine(
                url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None}, **options
            )
            event.listen(engine, "connect", _prepare_sqlite)
            return engine
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5}, **options)
        event.listen(engine, "connect", _prepare_postgresql)
        return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # a checkpoint that was answered must survive a power cut
        "foreign_keys=ON",
        "cache_size=-16000",
        "wal_autocheckpoint=4000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _record: object) -> None:
    """Statements, not connection options: a pooler in between may refuse those."""
    connection.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION_MS}")
    connection.commit()


@contextmanager
def _database_errors() -> Iterator[None]:
    """Turn trouble of the database itself into DatabaseUnavailable; faults of a statement stay what they are."""
    try:
        yield
    except _driver_trouble() as error:
        raise DatabaseUnavailable(f"database: {str(error).strip().splitlines()[0]}") from error
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable(f"database: {_first_line(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailable(f"database: {_first_line(error)}") from error
        raise


def _driver_trouble() -> tuple[type[Exception], ...]:
    """What the drivers raise when the hot path calls them directly, and the pool when all its connections are taken."""
    found: list[type[Exception]] = [sqlite3.OperationalError, PoolTimeout]
    if "psycopg" in sys.modules:  # one of this process's databases uses it
        import psycopg

        found += [psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction]
    return tuple(found)


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__


_lock = threading.Lock()
_database: Database | None = None


def get_database(*, pool_size: int = 8) -> Database:
    """The database of this process; connects at the first use, not here."""
    global _database  # noqa: PLW0603 - one engine a process is the point
    with _lock:
        if _database is None:
            if get_settings().database_url is None:
                make_state_dir()
            _database = Database(database_url(), pool_size=pool_size)
        return _database


def reset_database() -> None:
    """Forget the engine (tests, and a process that changes its settings)."""
    global _database  # noqa: PLW0603
    with _lock:
        if _database is not None:
            _database.dispose()
        _database = None
