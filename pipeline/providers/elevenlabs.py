"""ElevenLabs: speech with the time of every word, sounds and music, transcripts that say who speaks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import structlog

from errors import InvalidInput, TooLarge, Unsupported
from pipeline.providers import prices
from pipeline.providers.base import Capability, Check, Estimate, Speech, Transcript
from pipeline.providers.elevenlabs_api import ID, ElevenLabsApi, gate_of
from pipeline.providers.elevenlabs_calls import (
    EFFECT_SECONDS,
    MUSIC_SECONDS,
    SoundCall,
    SpeechCall,
    TranscriptCall,
    transcript_usd,
)
from pipeline.providers.elevenlabs_words import fits, gathered, spread
from pipeline.providers.hosted import Hosted
from pipeline.providers.paid import Gate, Ledger
from pipeline.providers.pronounce import AS_WRITTEN, respelled, sent
from pipeline.providers.speech import finish, language_tag, part_of, tokens_of
from pipeline.providers.vendor_sound import sound_seconds, to_wav
from settings import Settings, get_settings

# What the multilingual model of the second generation reads; the fast ones add three, later ones read seventy and more.
V2 = {
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "fi", "fil", "fr", "hi", "hr", "id", "it", "ja", "ko", "ms", "nl",
    "pl", "pt", "ro", "ru", "sk", "sv", "ta", "tr", "uk", "zh",
}  # fmt: skip
FLASH = V2 | {"hu", "no", "vi"}
# Stability and exaggeration of a style, 0 to 1.
STYLES = {"minimal": (0.6, 0.0), "bold": (0.4, 0.3), "elegant": (0.65, 0.1), "playful": (0.35, 0.45)}
EFFECT_MODEL, MUSIC_MODEL, LISTENER = "eleven_text_to_sound_v2", "music_v1", "scribe_v2"
SHORTEST_EFFECT, LONGEST_EFFECT = 0.5, 30.0
SHORTEST_MUSIC, LONGEST_MUSIC = 3.0, 600.0
MOST_RECORDING_BYTES = 1_000_000_000
# For a recording that does not say how long it is: as if it were speech at this many bytes a second.
LEAST_BYTES_A_SECOND = 2_000
log = structlog.get_logger()


class _ElevenLabs(Hosted[ElevenLabsApi]):
    """What all capabilities do the same way."""

    name: ClassVar[str] = "elevenlabs"
    key: ClassVar[str] = "elevenlabs_api_key"

    def open_api(self, settings: Settings) -> ElevenLabsApi:
        """Its API under the key."""
        return ElevenLabsApi(settings)

    @property
    def gate(self) -> Gate:
        """ELEVENLABS_SLOTS calls at a time for each key."""
        return gate_of(get_settings())

    def cancel_call(self, external_id: str) -> float | None:
        """Nothing: its calls are answered while one waits, and then they are over."""
        del external_id
        return None


class ElevenLabsSpeaker(_ElevenLabs):
    """Speaks by ELEVENLABS_MODEL; `voice` is an id of ElevenLabs, or "" for ELEVENLABS_VOICE."""

    capability: ClassVar[Capability] = "speak"

    @property
    def version(self) -> str:  # type: ignore[override]
        """Another model, or another voice of its own choice, speaks otherwise."""
        settings = get_settings()
        return f"1-{settings.elevenlabs_model}-{settings.elevenlabs_voice}"

    def speaks(self, language: str) -> bool:
        """Whether the model reads this language."""
        model, tag = get_settings().elevenlabs_model, language_tag(language).split("-")[0]
        if model.endswith("v2_5"):
            return tag in FLASH
        return tag in V2 if model.endswith("_v2") else len(tag) in {2, 3}

    def speak(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        style: str,
        output: Path,
        check: Check,
        ledger: Ledger,
        pronounce: Mapping[str, str] = AS_WRITTEN,
    ) -> Speech:
        """See Speaker.

        The text is sent as it sounds: an alias dictionary of the vendor's would be an object of the account for each
        payload, and its history and its times would still be those of the text as it is shown.
        """
        if not self.speaks(language):
            raise Unsupported(f"language {language!r}: {get_settings().elevenlabs_model} does not read it")
        tokens_of(text, language)
        check()
        written = sent(text, pronounce)
        call = self._call(written, language, voice, style, output.parent)
        sound, times = ledger.charge(call)
        part = part_of(output)
        try:
            seconds = to_wav(sound, part, mono=True)
            if times is not None and not fits(times, seconds):
                log.info("speech_without_times", provider=self.name, reason="they are longer than the sound")
                times = None
            rate = _rate(part)
            pairs = respelled(text, pronounce)
            spans = gathered(times or spread(written, seconds), [len(sound.split()) for _, sound in pairs])
            edges = [(round(start * rate), round(end * rate)) for start, end in spans]
            return finish(self, part, output, pairs, edges)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def estimate(self, text: str) -> Estimate:
        """So many characters by the model's price."""
        usd = len(text) * prices.characters_of(get_settings().elevenlabs_model) / 1000
        return Estimate(usd, usd)

    def _call(self, text: str, language: str, voice: str, style: str, folder: Path) -> SpeechCall:
        settings = get_settings()
        voice = voice or settings.elevenlabs_voice
        if not ID.fullmatch(voice):
            raise InvalidInput(f"voice {voice[:60]!r}: ElevenLabs names its voices by an id of letters and digits")
        stability, exaggeration = STYLES.get(style, STYLES["minimal"])
        body = {
            "text": text,
            "model_id": settings.elevenlabs_model,
            "voice_settings": {"stability": stability, "similarity_boost": 0.75, "style": exaggeration},
            "seed": int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1,
        }
        if not settings.elevenlabs_model.endswith("multilingual_v2"):
            body["language_code"] = language_tag(language).split("-")[0]
        return SpeechCall(self.api(), folder, text=text, voice=voice, body=body)


