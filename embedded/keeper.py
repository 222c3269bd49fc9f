"""The keeper: a small process that stops the server some time after its last user."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass

from embedded.host import touch_host
from embedded.locks import POLL_SECONDS, SERVER, START, USERS, holding, is_unused, open_lock, try_lock
from embedded.wire import Connection, running_version
from errors import HostTrouble

STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Keeper:
    """Waits until the server has had no user for `grace_seconds` and shuts it down; ends when the server is gone.

    `lock` is the inherited keeper.lock: given back only under the start lock, so that a starter always sees truly
    whether there is a keeper.
    """

    folder: int
    start: int
    users: int
    lock: int
    grace_seconds: float

    def work(self) -> None:
        """Watch one life of the server after the other, until nobody starts it again."""
        while self._watch() or self._begins_anew():
            pass

    def _watch(self) -> bool:
        """Watch one life of the server; False when it is over.

        The connection, like the locks, is opened once and kept: it reaches the server of a deleted STATE_DIR too.
        """
        try:
            connection = Connection(self.folder)
        except OSError:
            return False
        with connection:
            seen, free_since = -1, 0.0
            while not connection.ends_within(min(1.0, self.grace_seconds / 4)):
                touch_host(self.folder)
                touched = os.fstat(self.users).st_mtime_ns
                if not is_unused(self.users) or touched != seen:
                    seen, free_since = touched, time.monotonic()
                elif time.monotonic() - free_since >= self.grace_seconds:
                    self._shut_down(connection, seen)
        return False

    def _shut_down(self, connection: Connection, seen: int) -> None:
        """Stop the server if it is still without a user; nobody can become one while we hold the start lock."""
        with suppress(HostTrouble), holding(self.start):
            if is_unused(self.users) and os.fstat(self.users).st_mtime_ns == seen:
                stop(self.folder, connection)

    def _begins_anew(self) -> bool:
        """Whether somebody has started the server again; if not, this is no longer its keeper."""
        with holding(self.start):
            if running_version(self.folder) is not None:
                return True
            os.close(self.lock)
            return False


def stop(folder: int, connection: Connection) -> None:
    """Shut the server down and wait until it is gone. The caller holds the start lock."""
    with suppress(OSError):
        connection.ask("SHUTDOWN")
    deadline = time.monotonic() + STOP_SECONDS
    with suppress(FileNotFoundError):  # in a deleted folder nobody can start another one anyway
        while (lock := try_lock(folder, SERVER)) is None:
            if time.monotonic() > deadline:
                raise HostTrouble("the embedded Redis does not stop")
            time.sleep(POLL_SECONDS)
        os.close(lock)


def keep(grace_seconds: float, lock: int) -> None:
    """Be the keeper of the server whose folder is the current one; `lock` is the inherited keeper.lock."""
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    Keeper(folder, open_lock(folder, START), open_lock(folder, USERS), lock, grace_seconds).work()
