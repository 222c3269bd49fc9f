"""Where things go: the areas of each aspect, and fit(), which makes any text fit its area."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.film import fonts
from pipeline.film.breaks import clusters, hyphen, is_unspaced, phrases
from pipeline.film.fonts import Face

SHRINK = 0.94
WORTH_A_LINE, WORTH_A_SPLIT, SMALL = 0.74, 1.25, 0.55
ELLIPSIS = "…"
EMOJI = re.compile(
    "(?:[\U0001f000-\U0001faff\U00002600-\U000027bf\U00002b00-\U00002bff\U0000fe00-\U0000fe0f\U000e0020-\U000e007f\u20e3]"
    "\u200d?)+"
)
# A reversal that a user's text brings along would go on in ours; where text runs is seen from its letters.
DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Letters dressed up as mathematics, and the wide twins of ours: they belong to the face of their neighbours.
FANCY = re.compile("[\U0001d400-\U0001d7ff\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uffe0-\uffe6]")
CHECKS = str.maketrans({"\u2714": "\u2713"})  # the heavy tick is in no face of ours
MTAVRULI = str.maketrans({chr(0x1C90 + at): chr(0x10D0 + at) for at in range(43)})
KEPT_SYMBOLS = "✓✔★☆"


@dataclass(frozen=True)
class Rect:
    """An area in pixels of the output."""

    x: float
    y: float
    width: float
    height: float

    @property
    def cx(self) -> float:
        """Middle, horizontally."""
        return self.x + self.width / 2

    @property
    def cy(self) -> float:
        """Middle, vertically."""
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width

    def holds(self, other: Rect, *, slack: float = 0.5) -> bool:
        """Whether the other area lies inside this one."""
        return (
            other.x >= self.x - slack
            and other.y >= self.y - slack
            and other.right <= self.right + slack
            and other.bottom <= self.bottom + slack
        )


def even(value: float) -> int:
    """The nearest even number: what a plane at half the size needs."""
    return round(value / 2) * 2


def contained_scale(width: float, height: float, own: tuple[int, int], *, cutout: bool) -> float:
    """How much larger a picture of `own` pixels is shown whole on a card; a tiny one blown up looks worse than a small one."""
    share, most = (0.82, 2.2) if cutout else (0.92, 1.6)
    return min(width * share / own[0], height * share / own[1], most)


@dataclass(frozen=True)
class Stage:
    """The areas of one aspect. Text stays in `safe`: players lay their own buttons over the rest.

    `left` sets titles flush left beside the card instead of centred above it.
    """

    width: int
    height: int
    left: bool
    safe: Rect
    headline: Rect
    headline_px: float
    kicker_px: float
    card: Rect
    middle: Rect
    middle_px: float
    list_head: Rect
    list_area: Rect
    row_px: float
    end_card: Rect
    end_name: Rect
    button_y: float
    button_height: float
    button_px: float
    url_y: float
    url_px: float
    price_head: Rect
    price: Rect
    price_px: float
    caption_y: float
    caption_width: float
    caption_scale: float


STAGES: dict[str, Stage] = {
    "9:16": Stage(
        width=1080,
        height=1920,
        left=False,
        safe=Rect(108, 120, 852, 1430),
        headline=Rect(120, 160, 840, 340),
        headline_px=150,
        kicker_px=36,
        card=Rect(110, 560, 860, 985),
        middle=Rect(120, 420, 840, 780),
        middle_px=170,
        list_head=Rect(120, 170, 840, 300),
        list_area=Rect(120, 540, 840, 760),
        row_px=54,
        end_card=Rect(190, 180, 700, 546),
        end_name=Rect(120, 800, 840, 190),
        button_y=1136,
        button_height=148,
        button_px=66,
        url_y=1268,
        url_px=40,
        price_head=Rect(120, 826, 840, 150),
        price=Rect(120, 1020, 840, 260),
        price_px=230,
        caption_y=1425,
        caption_width=820,
        caption_scale=1.0,
    ),
    "1:1": Stage(
        width=1080,
        height=1080,
        left=False,
        safe=Rect(80, 54, 920, 972),
        headline=Rect(100, 54, 880, 176),
        headline_px=100,
        kicker_px=26,
        card=Rect(232, 288, 616, 566),
        middle=Rect(100, 130, 880, 660),
        middle_px=140,
        list_head=Rect(100, 64, 880, 160),
        list_area=Rect(110, 252, 860, 590),
        row_px=46,
        end_card=Rect(290, 60, 500, 376),
        end_name=Rect(100, 470, 880, 116),
        button_y=668,
        button_height=120,
        button_px=52,
        url_y=780,
        url_px=34,
        price_head=Rect(100, 462, 880, 110),
        price=Rect(100, 590, 880, 230),
        price_px=190,
        caption_y=945,
        caption_width=860,
        caption_scale=0.8,
    ),
    "16:9": Stage(
        width=1920,
        height=1080,
        left=True,
        safe=Rect(110, 70, 1700, 950),
        headline=Rect(140, 180, 800, 600),
        headline_px=140,
        kicker_px=32,
        card=Rect(1050, 100, 730, 750),
        middle=Rect(220, 160, 1480, 640),
        middle_px=170,
        list_head=Rect(140, 180, 680, 600),
        list_area=Rect(920, 120, 860, 720),
        row_px=50,
        end_card=Rect(1050, 100, 730, 750),
        end_name=Rect(140, 200, 800, 280),
        button_y=590,
        button_height=132,
        button_px=58,
        url_y=724,
        url_px=38,
        price_head=Rect(140, 240, 800, 190),
        price=Rect(140, 450, 800, 290),
        price_px=230,
        caption_y=955,
        caption_width=1300,
        caption_scale=0.8,
    ),
}


@dataclass(frozen=True)
class Fitted:
    """A text that fits: its lines and the size of the em in pixels."""

    lines: tuple[str, ...]
    px: float


def clean(text: str, *, upper: bool = False) -> str:
    """Text as the film can show it: no emoji (libass draws them as boxes), no controls, single spaces."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode())
    text = FANCY.sub(lambda found: unicodedata.normalize("NFKC", found.group()), DIRECTIONS.sub("", text)).translate(
        CHECKS
    )
    text = EMOJI.sub(lambda found: "".join(c for c in found.group() if c in KEPT_SYMBOLS), text)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Zs") else c for c in text)
    text = " ".join(text.split())
    # Georgian has capitals in Unicode, but nobody begins a word with one, and few fonts have them.
    return text.upper().translate(MTAVRULI) if upper else text


