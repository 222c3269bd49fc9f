"""Sound that behaves like speech: each letter has its time, words are loud, the gaps between sentences are not."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

LETTER_SECONDS = 0.062
PAUSES = {" ": 0.045, "\n": 0.2, ",": 0.18, ";": 0.2, ":": 0.2, ".": 0.38, "!": 0.38, "?": 0.38, "…": 0.4, "—": 0.2}
SILENT = set("-'\"()[]*_#\u2018\u2019\u201c\u201d")
LOUDNESS = 9000.0


@dataclass(frozen=True)
class Timing:
    """Each character of a text and when it is spoken, seconds."""

    characters: list[str]
    starts: list[float]
    ends: list[float]

    @property
    def seconds(self) -> float:
        """How long it all takes."""
        return self.ends[-1] if self.ends else 0.0

    def words(self) -> list[tuple[str, float, float]]:
        """The words with their times, without the pauses that follow them."""
        found: list[tuple[str, float, float]] = []
        word, began, ended = "", 0.0, 0.0
        for character, start, end in zip([*self.characters, " "], [*self.starts, 0], [*self.ends, 0], strict=True):
            if character.isspace():
                if word:
                    found.append((word, began, ended))
                word = ""
                continue
            if not word:
                began = ended = start
            word += character
            if character not in PAUSES:
                ended = end
        return found

    def dump(self) -> dict[str, list[str] | list[float]]:
        """As ElevenLabs says it."""
        return {
            "characters": self.characters,
            "character_start_times_seconds": [round(one, 3) for one in self.starts],
            "character_end_times_seconds": [round(one, 3) for one in self.ends],
        }


def timing(text: str, speed: float = 1.0) -> Timing:
    """When each character of a text is spoken."""
    starts, ends, now = [], [], 0.0
    for character in text:
        starts.append(now)
        now += _seconds(character) / speed
        ends.append(now)
    return Timing(list(text), starts, ends)


def spoken(said: Timing, rate: int, *, voice: str, seed: str) -> Samples:
    """The sound of a timed text; another seed gives other bytes of the same length, as at the vendor's."""
    count = max(1, round(said.seconds * rate))
    loud = np.zeros(count)
    for character, start, end in zip(said.characters, said.starts, said.ends, strict=True):
        first, last = round(start * rate), min(count, round(end * rate))
        if _is_spoken(character) and last > first:
            loud[first:last] = (0.45 + 0.55 * _fraction(character)) * np.sin(
                np.linspace(0.2, math.pi - 0.2, last - first)
            )
    pitch = 95 + 120 * _fraction(voice)
    moments = np.arange(count) / rate
    phase = 2 * math.pi * pitch * (moments + 0.004 * np.sin(2 * math.pi * 3.1 * moments))
    tone = sum(np.sin(phase * harmonic) / harmonic for harmonic in (1, 2, 3, 5))
    breath = np.random.default_rng(list(hashlib.sha256(seed.encode()).digest())).uniform(-1, 1, count)
    return ((tone * 0.5 + breath * 0.06) * loud * LOUDNESS).astype(np.int16)


def music(seconds: float, rate: int, *, seed: str) -> Samples:
    """Chords that come and go."""
    count = max(1, round(seconds * rate))
    moments = np.arange(count) / rate
    root = 110 * 2 ** (math.floor(12 * _fraction(seed)) / 12)
    chord = np.zeros(count)
    for step in (0, 4, 7, 12):
        chord += np.sin(2 * math.pi * root * 2 ** (step / 12) * moments)
    beat = 0.6 + 0.4 * np.cos(2 * math.pi * 2 * moments) ** 2
    edge = np.minimum(1, np.minimum(moments, seconds - moments) * 10 + 0.05)
    return (chord / 4 * beat * edge * LOUDNESS).astype(np.int16)


def _seconds(character: str) -> float:
    if character in SILENT:
        return 0.01
    return PAUSES.get(character, LETTER_SECONDS * (2 if character.isdigit() else 0.75 + 0.5 * _fraction(character)))


def _is_spoken(character: str) -> bool:
    return character not in PAUSES and character not in SILENT and not character.isspace()


def _fraction(text: str) -> float:
    """A number from 0 to 1 that belongs to a text."""
    return hashlib.sha256(text.encode()).digest()[0] / 255
