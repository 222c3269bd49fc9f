"""Threads that take turns: each runs from one durable step to the next, and a scheduler says who goes on, and who dies.

A step is a commit in SQL or a command that changes Redis, seen where it leaves the process. Only one thread runs at a
time, and time is the test's own; so the same dice make the same history.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from redis.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import Connection, event

import pipeline.stop
from database.engine import Database
from errors import DatabaseUnavailable
from pipeline.stage import stages
from redis_client import scripts
from redis_client.scripts import LUA
from tests.support.edits import Clock
from tests.support.points import READS, committer

OURS = ("artifacts", "daemon", "database", "pipeline", "redis_client", "worker")
# What these answer is the same for the same dice: no word of it is random.
ANSWERS = frozenset({"claim", "finish", "requeue", "reconcile", "adopt", "cancel", "enqueue", "sweep"})
A_DAY_MS, JULIAN_EPOCH = 86_400_000, 2_440_587.5
FOR_EVER_MS = 10**9


class Died(BaseException):
    """The process of this thread is gone: nothing durable happens after it."""


class Actor:
    """One thread of one process; it goes on when it is told to, up to its next rest."""

    def __init__(self, stage: Stage, name: str, body: Callable[[], None]) -> None:
        self.stage, self.name = stage, name
        self.wakes_at, self.stalled_until = 0.0, 0.0
        self.killed = self.ended = False
        self.in_write = False
        self.error: BaseException | None = None
        self._body, self._go, self._back = body, threading.Semaphore(0), threading.Semaphore(0)
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name=name, daemon=True)
        self._thread.start()

    def go_on(self) -> None:
        """Up to its next rest, or its end."""
        self._go.release()
        self._back.acquire()
        if self.ended:
            self._thread.join()
        if self.error is not None:
            raise self.error

    def rest(self) -> None:
        """Let the others go on; Died when it was killed meanwhile."""
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise Died

    def kill(self) -> None:
        """Its process is gone: it unwinds, and reaches nothing on its way."""
        self.killed = True
        while not self.ended:
            self.go_on()

    def is_ready(self, now: float) -> bool:
        return not self.ended and now >= max(self.wakes_at, self.stalled_until)

    def _run(self) -> None:
        self.stage.own.actor = self
        self._go.acquire()
        try:
            if not self.killed:
                self._body()
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001 - told to the scheduler, whose test it is
            self.error = error
        self.ended = True
        self._back.release()


class Stage:
    """Where the actors act: the clock, the dice, what happens at a step, and what has happened so far."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock, self.dice = clock, random.Random(seed)
        self.trace: list[str] = []
        self.troubled: Callable[[Actor, str], None] = lambda _actor, _what: None
        self.own = threading.local()
        self.switch, self.lost_request, self.lost_reply = 0.4, 0.0, 0.0
        known = [scripts.load_script(path.stem) for path in sorted(LUA.glob("*.lua"))]
        self._scripts = {script.sha: script for script in known}

    @property
    def actor(self) -> Actor | None:
        """Whose thread this is; None: the scheduler's."""
        found: Actor | None = getattr(self.own, "actor", None)
        return found

    def tell(self, what: str) -> None:
        actor = self.actor
        self.trace.append(f"{self.clock.us} {actor.name if actor else '-'} {what}")

    def nap(self, seconds: float) -> None:
        """Sleep, in the time of the test."""
        actor = self.actor
        if actor is None:
            self.clock.advance(seconds)
            return
        actor.wakes_at = self.clock.seconds + seconds
        actor.rest()

    def may_rest(self) -> None:
        """Between two steps somebody else may come."""
        actor = self.actor
        if actor is None or actor.in_write:
            return
        if actor.killed:
            raise Died
        if self.dice.random() < self.switch:
            actor.rest()

    @contextmanager
    def step(self, name: str, trouble: Callable[[str], Exception]) -> Iterator[None]:
        """One durable step: it may not be made, or made and its reply lost."""
        actor = self.actor
        if actor is None:
            yield
            return
        self.may_rest()
        if not actor.in_write and self.dice.random() < self.lost_request:
            self._tell_trouble(f"{name}: not made")
            raise trouble(f"the request of {name} was lost")
        yield
        self.tell(name)
        if not actor.in_write and self.dice.random() < self.lost_reply:
            self._tell_trouble(f"{name}: its reply was lost")
            raise trouble(f"the reply of {name} was lost")
        self.may_rest()

    def _tell_trouble(self, what: str) -> None:
        self.tell(what)
        if self.actor:
            self.troubled(self.actor, what)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Everything of ours in this process acts here from now on."""
        stage, write = self, Database.write
        command: Any = redis.Redis.execute_command
        run: Any = Pipeline.execute

        @contextmanager
        def watched_write(database: Database) -> Iterator[Connection]:
            actor = stage.actor
            with stage.step(f"sql {committer()}", DatabaseUnavailable), write(database) as connection:
                if actor:
                    actor.in_write = True
                try:
                    yield connection
                finally:
                    if actor:
                        actor.in_write = False

        def watched_command(client: Any, *arguments: Any, **options: Any) -> Any:
            name = str(arguments[0]).upper()
            if name in READS:
                if stage.actor is not None and stage.actor.killed:
                    raise Died
                return command(client, *arguments, **options)
            told = stage.script(arguments) if name in {"EVALSHA", "EVAL"} else name
            if name == "BLPOP":  # sent only where a bell hangs: nobody may come before it
                answer = command(client, *arguments, **options)
                with stage.step("what BLPOP brought", RedisConnectionError):
                    return answer
            with stage.step(f"redis {told}", RedisConnectionError):
                answer = command(client, *_for_ever(name, arguments), **options)
                if told.partition(" ")[0] in ANSWERS:
                    stage.tell(f"{told} -> {answer}")
                return answer

        def watched_pipeline(pipe: Any, *arguments: Any, **options: Any) -> Any:
            with stage.step("redis pipeline", RedisConnectionError):
                return run(pipe, *arguments, **options)

        patch.setattr(Database, "write", watched_write)
        patch.setattr(redis.Redis, "execute_command", watched_command)
        patch.setattr(Pipeline, "execute", watched_pipeline)
        self._take_over_time(patch)

    def _take_over_time(self, patch: pytest.MonkeyPatch) -> None:
        def now() -> float:
            return self.clock.seconds

        stages()  # what is imported later would keep the real time
        real_clock, fake = pipeline.stop.clock, SimpleNamespace(sleep=self.nap, monotonic=now, time=time.time)
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in OURS:
                if getattr(module, "time", None) is time:
                    patch.setattr(module, "time", fake)
                if getattr(module, "clock", None) is real_clock:
                    patch.setattr(module, "clock", now)

    def script(self, arguments: Sequence[Any]) -> str:
        """Which script is sent, and for which job."""
        found = self._scripts.get(str(arguments[1]))
        if found is None:
            return "a script by its source"
        values = dict(zip(found.arguments, arguments[4:], strict=False))
        return f"{found.name} {values.get('id', '')}".rstrip()


def _for_ever(name: str, arguments: Sequence[Any]) -> Sequence[Any]:
    """Redis lets keys run out by real time, and how much of that a history takes depends on the machine."""
    if name == "SET" and "PX" in arguments:
        at = arguments.index("PX") + 1
        return [*arguments[:at], FOR_EVER_MS, *arguments[at + 1 :]]
    return [*arguments[:2], FOR_EVER_MS] if name == "PEXPIRE" else arguments


def keep_time(database: Database, clock: Clock) -> None:
    """SQLite reads this clock: `julianday` is where our statements ask it (database/engine.py)."""

    def julianday(_when: str) -> float:
        return (clock.ms + 0.5) / A_DAY_MS + JULIAN_EPOCH

    def connected(connection: Any, _record: object) -> None:
        connection.create_function("julianday", 1, julianday)

    event.listen(database.engine, "connect", connected)
