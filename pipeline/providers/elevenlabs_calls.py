"""ElevenLabs' paid calls: speech, which its history finds again; sounds, which nothing finds; transcripts, which their id finds."""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from errors import BadReply
from pipeline.film.kinds import HEAD_BYTES, media_type_of
from pipeline.providers import prices
from pipeline.providers.base import HeardWord, Transcript
from pipeline.providers.elevenlabs_api import CREDIT_USD, ID, ElevenLabsApi, checked_sound, cost_of
from pipeline.providers.elevenlabs_words import Times, aligned
from pipeline.providers.paid import Answer, Candidate, PaidCall, PaidFile, Pause
from pipeline.providers.vendor_http import Reply, object_of, unreadable

# Every plan may have it, and it is the models' own rate.
SOUND_FORMAT = "mp3_44100_128"
SPEECH_SECONDS, EFFECT_SECONDS, MUSIC_SECONDS, TRANSCRIBE_SECONDS = 120.0, 120.0, 300.0, 600.0
# The vendor's clock against the database's; it tells whole seconds.
CLOCK_SECONDS = 60
# For an answer whose id of the history did not come along.
BY_REQUEST = "request:"
log = structlog.get_logger()


class _Call(PaidCall):
    """What all have in common."""

    provider = "elevenlabs"
    price_table = prices.TABLE

    def __init__(
        self, name: str, api: ElevenLabsApi, folder: Path, request: Mapping[str, Any], most_usd: float
    ) -> None:
        self.name, self.api, self.folder, self.gate = name, api, folder, api.gate
        self.request, self.most_usd = dict(request), most_usd

    def _file(self, body: bytes, name: str) -> dict[str, PaidFile]:
        kind = media_type_of(body[:HEAD_BYTES]) or "audio/mpeg"
        path = self.folder / f".{hashlib.sha256(body).hexdigest()[:16]}.{'wav' if kind == 'audio/wav' else 'mp3'}"
        path.write_bytes(body)
        return {"sound": PaidFile(path, kind, f"{name}{path.suffix}")}


class SpeechCall(_Call):
    """One spoken text; `accept` gives the stored sound, and the times of its tokens (None: to be spread)."""

    deadline_seconds = SPEECH_SECONDS
    searchable = True

    def __init__(self, api: ElevenLabsApi, folder: Path, *, text: str, voice: str, body: Mapping[str, Any]) -> None:
        """`body` is what is sent beside the text."""
        self.text, self.voice, self.model = text, voice, str(body["model_id"])
        most = len(text) * prices.characters_of(self.model) / 1000
        super().__init__("speak", api, folder, {"voice": voice, "text": text, **body}, most)

    def send(self, key: str) -> Answer:
        """Speak it; ElevenLabs takes no key."""
        del key
        path = f"/text-to-speech/{self.voice}/with-timestamps"
        body = {name: value for name, value in self.request.items() if name != "voice"}
        reply = self.api.http.ask(
            "POST", path, seconds=self.deadline_seconds, paid=True, params={"output_format": SOUND_FORMAT}, json=body
        )
        found = object_of(reply, "ElevenLabs", paid=True)
        sound = _decoded(found.get("audio_base64"), reply)
        times = aligned(self.text, found.get("alignment"))
        if times is None:
            log.info("speech_without_times", provider=self.provider, characters=len(self.text))
        cost = cost_of(reply.headers, self.model)
        return self._answer(sound, times, cost, _external_id(reply.headers))

    def collect(self, external_id: str, pause: Pause) -> Answer:
        """Its sound out of the history, for nothing; when the words are spoken is not kept there."""
        del pause
        item = self._item(external_id)
        item_id = str(item["history_item_id"])
        log.info("speech_without_times", provider=self.provider, found_again=item_id)
        before, after = item.get("character_count_change_from"), item.get("character_count_change_to")
        cost = (after - before) * CREDIT_USD if isinstance(before, int) and isinstance(after, int) else None
        return self._answer(self.api.item_sound(item_id), None, cost, item_id)

    def search(self, since_ms: int) -> Sequence[Candidate]:
        """Speech of this text by this voice and model, made from then on and no later than `send` can last."""
        first = since_ms // 1000 - CLOCK_SECONDS
        last = since_ms // 1000 + int(self.deadline_seconds) + CLOCK_SECONDS
        found = []
        for item in self.api.history(voice_id=self.voice):
            made = item.get("date_unix")
            if isinstance(made, int | float) and made < first:
                break
            if isinstance(made, int | float) and made <= last and self._is_this(item):
                found.append(Candidate(item["history_item_id"], int(made * 1000)))
        return found

    def accept(self, result: Any, files: Mapping[str, Path]) -> tuple[Path, Times | None]:
        """The stored sound, still as the vendor made it."""
        times = result.get("times")
        return files["sound"], None if times is None else [(start, end) for start, end in times]

    def _is_this(self, item: Mapping[str, Any]) -> bool:
        has_model = item.get("model_id") in {None, self.model}
        return item.get("text") == self.text and item.get("voice_id") == self.voice and has_model

    def _item(self, external_id: str) -> dict[str, Any]:
        if not external_id.startswith(BY_REQUEST):
            item = self.api.item(external_id)
            if item.get("history_item_id") != external_id:
                raise unreadable("ElevenLabs", "with another piece of its history", paid=False)
            return item
        wanted = external_id.removeprefix(BY_REQUEST)
        found = next((one for one in self.api.history(voice_id=self.voice) if one.get("request_id") == wanted), None)
        if found is None:
            raise BadReply("ElevenLabs has no speech of that request in its history")
        return found

    def _answer(self, sound: bytes, times: Times | None, cost: float | None, external_id: str | None) -> Answer:
        return Answer(
            {"model": self.model, "voice": self.voice, "times": times},
            self.most_usd if cost is None else cost,
            is_estimate=cost is None,
            files=self._file(sound, "speech"),
            external_id=external_id,
        )


