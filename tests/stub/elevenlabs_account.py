"""What ElevenLabs' routes share: the key, the slots, the quota, the bill."""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

from starlette.requests import Request

from tests.stub.ledger import Seen
from tests.stub.media import SoundFormat
from tests.stub.shapes import VendorError
from tests.stub.world import World

DEFAULT_FORMAT = "mp3_44100_128"


def no(status: int, kind: str, message: str) -> VendorError:
    """An error with its status word."""
    return VendorError("elevenlabs", status, message, error=kind)


def check_key(request: Request) -> None:
    """An error without a good key."""
    key = request.headers.get("xi-api-key")
    if not key:
        raise no(
            401, "needs_authorization", "Neither authorization header nor xi-api-key received, please provide one."
        )
    if "invalid" in key:
        raise no(401, "invalid_api_key", "Invalid API key")


async def json_of(request: Request, *required: str) -> dict[str, Any]:
    """The body, with the texts that must be in it."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise missing("json_invalid", ["body"], "JSON decode error") from error
    for name in required:
        if name not in body:
            raise missing("missing", ["body", name], "Field required")
        if not isinstance(body[name], str):
            raise missing("string_type", ["body", name], "Input should be a valid string")
    return dict(body)


def missing(kind: str, place: list[str], message: str) -> VendorError:
    """A 422, whose detail is a list."""
    error = VendorError("elevenlabs", 422, message)
    error.response.body = json.dumps({"detail": [{"type": kind, "loc": place, "msg": message, "input": {}}]}).encode()
    error.response.headers["content-length"] = str(len(error.response.body))
    return error


def format_of(request: Request) -> tuple[str, SoundFormat]:
    """The wanted output format."""
    name = request.query_params.get("output_format", DEFAULT_FORMAT)
    found = SoundFormat.of(name)
    if found is None:
        raise missing("enum", ["query", "output_format"], f"Input should be a known output format, not '{name}'")
    return name, found


class Account:
    """One subscription: slots that are taken until an answer has been sent, credits that are used up."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.used = 0
        self.busy: set[int] = set()

    def forget(self) -> None:
        """Begin anew."""
        self.used = 0
        self.busy.clear()

    def take_slot(self, seen: Seen) -> None:
        """One of the slots, or 429."""
        self.busy &= self.world.ledger.in_flight
        most = self.world.rules.concurrency
        if len(self.busy) >= most:
            message = (
                "Too many concurrent requests. Your current subscription is associated with a maximum of "
                f"{most} concurrent requests (running in parallel). Please upgrade your subscription or contact sales."
            )
            raise no(429, "too_many_concurrent_requests", message)
        self.busy.add(seen.number)

    def use(self, credits_wanted: float) -> int:
        """Take credits off the quota, or 401; how many were taken."""
        wanted, left = math.ceil(credits_wanted), self.world.rules.character_limit - self.used
        if wanted > left:
            message = (
                f"This request exceeds your quota of {self.world.rules.character_limit}. You have {left} credits "
                f"remaining, while {wanted} credits are required for this request."
            )
            raise no(401, "quota_exceeded", message)
        self.used += wanted
        return wanted

    def bill(self, seen: Seen, charge_id: str, usd: float, *, kind: str, model: str, **detail: Any) -> None:
        """Charge one thing, whose answer this request carries."""
        now = self.world.clock.now()
        self.world.ledger.charge(
            charge_id, usd, vendor="elevenlabs", kind=kind, model=model, at=now, request=seen.number, **detail
        )
        seen.carries.append(charge_id)

    def headers(self, cost: int, **more: str) -> dict[str, str]:
        """What an answer says of its cost, unless that is switched off."""
        if not self.world.rules.cost_headers:
            return {}
        return {
            "request-id": uuid.uuid4().hex[:20],
            "character-cost": str(cost),
            "x-character-count": str(cost),
            "current-concurrent-requests": str(len(self.busy & self.world.ledger.in_flight)),
            "maximum-concurrent-requests": str(self.world.rules.concurrency),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
