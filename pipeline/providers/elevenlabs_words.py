"""When each word is spoken: from the times of the characters where they can be trusted, else spread over the sound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Times = list[tuple[float, float]]
# What is said takes its letters' time; what follows it is silence of so many letters.
WORD_WEIGHT = 1.5
PAUSES = {".": 6.0, "!": 6.0, "?": 6.0, "…": 6.0, ",": 3.0, ";": 3.0, ":": 3.0, "—": 3.0}
SLACK_SECONDS = 0.05


def aligned(text: str, alignment: Any) -> Times | None:
    """(start, end) in seconds of each whitespace token of the text; None when the alignment is missing or cannot be true.

    `alignment` is {characters, character_start_times_seconds, character_end_times_seconds}, lists of one length. A
    token ends with its last letter or digit: the vendor counts the pause after a sentence as the time of its full stop.
    """
    found = _columns(alignment)
    if found is None:
        return None
    tokens: list[str] = []
    times: Times = []
    is_open = False
    for sign, start, end in zip(*found, strict=True):
        if not sign.strip():
            is_open = False
            continue
        if not is_open:
            tokens.append("")
            times.append((start, start))
            is_open = True
        tokens[-1] += sign
        if any(map(str.isalnum, sign)) or times[-1][0] == times[-1][1]:
            times[-1] = times[-1][0], max(start, end)
    return times if tokens == text.split() else None


def spread(text: str, seconds: float) -> Times:
    """(start, end) of each token when nobody knows: the sound's time shared out by letters and pauses."""
    weights = [(WORD_WEIGHT + sum(map(str.isalnum, token)), PAUSES.get(token[-1], 0.0)) for token in text.split()]
    if weights:
        weights[-1] = weights[-1][0], 0.0
    share = seconds / (sum(map(sum, weights)) or 1.0)
    times, now = [], 0.0
    for said, silent in weights:
        times.append((now, now + said * share))
        now += (said + silent) * share
    return times


def gathered(times: Times, counts: Sequence[int]) -> Times:
    """The times of groups of tokens: each group so many of them, in order."""
    left = iter(times)
    groups = [[next(left) for _ in range(count)] for count in counts]
    return [(group[0][0], group[-1][1]) for group in groups]


def fits(times: Sequence[Sequence[float]], seconds: float) -> bool:
    """Whether times can belong to a sound of this length."""
    return not times or times[-1][1] <= seconds + 0.5


def _columns(alignment: Any) -> tuple[list[str], list[float], list[float]] | None:
    if not isinstance(alignment, Mapping):
        return None
    signs = alignment.get("characters")
    starts, ends = (alignment.get(f"character_{edge}_times_seconds") for edge in ("start", "end"))
    if not (isinstance(signs, list) and isinstance(starts, list) and isinstance(ends, list)):
        return None
    if not (signs and len(signs) == len(starts) == len(ends) and all(isinstance(one, str) for one in signs)):
        return None
    if not all(isinstance(one, int | float) and math.isfinite(one) and one >= 0 for one in (*starts, *ends)):
        return None
    if any(later < earlier - SLACK_SECONDS for earlier, later in pairwise(starts)):
        return None
    if any(end < start - SLACK_SECONDS for start, end in zip(starts, ends, strict=True)):
        return None
    return signs, starts, ends
