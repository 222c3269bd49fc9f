"""Just enough of Redis's protocol for PING, INFO and SHUTDOWN."""

from __future__ import annotations

import re
import select
import socket
from typing import IO, Any, Self

REPLY_SECONDS = 5.0
SOCKET = "redis.sock"
SOCKET_PATH_BYTES = 100  # the kernel takes 107


class Connection:
    """Just enough of the protocol for PING, INFO and SHUTDOWN, and for the prompt where there is no redis-cli."""

    def __init__(self, folder: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(REPLY_SECONDS)
            self._socket.connect(through(folder))
        except OSError:
            self._socket.close()
            raise
        self._file: IO[bytes] = self._socket.makefile("rb")

    def ask(self, *words: str) -> Any:
        """Send one command; str, int, None or a list. An error reply is a string that starts with "-"."""
        parts = [word.encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._reply()

    def _reply(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self._file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        return f"-{rest}" if kind == b"-" else rest

    def ends_within(self, seconds: float) -> bool:
        """Whether the server hangs up (nothing else is ever said unasked)."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def through(folder: int) -> str:
    """The socket's path through an open folder: short however long the folder's own path is."""
    return f"/proc/self/fd/{folder}/{SOCKET}"


def running_version(folder: int) -> str | None:
    """The version of the server that answers; None when none does, or it is still loading its data.

    Any other error reply to PING (MISCONF for example) comes from a server that runs: its clients will hear it too.
    """
    try:
        with Connection(folder) as connection:
            if str(connection.ask("PING")).startswith("-LOADING"):
                return None
            found = re.search(r"^redis_version:(\S+)", str(connection.ask("INFO", "server")), re.MULTILINE)
            return found[1] if found else None
    except OSError:
        return None
