"""Numbers with a shape of their own, in English words: prices, times, dates, sizes, ranges, ratings, amounts.

Each function takes one token without its punctuation and gives what is said, or "" when the token has another shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from pipeline.providers.spoken_money import say_price
from pipeline.providers.spoken_numbers import (
    NUMBER,
    digits,
    in_pairs,
    number_value,
    number_words,
    ordinal,
    say_number,
    year,
)
from pipeline.providers.spoken_tables import (
    MONTHS,
    SCALE_LETTERS,
    SHORT_DAYS,
    SIGNS,
    UNITS,
    is_unit,
    unit,
)

ARTICLES = {"a", "an", "this", "each", "every"}
_ORDINAL = re.compile(r"(\d+)(st|nd|rd|th)", re.IGNORECASE)
_CLOCK = r"(\d{1,2})(?::(\d{2}))?(am|pm)?"
_CLOCKS = re.compile(rf"{_CLOCK}(?:-{_CLOCK})?", re.IGNORECASE)
_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"),
    re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})"),
    re.compile(r"(?P<d>\d{1,2})[./](?P<m>\d{1,2})[./](?P<y>\d{4})"),
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_PHONE = re.compile(r"(\+?)(?:(\d{1,3})[-.])?(\d{3})[-.]?(\d{3})[-.](\d{4})|(\d{3})-(\d{4})")
_RANGE = re.compile(rf"({NUMBER})-({NUMBER})(\D*)")
_DAYS = re.compile(rf"({'|'.join(SHORT_DAYS)})-({'|'.join(SHORT_DAYS)})")
_SIZE = re.compile(rf"({NUMBER})x({NUMBER})(?:x({NUMBER}))?(\D*)", re.IGNORECASE)
_MIXED = re.compile(r"(\d+)\+1/2(\D*)")
_RATING = re.compile(rf"({NUMBER})/(5|10|100)")
_COUNTED = re.compile(rf"([-+±~≈<>≤≥]?)({NUMBER})((?:[a-zμ°★%\"/]+[23]?)?)", re.IGNORECASE)


class Place(NamedTuple):
    """The shown tokens around one: two on each side; and the mark that closes it."""

    earlier: str
    before: str
    after: str
    later: str = ""
    mark: str = ""


def say_shape(core: str, place: Place) -> str:
    """What is said for a token that has one of these shapes; "" for any other."""
    # 500-1000 ml is no telephone number.
    shapes = [shape for shape in SHAPES if shape is not _phone or not is_unit(place.after, place.later)]
    return next((said for shape in shapes if (said := shape(core))), "") or _counted(core, place)


def _ordinal(core: str) -> str:
    match = _ORDINAL.fullmatch(core)
    return ordinal(int(match[1])) if match else ""


def _clock(core: str) -> str:
    match = _CLOCKS.fullmatch(core)
    if match is None:
        return ""
    first, second = match.groups()[:3], match.groups()[3:]
    times = [first, second] if second[0] else [first]
    if any(not (minutes or half) or int(hour) > 24 or int(minutes or 0) > 59 for hour, minutes, half in times):
        return ""
    if second[0]:
        return " to ".join(_time(*time, alone=False) for time in times)
    return _time(*first, alone=True)


def _time(hour: str, minutes: str | None, half: str | None, *, alone: bool) -> str:
    count, rest = int(hour), int(minutes or 0)
    if half is None and 12 < count < 24:
        count, half = count - 12, "pm"
    tail = f" {half.upper()}" if half else ""
    spoken = "" if rest == 0 else f" oh {number_words(rest)}" if rest < 10 else f" {number_words(rest)}"
    return number_words(count) + (spoken or ("" if tail or not alone else " o'clock")) + tail


def _date(core: str) -> str:
    for shape in _DATES:
        match = shape.fullmatch(core)
        if match and 1 <= int(match["m"]) <= 12 and 1 <= int(match["d"]) <= 31:
            return f"{MONTHS[int(match['m']) - 1]} {ordinal(int(match['d']))}, {year(int(match['y']))}"
    return ""


def _size(core: str) -> str:
    match = _SIZE.fullmatch(core)
    if match is None:
        return ""
    name = match[4].strip().lower()
    tail = f" {unit(name, one=False)}" if name in UNITS else f" {name}" if name else ""
    return " by ".join(say_number(part) for part in match.groups()[:3] if part) + tail


def _phone(core: str) -> str:
    match = _PHONE.fullmatch(core)
    if match is None:
        return ""
    plus, *parts = match.groups()
    return ("plus " if plus else "") + ", ".join(digits(part) for part in parts if part)


def _range(core: str) -> str:
    if days := _DAYS.fullmatch(core):
        return f"{SHORT_DAYS[days[1]]} to {SHORT_DAYS[days[2]]}"
    match = _RANGE.fullmatch(core)
    if match is None or not (match[3].lower() in UNITS or not match[3]):
        return ""
    are_years = not match[3] and _YEAR.fullmatch(match[1]) and _YEAR.fullmatch(match[2])
    low, high = (year(int(part)) if are_years else say_number(part) for part in match.groups()[:2])
    return f"{low} to {high}" + (f" {unit(match[3].lower(), one=False)}" if match[3] else "")


def _mixed_half(core: str) -> str:
    match = _MIXED.fullmatch(core)
    if match is None or not (match[2].lower() in UNITS or not match[2]):
        return ""
    return f"{say_number(match[1])} and a half" + (f" {unit(match[2].lower(), one=False)}" if match[2] else "")


def _rating(core: str) -> str:
    match = _RATING.fullmatch(core)
    if match is None or number_value(match[1]) > int(match[2]):
        return ""
    return f"{say_number(match[1])} out of {number_words(int(match[2]))}"


def _named(core: str) -> str:
    """Numbers that letters call differently: 1080p, v2.0, 5'10", 1990s."""
    if match := re.fullmatch(r"(\d{3,4})([pi])", core):
        return f"{in_pairs(int(match[1]))} {match[2]}"
    if match := re.fullmatch(r"v(\d+(?:\.\d+)*)", core):
        return f"version {say_number(match[1])}"
    if match := re.fullmatch(r"(\d)'(\d{1,2})\"?", core):
        return f"{say_number(match[1])} foot {say_number(match[2])}"
    if match := re.fullmatch(r"(1[5-9]|20)([1-9]0)'?s", core):
        return f"{number_words(int(match[1]))} {decade(int(match[2]))}"
    return ""


