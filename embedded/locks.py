"""The locks in STATE_DIR/redis, taken with flock through an open folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from errors import HostTrouble

LOCK_SECONDS = 40.0  # a start may take 30
POLL_SECONDS = 0.01
START, SERVER, USERS, KEEPER = "start.lock", "server.lock", "users.lock", "keeper.lock"


def open_lock(folder: int, name: str) -> int:
    """The descriptor of a lock that is not taken yet."""
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder)


def try_lock(folder: int, name: str) -> int | None:
    """The descriptor of a lock taken exclusively, or None when somebody else has it."""
    descriptor = open_lock(folder, name)
    if lock_now(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def lock_now(descriptor: int) -> bool:
    """Take an open lock exclusively, if nobody has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def holding(start: int) -> Iterator[None]:
    """Hold the (open) start lock; with a deadline, because a stopped process may hold it for ever."""
    deadline = time.monotonic() + LOCK_SECONDS
    while not lock_now(start):
        if time.monotonic() > deadline:
            raise HostTrouble(f"another process has been starting the embedded Redis for {LOCK_SECONDS:g} seconds")
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        fcntl.flock(start, fcntl.LOCK_UN)


def is_unused(users: int) -> bool:
    """Whether nobody holds the (open) lock of the users."""
    if not lock_now(users):
        return False
    fcntl.flock(users, fcntl.LOCK_UN)
    return True
