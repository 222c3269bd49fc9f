"""The user's own voice under a script: the part of each scene, and when each of its words is said.

Runs in a child of its own, `python -m pipeline.film.voice_over JOB.json`: it is a stranger's file. The recording is cut at
the pauses that lie nearest to where the scenes should end by the length of their texts; inside a scene words follow each
other by their letters, over the stretches in which somebody speaks. Pauses are found by level, so any language will do.
"""

from __future__ import annotations

import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from errors import InvalidInput
from pipeline.film.child import answer
from pipeline.film.loudness import Sound
from pipeline.film.own_music import decoded
from pipeline.film.render_job import read_order
from pipeline.film.script import Frozen, Word

RATE, HOP = 24_000, 240  # 10 ms
QUIET_DB, FLOOR_DB = -38.0, -60.0  # under the loudest tenth; under full scale
SHORTEST_PAUSE, KEPT_AROUND = 0.14, 0.08
PAUSE_WORTH = 1.2  # a second of pause makes up for so many seconds beside the wanted place
WORD_LETTERS = 1.6  # what a word takes beside its letters
SLOWEST, FASTEST = 0.35, 3.0  # of the reading time of the text: outside, the two do not belong together
LETTERS_A_SECOND = 15.0


class VoiceOverJob(Frozen):
    """The order: (shown, spoken) for each word of each scene, which scene is wanted, and where its WAV goes."""

    recording: Path
    scenes: tuple[tuple[tuple[str, str], ...], ...] = Field(min_length=1)
    index: int = Field(ge=0)
    output: Path


@dataclass(frozen=True)
class Span:
    """A stretch of the recording, in hops of 10 ms, [first, last)."""

    first: int
    last: int


def cut_scene(job: VoiceOverJob) -> dict[str, Any]:
    """Write one scene's part as a mono WAV; {duration_seconds, words} of it. InvalidInput when it cannot be the text."""
    sound = decoded(job.recording, rate=RATE).mean(axis=1)
    speaking = speech_of(sound)
    spans = scenes_of(speaking, [sum(_weights(scene)) for scene in job.scenes])
    span = spans[job.index]
    start, end = span.first * HOP, span.last * HOP
    _write(sound[start:end], job.output)
    words = words_of(job.scenes[job.index], speaking[span.first : span.last])
    return {"duration_seconds": (end - start) / RATE, "words": [word.model_dump() for word in words]}


def speech_of(sound: Sound) -> NDArray[np.bool_]:
    """For each 10 ms, whether somebody speaks."""
    count = len(sound) // HOP
    power = (sound[: count * HOP].reshape(count, HOP).astype(np.float64) ** 2).mean(axis=1)
    level = 10 * np.log10(np.maximum(np.convolve(power, np.full(3, 1 / 3), "same"), 1e-12))
    loud = np.percentile(level, 90) if count else FLOOR_DB
    speaking = level > max(loud + QUIET_DB, FLOOR_DB)
    if not speaking.any():
        raise InvalidInput("the voice-over is silent")
    return np.asarray(speaking, np.bool_)


