"""What all speakers share: the text as tokens, the pace of a style, and the check of what an engine made."""

from __future__ import annotations

import re
import unicodedata
import wave
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from errors import BadReply, HostTrouble, InvalidInput, TooLarge
from pipeline.film.script import Word
from pipeline.providers.base import Speech
from pipeline.providers.pronounce import AS_WRITTEN, heard
from pipeline.providers.spoken import said_together, spoken_text, spoken_tokens

MOST_CHARACTERS = 20_000
SHORTEST_SECONDS = 0.2
# No shorter is a word of a phrase on the screen, where there is room.
SHOWN_SECONDS = 0.12
# Piper's joe at its own pace, fitted to 126 texts of one to five sentences: a sentence, a letter, a word, a comma. The mean
# error of one text is 7 %, that of a film 3 %.
SENTENCE_SECONDS, LETTER_SECONDS, WORD_SECONDS, COMMA_SECONDS = 0.21, 0.05, 0.055, 0.2


class Pace(NamedTuple):
    """How a style speaks: how long its sounds are (1 = the voice's own), and the silence between sentences."""

    length: float
    pause_seconds: float


PACES = {
    "minimal": Pace(1.12, 0.28),
    "bold": Pace(1.04, 0.2),
    "elegant": Pace(1.2, 0.38),
    "playful": Pace(1.07, 0.22),
}
DEFAULT_PACE = PACES["minimal"]


def language_tag(language: str) -> str:
    """A language tag in one spelling: `pt_BR` -> `pt-br`."""
    return language.strip().replace("_", "-").lower() or "en"


def is_english(language: str) -> bool:
    """Whether a tag means some English."""
    return language_tag(language).split("-")[0] == "en"


def tokens_of(text: str, language: str, pronounce: Mapping[str, str] = AS_WRITTEN) -> list[tuple[str, str]]:
    """(shown, spoken) for each whitespace token, or for the tokens of a phrase: one that `pronounce` has, "EUR 20".

    InvalidInput when nothing in the text can be said.
    """
    if len(text) > MOST_CHARACTERS:
        raise TooLarge(f"text of {len(text)} characters: at most {MOST_CHARACTERS} can be spoken at once")
    pairs = spoken_tokens(text) if is_english(language) else [(token, _plain(token)) for token in text.split()]
    if pronounce:
        pairs = heard(pairs, pronounce, spoken_text if is_english(language) else _plain)
    pairs = said_together(pairs)
    if not any(spoken for _, spoken in pairs):
        shown = text if len(text) <= 40 else text[:40] + "..."
        raise InvalidInput(f"text {shown!r} has no word that can be spoken; give it letters or numbers")
    return pairs


def speech_seconds(narration: str, style: str) -> float:
    """How long Piper takes to say a narration in a style, in seconds (within 10 %)."""
    pace = PACES.get(style, DEFAULT_PACE)
    text = spoken_text(narration)
    sentences = max(1, len(re.findall(r"[.!?](?:\s|$)", text)))
    letters, words, commas = sum(map(str.isalpha, text)), len(text.split()), len(re.findall(r"[,;:]", text))
    sound = SENTENCE_SECONDS * sentences + LETTER_SECONDS * letters + WORD_SECONDS * words + COMMA_SECONDS * commas
    return sound * pace.length + pace.pause_seconds * (sentences - 1)


def finish(
    provider: Any, part: Path, output: Path, pairs: Sequence[tuple[str, str]], times: Sequence[tuple[int, int]]
) -> Speech:
    """Check the WAV an engine wrote to `part`, give it its name, and make the result.

    `times` are the first and last sample of each pair that is spoken, in order; the tokens of one pair share them.
    """
    try:
        with wave.open(str(part), "rb") as reader:
            rate, frames = reader.getframerate(), reader.getnframes()
            shape = reader.getnchannels(), reader.getsampwidth()
        if shape != (1, 2) or frames < SHORTEST_SECONDS * rate:
            raise BadReply(f"{provider.name} made {frames / rate:.2f} s of sound, which cannot be the whole text")
        words = _words(pairs, times, frames, rate)
        part.replace(output)
    except (wave.Error, EOFError) as error:
        raise BadReply(f"{provider.name} made a file that is no WAV: {error}") from error
    except OSError as error:
        raise HostTrouble(f"{output} cannot be written: {error.strerror or error}") from error
    return Speech(output, rate, frames / rate, words, provider.name, provider.version)


def share(start: int, end: int, tokens: Sequence[str], least: int = 0) -> list[tuple[int, int]]:
    """A span of samples cut by the tokens' letters and digits, each with at least so many where there is room.

    For what an engine says in one, and the viewer reads as several.
    """
    letters = [max(1, sum(map(str.isalnum, token))) for token in tokens]
    least = min(least, (end - start) // len(tokens))
    short: set[int] = set()
    while True:
        rest = end - start - least * len(short)
        total = sum(count for place, count in enumerate(letters) if place not in short)
        more = {place for place, count in enumerate(letters) if rest * count < least * total} - short
        if not more:
            break
        short |= more
    lengths = [least if place in short else rest * count / total for place, count in enumerate(letters)]
    edges = [start + round(length) for length in accumulate(lengths, initial=0)]
    return list(pairwise(edges))


def apart(word: Word) -> tuple[Word, ...]:
    """The words of a phrase that was timed as one."""
    tokens = word.text.split()
    if len(tokens) == 1:
        return (word,)
    times = share(round(1000 * word.start), round(1000 * word.end), tokens, round(1000 * SHOWN_SECONDS))
    return tuple(
        Word(text=token, start=start / 1000, end=end / 1000) for token, (start, end) in zip(tokens, times, strict=True)
    )


def part_of(output: Path) -> Path:
    """Where an engine writes before the file is known to be good; beside it, so that a rename is enough."""
    return output.resolve().with_name(f".{output.name}.part")


def refuse(provider: str, reply: dict[str, Any]) -> None:
    """Raise what an engine's answer says went wrong, if anything did."""
    if "error" in reply:
        kind = HostTrouble if reply.get("host") else BadReply
        raise kind(f"{provider}: {reply['error']}")


def _words(
    pairs: Sequence[tuple[str, str]], times: Sequence[tuple[int, int]], frames: int, rate: int
) -> tuple[Word, ...]:
    """Every shown token in time: a silent one takes no time, none starts before the one ahead of it."""
    left = iter(times)
    words, latest = [], 0
    for shown, spoken in pairs:
        start, end = next(left) if spoken else (latest, latest)
        start = min(max(start, latest), frames)
        latest = min(max(end, start), frames)
        tokens = shown.split()
        least = round(SHOWN_SECONDS * rate)
        for token, (first, last) in zip(tokens, share(start, latest, tokens, least), strict=True):
            words.append(Word(text=token, start=first / rate, end=last / rate))
    return tuple(words)


def _plain(token: str) -> str:
    """A token of another language: as it is, without emoji; "" when nothing of it is a letter or digit."""
    kept = "".join(
        sign for sign in token if unicodedata.category(sign) not in {"So", "Sk", "Cf", "Cc", "Cs", "Co", "Cn"}
    )
    return kept if any(sign.isalnum() for sign in kept) else ""
