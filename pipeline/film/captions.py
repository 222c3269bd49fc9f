"""Captions: spoken words -> pages of a few words, each word at its own place and time."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.film import fonts
from pipeline.film.layout import clean
from pipeline.film.script import Word
from pipeline.film.theme import CaptionLook
from pipeline.film.timeline import CaptionPage, CaptionWord

LEAD_SECONDS, HOLD_SECONDS = 0.08, 0.35
MOST_WORDS = 4
PAUSE_SECONDS = 0.55
SPACE_EM = 0.3
SMALLEST = 0.5
# The full-width marks of Chinese and Japanese are written by their numbers: they look like ours.
ENDS_SENTENCE, ENDS_CLAUSE = ".!?\u2026\u3002\uff01\uff1f", ",;:\u2014\u2013\u3001\uff0c"


@dataclass(frozen=True)
class Band:
    """Where captions stand: middle (x, y) and greatest width in pixels, and the scale of the look's size."""

    x: float
    y: float
    width: float
    scale: float


@dataclass(frozen=True)
class Span:
    """Seconds on the film's clock: when the scene's sound starts, and the window its captions may use."""

    sound: float
    opens: float
    closes: float


def ground_of(look: CaptionLook, width: float, px: float) -> tuple[float, float]:
    """(width, height) in pixels of the ground that a line of `width` stands on, at an em of `px`."""
    if look.mode in ("box", "veil"):
        return width + px * 0.86, px * 1.58
    return width + px * 0.4, px * 1.3


def shown_words(words: Sequence[Word], look: CaptionLook) -> list[Word]:
    """The words as captions show them: cleaned of emoji, in the look's case, never empty, in order of time."""
    cleaned = ((clean(word.text, upper=look.upper), word) for word in sorted(words, key=lambda word: word.start))
    return [Word(text=text, start=word.start, end=max(word.end, word.start)) for text, word in cleaned if text]


def split(words: Sequence[Word], look: CaptionLook, px: float, width: float) -> list[list[Word]]:
    """Fewest pages of at most four words that fit the width, broken at punctuation and pauses where possible."""
    count = len(words)
    widths = [fonts.width(word.text, look.face, px) for word in words]
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * count
    for end in range(1, count + 1):
        for start in range(max(0, end - MOST_WORDS), end):
            total = sum(widths[start:end]) + SPACE_EM * px * (end - start - 1)
            if total > width and end - start > 1:
                continue
            price = best[start][0] + _cost(words[start:end], total / width)
            if price < best[end][0]:
                best[end] = (price, start)
    pages: list[list[Word]] = []
    end = count
    while end:
        start = best[end][1]
        pages.append(list(words[start:end]))
        end = start
    return pages[::-1]


def _cost(words: Sequence[Word], fullness: float) -> float:
    cost = 1.0 + (1.0 - min(fullness, 1.0)) ** 2 + (0.7 if len(words) == 1 else 0.0)
    for word, following in pairwise(words):
        if word.text[-1] in ENDS_SENTENCE:
            cost += 4.0
        elif word.text[-1] in ENDS_CLAUSE:
            cost += 0.9
        if following.start - word.end > PAUSE_SECONDS:
            cost += 3.0
    return cost


def place(words: Sequence[Word], look: CaptionLook, band: Band, span: Span) -> tuple[CaptionPage, ...]:
    """The scene's caption pages on the film's clock, with the exact place of every word."""
    px = look.px * band.scale
    shown = shown_words(words, look)
    pages = split(shown, look, px, band.width)
    placed = []
    for at, page in enumerate(pages):
        starts = [min(max(span.sound + word.start, span.opens), span.closes) for word in page]
        until = span.sound + pages[at + 1][0].start - LEAD_SECONDS if at + 1 < len(pages) else span.closes
        end = min(span.sound + page[-1].end + HOLD_SECONDS, until, span.closes)
        opens = max(starts[0] - LEAD_SECONDS, span.opens)
        if end <= opens:
            continue
        placed.append(_page(page, starts, (opens, end), look, px, band))
    return tuple(placed)


def _page(
    page: Sequence[Word],
    starts: Sequence[float],
    window: tuple[float, float],
    look: CaptionLook,
    px: float,
    band: Band,
) -> CaptionPage:
    natural = _line_width([word.text for word in page], look, px)
    px *= max(min(1.0, band.width / natural), SMALLEST)
    ends = [*starts[1:], window[1]]
    order = list(range(len(page)))
    if is_right_to_left(" ".join(word.text for word in page)):
        order.reverse()
    x = band.x - _line_width([word.text for word in page], look, px) / 2
    words: list[CaptionWord | None] = [None] * len(page)
    for at in order:
        width = fonts.width(page[at].text, look.face, px)
        words[at] = CaptionWord(page[at].text, round(x + width / 2, 2), round(width, 2), starts[at], ends[at])
        x += width + SPACE_EM * px
    return CaptionPage(band.x, band.y, round(px, 3), *window, tuple(word for word in words if word is not None))


def _line_width(texts: Sequence[str], look: CaptionLook, px: float) -> float:
    return sum(fonts.width(text, look.face, px) for text in texts) + SPACE_EM * px * (len(texts) - 1)


def is_right_to_left(text: str) -> bool:
    """Whether the first letter with a direction runs from right to left."""
    for letter in text:
        direction = unicodedata.bidirectional(letter)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False
