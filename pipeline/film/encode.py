"""Frames and sound -> MP4: the ffmpeg command, and the one place where the film starts it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import process
from errors import HostTrouble, Transient
from pipeline.film.fonts import FONTS
from pipeline.film.timeline import Timeline

CRF = 20
# A frame that waits is 3 to 7 MB: few are looked at ahead, and the threads share one frame instead of a frame each. Beside
# ten ahead and a frame each that saves 32 MB and 3 % of the bytes, and costs 0.0002 of SSIM.
FULL = (
    "-preset", "veryfast", "-bf", "2",
    "-x264-params", "aq-mode=3:subme=1:ref=1:rc-lookahead=8:sync-lookahead=0:sliced-threads=1",
)  # fmt: skip
INPUT_FRAMES = 1  # that wait to be read: of 3 MB each, and the compositor waits for its turn in any case
# Of a preview: a third of the work, for more bytes a picture.
QUICK = (
    "-preset", "ultrafast", "-bf", "0",
    "-x264-params", "cabac=1:8x8dct=1:no-deblock=0:rc-lookahead=0:sync-lookahead=0",
)  # fmt: skip
ENCODER_THREADS = 2
KEY_SECONDS = 2  # between two key frames
AAC = ("-c:a", "aac", "-b:a", "192k", "-ar", "48000", "-ac", "2")
COPY = ("-c:a", "copy")
MP4 = (
    "-video_track_timescale", "15360", "-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart",
    "-f", "mp4",
)  # fmt: skip
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


def command(
    timeline: Timeline, subtitles: Path, sound: Path | None, output: Path, *, fonts: Path = FONTS, first: int = 0
) -> list[str]:
    """The ffmpeg command that reads I420 frames from its stdin, the one numbered `first` first.

    `sound` is encoded already (see sound_command). All names in it are ours, never a user's.
    """
    text = f"ass=filename={_quoted(subtitles)}:fontsdir={_quoted(fonts)}"
    if first:
        # libass draws by time; the file's own times start at 0 again.
        text = f"setpts=PTS+{first},{text},setpts=PTS-{first}"
    tagged = ["-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
    return [
        ffmpeg(), "-v", "error", "-nostdin", "-y",
        "-thread_queue_size", str(INPUT_FRAMES), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-color_range", "tv", "-colorspace", "bt709",
        "-video_size", f"{timeline.width}x{timeline.height}", "-framerate", str(timeline.fps), "-i", "pipe:0",
        *(["-i", f"file:{sound}"] if sound else []),
        "-map", "0:v", *(["-map", "1:a"] if sound else []),
        "-vf", f"{text},setparams=color_primaries=bt709:color_trc=bt709",
        "-c:v", "libx264", *(QUICK if timeline.canvas else FULL), "-crf", str(CRF), "-profile:v", "high", "-pix_fmt", "yuv420p",
        "-g", str(timeline.fps * KEY_SECONDS), "-threads", str(ENCODER_THREADS), *tagged,
        *(COPY if sound else []), *MP4, f"file:{output}",
    ]  # fmt: skip


def sound_command(sound: Path, output: Path) -> list[str]:
    """The ffmpeg command that encodes a film's sound, alone."""
    return [ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", f"file:{sound}", *AAC, "-f", "mp4", f"file:{output}"]


def hear_command(encoded: Path, output: Path) -> list[str]:
    """The ffmpeg command that decodes a sound to bare samples: stereo, 48 kHz, 32-bit floats."""
    shape = ("-ac", "2", "-ar", "48000", "-f", "f32le")
    return [ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", f"file:{encoded}", *shape, f"file:{output}"]


def join_command(parts: Path, sound: Path, output: Path) -> list[str]:
    """The ffmpeg command that puts the films of a concat list one after the other, and an encoded sound, all untouched."""
    return [
        ffmpeg(), "-v", "error", "-nostdin", "-y", "-f", "concat", "-safe", "0", "-i", f"file:{parts}",
        "-i", f"file:{sound}", "-map", "0:v", "-map", "1:a", "-c:v", "copy", *COPY, *MP4, f"file:{output}",
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
    piece: tuple[int, int] | None = None,
) -> process.Completed:
    """Draw all frames, or those of `piece` [first, last), encode them with their text, and add the sound; durably at `output`.

    `fonts` is the one folder in which libass looks first.

    Raises Transient when ffmpeg fails; nothing is left at `output` then, nor beside it.
    """
    first, last = piece or (0, timeline.frames)

    def feed(write: process.Write) -> None:
        for number in range(first, last):
            write(frame(number))
            on_frame(number + 1)

    with published(output) as part:
        return run(
            command(timeline, subtitles, sound, part, fonts=fonts, first=first),
            timeout_seconds=longest_seconds(timeline),
            feed=feed,
        )


def longest_seconds(timeline: Timeline) -> float:
    """How long a film may take to be encoded."""
    return FIXED_SECONDS + SECONDS_PER_SECOND * timeline.seconds


def run(
    argv: list[str], *, timeout_seconds: float, feed: Callable[[process.Write], None] | None = None
) -> process.Completed:
    """Run an ffmpeg command of ours; Transient when it fails, or complains on the way."""
    try:
        done = process.run(
            argv, timeout_seconds=timeout_seconds, stall_seconds=STALL_SECONDS if feed else None, feed=feed
        )
    except process.ChildFailed as error:
        raise Transient(f"the film could not be encoded: {error}") from error
    # ffmpeg ends well also when it complained on the way (a frame too short, a font not found).
    if complaint := done.stderr_tail.strip():
        raise Transient(f"ffmpeg complained: {complaint[-STDERR_SHOWN:]}")
    return done


@contextmanager
def published(output: Path) -> Iterator[Path]:
    """A name beside `output` to write to; what stands there in the end is durably moved to `output`, or removed."""
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        yield part
        _publish(part, output)
    finally:
        part.unlink(missing_ok=True)


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
