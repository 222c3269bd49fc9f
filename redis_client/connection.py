"""Clients of Redis with their own silent retries off, and Redis's troubles as our errors.

redis-py re-sends every command ten times by default: a script would run eleven times, a BLPOP would lose
what it popped. Here a command is sent once; only idempotent scripts are repeated, by `repeat`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
import structlog
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

import embedded
from errors import HostTrouble, InvalidInput, QueueUnavailable
from settings import get_settings, is_loopback

COMMAND_SECONDS = 5.0
CONNECT_SECONDS = 2.0
OLDEST_REDIS = (6, 2)
# Answers that mean "not now", from a server that is read-only, full, loading or re-arranging itself. redis-py takes the
# first word of some away; Redis 6.2 puts its own words before those of a script ("... @user_script: 134: -READONLY").
NOT_NOW = re.compile(
    r"(?:^|@user_script: ?\d+: -)(READONLY|MISCONF|OOM|LOADING|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|BUSY) "
)
NOT_NOW_ERRORS = (ReadOnlyError, OutOfMemoryError, ClusterDownError, TryAgainError, MasterDownError)
# What other programs push need not be text; it is read, and sent back by `raw`, unchanged.
ODD_BYTES = "surrogateescape"
T = TypeVar("T")


@contextmanager
def queue_errors() -> Iterator[None]:
    """Turn trouble of Redis itself into QueueUnavailable; a wrong command stays a bug."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise QueueUnavailable(f"Redis does not answer: {error}") from error
    except ResponseError as error:
        if isinstance(error, NOT_NOW_ERRORS) or NOT_NOW.search(str(error)):
            raise QueueUnavailable(f"Redis cannot serve now: {error}") from error
        raise


def repeat(move: Callable[[], T], *, tries: int = 3, pause_seconds: float = 0.1) -> T:
    """Run an idempotent move; repeat it when the connection broke, since its reply may have been lost."""
    for number in range(1, tries + 1):
        try:
            with queue_errors():
                return move()
        except QueueUnavailable:
            if number == tries:
                raise
            time.sleep(pause_seconds * number)
    raise AssertionError("unreachable")


class Connections:
    """The clients of this process, opened at the first use."""

    def __init__(self, url: str | None = None) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._local = threading.local()
        self._is_fit = False

    def commands(self) -> redis.Redis:
        """The calling thread's client for short commands: it holds one connection and pays no pool."""
        client: redis.Redis | None = getattr(self._local, "client", None)
        if client is None:
            if not self._is_fit:
                self.refuse_exposed()
            with queue_errors():
                client = self.build(socket_timeout=COMMAND_SECONDS, single=True)
            with self._lock:
                if not self._is_fit:
                    _refuse_unfit(client)
                    self._is_fit = True
            self._local.client = client
        return client

    def build(self, *, socket_timeout: float, single: bool = False) -> redis.Redis:
        """A new client; `single` holds one connection, so that CLIENT UNBLOCK can name it."""
        options: dict[str, Any] = {
            "socket_timeout": socket_timeout,
            "socket_connect_timeout": CONNECT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
            "encoding_errors": ODD_BYTES,
            "client_name": "stagecrew",
        }
        secret = get_settings().redis_url
        url = self._url or (secret.get_secret_value() if secret else None)
        if url is None:
            # Asked again for every client: it starts the server anew when it died.
            path = _embedded_socket()
            return redis.Redis(unix_socket_path=path, single_connection_client=single, **options)
        try:
            return redis.Redis.from_url(url, single_connection_client=single, **options)
        except ValueError as error:
            raise InvalidInput(f"REDIS_URL: {error}") from None

    def refuse_exposed(self) -> None:
        """InvalidInput for a Redis on another machine that anybody can talk to; a warning where others can listen."""
        secret = get_settings().redis_url
        url = self._url or (secret.get_secret_value() if secret else None)
        parts = urlsplit(url or "")
        if parts.scheme not in {"redis", "rediss"} or is_loopback(parts.hostname or "localhost"):
            return
        if parts.scheme == "redis" and not parts.password and not get_settings().redis_allow_insecure:
            raise InvalidInput(
                f"REDIS_URL: {parts.hostname} is another machine, and asks for neither a password nor TLS: "
                "add one (redis://:password@..., rediss://...), or set REDIS_ALLOW_INSECURE=true"
            )
        if parts.scheme == "redis":
            structlog.get_logger().warning("redis_without_tls", host=parts.hostname)

    def revive(self) -> None:
        """Start the embedded server again if it died; nothing to do for a Redis by URL."""
        if self._url is None and get_settings().redis_url is None:
            _embedded_socket()

    def close(self) -> None:
        """Close the calling thread's client; those of other threads go with them."""
        client: redis.Redis | None = getattr(self._local, "client", None)
        self._local.client = None
        if client is not None:
            client.close()


def raw(value: str) -> bytes:
    """What Redis answered, byte for byte as it stands there."""
    return value.encode(errors=ODD_BYTES)


def _embedded_socket() -> str:
    """Where the embedded Redis listens, started if need be; what keeps it from starting is trouble of Redis."""
    try:
        return embedded.ensure().socket_path
    except HostTrouble as error:
        raise QueueUnavailable(str(error), retry_after=error.retry_after) from error


def _refuse_unfit(client: redis.Redis) -> None:
    """A Redis that throws keys away when it is full would throw jobs away; an old one does not know our commands."""
    with queue_errors():
        try:
            facts: Any = client.info("server") | client.info("memory")
        except ResponseError:
            return  # INFO may be forbidden by an ACL
    version, policy = str(facts.get("redis_version", "")), str(facts.get("maxmemory_policy", "noeviction"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < OLDEST_REDIS:
        raise HostTrouble(f"Redis is {version}: it must be 6.2 or newer, or Valkey")
    if policy != "noeviction":
        raise HostTrouble(f"Redis has maxmemory-policy {policy}: it would delete jobs; set it to noeviction")


__all__ = ["Connections", "RedisError", "ResponseError", "queue_errors", "raw", "repeat"]
