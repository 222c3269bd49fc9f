"""Makes a whole film in a process of its own: `python -m pipeline.film.render JOB.json`.

Prints lines of JSON: {"progress": 0..1, "step": "..."} on the way, and last {"result": {...}} or
{"error": class, "message": sentence} with exit code 1. SIGTERM ends it within moments, with ffmpeg and without
leaving a file behind; the process must be the only thing that works in the job's `work_dir`.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from errors import HostTrouble, InvalidInput
from pipeline.film import ass, encode, tailor
from pipeline.film.child import answer, say, stoppable, throttled
from pipeline.film.chunks import Chunks, spans
from pipeline.film.fonts import FONTS, NOTHING
from pipeline.film.plan import plan
from pipeline.film.preview import shrunk
from pipeline.film.render_job import RenderJob, SceneInput, read_order
from pipeline.film.script import PictureSource
from pipeline.film.timeline import Timeline
from pipeline.film.views import Extract, Logo

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Mix:
    """The sound that was mixed: how loud, in LUFS, and what it cost in seconds of CPU, its encoder's too."""

    lufs: float
    cpu_seconds: float


@dataclass(frozen=True)
class Order:
    """What is to be rendered, with the files between: text, sound as it is mixed and encoded, the folder of the faces."""

    job: RenderJob
    timeline: Timeline
    subtitles: Path
    mixed: Path
    sound: Path
    fonts: Path

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """The chunks, in frames."""
        return spans(self.timeline.frames, self.job.workers, self.timeline.fps * encode.KEY_SECONDS)


PLANNED, SOUNDED, ENCODED = 0.05, 0.12, 0.97
BUSY_ROWS, BUSY_SIZE, BUSY_STEP = 48, (192, 192), 14


def render(job: RenderJob, report: Report) -> dict[str, Any]:
    """Make the film of a job at its `output`; returns its facts. Raises errors.* in one sentence."""
    from pipeline.film import probe

    _folders(job)
    report(0.0, "plan")
    subtitles, mixed, sound, faces = (job.work_dir / name for name in ("film.ass", "film.wav", "film.m4a", "fonts"))
    try:
        wardrobe = tailor.prepare(job, faces)
        timeline = shrunk(plan(job, extracts(job), wardrobe, logo=logo(job)), job.size)
        subtitles.write_text(ass.document(timeline), encoding="utf-8")
        report(PLANNED, "sound")
        order = Order(job, timeline, subtitles, mixed, sound, FONTS if wardrobe == NOTHING else faces)
        mix = (_in_chunks if len(order.pieces) > 1 else _in_one)(order, report)
        report(ENCODED, "check")
        seen = _checked(probe, order)
        beside, posters = _beside(job, timeline)
    finally:
        for leftover in (subtitles, mixed, sound):
            leftover.unlink(missing_ok=True)
        shutil.rmtree(faces, ignore_errors=True)
    report(1.0, "done")
    return {
        "output": str(job.output),
        "size": job.output.stat().st_size,
        "width": timeline.width,
        "height": timeline.height,
        "fps": timeline.fps,
        "frames": timeline.frames,
        "seconds": round(timeline.seconds, 4),
        "audio_seconds": round(seen.audio_seconds, 4),
        "lufs": round(mix.lufs, 2),
        "sound_cpu_seconds": round(mix.cpu_seconds, 3),
        "beside": {name: str(path) for name, path in beside.items()},
        "posters": [str(path) for path in posters],
        "captions": [
            {"start": round(word.start, 3), "end": round(word.end, 3), "text": word.text}
            for page in timeline.pages
            for word in page.words
        ],
    }


def _in_one(order: Order, report: Report) -> Mix:
    """Sound, then the picture, which takes it along as it is."""
    from pipeline.film.compositor import Compositor
    from pipeline.film.pictures import give_back_memory

    mix = _mix(order)
    give_back_memory()
    report(SOUNDED, "picture")
    compositor = Compositor(order.timeline)
    encode.encode(
        order.timeline,
        subtitles=order.subtitles,
        sound=order.sound,
        output=order.job.output,
        frame=lambda number: compositor.render(number).data,
        fonts=order.fonts,
        on_frame=_by_frames(order.timeline, report),
    )
    return mix


def _in_chunks(order: Order, report: Report) -> Mix:
    """The chunks in children, and the sound beside them."""
    with Chunks.started(order.timeline, order.subtitles, order.fonts, order.job.work_dir, order.pieces) as chunks:
        mix = _mix(order)
        report(SOUNDED, "picture")
        chunks.finished(_by_frames(order.timeline, report))
        chunks.join(order.sound, order.job.output)
    return mix


def _mix(order: Order) -> Mix:
    """The film's sound, mixed and encoded; what the encoder adds to its peaks is heard, and taken off before."""
    from pipeline.film import sound

    began, encoders = time.thread_time(), list[float]()

    def encoded_peak() -> float:
        peak, cpu_seconds = _encoded_peak(order)
        encoders.append(cpu_seconds)
        return peak

    lufs = sound.mix(order.timeline, order.mixed, encoded_peak)
    return Mix(lufs, time.thread_time() - began + sum(encoders))


