"""The only place that starts a child process: its group, limits, progress, and death with its parent.

`run` carries one program to its end, `Child` keeps a warm one that answers line by line. Both share four rules:

* A child never outlives this process, however that dies: the kernel kills it (PR_SET_PDEATHSIG).
* A child is one session and one process group; the group ends with it, also when it ends well.
* No Python code is forked: a thread of a forked process may hold any lock for ever.
* Whoever waits is the one who reads, writes and asks `check()`, so nothing here needs a thread but the starter.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import queue
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from errors import BadReply, HostTrouble, Interrupted, StagecrewError, TimedOut
from settings import child_environment

TICK_SECONDS = 0.2  # how often a waiting caller asks its clocks and `check()`
TERM_SECONDS = 3.0  # what a child gets between TERM and KILL
REAP_SECONDS = 5.0  # a killed child that hangs in the kernel longer than this is left behind
READ_BYTES = 64 * 1024
LINE_BYTES = 64 * 1024
PIPE_BYTES = 1024 * 1024
STDERR_BYTES = 8 * 1024
STDOUT_BYTES = 16 * 1024 * 1024

current_tag: ContextVar[str | None] = ContextVar("current_tag", default=None)
"""Whose children are started here, a job's id for example; set by the caller, read by `kill_tag`."""

Data = bytes | bytearray | memoryview
Write = Callable[[Data], None]

# Runs in the child before the program. The death signal belongs to the thread that started the child, and a parent
# that died before the prctl sends none: hence the look at getppid. Python ignores SIGPIPE and SIGXFSZ, and an ignored
# signal survives exec. The hard limit is a little above the soft one, or the kernel kills without SIGXCPU.
_COULD_NOT_START = 127
_MARK = "stagecrew could not start "
_LAUNCHER = f"""
import ctypes, os, resource, sys, _signal
parent, adjust, limits, program = sys.argv[1:5]
def fail(error):
    os.write(2, os.fsencode("{_MARK}" + program + ": " + str(error)))
    os._exit({_COULD_NOT_START})
try:
    if ctypes.CDLL(None, use_errno=True).prctl(1, 9, 0, 0, 0):
        fail("prctl: " + os.strerror(ctypes.get_errno()))
    if os.getppid() != int(parent):
        os._exit(1)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(adjust)
    except OSError:
        pass
    _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    for pair in limits.split():
        kind, soft = map(int, pair.split(":"))
        top = resource.getrlimit(kind)[1]
        top = sys.maxsize if top == resource.RLIM_INFINITY else top
        resource.setrlimit(kind, (min(soft, top), min(soft + 2, top)))
    os.execv(program, [program, *sys.argv[5:]])
except Exception as error:
    fail(error)
"""


@dataclass(frozen=True)
class Limits:
    """What the kernel holds a child to; None leaves it as it is."""

    memory_mb: int | None = None
    cpu_seconds: int | None = None
    file_mb: int | None = None
    open_files: int | None = None
    oom_score_adj: int = 500

    def encoded(self) -> str:
        """The limits as the launcher reads them: `kind:value` pairs."""
        mb = 1024 * 1024
        wanted = (
            (resource.RLIMIT_CORE, 0),  # a core holds the payload, and fills the disk
            # DATA counts what a program really allocates; AS would count mapped models and reserved address space.
            (resource.RLIMIT_DATA, self.memory_mb and self.memory_mb * mb),
            (resource.RLIMIT_CPU, self.cpu_seconds),
            (resource.RLIMIT_FSIZE, self.file_mb and self.file_mb * mb),
            (resource.RLIMIT_NOFILE, self.open_files),
        )
        return " ".join(f"{kind}:{value}" for kind, value in wanted if value is not None)


@dataclass(frozen=True)
class Completed:
    """A child that ended with exit code 0."""

    returncode: int
    stdout: bytes  # the last `stdout_cap` bytes
    stdout_truncated: bool
    stderr_tail: str  # the last 8 KiB
    cpu_seconds: float  # user and system time, also of what the child waited for
    peak_memory_mb: float  # sampled a few times a second: a floor, 0.0 for a child that was gone at once


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


