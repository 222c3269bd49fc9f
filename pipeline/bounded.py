"""A transport for answers of strangers: one deadline and one number of bytes for all of a request, however it dribbles."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import httpcore
import httpx


@cache
def _trusted() -> ssl.SSLContext:
    """Made once: reading the certificates takes as long as a request."""
    return httpx.create_ssl_context(trust_env=False)


class BoundedTransport(httpx.BaseTransport):
    """For one request; the time-outs of httpx count each read by itself, this counts all of them together."""

    def __init__(self, *, seconds: float, most_bytes: int) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=_trusted(), max_connections=1, network_backend=_Backend(seconds, most_bytes)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, in the words of httpcore."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        asked = httpcore.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        try:
            answer = self._pool.handle_request(asked)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise httpx.TransportError(f"{type(error).__name__}: {error}", request=request) from error
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Stream(answer), extensions=answer.extensions
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._pool.close()


class _Stream(httpx.SyncByteStream):
    """The body, with the errors of httpx."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Any:
        try:
            yield from self._answer.iter_stream()
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise httpx.TransportError(f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._answer.close()


class _Backend(httpcore.SyncBackend):
    """Connections that know when all must be over."""

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self.until = time.monotonic() + seconds
        self.bytes_left = most_bytes

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Bounded(
            super().connect_tcp(host, port, self.cut(timeout, httpcore.ConnectTimeout), local_address, socket_options),
            self,
        )

    def cut(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float:
        """A time-out that does not pass the end."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise error("it took too long in all")
        return left if timeout is None else min(left, timeout)


class _Bounded(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, backend: _Backend) -> None:
        self._inner, self._backend = inner, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found = self._inner.read(max_bytes, self._backend.cut(timeout, httpcore.ReadTimeout))
        self._backend.bytes_left -= len(found)
        if self._backend.bytes_left < 0:
            raise httpcore.ReadError("the answer is too long")
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._backend.cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        cut = self._backend.cut(timeout, httpcore.ConnectTimeout)
        return _Bounded(self._inner.start_tls(ssl_context, server_hostname, cut), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
