"""ElevenLabs' HTTP API as far as this program needs it; what its errors mean, and what its headers say of the cost.

Spoken directly: the official client repeats some calls by itself, loses the form of a repeated upload, and gives a JSON
body back as if it were sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from errors import InvalidInput, NeedsPerson, Overloaded, Permanent, RateLimited, Refused, StagecrewError, TooLarge
from pipeline.film.kinds import HEAD_BYTES, media_type_of
from pipeline.providers import prices
from pipeline.providers.paid import Gate
from pipeline.providers.vendor_http import Reply, VendorHttp, clean, error_of, object_of, retry_after_of, unreadable
from pipeline.providers.vendor_key import gate_name
from settings import Settings

HOME = "https://api.elevenlabs.io"
READ_SECONDS, AUDIO_SECONDS = 20.0, 120.0
PAGE, MOST_PAGES = 100, 100
# A credit is a character of the model that costs one each.
CREDIT_USD = prices.characters_of("eleven_multilingual_v2") / 1000
QUOTA = {"quota_exceeded", "insufficient_credits", "insufficient_quota", "credits_exceeded"}
KEY = {"invalid_api_key", "needs_authorization", "missing_permissions", "detected_unusual_activity"}
UNKNOWN = {"voice_not_found", "model_not_found", "invalid_model_id", "voice_does_not_exist", "invalid_voice_id"}
LONG = {"max_character_limit_exceeded", "text_too_long", "file_too_large", "audio_too_long"}
_REFUSED = re.compile(r"moderation|content_polic|policy_violation|violat|prohibited|blocked|unsafe|bad_prompt|terms")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class ElevenLabsApi:
    """The API under one key; errors are those of VendorHttp.ask."""

    def __init__(self, settings: Settings) -> None:
        key = settings.elevenlabs_api_key.get_secret_value() if settings.elevenlabs_api_key else ""
        if not key:
            raise InvalidInput("ELEVENLABS_API_KEY is not set")
        home = (settings.elevenlabs_base_url or HOME).rstrip("/").removesuffix("/v1")
        self.http = VendorHttp("ElevenLabs", f"{home}/v1", {"xi-api-key": key}, explain)
        self.gate = gate_of(settings)

    def sound(self, path: str, body: Mapping[str, Any], *, output_format: str, seconds: float) -> Reply:
        """A paid call that answers with sound; Unanswered when what comes is none."""
        query = {"output_format": output_format}
        reply = self.http.ask("POST", path, seconds=seconds, paid=True, params=query, json=body)
        return checked_sound(reply, paid=True)

    def history(self, **query: str) -> Iterator[dict[str, Any]]:
        """What was spoken, the newest first; NeedsPerson when there are more pages than anybody would have."""
        for _ in range(MOST_PAGES):
            reply = self.http.ask("GET", "/history", seconds=READ_SECONDS, params={"page_size": str(PAGE), **query})
            page = object_of(reply, "ElevenLabs", paid=False)
            items, last = page.get("history"), page.get("last_history_item_id")
            if not isinstance(items, list):
                raise unreadable("ElevenLabs", "with a history that is none", paid=False)
            yield from (one for one in items if isinstance(one, dict) and isinstance(one.get("history_item_id"), str))
            if not page.get("has_more") or not isinstance(last, str):
                return
            query["start_after_history_item_id"] = last
        raise NeedsPerson(f"ElevenLabs lists more than {MOST_PAGES * PAGE} pieces of speech since then")

    def item(self, item_id: str) -> dict[str, Any]:
        """One piece of speech of the history."""
        reply = self.http.ask("GET", f"/history/{quote(item_id, safe='')}", seconds=READ_SECONDS)
        return object_of(reply, "ElevenLabs", paid=False)

    def item_sound(self, item_id: str) -> bytes:
        """Its sound, for nothing."""
        reply = self.http.ask("GET", f"/history/{quote(item_id, safe='')}/audio", seconds=AUDIO_SECONDS)
        return checked_sound(reply, paid=False).body

    def transcript(self, transcript_id: str) -> dict[str, Any]:
        """A transcript again, for nothing."""
        path = f"/speech-to-text/transcripts/{quote(transcript_id, safe='')}"
        return object_of(self.http.ask("GET", path, seconds=READ_SECONDS), "ElevenLabs", paid=False)

    def close(self) -> None:
        """Let go of connections."""
        self.http.close()


def gate_of(settings: Settings) -> Gate:
    """What the fleet shares of a key."""
    return Gate(gate_name("elevenlabs", settings.elevenlabs_api_key), slots=settings.elevenlabs_slots)


def checked_sound(reply: Reply, *, paid: bool) -> Reply:
    """The reply when it is sound; JSON or a page with status 200 is none."""
    found = media_type_of(reply.body[:HEAD_BYTES])
    if found is None or not found.startswith("audio/"):
        raise unreadable("ElevenLabs", f"with {clean(reply.media_type) or 'something'} that is no sound", paid=paid)
    return reply


def cost_of(headers: Mapping[str, str], model: str) -> float | None:
    """USD by the headers of an answer: credits used, else characters by the model's price; None when they say nothing."""
    for name, each in (("character-cost", CREDIT_USD), ("x-character-count", prices.characters_of(model) / 1000)):
        said = headers.get(name, "").strip()
        if said.isascii() and said.isdigit():
            return int(said) * each
    return None


def explain(reply: Reply) -> StagecrewError:
    """The error of an answer that is not 2xx: {detail: {status, message}}, for a 422 {detail: [{loc, msg}]}."""
    kind, said = _detail(reply.json())
    after = retry_after_of(reply.headers)
    words = ": ".join(part for part in (kind, said) if part)
    text = f"ElevenLabs answered {reply.status}: {clean(words)}"
    if kind in KEY and reply.status < 500:
        return Permanent(f"ElevenLabs does not accept the key: {clean(words)}")
    if reply.status == 429:
        busy = Overloaded if kind == "system_busy" else RateLimited
        return busy(text, retry_after=after)
    if reply.status < 500:
        for kinds, error in ((UNKNOWN, InvalidInput), (LONG, TooLarge)):
            if kind in kinds:
                return error(text)
        if _REFUSED.search(kind):
            return Refused(text)
    return error_of(reply.status, vendor="ElevenLabs", said=words, retry_after=after, quota=kind in QUOTA)


def _detail(body: Any) -> tuple[str, str]:
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, dict):
        kind, said = detail.get("status") or detail.get("code"), detail.get("message")
        return kind if isinstance(kind, str) else "", said if isinstance(said, str) else ""
    if isinstance(detail, list):
        # Place and reason only: the rest repeats what was sent.
        flaws = [one for one in detail if isinstance(one, dict)]
        return "", "; ".join(f"{'.'.join(map(str, one.get('loc', [])))}: {one.get('msg', '')}" for one in flaws)
    return "", detail if isinstance(detail, str) else ""