def short_address(url: str) -> str:
    """What a person would type of an address: `https://www.nova.com/shop/?x=1` -> `nova.com/shop`."""
    return re.sub(r"^(?:[a-z]+://)?(?:www\.)?([^?#]*?)/*(?:[?#].*)?$", r"\1", url.strip(), flags=re.IGNORECASE)


def fit(
    text: str,
    face: Face,
    area: Rect,
    *,
    px: float,
    floor: float = 30.0,
    lines: int = 3,
    leading: float = 1.1,
    tracking: float = 0.0,
) -> Fitted:
    """The largest size from `px` down to `floor` at which the text fits the area in at most `lines` balanced lines.

    At the floor over-long words are split by hyphens, and what still does not fit ends in an ellipsis.
    """
    if not text:
        return Fitted((), px)
    words = _tokens(text)
    best: Fitted | None = None
    for count in range(1, lines + 1):
        found = _largest(words, face, area, count, px=px, floor=floor, leading=leading, tracking=tracking)
        # One more line must pay: a title on one line beats a slightly larger one on two.
        if found and (best is None or best.px < found.px * WORTH_A_LINE):
            best = found
    if best is None or best.px < px * SMALL:
        # One endless word must not make the whole title tiny.
        best = _hyphenated(words, face, area, px=px, lines=lines, leading=leading, tracking=tracking, best=best)
    if best:
        return best
    size = floor
    lines_here = _room(area, size, lines, leading)
    split = [part for word in words for part in _hyphenate(word, face, size, area.width, tracking)]
    broken = _wrap(split, face, size, area.width, tracking) or [text]
    if len(broken) > lines_here:
        last = broken[lines_here - 1]
        while last and fonts.width(last + ELLIPSIS, face, size, tracking=tracking) > area.width:
            last = last[:-1]
        broken = [*broken[: lines_here - 1], last.rstrip(" ,;:.-") + ELLIPSIS]
    return Fitted(tuple(broken), size)


