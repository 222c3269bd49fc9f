"""`voice_gen`: each scene is spoken; its sound and the time of every word."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

from artifacts import Artifact
from errors import Permanent
from pipeline.context import Context
from pipeline.film.cores import children_at_once
from pipeline.film.engine import run_engine
from pipeline.film.kinds import MOST_SOUND_BYTES
from pipeline.film.script import Scene, SpokenScene, Word
from pipeline.film.subtitles import spread
from pipeline.providers.base import calls_at_once
from pipeline.providers.pronounce import entries_in
from pipeline.stage import stage
from settings import Settings

UNSPOKEN_RATE, READER_SPACE = 22_050, 2.0
VOICE_OVER_SECONDS, VOICE_OVER_MEMORY_MB = 120.0, 1500


def _own_words(scene: Scene, fields: dict[str, Any]) -> dict[str, Any]:
    """A scene is spoken anew when the sound of one of its own words changes, not of another scene's."""
    return fields | {"pronounce": entries_in(scene.narration, fields["pronounce"])}


def _at_once(payload: Any, speaker: Any, settings: Settings) -> int:
    """As a vendor takes them, or as cores cut a recording; the engine that speaks here is one."""
    if payload.voice_file is not None:
        return children_at_once(settings.worker_concurrency)
    return calls_at_once(speaker) if speaker.hosted and not payload.mute else 1


@stage(
    "voice_gen",
    needs=("script_gen",),
    each="spoken",
    capability="speak",
    weight=25,
    hard_seconds=900,
    cache=True,
    reads=("language", "voice", "style", "voice_file", "read_aloud", "mute", "pronounce"),
    narrow=_own_words,
    version="4",
    at_once=_at_once,
)
def voice_gen(context: Context, scene: Scene) -> SpokenScene:
    """Speak one scene; or take the user's own voice; or give it the time of a reader."""
    payload = context.payload
    if payload.voice_file is not None:
        return _own_voice(context, scene, payload.voice_file)
    if payload.mute:
        return _unspoken(context, scene)
    output = context.workdir / "voice.wav"
    speech = context.provider("speak").speak(
        scene.narration,
        language=payload.language,
        voice=payload.voice,
        style=payload.style,
        output=output,
        check=context.check,
        ledger=context.ledger,
        pronounce=payload.pronounce,
    )
    return _spoken(context, scene, speech.path, speech.duration_seconds, speech.words, speech.provider)


def _own_voice(context: Context, scene: Scene, given: Artifact | str) -> SpokenScene:
    """The scene's part of the user's recording; its words are placed by their letters, between its pauses."""
    from pipeline.providers.speech import apart, tokens_of

    recording = context.file(given, "recording", most_bytes=MOST_SOUND_BYTES)
    output, order = context.workdir / "voice.wav", context.workdir / "voice.json"
    job = {
        "recording": str(recording),
        "scenes": [tokens_of(text, context.payload.language) for text in context.payload.read_aloud],
        "index": scene.index,
        "output": str(output),
    }
    order.write_text(json.dumps(job))
    try:
        found = run_engine(
            "pipeline.film.voice_over",
            order,
            timeout_seconds=VOICE_OVER_SECONDS,
            memory_mb=VOICE_OVER_MEMORY_MB,
            check=context.check,
        )
    except Permanent as error:
        raise type(error)(f"voice_file: {error}") from None
    words = tuple(one for word in found["words"] for one in apart(Word.model_validate(word)))
    return _spoken(context, scene, output, float(found["duration_seconds"]), words, "own")


def _unspoken(context: Context, scene: Scene) -> SpokenScene:
    """Silence as long as the text would take, with its words one after the other."""
    from pipeline.providers.speech import speech_seconds

    seconds = speech_seconds(scene.narration, context.payload.style)
    output = context.workdir / "voice.wav"
    with wave.open(str(output), "wb") as file:
        file.setparams((1, 2, UNSPOKEN_RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(seconds * UNSPOKEN_RATE)))
    words = spread(scene.narration, 0.0, seconds, space=READER_SPACE)
    return _spoken(context, scene, output, seconds, words, "silence")


def _spoken(
    context: Context, scene: Scene, path: Path, seconds: float, words: tuple[Word, ...], provider: str
) -> SpokenScene:
    audio = context.keep(path, media_type="audio/wav", name=f"voice-{scene.index}.wav")
    return SpokenScene(index=scene.index, audio=audio, duration_seconds=seconds, words=words, provider=provider)
