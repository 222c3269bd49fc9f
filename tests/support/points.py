"""The durable steps of a worker, found by watching commits and commands, and one worker that can die between two.

A durable step is a commit in SQL or a command that changes Redis. Nobody lists them: whatever the program does is seen
where it leaves the process, in `Database.write()` and in redis-py.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import pytest
import redis
from redis.client import Pipeline
from sqlalchemy import Connection, text

from daemon.crew import SlotState
from database.engine import Database
from database.meta import canary
from database.tables import Base
from redis_client.answers import Grant
from redis_client.client import RedisClient
from redis_client.scripts import LUA, load_script
from tests.soak.ledger import Line, install
from worker import Worker

KEPT = {"meta", "alembic_version"}  # tables that say which database this is
# What changes nothing in Redis. Anything else is a durable step, also a command that nobody has thought of yet.
READS = frozenset(
    [
        "PING",
        "INFO",
        "TIME",
        "CLIENT",
        "SCRIPT",
        "EXISTS",
        "TYPE",
        "GET",
        "HGET",
        "HMGET",
        "HGETALL",
        "HKEYS",
        "LLEN",
        "LINDEX",
        "LRANGE",
        "ZCARD",
        "ZSCORE",
        "ZRANGE",
        "SMEMBERS",
        "SISMEMBER",
        "SCAN",
        "TTL",
        "PTTL",
        "XREAD",
        "XRANGE",
        "XLEN",
    ]
)
OPEN, BEFORE, AFTER = "open", "before", "after"
Act = Callable[[str, str], None]


class Killed(BaseException):
    """The process is gone: nothing may catch this, and nothing durable happens after it."""


class Points:
    """Counts durable steps; does something at some of them.

    `open`: before a transaction begins, or a command is sent. `before`: everything is ready to be committed.
    `after`: it is done, and its caller has not heard of it.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.acts: Mapping[int, Act] = {}
        self.dead = False
        self.watching = False
        self._lock = threading.Lock()
        self._scripts = {load_script(path.stem).sha: path.stem for path in sorted(LUA.glob("*.lua"))}

    def arm(self, acts: Mapping[int, Act]) -> None:
        """A new life: count anew, and act at the steps of these numbers."""
        self.names, self.acts, self.dead, self.watching = [], acts, False, True

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """What is done here is not the worker's; only its death stays."""
        before, self.watching = self.watching, False
        try:
            yield
        finally:
            self.watching = before

    def kill(self) -> None:
        """The process dies here."""
        self.dead = True
        raise Killed

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """One durable step; the body says where it is."""
        if self.dead:
            raise Killed
        if not self.watching:
            yield lambda _position: None
            return
        with self._lock:
            self.names.append(name)
            number = len(self.names)

        def reach(position: str) -> None:
            if self.dead:
                raise Killed  # another thread's step was the last
            if number in self.acts:
                with self.unseen():
                    self.acts[number](position, name)

        yield reach

    def install(self, patch: pytest.MonkeyPatch, server: redis.Redis | None = None) -> None:
        """Watch this process. A server knows all scripts before: being taught one is no step of a job."""
        if server is not None:
            for path in LUA.glob("*.lua"):
                server.script_load(load_script(path.stem).source)
        points, write = self, Database.write
        command: Any = redis.Redis.execute_command
        pipeline: Any = Pipeline.execute

        @contextmanager
        def watched_write(database: Database) -> Iterator[Connection]:
            with points.step(f"sql {committer()}") as reach:
                reach(OPEN)
                with write(database) as connection:
                    yield connection
                    reach(BEFORE)
                reach(AFTER)

        def watched_command(client: Any, *arguments: Any, **options: Any) -> Any:
            name = str(arguments[0]).upper()
            if name in READS and not points.dead:
                return command(client, *arguments, **options)
            told = points.script(arguments[1]) if name in {"EVALSHA", "EVAL"} else name
            with points.step(f"redis {told}") as reach:
                reach(OPEN)
                answer = command(client, *arguments, **options)
                reach(AFTER)
                return answer

        def watched_pipeline(pipe: Any, *arguments: Any, **options: Any) -> Any:
            with points.step("redis pipeline") as reach:
                reach(OPEN)
                answer = pipeline(pipe, *arguments, **options)
                reach(AFTER)
                return answer

        patch.setattr(Database, "write", watched_write)
        patch.setattr(redis.Redis, "execute_command", watched_command)
        patch.setattr(Pipeline, "execute", watched_pipeline)

    def script(self, sha_or_source: object) -> str:
        """The name of a script by what is sent of it."""
        return self._scripts.get(str(sha_or_source), "a script by its source")


def committer() -> str:
    """Which function of `database/` commits: the outermost one, which its caller knows by name."""
    name, frame = "?", sys._getframe(1)
    while frame is not None:
        if "/database/" in frame.f_code.co_filename and "engine" not in frame.f_code.co_filename:
            name = frame.f_code.co_name
        elif name != "?":
            break
        frame = frame.f_back  # type: ignore[assignment]
    return name


@contextmanager
def points_on(redis_url: str, patch: pytest.MonkeyPatch) -> Iterator[Points]:
    """Watched points; a branch of a life that was killed ends without a word."""
    found = Points()
    with redis.Redis.from_url(redis_url) as server:
        found.install(patch, server)
    hook = threading.excepthook

    def unless_killed(arguments: Any) -> None:
        if arguments.exc_type is not Killed:
            hook(arguments)

    patch.setattr(threading, "excepthook", unless_killed)
    yield found
    found.watching, found.dead = False, False


