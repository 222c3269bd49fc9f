"""The boxes behind text look as libass draws them, stand where they are planned, and are the same on every frame of the same number."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.film import ass, encode
from pipeline.film.boxes import Box, Boxes, acts, stamped
from pipeline.film.compositor import Compositor, Frame
from pipeline.film.plan import plan
from pipeline.film.preview import shrunk
from pipeline.film.warp import OpenCv, Pillow
from tests.film.test_film import short_job

WIDTH, HEIGHT, GROUND = 400, 240, 180
ALL = [
    Box(200, 120, 300, 96, 24, "#1C6B67"),
    Box(200.4, 121.3, 251.5, 87.25, 43.6, "#F2C14E", seen=0.5),
    Box(150, 100, 200, 60, 0, "#15110C", seen=0.8),
    Box(200, 120, 220, 60, 30, "#000000", seen=0.3, blur=16),
    Box(200, 120, 240, 34, 17, "#000000", seen=0.2, blur=9),
    Box(10, 230, 160, 60, 12, "#FFFFFF", seen=0.97),
]


def by_libass(box: Box, folder: Path) -> NDArray[np.uint8]:
    """The luma of a grey frame with the box on it, by ffmpeg."""
    head = (
        "[Script Info]\nScriptType: v4.00+\nPlayResX: 400\nPlayResY: 240\nWrapStyle: 2\nScaledBorderAndShadow: yes\n"
        "YCbCr Matrix: TV.709\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, "
        "OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, "
        "Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\nStyle: D,Inter,60,&H00FFFFFF,&H00FFFFFF,&H00000000,"
        "&H00000000,0,0,0,0,100,100,0,0,1,0,0,5,0,0,0,1\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, "
        "MarginR, MarginV, Effect, Text\n"
    )
    tags = f"\\an5\\pos({box.x},{box.y})" + ass.color_tag(box.color) + ass.alpha_tag(1 - box.seen)
    tags += f"\\blur{box.blur:g}\\p3" if box.blur else "\\p3"
    drawing = ass.rounded_box(box.width, box.height, box.radius)
    (folder / "box.ass").write_text(f"{head}Dialogue: 0,0:00:00.00,0:00:01.00,D,,0,0,0,,{{{tags}}}{drawing}\n")
    raw = bytes([GROUND]) * (WIDTH * HEIGHT) + bytes([128]) * (WIDTH * HEIGHT // 2)
    command = [
        encode.ffmpeg(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-color_range", "tv", "-colorspace", "bt709",
        "-video_size", f"{WIDTH}x{HEIGHT}", "-i", "pipe:0", "-vf", "ass=box.ass", "-f", "rawvideo", "pipe:1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, input=raw, capture_output=True, check=True, timeout=60)
    return np.frombuffer(done.stdout, np.uint8)


@pytest.mark.parametrize("box", ALL, ids=str)
def test_a_box_looks_as_libass_draws_it(box: Box, tmp_path: Path) -> None:
    wanted = by_libass(box, tmp_path).astype(int)
    stamp = stamped(box, (WIDTH, HEIGHT))
    assert stamp is not None
    frame = Frame(WIDTH, HEIGHT)
    frame.y[:], frame.u[:], frame.v[:] = GROUND, 128, 128
    height, width = stamp.alpha.shape
    OpenCv().over(frame.y[stamp.y : stamp.y + height, stamp.x : stamp.x + width], stamp.planes[0], stamp.alpha)
    half = (slice(stamp.y // 2, (stamp.y + height) // 2), slice(stamp.x // 2, (stamp.x + width) // 2))
    for plane, source in ((frame.u, stamp.planes[1]), (frame.v, stamp.planes[2])):
        OpenCv().over(plane[half], source, stamp.alpha_half)
    off = np.abs(frame.buffer.astype(int) - wanted)
    assert (wanted != by_libass(Box(0, 0, 2, 2, 0, "#000000", seen=0.0), tmp_path)).any(), "libass drew it"
    assert off.mean() < 0.25
    assert np.quantile(off, 0.995) <= 4, "only single pixels of the edges differ"
    assert off.max() < 45


def test_a_box_that_nobody_sees_is_not_drawn() -> None:
    assert stamped(Box(200, 120, 100, 50, 5, "#FFFFFF", seen=0.0), (WIDTH, HEIGHT)) is None
    assert stamped(Box(-400, 120, 100, 50, 5, "#FFFFFF"), (WIDTH, HEIGHT)) is None


def test_the_button_and_the_grounds_of_captions_are_on_the_frames_and_not_in_the_text(tmp_path: Path) -> None:
    timeline = plan(short_job(tmp_path), {})
    layers = {act.layer for act in acts(timeline)}
    assert {7, 8, 20, 21, 22} <= layers
    text = ass.document(timeline)
    drawn = [line for line in text.splitlines() if "\\p3" in line]
    assert not [line for line in drawn if line.startswith(("Dialogue: 7,", "Dialogue: 8,", "Dialogue: 2"))]
    page = timeline.pages[0]
    frame = round((page.start + page.end) / 2 * timeline.fps)
    standing = [(round(box.x), round(box.y)) for box in Boxes(timeline, OpenCv()).on(frame)]
    assert (round(page.x), round(page.y)) in standing


def test_the_spoken_words_chip_has_a_rim_where_it_may_stand_on_its_own_colour(tmp_path: Path) -> None:
    text = ass.document(plan(short_job(tmp_path).model_copy(update={"style": "playful"}), {}))
    chips = [line for line in text.splitlines() if line.startswith("Dialogue: 22,")]
    assert chips
    assert all("\\3c&HFFFFFF&\\bord" in line for line in chips)


def test_a_preview_has_its_boxes_at_its_own_size(tmp_path: Path) -> None:
    timeline = plan(short_job(tmp_path), {})
    frame = round((timeline.pages[0].start + timeline.pages[0].end) / 2 * timeline.fps)
    large = Boxes(timeline, OpenCv()).on(frame)
    small = Boxes(shrunk(timeline, 0.5), OpenCv()).on(frame)
    assert [(box.x, box.y, box.width, box.blur) for box in small] == [
        pytest.approx((box.x / 2, box.y / 2, box.width / 2, box.blur / 2)) for box in large
    ]


@pytest.mark.parametrize("backend", [OpenCv, Pillow])
def test_frames_are_the_same_in_any_order(tmp_path: Path, backend: type[OpenCv | Pillow]) -> None:
    timeline = shrunk(plan(short_job(tmp_path), {}), 1 / 3)
    numbers = [3, 30, 95, 100, 150]
    forth, back = Compositor(timeline, backend()), Compositor(timeline, backend())
    seen = {number: forth.render(number).tobytes() for number in numbers}
    assert {number: back.render(number).tobytes() for number in reversed(numbers)} == seen