class SoundCall(_Call):
    """One effect or piece of music; `accept` gives the stored sound. Its price is our guess: no header tells it in USD."""

    def __init__(
        self,
        name: str,
        api: ElevenLabsApi,
        folder: Path,
        *,
        path: str,
        body: Mapping[str, Any],
        usd: float,
        seconds: float,
    ) -> None:
        """`path` and `body` are the request, `usd` its price, `seconds` the longest that it can take."""
        super().__init__(name, api, folder, {"path": path, **body}, usd)
        self.path, self.body, self.deadline_seconds = path, body, seconds

    def send(self, key: str) -> Answer:
        """Make it; ElevenLabs takes no key."""
        del key
        reply = self.api.sound(self.path, self.body, output_format=SOUND_FORMAT, seconds=self.deadline_seconds)
        return Answer({}, self.most_usd, is_estimate=True, files=self._file(reply.body, self.name))

    def accept(self, result: Any, files: Mapping[str, Path]) -> Path:
        """The stored sound, still as the vendor made it."""
        del result
        return files["sound"]


class TranscriptCall(_Call):
    """One transcript; `accept` gives a Transcript."""

    deadline_seconds = TRANSCRIBE_SECONDS

    def __init__(
        self, api: ElevenLabsApi, audio: Path, *, digest: str, fields: Mapping[str, str], most_usd: float
    ) -> None:
        """`fields` are the form's; the recording stands in the request by its `digest`."""
        super().__init__("transcribe", api, audio.parent, {"audio": digest, **fields}, most_usd)
        self.audio, self.fields, self.digest = audio, dict(fields), digest

    def send(self, key: str) -> Answer:
        """Upload the recording and wait for its words; ElevenLabs takes no key."""
        del key
        with self.audio.open("rb") as file:
            upload = {"file": (f"{self.digest[:16]}{self.audio.suffix}", file, "application/octet-stream")}
            reply = self.api.http.ask(
                "POST", "/speech-to-text", seconds=self.deadline_seconds, paid=True, data=self.fields, files=upload
            )
        return self._answer(object_of(reply, "ElevenLabs", paid=True), None, paid=True)

    def collect(self, external_id: str, pause: Pause) -> Answer:
        """The transcript by its id, for nothing."""
        del pause
        return self._answer(self.api.transcript(external_id), external_id, paid=False)

    def accept(self, result: Any, files: Mapping[str, Path]) -> Transcript:
        """The words in time; BadReply when they have none."""
        del files
        words = tuple(_heard(one) for one in result["words"])
        ended = words[-1].end if words else 0.0
        return Transcript(result["language"], words, result["seconds"] or ended, self.provider)

    def _answer(self, found: Mapping[str, Any], external_id: str | None, *, paid: bool) -> Answer:
        words, seconds = found.get("words"), found.get("audio_duration_secs")
        if not isinstance(words, list):
            raise unreadable("ElevenLabs", "with a transcript that has no words", paid=paid)
        own_id = found.get("transcription_id")
        if isinstance(own_id, str) and ID.fullmatch(own_id):
            external_id = own_id
        length = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None
        kept = [one for one in words if isinstance(one, dict) and one.get("type", "word") == "word"]
        result = {
            "language": str(found.get("language_code") or ""),
            "words": [[one.get(name) for name in ("text", "start", "end", "speaker_id")] for one in kept],
            "seconds": length,
        }
        cost = self.most_usd if length is None else transcript_usd(length)
        return Answer(result, cost, is_estimate=True, external_id=external_id)


def transcript_usd(seconds: float) -> float:
    """The price of a recording's transcript."""
    return prices.TRANSCRIBE_MINUTE_USD * seconds / 60


def _heard(word: Sequence[Any]) -> HeardWord:
    text, start, end, speaker = word
    is_timed = all(isinstance(one, int | float) and math.isfinite(one) and one >= 0 for one in (start, end))
    if not isinstance(text, str) or not is_timed:
        raise BadReply("ElevenLabs: the transcript has a word without its time")
    return HeardWord(text, float(start), max(float(start), float(end)), speaker if isinstance(speaker, str) else "")


def _decoded(encoded: Any, reply: Reply) -> bytes:
    try:
        body = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except (binascii.Error, ValueError):
        body = b""
    return checked_sound(Reply(reply.status, reply.headers, body), paid=True).body


def _external_id(headers: Mapping[str, str]) -> str | None:
    """Under which the sound can be had again: the item of the history, else the request that made it."""
    item, request = headers.get("history-item-id", ""), headers.get("request-id", "")
    if ID.fullmatch(item):
        return item
    return BY_REQUEST + request if ID.fullmatch(request) else None
