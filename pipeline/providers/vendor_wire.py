"""One request on its way to a vendor: ended at its deadline, and what its failure means for money."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from errors import Permanent, Unanswered, Unreachable

CONNECT_SECONDS = 10.0


class Wire:
    """One request on its way, as a context manager: ends it at its deadline, and says what its failure means.

    httpx's own time-outs count each read, so a server that sends a byte now and then would never meet them.
    """

    def __init__(self, vendor: str, seconds: float, *, paid: bool) -> None:
        self.vendor, self.seconds, self.paid = vendor, seconds, paid
        self.until = time.monotonic() + seconds
        self.left = False  # a byte of the request may have gone out
        self._is_late = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._timer.cancel()
        import httpx

        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | httpx.InvalidURL | UnicodeError):
            # The text of these may show a header with its key.
            reason = "its key or its base URL has signs that cannot be sent"
            raise Permanent(f"{self.vendor}: {reason} ({type(error).__name__})") from None
        if isinstance(error, httpx.HTTPError | httpx.StreamError):
            raise self.failure(type(error).__name__) from None

    def stream(self, client: Any, method: str, url: str, *, stall_seconds: float | None = None, **request: Any) -> Any:
        """The context manager of httpx's answer, watched by this wire; `stall_seconds`: the longest silence."""
        import httpx

        silence = min(self.seconds, stall_seconds or self.seconds)
        timeout = httpx.Timeout(silence, connect=min(CONNECT_SECONDS, self.seconds))
        return client.stream(method, url, timeout=timeout, extensions={"trace": self.trace}, **request)

    def check(self) -> None:
        """Unanswered or Unreachable when the time is up."""
        if self._is_late or time.monotonic() > self.until:
            self._is_late = True
            raise self.failure("")

    def failure(self, name: str) -> Unreachable:
        """The error for a request that came to nothing (`name`: of what broke, "" for time that is up)."""
        reason = (
            f"did not answer within {self.seconds:g} s" if self._is_late or "Timeout" in name else f"broke ({name})"
        )
        if not self.left:
            return Unreachable(f"{self.vendor} cannot be reached ({name or 'too slow'})")
        if self.paid:
            return Unanswered(f"{self.vendor} {reason}; it may have done the work")
        return Unreachable(f"{self.vendor} {reason}")

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpx tells of the request on its way (its extension `trace`)."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._is_late:
                self._end()
        elif event.endswith("send_request_headers.started"):
            self.left = True

    def _end(self) -> None:
        """From the timer's thread: closing would not wake a blocked read, a shutdown does."""
        self._is_late = True
        if self._socket is not None:
            with suppress(OSError, ValueError):
                # Not SSLSocket's own, which would go on in plain text.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
