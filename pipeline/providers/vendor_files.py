"""Files that a vendor made, brought into the work folder: without the key, over https, capped in size and time, and known by their bytes."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from errors import BadReply, HostTrouble, Transient
from pipeline.film.kinds import HEAD_BYTES, media_type_of
from pipeline.providers.vendor_http import error_of, make_client, retry_after_of
from pipeline.providers.vendor_wire import Wire

CHUNK = 1 << 16
STALLED_SECONDS = 30.0
# How the address of a file that was deleted, or whose signature ran out, is answered.
GONE = {403, 404, 410}
_DATA = re.compile(r"data:[^,;]*(?:;[^,;]*)*,", re.IGNORECASE)


class OutputExpiredError(BadReply):
    """The vendor made the file, and has deleted it before it was fetched."""


def fetch_output(
    url: str,
    output: Path,
    *,
    vendor: str,
    home: str,
    most_bytes: int,
    seconds: float,
    check: Callable[[], None] = lambda: None,
) -> str:
    """Save what is at an address of the vendor's into `output`; its media type by its first bytes.

    `home` is the API's own address, the only one that may be plain http. Errors: OutputExpiredError, BadReply (not an
    address to fetch, too large, no file of a known kind), Unreachable, Overloaded, RateLimited.
    """
    try:
        if _DATA.match(url[:1000]):
            output.write_bytes(_decoded(url, vendor, most_bytes))
        else:
            _check_address(url, vendor, home)
            with make_client() as client:
                _download(client, url, output, vendor=vendor, most_bytes=most_bytes, seconds=seconds, check=check)
        with output.open("rb") as file:
            found = media_type_of(file.read(HEAD_BYTES))
    except OSError as error:
        output.unlink(missing_ok=True)
        raise HostTrouble(f"{output.name} cannot be written: {error.strerror or type(error).__name__}") from error
    except BaseException:
        with suppress(OSError):
            output.unlink(missing_ok=True)
        raise
    if found is None:
        output.unlink(missing_ok=True)
        raise BadReply(f"{vendor}: the file it made is neither a picture, a film nor sound")
    return found


def data_uri(body: bytes, media_type: str) -> str:
    """A file as an address that holds it."""
    return f"data:{media_type};base64,{base64.b64encode(body).decode()}"


def data_of(url: str) -> bytes | None:
    """What a data address holds; None when it is none, or damaged."""
    head = _DATA.match(url[:1000])
    if head is None:
        return None
    body = unquote_to_bytes(url[head.end() :])
    if not head[0].lower().endswith(";base64,"):
        return body
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error:
        return None


def _decoded(url: str, vendor: str, most_bytes: int) -> bytes:
    if len(url) > most_bytes * 4 // 3 + 1000:
        raise BadReply(f"{vendor}: the file it made has more than {most_bytes / 1e6:.0f} MB")
    body = data_of(url)
    if body is None:
        raise BadReply(f"{vendor}: the file inside its answer cannot be decoded")
    return body


def _check_address(url: str, vendor: str, home: str) -> None:
    try:
        parts, own = urlsplit(url), urlsplit(home)
        is_home = (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port)
    except ValueError:
        raise BadReply(f"{vendor}: the address of the file it made is none") from None
    if not parts.hostname or parts.username or parts.password or not (parts.scheme == "https" or is_home):
        raise BadReply(f"{vendor}: the file it made is not at an https address ({parts.scheme}://{parts.hostname})")


def _download(
    client: Any, url: str, output: Path, *, vendor: str, most_bytes: int, seconds: float, check: Callable[[], None]
) -> None:
    size = 0
    with (
        Wire(f"{vendor}'s file", seconds, paid=False) as wire,
        wire.stream(client, "GET", url, stall_seconds=STALLED_SECONDS) as answer,
    ):
        _refuse(answer, vendor)
        with output.open("wb") as file:
            for chunk in answer.iter_bytes(CHUNK):
                check()
                wire.check()
                size += len(chunk)
                if size > most_bytes:
                    raise BadReply(f"{vendor}: the file it made has more than {most_bytes / 1e6:.0f} MB")
                file.write(chunk)


def _refuse(answer: Any, vendor: str) -> None:
    if answer.status_code in GONE:
        raise OutputExpiredError(f"{vendor}: the file it made is not there any more ({answer.status_code})")
    if answer.status_code != 200:
        after = retry_after_of(answer.headers)
        error = error_of(answer.status_code, vendor=f"{vendor}'s file server", retry_after=after)
        # The file is paid for and may be there at the next try: nothing about an address is final but GONE.
        raise error if isinstance(error, Transient) else BadReply(str(error))
