"""The child process that holds Kokoro, and espeak-ng, which is GPL; it answers as speech_child.py says.

    python -m pipeline.providers.kokoro_child MODEL.onnx VOICES

A request is {"tokens": [spoken words], "output": path, "voice", "speed", "pause": seconds between sentences}.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.providers.kokoro_voice import (
    ALPHABET,
    HOP,
    MOST_SIGNS,
    RATE,
    STYLE_NUMBERS,
    STYLES,
    is_british,
    signs_of,
)
from pipeline.providers.piper_align import token_spans
from pipeline.providers.speech_child import Sound, Times, cut, reply, sentences, serve

# A breath costs 10 MB a second; long ones are cut at a comma.
LONG_SENTENCE, LONGEST = 24, 36
# The tensor with the length of each sign, in units of HOP samples; the model has it, but does not give it out.
LENGTHS = b"/encoder/Gather_output_0"
# A sign is heard so much ahead of its place by the lengths (measured: onsets after silence come 50 ms early).
AHEAD = 2 * HOP
QUIET, EDGE_SECONDS = 0.004, 0.05
RETRIEVAL, UTF8 = 1, 1
# International phonemes, the parts of one sound tied by ^.
PHONEMES = 0x02 | 0x80 | ord("^") << 8


class Phonemizer:
    """espeak-ng as a library: text -> Kokoro's signs."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        if self._library.espeak_Initialize(RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0) <= 0:
            raise RuntimeError("espeak-ng did not start")

    def signs(self, text: str, *, british: bool) -> str:
        """The signs of a text without punctuation."""
        if self._library.espeak_SetVoiceByName(b"en" if british else b"en-us") != 0:
            raise RuntimeError("espeak-ng has no English")
        buffer = ctypes.create_string_buffer(text.encode())
        place = ctypes.c_void_p(ctypes.addressof(buffer))
        found = []
        while place.value:
            found.append(self._library.espeak_TextToPhonemes(ctypes.byref(place), UTF8, PHONEMES).decode())
        return signs_of(" ".join(found), british=british)


@dataclass
class Voice:
    """The loaded model and the styles of the voices used so far."""

    session: Any
    phonemizer: Phonemizer
    voices: Path
    styles: dict[str, Sound] = field(default_factory=dict)

    @classmethod
    def load(cls, model: Path, voices: Path) -> Voice:
        """Load the model (3 to 5 s); ValueError when it is not Kokoro's."""
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        # One thread: sums in the same order give the same bits, and the film's other work needs the second core.
        options.intra_op_num_threads = 1
        # The arena keeps what the longest breath took; without it the heap comes to 1.4 GB instead of 0.5.
        memory = {"arena_extend_strategy": "kSameAsRequested"}
        session = onnxruntime.InferenceSession(
            with_lengths(model.read_bytes()), sess_options=options, providers=[("CPUExecutionProvider", memory)]
        )
        return cls(session, Phonemizer(), voices)

    def style(self, name: str, count: int) -> Sound:
        """The style of a voice for a text of so many signs: float32 [1, 256]."""
        if name not in self.styles:
            self.styles[name] = _read_styles(self.voices, name)
        found: Sound = self.styles[name][min(count, STYLES) - 1]
        return found

    def sound(self, signs: str, voice: str, speed: float) -> tuple[Sound, list[int]]:
        """The sound of some signs, and the samples that each takes: first the start mark, last the end mark."""
        ids = [0, *(ALPHABET[sign] for sign in signs), 0]
        given = {
            self.session.get_inputs()[0].name: np.array([ids], dtype=np.int64),
            "style": self.style(voice, len(signs)),
            "speed": np.array([speed], dtype=np.float32),
        }
        sound, lengths = self.session.run(None, given)
        samples = [int(length) * HOP for length in np.ravel(lengths)]
        sound = np.ravel(sound).astype(np.float32)
        if len(samples) != len(ids) or abs(sum(samples) - len(sound)) > HOP:
            raise ValueError(
                f"{len(ids)} signs have {len(samples)} lengths of {sum(samples)} samples, not {len(sound)}"
            )
        return sound, samples


