"""Where text may break when no space says so: letters with their marks, lines of Chinese and Japanese, spoken phrases."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from pipeline.film.scripts import BOPOMOFO, EAST_ASIAN, HANGUL, script_of

# No line begins with these, nor ends with those (the usual rules of Japanese and Chinese typesetting).
NO_START = frozenset(
    "\u3001\u3002\uff0c\uff0e\u30fb\uff1a\uff1b\uff1f\uff01\u30fc\u3005\u309d\u309e\u30fd\u30fe\u301c\uff5e"
    "\uff09\u300d\u300f\u3011\u3015\u3009\u300b\uff3d\uff5d\u3017\u3019\u2026\u2025"
    "\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087\u308e\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7"
    "\u30ee\u30f5\u30f6.,:;!?)]}%\u2019\u201d"
)
NO_END = frozenset("\uff08\u300c\u300e\u3010\u3014\u3008\u300a\uff3b\uff5b\u3016\u3018([{$\u2018\u201c")
STOPS = frozenset("\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1b\uff1a")
LEADING_VOWELS = frozenset(
    "\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4"
)  # of Thai and Lao: they begin a syllable
UNSPACED = frozenset({"Thai", "Lao", "Khmer", "Myanmar"})
HYPHENATED = frozenset({"", "Latin", "Greek", "Cyrillic", "Armenian"})
PHRASE = 8  # letters that are read at one glance


def clusters(text: str) -> list[str]:
    """The text in letters, each with its marks: what a reader takes for one sign is never torn apart."""
    found: list[str] = []
    for letter in text:
        if found and (_is_mark(letter) or _holds(found[-1], letter) or found[-1][-1] in LEADING_VOWELS):
            found[-1] += letter
        else:
            found.append(letter)
    return found


def pieces(word: str) -> list[str]:
    """A word without spaces in the pieces between which a line may break; most words are one piece."""
    found: list[str] = []
    for cluster in clusters(word):
        if found and not _may_break(found[-1], cluster):
            found[-1] += cluster
        else:
            found.append(cluster)
    return found


def phrases(word: str, most: int = PHRASE) -> list[str]:
    """A word without spaces in what is read at one glance: by its stops and where hiragana gives way to another script.

    A longer one than `most` letters is divided where the script changes, and what is longer still in equal parts.
    """
    rough: list[list[str]] = []
    for piece in pieces(word):
        if rough and not _ends_phrase(rough[-1], piece):
            rough[-1].append(piece)
        else:
            rough.append([piece])
    return [part for phrase in rough for part in _divided(phrase, most)]


def is_unspaced(text: str) -> bool:
    """Whether the text holds letters of a writing system that puts no spaces between its words."""
    return any(_is_ideographic(letter) or script_of(letter) in UNSPACED for letter in text)


def hyphen(text: str) -> str:
    """What stands at a break within this word: nothing, where its writing system knows no hyphen."""
    return "-" if all(script_of(letter) in HYPHENATED for letter in text) else ""


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter) in ("Mn", "Mc", "Me") or letter in "\u200c\u200d"


def _holds(before: str, letter: str) -> bool:
    # After a virama the next consonant belongs to the same sign; the same goes for a joiner.
    return before[-1] == "\u200d" or (unicodedata.combining(before[-1]) == 9 and unicodedata.category(letter) == "Lo")


def _is_ideographic(letter: str) -> bool:
    script = script_of(letter)
    return script in EAST_ASIAN and script not in (HANGUL, BOPOMOFO)


def _may_break(before: str, after: str) -> bool:
    if after[0] in NO_START or before[-1] in NO_END:
        return False
    if after[0] in LEADING_VOWELS:
        return True
    return _is_ideographic(before[0]) or _is_ideographic(before[-1]) or _is_ideographic(after[0])


def _ends_phrase(phrase: list[str], piece: str) -> bool:
    if phrase[-1][-1] in STOPS:
        return True
    if _letters(phrase) < 2 or not _is_hiragana(phrase[-1][-1]):
        return False
    return not _is_hiragana(piece[0])


def _is_hiragana(letter: str) -> bool:
    return "\u3041" <= letter <= "\u309f"


def _divided(phrase: list[str], most: int) -> list[str]:
    if _letters(phrase) <= most:
        return ["".join(phrase)]
    units: list[list[str]] = []
    for piece in phrase:
        if units and _kind(units[-1][-1]) == _kind(piece):
            units[-1].append(piece)
        else:
            units.append([piece])
    merged: list[list[str]] = []
    for part in (part for unit in units for part in _even(unit, most)):
        if merged and _letters(merged[-1]) + _letters(part) <= most:
            merged[-1] += part
        else:
            merged.append(part)
    return ["".join(part) for part in merged]


def _even(unit: list[str], most: int) -> list[list[str]]:
    count = min(-(-_letters(unit) // most), len(unit))
    edges = [round(at * len(unit) / count) for at in range(count + 1)]
    return [unit[a:b] for a, b in pairwise(edges)]


def _letters(phrase: list[str]) -> int:
    return sum(len(clusters(piece)) for piece in phrase)


def _kind(piece: str) -> str:
    """What a stretch of one script is made of; Japanese words seldom mix their three, except for endings."""
    return "hiragana" if _is_hiragana(piece[-1]) else script_of(piece[0])
