"""A vendor's clip as the ground of a scene: trimmed, slowed or looped to the words, the same bytes for the same frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from errors import InvalidInput, Permanent, Unsupported
from pipeline.film.clips import FADE_SECONDS, SLOWEST, ClipTrack, inspect_clip
from pipeline.film.compositor import Frame
from pipeline.film.warp import OpenCv

FPS = 30
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(seconds, ...)`: a clip whose luma rises with time, left half dark and right half bright."""

    def clip(seconds: float, *, width: int = 320, height: int = 180, rate: int = 24, name: str = "clip.mp4") -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=rate, options={"crf": "1", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            count = round(seconds * rate)
            for number in range(count):
                pixels = np.full((height, width, 3), 40 + number * 150 // max(1, count), np.uint8)
                pixels[:, width // 2 :] += 50
                out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            out.mux(stream.encode())
        return path

    return clip


def track(path: Path, frames: int, **options: float) -> ClipTrack:
    return ClipTrack(str(path), (108, 192), FPS, frames, OpenCv(), **options)


def drawn(one: ClipTrack, number: int) -> np.ndarray:
    frame = Frame(108, 192)
    one.draw(number, frame.y, frame.u, frame.v)
    return frame.buffer.copy()


def middle(one: ClipTrack, number: int) -> float:
    """The luma in the middle of the frame, where nothing is darkened."""
    return float(drawn(one, number)[: 108 * 192].reshape(192, 108)[100:104].mean())


def test_a_longer_clip_is_trimmed_and_runs_at_its_own_speed(make: Make) -> None:
    one = track(make(3.0), 60)
    assert one.speed == 1.0
    assert one.where(59) == (59 / FPS, None, 1.0)


def test_a_little_too_short_is_slowed(make: Make) -> None:
    one = track(make(2.0), 75)
    assert one.speed == pytest.approx(0.8, abs=0.02)
    assert one.where(74)[0] < 2.0
    assert one.where(74)[1] is None


def test_much_too_short_is_looped_with_a_soft_seam(make: Make) -> None:
    one = track(make(1.0), 120)
    assert one.speed == SLOWEST
    first = round((1.0 / SLOWEST - FADE_SECONDS / 2) * FPS)
    head, tail, share = one.where(first)
    assert tail is not None
    assert head < FADE_SECONDS
    assert 0.3 < share < 0.7
    assert tail > 0.7
    levels = [middle(one, number) for number in range(120)]
    steps = np.abs(np.diff(levels))
    assert max(levels) - min(levels) > 60, "it moves"
    assert steps.max() < 25, "no frame jumps"


def test_any_order_gives_the_same_bytes(make: Make) -> None:
    path = make(1.2)
    forwards = [drawn(one, number) for one in [track(path, 90)] for number in range(90)]
    other = track(path, 90)
    for number in (80, 3, 44, 43, 0, 89):
        assert np.array_equal(drawn(other, number), forwards[number])


def test_it_covers_the_frame_and_keeps_its_middle(make: Make) -> None:
    """A wide clip on a tall frame: the seam of its halves stays in the middle."""
    row = drawn(track(make(1.0), 30), 0)[: 108 * 192].reshape(192, 108)[100].astype(int)
    assert row[:50].std() < 3
    assert row[58:].std() < 3
    assert row[58:].mean() - row[:50].mean() > 30


def test_it_is_darker_where_text_stands(make: Make) -> None:
    path = make(1.0)
    rows = drawn(track(path, 30), 20)[: 108 * 192].reshape(192, 108).mean(axis=1)
    assert rows[2] < 0.65 * rows[100]
    assert rows[188] < 0.65 * rows[100]
    assert middle(track(path, 30, dim=0.45), 20) < 0.7 * middle(track(path, 30), 20)


def test_the_facts_of_a_clip(make: Make) -> None:
    facts = inspect_clip(make(1.5))
    assert (facts.width, facts.height) == (320, 180)
    assert facts.seconds == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not an MP4"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "is not an MP4"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "is not an MP4"),
        (b"not a film", "is not an MP4"),
        (b"<html>" * 1000, "is not an MP4"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(Unsupported, match=reason):
        inspect_clip(path)


def test_one_that_is_cut_off_is_refused_or_shown_as_far_as_it_goes(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "half.mp4"
    path.write_bytes(make(2.0).read_bytes()[:3000])
    with pytest.raises(Permanent):
        inspect_clip(path)


def test_too_short_and_too_small_are_refused(make: Make) -> None:
    with pytest.raises(InvalidInput, match="lasts"):
        inspect_clip(make(0.2))
    with pytest.raises(InvalidInput, match="32x32"):
        inspect_clip(make(1.0, width=32, height=32))


def test_sound_without_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    with pytest.raises(InvalidInput, match="no picture"):
        inspect_clip(path)
