"""One short film, made by the child process and measured: streams, loudness, pictures, and captions by OCR."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import wave
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.film import ass, encode, loudness, probe, sound
from pipeline.film.captions import ground_of
from pipeline.film.compositor import Compositor
from pipeline.film.plan import plan
from pipeline.film.render_job import RenderJob, SceneInput
from pipeline.film.script import Scene, Word
from pipeline.film.themes import THEMES
from pipeline.film.timeline import CaptionPage

ROOT = Path(__file__).resolve().parents[2]
LINES = (("hero", "Meet Nova Flask, the bottle for every morning."), ("cta", "Tap the button and get yours today!"))


def speech(path: Path, seconds: float) -> None:
    """Sound with the rhythm of speech: tones under syllables."""
    at = np.arange(round(seconds * 22050)) / 22050
    tone = sum(np.sin(2 * np.pi * 140 * n * at) / n for n in range(1, 9))
    sound = tone * np.clip(np.sin(2 * np.pi * 2.1 * at) + 0.4, 0, 1) * 6000
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())


def short_job(folder: Path) -> RenderJob:
    scenes = []
    for at, (kind, text) in enumerate(LINES):
        speech(folder / f"{at}.wav", 2.8)
        parts = text.split()
        step = 2.7 / len(parts)
        spoken = tuple(Word(text=part, start=n * step, end=(n + 1) * step) for n, part in enumerate(parts))
        scene = Scene.model_validate({"index": at, "kind": kind, "narration": text, "headline": "Nova Flask"})
        scenes.append(SceneInput(scene=scene, audio_path=folder / f"{at}.wav", duration_seconds=2.8, words=spoken))
    return RenderJob(
        product_name="Nova Flask",
        cta_text="Buy Now",
        scenes=tuple(scenes),
        output=folder / "film.mp4",
        work_dir=folder / "work",
    )


def by_the_child(job: RenderJob) -> list[dict[str, Any]]:
    """Render in a child; the lines that it said."""
    order = job.output.with_name("job.json")
    order.write_text(job.model_dump_json())
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.film.render", str(order)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[RenderJob, list[dict[str, Any]]]:
    job = short_job(tmp_path_factory.mktemp("film"))
    return job, by_the_child(job)


pytestmark = pytest.mark.film


def test_progress_rises_to_one_and_a_result_follows(film: tuple[RenderJob, list[dict[str, Any]]]) -> None:
    _, lines = film
    shares = [line["progress"] for line in lines if "progress" in line]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert lines[-1]["result"]["frames"] == round((0.4 + 5.6 + 0.3 + 0.8) * 30)


def test_the_file_is_what_a_player_wants(film: tuple[RenderJob, list[dict[str, Any]]]) -> None:
    job, lines = film
    seen = probe.check(job.output, job.output, width=1080, height=1920, fps=30, frames=lines[-1]["result"]["frames"])
    assert abs(seen.audio_seconds - seen.video_seconds) <= 0.05


def test_its_sound_is_the_mix_to_the_sample(film: tuple[RenderJob, list[dict[str, Any]]], tmp_path: Path) -> None:
    job, _ = film
    sound.mix(plan(job, {}), tmp_path / "film.wav")
    ours, mixed = (probe.decoded(path).mean(axis=1) for path in (job.output, tmp_path / "film.wav"))
    size = len(ours) + len(mixed)
    alike = np.fft.irfft(np.fft.rfft(ours, size) * np.conj(np.fft.rfft(mixed, size)), size)
    assert int(np.argmax(alike)) == 0


def test_a_sound_that_is_encoded_is_copied(tmp_path: Path) -> None:
    timeline, made, film = plan(short_job(tmp_path), {}), tmp_path / "film.m4a", tmp_path / "film.mp4"
    commands = encode.command(timeline, tmp_path / "film.ass", made, film), encode.join_command(film, made, film)
    assert [argv[argv.index("-c:a") + 1] for argv in commands] == ["copy", "copy"]


def test_it_is_loud_enough_and_never_black_frozen_or_broken(film: tuple[RenderJob, list[dict[str, Any]]]) -> None:
    job, _ = film
    seen = probe.measure(job.output)
    assert abs(seen.lufs + 14) <= 1
    assert seen.peak <= -1
    assert (seen.black, seen.frozen, seen.complaints) == ((), (), "")


def test_it_is_neither_too_dark_nor_too_bright(film: tuple[RenderJob, list[dict[str, Any]]]) -> None:
    job, _ = film
    with av.open(str(job.output)) as opened:
        stream = opened.streams.video[0]
        levels = [float(frame.to_ndarray()[: frame.height].mean()) for frame in opened.decode(stream)]
    assert 20 <= min(levels) <= max(levels) <= 235


@pytest.mark.slow
def test_the_encoder_keeps_what_was_drawn(
    film: tuple[RenderJob, list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same frames once more, without loss; how like them the film's are."""
    job, _ = film
    timeline, subtitles, lossless = plan(job, {}), tmp_path / "film.ass", tmp_path / "lossless.mp4"
    subtitles.write_text(ass.document(timeline), encoding="utf-8")
    compositor = Compositor(timeline)
    monkeypatch.setattr(encode, "CRF", 1)  # 0 would need another profile
    encode.encode(
        timeline, subtitles=subtitles, sound=None, output=lossless, frame=lambda number: compositor.render(number).data
    )
    command = [encode.ffmpeg(), "-nostdin", "-i", str(job.output), "-i", str(lossless), "-lavfi", "[0:v][1:v]ssim"]
    done = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"SSIM .*All:([\d.]+)", done.stderr)
    assert found is not None, done.stderr[-500:]
    assert float(found[1]) >= 0.985