def with_lengths(model: bytes) -> bytes:
    """The model with one more output: protobuf joins a message to another by appending it; ValueError for another model."""
    if LENGTHS not in model:
        raise ValueError("this is no Kokoro-82M v1.0 as exported by kokoro-onnx: it has no lengths of its signs")
    shape = _message(2, _message(1, _message(2, b"signs")))
    kind = _message(1, b"\x08\x07" + shape)  # elements of the type int64
    output = _message(12, _message(1, LENGTHS) + _message(2, kind))
    return model + _message(7, output)


def _message(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes, fewer than 128."""
    return bytes([number << 3 | 2, len(content)]) + content


def _read_styles(voices: Path, name: str) -> Sound:
    found: npt.NDArray[Any]
    if voices.is_dir():
        found = np.frombuffer((voices / f"{name}.bin").read_bytes(), dtype="<f4")
    else:
        with np.load(voices) as archive:
            found = archive[name]
    if found.size != STYLES * STYLE_NUMBERS:
        raise ValueError(f"the voice {name} is damaged: it has {found.size} numbers, not {STYLES * STYLE_NUMBERS}")
    return found.reshape(STYLES, 1, STYLE_NUMBERS).astype(np.float32)


def breath(voice: Voice, group: list[str], name: str, speed: float) -> tuple[Sound, Times]:
    """One sentence, and where each of its tokens is in it."""
    british = is_british(name)
    alone = [voice.phonemizer.signs(token.rstrip(".,;:!?"), british=british) for token in group]
    signs = _signs(voice.phonemizer, group, british=british)
    if len(signs) > MOST_SIGNS and len(group) > 1:
        half = len(group) // 2
        parts = [breath(voice, part, name, speed) for part in (group[:half], group[half:])]
        offset = len(parts[0][0])
        later = [(start + offset, end + offset) for start, end in parts[1][1]]
        return np.concatenate([part for part, _ in parts]), parts[0][1] + later
    sound, lengths = voice.sound(signs[:MOST_SIGNS], name, speed)
    ends = np.cumsum(lengths) - AHEAD
    edges = [(max(0, int(end) - length), max(0, int(end))) for end, length in zip(ends, lengths, strict=True)]
    times: Times = []
    start = edges[0][1]
    for span in token_spans(["^", *signs[:MOST_SIGNS], "$"], alone):
        begin, end = (edges[span[0]][0], edges[span[1] - 1][1]) if span else (start, start)
        times.append((begin, end))
        start = end
    level = QUIET * float(np.abs(sound).max(initial=0.0)) / 0.5
    sound, times = cut(sound, times, RATE, level=level, edge_seconds=EDGE_SECONDS)
    # What is heard first is the first word, however late its sign is by the lengths.
    edge = int(EDGE_SECONDS * RATE)
    return sound, [(min(times[0][0], edge), max(times[0][1], edge)), *times[1:]]


def _signs(phonemizer: Phonemizer, group: list[str], *, british: bool) -> str:
    """A sentence in signs, clause by clause, with the marks between them that make its melody."""
    parts: list[str] = []
    clause: list[str] = []
    for number, token in enumerate(group, 1):
        words = token.rstrip(".,;:!?")
        clause.append(words)
        if token != words or number == len(group):
            parts.append(phonemizer.signs(" ".join(clause), british=british) + token[len(words) :])
            clause = []
    return " ".join(parts)


def speak(voice: Voice, request: dict[str, Any]) -> tuple[Sound, Times]:
    """The sound of all tokens, and the samples where each starts and ends."""
    parts: list[Sound] = []
    times: Times = []
    offset = 0
    for number, group in enumerate(sentences(request["tokens"], long=LONG_SENTENCE, longest=LONGEST)):
        if number:
            parts.append(np.zeros(int(request["pause"] * RATE), dtype=np.float32))
            offset += len(parts[-1])
        sound, found = breath(voice, group, request["voice"], request["speed"])
        parts.append(sound)
        times += [(start + offset, end + offset) for start, end in found]
        offset += len(sound)
    return (np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)), times


def answer(voice: Voice, request: dict[str, Any]) -> dict[str, Any]:
    """Serve one request."""
    sound, times = speak(voice, request)
    return reply(sound, times, RATE, request["output"])


if __name__ == "__main__":
    serve(lambda: partial(answer, Voice.load(Path(sys.argv[1]), Path(sys.argv[2]))))
