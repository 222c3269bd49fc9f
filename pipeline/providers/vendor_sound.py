"""Sound that a vendor made, as the WAV that the rest of the program works with."""

from __future__ import annotations

import wave
from itertools import chain
from pathlib import Path

from errors import BadReply, HostTrouble


def to_wav(source: Path, output: Path, *, mono: bool) -> float:
    """Decode a file into a 16-bit WAV at its own rate (`mono`, else at most two channels); its length in seconds.

    BadReply when it is no sound, HostTrouble when the WAV cannot be written.
    """
    import av

    try:
        with av.open(str(source)) as file, wave.open(str(output), "wb") as out:
            stream = file.streams.audio[0]
            channels = 1 if mono else min(2, stream.codec_context.channels)
            rate = stream.codec_context.sample_rate
            out.setparams((channels, 2, rate, 0, "NONE", ""))
            turn = av.AudioResampler("s16", "mono" if channels == 1 else "stereo", rate)
            for frame in chain(file.decode(stream), (None,)):
                for one in turn.resample(frame):
                    out.writeframes(bytes(one.planes[0])[: one.samples * channels * 2])
            return out.tell() / rate
    except (av.FFmpegError, wave.Error, IndexError, ValueError) as error:
        raise BadReply(f"the vendor's sound cannot be decoded ({type(error).__name__})") from error
    except OSError as error:
        raise HostTrouble(f"{output.name} cannot be written: {error.strerror or error}") from error


def sound_seconds(source: Path) -> float | None:
    """How long a recording is, as its own headers say; None when they say nothing."""
    import av

    try:
        with av.open(str(source)) as file:
            return file.duration / av.time_base if file.duration else None
    except (av.FFmpegError, OSError, ValueError):
        return None
