"""Captions as files say what the picture says, when it says it; the sheet shows the film from its begin to its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.film import outputs
from pipeline.film.script import Scene, Script
from pipeline.film.timeline import CaptionPage, CaptionWord
from pipeline.stages.compositing import _notes


def page(start: float, *words: str) -> CaptionPage:
    spoken = tuple(
        CaptionWord(text, 0, 10, start + 0.25 * number, start + 0.25 * (number + 1))
        for number, text in enumerate(words)
    )
    return CaptionPage(0, 0, 60, start, spoken[-1].end, spoken)


PAGES = (page(0.4, "Salt", "&", "<pepper>"), page(3661.9996, "later"))


def test_subrip() -> None:
    assert outputs.srt(PAGES) == (
        "1\n00:00:00,400 --> 00:00:01,150\nSalt & <pepper>\n\n2\n01:01:02,000 --> 01:01:02,250\nlater\n"
    )


def test_webvtt_has_the_time_of_each_word_and_no_markup_of_strangers() -> None:
    assert outputs.vtt(PAGES).split("\n\n") == [
        "WEBVTT",
        "00:00:00.400 --> 00:00:01.150\nSalt <00:00:00.650>&amp; <00:00:00.900>&lt;pepper&gt;",
        "01:01:02.000 --> 01:01:02.250\nlater\n",
    ]


def test_no_words_are_no_captions() -> None:
    assert outputs.srt(()) == ""
    assert outputs.vtt(()) == "WEBVTT\n"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two seconds that become brighter."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 90, 160, "yuv420p"
        for number in range(20):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((160, 90, 3), 12 * number, np.uint8))))
        out.mux(stream.encode())
    return path


def test_a_sheet_shows_the_whole_film_in_order(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    assert outputs.sheet(film, target, stills=4) == 4
    with Image.open(target) as whole:
        assert whole.size == (4 * 300 + 3 * 6, 533)
        levels = [whole.getpixel((150 + 306 * number, 266))[0] for number in range(4)]  # type: ignore[index]
    assert levels == sorted(levels)
    assert levels[-1] - levels[0] > 120


def test_moments_beyond_the_end_show_the_last_frame(film: Path) -> None:
    stills = outputs._stills(film, [0.0, 99.0])
    assert len(stills) == 2
    assert stills[1].getpixel((40, 80))[0] > stills[0].getpixel((40, 80))[0]


def test_notes_name_what_is_not_in_the_film() -> None:
    scenes = tuple(
        Scene(index=at, kind="benefit", narration="Yes.", headline="Yes", image=image)
        for at, image in enumerate((0, None, 2))
    )
    script = Script(style="minimal", language="en", scenes=scenes, left_out=("Folds flat",))
    context = SimpleNamespace(payload=SimpleNamespace(images=["a", "b", "c", "d"]))
    told, shown = _notes(context, script)  # type: ignore[arg-type]
    assert told == "not told, for want of time: Folds flat (duration_seconds)"
    assert "images.1, images.3" in shown
    whole = script.model_copy(update={"left_out": ()})
    assert _notes(SimpleNamespace(payload=SimpleNamespace(images=["a"])), whole) == ()  # type: ignore[arg-type]
