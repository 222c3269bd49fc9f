"""The one fetcher of addresses given by users: https, public addresses only, each redirect checked, size and time capped.

The name is resolved once and the connection goes to the address that was checked, so that a second answer of
the name server cannot lead inside.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from addresses import PORTS, is_public, place_of, read_address
from errors import InvalidInput, Refused, TooLarge, Unreachable

MOST_REDIRECTS = 4
CHUNK = 1 << 16
HEAD_BYTES = 1 << 16  # of an answer, beside its body
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
    deadline = time.monotonic() + seconds
    wanted = {"accept": "image/*", "accept-encoding": "identity"}
    for _ in range(MOST_REDIRECTS + 1):
        place = check_place(url, resolve or _resolve)
        left = deadline - time.monotonic()
        with _asked(
            place, "GET", wanted, seconds=left, most_bytes=most_bytes + HEAD_BYTES, transport=transport
        ) as answer:
            if answer.is_redirect:
                url = urljoin(url, answer.headers.get("location", ""))
                continue
            _refuse_status(answer.status_code, place)
            _save(answer, output, place, most_bytes=most_bytes, deadline=deadline, check=check)
            return str(answer.headers.get("content-type", "")).partition(";")[0]
    raise InvalidInput(f"{urlsplit(url).hostname} redirects more than {MOST_REDIRECTS} times")


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    own: Collection[str] = (),
    seconds: float = 10.0,
    resolve: Resolve | None = None,
    transport: Any = None,
) -> int:
    """Send something to an address that a user gave; the status of the answer, of which nothing else is read.

    `own` are the places (host:port) that may be private; `seconds` is for all of it. A redirect is an answer like any
    other: a signed message is for the place that was named. Errors: InvalidInput, Refused, Unreachable.
    """
    place = check_place(url, resolve or _resolve, own=own)
    with _asked(
        place, "POST", headers, content=body, seconds=seconds, most_bytes=HEAD_BYTES, transport=transport
    ) as answer:
        return int(answer.status_code)


@contextmanager
def _asked(
    place: Place,
    method: str,
    headers: Mapping[str, str],
    *,
    seconds: float,
    most_bytes: int,
    content: bytes | None = None,
    transport: Any = None,
) -> Iterator[Any]:
    """An answer whose body is still to be read, all within so many seconds and bytes."""
    import httpx

    from pipeline.bounded import BoundedTransport

    try:
        # No proxies and no cookies from the environment; the address was chosen before.
        with (
            httpx.Client(
                trust_env=False,
                timeout=httpx.Timeout(max(0.1, min(10.0, seconds))),
                transport=transport or BoundedTransport(seconds=seconds, most_bytes=most_bytes),
            ) as client,
            client.stream(
                method,
                _pinned(place),
                content=content,
                headers={"host": _authority(place), **headers},
                extensions={"sni_hostname": place.host},
            ) as answer,
        ):
            yield answer
    except httpx.HTTPError as error:
        told = str(error) if type(error) is httpx.TransportError else type(error).__name__
        raise Unreachable(f"{place.host} does not answer: {told}") from error
    except (httpx.InvalidURL, UnicodeError) as error:
        raise InvalidInput(f"{place.url[:80]!r} is not an address") from error


def check_place(url: str, resolve: Resolve, *, own: Collection[str] = ()) -> Place:
    """Where an address leads, after one look-up; refused unless it is https and every answer is public, or it is `own`."""
    address = read_address(url, own=own)
    found = resolve(address.host, address.port)
    if not found:
        raise Unreachable(f"{address.host} has no address")
    if not address.is_own and not all(is_public(one) for one in found):
        raise Refused(f"{address.host} leads into a private network")
    return Place(url, address.host, address.port, found[0])


def _resolve(host: str, port: int) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} cannot be looked up") from error
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _pinned(place: Place) -> str:
    return urlsplit(place.url)._replace(netloc=place_of(place.address, place.port), fragment="").geturl()


def _authority(place: Place) -> str:
    whole, usual = place_of(place.host, place.port), PORTS[urlsplit(place.url).scheme]
    return whole.removesuffix(f":{place.port}") if place.port == usual else whole


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