def scenes_of(speaking: NDArray[np.bool_], letters: list[float]) -> list[Span]:
    """The span of each scene: cut in pauses, as near as can be to where their texts should end."""
    heard = np.flatnonzero(speaking)
    begin, end = int(heard[0]), int(heard[-1]) + 1
    seconds, wanted = float(speaking.sum()) * HOP / RATE, sum(letters) / LETTERS_A_SECOND
    if not SLOWEST <= seconds / wanted <= FASTEST:
        raise InvalidInput(
            f"the voice-over speaks for {seconds:.1f} s, and the script takes about {wanted:.1f} s to say; "
            "give the recording of this script"
        )
    pauses = [one for one in _pauses(speaking, begin, end) if (one.last - one.first) * HOP / RATE >= SHORTEST_PAUSE]
    if len(pauses) < len(letters) - 1:
        raise InvalidInput(
            f"the voice-over has {len(pauses)} pauses, and {len(letters)} scenes need {len(letters) - 1} between them; "
            "pause for a moment after each scene"
        )
    chosen = _nearest(pauses, _wanted(speaking, letters))
    edges = [begin, *((pause.first + pause.last) // 2 for pause in chosen), end]
    around = round(KEPT_AROUND * RATE / HOP)
    return [_tight(speaking, Span(first, last), around) for first, last in pairwise(edges)]


def words_of(tokens: Sequence[tuple[str, str]], speaking: NDArray[np.bool_]) -> list[Word]:
    """The words over the time in which somebody speaks, each as long as its spoken letters ask for."""
    voiced = np.flatnonzero(speaking)
    weights = np.cumsum([0.0, *_weights(tokens)])
    places = weights / weights[-1] * len(voiced)
    step = HOP / RATE

    def at(place: float, *, ends: bool) -> float:
        spot = min(max(int(place - (1e-6 if ends else 0)), 0), len(voiced) - 1)
        return float(voiced[spot] + (place - spot)) * step

    found = []
    for (token, _), (start, end) in zip(tokens, pairwise(places.tolist()), strict=True):
        first = at(start, ends=False)
        found.append(Word(text=token, start=first, end=max(at(end, ends=True), first)))
    return found


def _weights(tokens: Sequence[tuple[str, str]]) -> list[float]:
    """What each word takes to say, in letters; a silent one takes nothing."""
    return [sum(map(str.isalnum, spoken)) + WORD_LETTERS * len(spoken.split()) for _, spoken in tokens]


def _pauses(speaking: NDArray[np.bool_], begin: int, end: int) -> list[Span]:
    edges = np.flatnonzero(np.diff(speaking[begin:end].astype(np.int8))) + 1 + begin
    return [Span(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _wanted(speaking: NDArray[np.bool_], letters: list[float]) -> list[float]:
    """The hop at which each scene but the last should end: its share of the letters in the share of speech."""
    voiced = np.flatnonzero(speaking)
    shares = np.cumsum(letters)[:-1] / sum(letters)
    return [float(voiced[min(int(share * len(voiced)), len(voiced) - 1)]) for share in shares]


def _nearest(pauses: list[Span], wanted: list[float]) -> list[Span]:
    """One pause for each wanted place, in order: near, and rather a long one."""

    def price(pause: Span, place: float) -> float:
        beside = abs((pause.first + pause.last) / 2 - place) * HOP / RATE
        return beside - PAUSE_WORTH * (pause.last - pause.first) * HOP / RATE

    costs: list[list[tuple[float, int]]] = []
    for number, place in enumerate(wanted):
        row: list[tuple[float, int]] = []
        best, best_at = (0.0, -1) if number == 0 else (float("inf"), -1)
        for at, pause in enumerate(pauses):
            if number and at and costs[-1][at - 1][0] < best:
                best, best_at = costs[-1][at - 1][0], at - 1
            row.append((best + price(pause, place), best_at))
        costs.append(row)
    chosen: list[Span] = []
    at = min(range(len(pauses)), key=lambda one: costs[-1][one][0]) if wanted else -1
    for row in reversed(costs):
        chosen.append(pauses[at])
        at = row[at][1]
    return chosen[::-1]


def _tight(speaking: NDArray[np.bool_], span: Span, around: int) -> Span:
    heard = np.flatnonzero(speaking[span.first : span.last]) + span.first
    return Span(max(int(heard[0]) - around, 0), min(int(heard[-1]) + 1 + around, len(speaking)))


def _write(sound: Sound, output: Path) -> None:
    with wave.open(str(output), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def main(arguments: list[str]) -> int:
    """Cut one scene; 0 when done, 1 with the error as JSON."""
    order = Path(arguments[0])
    return answer(lambda: cut_scene(read_order(VoiceOverJob, order, "voice-over job")), what="the recording")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
