"""Signatures of webhooks (the Standard Webhooks scheme): HMAC-SHA256 over `id.timestamp.body`, base64, `v1,` before it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from errors import InvalidInput, Refused

TOLERANCE_SECONDS = 300
MOST_DIGITS = 12


def key_of(secret: str) -> bytes:
    """The bytes of a secret as vendors write it: base64 behind `whsec_`."""
    try:
        return base64.b64decode(secret.strip().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise InvalidInput("a webhook secret is base64 behind whsec_") from None


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header webhook-signature."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, now: float) -> str:
    """The id of a message that one of our secrets has signed lately; Refused otherwise.

    Several secrets, so that one can be replaced while messages of the other are still on their way.
    """
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not stamp.isascii() or not stamp.isdecimal() or len(stamp) > MOST_DIGITS:
        raise Refused("the webhook has no id or timestamp")
    if abs(now - int(stamp)) > TOLERANCE_SECONDS:
        raise Refused("the webhook is not from now")
    given = [one for one in headers.get("webhook-signature", "").split(" ") if one.startswith("v1,")]
    for secret in secrets:
        wanted = sign(secret, message_id, int(stamp), body).encode()
        if any(hmac.compare_digest(wanted, one.encode()) for one in given):
            return message_id
    raise Refused("the webhook's signature is not ours")
