"""`voice_gen`: each scene is spoken; its sound and the time of every word."""

from __future__ import annotations

from pipeline.context import Context
from pipeline.film.script import Scene, SpokenScene
from pipeline.stage import stage


@stage(
    "voice_gen",
    needs=("script_gen",),
    each="scenes",
    capability="speak",
    weight=25,
    hard_seconds=900,
    cache=True,
    reads=("language", "voice", "style"),
    version="1",
)
def voice_gen(context: Context, scene: Scene) -> SpokenScene:
    """Speak one scene."""
    payload = context.payload
    output = context.workdir / "voice.wav"
    speech = context.provider("speak").speak(
        scene.narration,
        language=payload.language,
        voice=payload.voice,
        style=payload.style,
        output=output,
        check=context.check,
        ledger=context.ledger,
    )
    return SpokenScene(
        index=scene.index,
        audio=context.keep(speech.path, media_type="audio/wav", name=f"voice-{scene.index}.wav"),
        duration_seconds=speech.duration_seconds,
        words=speech.words,
        provider=speech.provider,
    )
