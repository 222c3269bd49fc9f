"""Word to systemd (sd_notify); silence elsewhere."""

from __future__ import annotations

import socket

from settings import notify_socket


def notify(*words: str) -> None:
    """Send READY=1, WATCHDOG=1, STOPPING=1, EXTEND_TIMEOUT_USEC=... to the manager, if it listens."""
    address = notify_socket()
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto("\n".join(words).encode(), address)
    except OSError:
        pass  # a manager that does not listen is no reason to stop working