class _Group:
    """A started process and its group. Any thread may signal it; only its owner reaps it."""

    def __init__(self, popen: subprocess.Popen[bytes], tag: str | None) -> None:
        self.popen = popen
        self.pid = popen.pid
        self.tag = tag
        self.killed_for: str | None = None
        self._reaped = False
        self._lock = threading.Lock()

    def send(self, number: signal.Signals) -> None:
        # Until it is reaped its number cannot belong to anybody else; the lock keeps the reaper away meanwhile.
        with self._lock:
            if not self._reaped:
                self._send(number)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def kill(self, reason: str) -> None:
        self.killed_for = self.killed_for or reason
        self.send(signal.SIGKILL)

    def exited(self) -> bool:
        with self._lock:
            return self._reaped or os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def reap(self) -> tuple[int, resource.struct_rusage]:
        """Collect an ended leader, and kill what it left in its group: nobody else would."""
        with self._lock:
            self._send(signal.SIGKILL)
            _, status, usage = os.wait4(self.pid, 0)
            self._reaped = True
        self.popen.returncode = os.waitstatus_to_exitcode(status)
        with _registry_lock:
            _registry.pop(self.pid, None)
        return self.popen.returncode, usage


@dataclass
class _Order:
    """One child to be started by the starter's thread."""

    argv: list[str]
    environment: dict[str, str]
    cwd: str | None
    stdin: int
    tag: str | None
    done: threading.Event = field(default_factory=threading.Event)
    abandoned: bool = False
    group: _Group | None = None
    error: Exception | None = None

    def fulfil(self) -> None:
        try:
            popen = subprocess.Popen(
                self.argv,
                stdin=self.stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.cwd,
                env=self.environment,
                start_new_session=True,
                bufsize=0,
            )
        except Exception as error:  # noqa: BLE001  the top of a thread: whoever waits gets it
            self.error = error
        else:
            self.group = _Group(popen, self.tag)
            with _registry_lock:
                _registry[popen.pid] = self.group
        self.done.set()
        self.clean_up_if_abandoned()

    def clean_up_if_abandoned(self) -> None:
        if self.abandoned and self.group:
            self.group.kill("shutdown")


class _Starter:
    """The one thread that starts children. It never ends, because the kernel's death signal follows the thread."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, order: _Order) -> _Group:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="process-starter", daemon=True)
                self._thread.start()
        self._orders.put(order)
        try:
            order.done.wait()
        except BaseException:
            order.abandoned = True
            if order.done.is_set():
                order.clean_up_if_abandoned()
            raise
        if order.error is not None:
            raise HostTrouble(f"cannot start a process: {order.error}") from order.error
        assert order.group is not None
        return order.group

    def _work(self) -> None:
        while True:
            self._orders.get().fulfil()


_registry: dict[int, _Group] = {}
_registry_lock = threading.Lock()
_starter = _Starter()


def _forget_after_fork() -> None:
    """A forked copy of this process has no starter thread, and its parent's children are not its own."""
    global _registry_lock, _starter  # noqa: PLW0603
    _registry.clear()
    _registry_lock = threading.Lock()
    _starter = _Starter()


os.register_at_fork(after_in_child=_forget_after_fork)


def kill_children(reason: str = "shutdown") -> int:
    """Kill every child of this process at once; their owners see `Interrupted(reason)`. Returns how many."""
    return _kill(lambda _group: True, reason)


def kill_tag(tag: str, reason: str = "time_limit") -> int:
    """Kill the children that work for `tag`; their owners see `Interrupted(reason)`. Returns how many.

    A child that is just being started is missed: call it until the owner's thread has left.
    """
    return _kill(lambda group: group.tag == tag, reason)


def _kill(chosen: Callable[[_Group], bool], reason: str) -> int:
    with _registry_lock:
        groups = [group for group in _registry.values() if chosen(group)]
    for group in groups:
        group.kill(reason)
    return len(groups)


atexit.register(kill_children)


class _Running:
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
        self.group = _starter.start(_order(argv, cwd=cwd, env=env, limits=limits or Limits(), talks=talks))
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

    def end(self, *, term_seconds: float) -> None:
        """End the whole group: TERM, `term_seconds` to tidy up, KILL."""
        self.on_output = _ignore
        self.close_input()
        if term_seconds > 0:
            self.group.send(signal.SIGTERM)
            self._await_exit(term_seconds)
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
        if returncode == _COULD_NOT_START and tail.startswith(_MARK):
            return HostTrouble(tail.removeprefix("stagecrew ").strip())
        return ChildFailed(self.name, returncode, tail, early=early)


