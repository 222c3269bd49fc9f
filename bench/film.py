"""A whole compositing render, the bare encode of the very same frames, and moviepy with the same scenes, in turn."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import process
from bench.place import settle_in
from bench.proc import peak_of_tree
from bench.rows import Row, at_least, at_most, say, spread
from pipeline.film import ass, encode
from pipeline.film.fonts import FONTS
from pipeline.film.plan import plan
from pipeline.film.plates import prepare
from pipeline.film.render import extracts
from pipeline.film.render_job import PlateJob, RenderJob, SceneInput
from pipeline.film.script import Script
from pipeline.film.themes import theme_of
from pipeline.film.timeline import Timeline
from pipeline.providers.base import Brief, no_check
from pipeline.providers.espeak import EspeakSpeaker
from pipeline.providers.local_writer import LocalWriter
from settings import ROOT

PART = "film"
ROUNDS = 3
FLOOR, OURS, MOVIEPY = "bare encode", "whole render", "moviepy"
MOST_CPU, MOST_MB, LEAST_MOVIEPY = 2.2, 450.0, 4.0
# moviepy wants an older Pillow than the program: it has an environment of its own, made by `make bench-moviepy`.
MOVIEPY_PYTHON = ROOT / "build" / "moviepy" / "bin" / "python"
FILM_SECONDS = float(os.environ.get("BENCH_FILM_SECONDS", "8"))
LONGEST_SECONDS = 600.0
BRIEF = Brief(
    product_name="Aurora Kettle",
    description="A quiet electric kettle for small kitchens.",
    features=(
        "boils a litre in three minutes",
        "keeps water warm for an hour",
        "pours without a drip",
        "switches itself off",
        "holds one and a half litres",
        "stands on a steel base",
        "has a lid that stays cool",
        "fits under every tap",
    ),
    cta_text="Order yours today",
    url="example.com/aurora",
    price="49 EUR",
    duration_seconds=FILM_SECONDS,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU (of the whole child tree; `silent`: without voice and music) and wall in seconds, memory and size in MB."""

    cpu: float
    silent: float
    wall: float
    peak_mb: float
    size_mb: float


Rounds = dict[str, list[Cost]]


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
        runs: dict[str, Callable[[], Cost]] = {FLOOR: lambda: bare(timeline, raw, folder), OURS: lambda: render(job)}
        if MOVIEPY_PYTHON.exists():
            path = moviepy_order(timeline, folder)
            runs[MOVIEPY] = lambda: moviepy(path)
        rounds: Rounds = {who: [] for who in runs}
        for number in range(ROUNDS):
            for who, run in runs.items():
                say(f"film: round {number + 1} of {ROUNDS}, {who}, load {os.getloadavg()[0]:.1f}")
                rounds[who].append(run())
        yield from rows(timeline, rounds)


def rows(timeline: Timeline, rounds: Rounds) -> Iterator[Row]:
    seconds = timeline.seconds
    size = f"{timeline.width}x{timeline.height}, {seconds:.1f} s"
    for name, costs in rounds.items():
        cpu, wall, size_mb = ([getattr(one, of) / seconds for one in costs] for of in ("cpu", "wall", "size_mb"))
        yield Row(PART, f"{name} ({size}): CPU s a second of film", spread(cpu, 2))
        yield Row(PART, f"{name}: wall s a second of film", spread(wall, 2))
        yield Row(PART, f"{name}: size, KB a second of film", spread([one * 1000 for one in size_mb]))
        peaks = [one.peak_mb for one in costs]
        what = f"{name}: peak memory of all its processes (PSS), MB"
        yield at_most(PART, what, peaks, MOST_MB) if name == OURS else Row(PART, what, spread(peaks))
    floor, ours = rounds[FLOOR], rounds[OURS]
    silent = ratios([one.silent for one in ours], [one.cpu for one in floor])
    yield at_most(PART, "CPU, the whole render but voice, music and their encoder / bare encode", silent, MOST_CPU)
    yield Row(PART, "CPU, the whole render / bare encode", spread(_of("cpu", ours, floor), 2))
    yield Row(PART, "wall, the whole render / bare encode", spread(_of("wall", ours, floor), 2))
    if MOVIEPY not in rounds:
        yield Row(PART, "moviepy is not installed: `make bench-moviepy` does it and measures it too", "")
        return
    other = rounds[MOVIEPY]
    yield at_least(PART, "CPU, moviepy / the whole render", _of("cpu", other, ours), LEAST_MOVIEPY)
    yield Row(PART, "wall, moviepy / the whole render", spread(_of("wall", other, ours), 2))
    yield Row(PART, "memory, moviepy / the whole render", spread(_of("peak_mb", other, ours), 2))


