"""ElevenLabs' speech, and the history in which it can be found again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from pipeline.providers import prices
from tests.stub.elevenlabs_account import Account, check_key, format_of, json_of, missing, no
from tests.stub.elevenlabs_catalog import MODELS, VOICES
from tests.stub.speech import Timing, spoken, timing

CHUNK = 16 * 1024
DEFAULT_MODEL = "eleven_multilingual_v2"


@dataclass
class Item:
    """One piece of speech that was paid for."""

    id: str
    request_id: str
    voice_id: str
    model_id: str
    text: str
    made: float
    used_before: int
    used_after: int
    format: str
    media_type: str
    settings: dict[str, Any] | None
    audio: bytes
    timing: Timing

    def dump(self) -> dict[str, Any]:
        """As the history shows it."""
        return {
            "history_item_id": self.id,
            "request_id": self.request_id,
            "voice_id": self.voice_id,
            "voice_name": VOICES[self.voice_id][0],
            "voice_category": "premade",
            "model_id": self.model_id,
            "text": self.text,
            "date_unix": int(self.made),
            "character_count_change_from": self.used_before,
            "character_count_change_to": self.used_after,
            "content_type": self.media_type,
            "state": "created",
            "settings": self.settings,
            "feedback": None,
            "share_link_id": None,
            "source": "TTS",
            "alignments": None,
            "dialogue": None,
            "output_format": self.format,
        }


class Speech:
    """Text to speech, and its history."""

    def __init__(self, account: Account) -> None:
        self.account, self.world = account, account.world
        self.items: dict[str, Item] = {}
        # What each audio says, for whoever has it transcribed.
        self.said: dict[str, Timing] = {}

    def forget(self) -> None:
        """Begin anew."""
        self.items.clear()
        self.said.clear()

    def routes(self) -> list[BaseRoute]:
        """Below /e."""
        path = "/v1/text-to-speech/{voice}"
        return [
            Route(path, self.convert, methods=["POST"]),
            Route(path + "/stream", self.convert, methods=["POST"]),
            Route(path + "/with-timestamps", self.with_timestamps, methods=["POST"]),
            Route(path + "/stream/with-timestamps", self.stream_with_timestamps, methods=["POST"]),
            Route("/v1/history", self.history),
            Route("/v1/history/{item}", self.item, methods=["GET", "DELETE"]),
            Route("/v1/history/{item}/audio", self.item_audio),
        ]

    async def convert(self, request: Request) -> Response:
        """The audio, in pieces."""
        item, headers = await self._speak(request)
        return StreamingResponse(_pieces(item.audio), headers=headers, media_type=item.media_type)

    async def with_timestamps(self, request: Request) -> Response:
        """The audio and when each character is spoken."""
        item, headers = await self._speak(request)
        return JSONResponse(_timed(item.audio, item.timing.dump()), headers=headers)

    async def stream_with_timestamps(self, request: Request) -> Response:
        """The same in two lines of JSON."""
        item, headers = await self._speak(request)
        half_audio, half_text = len(item.audio) // 2, len(item.timing.characters) // 2
        whole = item.timing.dump()
        lines = [
            json.dumps(_timed(item.audio[at], {name: values[text] for name, values in whole.items()})) + "\n"
            for at, text in (
                (slice(half_audio), slice(half_text)),
                (slice(half_audio, None), slice(half_text, None)),
            )
        ]
        return StreamingResponse(iter(lines), headers=headers, media_type="application/json")

    async def history(self, request: Request) -> Response:
        """What was made, the newest first unless asked otherwise."""
        check_key(request)
        asked = request.query_params
        if asked.get("model_id") and not asked.get("source"):
            raise missing("missing", ["query", "source"], "source is required when model_id is given")
        found = sorted(self.items.values(), key=lambda item: item.made, reverse=asked.get("sort_direction") != "asc")
        found = [item for item in found if _fits(item, dict(asked))]
        ids = [item.id for item in found]
        if (after := asked.get("start_after_history_item_id")) in ids:
            found = found[ids.index(str(after)) + 1 :]
        size = min(1000, int(asked.get("page_size", 100)))
        shown = found[:size]
        page = {
            "history": [item.dump() for item in shown],
            "last_history_item_id": shown[-1].id if shown else None,
            "has_more": len(found) > size,
            "scanned_until": int(shown[-1].made) if shown else None,
        }
        return JSONResponse(page)

    async def item(self, request: Request) -> Response:
        """One of them, or away with it."""
        item = self._found(request)
        if request.method == "DELETE":
            del self.items[item.id]
            return JSONResponse({"status": "ok"})
        return JSONResponse(item.dump())

    async def item_audio(self, request: Request) -> Response:
        """Its audio again, for nothing."""
        item = self._found(request)
        request.state.seen.carries.append(item.id)
        return StreamingResponse(_pieces(item.audio), media_type=item.media_type)

    def _found(self, request: Request) -> Item:
        check_key(request)
        item = self.items.get(request.path_params["item"])
        if item is None:
            raise no(404, "history_item_not_found", f"History item with ID {request.path_params['item']} not found.")
        return item

    async def _speak(self, request: Request) -> tuple[Item, dict[str, str]]:
        """Take the request, do the work, bill it; and what the answer's headers say."""
        check_key(request)
        body = await json_of(request, "text")
        name, form = format_of(request)
        voice_id, model_id = request.path_params["voice"], body.get("model_id") or DEFAULT_MODEL
        _check(body["text"], voice_id, model_id)
        seen, account = request.state.seen, self.account
        account.take_slot(seen)
        before = account.used
        cost = account.use(len(body["text"]) * MODELS[model_id][1])
        if wait := self.world.rules.speech_seconds:
            await self.world.clock.until(self.world.clock.now() + wait)
        item_id, settings = uuid.uuid4().hex[:20], body.get("voice_settings")
        said = timing(body["text"], (settings or {}).get("speed") or 1.0)
        seed = item_id if body.get("seed") is None else f"{body['seed']}"
        samples = await asyncio.to_thread(spoken, said, form.rate, voice=voice_id, seed=seed)
        audio = await asyncio.to_thread(form.encode, samples)
        headers = account.headers(cost, history_item_id=item_id)
        made = self.world.clock.now()
        item = Item(
            item_id, headers.get("request-id", ""), voice_id, model_id, body["text"], made, before, before + cost, name,
            form.media_type, settings, audio, said,
        )  # fmt: skip
        if request.query_params.get("enable_logging", "true").lower() != "false":
            self.items[item_id] = item
        self.said[hashlib.sha256(audio).hexdigest()] = said
        usd = len(body["text"]) * prices.characters_of(model_id) / 1000
        account.bill(seen, item_id, usd, kind="speech", model=model_id, characters=len(body["text"]), credits=cost)
        return item, headers


