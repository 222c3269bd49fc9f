"""Starts, watches and scales the workers of one host: `python pool.py --min 1 --max 4`.

Exit codes: 0 told to stop; 2 wrong arguments; 75 another pool runs here, or Redis or the database did not answer at start;
78 a wrong setting, told by a worker.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import structlog

from database.engine import make_state_dir
from database.overview import oldest_by_queue
from errors import HostTrouble, InvalidInput
from log import configure_logging
from pipeline.catalog.base import declared_queues
from process import memory_mb
from redis_client import redis_client
from redis_client.pools import Order, post_pool, take_orders
from settings import ROOT, get_settings
from states import JobStatus

EXIT_OK, EXIT_TEMPORARY, EXIT_CONFIG = 0, 75, 78
HOPELESS = frozenset({2, 78})  # of a worker: starting it again cannot help
TICK_SECONDS, LOOK_SECONDS = 0.2, 2.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, STEADY_SECONDS = 1.0, 30.0, 60.0
# A paid call in flight is waited for; longer than any worker takes to leave.
LEAVE_SECONDS = 150.0
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many workers there may be, how long a change must rest, and what one of them may use."""

    least: int = 1
    most: int = 4
    up_seconds: float = 10.0
    down_seconds: float = 60.0
    wait_seconds: float = 30.0  # a job that has waited so long wants one worker more
    memory_mb: int = 0  # 0: no limit


@dataclass(frozen=True, slots=True)
class Load:
    """What stands in the queues: jobs that could run, those that do, and how long the oldest has waited."""

    pending: int
    running: int
    oldest_seconds: float


def wanted(now: int, load: Load, bounds: Bounds, *, slots: int) -> int:
    """How many workers there should be, of one more or one less than now."""
    is_short = load.pending > now * slots or (load.pending > 0 and load.oldest_seconds > bounds.wait_seconds)
    if is_short:
        return min(bounds.most, now + 1)
    is_idle = load.pending == 0 and load.running <= (now - 1) * slots
    return max(bounds.least, now - 1) if is_idle else min(bounds.most, max(bounds.least, now))


@dataclass
class Member:
    """One worker of the pool."""

    name: str
    process: subprocess.Popen[bytes]
    began: float
    leaving: str = ""  # why it was told to stop
    drains: bool = False
    until: float = 0.0  # when it must be gone

    def leave(self, reason: str, now: float) -> None:
        """Tell it to hand its jobs back and end; once."""
        if not self.leaving:
            self.leaving, self.until = reason, now + LEAVE_SECONDS
            log.info("worker_told_to_stop", worker=self.name, reason=reason)
            self.process.send_signal(signal.SIGTERM)

    def memory_mb(self) -> float:
        """What it holds in memory itself, its children apart."""
        return memory_mb(self.process.pid)


