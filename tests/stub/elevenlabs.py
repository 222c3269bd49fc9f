"""ElevenLabs: voices, models, the account, effects, music and transcripts; speech lives beside it."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from pipeline.providers import prices
from tests.stub.clock import DAY
from tests.stub.elevenlabs_account import Account, check_key, format_of, json_of, missing, no
from tests.stub.elevenlabs_catalog import (
    EFFECT_MODELS,
    LISTENERS,
    MODELS,
    MUSIC_MODELS,
    VOICES,
    model,
    subscription,
    voice,
)
from tests.stub.elevenlabs_hearing import heard
from tests.stub.elevenlabs_speech import CHUNK, Speech
from tests.stub.media import sound_seconds
from tests.stub.speech import music
from tests.stub.world import Vendor, World

EFFECT_SECONDS = 5.0
MUSIC_MS = 10_000
RECORDING_SECONDS = 10.0


class ElevenLabs(Vendor):
    """Below /e."""

    name = "elevenlabs"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.account = Account(world)
        self.speech = Speech(self.account)
        self.transcripts: dict[str, dict[str, Any]] = {}

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            *self.speech.routes(),
            Route("/v1/voices", self.voices),
            Route("/v2/voices", self.voices_in_pages),
            Route("/v1/voices/{voice}", self.voice),
            Route("/v1/models", self.models),
            Route("/v1/user", self.user),
            Route("/v1/user/subscription", self.subscription),
            Route("/v1/sound-generation", self.effect, methods=["POST"]),
            Route("/v1/music", self.music, methods=["POST"]),
            Route("/v1/music/stream", self.music, methods=["POST"]),
            Route("/v1/speech-to-text", self.transcribe, methods=["POST"]),
            Route("/v1/speech-to-text/transcripts/{transcript}", self.transcript),
        ]

    def settle(self) -> None:
        """Everything is billed when it is answered."""

    def forget(self) -> None:
        """Begin anew."""
        self.account.forget()
        self.speech.forget()
        self.transcripts.clear()

    async def voices(self, request: Request) -> Response:
        """All voices."""
        check_key(request)
        return JSONResponse({"voices": [voice(one) for one in VOICES]})

    async def voices_in_pages(self, request: Request) -> Response:
        """Voices whose name or description fits the search."""
        check_key(request)
        asked = request.query_params
        word = asked.get("search", "").lower()
        found = [one for one in map(voice, VOICES) if word in f"{one['name']} {one['description']}".lower()]
        start, size = int(asked.get("next_page_token", 0)), int(asked.get("page_size", 10))
        has_more = start + size < len(found)
        page = {
            "voices": found[start : start + size],
            "has_more": has_more,
            "total_count": len(found),
            "next_page_token": str(start + size) if has_more else None,
        }
        return JSONResponse(page)

    async def voice(self, request: Request) -> Response:
        """One voice."""
        check_key(request)
        name = request.path_params["voice"]
        if name not in VOICES:
            raise no(404, "voice_not_found", f"A voice with voice_id '{name}' was not found.")
        return JSONResponse(voice(name))

    async def models(self, request: Request) -> Response:
        """All models that speak."""
        check_key(request)
        return JSONResponse([model(one) for one in MODELS])

    async def subscription(self, request: Request) -> Response:
        """The plan."""
        check_key(request)
        return JSONResponse(self._subscription())

    async def user(self, request: Request) -> Response:
        """Who pays for it."""
        check_key(request)
        account = {
            "user_id": "stub",
            "workspace_id": "stub",
            "subscription": self._subscription(),
            "is_new_user": False,
            "can_use_delayed_payment_methods": False,
            "is_onboarding_completed": True,
            "is_onboarding_checklist_completed": True,
            "first_name": "Stub",
            "created_at": 0,
            "seat_type": "workspace_admin",
        }
        return JSONResponse(account)

    async def effect(self, request: Request) -> Response:
        """A sound."""
        check_key(request)
        body = await json_of(request, "text")
        seconds = body.get("duration_seconds") or EFFECT_SECONDS
        model_id = body.get("model_id") or "eleven_text_to_sound_v2"
        if not 0.5 <= seconds <= 30:
            raise missing("less_than_equal", ["body", "duration_seconds"], "Input should be from 0.5 to 30")
        if model_id not in EFFECT_MODELS:
            raise no(400, "model_not_found", f"A model with model ID {model_id} does not exist.")
        return await self._sound(request, body["text"], seconds, "effect", model_id, prices.SOUND_EFFECT_USD)

    async def music(self, request: Request) -> Response:
        """A piece of music, from a prompt or from a plan."""
        check_key(request)
        body = await json_of(request)
        if (body.get("prompt") is None) == (body.get("composition_plan") is None):
            raise missing("value_error", ["body"], "Provide either prompt or composition_plan")
        length = body.get("music_length_ms") or MUSIC_MS
        if body.get("composition_plan"):
            sections = body["composition_plan"].get("sections", [])
            length = sum(section.get("duration_ms", 0) for section in sections) or MUSIC_MS
        if not 3_000 <= length <= 600_000:
            raise missing("less_than_equal", ["body", "music_length_ms"], "Input should be from 3000 to 600000")
        model_id = body.get("model_id") or "music_v1"
        if model_id not in MUSIC_MODELS:
            raise no(400, "model_not_found", f"A model with model ID {model_id} does not exist.")
        usd = prices.MUSIC_MINUTE_USD * length / 60_000
        return await self._sound(request, str(body), length / 1000, "music", model_id, usd)

    async def transcribe(self, request: Request) -> Response:
        """Who says what, and when."""
        check_key(request)
        form = await request.form()
        fields = {name: str(value) for name, value in form.items() if isinstance(value, str)}
        upload = form.get("file")
        if "model_id" not in fields:
            raise missing("missing", ["body", "model_id"], "Field required")
        if fields["model_id"] not in LISTENERS:
            raise no(400, "invalid_model_id", f"'{fields['model_id']}' is not a valid model_id.")
        body = await upload.read() if isinstance(upload, UploadFile) else None
        urls = [fields[name] for name in ("cloud_storage_url", "source_url") if fields.get(name)]
        if (body is not None) + len(urls) != 1:
            raise no(400, "invalid_parameters", "Exactly one of file, cloud_storage_url and source_url must be given.")
        seconds = RECORDING_SECONDS if body is None else await asyncio.to_thread(sound_seconds, body)
        if seconds is None:
            raise no(400, "invalid_audio", "The file could not be read as audio or video.")
        self.account.take_slot(request.state.seen)
        said = self.speech.said.get(hashlib.sha256(body or b"").hexdigest())
        canned = self.world.answers.find(self.name, f"speech-to-text {fields}")
        answer = heard(fields, seconds, said, canned.body if canned else None)
        answer["transcription_id"] = uuid.uuid4().hex[:20]
        self.transcripts[answer["transcription_id"]] = answer
        usd = prices.TRANSCRIBE_MINUTE_USD * seconds / 60
        self.account.bill(
            request.state.seen,
            answer["transcription_id"],
            usd,
            kind="transcript",
            model=fields["model_id"],
            seconds=seconds,
        )
        if fields.get("webhook") == "true":
            later = {"message": "Request processed successfully.", "request_id": uuid.uuid4().hex[:20]}
            return JSONResponse(later | {"transcription_id": answer["transcription_id"]}, 202)
        return JSONResponse(answer, headers=self.account.headers(0))

    async def transcript(self, request: Request) -> Response:
        """A transcript again, for nothing."""
        check_key(request)
        name = request.path_params["transcript"]
        if name not in self.transcripts:
            raise no(404, "transcript_not_found", f"Transcript {name} not found.")
        request.state.seen.carries.append(name)
        return JSONResponse(self.transcripts[name])

    async def _sound(
        self, request: Request, text: str, seconds: float, kind: str, model_id: str, usd: float
    ) -> Response:
        _, form = format_of(request)
        seen = request.state.seen
        self.account.take_slot(seen)
        cost = self.account.use(seconds * 20)
        samples = await asyncio.to_thread(music, seconds, form.rate, seed=text)
        audio = await asyncio.to_thread(form.encode, samples)
        self.account.bill(seen, uuid.uuid4().hex[:20], usd, kind=kind, model=model_id, seconds=seconds)
        pieces = (audio[start : start + CHUNK] for start in range(0, len(audio), CHUNK))
        return StreamingResponse(pieces, headers=self.account.headers(cost), media_type=form.media_type)

    def _subscription(self) -> dict[str, Any]:
        resets = int(self.world.clock.now() + 30 * DAY)
        return subscription(self.account.used, self.world.rules.character_limit, resets)
