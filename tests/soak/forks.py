"""Workers from a warmed parent: a process that has imported everything, and holds no thread and no connection, forks.

A worker's own start costs 0.6 s of a processor; a fork costs 0.05 s, so that one can be killed every 200 ms. The parent
is spoken to over two pipes, a line of JSON each way; every fork dies with it (PR_SET_PDEATHSIG), and it dies when its
pipe closes.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1
PATIENCE_SECONDS = 60.0


class Forked:
    """One forked worker. It is signalled through a descriptor, so that its number can never mean another process."""

    def __init__(self, name: str, pid: int, handle: int | None, folder: Path) -> None:
        self.name, self.pid = name, pid
        self.log_file, self.ledger_file = folder / f"{name}.log", folder / f"{name}.ledger"
        for path in (self.log_file, self.ledger_file):
            path.touch()  # it may be read before the fork has come so far
        self._handle = handle

    def signal(self, number: int) -> None:
        if self._handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def is_alive(self) -> bool:
        return self._handle is not None and not _is_readable(self._handle, 0)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Until it is gone; its log is whole then."""
        if self._handle is None:
            return
        if not _is_readable(self._handle, seconds):
            raise AssertionError(f"{self.name} did not end within {seconds:g} s: {self.log_file.read_text()[-2000:]}")
        os.close(self._handle)
        self._handle = None


def _is_readable(handle: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class ForkServer:
    """The warmed parent, and what it has forked."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._codes: dict[int, int] = {}
        self._pids: list[int] = []
        self._told = threading.Condition()

    def start(self) -> None:
        argv = [sys.executable, "-m", "tests.soak.forks"]
        self._server = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        threading.Thread(target=self._listen, name="fork-server", daemon=True).start()

    def fork(
        self, name: str, arguments: Sequence[str], *, folder: Path, env: Mapping[str, str], hooks: Mapping[str, Any]
    ) -> Forked:
        """A worker of this name; its output and its ledger go to files of its own in `folder`."""
        assert self._server is not None
        assert self._server.stdin is not None
        order = {"argv": [name, *arguments], "folder": str(folder), "env": dict(env), "hooks": dict(hooks)}
        self._server.stdin.write(orjson.dumps(order) + b"\n")
        self._server.stdin.flush()
        with self._told:
            if not self._told.wait_for(lambda: self._pids, PATIENCE_SECONDS):
                raise AssertionError("the fork server does not answer")
            pid = self._pids.pop()
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            handle = None  # gone already
        return Forked(name, pid, handle, folder)

    def exit_code(self, one: Forked) -> int:
        """How it ended, once it has."""
        with self._told:
            if not self._told.wait_for(lambda: one.pid in self._codes, PATIENCE_SECONDS):
                raise AssertionError(f"nobody has heard of the end of {one.name}")
            return self._codes[one.pid]

    def close(self) -> None:
        """The parent ends, and with it every fork."""
        if self._server is not None:
            self._server.kill()
            self._server.communicate()

    def _listen(self) -> None:
        assert self._server is not None
        assert self._server.stdout is not None
        for line in self._server.stdout:
            with self._told:
                match orjson.loads(line):
                    case {"forked": pid}:
                        self._codes.pop(pid, None)
                        self._pids.append(pid)
                    case {"ended": pid, "code": code}:
                        self._codes[pid] = code
                self._told.notify_all()


# -- the parent's side -------------------------------------------------------------------------------------------------


def serve() -> None:
    """Import everything once, then fork a worker for every line."""
    import worker  # noqa: F401 - this is what every fork starts with
    from pipeline.stage import stages
    from settings import Settings

    stages()
    Settings.model_config["env_file"] = None  # whoever runs this may have one of his own
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, threading.enumerate()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    bell, ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    said = os.dup(1)
    os.dup2(2, 1)  # nothing else may speak here
    waiting = b""
    while True:
        ready, _, _ = select.select([0, bell], [], [])
        if bell in ready:
            with suppress(BlockingIOError):
                os.read(bell, 512)
            _reap(said)
        if 0 in ready:
            heard = os.read(0, 1 << 16)
            if not heard:
                return
            *lines, waiting = (waiting + heard).split(b"\n")
            for line in lines:
                _fork(orjson.loads(line), said)


def _fork(order: dict[str, Any], said: int) -> None:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = _live(order, parent)
        finally:
            os._exit(code)
    os.write(said, orjson.dumps({"forked": pid}) + b"\n")


def _reap(said: int) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            os.write(said, orjson.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}) + b"\n")


def _live(order: dict[str, Any], parent: int) -> int:
    """The life of a fork: `python worker.py NAME ...`, with a ledger."""
    import log
    import worker
    from database.engine import reset_database
    from settings import get_settings
    from tests.soak import hooks, ledger

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return 70
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    name, folder = order["argv"][0], Path(order["folder"])
    nowhere = os.open(os.devnull, os.O_RDONLY)
    out = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for target, source in ((0, nowhere), (1, out), (2, out)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["env"])
    get_settings.cache_clear()
    log._secrets.cache_clear()
    reset_database()
    book = ledger.Book(folder / f"{name}.ledger")
    hooks.install(order["hooks"], book)
    ledger.install(book.write)
    return worker.main(order["argv"])


if __name__ == "__main__":
    serve()
