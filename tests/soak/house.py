"""Where a row happens: a Redis, a database, workers out of the fork server, jobs, and notes of what was done to them."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func, select

from database.engine import Database
from database.meta import canary
from database.migrate import init_db
from database.outbox import count_letters
from database.tables import Job
from redis_client.client import RedisClient
from settings import Settings
from tests.soak.forks import Forked, ForkServer
from tests.soak.jobs import Spec
from tests.soak.rules import watch_rows
from tests.soak.servers import Server

KEEP = "STAGECREW_SOAK_KEEP"  # a folder for the logs, ledgers and records of the last row, to look into
BATCH, ENOUGH = 250, 1000
# Short, so that a death costs little; a beat is half a second late at most on two busy processors.
QUICK = {"LEASE_SECONDS": "2", "BEAT_SECONDS": "0.5", "SWEEP_SECONDS": "0.5"}
BASE = {
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "info",
    "MIN_FREE_MB": "0",
    "QUARANTINE_CRASHES": "0",
    "RETRY_BASE_SECONDS": "0.1",
    "HEALTH_SECONDS": "5",
}


@dataclass
class Blow:
    """Something that was done, when (by the database's clock), and the jobs that were in flight under it."""

    kind: str
    at_ms: int
    jobs: list[str] = field(default_factory=list)


class Mortal(Protocol):
    """A worker as this house kills it."""

    name: str

    def is_alive(self) -> bool:
        """Whether its process runs."""

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""


class House:
    """One row's servers, workers and jobs."""

    def __init__(self, folder: Path, parent: ForkServer, *, seed: int, env: Mapping[str, str], url: str = "") -> None:
        self.folder, self.parent, self.dice = folder, parent, random.Random(seed)
        self.logs, self.state, self.book = folder / "logs", folder / "state", folder / "vendor"
        for one in (self.logs, self.state, folder / "redis"):
            one.mkdir(parents=True)
        self.server = Server(folder / "redis")
        self.server.start()
        url = url or f"sqlite:///{self.state / 'stagecrew.db'}"
        self.database = Database(url)
        init_db(self.database)
        watch_rows(self.database)
        self.client = RedisClient(url=self.server.url, database=self.database)
        addresses = {"STATE_DIR": str(self.state), "DATABASE_URL": url, "REDIS_URL": self.server.url}
        outside = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        self.env: dict[str, str] = {**outside, **BASE, **QUICK, **addresses, **env}
        self.hooks: dict[str, Any] = {}
        self.workers: list[Forked] = []
        self.gone: list[Forked] = []
        self.killed: dict[str, int] = {}  # each worker that is dead, and when it was alive last; 0: not known
        self.blows: list[Blow] = []
        self.specs: list[Spec] = []
        self.healed: list[float] = []
        self._unfed: list[Spec] = []
        self._broken_at: tuple[float, str] | None = None
        self._number = 0

    @property
    def lease(self) -> float:
        return float(self.env["LEASE_SECONDS"])

    # -- jobs

    def pay(self) -> None:
        """From now on the work of the workers is paid for (tests/soak/vendor.py)."""
        self.book.mkdir()
        self.hooks["pays"] = str(self.book)

    def ask_for(self, specs: Iterable[Spec]) -> None:
        """Jobs that are enqueued bit by bit, as others are done."""
        self._unfed += specs

    def feed(self) -> None:
        """Enqueue the next ones when few are open."""
        if self._unfed and self.open_jobs() < ENOUGH:
            batch, self._unfed = self._unfed[:BATCH], self._unfed[BATCH:]
            self.enqueue(batch)

    def enqueue(self, specs: Sequence[Spec]) -> None:
        prepared = [self.client.prepare(one.id, one.payload, pipeline="selftest", **one.options) for one in specs]
        assert self.client.enqueue_many(prepared) == len(specs)
        self.specs += specs

    def open_jobs(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).where(Job.finished_ms.is_(None))).scalar_one())

    def is_done(self) -> bool:
        """Whether every job has ended, and nothing more follows from it."""
        return not self._unfed and self.open_jobs() == 0 and count_letters(self.database) == 0

    def has_begun(self, job_id: str) -> bool:
        with self.database.read() as connection:
            return bool(connection.execute(select(Job.begins).where(Job.id == job_id)).scalar())

    def in_flight(self, owner: str | None = None) -> list[str]:
        query = select(Job.id).where(Job.in_flight, Job.finished_ms.is_(None))
        if owner is not None:
            query = query.where(Job.owner == owner)
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    # -- workers

    def fork(self, *arguments: str, hooks: Mapping[str, Any] | None = None, **env: str) -> Forked:
        """A new worker; each has a name of its own."""
        self._number += 1
        one = self.parent.fork(
            f"w{self._number:05}",
            arguments,
            folder=self.logs,
            env={**self.env, **env},
            hooks={**self.hooks, **(hooks or {})},
        )
        self.workers.append(one)
        return one

    def crew(self, count: int, *arguments: str) -> None:
        for _ in range(count):
            self.fork(*arguments)

    def kill_one(self, *arguments: str) -> None:
        """SIGKILL of one of the workers, and a new one in its place."""
        one = self.dice.choice(self.workers)
        self.bury(one)
        self.fork(*arguments)

    def bury(self, one: Forked) -> Blow:
        """SIGKILL, and a note of what it held."""
        self.workers.remove(one)
        self.gone.append(one)
        return self.kill(one)

    def kill(self, one: Mortal) -> Blow:
        """SIGKILL of a worker, or the news of its death, and a note of what it held."""
        # Taken before: afterwards somebody else may hold its jobs already.
        self.killed[one.name] = self._now_ms() if one.is_alive() else 0
        one.kill()
        return self.note("kill", self.in_flight(one.name))

    def note(self, kind: str, jobs: list[str] | None = None) -> Blow:
        blow = Blow(kind, self._now_ms(), jobs or [])
        self.blows.append(blow)
        return blow

    def _now_ms(self) -> int:
        return self.database.clock_us() // 1000

    def bury_the_dead(self) -> int:
        """Note those that ended by themselves; how many."""
        dead = [one for one in self.workers if not one.is_alive()]
        for one in dead:
            self.bury(one)
        return len(dead)

    def raise_the_dead(self, *arguments: str) -> None:
        """Replace workers that ended by themselves: a service manager would."""
        self.crew(self.bury_the_dead(), *arguments)

    # -- Redis

    def redis_broke(self, kind: str) -> None:
        """From now on count until somebody has put Redis right."""
        self._broken_at = (time.monotonic(), self._healer())
        self.note(kind)

    def look(self) -> None:
        """What must be looked at all the time."""
        self.server.look()
        if self._broken_at is not None:
            at, before = self._broken_at
            healer = self._healer()
            if healer not in {before, "?"}:
                self.healed.append(time.monotonic() - at)
                self._broken_at = None

    @property
    def is_healed(self) -> bool:
        """Or nothing is left to be put right: what was killed had lost nothing."""
        return self._broken_at is None or self.client.queue.look_at_canary(canary(self.database))[0]

    def _healer(self) -> str:
        try:
            return str(self.server.client().hget(self.client.queue.key("swept"), "healed"))
        except OSError:
            return "?"

    def close(self) -> None:
        for one in self.workers:
            one.kill()
        self.client.close()
        self.database.dispose()
        self.server.kill()


def _fast_folder() -> str | None:
    """A folder in memory, where there is one: no row cuts the power, and a disk would only make it slow."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30 else None


@contextmanager
def open_house(parent: ForkServer, *, seed: int, url: str = "", **env: str) -> Iterator[House]:
    """A house, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sc-soak-", dir=_fast_folder()) as folder:
        house = House(Path(folder), parent, seed=seed, env=env, url=url)
        try:
            yield house
        finally:
            house.close()
            if kept := os.environ.get(KEEP):
                shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("s", "line"), dirs_exist_ok=True)
