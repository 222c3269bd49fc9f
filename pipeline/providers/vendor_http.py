"""HTTP to a vendor as a paid call needs it: one request a call, never longer than its deadline, and errors that say what is known.

Three things decide what an error means for money: whether a byte of the request had left, whether a status came, and
whether what came can be read. A status is an answer, also a 5xx: the vendor did not do the work; but for a gateway's time-out.
No status after the request had left is doubt. Nothing here repeats a request, follows a redirect, or keeps a connection: a kept one that the
other side has closed meanwhile would turn a call that was never taken into one in doubt.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import orjson

from errors import (
    BadReply,
    InvalidInput,
    Overloaded,
    Permanent,
    RateLimited,
    StagecrewError,
    TooLarge,
    Unanswered,
    Unreachable,
)
from log import redact
from pipeline.providers.vendor_wire import CONNECT_SECONDS, Wire

MOST_BYTES = 100_000_000
MOST_SAID = 300
LONGEST_RETRY_SECONDS = 3600.0
BUSY = {408, 409, 425}
# Said by what stands before a vendor: it had passed the request on and got no answer in time.
GATEWAY_TIMEOUTS = {504, 520, 524}
_KINDS: dict[int, type[Permanent]] = {400: InvalidInput, 413: TooLarge, 422: InvalidInput}
_ADDRESS = re.compile(r"((?:https?|wss?)://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_RESETS_IN = re.compile(r"~?\s*(\d+(?:\.\d+)?)\s?s\b")


class KeyRefusedError(Permanent):
    """The vendor does not take our key, or not for this: it says nothing about what was asked."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer whose body was read whole; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The content type without its parameters, "" when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        with suppress(ValueError):
            return orjson.loads(self.body)
        return None


def retry_after_of(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Seconds to wait by the Retry-After header (seconds or an HTTP date, and the `-ms` form); None without a good one."""
    small = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        with suppress(ValueError, KeyError):
            return _sane(float(small[name]) * unit)
    with suppress(ValueError, KeyError, TypeError):
        until = parsedate_to_datetime(small["retry-after"])
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return _sane((until - (now or datetime.now(UTC))).total_seconds())
    return None


def seconds_said(text: str) -> float | None:
    """The wait that a sentence names, as in "Your rate limit resets in ~30s."; None when it names none."""
    found = _RESETS_IN.search(text)
    return _sane(float(found[1])) if found else None


def clean(text: str) -> str:
    """A vendor's words for our error: one line, no secret, no query of an address, 300 characters at the most."""
    line = " ".join(_ADDRESS.sub(r"\1", redact(text)).split())
    return line if len(line) <= MOST_SAID else line[: MOST_SAID - 1] + "…"


def error_of(
    status: int, *, vendor: str, said: str = "", retry_after: float | None = None, quota: bool = False
) -> StagecrewError:
    """The error for a status that is not 2xx; `said` are the vendor's own words, `quota`: it says that money is lacking.

    A status is an answer: none of these errors leaves a paid call in doubt.
    """
    words = f": {clean(said)}" if said.strip() else ""
    text = f"{vendor} answered {status}{words}"
    if quota or status == 402:
        return Permanent(f"{vendor}: the account's credit or quota is used up ({status}){words}")
    if status == 429:
        return RateLimited(text, retry_after=retry_after)
    if status in BUSY or (status >= 500 and status != 501):
        return Overloaded(text, retry_after=retry_after)
    if 300 <= status < 400:
        return Permanent(f"{vendor} answered {status}, a redirect, which is not followed; is its base URL right?")
    if status in {401, 403}:
        verb = "accept the key" if status == 401 else "allow this with the key"
        return KeyRefusedError(f"{vendor} does not {verb} ({status}){words}")
    return _KINDS.get(status, Permanent)(text)


def unreadable(vendor: str, what: str, *, paid: bool) -> BadReply | Unanswered:
    """The error for a 2xx that is no answer: a paid call was taken all the same."""
    text = f"{vendor} answered {what}"
    return Unanswered(f"{text}; it may have done the work") if paid else BadReply(text)


def object_of(reply: Reply, vendor: str, *, paid: bool) -> dict[str, Any]:
    """The JSON object of a 2xx; Unanswered (paid) or BadReply when it is none."""
    found = reply.json()
    if isinstance(found, dict):
        return found
    kind = reply.media_type or "a body without a type"
    raise unreadable(vendor, f"{reply.status} with {clean(kind)} that is no JSON object", paid=paid)


class VendorHttp:
    """One vendor's API under one key; any number of threads may use it."""

    def __init__(
        self, vendor: str, base_url: str, headers: Mapping[str, str], explain: Callable[[Reply], StagecrewError]
    ) -> None:
        """Speak to `base_url` with `headers` (the key among them); `explain` makes the error of an answer that is not 2xx."""
        self.vendor, self.base_url = vendor, base_url.rstrip("/")
        self._headers, self._explain = dict(headers), explain
        self._lock = threading.Lock()
        self._client: Any = None

    def ask(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        paid: bool = False,
        most_bytes: int = MOST_BYTES,
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Reply:
        """The 2xx answer to one request, sent once and over in `seconds`; `request` is httpx's (json, params, data, files).

        Errors: Unreachable (it did not leave, or a free one broke), Unanswered (a paid one broke after it may have left),
        and what `explain` makes of another status.
        """
        own = {**self._headers, **(headers or {})}
        reply = exchange(
            self._open(),
            method,
            f"{self.base_url}{path}",
            vendor=self.vendor,
            seconds=seconds,
            paid=paid,
            most_bytes=most_bytes,
            headers=own,
            **request,
        )
        if paid and reply.status in GATEWAY_TIMEOUTS:
            raise unreadable(self.vendor, f"{reply.status}", paid=True)
        if not 200 <= reply.status < 300:
            raise self._explain(reply)
        return reply

    def close(self) -> None:
        """Let go of the client; the next request opens another."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = make_client()
            return self._client


def make_client() -> Any:
    """An httpx.Client without proxies of the environment, redirects, retries and kept connections."""
    import httpx

    return httpx.Client(
        verify=_certificates(),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(30.0, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_keepalive_connections=0),
        headers={"user-agent": "stagecrew", "accept-encoding": "identity"},
    )


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes a tenth of a second and some megabytes, and every client can share it."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def exchange(
    client: Any, method: str, url: str, *, vendor: str, seconds: float, paid: bool, most_bytes: int, **request: Any
) -> Reply:
    """One request and its answer of any status; see VendorHttp.ask for the errors."""
    with Wire(vendor, seconds, paid=paid) as wire, wire.stream(client, method, url, **request) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status_code, headers, _body(answer, wire, most_bytes))


def _body(answer: Any, wire: Wire, most_bytes: int) -> bytes:
    import httpx

    body = bytearray()
    try:
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > most_bytes:
                raise unreadable(wire.vendor, f"more than {most_bytes / 1e6:.0f} MB", paid=wire.paid)
            wire.check()
    except (httpx.HTTPError, Unreachable):
        if answer.is_success:
            raise
        # The status came, and it says all that matters: the work was not done.
        return b""
    return bytes(body)


def _sane(seconds: float) -> float:
    if seconds != seconds:  # noqa: PLR0124 - not a number
        raise ValueError("no number")
    return min(max(seconds, 0.0), LONGEST_RETRY_SECONDS)
