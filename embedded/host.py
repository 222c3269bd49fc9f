"""Whose server it is: a folder that two hosts share must not get two servers, each of which overwrites the other's data."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from errors import HostTrouble

HOST = "host"
# The keeper touches the file every second; a host that was silent for so long has left.
SILENT_SECONDS = 60.0


def note_host(folder: int) -> None:
    """Note that this host has started the server."""
    from settings import this_host

    descriptor = os.open(HOST, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        os.write(descriptor, "\n".join(this_host()).encode())
    finally:
        os.close(descriptor)


def touch_host(folder: int) -> None:
    """The server is still watched from here."""
    with suppress(OSError):
        os.utime(HOST, dir_fd=folder)


def refuse_other_host(folder: int) -> None:
    """HostTrouble when another host runs a server on this folder; neither its socket nor its locks reach us."""
    from settings import is_same_host

    with suppress(FileNotFoundError):
        descriptor = os.open(HOST, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        try:
            silent = time.time() - os.fstat(descriptor).st_mtime
            name, _, boot = os.read(descriptor, 1024).decode(errors="replace").partition("\n")
        finally:
            os.close(descriptor)
        if not is_same_host(name, boot) and silent < SILENT_SECONDS:
            raise HostTrouble(
                f"the embedded Redis of this STATE_DIR runs on the host {name}, and serves one host only: "
                "set REDIS_URL to a Redis that all hosts reach"
            )
