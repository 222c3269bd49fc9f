"""The user's own music under a film: decoded, looped or cut to its length, and faded out with its last frame.

Runs in the children only: it is a stranger's file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from errors import InvalidInput, Unsupported
from pipeline.film.kinds import SOUND_DEMUXERS, sound_type
from pipeline.film.loudness import RATE, Sound

SHORTEST_SECONDS, MOST_DECODED_SECONDS = 2.0, 900.0
LOOP_SECONDS, FADE_IN_SECONDS, FADE_OUT_SECONDS = 1.0, 0.05, 2.0


def inspect_sound(path: Path) -> dict[str, Any]:
    """{seconds} of a piece of music; InvalidInput or Unsupported when it cannot be used."""
    return {"seconds": round(len(decoded(path, seconds=SHORTEST_SECONDS)) / RATE, 3)}


def own_bed(path: Path, samples: int) -> Sound:
    """Exactly so many stereo samples at 48 kHz."""
    piece = decoded(path, seconds=samples / RATE)
    bed = _looped(piece, samples)[:samples]
    head, tail = round(FADE_IN_SECONDS * RATE), min(samples, round(FADE_OUT_SECONDS * RATE))
    bed[:head] *= np.linspace(0, 1, head, dtype=np.float32)[:, None]
    bed[samples - tail :] *= np.linspace(1, 0, tail, dtype=np.float32)[:, None] ** 1.5
    return bed


def _looped(piece: Sound, samples: int) -> Sound:
    """The piece again and again; its end goes over into its beginning."""
    seam = min(round(LOOP_SECONDS * RATE), len(piece) // 3)
    rising = np.linspace(0, 1, seam, dtype=np.float32)[:, None] ** 0.5
    bed = piece.copy()
    while len(bed) < samples:
        mixed = bed[-seam:] * rising[::-1] + piece[:seam] * rising
        bed = np.concatenate([bed[:-seam], mixed, piece[seam:]])
    return bed


def decoded(path: Path, *, seconds: float = MOST_DECODED_SECONDS, rate: int = RATE) -> Sound:
    """The first so many seconds of a stranger's sound, or all of it when it is shorter: stereo at this rate."""
    import av

    kind = sound_type(path)
    if kind is None:
        raise Unsupported("it is not an MP3, WAV, FLAC, Ogg or M4A sound")
    wanted = round(min(seconds, MOST_DECODED_SECONDS) * rate)
    blocks: list[Any] = []
    try:
        with av.open(str(path), format=SOUND_DEMUXERS[kind], options={"protocol_whitelist": "file"}) as container:
            resampler = av.AudioResampler(format="fltp", layout="stereo", rate=rate)
            for frame in container.decode(audio=0):
                blocks += [one.to_ndarray() for one in resampler.resample(frame)]
                if sum(block.shape[1] for block in blocks) >= wanted:
                    break
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise InvalidInput(f"it cannot be decoded: {type(error).__name__}") from None
    sound = np.concatenate(blocks, axis=1).T if blocks else np.zeros((0, 2), np.float32)
    if len(sound) < SHORTEST_SECONDS * rate * 0.98:
        raise InvalidInput(f"it lasts {len(sound) / rate:.1f} s; at least {SHORTEST_SECONDS:g} s are needed")
    return np.ascontiguousarray(sound[:wanted], np.float32)