def _encoded_peak(order: Order) -> tuple[float, float]:
    """Encode the mix; its true peak in dBTP then, and the CPU seconds of that.

    Heard by ffmpeg: PyAV would stand in memory for as long as the picture is encoded.
    """
    import numpy as np

    from pipeline.film import loudness

    samples, timeout_seconds = order.sound.with_suffix(".f32"), encode.longest_seconds(order.timeline)
    commands = (encode.sound_command(order.mixed, order.sound), encode.hear_command(order.sound, samples))
    try:
        cpu_seconds = sum(encode.run(argv, timeout_seconds=timeout_seconds).cpu_seconds for argv in commands)
        return loudness.true_peak(np.fromfile(samples, np.float32).reshape(-1, 2)), cpu_seconds
    finally:
        samples.unlink(missing_ok=True)


def _checked(probe: Any, order: Order) -> Any:
    timeline, output = order.timeline, order.job.output
    try:
        return probe.check(
            output,
            order.mixed,
            width=timeline.width,
            height=timeline.height,
            fps=timeline.fps,
            frames=timeline.frames,
            clips=[
                (shot.first / timeline.fps, shot.last / timeline.fps)
                for shot in timeline.shots
                if shot.plate.picture.treatment == "clip"
            ],
        )
    except BaseException:
        output.unlink(missing_ok=True)
        raise


def _beside(job: RenderJob, timeline: Timeline) -> tuple[dict[str, Path], list[Path]]:
    """The files that come with the film, in the work folder: captions and timeline, and a poster of each scene."""
    from pipeline.film import outputs

    made = {
        "subtitles_srt": job.work_dir / "captions.srt",
        "subtitles_vtt": job.work_dir / "captions.vtt",
        "timeline": job.work_dir / "timeline.json",
    }
    made["subtitles_srt"].write_text(outputs.srt(timeline.pages), encoding="utf-8")
    made["subtitles_vtt"].write_text(outputs.vtt(timeline.pages), encoding="utf-8")
    made["timeline"].write_text(timeline.to_json(), encoding="utf-8")
    return made, outputs.posters(job.output, timeline, job.work_dir)


def _folders(job: RenderJob) -> None:
    try:
        job.work_dir.mkdir(parents=True, exist_ok=True)
        job.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostTrouble(f"{error.filename} cannot be made: {error.strerror}") from error


def extracts(job: RenderJob) -> dict[int, Extract]:
    """The facts of each scene's picture, by place in the job."""
    return {at: _extract(given) for at, given in enumerate(job.scenes) if given.plate_path is not None}


def logo(job: RenderJob) -> Logo | None:
    """The facts of the job's logo."""
    if job.logo_path is None:
        return None
    from pipeline.film.marks import light_of

    width, height = _size(job.logo_path, moving=False)
    return Logo(str(job.logo_path), width, height, light_of(str(job.logo_path)))


def _extract(given: SceneInput) -> Extract:
    assert given.plate_path is not None
    try:
        return _looked_at(given.plate_path, given.plate_source)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"the plate of scene {given.scene.index} cannot be read: {error}") from error


@cache
def _looked_at(path: Path, source: PictureSource) -> Extract:
    """Scenes may show the same picture: it is decoded and hashed once."""
    width, height = _size(path, moving=source == "clip")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    busy = _busy(path) if source in {"photo", "cutout"} else ()
    return Extract(str(path), width, height, source, digest, busy)


def _busy(path: Path) -> tuple[float, ...]:
    """How much there is to see in each row of the middle: how often it steps from left to right, as letters do."""
    import numpy as np
    from PIL import Image

    with Image.open(path, formats=("PNG", "JPEG")) as opened:
        small = opened.convert("L").resize(BUSY_SIZE, Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32)
    middle = pixels[:, BUSY_SIZE[0] // 8 : -BUSY_SIZE[0] // 8]
    steps = (np.abs(np.diff(middle, axis=1)) > BUSY_STEP).mean(axis=1) * 100
    return tuple(round(float(one), 3) for one in steps.reshape(BUSY_ROWS, -1).mean(axis=1))


def _size(path: Path, *, moving: bool) -> tuple[int, int]:
    if moving:
        from pipeline.film.clips import inspect_clip

        facts = inspect_clip(path)
        return facts.width, facts.height
    from PIL import Image

    with Image.open(path, formats=("PNG", "JPEG")) as picture:
        return picture.size


def _by_frames(timeline: Timeline, report: Report) -> Callable[[int], None]:
    """`report` by the number of frames that are done."""
    return throttled(
        timeline.frames,
        lambda number: report(SOUNDED + (ENCODED - SOUNDED) * number / timeline.frames, "picture"),
    )


def main(arguments: list[str]) -> int:
    """Render one job; 0 when done, 1 with the error as JSON, 143 when stopped."""

    def work() -> dict[str, Any]:
        if len(arguments) != 1:
            raise InvalidInput("usage: python -m pipeline.film.render JOB.json")
        job = read_order(RenderJob, Path(arguments[0]), "render job")
        return {"result": render(job, lambda share, step: say({"progress": round(share, 4), "step": step}))}

    stoppable()
    return answer(work, what="the film")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
