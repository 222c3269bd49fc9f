"""One text spoken by espeak-ng, which is GPL and therefore runs as a program of its own.

    python -m pipeline.providers.espeak_child < REQUEST > ANSWER      both one JSON object

The request is {"text", "voice", "rate": words a minute, "output": path}; the answer {"sample_rate", "samples", "marks": [[character position from 0, first sample, last sample]]}, or {"error", "host": whether the host is
to blame}.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import wave
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Any

RETRIEVAL, UTF8_END_PAUSE = 1, 1 | 0x1000
EVENT_END, EVENT_WORD = 0, 1
RATE = 1
EDGE_SECONDS, LOUD = 0.06, 400


class Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h (espeak-ng 1.52)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_int64),
    )


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


def synthesize(request: dict[str, Any]) -> tuple[int, array[int], list[tuple[int, int]]]:
    """(rate, samples, [(character position, sample)] of the words) of a request."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(RETRIEVAL, 500, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0:
        raise RuntimeError("espeak-ng did not start")
    samples: array[int] = array("h")
    marks: list[tuple[int, int]] = []

    def collect(wave_data: Any, count: int, events: Any) -> int:
        if wave_data and count:
            samples.frombytes(ctypes.string_at(wave_data, count * 2))
        index = 0
        while events[index].type != EVENT_END:
            event = events[index]
            if event.type == EVENT_WORD:
                marks.append((event.text_position - 1, event.sample))
            index += 1
        return 0

    callback = CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        raise RuntimeError(f"espeak-ng has no voice {request['voice']!r}")
    library.espeak_SetParameter(RATE, int(request["rate"]), 0)
    text = request["text"].encode()
    library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, UTF8_END_PAUSE, None, None)
    library.espeak_Synchronize()
    return rate, samples, marks


def trim(samples: array[int], marks: list[tuple[int, int]], rate: int) -> tuple[array[int], list[list[int]]]:
    """The sound with little silence around it, and its words as [position, first sample, last sample].

    espeak-ng says only where a word starts: it ends with its last loud sample before the next one.
    """
    loud = [index for index, value in enumerate(samples) if abs(value) > LOUD]
    if not loud:
        return samples[:0], []
    edge = int(EDGE_SECONDS * rate)
    first, last = max(0, loud[0] - edge), min(len(samples), loud[-1] + edge)
    words = []
    for index, (position, start) in enumerate(marks):
        limit = marks[index + 1][1] if index + 1 < len(marks) else len(samples)
        end = max(start, loud[max(0, bisect_left(loud, limit) - 1)])
        begin = max(start, loud[min(bisect_left(loud, start), len(loud) - 1)] - edge // 4)
        words.append([position, max(0, min(begin, end) - first), max(0, end - first)])
    return samples[first:last], words


def main() -> None:
    """Serve the one request of stdin."""
    # The library may print; only the answer goes to the real stdout.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    try:
        rate, samples, marks = synthesize(request)
        samples, words = trim(samples, marks, rate)
        with wave.open(str(Path(request["output"])), "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(rate)
            writer.writeframes(samples.tobytes())
        reply: dict[str, Any] = {"sample_rate": rate, "samples": len(samples), "marks": words}
    except Exception as error:  # noqa: BLE001  whatever it is, it is the answer
        reply = {"error": f"{type(error).__name__}: {error}", "host": isinstance(error, OSError | MemoryError)}
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
