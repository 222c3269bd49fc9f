"""A Redis of a row's own: killed, stopped, started again, and with the end of its log cut off."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Any

import redis

from embedded.programs import find_program
from tests.support.crews import RedisServer
from tests.support.servers import answers
from tests.support.workers import wait_for

PROGRAM = find_program("redis-server")


class Server(RedisServer):
    """As in tests/support, with its log written once a second and rewritten at each start only, so that its end can be cut.

    Without that each start would read all that was ever written, and a row of many starts would measure that.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._sizes: deque[tuple[float, int]] = deque(maxlen=2000)
        self.starts = 0

    def start(self) -> None:
        assert PROGRAM is not None
        argv = [PROGRAM, "--port", "0", "--unixsocket", self.socket, "--dir", str(self.folder), "--save", ""]
        argv += ["--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"]
        argv += ["--maxmemory-policy", "noeviction"]
        with (self.folder / "log").open("ab") as out:
            self._server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.starts += 1
        self._sizes.clear()
        with redis.Redis(unix_socket_path=self.socket) as probe:
            wait_for(lambda: answers(probe), 60, what=lambda: f"redis-server: {(self.folder / 'log').read_text()}")
            if self.starts > 1:
                probe.bgrewriteaof()
                wait_for(lambda: not _rewrites(probe), 60, what="a log rewritten")
                self._sizes.clear()

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def look(self) -> None:
        """Note how long the log is now."""
        self._sizes.append((time.monotonic(), self._log().stat().st_size))

    def cut(self, seconds: float) -> int:
        """Take the end of the log away, as a power cut would; how many bytes. Only for one that is killed."""
        limit = time.monotonic() - seconds
        size = next((size for at, size in reversed(self._sizes) if at <= limit), 0)
        log = self._log()
        lost = log.stat().st_size - size
        os.truncate(log, size)
        return lost

    def copy(self, target: Path) -> None:
        """The data of this moment, aside."""
        shutil.copytree(self.folder, target, ignore=shutil.ignore_patterns("s", "log"), dirs_exist_ok=True)

    def put_back(self, source: Path) -> None:
        """The data of an earlier moment; only for one that is killed."""
        for old in self.folder.iterdir():
            if old.name not in {"s", "log"}:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        shutil.copytree(source, self.folder, dirs_exist_ok=True)

    def client(self) -> Any:
        """A plain client."""
        return redis.Redis(unix_socket_path=self.socket, decode_responses=True)

    def _log(self) -> Path:
        """The file that grows: one in Redis 6, the newest part in later ones."""
        parts = sorted(self.folder.glob("appendonlydir/*.incr.aof"))
        return parts[-1] if parts else self.folder / "appendonly.aof"


def _rewrites(probe: Any) -> bool:
    found = probe.info("persistence")
    return bool(found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])
