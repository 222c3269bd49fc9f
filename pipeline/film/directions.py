"""Which way text runs, word by word: Hebrew and Arabic from right to left, and Latin words among them from left to right."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import groupby

RIGHT_TO_LEFT_MARK = "\u200f"


def is_right_to_left(text: str) -> bool:
    """Whether the first letter with a direction runs from right to left."""
    return _direction(text) == "R"


def has_right_to_left(text: str) -> bool:
    """Whether any letter runs from right to left."""
    return any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)


def visual_order(words: Sequence[str], *, rtl: bool) -> list[int]:
    """The places of the words of one line, from left to right; `rtl`: the text as a whole runs from right to left.

    As Unicode's algorithm has it for whole words: those of the line's own direction follow it, and runs of the other
    one stand in it turned round.
    """
    base = "R" if rtl else "L"
    order: list[int] = []
    for direction, run in groupby(range(len(words)), key=_directions(words, base).__getitem__):
        own = list(run)
        order += own if direction == base else own[::-1]
    return order[::-1] if base == "R" else order


def as_placed(words: Sequence[str]) -> list[str]:
    """The words of a line from right to left as each is drawn by itself: its stops stand at its left end then."""
    directions = _directions(words, "R")
    placed = []
    for at, word in enumerate(words):
        inner = directions[at] == "L" and "L" in directions[max(at - 1, 0) : at] + directions[at + 1 : at + 2]
        placed.append(word if inner or is_right_to_left(word) else RIGHT_TO_LEFT_MARK + word)
    return placed


def _direction(text: str) -> str:
    for letter in text:
        found = unicodedata.bidirectional(letter)
        if found in ("L", "R", "AL"):
            return "L" if found == "L" else "R"
    return ""


def _directions(words: Sequence[str], base: str) -> list[str]:
    """The direction of each word; a number, or a sign, follows the word before it."""
    found: list[str] = []
    for word in words:
        found.append(_direction(word) or (found[-1] if found else base))
    return found