def decade(number: int) -> str:
    """90 -> "nineties"."""
    return number_words(number).removesuffix("y") + "ies"


def _counted(core: str, place: Place) -> str:
    match = _COUNTED.fullmatch(core)
    if match is None:
        return ""
    sign, number, name = match.groups()
    prefix = f"{SIGNS[sign]} " if sign else ""
    if name in {"", "/"}:
        return prefix + _bare(number, place)
    low = name.lower()
    if low == "s" and place.before.lower() in {"the", "early", "late", "mid"} and re.fullmatch(r"[2-9]0", number):
        return decade(int(number))
    if low in UNITS and name not in {"M", "B", "G", "M2", "M3"}:
        # "a 24h battery" is a twenty four hour one.
        one = number_value(number) == 1 or is_attribute(place.before, place.after)
        return f"{prefix}{say_number(number)} {unit(low, one=one)}"
    if low in SCALE_LETTERS and name != "m":
        scale = SCALE_LETTERS[low] if low != "k" or number not in {"4", "8"} else "K"
        return f"{prefix}{say_number(number)} {scale}"
    return ""


def is_attribute(article: str, noun: str) -> bool:
    """Whether an amount between these words describes a thing, as in "a 24h battery"."""
    return article.lower() in ARTICLES and noun[:1].isalpha()


def _bare(number: str, place: Place) -> str:
    is_amount = is_unit(place.after, place.later)
    if re.fullmatch(r"\d{4}", number) and not is_amount:
        if _YEAR.fullmatch(number):
            return year(int(number))
        if re.fullmatch(r"[A-Z]{2,}", place.before):
            return in_pairs(int(number))
    return say_number(number)


SHAPES: tuple[Callable[[str], str], ...] = (
    say_price, _ordinal, _date, _clock, _size, _phone, _range, _mixed_half, _rating, _named,
)  # fmt: skip
