"""One message to one receiver: signed (the Standard Webhooks scheme), sent once, and what its answer means."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from database.deliveries import Message
from errors import InvalidInput, Refused, Unreachable
from pipeline.fetch import post
from pipeline.signatures import sign

# The pauses between the tries of a message, in seconds: a day in all.
PAUSES = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 36000)
LONGEST_REST = 6  # of those pauses: an hour
SECONDS = 10.0  # for a receiver to answer, all in all


@dataclass(frozen=True, slots=True)
class Tried:
    """How one try went. `is_silent`: the host did not answer at all; `is_gone`: it asks never to be told again."""

    status: int | None
    seconds: float
    error: str = ""
    is_silent: bool = False

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_gone(self) -> bool:
        """Whether the receiver asks never to be told again."""
        return self.status == HTTPStatus.GONE

    def record(self) -> dict[str, Any]:
        """As the log of deliveries keeps it."""
        at_ms = int(time.time() * 1000)
        return {"at_ms": at_ms, "status": self.status, "seconds": round(self.seconds, 3), "error": self.error}


def pause_after(attempts: int) -> float | None:
    """How long to wait after so many tries (from 1 on); None: it was the last one."""
    return PAUSES[max(1, attempts) - 1] if attempts <= len(PAUSES) else None


def rest_after(silences: int) -> float:
    """How long to leave a host alone that was silent so many times in a row (from 1 on)."""
    return PAUSES[min(max(1, silences), LONGEST_REST) - 1]


def send(
    message: Message,
    secrets: Sequence[str],
    *,
    own: Collection[str] = (),
    deliver: Callable[..., int] = post,
) -> Tried:
    """Send a message, signed with each secret."""
    body, stamp = message.body.encode(), int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": "stagecrew",
        "webhook-id": message.id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": " ".join(sign(secret, message.id, stamp, body) for secret in secrets),
    }
    began = time.monotonic()
    try:
        status = deliver(message.url, body, headers, own=own, seconds=SECONDS)
    except Unreachable as error:
        return Tried(None, time.monotonic() - began, str(error), is_silent=True)
    except (InvalidInput, Refused) as error:
        return Tried(None, time.monotonic() - began, str(error))
    tried = Tried(status, time.monotonic() - began)
    return tried if tried.is_delivered else Tried(status, tried.seconds, f"the receiver answered {status}")