def empty_servers(client: RedisClient) -> None:
    """No job was ever there; the databases still know each other."""
    database, server = client.database, client.get_client()
    with database.write() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name not in KEPT:
                connection.execute(table.delete())
    server.flushall()
    server.set(client.queue.key("canary"), canary(database) + 1)


def run_what_was_given(worker: Worker, state: SlotState) -> bool:
    """What a slot's thread does with its inbox; whether there was a job."""
    ran = False
    while not state.inbox.empty():
        grant: Grant | None = state.inbox.get()
        while grant is not None:
            ran = True
            grant = worker.desk.run_job(state, grant)
        state.is_free = True
    return ran


class Life:
    """One worker of one slot without threads: what they do, one after the other, until nothing is left to do."""

    def __init__(
        self,
        client: RedisClient,
        name: str,
        *,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
        pass_time: Callable[[RedisClient], None] | None = None,
    ) -> None:
        self.client, self._aside, self._pass_time = client, aside, pass_time or time_passes
        self.worker = Worker(name, client=client, queues="video_generation_queue,selftest-queue", concurrency=1)
        self.state = self.worker.crew.slots[0]

    def start(self) -> None:
        """Up to the point where it waits for a bell."""
        self.worker._open()
        self.round()

    def round(self) -> None:
        """What the housekeeping thread does every few seconds, and the beat."""
        self.worker.house.round()
        self.worker.beat.beat_once()

    def take_and_run(self) -> bool:
        """What the fetcher and the slot do; whether there was a job."""
        fetcher = self.worker.fetcher
        wait = fetcher._fill()
        ran = run_what_was_given(self.worker, self.state)
        fetcher._keep()
        if not ran and wait > 0 and self.hears_a_bell():
            fetcher._popped = fetcher._doorbell(wait)
        return ran

    def hears_a_bell(self) -> bool:
        """Whether BLPOP would not block: nobody else is here who could ring."""
        server, queue = self.client.get_client(), self.client.queue
        return any(server.llen(queue.list_key(name)) for name in self.state.slot.queues)

    def work_off(self, *, rounds: int = 60) -> None:
        """Until SQL has no open job, and Redis nothing that stands anywhere."""
        for _ in range(rounds):
            if self.worker.stopping is not None:
                return
            self.round()
            ran = self.take_and_run()
            with self._aside():
                if is_over(self.client):
                    return
                if not ran:
                    self._pass_time(self.client)
        raise AssertionError(f"stuck: {standing(self.client)}")

    def end(self) -> None:
        """In order, as after SIGTERM."""
        self.worker._close()


def time_passes(client: RedisClient) -> None:
    """Everything that runs out by itself has run out: leases, locks, the time that a letter is somebody's."""
    server: Any = client.get_client()
    key = client.queue.key
    for index in ("leases", "delayed"):
        for job_id in server.zrange(key(index), 0, -1):
            server.zadd(key(index), {job_id: 1})
    server.delete(key("reconciler"))
    server.hdel(key("swept"), "at", "grace_until")
    with client.database.write() as connection:
        connection.execute(text("UPDATE outbox SET due_ms = 0"))
        connection.execute(
            text("UPDATE jobs SET updated_ms = updated_ms - 3600000, reconciled_ms = NULL WHERE finished_ms IS NULL")
        )
        connection.execute(
            text("UPDATE jobs SET not_before_ms = 1 WHERE finished_ms IS NULL AND not_before_ms IS NOT NULL")
        )
    time.sleep(0)  # let other threads of a dying life see that it is over


def standing(client: RedisClient) -> dict[str, Any]:
    """What is not over yet."""
    with client.database.read() as connection:
        rows = connection.execute(text("SELECT id, status, in_flight, fence FROM jobs WHERE finished_ms IS NULL"))
        found: dict[str, Any] = {row.id: tuple(row) for row in rows}
        letters = connection.execute(text("SELECT count(*) FROM outbox WHERE delivered_ms IS NULL")).scalar_one()
    server, prefix = client.get_client(), client.queue.prefix
    indexes = {}
    for key in server.scan_iter(match=f"{prefix}*"):
        if str(key).removeprefix(prefix).partition(":")[0] in {"ready", "delayed", "leases", "parked"}:
            indexes[str(key)] = server.zrange(str(key), 0, -1)
    return {**found, **indexes, **({"letters": letters} if letters else {})}


def is_over(client: RedisClient) -> bool:
    return not standing(client)


@contextmanager
def watching_work(lines: list[Line], at_start: Callable[[Line], None] | None = None) -> Iterator[None]:
    """Note every start of a stage's work in this process; `at_start` may do something in its middle."""

    def write(line: Line) -> None:
        lines.append(line)
        if line.what == "start" and at_start is not None:
            at_start(line)

    take_off = install(write)
    try:
        yield
    finally:
        take_off()


def remember(client: RedisClient) -> list[tuple[bytes, int, bytes]]:
    """All of Redis as it is now: key, time to live, content."""
    plain = _plain(client)
    return [(key, max(0, plain.pttl(key)), plain.dump(key)) for key in plain.keys("*")]


def rewind(client: RedisClient, held: Sequence[tuple[bytes, int, bytes]]) -> None:
    """Redis forgets everything since then."""
    plain = _plain(client)
    plain.flushall()
    for key, ttl, content in held:
        plain.restore(key, ttl, content)


@cache
def _plain(client: RedisClient) -> Any:
    """The same server, with answers as bytes."""
    pool = client.get_client().connection_pool
    known = dict(pool.connection_kwargs) | {"decode_responses": False}
    return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=pool.connection_class, **known))
