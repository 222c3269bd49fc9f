"""The one fetcher of addresses given by users: https, public addresses only, each redirect checked, size and time capped.

The name is resolved once and the connection goes to the address that was checked, so that a second answer of
the name server cannot lead inside.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from errors import InvalidInput, Refused, TooLarge, Unreachable

MOST_REDIRECTS = 4
CHUNK = 1 << 16
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """A checked address: where to connect, and what to say there."""

    url: str
    host: str
    port: int
    address: str


def fetch(
    url: str,
    output: Path,
    *,
    most_bytes: int,
    seconds: float = 60.0,
    check: Callable[[], None] = lambda: None,
    resolve: Resolve | None = None,
    transport: Any = None,
) -> str:
    """Download an https address into a file; the media type it was served with.

    Errors: InvalidInput (not an https address, or the answer is 4xx), Refused (it leads to a private network),
    TooLarge, Unreachable (try again).
    """
    import httpx

    deadline = time.monotonic() + seconds
    for _ in range(MOST_REDIRECTS + 1):
        place = check_place(url, resolve or _resolve)
        try:
            # No proxies and no cookies from the environment; the address was chosen above.
            with (
                httpx.Client(trust_env=False, timeout=httpx.Timeout(10.0), transport=transport) as client,
                client.stream(
                    "GET",
                    _pinned(place),
                    headers={"host": _authority(place), "accept": "image/*", "accept-encoding": "identity"},
                    extensions={"sni_hostname": place.host},
                ) as answer,
            ):
                if answer.is_redirect:
                    url = urljoin(url, answer.headers.get("location", ""))
                    continue
                _refuse_status(answer.status_code, place)
                _save(answer, output, place, most_bytes=most_bytes, deadline=deadline, check=check)
                return str(answer.headers.get("content-type", "")).partition(";")[0]
        except httpx.HTTPError as error:
            raise Unreachable(f"{place.host} does not answer: {type(error).__name__}") from error
    raise InvalidInput(f"{urlsplit(url).hostname} redirects more than {MOST_REDIRECTS} times")


def check_place(url: str, resolve: Resolve) -> Place:
    """Where an address leads, after one look-up; refused unless it is https and every answer is public."""
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError:
        raise InvalidInput(f"{url[:80]!r} is not an address") from None
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
        raise InvalidInput(f"{url[:80]!r}: give an https address without user and password")
    found = resolve(parts.hostname, port)
    if not found:
        raise Unreachable(f"{parts.hostname} has no address")
    for address in found:
        if not _is_public(address):
            raise Refused(f"{parts.hostname} leads into a private network")
    return Place(url, parts.hostname, port, found[0])


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    if inner is not None:
        return _is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


def _resolve(host: str, port: int) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} cannot be looked up") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _pinned(place: Place) -> str:
    parts = urlsplit(place.url)
    address = f"[{place.address}]" if ":" in place.address else place.address
    return parts._replace(netloc=f"{address}:{place.port}", fragment="").geturl()


def _authority(place: Place) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return host if place.port == 443 else f"{host}:{place.port}"


def _refuse_status(status: int, place: Place) -> None:
    if status in {408, 425, 429} or status >= 500:
        raise Unreachable(f"{place.host} answered {status}")
    if status != 200:
        raise InvalidInput(f"{place.host} answered {status} for {urlsplit(place.url).path[:80]!r}")


def _save(
    answer: Any, output: Path, place: Place, *, most_bytes: int, deadline: float, check: Callable[[], None]
) -> None:
    size = 0
    with output.open("wb") as out:
        for chunk in answer.iter_raw(CHUNK):
            check()
            size += len(chunk)
            if size > most_bytes:
                raise TooLarge(f"the file at {place.host} has more than {most_bytes / 1e6:.0f} MB")
            if time.monotonic() > deadline:
                raise Unreachable(f"{place.host} is too slow")
            out.write(chunk)
