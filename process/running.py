"""A running child: its pipes, its clocks, its end, and what that end means."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from errors import HostTrouble, Interrupted, StagecrewError, TimedOut
from process.launcher import COULD_NOT_START, MARK, Limits, start

TICK_SECONDS = 0.2  # how often a waiting caller asks its clocks and `check()`
TERM_SECONDS = 3.0  # what a child gets between TERM and KILL
REAP_SECONDS = 5.0  # a killed child that hangs in the kernel longer than this is left behind
READ_BYTES = 64 * 1024
LINE_BYTES = 64 * 1024
PIPE_BYTES = 1024 * 1024
STDERR_BYTES = 8 * 1024
STDOUT_BYTES = 16 * 1024 * 1024

Data = bytes | bytearray | memoryview


class ChildFailed(StagecrewError):
    """A child ended by itself, and not well; `returncode` is minus the signal's number when a signal ended it."""

    def __init__(self, program: str, returncode: int, stderr_tail: str, *, early: bool = False) -> None:
        self.program = program
        self.returncode = returncode
        self.signal_name = signal.Signals(-returncode).name if -returncode in set(signal.Signals) else None
        self.stderr_tail = stderr_tail
        super().__init__(self._sentence(early=early))

    def _sentence(self, *, early: bool) -> str:
        hints = {
            "SIGKILL": " (nobody here sent it: probably out of memory)",
            "SIGXCPU": " (it passed its limit of processor time)",
            "SIGXFSZ": " (it passed its limit of file size)",
        }
        if self.returncode < 0:
            how = f"was ended by {self.signal_name or -self.returncode}{hints.get(self.signal_name or '', '')}"
        elif early:
            how = f"ended with exit code {self.returncode} before it answered"
        else:
            how = f"failed with exit code {self.returncode}"
        said = next((line.strip() for line in reversed(self.stderr_tail.splitlines()) if line.strip()), "")
        return f"{self.program} {how}" + (f": {said[-400:]}" if said else "")


