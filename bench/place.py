"""A place of its own to measure in: a temporary STATE_DIR, SQLite, an embedded Redis, and real workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import redis
from dotenv import dotenv_values

import embedded
from database.engine import reset_database
from database.jobs import NewJob
from redis_client.client import RedisClient
from redis_client.events import read_events
from settings import ROOT, Settings, get_settings

PATIENCE_SECONDS = 600.0
POLL_SECONDS = 0.01
_numbers = count(1)


@dataclass(frozen=True)
class Place:
    folder: Path
    socket: str
    client: RedisClient

    def bare(self) -> redis.Redis:
        """A plain client, as fast as redis-py gets."""
        return redis.Redis(unix_socket_path=self.socket, single_connection_client=True)

    def prepare(self, number: int, groups: tuple[str, ...] = (), **payload: Any) -> list[NewJob]:
        """No-op jobs, checked at the door and not stored yet."""
        return [self.client.prepare(new_id(), payload, pipeline="selftest", groups=groups) for _ in range(number)]

    def query(self, sql: str) -> tuple[Any, ...]:
        """The first row of a look into the records."""
        with self.client.database.read() as connection:
            return tuple(connection.exec_driver_sql(sql).one())

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """All that Redis holds of a job's events, oldest first."""
        found: list[dict[str, Any]] = []
        while page := read_events(self.client.queue, job_id, found[-1]["id"] if found else "0"):
            found.extend(page)
        return found

    @contextmanager
    def worker(self, name: str, *arguments: str) -> Iterator[WorkerProcess]:
        """`worker.py` in a process of its own, its log in a file; stopped at the end if it still runs."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            launched = time.time()
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py"), name, *arguments],
                cwd=ROOT,
                env={**os.environ, "LOG_FORMAT": "json"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        worker = WorkerProcess(process, log, launched)
        try:
            yield worker
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class WorkerProcess:
    process: subprocess.Popen[bytes]
    log: Path
    launched: float  # epoch seconds

    def event(self, name: str) -> dict[str, Any]:
        """The first event of this name in its log, waited for."""

        def look() -> dict[str, Any] | None:
            for line in self.log.read_bytes().splitlines(keepends=True):
                if line.startswith(b"{") and line.endswith(b"\n") and f'"{name}"'.encode() in line:
                    event: dict[str, Any] = orjson.loads(line)
                    if event["event"] == name:
                        return event
            if self.process.poll() is not None:
                raise SystemExit(f"the worker ended without {name}:\n{self.log.read_text()[-2000:]}")
            return None

        found: dict[str, Any] = wait_for(look, name)
        return found

    def end(self) -> None:
        """Wait for its end; it must be a good one."""
        if code := self.process.wait(PATIENCE_SECONDS):
            raise SystemExit(f"the worker ended with {code}:\n{self.log.read_text()[-2000:]}")


def new_id() -> str:
    """As long as the ids that people use."""
    return f"bench-{os.getpid()}-{next(_numbers):08d}-0123456789"


def wait_for(look: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    until = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > until:
            raise SystemExit(f"{what} did not come within {seconds:g} s")
        time.sleep(POLL_SECONDS)
    return found


@contextmanager
def place() -> Iterator[Place]:
    """A fresh place; its Redis is stopped and everything deleted at the end."""
    refuse_a_real_one()
    with tempfile.TemporaryDirectory(prefix="stagecrew-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        settle_in(folder)
        server = embedded.ensure(folder, grace_seconds=2)
        client = RedisClient()
        try:
            yield Place(folder, server.socket_path, client)
        finally:
            client.close()
            reset_database()
            with redis.Redis(unix_socket_path=server.socket_path) as last:
                last.shutdown(nosave=True)
            embedded.release(folder)


def settle_in(folder: Path) -> None:
    """This process and the ones it starts use this STATE_DIR, and no other setting of the outside."""
    for field in Settings.model_fields:
        os.environ.pop(field.upper(), None)
    os.environ["STATE_DIR"] = str(folder)
    get_settings.cache_clear()
    reset_database()


def refuse_a_real_one() -> None:
    """A `.env` is read by the workers too: jobs of a bench must not land in somebody's queue."""
    named = {name.upper() for name, value in dotenv_values(ROOT / ".env").items() if value}
    if found := sorted(named & {"REDIS_URL", "DATABASE_URL"}):
        raise SystemExit(f"bench: .env names {' and '.join(found)}; move it away for the time of the bench")
