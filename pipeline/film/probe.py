"""Quality checks of a finished film. `check` is cheap and is each film's last step; `measure` looks at everything.

Runs in the child (and in tests) only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import process
from errors import Transient
from pipeline.film.encode import ffmpeg

MOST_DRIFT = 0.05
MOST_LOST, MOST_DEAD_AIR = 0.7, 0.2  # LUFS and seconds by which a film's sound may differ from its mix
QUIET, DEAD_AIR = -60.0, -45.0  # LUFS and dBFS
BLACK_LUMA, BLACK_SHARE = 0.08, 0.98
STILL = 0.3  # of 255: what the encoder alone changes of a picture stays under half of it, the slowest zoom moves nine times as much
HEAD_BYTES = 1 << 20
SCAN_SECONDS = 600.0


Span = tuple[float, float]


@dataclass(frozen=True)
class Streams:
    """What a film file holds: times in seconds, `frames` as packets in the file."""

    video: str
    profile: str
    pixels: str
    width: int
    height: int
    fps: float
    frames: int
    video_seconds: float
    audio: str
    rate: int
    channels: int
    audio_seconds: float
    widest_gap: float
    first_pts: float
    colors: tuple[int, int, int, int]
    faststart: bool


@dataclass(frozen=True)
class Faults:
    """What a whole decode saw: loudness in LUFS and dBTP, black and frozen stretches in seconds, decoder's complaints."""

    lufs: float
    peak: float
    black: tuple[tuple[float, float], ...]
    frozen: tuple[float, ...]
    silent: tuple[tuple[float, float], ...]
    complaints: str


def streams(path: Path) -> Streams:
    """Read the containers and packets of a film, without decoding."""
    import av

    with av.open(str(path)) as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        context: Any = video.codec_context
        times = sorted(
            float(packet.pts * packet.time_base)
            for packet in film.demux(video)
            if packet.pts is not None and packet.time_base is not None
        )
        gaps = [after - before for before, after in pairwise(times)]
        return Streams(
            video=context.name,
            profile=str(context.profile),
            pixels=str(context.pix_fmt),
            width=context.width,
            height=context.height,
            fps=float(video.average_rate or 0),
            frames=len(times),
            video_seconds=_seconds(video),
            audio=audio.codec_context.name,
            rate=audio.codec_context.sample_rate,
            channels=audio.codec_context.channels,
            audio_seconds=_seconds(audio),
            widest_gap=max(gaps, default=0.0),
            first_pts=times[0] if times else -1.0,
            colors=tuple(
                int(getattr(context, name)) for name in ("color_primaries", "color_trc", "colorspace", "color_range")
            ),  # type: ignore[arg-type]
            faststart=_is_faststart(path),
        )


def _seconds(stream: Any) -> float:
    return float((stream.duration or 0) * (stream.time_base or Fraction(0)))