class Running:
    """A child with its pipes, its clocks and its caller's `check`; used by its owner's thread alone."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: str | Path | None,
        env: Mapping[str, str] | None,
        limits: Limits | None,
        talks: bool,
    ) -> None:
        self.name = Path(argv[0]).name
        self.group = start(argv, cwd=cwd, env=env, limits=limits or Limits(), talks=talks)
        popen = self.group.popen
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._stdin = popen.stdin
        self._stdout = popen.stdout.fileno()
        self._open = {self._stdout: popen.stdout, popen.stderr.fileno(): popen.stderr}
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        self._pidfd = _pidfd(self.group.pid)
        self.stderr = bytearray()
        self.peak_memory_mb = 0.0
        self.on_output: Callable[[bytes], None] = _ignore
        self.input_refused = False
        self.guard(timeout_seconds=float("inf"))

    def guard(
        self,
        *,
        timeout_seconds: float,
        stall_seconds: float | None = None,
        check: Callable[[], None] | None = None,
        started: float | None = None,
    ) -> None:
        """Start the clocks of one run, or of one request that has waited since `started`."""
        self._timeout_seconds = timeout_seconds
        self._stall_seconds = stall_seconds
        self._check = check
        self._heard = self._ticked = time.monotonic()
        self._started = self._heard if started is None else started

    # -- waiting -----------------------------------------------------------------------------------------------------

    def step(self, *, seconds: float = TICK_SECONDS, for_input: bool = False) -> None:
        """Wait until the child speaks, ends or (`for_input`) takes input, at most `seconds`; read what is there."""
        poll = select.poll()
        for descriptor in self._open:
            poll.register(descriptor, select.POLLIN)
        if self._pidfd is not None:
            poll.register(self._pidfd, select.POLLIN)
        elif not self._open:
            seconds = min(seconds, 0.01)  # an old kernel, and silence: only asking tells that it ended
        if for_input and self._stdin is not None:
            poll.register(self._stdin.fileno(), select.POLLOUT)
        for descriptor, _ in poll.poll(seconds * 1000):
            if descriptor in self._open:
                self._read(descriptor)

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._open.pop(descriptor).close()
        elif descriptor == self._stdout:
            self._heard = time.monotonic()
            self.on_output(data)
            self._heard = time.monotonic()  # the time our own reader takes is not the child's silence
        else:
            self.stderr += data
            del self.stderr[:-STDERR_BYTES]
        return bool(data)

    def tick(self) -> None:
        """Raise if the child was killed, is out of time, or its caller wants to leave.

        The clocks come before `check()`: they judge what `step` has just read, while `check` may take seconds.
        """
        if self.group.killed_for is not None:
            raise Interrupted(self.group.killed_for)
        now = time.monotonic()
        if now - self._started > self._timeout_seconds:
            raise TimedOut(f"{self.name} was killed: not done after {self._timeout_seconds:g} seconds")
        if self._stall_seconds is not None and now - self._heard > self._stall_seconds:
            raise TimedOut(f"{self.name} was killed: no sign of life for {self._stall_seconds:g} seconds")
        self._ticked = now
        self.peak_memory_mb = max(self.peak_memory_mb, _peak_memory_mb(self.group.pid))
        if self._check is not None:
            self._check()

    # -- input -------------------------------------------------------------------------------------------------------

    def write(self, data: Data) -> None:
        """Give the child all of `data`; BrokenPipeError when it takes no more."""
        self._heard = time.monotonic()  # so far the child was waiting for us
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else view[:0]
        while view.nbytes:
            if self._stdin is None:
                raise BrokenPipeError
            try:
                taken = os.write(self._stdin.fileno(), view)
            except BlockingIOError:
                self.step(for_input=True)
            except BrokenPipeError:
                self.input_refused = True
                raise
            else:
                view = view[taken:]
                self._heard = time.monotonic()
            if time.monotonic() - self._ticked >= TICK_SECONDS:
                self.step(seconds=0)
                self.tick()

    def widen_input(self) -> None:
        """Let the pipe hold a good part of a video frame: five times the throughput of the default 64 KiB."""
        if self._stdin is not None:
            with suppress(OSError):  # an unprivileged user has so many pages of pipes and no more
                fcntl.fcntl(self._stdin.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def close_input(self) -> None:
        """Tell the child that no more input comes."""
        if self._stdin is not None:
            with suppress(OSError):
                self._stdin.close()
            self._stdin = None

    # -- the end -----------------------------------------------------------------------------------------------------

    def collect(self) -> tuple[int, float]:
        """The exit code and processor seconds of a child that has ended; its last words are read first."""
        for descriptor in list(self._open):
            # A pipe holds 1 MiB at most; a stranger who keeps it open and full must not hold us here.
            for _ in range(2 * PIPE_BYTES // READ_BYTES):
                if descriptor not in self._open or not self._read(descriptor):
                    break
        returncode, usage = self.group.reap()
        # Between vfork and exec a child runs in our memory, and the kernel counts our peak as its own.
        if usage.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self.peak_memory_mb = max(self.peak_memory_mb, usage.ru_maxrss / 1024)
        self._close()
        return returncode, usage.ru_utime + usage.ru_stime

    def end(self, *, at_once: bool = False) -> None:
        """End the whole group: TERM, some time to tidy up unless `at_once`, KILL."""
        self.on_output = _ignore
        self.close_input()
        if not at_once:
            self.group.send(signal.SIGTERM)
            self._await_exit(TERM_SECONDS)
        self.group.send(signal.SIGKILL)
        if self._await_exit(REAP_SECONDS):
            self.group.reap()
        self._close()

    def _await_exit(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (ended := self.group.exited()) and time.monotonic() < deadline:
            self.step(seconds=0.05)
        return ended

    def _close(self) -> None:
        self.close_input()
        for pipe in self._open.values():
            pipe.close()
        self._open.clear()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def failure(self, returncode: int, *, early: bool = False) -> BaseException:
        """What a child that ended with `returncode` means for its caller."""
        tail = self.stderr.decode(errors="replace")
        if self.group.killed_for is not None:
            return Interrupted(self.group.killed_for)
        if returncode == COULD_NOT_START and tail.startswith(MARK):
            return HostTrouble(tail.removeprefix("stagecrew ").strip())
        return ChildFailed(self.name, returncode, tail, early=early)


def _ignore(_data: bytes) -> None:
    """Read and forget, so that the child is not held by a full pipe."""


def _pidfd(pid: int) -> int | None:
    """A descriptor that tells the moment a process ends; None on kernels before 5.3."""
    opener = getattr(os, "pidfd_open", None)
    if opener is None:
        return None
    try:
        return int(opener(pid))
    except OSError:
        return None


def _peak_memory_mb(pid: int) -> float:
    """The most memory a process has held so far; 0.0 once it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def memory_mb(pid: int) -> float:
    """What a process holds in memory (RSS), its children apart; 0 when it is gone."""
    with suppress(OSError, IndexError, ValueError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)
    return 0.0
