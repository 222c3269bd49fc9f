"""Captions: spoken words -> pages of a few words, each word at its own place and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.film import breaks, fonts
from pipeline.film.directions import is_right_to_left, visual_order
from pipeline.film.layout import clean, divide
from pipeline.film.script import Word
from pipeline.film.theme import CaptionLook
from pipeline.film.timeline import CaptionPage, CaptionWord

LEAD_SECONDS, HOLD_SECONDS = 0.08, 0.35
MOST_WORDS = 4
PAUSE_SECONDS = 0.55
POPPED = 1.02  # of the band's width: for the moment in which a word at its end pops
SPACE_EM, GLUED_EM = 0.3, 0.1
SMALLEST, WIDEST = 0.5, 0.55  # shares of the look's size, and of its width, that one word may need
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


@dataclass(frozen=True)
class Shown:
    """One caption word: a spoken word, or a part of one that is too long to stand as a whole (`glued` to the part before)."""

    text: str
    start: float
    end: float
    glued: bool = False


def shown_words(words: Sequence[Word], look: CaptionLook, px: float, width: float) -> list[Shown]:
    """The words as captions show them: cleaned of emoji, in the look's case, never empty, in order of time.

    What has no spaces (Japanese, Chinese, Thai) comes in phrases, and a word that no line can hold in parts; the word's time
    is shared among them by their letters.
    """
    most = width / WIDEST

    def fits(text: str) -> bool:
        return fonts.width(text, look.face, px) <= most

    shown: list[Shown] = []
    for word in sorted(words, key=lambda word: word.start):
        text = clean(word.text, upper=look.upper)
        if fonts.width(
            text, look.face, px
        ):  # a mark without its letter, or a sign that no face has, is nothing to show
            shown += _shared(_parts(text, fits), word)
    return shown


def _parts(text: str, fits: Callable[[str], bool]) -> list[str]:
    if not breaks.is_unspaced(text):
        return divide(text, fits)
    return [part for phrase in breaks.phrases(text) for part in divide(phrase, fits)]


def _shared(parts: Sequence[str], word: Word) -> list[Shown]:
    seconds, letters = max(word.end - word.start, 0.0), sum(map(len, parts))
    shown: list[Shown] = []
    done = 0
    for part in parts:
        start = word.start + seconds * done / letters
        done += len(part)
        shown.append(Shown(part, start, word.start + seconds * done / letters, glued=bool(shown)))
    return shown


def split(words: Sequence[Shown], look: CaptionLook, px: float, width: float) -> list[list[Shown]]:
    """Fewest pages of at most four words that fit the width, broken at punctuation and pauses where possible."""
    count = len(words)
    widths = [fonts.width(word.text, look.face, px) for word in words]
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * count
    for end in range(1, count + 1):
        for start in range(max(0, end - MOST_WORDS), end):
            total = sum(widths[start:end]) + sum(_gap(word, px) for word in words[start + 1 : end])
            if total > width and end - start > 1:
                continue
            price = best[start][0] + _cost(words[start:end], total / width)
            if price < best[end][0]:
                best[end] = (price, start)
    pages: list[list[Shown]] = []
    end = count
    while end:
        start = best[end][1]
        pages.append(list(words[start:end]))
        end = start
    return pages[::-1]


def _cost(words: Sequence[Shown], fullness: float) -> float:
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
    shown = shown_words(words, look, px, band.width)
    pages = split(shown, look, px, band.width)
    rtl = is_right_to_left(" ".join(word.text for word in shown))
    placed = []
    for at, page in enumerate(pages):
        starts = [min(max(span.sound + word.start, span.opens), span.closes) for word in page]
        until = span.sound + pages[at + 1][0].start - LEAD_SECONDS if at + 1 < len(pages) else span.closes
        end = min(span.sound + page[-1].end + HOLD_SECONDS, until, span.closes)
        opens = max(starts[0] - LEAD_SECONDS, span.opens)
        if end <= opens:
            continue
        placed.append(_page(page, starts, (opens, end), look, px, band, rtl=rtl))
    return tuple(placed)


def _page(
    page: Sequence[Shown],
    starts: Sequence[float],
    window: tuple[float, float],
    look: CaptionLook,
    px: float,
    band: Band,
    *,
    rtl: bool,
) -> CaptionPage:
    natural = max(_line_width(page, look, px), 1.0)
    outer = max(fonts.width(word.text, look.face, px) for word in (page[0], page[-1]))
    popped = natural + (look.peak - 1.0) * outer
    px *= max(min(1.0, band.width / natural, POPPED * band.width / popped), SMALLEST)
    ends = [*starts[1:], window[1]]
    order = visual_order([word.text for word in page], rtl=rtl)
    x = band.x - _line_width(page, look, px) / 2
    words: dict[int, CaptionWord] = {}
    for before, at in zip([None, *order], order, strict=False):
        # The space between two words is that before the one which comes later in the text, wherever it stands.
        x += 0.0 if before is None else _gap(page[max(before, at)], px)
        shown, width = page[at], fonts.width(page[at].text, look.face, px)
        middle = round(x + width / 2, 2)
        words[at] = CaptionWord(shown.text, middle, round(width, 2), starts[at], ends[at], glued=shown.glued)
        x += width
    return CaptionPage(band.x, band.y, round(px, 3), *window, tuple(words[at] for at in range(len(page))), rtl)


def _line_width(page: Sequence[Shown], look: CaptionLook, px: float) -> float:
    return sum(fonts.width(word.text, look.face, px) for word in page) + sum(_gap(word, px) for word in page[1:])


def _gap(word: Shown, px: float) -> float:
    """The space before a word."""
    return (GLUED_EM if word.glued else SPACE_EM) * px