@dataclass
class Pool:
    """The workers of this host."""

    bounds: Bounds
    options: Sequence[str] = ()
    host: str = field(default_factory=lambda: socket.gethostname()[:100])
    clock: Callable[[], float] = time.monotonic
    members: list[Member] = field(default_factory=list)
    queues: tuple[str, ...] = ()  # those that its workers serve
    target: int = 0
    rests: bool = False  # somebody wants fewer workers than the least; nothing but an order ends that
    ended_badly: int = 0
    exit_code: int = EXIT_OK
    stopping: bool = False
    _number: int = 0
    _pause: float = FIRST_PAUSE_SECONDS
    _start_at: float = 0.0
    _changed: float = 0.0
    _idle_since: float | None = None
    _looked: float = 0.0

    def run(self) -> int:
        """Go on until told to stop; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told)
        self.target = self.bounds.least
        log.info("pool_started", host=self.host, least=self.bounds.least, most=self.bounds.most)
        while not self.stopping or self.members:
            self.tick()
            time.sleep(TICK_SECONDS)
        log.info("pool_ended", code=self.exit_code)
        return self.exit_code

    def tick(self) -> None:
        """One look at everything."""
        now = self.clock()
        self._bury(now)
        if self.stopping:
            for one in self.members:
                one.leave("shutdown", now)
        else:
            if now - self._looked >= LOOK_SECONDS:
                self._looked = now
                self._look(now)
            self._level(now)
        for one in self.members:
            if one.leaving and now > one.until:
                log.warning("worker_killed", worker=one.name)
                one.process.kill()

    def standing(self) -> list[Member]:
        """Those that stay, of the pool's own number."""
        return [one for one in self.members if not one.leaving and not one.drains]

    def record(self) -> dict[str, Any]:
        """What others see of this pool."""
        return {
            "host": self.host,
            "pid": os.getpid(),
            "least": self.bounds.least,
            "most": self.bounds.most,
            "target": self.target,
            "begun": self._number,
            "ended_badly": self.ended_badly,
            "workers": [
                {"worker_id": one.name, "pid": one.process.pid, "leaving": one.leaving, "drains": one.drains}
                for one in self.members
            ],
        }

    def obey(self, order: Order, now: float) -> None:
        """Do what somebody asked for through the HTTP interface."""
        log.info("order_taken", order=order.id, action=order.action, worker=order.worker_id)
        match order.action:
            case "start":
                self._aim(self.target + 1, now)
            case "stop":
                chosen = [one for one in self.standing() if order.worker_id in {"", one.name}]
                for one in chosen[-1:]:
                    one.leave("order", now)
                    self._aim(self.target - 1, now)
            case "drain" if not any(one.drains for one in self.members):
                self._start(now, drains=True)

    def _aim(self, number: int, now: float) -> None:
        # By hand it may also go to none: somebody wants this host to rest.
        self.target, self._changed = max(0, min(self.bounds.most, number)), now
        self.rests = self.target < self.bounds.least

    def _told(self, _number: int, _frame: object) -> None:
        if self.stopping:
            for one in self.members:
                one.until = 0.0
        self.stopping = True

    def _look(self, now: float) -> None:
        """Ask the records how much there is to do; without an answer nothing changes."""
        try:
            post_pool(redis_client.queue, self.host, self.record())
            for order in take_orders(redis_client.queue, self.host):
                self.obey(order, now)
            self._scale(_load(self.queues), now)
        except Exception as error:  # noqa: BLE001 - whatever it was, the workers go on
            log.warning("pool_blind", error=f"{type(error).__name__}: {error}")
        if self.bounds.memory_mb:
            for one in self.standing():
                if (used := one.memory_mb()) > self.bounds.memory_mb:
                    one.leave(f"memory: {used:.0f} MB", now)

    def _scale(self, load: Load, now: float) -> None:
        if self.rests:
            return
        number = wanted(self.target, load, self.bounds, slots=get_settings().worker_concurrency)
        if number >= self.target:
            self._idle_since = None
        if number > self.target and now - self._changed >= self.bounds.up_seconds:
            log.info("pool_grows", workers=number, pending=load.pending, oldest_seconds=round(load.oldest_seconds))
            self.target, self._changed = number, now
        elif number < self.target:
            self._idle_since = now if self._idle_since is None else self._idle_since
            if now - self._idle_since >= self.bounds.down_seconds:
                log.info("pool_shrinks", workers=number)
                self.target, self._changed, self._idle_since = number, now, now

    def _level(self, now: float) -> None:
        """As many workers as are aimed at."""
        standing = self.standing()
        for one in standing[self.target :]:
            one.leave("not needed", now)
        if len(standing) < self.target and now >= self._start_at:
            self._start(now)

    def _start(self, now: float, *, drains: bool = False) -> None:
        self._number += 1
        name = f"{'drain' if drains else 'pool'}-{self.host}-{os.getpid()}-{self._number}"
        options = ["--drain"] if drains else []
        # Not through process: that starts children without the secrets, and kills them with their parent; a worker needs
        # the one, and time to hand its jobs back.
        try:
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "worker.py"), name, *self.options, *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the pool, which tells them
                preexec_fn=_leave_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("worker_not_begun", worker=name, error=str(error))
            self._start_at = now + LONGEST_PAUSE_SECONDS
            return
        self.members.append(Member(name, process, now, drains=drains))
        log.info("worker_begun", worker=name, pid=process.pid)

    def _bury(self, now: float) -> None:
        for one in list(self.members):
            code = one.process.poll()
            if code is None:
                continue
            self.members.remove(one)
            self.ended_badly += bool(code)
            log.info("worker_ended", worker=one.name, code=code, reason=one.leaving)
            if code in HOPELESS and not self.stopping:
                self.exit_code, self.stopping = code, True
            elif not one.leaving and code and not one.drains:
                self._pause = FIRST_PAUSE_SECONDS if now - one.began > STEADY_SECONDS else self._pause * 2
                self._pause = min(self._pause, LONGEST_PAUSE_SECONDS)
                self._start_at = now + self._pause


