"""The user's pronunciations in a text: which tokens they stand for, and what is said in their place.

An entry stands for whole words: `Nova` also in "Nova,", "(Nova)", "Nova's", "Novas" and "Nova-branded", not in
"Novartis". It fits in any case, unless it has a capital inside (`US`, `iPad`): then only as it is written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

AS_WRITTEN: Mapping[str, str] = MappingProxyType({})
# No word is longer; the cap keeps every pattern cheap.
LONGEST = 200

# What may stand around a word: quotes, brackets and marks; the other parts of a compound.
_OPEN, _CLOSE = r"[\"'()\[\]{}<>«»„“”*_¡¿—\u2013-]*", r"[\"'()\[\]{}<>«»“”*_.,;:!?…—\u2013™®©-]*"
_PART = r"\w[\w']*"
_APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'"})
_MARK = re.compile(r"[.,;:!?](?=\W*$)")


@dataclass(frozen=True, slots=True)
class Found:
    """An entry in a text: `count` tokens from `first` are `before`, the entry (said as `said`), and `after`."""

    key: str
    first: int
    count: int
    before: str
    said: str
    after: str


def find(tokens: Sequence[str], entries: Mapping[str, str]) -> list[Found]:
    """Where entries apply, in order; the longer phrase wins, then the one that counts only as it is written."""
    ranked = sorted(entries, key=lambda key: (-len(key.split()), not _is_exact(key), -len(key), key))
    plain = [unicodedata.normalize("NFC", token.translate(_APOSTROPHES)) for token in tokens]
    found: list[Found] = []
    index = 0
    while index < len(tokens):
        one = next((one for key in ranked if (one := _at(plain, index, key, entries[key]))), None)
        if one is not None:
            found.append(one)
        index += one.count if one else 1
    return found


def entries_in(text: str, entries: Mapping[str, str]) -> dict[str, str]:
    """The entries that a text has."""
    return {one.key: entries[one.key] for one in find(text.split(), entries)}


def heard(
    pairs: Sequence[tuple[str, str]], entries: Mapping[str, str], say: Callable[[str], str]
) -> list[tuple[str, str]]:
    """(shown, spoken) tokens with the entries' sounds in their place; `say` speaks the rest of a compound.

    A phrase becomes one pair, whose shown text has several tokens.
    """
    places = find([shown for shown, _ in pairs], entries)
    found: list[tuple[str, str]] = []
    index = 0
    for place in places:
        found += pairs[index : place.first]
        index = place.first + place.count
        covered = pairs[place.first : index]
        words = " ".join(filter(None, (say(place.before), place.said, say(place.after))))
        found.append((" ".join(shown for shown, _ in covered), words + _pause(place, words, covered[-1][1])))
    return found + list(pairs[index:])


def respelled(text: str, entries: Mapping[str, str]) -> list[tuple[str, str]]:
    """(shown, written as it sounds) for a voice that reads the text itself; quotes, brackets and marks stay."""
    return _respelled(text.split(), entries)


def sent(text: str, entries: Mapping[str, str]) -> str:
    """The text for such a voice; as it is, when it has none of the entries."""
    tokens = text.split()
    return " ".join(written for _, written in _respelled(tokens, entries)) if find(tokens, entries) else text


def _respelled(tokens: Sequence[str], entries: Mapping[str, str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    index = 0
    for place in find(tokens, entries):
        found += [(token, token) for token in tokens[index : place.first]]
        index = place.first + place.count
        found.append((" ".join(tokens[place.first : index]), place.before + place.said + place.after))
    return found + [(token, token) for token in tokens[index:]]


def _at(tokens: Sequence[str], index: int, key: str, said: str) -> Found | None:
    count = len(key.split())
    text = " ".join(tokens[index : index + count])
    match = _pattern(key).fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        return None
    # A plural is said like a possessive: "show me's" is understood by every engine, "show mes" by none.
    suffix = "'s" if match["suffix"] else ""
    return Found(key, index, count, match["before"], said + suffix, match["after"])


@lru_cache(maxsize=256)
def _pattern(key: str) -> re.Pattern[str]:
    plain = unicodedata.normalize("NFC", key.translate(_APOSTROPHES))
    exact = re.escape(plain) if _is_exact(key) else f"(?i:{re.escape(plain)})"
    # "Nova's", "Novas'", "Novas", "Xboxes"; a word that ends in a sign has none.
    endings = "'s|s'|s" + ("|es" if re.search(r"(?:[sxz]|[cs]h)$", plain) else "")
    suffix = rf"(?P<suffix>{endings})?" if plain[-1].isalpha() else "(?P<suffix>)"
    before, after = rf"(?P<before>{_OPEN}(?:{_PART}[-/])*)", rf"(?P<after>(?:[-/]{_PART})*{_CLOSE})"
    return re.compile(f"{before}{exact}{suffix}{after}")


def _is_exact(key: str) -> bool:
    return any(sign.isupper() for part in key.split() for sign in part[1:])


def _pause(place: Found, words: str, spoken: str) -> str:
    """The mark that makes the pause after the last token of an entry, unless it belongs to the entry."""
    mark = _MARK.search(spoken)
    if mark is None or _MARK.search(words):
        return ""
    own = place.key.endswith(mark[0]) and mark[0] not in place.after
    return "" if own else mark[0]
