"""From phonemes in time to words in time.

A phonemizer reads sentences, not words: "of the" comes out as one group, "well-made" as one, "2" as a word of its own.
So each token is also phonemized alone, and the two strings are aligned sign by sign; where they meet, a
phoneme of the sentence belongs to the token.
"""

from __future__ import annotations

from collections.abc import Sequence

PAUSES = frozenset(".,;:!?¡¿-— ^$_\"'()«»“”…")
_VOWELS = frozenset("aeiouyæɑɐɒɔəɚɘɛɜɝɞɨɪɵøœɶʉʊʌʏɤɯᵻᵊ")  # noqa: RUF001  phonetic signs
_MARKS = frozenset("ˈˌːˑ")
_FAR = 1e9


def token_spans(actual: Sequence[str], tokens: Sequence[str]) -> list[tuple[int, int] | None]:
    """For each token the half-open range of indexes in `actual` that speak it; None when nothing does.

    `actual` are the signs of a sentence as synthesized, `tokens` the phonemes of each token alone.
    """
    wanted: list[tuple[str, int]] = []
    for index, token in enumerate(tokens):
        wanted += [(sign, index) for sign in token if sign not in PAUSES or sign == " "] + [(" ", -1)]
    spans: list[tuple[int, int] | None] = [None] * len(tokens)
    for position, owner in _owners(actual, wanted):
        span = spans[owner]
        spans[owner] = (position, position + 1) if span is None else (span[0], position + 1)
    return spans


def _owners(actual: Sequence[str], wanted: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
    """(index in actual, token) for every sign that speaks, by the cheapest alignment of the two."""
    width = len(wanted) + 1
    costs = [0.0] * width
    for column, (sign, _) in enumerate(wanted, 1):
        costs[column] = costs[column - 1] + _gap(sign)
    moves: list[bytearray] = [bytearray([2] * width)]
    for sign in actual:
        row, trail = [costs[0] + _gap(sign)], bytearray([1])
        skip = _gap(sign)
        for column in range(1, width):
            other = wanted[column - 1][0]
            best, move = costs[column - 1] + _swap(sign, other), 0
            if (cost := costs[column] + skip) < best:
                best, move = cost, 1
            if (cost := row[-1] + _gap(other)) < best:
                best, move = cost, 2
            row.append(best)
            trail.append(move)
        costs = row
        moves.append(trail)
    return _trace(actual, wanted, moves)


def _trace(actual: Sequence[str], wanted: Sequence[tuple[str, int]], moves: list[bytearray]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    row, column, owner = len(actual), len(wanted), -1
    while row or column:
        move = moves[row][column] if row and column else 1 if row else 2
        if move != 1:
            column -= 1
            owner = wanted[column][1]
        if move != 2:
            row -= 1
            # A sign that the lone token does not have (a linking r, a stress mark) goes with its neighbour.
            if owner >= 0 and actual[row] not in PAUSES:
                found.append((row, owner))
            elif actual[row] in PAUSES:
                owner = -1
    found.reverse()
    return found


def _gap(sign: str) -> float:
    return 0.2 if sign in PAUSES or sign in _MARKS else 0.8


def _swap(one: str, other: str) -> float:
    if one == other:
        return 0.0
    if one in PAUSES or other in PAUSES:
        return 0.1 if one in PAUSES and other in PAUSES else _FAR
    if one in _MARKS or other in _MARKS:
        return 0.3 if one in _MARKS and other in _MARKS else _FAR
    return 0.7 if (one in _VOWELS) == (other in _VOWELS) else 1.3
