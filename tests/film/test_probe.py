"""The last step of each film finds what went wrong: faults planted in a good film, one at a time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from errors import Transient
from pipeline.film import probe
from pipeline.film.encode import AAC, MP4, ffmpeg

pytestmark = pytest.mark.film
WIDTH, HEIGHT, FPS, SECONDS = 360, 640, 30, 6
FRAMES = FPS * SECONDS
TAGS = ("-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
X264 = ("-c:v", "libx264", "-preset", "superfast", "-profile:v", "high", "-pix_fmt", "yuv420p", "-g", "60")
BT709 = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"


def run(*arguments: str) -> None:
    subprocess.run([ffmpeg(), "-v", "error", "-nostdin", "-y", *arguments], check=True, timeout=60)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe") / "film.wav"
    run("-f", "lavfi", "-i", f"sine=frequency=330:sample_rate=48000:duration={SECONDS}", "-ac", "2", str(path))
    return path


def make(mixed: Path, name: str, *, picture: str = "null", sound: str = "anull", **options: tuple[str, ...]) -> Path:
    """A film of a moving picture and the mix, with a filter on each."""
    path = mixed.with_name(f"{name}.mp4")
    source = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FPS}:duration={SECONDS}"
    run(
        "-f", "lavfi", "-i", source, "-i", str(mixed), "-vf", f"{picture},{BT709}", "-af", sound,
        *X264, *TAGS, *options.get("video", ()), *AAC, *options.get("file", MP4), str(path),
    )  # fmt: skip
    return path


def check(path: Path, mixed: Path) -> probe.Streams:
    return probe.check(path, mixed, width=WIDTH, height=HEIGHT, fps=FPS, frames=FRAMES)


def test_a_good_film_passes(mixed: Path) -> None:
    path = make(mixed, "good")
    assert check(path, mixed).frames == FRAMES
    seen = probe.measure(path)
    assert (seen.black, seen.frozen, seen.silent, seen.complaints) == ((), (), (), "")


STILL = f"loop=loop=120:size=1:start=30,trim=end_frame={FRAMES}"


@pytest.mark.parametrize(
    ("name", "how", "fault"),
    [
        ("black", {"picture": "drawbox=t=fill:color=black:enable='between(t,1.8,2.5)'"}, "is black at 2.0 s"),
        ("frozen", {"picture": STILL}, "stands still before 4.0 s"),
        ("mute", {"sound": "volume=0:enable='between(t,2,3.5)'"}, r"nothing is heard for 1\.[45] s"),
        ("quiet", {"sound": "volume=-3dB"}, r"LUFS, not the"),
        ("loud", {"sound": "volume=20dB"}, r"dBTP, above -1"),
        ("silent", {"sound": "volume=0"}, r"LUFS, not the"),
        ("short sound", {"sound": "atrim=end=5"}, r"differ by [01]\.\d+ s"),
        ("few frames", {"picture": "trim=end_frame=150"}, "the number of frames is 150, not 180"),
        ("jump", {"picture": "setpts=PTS+gt(N\\,60)*0.5/TB", "video": ("-fps_mode", "vfr")}, "not evenly spaced"),
        ("profile", {"video": ("-profile:v", "baseline")}, "the profile is"),
        ("pixels", {"video": ("-profile:v", "high444", "-pix_fmt", "yuv444p")}, "the pixel format is yuv444p"),
        ("colours", {"video": ("-colorspace", "smpte170m")}, "the colour description is"),
        ("slow start", {"file": ("-f", "mp4")}, "moov before mdat is False"),
        ("size", {"picture": "scale=180:320"}, r"the size is \(180, 320\)"),
    ],
)
def test_a_planted_fault_is_found(mixed: Path, name: str, how: dict[str, object], fault: str) -> None:
    with pytest.raises(Transient, match=fault):
        check(make(mixed, name, **how), mixed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "how", "field"),
    [
        ("black", {"picture": "drawbox=t=fill:color=black:enable='between(t,2,2.5)'"}, "black"),
        ("frozen", {"picture": STILL}, "frozen"),
        ("mute", {"sound": "volume=0:enable='between(t,2,3.5)'"}, "silent"),
    ],
)
def test_a_whole_look_finds_short_ones_too(mixed: Path, name: str, how: dict[str, str], field: str) -> None:
    seen = probe.measure(make(mixed, f"seen-{name}", **how))  # type: ignore[arg-type]
    assert {one: bool(getattr(seen, one)) for one in ("black", "frozen", "silent")} == {
        one: one == field for one in ("black", "frozen", "silent")
    }


def test_a_users_own_film_may_be_black_and_stand_still(mixed: Path) -> None:
    path = make(mixed, "theirs", picture="drawbox=t=fill:color=black:enable='between(t,1.8,5)'")
    size = {"width": WIDTH, "height": HEIGHT, "fps": FPS, "frames": FRAMES}
    probe.check(path, mixed, clips=[(1.5, 5.0)], **size)
    with pytest.raises(Transient, match=r"black at 4\.0 s"):
        probe.check(path, mixed, clips=[(1.5, 3.0)], **size)


def test_a_film_meant_to_be_silent_passes(mixed: Path) -> None:
    silence = mixed.with_name("silence.wav")
    run("-f", "lavfi", "-i", f"anullsrc=r=48000:cl=stereo:d={SECONDS}", str(silence))
    check(make(silence, "meant"), silence)