def _check(text: str, voice_id: str, model_id: str) -> None:
    if voice_id not in VOICES:
        raise no(404, "voice_not_found", f"A voice with voice_id '{voice_id}' was not found.")
    if model_id not in MODELS:
        raise no(400, "model_not_found", f"A model with model ID {model_id} does not exist.")
    if not text.strip():
        raise no(400, "input_text_empty", "Input text is empty.")
    if len(text) > MODELS[model_id][0]:
        message = (
            f"This request's text has {len(text)} characters and exceeds the character limit of {MODELS[model_id][0]}."
        )
        raise no(400, "max_character_limit_exceeded", message)


def _fits(item: Item, asked: dict[str, str]) -> bool:
    return (
        asked.get("voice_id") in {None, item.voice_id}
        and asked.get("model_id") in {None, item.model_id}
        and asked.get("source") in {None, "TTS"}
        and asked.get("search", "").lower() in item.text.lower()
        and int(item.made) < int(asked.get("date_before_unix", 10**12))
        and int(item.made) >= int(asked.get("date_after_unix", 0))
    )


def _pieces(audio: bytes) -> Iterator[bytes]:
    for start in range(0, len(audio), CHUNK):
        yield audio[start : start + CHUNK]


def _timed(audio: bytes, alignment: dict[str, Any]) -> dict[str, Any]:
    encoded = base64.b64encode(audio).decode()
    return {"audio_base64": encoded, "alignment": alignment, "normalized_alignment": alignment}