def _of(what: str, ones: list[Cost], others: list[Cost]) -> list[float]:
    return ratios([getattr(one, what) for one in ones], [getattr(one, what) for one in others])


def ratios(ones: list[float], others: list[float]) -> list[float]:
    return [one / other for one, other in zip(ones, others, strict=True)]


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
    output = folder / "bare.mp4"
    argv = encode.command(timeline, folder / "film.ass", None, output)
    at = argv.index("-vf")
    argv[at : at + 2] = []
    argv[argv.index("pipe:0")] = f"file:{raw}"
    return cost(argv, output)


def render(job: RenderJob) -> Cost:
    """What the compositing stage starts, with everything that starts in turn; by one process of ours."""
    path = job.work_dir.parent / "film.json"
    path.write_text(job.model_dump_json())
    return cost([sys.executable, "-m", "pipeline.film.render", str(path)], job.output)


def moviepy_order(timeline: Timeline, folder: Path) -> Path:
    """The same film for moviepy: each shot's picture at rest, finished, and our sound; writing them is not its work."""
    from pipeline.film import sound
    from pipeline.film.compositor import Compositor
    from pipeline.film.planes import to_image

    compositor, stills = Compositor(timeline), []
    for at in range(len(timeline.shots)):
        stills.append(folder / f"still-{at}.png")
        to_image(compositor.at_rest(at)).save(stills[-1])
    sound.mix(timeline, folder / "film.wav")
    argv = encode.command(timeline, folder / "film.ass", None, folder / "x.mp4")
    encoder = argv[argv.index("-bf") : argv.index("-f", argv.index("-x264-params"))]
    order = {
        "timeline": json.loads(timeline.to_json()),
        "caption": asdict(theme_of(timeline.style, timeline.brand_color).caption),
        "stills": [str(still) for still in stills],
        "fonts": str(FONTS),
        "sound": str(folder / "film.wav"),
        "preset": argv[argv.index("-preset") + 1],
        "threads": encode.ENCODER_THREADS,
        "encoder": encoder,
        "output": str(folder / "moviepy.mp4"),
    }
    path = folder / "moviepy.json"
    path.write_text(json.dumps(order))
    return path


def moviepy(path: Path) -> Cost:
    """moviepy's film of an order, encoded by the same ffmpeg."""
    # -P: the modules of the bench must not hide the standard library's.
    argv = [str(MOVIEPY_PYTHON), "-P", str(ROOT / "bench" / "moviepy_film.py"), str(path)]
    return cost(argv, path.with_suffix(".mp4"), env={"IMAGEIO_FFMPEG_EXE": encode.ffmpeg()})


def cost(argv: list[str], output: Path, env: dict[str, str] | None = None) -> Cost:
    with peak_of_tree(os.getpid()) as peak_mb:
        started = time.perf_counter()
        done = process.run(argv, timeout_seconds=LONGEST_SECONDS, cwd=ROOT, env=env)
        wall = time.perf_counter() - started
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b'{"result"')]
    sound = said[-1]["result"]["sound_cpu_seconds"] if said else 0.0
    return Cost(done.cpu_seconds, done.cpu_seconds - sound, wall, peak_mb(), output.stat().st_size / 1e6)
