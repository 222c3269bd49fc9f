"""Pages by key: the mark of a page is where the next one begins, so that a job that comes or goes moves nothing."""

from __future__ import annotations

import base64
import re
from typing import Any

from errors import InvalidInput
from settings import ID_PATTERN


def mark(row: dict[str, Any]) -> str:
    """The mark after this row."""
    return base64.urlsafe_b64encode(f"{row['created_ms']}:{row['id']}".encode()).decode().rstrip("=")


def read_mark(text: str | None) -> tuple[int, str] | None:
    """Where a page begins; InvalidInput for what we have not made."""
    if text is None:
        return None
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:  # no base64, or no text in it
        decoded = ""
    created, colon, job_id = decoded.partition(":")
    if (
        not colon
        or not re.fullmatch(ID_PATTERN, job_id)
        or not created.isascii()
        or not created.isdecimal()
        or len(created) > 15
    ):
        raise InvalidInput("after: give the `next` of the page before")
    return int(created), job_id
