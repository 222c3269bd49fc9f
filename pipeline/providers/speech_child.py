"""What the children of the neural voices share: text in breaths, level and edges of a sound, the loop that answers.

A request is one JSON object a line on stdin, with the path of the WAV as `output`; the answer one a line on stdout:
{"sample_rate", "samples", "times": [[start, end]] in samples}, or {"error", "host": whether the host is to blame}. The
child ends when stdin does, and with exit code 3 when its voice cannot be loaded.
"""

from __future__ import annotations

import json
import os
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float32]
Times = list[tuple[int, int]]

PEAK = 0.89
EDGE_SECONDS = 0.06
LOUD = 0.012
UNLOADABLE = 3


def sentences(tokens: list[str], *, long: int, longest: int) -> Iterator[list[str]]:
    """The tokens in groups that are spoken in one breath: up to . ! ? or, from `long` tokens on, a comma."""
    group: list[str] = []
    for token in tokens:
        group.append(token)
        is_long = len(group) >= long and token[-1] in ",;:"
        if token[-1] in ".!?" or is_long or len(group) >= longest:
            yield group
            group = []
    if group:
        yield group


def cut(sound: Sound, times: Times, rate: int, *, level: float, edge_seconds: float) -> tuple[Sound, Times]:
    """The sound with so little silence around what is louder than `level`, and its times moved with it."""
    loud = np.flatnonzero(np.abs(sound) > level)
    if not len(loud):
        return sound[:0], [(0, 0) for _ in times]
    edge = int(edge_seconds * rate)
    first, last = max(0, int(loud[0]) - edge), min(len(sound), int(loud[-1]) + edge)
    moved = [(max(0, start - first), max(0, min(end, last) - first)) for start, end in times]
    return sound[first:last], moved


def trim(sound: Sound, times: Times, rate: int) -> tuple[Sound, Times]:
    """The sound at full level with little silence around it, and its times moved with it."""
    peak = float(np.abs(sound).max(initial=0.0))
    if peak < 1e-4:
        return sound[:0], times
    sound *= PEAK / peak
    return cut(sound, times, rate, level=LOUD, edge_seconds=EDGE_SECONDS)


def write_wav(path: Path, sound: Sound, rate: int) -> None:
    """A mono 16-bit WAV; the caller gives it its final name."""
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((np.clip(sound, -1.0, 1.0) * 32767).astype("<i2").tobytes())


def reply(sound: Sound, times: Times, rate: int, output: str) -> dict[str, Any]:
    """Write the sound, trimmed, and the answer that goes with it."""
    sound, times = trim(sound, times, rate)
    write_wav(Path(output), sound, rate)
    return {"sample_rate": rate, "samples": len(sound), "times": times}


def serve(load: Callable[[], Callable[[dict[str, Any]], dict[str, Any]]]) -> None:
    """Load the voice with `load`, then answer with what it returned until stdin ends."""
    # Engines print warnings where they like; the answers go to the real stdout, everything else to stderr.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    try:
        answer = load()
    except Exception as error:  # noqa: BLE001  a damaged file fails in many ways
        print(f"the voice cannot be loaded: {error}", file=sys.stderr)
        sys.exit(UNLOADABLE)
    for line in sys.stdin:
        try:
            said = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  whatever it is, it is the answer to this request
            said = {"error": f"{type(error).__name__}: {error}", "host": isinstance(error, OSError | MemoryError)}
        replies.write(json.dumps(said) + "\n")