class ElevenLabsSound(_ElevenLabs):
    """Effects and music; a length outside what the models make is moved to the nearest they do."""

    capability: ClassVar[Capability] = "sound"

    def effect(self, prompt: str, seconds: float, *, output: Path, check: Check, ledger: Ledger) -> Path:
        """See SoundMaker; 0.5 to 30 seconds."""
        check()
        length = round(min(max(seconds, SHORTEST_EFFECT), LONGEST_EFFECT), 1)
        body = {"text": prompt, "duration_seconds": length, "prompt_influence": 0.4, "model_id": EFFECT_MODEL}
        usd = prices.SOUND_EFFECT_USD
        call = SoundCall(
            "effect", self.api(), output.parent,
            path="/sound-generation", body=body, usd=usd, seconds=EFFECT_SECONDS,
        )  # fmt: skip
        return _as_wav(ledger.charge(call), output)

    def music(self, prompt: str, seconds: float, *, output: Path, check: Check, ledger: Ledger) -> Path:
        """See SoundMaker; 3 seconds to 10 minutes."""
        check()
        length = min(max(seconds, SHORTEST_MUSIC), LONGEST_MUSIC)
        body = {
            "prompt": prompt,
            "music_length_ms": round(length * 1000),
            "model_id": MUSIC_MODEL,
            "force_instrumental": True,
        }
        usd = prices.MUSIC_MINUTE_USD * length / 60
        call = SoundCall("music", self.api(), output.parent, path="/music", body=body, usd=usd, seconds=MUSIC_SECONDS)
        return _as_wav(ledger.charge(call), output)


class ElevenLabsTranscriber(_ElevenLabs):
    """Scribe, which also says who speaks."""

    capability: ClassVar[Capability] = "transcribe"

    def transcribe(
        self, audio: Path, *, digest: str, language: str, speakers: int | None, check: Check, ledger: Ledger
    ) -> Transcript:
        """See Transcriber; `language` "" or "auto" lets it find out."""
        check()
        size = audio.stat().st_size
        if size > MOST_RECORDING_BYTES:
            raise TooLarge(f"{audio.name} has {size / 1e6:.0f} MB: at most {MOST_RECORDING_BYTES / 1e6:.0f} are sent")
        fields = {
            "model_id": LISTENER,
            "diarize": "true",
            "timestamps_granularity": "word",
            "tag_audio_events": "false",
        }
        if language not in {"", "auto"}:
            fields["language_code"] = language_tag(language).split("-")[0]
        if speakers is not None:
            fields["num_speakers"] = str(speakers)
        seconds = sound_seconds(audio) or size / LEAST_BYTES_A_SECOND
        call = TranscriptCall(self.api(), audio, digest=digest, fields=fields, most_usd=transcript_usd(seconds))
        found: Transcript = ledger.charge(call)
        return found


def _as_wav(sound: Path, output: Path) -> Path:
    part = part_of(output)
    try:
        to_wav(sound, part, mono=False)
        return part.replace(output)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _rate(path: Path) -> int:
    import wave

    with wave.open(str(path), "rb") as reader:
        return reader.getframerate()