class _Capture:
    """Keeps the end of what a child says, and hands it on line by line."""

    def __init__(self, cap: int, on_line: Callable[[str], None] | None) -> None:
        self._cap = cap
        self._on_line = on_line
        self._kept = bytearray()
        self._line = bytearray()
        self.truncated = False

    def __call__(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * self._cap:  # cut rarely: each cut moves what stays
            self._cut()
        if self._on_line is not None:
            *ended, rest = data.split(b"\n")
            for part in ended:
                self._add(part)
                self.end_line()
            self._add(rest)

    def _add(self, part: bytes) -> None:
        self._line += part[: LINE_BYTES - len(self._line)]

    def end_line(self) -> None:
        line = self._line.decode(errors="replace").removesuffix("\r")
        self._line.clear()
        if self._on_line is not None:
            self._on_line(line)

    def finish(self) -> bytes:
        if self._line:
            self.end_line()
        self._cut()
        return bytes(self._kept)

    def _cut(self) -> None:
        if len(self._kept) > self._cap:
            self.truncated = True
            del self._kept[: len(self._kept) - self._cap]


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    stall_seconds: float | None = None,
    stdin: bytes | None = None,
    feed: Callable[[Write], None] | None = None,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    check: Callable[[], None] | None = None,
    limits: Limits | None = None,
    stdout_cap: int = STDOUT_BYTES,
) -> Completed:
    """Run a program to its end and return what it said.

    `feed(write)` produces the child's input piece by piece (or `stdin` gives all of it), `on_line` gets each line of
    its output without the line's end, and `check()` is asked a few times a second and may raise to leave; all three
    run in the calling thread. `env` is added to this process's environment without its secrets.

    Raises TimedOut after `timeout_seconds`, or after `stall_seconds` without output (or accepted input); ChildFailed
    for any exit code but 0; HostTrouble when the program is missing; Interrupted when `kill_tag` or `kill_children`
    ended it; and whatever `check`, `feed` or `on_line` raise. In every case the child's whole group is gone before
    this returns: at once after TimedOut, otherwise with TERM and KILL 3 seconds later.
    """
    if stdin is not None:
        assert feed is None, "give stdin or feed, not both"
        feed = _feeder(stdin)
    child = _Running(argv, cwd=cwd, env=env, limits=limits, talks=feed is not None)
    try:
        child.guard(timeout_seconds=timeout_seconds, stall_seconds=stall_seconds, check=check)
        child.on_output = capture = _Capture(stdout_cap, on_line)
        if feed is not None:
            _feed(child, feed)
        while not child.group.exited():
            child.step()
            child.tick()
        returncode, cpu_seconds = child.collect()
    except BaseException as error:
        child.end(term_seconds=0 if isinstance(error, TimedOut) else TERM_SECONDS)
        raise
    stdout = capture.finish()
    if returncode != 0:
        raise child.failure(returncode)
    stderr_tail = child.stderr.decode(errors="replace")
    return Completed(returncode, stdout, capture.truncated, stderr_tail, cpu_seconds, child.peak_memory_mb)


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
        self._running: _Running | None = None
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
            self._drop(term_seconds=0 if isinstance(error, TimedOut) else TERM_SECONDS)
            raise
        finally:
            self._rest()
            self._lock.release()

    def close(self) -> None:
        """End the child; a running request of another thread is let finish first."""
        with self._lock:
            self._cancel_idle()
            self._drop(term_seconds=TERM_SECONDS)

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

    def _start(self) -> _Running:
        self._cancel_idle()
        if not self.alive:
            self._drop(term_seconds=0)
            self._running = _Running(self._argv, cwd=self._cwd, env=self._env, limits=self._limits, talks=True)
        assert self._running is not None
        self._running.group.tag = current_tag.get()
        return self._running

    def _ask(self, running: _Running, line: bytes) -> bytes:
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

    def _drop(self, *, term_seconds: float) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.end(term_seconds=term_seconds)

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
                    self._drop(term_seconds=TERM_SECONDS)
            finally:
                self._lock.release()


def _order(
    argv: Sequence[str], *, cwd: str | Path | None, env: Mapping[str, str] | None, limits: Limits, talks: bool
) -> _Order:
    environment = child_environment(**(env or {}))
    program = shutil.which(argv[0], path=environment.get("PATH", os.defpath))
    if program is None:
        raise HostTrouble(f"{argv[0]} is not installed, or not executable")
    launcher = [
        sys.executable,
        "-S",
        "-I",
        "-c",
        _LAUNCHER,
        str(os.getpid()),
        str(limits.oom_score_adj),
        limits.encoded(),
    ]
    return _Order(
        argv=[*launcher, str(Path(program).absolute()), *argv[1:]],
        environment=environment,
        cwd=None if cwd is None else str(cwd),
        stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
        tag=current_tag.get(),
    )


def _feed(child: _Running, feed: Callable[[Write], None]) -> None:
    """Let `feed` write; a child that stops reading is judged by its exit code, not by our broken pipe."""
    child.widen_input()
    try:
        feed(child.write)
    except BrokenPipeError:
        if not child.input_refused:
            raise
    child.close_input()


def _feeder(data: bytes) -> Callable[[Write], None]:
    return lambda write: write(data)


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
