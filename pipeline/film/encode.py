"""Frames and sound -> MP4: the ffmpeg command, and the one place where the film starts it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import process
from errors import HostTrouble, Transient
from pipeline.film.fonts import FONTS
from pipeline.film.timeline import Timeline

CRF = 20
X264 = "aq-mode=3:subme=1:ref=1:rc-lookahead=10:sync-lookahead=0"  # the last saves 27 MB of queued frames
ENCODER_THREADS = 2
STALL_SECONDS = 60.0
FIXED_SECONDS, SECONDS_PER_SECOND = 60.0, 15.0
STDERR_SHOWN = 300


@cache
def ffmpeg() -> str:
    """The path of the packaged ffmpeg (`IMAGEIO_FFMPEG_EXE` in the environment names another one)."""
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise HostTrouble("no ffmpeg was found; install the imageio-ffmpeg package.") from error


def command(timeline: Timeline, subtitles: Path, sound: Path | None, output: Path, *, fonts: Path = FONTS) -> list[str]:
    """The ffmpeg command that reads I420 frames from its stdin. All names in it are ours, never a user's."""
    tagged = ["-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    return [
        ffmpeg(), "-v", "error", "-nostdin", "-y",
        "-f", "rawvideo", "-pix_fmt", "yuv420p", "-color_range", "tv", "-colorspace", "bt709",
        "-video_size", f"{timeline.width}x{timeline.height}", "-framerate", str(timeline.fps), "-i", "pipe:0",
        *(["-i", f"file:{sound}"] if sound else []),
        "-map", "0:v", *(["-map", "1:a"] if sound else []),
        "-vf", f"ass=filename={_quoted(subtitles)}:fontsdir={_quoted(fonts)},setparams=color_primaries=bt709:color_trc=bt709",
        "-c:v", "libx264", "-preset", "veryfast", "-crf", str(CRF), "-profile:v", "high", "-pix_fmt", "yuv420p",
        "-g", str(timeline.fps * 2), "-bf", "2", "-threads", str(ENCODER_THREADS), "-x264-params", X264, *tagged,
        "-video_track_timescale", "15360",
        *(["-c:a", "aac", "-b:a", "192k", "-ar", "48000", "-ac", "2"] if sound else []),
        "-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", f"file:{output}",
    ]  # fmt: skip


def encode(
    timeline: Timeline,
    *,
    subtitles: Path,
    sound: Path | None,
    output: Path,
    frame: Callable[[int], memoryview],
    fonts: Path = FONTS,
    on_frame: Callable[[int], None] = lambda _number: None,
) -> process.Completed:
    """Draw all frames, encode them with text and sound, and leave the file durably at `output`.

    `fonts` is the one folder in which libass looks first.

    Raises Transient when ffmpeg fails; nothing is left at `output` then, nor beside it.
    """
    part = output.with_name(f".{output.name}.{os.getpid()}.part")

    def feed(write: process.Write) -> None:
        for number in range(timeline.frames):
            write(frame(number))
            on_frame(number + 1)

    try:
        done = process.run(
            command(timeline, subtitles, sound, part, fonts=fonts),
            timeout_seconds=FIXED_SECONDS + SECONDS_PER_SECOND * timeline.seconds,
            stall_seconds=STALL_SECONDS,
            feed=feed,
        )
        # ffmpeg ends well also when it complained on the way (a frame too short, a font not found).
        if complaint := done.stderr_tail.strip():
            raise Transient(f"ffmpeg complained: {complaint[-STDERR_SHOWN:]}")
        _publish(part, output)
    except process.ChildFailed as error:
        raise Transient(f"the film could not be encoded: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return done


def _publish(part: Path, output: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(output)
    folder = os.open(output.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _quoted(path: Path) -> str:
    """A path of ours as a filter option: escaped once for the option, once for the graph."""
    option = str(path).replace("\\", "\\\\").replace("'", "\\'").replace(":", "\\:")
    return "".join("\\" + letter if letter in "\\'[],;" else letter for letter in option)