def _room(area: Rect, size: float, lines: int, leading: float) -> int:
    return max(1, min(lines, int((area.height - size * 0.74) / (size * leading)) + 1))


def _largest(
    words: list[str], face: Face, area: Rect, count: int, *, px: float, floor: float, leading: float, tracking: float
) -> Fitted | None:
    """The text at the largest size at which it fits on exactly `count` lines or fewer, or None."""
    size = px
    while True:
        broken = _wrap(words, face, size, area.width, tracking)
        if broken is not None and len(broken) <= count <= _room(area, size, count, leading):
            return Fitted(_balance(words, face, size, area.width, tracking, len(broken)), size)
        if size <= floor:
            return None
        size = max(floor, size * SHRINK)


def _hyphenated(
    words: list[str],
    face: Face,
    area: Rect,
    *,
    px: float,
    lines: int,
    leading: float,
    tracking: float,
    best: Fitted | None,
) -> Fitted | None:
    """The text with over-long words split, when that lets it be clearly larger; else `best`."""
    size = px * SMALL
    while size > (best.px * WORTH_A_SPLIT if best else px * SMALL / 2):
        split = [part for word in words for part in _hyphenate(word, face, size, area.width, tracking)]
        broken = _wrap(split, face, size, area.width, tracking)
        if broken is not None and len(broken) <= _room(area, size, lines, leading):
            return Fitted(tuple(broken), size)
        size *= SHRINK
    return best


def _tokens(text: str) -> list[str]:
    # A token that begins with a space starts a new word; within Chinese and Japanese a line may break without one.
    words = (phrases(word) if is_unspaced(word) else [word] for word in text.split(" "))
    return [(" " if at == 0 else "") + piece for parts in words for at, piece in enumerate(parts)]


def _wrap(words: list[str], face: Face, px: float, measure: float, tracking: float) -> list[str] | None:
    """Greedy lines no wider than `measure`, or None when one word alone is wider."""
    lines: list[str] = []
    line = ""
    for word in words:
        longer = line + word if line else word.lstrip()
        if fonts.width(longer, face, px, tracking=tracking) <= measure:
            line = longer
            continue
        if not line or fonts.width(word.lstrip(), face, px, tracking=tracking) > measure:
            return None
        lines.append(line)
        line = word.lstrip()
    return [*lines, line] if line else lines


def _balance(words: list[str], face: Face, px: float, measure: float, tracking: float, count: int) -> tuple[str, ...]:
    """The same number of lines in the narrowest measure, so that no line is left nearly empty."""
    low, high = measure / max(count, 1) * 0.8, measure
    best = _wrap(words, face, px, measure, tracking) or []
    for _ in range(12):
        middle = (low + high) / 2
        lines = _wrap(words, face, px, middle, tracking)
        if lines is not None and len(lines) <= count:
            best, high = lines, middle
        else:
            low = middle
    return tuple(best)


def _hyphenate(word: str, face: Face, px: float, measure: float, tracking: float) -> list[str]:
    lead, rest = (" ", word[1:]) if word.startswith(" ") else ("", word)
    parts = divide(rest, lambda part: fonts.width(part, face, px, tracking=tracking) <= measure)
    return [(lead if at == 0 else " ") + part for at, part in enumerate(parts)]


def divide(word: str, fits: Callable[[str], bool]) -> list[str]:
    """A word in the fewest parts that fit, with hyphens where its writing system has them."""
    mark = hyphen(word)
    parts: list[str] = []
    rest = clusters(word)
    while len(rest) > 1 and not fits("".join(rest)):
        cut = len(rest) - 1
        while cut > 1 and not fits("".join(rest[:cut]) + mark):
            cut -= 1
        parts.append("".join(rest[:cut]) + mark)
        rest = rest[cut:]
    return [*parts, "".join(rest)]
