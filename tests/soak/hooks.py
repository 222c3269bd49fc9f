"""What a row changes in its forked workers, since no setting does."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from database.engine import get_database
from redis_client import queue, scripts
from tests.soak import vendor
from tests.soak.ledger import DIED, Book, Line

CLOCK = "soak:clock_s"  # seconds that the scripts add to what TIME says
_TIME = "redis.call('TIME')"
_SHIFTED = f"""(function()
  local time = {_TIME}
  return {{tostring(tonumber(time[1]) + tonumber(redis.call('GET', '{CLOCK}') or '0')), time[2]}}
end)()"""


def install(wanted: Mapping[str, Any], book: Book) -> None:
    """Apply what a row asks for, for the life of this process."""
    for name, value in wanted.items():
        match name:
            case "head_start":
                short_head_starts(float(value)).__enter__()
            case "clock":
                shifted_clock().__enter__()
            case "die_at":
                die_at(int(value), book)
            case "pays":
                vendor.install(Path(value))
            case "sleep_at":
                sleep_at(str(value))
            case _:
                raise ValueError(name)


@contextmanager
def short_head_starts(seconds: float) -> Iterator[None]:
    """The head start of high priorities, and the handicap of low ones, so that a test need not wait ten minutes."""
    whole = dict(queue.HEAD_START_SECONDS)
    for name, value in whole.items():
        queue.HEAD_START_SECONDS[name] = int(seconds * (value > 0) - seconds * (value < 0))
    try:
        yield
    finally:
        queue.HEAD_START_SECONDS.update(whole)


@contextmanager
def shifted_clock() -> Iterator[None]:
    """Every script reads a clock that can be put back: the number of seconds stands under `CLOCK`."""
    load = scripts.load_script
    known: dict[str, scripts.Script] = {}

    def shifted(name: str) -> scripts.Script:
        if name not in known:
            bare = load(name)
            source = bare.source.replace(_TIME, _SHIFTED)
            known[name] = dataclasses.replace(bare, source=source, sha=_digest(source))
        return known[name]

    modules = (vars(queue), vars(scripts))
    for names in modules:
        names["load_script"] = shifted
    try:
        yield
    finally:
        for names in modules:
            names["load_script"] = load


def _digest(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def die_at(number: int, book: Book) -> None:
    """SIGKILL after the durable step of this number, whichever thread makes it."""
    from tests.support.points import AFTER, Points

    points, lock = Points(), threading.Lock()

    def die(position: str, name: str) -> None:
        if position == AFTER:
            with lock:
                book.write(Line(DIED, name, "", "", number, "", 0.0))
                os.kill(os.getpid(), signal.SIGKILL)

    points.arm({number: die})
    points.install(pytest.MonkeyPatch())


def sleep_at(wanted: str) -> None:
    """SIGSTOP just before the first durable step of this name, as if the machine had been suspended there."""
    from tests.support.points import OPEN, Points

    class Sleepy(Points):
        slept = False

        @contextmanager
        def step(self, name: str) -> Iterator[Callable[[str], None]]:
            def reach(position: str) -> None:
                if position == OPEN and name == wanted and not self.slept:
                    self.slept = True
                    # Not in the middle of another thread's commit: SQLite would let nobody else write.
                    with get_database().write_lock:
                        os.kill(os.getpid(), signal.SIGSTOP)
                        time.sleep(0.02)  # until it has reached every thread

            yield reach

    Sleepy().install(pytest.MonkeyPatch())
