"""Real workers for tests: `worker.py` in a process of its own, its log as events, waits with a deadline."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import orjson

from database.engine import Database

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 30.0
T = TypeVar("T")


def wait_for(predicate: Callable[[], T], deadline: float = PATIENCE_SECONDS, *, what: object = "the state") -> T:
    """Ask every 20 ms until the answer is truthy, and return it; the deadline is for a broken program.

    `what` is said when the state never came; pass a function to describe the state at that moment.
    """
    until = time.monotonic() + deadline
    while not (answer := predicate()):
        if time.monotonic() > until:
            raise AssertionError(f"{what() if callable(what) else what} did not come within {deadline:g} s")
        time.sleep(POLL_SECONDS)
    return answer


class WorkerProcess:
    """One `python worker.py NAME ...`; ended by its own pid, never by name."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
        self.name = name
        self.process = process
        self.log_file = log_file

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def text(self) -> str:
        """Everything it has written so far, for messages of failed tests."""
        return self.log_file.read_text(errors="replace")

    def events(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Its JSON log events so far; of this name and with these fields, when given."""
        return [
            one
            for one in self._events()
            if (event is None or one.get("event") == event) and all(one.get(key) == fields[key] for key in fields)
        ]

    def wait_for_event(self, event: str, deadline: float = PATIENCE_SECONDS, **fields: Any) -> dict[str, Any]:
        """The first event of this name with these fields; fails at once when the worker ended without it."""

        def look() -> list[dict[str, Any]]:
            ended = not self.is_alive()
            found = self.events(event, **fields)
            if ended and not found:
                raise AssertionError(f"{self.name} ended ({self.process.returncode}) before {event}:\n{self.text()}")
            return found

        return wait_for(look, deadline, what=lambda: f"{event} {fields} of {self.name} in its log:\n{self.text()}\n")[0]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, deadline: float = PATIENCE_SECONDS) -> int:
        """SIGTERM, and its exit code."""
        if self.is_alive():
            self.signal(signal.SIGTERM)
        return self.wait(deadline)

    def kill(self) -> None:
        """SIGKILL (it ends a stopped process too), and wait until it is gone."""
        if self.is_alive():
            self.signal(signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def wait(self, deadline: float = PATIENCE_SECONDS) -> int:
        """Wait for its end; its exit code."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {deadline:g} s:\n{self.text()}") from None

    def _events(self) -> Iterator[dict[str, Any]]:
        for line in self.log_file.read_bytes().splitlines():
            if line.startswith(b"{"):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue  # half a line: it is being written


def suspend(worker: Any, database: Database) -> None:
    """SIGSTOP, but not within a commit: on SQLite nobody else could write for as long as it sleeps."""

    def has_stopped() -> bool:
        worker.signal(signal.SIGSTOP)  # again each time: it follows a SIGCONT closely, below
        return is_stopped(worker.pid)

    while True:
        wait_for(has_stopped, what=partial(_standing_of, worker))
        if _can_be_written(database):
            return
        worker.signal(signal.SIGCONT)


def _standing_of(worker: Any) -> str:
    lines = worker.log_file.read_text()[-2000:]
    return f"the stop of {worker.name} (alive: {worker.is_alive()}, threads: {_states(worker.pid)}, log: {lines})"


def _can_be_written(database: Database) -> bool:
    """Whether nobody holds SQLite's one lock for longer than a commit takes."""
    if not database.is_sqlite:
        return True
    with closing(sqlite3.connect(str(database.engine.url.database), timeout=0.3, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True


def is_stopped(pid: int) -> bool:
    """Whether every thread of a process has stopped."""
    states = _states(pid)
    return bool(states) and all(state == "T" for state in states)


def _states(pid: int) -> list[str]:
    return [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]


def start_worker(folder: Path, name: str = "worker-1", *arguments: str, **env: str) -> WorkerProcess:
    """Start `worker.py`; its output goes to a file in `folder`. `env` is added to this process's environment.

    In tests use the fixture `start_worker` of conftest: it ends what the test leaves behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob(f"{name}.*.log"))) + 1
    log_file = folder / f"{name}.{number}.log"
    with log_file.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "worker.py"), name, *arguments],
            cwd=ROOT,
            env={**os.environ, "LOG_FORMAT": "json", **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C at the tests is not one at the worker
        )
    return WorkerProcess(name, process, log_file)