def _is_faststart(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    moov, mdat = head.find(b"moov"), head.find(b"mdat")
    return moov >= 0 and (mdat < 0 or moov < mdat)


def check(
    path: Path, mixed: Path, *, width: int, height: int, fps: int, frames: int, clips: Sequence[Span] = ()
) -> Streams:
    """The film's streams, or Transient with one sentence that says what is wrong with it.

    Decodes the sound, which must be that of the WAV `mixed`, and key frames only (one in two seconds): enough to find a
    black or a frozen picture for a fiftieth of the cost. `clips`: when the user's own films are seen, from and to, in
    seconds; those may be black, or stand still.
    """
    seen = streams(path)
    wrong = [
        f"{name} is {found}, not {wanted}"
        for name, found, wanted in (
            ("the video codec", seen.video, "h264"),
            ("the profile", seen.profile, "High"),
            ("the pixel format", seen.pixels, "yuv420p"),
            ("the size", (seen.width, seen.height), (width, height)),
            ("the frame rate", seen.fps, float(fps)),
            ("the number of frames", seen.frames, frames),
            ("the colour description", seen.colors, (1, 1, 1, 1)),
            ("the audio codec", seen.audio, "aac"),
            ("the sound's rate", seen.rate, 48000),
            ("the number of channels", seen.channels, 2),
            ("moov before mdat", seen.faststart, True),
        )
        if found != wanted
    ]
    if abs(seen.audio_seconds - seen.video_seconds) > MOST_DRIFT:
        wrong.append(f"sound and picture differ by {abs(seen.audio_seconds - seen.video_seconds):.3f} s")
    if seen.widest_gap > 1.5 / fps or abs(seen.first_pts) > 1e-6:
        wrong.append(f"the frames are not evenly spaced (a gap of {seen.widest_gap:.3f} s)")
    wrong += _key_frames(path, clips) + _sound(path, mixed)
    if wrong:
        raise Transient("the film did not pass its check: " + "; ".join(wrong))
    return seen


def _key_frames(path: Path, clips: Sequence[Span]) -> list[str]:
    import av
    import numpy as np

    def is_theirs(first: float, last: float) -> bool:
        return any(start <= first and last < end for start, end in clips)

    faults: list[str] = []
    before, at = None, 0.0
    with av.open(str(path)) as film:
        video = film.streams.video[0]
        video.codec_context.skip_frame = "NONKEY"
        for picture in film.decode(video):
            luma = picture.reformat(width=180, height=320, format="gray").to_ndarray().astype(np.float32)
            now = float(picture.time or 0)
            if float((luma < 255 * BLACK_LUMA).mean()) > BLACK_SHARE and not is_theirs(now, now):
                faults.append(f"the picture is black at {now:.1f} s")
            if before is not None and float(np.abs(luma - before).mean()) < STILL and not is_theirs(at, now):
                faults.append(f"the picture stands still before {now:.1f} s")
            before, at = luma, now
    return faults


def _sound(path: Path, mixed: Path) -> list[str]:
    """What the film's sound has lost of its mix on the way through the encoder, and whether it is too loud."""
    from pipeline.film import loudness
    from pipeline.film.sound import MOST_PEAK

    ours, wanted = decoded(path), decoded(mixed)
    level, before = loudness.integrated(ours), loudness.integrated(wanted)
    faults = []
    if max(level, before) > QUIET and abs(level - before) > MOST_LOST:
        faults.append(f"its sound has {level:.1f} LUFS, not the {before:.1f} that were mixed")
    if (peak := loudness.true_peak(ours)) > MOST_PEAK:
        faults.append(f"its sound reaches {peak:.1f} dBTP, above {MOST_PEAK:g}")
    if (still := _dead_air(ours)) > _dead_air(wanted) + MOST_DEAD_AIR:
        faults.append(f"nothing is heard for {still:.1f} s")
    return faults


def decoded(path: Path) -> Any:
    """The sound of a file: samples x 2, 48 kHz, -1 to 1."""
    import av
    import numpy as np

    with av.open(str(path)) as file:
        stereo = av.AudioResampler(format="fltp", layout="stereo", rate=48_000)
        parts = [made.to_ndarray() for frame in file.decode(audio=0) for made in stereo.resample(frame)]
        parts += [made.to_ndarray() for made in stereo.resample(None)]
    return np.ascontiguousarray(np.concatenate(parts, axis=1).T) if parts else np.zeros((0, 2), np.float32)


def _dead_air(sound: Any) -> float:
    """The longest stretch in which nothing is louder than -45 dBFS, in seconds."""
    import numpy as np

    hop = 4800
    blocks = np.abs(sound[: len(sound) // hop * hop]).reshape(-1, hop * 2).max(axis=1) if len(sound) >= hop else []
    longest = running = 0
    for peak in blocks:
        running = 0 if peak > 10 ** (DEAD_AIR / 20) else running + 1
        longest = max(longest, running)
    return longest * hop / 48_000


def measure(path: Path) -> Faults:
    """Decode everything and look for black, frozen and silent stretches, and how loud it is."""
    done = process.run(
        [
            ffmpeg(), "-hide_banner", "-nostats", "-nostdin", "-i", f"file:{path}",
            "-vf", "blackdetect=d=0.1:pic_th=0.98:pix_th=0.08,freezedetect=n=0.0003:d=1.0",
            "-af", "silencedetect=n=-45dB:d=0.6,ebur128=peak=true:framelog=quiet", "-f", "null", "-",
        ],
        timeout_seconds=SCAN_SECONDS,
    )  # fmt: skip
    text = done.stderr_tail

    def numbers(pattern: str) -> list[float]:
        return [float(found) for found in re.findall(pattern, text)]

    return Faults(
        lufs=numbers(r"I:\s+(-?[\d.]+|-inf) LUFS")[-1],
        peak=numbers(r"Peak:\s+(-?[\d.]+|-inf) dBFS")[-1],
        black=tuple(zip(numbers(r"black_start:([\d.]+)"), numbers(r"black_end:([\d.]+)"), strict=True)),
        frozen=tuple(numbers(r"freeze_start: ([\d.]+)")),
        silent=tuple(zip(numbers(r"silence_start: (-?[\d.]+)"), numbers(r"silence_end: ([\d.]+)"), strict=False)),
        complaints="\n".join(line for line in text.splitlines() if "error" in line.lower()),
    )