def _leave_with_parent() -> None:
    """In the new process: SIGTERM when the pool dies, however it dies."""
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGTERM)


def _load(names: tuple[str, ...]) -> Load:
    """What could run now in these queues: what a limit holds back stands aside, and no worker would help it."""
    queues = [one for one in redis_client.queues() if one["queue"] in names and not one["paused"]]
    ready = sum(int(one.get("ready", 0)) for one in queues)
    running = sum(int(one.get(JobStatus.PROCESSING, 0)) for one in queues)
    waits = oldest_by_queue(redis_client.database) if ready else {}
    return Load(ready, running, max((waits.get(one["queue"], 0.0) for one in queues), default=0.0))


def parse(argv: Sequence[str] | None) -> tuple[Bounds, tuple[str, ...], list[str]]:
    """The command line; exits with 2 and one sentence when it is wrong."""
    parser = argparse.ArgumentParser(prog="pool.py", description="Starts, watches and scales the workers of this host.")
    parser.add_argument("--min", type=int, default=1, dest="least", help="workers at least")
    parser.add_argument("--max", type=int, default=4, dest="most", help="workers at most")
    parser.add_argument("--cool-down", type=float, default=60.0, help="seconds of idleness before one is taken away")
    parser.add_argument("--max-jobs", type=int, default=0, help="replace a worker after so many jobs")
    parser.add_argument("--max-memory-mb", type=int, default=0, help="replace a worker that holds more")
    parser.add_argument("--queues", default="", help="queues to serve, as worker.py takes them")
    given = parser.parse_args(argv)
    if not 0 <= given.least <= given.most or given.most < 1:
        parser.error(f"--min {given.least} --max {given.most}: use numbers from 0 on, the second not below the first")
    if given.cool_down < 0 or given.max_jobs < 0 or given.max_memory_mb < 0:
        parser.error("--cool-down, --max-jobs and --max-memory-mb: use numbers from 0 on")
    options = ["--queues", given.queues] if given.queues else []
    options += ["--max-jobs", str(given.max_jobs)] if given.max_jobs else []
    bounds = Bounds(given.least, given.most, down_seconds=given.cool_down, memory_mb=given.max_memory_mb)
    return bounds, _served(given.queues), options


def _served(given: str) -> tuple[str, ...]:
    """The queues that a worker serves which is told so."""
    named = given or get_settings().worker_queues
    if not named:
        return tuple(name for name, only_when_named in declared_queues().items() if not only_when_named)
    return tuple(part.partition("=")[0].strip() for part in named.split(",") if part.strip())


def only_one(folder: Path) -> TextIO:
    """Hold the lock of the one pool of this host and state; HostTrouble when another has it. Keep what is returned."""
    handle = (folder / "pool.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        raise HostTrouble(f"another pool runs here already (pid {handle.read().strip() or 'unknown'})") from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    try:
        configure_logging()  # a wrong setting is told before the arguments that depend on it
        bounds, queues, options = parse(argv)
        make_state_dir()
        with only_one(get_settings().state_dir):
            _ = redis_client.database  # the schema is brought up to date once, not by all workers at the same moment
            return Pool(bounds, options, queues=queues, host=_short_host()).run()
    except InvalidInput as error:
        print(f"pool.py: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except HostTrouble as error:
        print(f"pool.py: {error}", file=sys.stderr)
        return EXIT_TEMPORARY


def _short_host() -> str:
    kept = "".join(char if char.isalnum() or char in "._-" else "-" for char in socket.gethostname())
    return kept.strip("._-")[:60] or f"host-{secrets.token_hex(3)}"


if __name__ == "__main__":
    sys.exit(main())