def test_what_an_encoder_adds_to_the_peaks_is_taken_off_before(tmp_path: Path) -> None:
    timeline, mixed, seen = plan(short_job(tmp_path), {}), tmp_path / "film.wav", list[float]()

    def adds_two_decibels() -> float:
        seen.append(loudness.true_peak(probe.decoded(mixed)))
        return seen[-1] + 2

    level = sound.mix(timeline, mixed, adds_two_decibels)
    assert seen[0] > -3.0
    assert seen[-1] + 2 <= -1
    assert len(seen) == 2
    assert abs(level + 14) <= 1


def test_voices_begin_where_they_should(film: tuple[RenderJob, list[dict[str, Any]]]) -> None:
    job, _ = film
    timeline = plan(job, {})
    stem = sound._polished(sound._voices(timeline.voices, round(timeline.frames * loudness.RATE / timeline.fps)))
    levels = 20 * np.log10(np.maximum(np.abs(stem[: len(stem) // 480 * 480]).reshape(-1, 480).max(axis=1), 1e-6))
    speaks = levels > -40
    for voice in timeline.voices:
        first = next(at for at in range(round(voice.start * 100) - 20, len(levels)) if speaks[at])
        assert abs(first / 100 - voice.start) <= 0.06


def test_captions_are_read_back_by_ocr(film: tuple[RenderJob, list[dict[str, Any]]]) -> None:
    job, _ = film
    timeline = plan(job, {})
    pages = timeline.pages
    wanted = [re.sub(r"\W", "", word.text).lower() for page in pages for word in page.words]
    frames = pictures(job.output, {round((word.start + word.end) / 2 * 30) for page in pages for word in page.words})
    found = []
    for page in pages:
        # The first and the last word: the highlighted one is inverted, and sometimes not read.
        moments = {round((word.start + word.end) / 2 * 30) for word in (page.words[0], page.words[-1])}
        read = set().union(*(ocr(frames[moment], page) for moment in sorted(moments)))
        found += [word for word in (re.sub(r"\W", "", w.text).lower() for w in page.words) if is_read(word, read)]
    assert len(found) / len(wanted) >= 0.95, (wanted, found)


def test_nothing_is_left_behind_but_what_comes_with_it(film: tuple[RenderJob, list[dict[str, Any]]]) -> None:
    job, said = film
    beside = said[-1]["result"]["beside"]
    posters = said[-1]["result"]["posters"]
    assert sorted(beside) == ["subtitles_srt", "subtitles_vtt", "timeline"]
    assert len(posters) == len(job.scenes)
    assert {str(path) for path in job.work_dir.iterdir()} == {*beside.values(), *posters}
    assert not list(job.output.parent.glob(".*"))


def pictures(path: Path, numbers: set[int]) -> dict[int, Image.Image]:
    with av.open(str(path)) as container:
        return {
            number: Image.fromarray(frame.to_ndarray(format="gray"))
            for number, frame in enumerate(container.decode(container.streams.video[0]))
            if number in numbers
        }


def is_read(word: str, read: set[str]) -> bool:
    """One letter of a few may be taken for another."""
    return any(SequenceMatcher(None, word, other).ratio() >= 0.7 for other in read)


def ocr(picture: Image.Image, page: CaptionPage) -> set[str]:
    import tesserocr

    width, height = ground_of(THEMES["minimal"].caption, page.width, page.px)
    box = (page.x - width / 2, page.y - height / 2, page.x + width / 2, page.y + height / 2)
    crop = picture.crop(box)
    data = str(Path(sys.prefix) / "share" / "tessdata")
    read: set[str] = set()
    with tesserocr.PyTessBaseAPI(path=data, psm=tesserocr.PSM.SINGLE_LINE) as api:
        for shown in (crop, crop.point(lambda value: 255 if value > 130 else 0)):
            api.SetImage(shown)
            read |= {re.sub(r"\W", "", part).lower() for part in api.GetUTF8Text().split()}
    return read
