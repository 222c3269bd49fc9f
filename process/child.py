"""`Child`: a warm program that answers line by line."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from errors import BadReply, TimedOut
from process.launcher import Limits, current_tag
from process.running import STDOUT_BYTES, TICK_SECONDS, Running


class Child:
    """A warm child that answers one line for each line it gets: started at the first request, and again after its end.

    One request runs at a time; others wait for it within their own time. While a request runs the child belongs to
    the caller's `current_tag`, between requests to nobody. With `idle_seconds` it ends after that long without work.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        limits: Limits | None = None,
        idle_seconds: float | None = None,
        reply_cap: int = STDOUT_BYTES,
    ) -> None:
        self._argv = list(argv)
        self._cwd = cwd
        self._env = env
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._reply_cap = reply_cap
        self._lock = threading.Lock()
        self._running: Running | None = None
        self._idle: threading.Timer | None = None
        self._said = bytearray()

    @property
    def alive(self) -> bool:
        """Whether the child runs now; a request starts it when it does not."""
        running = self._running
        return running is not None and not running.group.exited()

    def request(self, line: bytes, timeout_seconds: float, check: Callable[[], None] | None = None) -> bytes:
        """Send one line, return the line that answers it (both without the line's end).

        Raises like `run`. After any exception the child is killed: a late answer must not meet the next question.
        The time includes waiting for other requests and starting the child.
        """
        assert b"\n" not in line, "a request is one line"
        started = time.monotonic()
        self._acquire(timeout_seconds, check)
        try:
            running = self._start()
            running.guard(timeout_seconds=timeout_seconds, check=check, started=started)
            return self._ask(running, line)
        except BaseException as error:
            self._drop(at_once=isinstance(error, TimedOut))
            raise
        finally:
            self._rest()
            self._lock.release()

    def close(self) -> None:
        """End the child; a running request of another thread is let finish first."""
        with self._lock:
            self._cancel_idle()
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _acquire(self, timeout_seconds: float, check: Callable[[], None] | None) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not self._lock.acquire(timeout=TICK_SECONDS):
            if time.monotonic() > deadline:
                raise TimedOut(f"{Path(self._argv[0]).name} was busy for {timeout_seconds:g} seconds")
            if check is not None:
                check()

    def _start(self) -> Running:
        self._cancel_idle()
        if not self.alive:
            self._drop(at_once=True)
            self._running = Running(self._argv, cwd=self._cwd, env=self._env, limits=self._limits, talks=True)
        assert self._running is not None
        self._running.group.tag = current_tag.get()
        return self._running

    def _ask(self, running: Running, line: bytes) -> bytes:
        running.on_output = self._said.extend
        running.step(seconds=0)
        self._said.clear()  # what it said unasked is no answer
        try:
            running.write(line + b"\n")
        except BrokenPipeError:
            running.close_input()
        while b"\n" not in self._said:
            if running.group.exited():
                returncode, _ = running.collect()
                self._running = None
                raise running.failure(returncode, early=True)
            running.step()
            running.tick()
            if len(self._said) > self._reply_cap:
                raise BadReply(f"{running.name} answered a line of more than {self._reply_cap} bytes")
        return bytes(self._said).split(b"\n", 1)[0].removesuffix(b"\r")

    def _drop(self, *, at_once: bool = False) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end(at_once=at_once)

    def _rest(self) -> None:
        if self._running is None:
            return
        self._running.group.tag = None
        if self._idle_seconds is not None:
            self._idle = threading.Timer(self._idle_seconds, self._end_if_idle)
            self._idle.daemon = True
            self._idle.start()

    def _cancel_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _end_if_idle(self) -> None:
        # A request that came meanwhile holds the lock, or has put another timer in this one's place.
        if self._lock.acquire(blocking=False):
            try:
                if self._idle is threading.current_thread():
                    self._drop()
            finally:
                self._lock.release()
