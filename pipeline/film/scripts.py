"""Writing systems: which one a letter belongs to, and which of them need a face that is not vendored.

The vendored faces write Latin, Greek and Cyrillic. A writing system is named as Unicode names its letters ("Arabic",
"Devanagari"); Chinese, Japanese and Korean go by the shape of their ideographs ("JP", "KR", "SC", "TC").
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

VENDORED = frozenset({"Latin", "Greek", "Cyrillic"})
IDEOGRAPHS, KANA, HANGUL, BOPOMOFO = "Ideographs", "Kana", "Hangul", "Bopomofo"
REGIONS = {"JP": "Japanese", "KR": "Korean", "SC": "Chinese", "TC": "Chinese"}
# Blocks whose letters are not named after their writing system, or that hold its punctuation.
BLOCKS = (
    (0x0600, 0x06FF, "Arabic"),
    (0x0750, 0x077F, "Arabic"),
    (0x0870, 0x08FF, "Arabic"),
    (0xFB1D, 0xFB4F, "Hebrew"),
    (0xFB50, 0xFDFF, "Arabic"),
    (0xFE70, 0xFEFE, "Arabic"),
    (0x1100, 0x11FF, HANGUL),
    (0x2E80, 0x303F, IDEOGRAPHS),
    (0x3040, 0x30FF, KANA),
    (0x3100, 0x312F, BOPOMOFO),
    (0x3130, 0x318F, HANGUL),
    (0x31A0, 0x31BF, BOPOMOFO),
    (0x31F0, 0x31FF, KANA),
    (0x3200, 0x9FFF, IDEOGRAPHS),
    (0xA960, 0xA97F, HANGUL),
    (0xAC00, 0xD7FF, HANGUL),
    (0xF900, 0xFAFF, IDEOGRAPHS),
    (0xFE30, 0xFE4F, IDEOGRAPHS),
    (0xFF00, 0xFF60, IDEOGRAPHS),
    (0xFF61, 0xFF9F, KANA),
    (0xFFA0, 0xFFDC, HANGUL),
    (0xFFE0, 0xFFEE, IDEOGRAPHS),
    (0x20000, 0x3FFFF, IDEOGRAPHS),
)
SIGNS = ((0x2000, 0x2BFF), (0x1D400, 0x1D7FF), (0x1F000, 0x1FFFF), (0xE0000, 0xFFFFF))  # some count as letters
UNSCRIPTED = frozenset(
    {"", "Digit", "Combining", "Modifier", "Feminine", "Masculine", "Micro", "Superscript", "Vulgar"}
)
EAST_ASIAN = frozenset({IDEOGRAPHS, KANA, HANGUL, BOPOMOFO})
WRITTEN_IN = {
    "ar": "Arabic", "fa": "Arabic", "ur": "Arabic", "ps": "Arabic", "sd": "Arabic", "ug": "Arabic", "ckb": "Arabic",
    "he": "Hebrew", "iw": "Hebrew", "yi": "Hebrew", "hi": "Devanagari", "mr": "Devanagari", "ne": "Devanagari",
    "sa": "Devanagari", "bn": "Bengali", "as": "Bengali", "ta": "Tamil", "te": "Telugu", "kn": "Kannada",
    "ml": "Malayalam", "gu": "Gujarati", "pa": "Gurmukhi", "or": "Oriya", "si": "Sinhala", "th": "Thai", "lo": "Lao",
    "my": "Myanmar", "km": "Khmer", "ka": "Georgian", "hy": "Armenian", "am": "Ethiopic", "ti": "Ethiopic",
    "ja": "JP", "ko": "KR", "zh": "SC",
}  # fmt: skip
PUNCTUATED = frozenset(WRITTEN_IN.values())  # whose own stops and dashes are named after them
TRADITIONAL = ("zh-tw", "zh-hk", "zh-mo", "zh-hant")


@dataclass(frozen=True)
class Habit:
    """How a writing system stands beside Latin.

    Its em in Latin's, the least leading and how far its ink rises above Latin capitals (both in em), and whether its letters
    hang together, so that tracking would tear them apart.
    """

    scale: float = 1.0
    leading: float = 1.4
    rise: float = 0.24
    joined: bool = True


HABITS = {
    "Arabic": Habit(scale=1.12, leading=1.42, rise=0.22),
    "Hebrew": Habit(leading=1.15, rise=0.04),
    "Armenian": Habit(leading=1.15, rise=0.04, joined=False),
    "Georgian": Habit(leading=1.15, rise=0.08, joined=False),
    "Ethiopic": Habit(leading=1.2, rise=0.1, joined=False),
    **dict.fromkeys(REGIONS, Habit(scale=0.94, leading=1.16, rise=0.1, joined=False)),
}
TALL = Habit()


def habit(script: str) -> Habit:
    """How a writing system is set."""
    return HABITS.get(script, TALL)


def script_of(letter: str) -> str:
    """The writing system of a letter, "" for what belongs to all of them (digits, marks, signs)."""
    code = ord(letter)
    if code >= 0x0600 and (found := next((name for first, last, name in BLOCKS if first <= code <= last), "")):
        return found
    kind = unicodedata.category(letter)[0]
    if kind not in "LMNP" or any(first <= code <= last for first, last in SIGNS):
        return ""
    first = unicodedata.name(letter, "").partition(" ")[0].capitalize()
    if kind == "P":
        return first if first in PUNCTUATED else ""
    return "" if first in UNSCRIPTED else first


def needed(texts: Iterable[str], language: str = "") -> dict[str, str]:
    """The writing systems of texts that no vendored face has -> their letters, each once, in order.

    `language` decides whose ideographs are meant where the text has neither kana nor hangul.
    """
    letters = dict.fromkeys(letter for text in texts for letter in text)
    found: dict[str, list[str]] = {}
    for letter in letters:
        if (script := script_of(letter)) and script not in VENDORED:
            found.setdefault(script, []).append(letter)
    region = _region(found.keys(), language)
    needs: dict[str, list[str]] = {}
    for script, own in found.items():
        needs.setdefault(_face_of(script, region), []).extend(own)
    return {script: "".join(own) for script, own in needs.items()}


def of_language(language: str) -> str:
    """The writing system of a language that no vendored face writes, else ""."""
    tag = language.lower().replace("_", "-")
    if tag.startswith(TRADITIONAL):
        return "TC"
    return WRITTEN_IN.get(tag.partition("-")[0], "")


def shown(script: str) -> str:
    """The writing system's name for people."""
    return REGIONS.get(script, script)


def _region(found: Iterable[str], language: str) -> str:
    scripts = set(found)
    if KANA in scripts:
        return "JP"
    own = of_language(language)
    if own in REGIONS:
        return own
    if BOPOMOFO in scripts:
        return "TC"
    return "KR" if HANGUL in scripts else "SC"


def _face_of(script: str, region: str) -> str:
    if script == HANGUL:
        return "KR"
    return region if script in EAST_ASIAN else script
