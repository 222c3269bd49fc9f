"""Starting children: the launcher that runs before the program, the one thread that starts them, the list of those alive."""

from __future__ import annotations

import atexit
import os
import queue
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from errors import HostTrouble
from settings import child_environment

current_tag: ContextVar[str | None] = ContextVar("current_tag", default=None)
"""Whose children are started here, a job's id for example; set by the caller, read by `kill_tag`."""

# Runs in the child before the program. The death signal belongs to the thread that started the child, and a parent
# that died before the prctl sends none: hence the look at getppid. Python ignores SIGPIPE and SIGXFSZ, a shell ignores
# SIGINT for what it starts in the background, and an ignored signal survives exec. The hard limit is a little above the
# soft one, or the kernel kills without SIGXCPU.
COULD_NOT_START = 127
MARK = "stagecrew could not start "
_LAUNCHER = f"""
import ctypes, os, resource, sys, _signal
parent, adjust, limits, program = sys.argv[1:5]
def fail(error):
    os.write(2, os.fsencode("{MARK}" + program + ": " + str(error)))
    os._exit({COULD_NOT_START})
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
    for number in _signal.valid_signals() - {{_signal.SIGKILL, _signal.SIGSTOP}}:
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


class Group:
    """A started process and its group. Any thread may signal it; only its owner reaps it."""

    def __init__(self, popen: subprocess.Popen[bytes], tag: str | None) -> None:
        self.popen = popen
        self.pid = popen.pid
        self.tag = tag
        self.killed_for: str | None = None
        self._reaped = False
        self._lock = threading.Lock()

    def send(self, number: signal.Signals) -> None:
        """Signal the whole group; nothing once it is reaped."""
        # Until it is reaped its number cannot belong to anybody else; the lock keeps the reaper away meanwhile.
        with self._lock:
            if not self._reaped:
                self._send(number)

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def kill(self, reason: str) -> None:
        """Kill the whole group, and note why."""
        self.killed_for = self.killed_for or reason
        self.send(signal.SIGKILL)

    def exited(self) -> bool:
        """Whether the leader has ended (reaped or not)."""
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
            registry.pop(self.pid, None)
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
    group: Group | None = None
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
            self.group = Group(popen, self.tag)
            with _registry_lock:
                registry[popen.pid] = self.group
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

    def start(self, order: _Order) -> Group:
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


registry: dict[int, Group] = {}
"""The children that are not collected yet, by process id."""

_registry_lock = threading.Lock()
_starter = _Starter()


def _forget_after_fork() -> None:
    """A forked copy of this process has no starter thread, and its parent's children are not its own."""
    global _registry_lock, _starter  # noqa: PLW0603
    registry.clear()
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


def _kill(chosen: Callable[[Group], bool], reason: str) -> int:
    with _registry_lock:
        groups = [group for group in registry.values() if chosen(group)]
    for group in groups:
        group.kill(reason)
    return len(groups)


atexit.register(kill_children)


def start(
    argv: Sequence[str], *, cwd: str | Path | None, env: Mapping[str, str] | None, limits: Limits, talks: bool
) -> Group:
    """Start a child (`talks`: we write to it); HostTrouble when there is no such program."""
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
    order = _Order(
        argv=[*launcher, str(Path(program).absolute()), *argv[1:]],
        environment=environment,
        cwd=None if cwd is None else str(cwd),
        stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
        tag=current_tag.get(),
    )
    return _starter.start(order)
