"""The CPU of a whole compositing render against the bare encode of the very same frames."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import process
from bench.place import settle_in
from bench.rows import Row, at_most, say, spread
from pipeline.film import ass, encode
from pipeline.film.plan import plan
from pipeline.film.plates import prepare
from pipeline.film.render import extracts
from pipeline.film.render_job import PlateJob, RenderJob, SceneInput
from pipeline.film.script import Script
from pipeline.film.timeline import Timeline
from pipeline.providers.base import Brief, no_check
from pipeline.providers.espeak import EspeakSpeaker
from pipeline.providers.local_writer import LocalWriter
from settings import ROOT

PART = "film"
ROUNDS = 3
FILM_SECONDS = 8.0
LONGEST_SECONDS = 600.0
BRIEF = Brief(
    product_name="Aurora Kettle",
    description="A quiet electric kettle for small kitchens.",
    features=("boils a litre in three minutes", "keeps water warm for an hour"),
    cta_text="Order yours today",
    url="example.com/aurora",
    price="49 EUR",
    duration_seconds=FILM_SECONDS,
)


@dataclass(frozen=True, slots=True)
class Cost:
    cpu: float
    wall: float
    peak_mb: float


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="stagecrew-bench-") as name:
        folder = Path(name)
        settle_in(folder)
        job = order(folder)
        timeline = plan(job, extracts(job))
        size = timeline.frames * timeline.width * timeline.height * 3 // 2
        if shutil.disk_usage(folder).free < 2 * size:
            yield Row(PART, f"left out: {folder.parent} has less than {2 * size >> 20:,} MB free", "")
            return
        raw = dump(timeline, folder)
        renders, bares = [], []
        for number in range(ROUNDS):
            say(f"film: round {number + 1} of {ROUNDS}")
            bares.append(bare(timeline, raw, folder))
            renders.append(render(job))
        yield from rows(timeline, renders, bares)


def rows(timeline: Timeline, renders: list[Cost], bares: list[Cost]) -> Iterator[Row]:
    seconds = timeline.seconds
    name = f"{timeline.width}x{timeline.height}, {seconds:.1f} s"
    yield Row(PART, f"bare encode, CPU s a second of film ({name})", spread([one.cpu / seconds for one in bares], 2))
    yield Row(PART, "whole render, CPU s a second of film", spread([one.cpu / seconds for one in renders], 2))
    ratios = [ours.cpu / bare.cpu for ours, bare in zip(renders, bares, strict=True)]
    yield at_most(PART, "CPU of the render / of the bare encode", ratios, 3.0)
    walls = [ours.wall / bare.wall for ours, bare in zip(renders, bares, strict=True)]
    yield Row(PART, "wall of the render / of the bare encode", spread(walls, 2))
    yield Row(PART, "wall s a second of film", spread([one.wall / seconds for one in renders], 2))
    yield Row(PART, "peak memory of the render's processes, MB", spread([one.peak_mb for one in renders]))
    yield Row(PART, "peak memory of the bare encode, MB", spread([one.peak_mb for one in bares]))


def order(folder: Path) -> RenderJob:
    """A film's order like the one the compositing stage writes: local script, espeak's voice, generated plates."""
    say("film: script, voice and plates")
    script: Script = LocalWriter().write(BRIEF, no_check)
    speaker, scenes = EspeakSpeaker(), []
    for scene in script.scenes:
        sound, plate = folder / f"{scene.index}.wav", folder / f"{scene.index}.png"
        speech = speaker.speak(scene.narration, language="en", voice="", style="minimal", output=sound, check=no_check)
        made = prepare(PlateJob(index=scene.index, output=plate))
        scenes.append(
            SceneInput(
                scene=scene,
                audio_path=speech.path,
                duration_seconds=speech.duration_seconds,
                words=speech.words,
                plate_path=plate,
                plate_source=made.source,
            )
        )
    return RenderJob(
        product_name=BRIEF.product_name,
        cta_text=BRIEF.cta_text,
        url=BRIEF.url,
        price=BRIEF.price,
        scenes=tuple(scenes),
        output=folder / "film.mp4",
        work_dir=folder / "render",
    )


def dump(timeline: Timeline, folder: Path) -> Path:
    """The frames as the encoder sees them, with their text, in a raw file."""
    from pipeline.film.compositor import Compositor

    say("film: the frames, raw")
    raw, subtitles = folder / "frames.yuv", folder / "film.ass"
    subtitles.write_text(ass.document(timeline), encoding="utf-8")
    argv = encode.command(timeline, subtitles, None, raw)
    compositor = Compositor(timeline)

    def feed(write: process.Write) -> None:
        for number in range(timeline.frames):
            frame: Any = compositor.render(number)
            write(memoryview(frame))

    process.run(
        [*argv[: argv.index("-c:v")], "-f", "rawvideo", f"file:{raw}"], timeout_seconds=LONGEST_SECONDS, feed=feed
    )
    assert raw.stat().st_size == timeline.frames * timeline.width * timeline.height * 3 // 2
    return raw


def bare(timeline: Timeline, raw: Path, folder: Path) -> Cost:
    """The encoder alone: the product's own command without text and sound, reading the file."""
    argv = encode.command(timeline, folder / "film.ass", None, folder / "bare.mp4")
    at = argv.index("-vf")
    argv[at : at + 2] = []
    argv[argv.index("pipe:0")] = f"file:{raw}"
    return cost(argv)


def render(job: RenderJob) -> Cost:
    """What the compositing stage starts, with everything that starts in turn."""
    path = job.work_dir.parent / "film.json"
    path.write_text(job.model_dump_json())
    return cost([sys.executable, "-m", "pipeline.film.render", str(path)])


def cost(argv: list[str]) -> Cost:
    started = time.perf_counter()
    done = process.run(argv, timeout_seconds=LONGEST_SECONDS, cwd=ROOT)
    return Cost(done.cpu_seconds, time.perf_counter() - started, done.peak_memory_mb)
