"""What the film promises, measured by others: a forced alignment of its speech, and dots followed through a zoom."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.film import captions, loudness, sound
from pipeline.film.compositor import Compositor
from pipeline.film.layout import STAGES
from pipeline.film.sound import read_wav, resampled
from pipeline.film.themes import theme_of
from pipeline.film.timeline import Picture, Plate, Shot, Timeline
from pipeline.providers.base import no_check
from pipeline.providers.piper import PiperSpeaker

LINES = (
    "Meet the bottle that keeps your coffee hot all day.",
    "Every morning begins with a good idea and a warm drink.",
    "It fits in every bag and it never leaks on the way home.",
    "Order yours today and bring a little sun to the office.",
)
RATE = 16_000


@pytest.fixture(scope="module")
def piper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PiperSpeaker]:
    speaker = PiperSpeaker(tmp_path_factory.mktemp("voices"))
    yield speaker
    speaker.close()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the aligner has no wheel for this processor")
@pytest.mark.parametrize("style", ["minimal", "bold"])
def test_captions_change_with_the_spoken_word(piper: PiperSpeaker, tmp_path: Path, style: str) -> None:
    """Each word's start as the captions show it, against an aligner that hears the sound and knows the text only."""
    look, stage = theme_of(style).caption, STAGES["9:16"]
    late: list[float] = []
    for number, line in enumerate(LINES):
        output = tmp_path / f"{number}.wav"
        speech = piper.speak(line, language="en", voice="", style=style, output=output, check=no_check)
        heard = aligned(output, line)
        assert heard is not None, line
        band = captions.Band(540, stage.caption_y, stage.caption_width, stage.caption_scale)
        pages = captions.place(speech.words, look, band, captions.Span(0.0, 0.0, speech.duration_seconds + 1))
        shown = [word.start for page in pages for word in page.words]
        assert len(shown) == len(heard)
        late += [abs(a - b) for a, b in zip(shown, heard, strict=True)]
    assert median(late) <= 0.06, sorted(late)
    assert quantiles(late, n=10)[8] <= 0.15, sorted(late)


def aligned(path: Path, text: str) -> list[float] | None:
    """The start of each word in seconds, as pocketsphinx hears it."""
    return aligned_sound(*read_wav(path), text)


def aligned_sound(sound: NDArray[np.float32], rate: int, text: str) -> list[float] | None:
    """The same of mono samples."""
    from pocketsphinx import Decoder

    sound = resampled(
        np.concatenate([np.zeros(rate // 2, np.float32), sound, np.zeros(rate // 2, np.float32)]), rate, RATE
    )
    sound += np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32) * np.float32(0.0015)
    words = [re.sub(r"[^a-z']", "", word.lower()) for word in text.split()]
    decoder: Any = Decoder(samprate=RATE, bestpath=False, loglevel="ERROR")
    decoder.set_align_text(" ".join(words))
    decoder.start_utt()
    decoder.process_raw((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    found = [
        (re.sub(r"\(\d+\)$", "", part.word), part.start_frame / 100 - 0.5)
        for part in decoder.seg()
        if not part.word.startswith(("<", "["))
    ]
    return [start for _, start in found] if [word for word, _ in found] == words else None


def test_the_bed_steps_back_under_a_voice(piper: PiperSpeaker, tmp_path: Path) -> None:
    """By how much, in the median, where somebody speaks; against where nobody has for a while."""
    path = tmp_path / "voice.wav"
    piper.speak(LINES[0], language="en", voice="", style="minimal", output=path, check=no_check)
    line = resampled(*read_wav(path), RATE * 3)
    still = np.zeros(2 * loudness.RATE, np.float32)
    stem = sound._leveled(sound._polished(np.concatenate([still, line, still])), sound.VOICE_LUFS)
    blocks = len(stem) // 480
    speaks = np.abs(stem[: blocks * 480]).reshape(blocks, 480).max(axis=1) > 0.03
    gains = 20 * np.log10(sound._ducking(stem)[: blocks * 480].reshape(blocks, 480).mean(axis=1))
    duck = float(np.median(gains[:180]) - np.median(gains[speaks]))
    assert 6 <= duck <= 14, duck


DOTS = ((300, 500), (700, 900), (420, 1500))
FRAMES = 90


def test_a_slow_zoom_does_not_shake(tmp_path: Path) -> None:
    """Three dots on a plate, followed at a fraction of a pixel over three seconds: they run on smooth paths."""
    width, height = 1080, 1920
    path = tmp_path / "dots.png"
    ys, xs = np.mgrid[0 : round(height * 1.12), 0 : round(width * 1.12)].astype(np.float32)
    field = np.full(xs.shape, 60.0, np.float32)
    for x, y in DOTS:
        field += 160 * np.exp(-((xs - x * 1.12) ** 2 + (ys - y * 1.12) ** 2) / (2 * 7.0**2))
    Image.fromarray(np.clip(field, 0, 255).astype(np.uint8)).convert("RGB").save(path)
    picture = Picture("cover", xs.shape[1] // 2 * 2, xs.shape[0] // 2 * 2, path=str(path))
    shot = Shot(0, 0, FRAMES, Plate(picture, (1.0, 1.08)))
    timeline = Timeline(width, height, 30, FRAMES, "minimal", (shot,), (), (), (), (), (), None, 0)
    compositor = Compositor(timeline)
    tracks = np.array([[center(compositor.render(n), width, height, dot, n) for dot in DOTS] for n in range(FRAMES)])
    at = np.arange(FRAMES) / FRAMES
    residuals = [
        track - np.polyval(np.polyfit(at, track, 3), at) for dot in range(len(DOTS)) for track in tracks[:, dot].T
    ]
    assert float(np.sqrt(np.mean(np.square(residuals)))) <= 0.03
    assert float(np.abs(tracks[-1] - tracks[0]).max()) > 20, "it does zoom"


def center(frame: Any, width: int, height: int, dot: tuple[int, int], number: int) -> tuple[float, float]:
    """The middle of the light around where a dot must be."""
    plane = frame[: width * height].reshape(height, width)
    zoom = 1 + 0.08 * number / (FRAMES - 1)
    x, y = (round(middle + (place - middle) * zoom) for place, middle in zip(dot, (width / 2, height / 2), strict=True))
    part = plane[y - 40 : y + 41, x - 40 : x + 41].astype(np.float64)
    light = np.clip(part - part.min() - 12, 0, None)
    ys, xs = np.mgrid[y - 40 : y + 41, x - 40 : x + 41]
    return float((light * xs).sum() / light.sum()), float((light * ys).sum() / light.sum())
