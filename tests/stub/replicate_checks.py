"""What Replicate refuses before it makes a prediction: tokens, versions, inputs, headers."""

from __future__ import annotations

import json
import re
from typing import Any

from starlette.requests import Request

from tests.stub.shapes import VendorError

EVENTS = {"start", "output", "logs", "completed"}
SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
WAIT = re.compile(r"\bwait(?:=(\d+))?\b")
MOST_WAIT = 60


def check_token(request: Request) -> None:
    """An error without a good token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in {"bearer", "token"} or not token.strip():
        raise VendorError("replicate", 401, "You did not pass an authentication token")
    if "invalid" in token:
        raise VendorError("replicate", 401, "You did not pass a valid authentication token")


def refused(field: str, reason: str) -> VendorError:
    """A 422 for one field."""
    return refused_all([(field, reason)])


def refused_all(flaws: list[tuple[str, str]]) -> VendorError:
    """A 422 with a line for each reason."""
    detail = "".join(f"- {field}: {reason}\n" for field, reason in flaws)
    return VendorError("replicate", 422, detail, error="Input validation failed")


def not_found() -> VendorError:
    """A 404."""
    return VendorError("replicate", 404, "The requested resource could not be found.")


async def body_of(request: Request, *, needs_version: bool) -> dict[str, Any]:
    """The order, as far as it is right for every model."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise VendorError("replicate", 400, f"The request body is not JSON: {error}", error="Bad request") from error
    if not isinstance(body, dict):
        raise refused("body", "the request body must be an object")
    flaws = []
    if needs_version and (not isinstance(body.get("version"), str) or not body["version"]):
        flaws.append(("version", "version is required"))
    if not isinstance(body.get("input"), dict):
        flaws.append(("input", "input must be an object" if "input" in body else "input is required"))
    hook, events = body.get("webhook"), body.get("webhook_events_filter")
    if hook is not None and (not isinstance(hook, str) or not hook.startswith(("http://", "https://"))):
        flaws.append(("webhook", "webhook must be a URL"))
    if events is not None and (not isinstance(events, list) or not EVENTS.issuperset(map(str, events))):
        flaws.append(("webhook_events_filter", f"must be a list of {', '.join(sorted(EVENTS))}"))
    if flaws:
        raise refused_all(flaws)
    return body


def cancel_after(request: Request) -> float | None:
    """The seconds that the header allows from the creation: 90, 90s, 1m, 1h30m."""
    said = request.headers.get("cancel-after")
    if said is None:
        return None
    parts = SPAN.fullmatch(said.strip())
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(parts.groups(), (3600, 60, 1), strict=True)) if parts else 0
    )
    if not seconds:
        raise refused("Cancel-After", f"'{said}' is not a duration such as 90s or 5m")
    return float(seconds)


def wanted_wait(request: Request) -> int | None:
    """The seconds that a client wants to be kept waiting; None when it does not."""
    found = WAIT.search(request.headers.get("prefer", ""))
    if found is None:
        return None
    seconds = int(found[1] or MOST_WAIT)
    if not 1 <= seconds <= MOST_WAIT:
        raise refused("Prefer", f"wait must be from 1 to {MOST_WAIT}")
    return seconds
