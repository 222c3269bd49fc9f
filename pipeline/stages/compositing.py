"""`compositing`: voice, pictures, captions and music become one film, rendered and checked in a child process."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from artifacts import Artifact
from pipeline.context import Context
from pipeline.film.cores import processes
from pipeline.film.engine import prepare, run_engine
from pipeline.film.kinds import MOST_PICTURE_BYTES, MOST_SOUND_BYTES
from pipeline.film.render_job import PlateJob, RenderJob, SceneInput
from pipeline.film.script import Aspect, FilmVersion, ScenePlate, Script, SpokenScene, Word
from pipeline.film.subtitles import subtitle_words
from pipeline.providers.prose import plain
from pipeline.stage import stage

# media.md measured 0.8 s of wall a second of film on two quiet cores; this is for busy ones.
SECONDS_PER_FILM_SECOND = 20.0
FIXED_SECONDS = 120.0
STALL_SECONDS = 90.0
RENDER_MEMORY_MB = 2500
LOGO_PIXELS = 900
# Pictures a second, and the size as a share of the aspect's: 1080p, and 720p.
QUALITIES = {"full": (30, 1.0), "preview": (15, 2 / 3)}
# What the child puts beside the film: its media type, and the end of its name.
BESIDE = {
    "subtitles_srt": ("application/x-subrip", ".srt"),
    "subtitles_vtt": ("text/vtt", ".vtt"),
    "timeline": ("application/json", "-timeline.json"),
}


class FilmResult(BaseModel):
    """The film, what comes with it, and its facts: lengths and the captions' times in seconds, loudness in LUFS.

    `posters` are stills, one a scene; `thumbnail` is the first of them under the film's own name. `notes` say what of the
    payload is not in the film.
    """

    aspect: Aspect
    opening: int = 0
    video: Artifact
    thumbnail: Artifact
    posters: tuple[Artifact, ...]
    subtitles_srt: Artifact
    subtitles_vtt: Artifact
    timeline: Artifact
    script: Artifact
    duration_seconds: float
    width: int
    height: int
    fps: int
    loudness_lufs: float
    captions: tuple[Word, ...]
    notes: tuple[str, ...] = ()
    providers: dict[str, str]


@stage("compositing", needs=("script_gen", "voice_gen", "video_gen"), each="films", weight=25, version="21")
def compositing(context: Context, version: FilmVersion | None = None) -> FilmResult:
    """Render one film; its own quality checks are the last step, and fail the stage when they do not hold.

    `version` is which of several films that share all the rest.
    """
    script: Script = context.result("script_gen")
    spoken: list[SpokenScene] = context.result("voice_gen")
    plates: list[ScenePlate] = context.result("video_gen")
    own = version or FilmVersion(aspect=context.payload.shapes[0])
    order = _order(context, own, script, spoken, plates)
    order_file = context.workdir / "film.json"
    order_file.write_text(order.model_dump_json())
    seconds = sum(scene.duration_seconds for scene in order.scenes)
    facts = run_engine(
        "pipeline.film.render",
        order_file,
        timeout_seconds=FIXED_SECONDS + SECONDS_PER_FILM_SECOND * seconds,
        stall_seconds=STALL_SECONDS,
        memory_mb=RENDER_MEMORY_MB,
        check=context.check,
        report=context.progress,
    )["result"]
    words = context.workdir / "script.json"
    words.write_text(script.model_dump_json(indent=2), encoding="utf-8")
    name = _slug(order.product_name) + (f"-{version.label}" if version else "")
    video = context.keep(order.output, media_type="video/mp4", name=f"{name}.mp4")
    beside = {
        kind: context.keep(Path(facts["beside"][kind]), media_type=media_type, name=f"{name}{ending}")
        for kind, (media_type, ending) in BESIDE.items()
    }
    posters = tuple(
        context.keep(Path(path), media_type="image/jpeg", name=f"{name}-poster-{number}.jpg")
        for number, path in enumerate(facts["posters"], 1)
    )
    return FilmResult(
        aspect=own.aspect,
        opening=own.opening,
        video=video,
        thumbnail=posters[0].model_copy(update={"name": f"{name}.jpg"}),
        posters=posters,
        **beside,
        script=context.keep(words, media_type="application/json", name=f"{name}-script.json"),
        duration_seconds=facts["seconds"],
        width=facts["width"],
        height=facts["height"],
        fps=facts["fps"],
        loudness_lufs=facts["lufs"],
        captions=tuple(Word.model_validate(word) for word in facts["captions"]),
        notes=_notes(context, script),
        providers={
            "write": script.provider,
            "speak": ",".join(sorted({scene.provider for scene in spoken})),
            "film": ",".join(sorted({plate.source for plate in plates})),
        },
    )


def _order(
    context: Context, version: FilmVersion, script: Script, spoken: list[SpokenScene], plates: list[ScenePlate]
) -> RenderJob:
    payload = context.payload
    said = [(script.spoken[place], spoken[place]) for place in script.order_of(version.opening)]
    # Art is drawn for its frame; only the first aspect's is at hand.
    is_first = version.aspect == payload.shapes[0]
    shown = [context.path(plate.picture) if is_first or plate.source != "art" else None for plate in plates]
    fps, size = QUALITIES[payload.quality]
    return RenderJob(
        aspect=version.aspect,
        fps=fps,
        size=size,
        style=payload.style,
        language=payload.language,
        product_name=plain(payload.product_name) or payload.product_name,
        cta_text=plain(payload.cta_text),
        url=payload.url,
        price=payload.price,
        music=payload.music,
        music_path=_music(context),
        seed=payload.seed,
        brand_color=payload.brand_color,
        logo_path=_logo(context),
        scenes=tuple(
            SceneInput(
                scene=scene.model_copy(update={"index": index}),
                audio_path=context.path(voice.audio),
                duration_seconds=voice.duration_seconds,
                words=subtitle_words(scene.subtitle, voice.words) if scene.subtitle else voice.words,
                plate_path=path,
                plate_source=plate.source,
            )
            for index, ((scene, voice), plate, path) in enumerate(zip(said, plates, shown, strict=True))
        ),
        target_seconds=None,
        workers=context.settings.film_workers or processes(context.settings.worker_concurrency),
        output=context.workdir / "film.mp4",
        work_dir=context.workdir / "render",
    )


def _notes(context: Context, script: Script) -> tuple[str, ...]:
    """What was given and is not in the film, and what would bring it in."""
    notes = []
    if script.left_out:
        notes.append(f"not told, for want of time: {'; '.join(script.left_out)} (duration_seconds)")
    shown = {scene.image for scene in script.scenes}
    unseen = [f"images.{number}" for number in range(len(context.payload.images)) if number not in shown]
    if unseen:
        notes.append(
            f"not shown, for want of scenes: {', '.join(unseen)} (duration_seconds, features or a script of your own)"
        )
    return tuple(notes)


def _logo(context: Context) -> Path | None:
    """The logo as a PNG of a sane size, made in a child: it is a stranger's file."""
    given: Artifact | str | None = context.payload.logo
    if given is None:
        return None
    order = PlateJob(
        image_path=context.file(given, "logo", most_bytes=MOST_PICTURE_BYTES),
        image_name=given.name if isinstance(given, Artifact) else "logo",
        longest=LOGO_PIXELS,
        trim=True,
        output=context.workdir / "logo.png",
    )
    return prepare(order, context.workdir, check=context.check).output


def _music(context: Context) -> Path | None:
    given: Artifact | str | None = context.payload.music_file
    if given is None or not context.payload.music:
        return None
    return context.file(given, "music", most_bytes=MOST_SOUND_BYTES)


def _slug(name: str) -> str:
    kept = "".join(char.lower() if char.isalnum() else "-" for char in name)
    return "-".join(part for part in kept.split("-") if part)[:60] or "film"
