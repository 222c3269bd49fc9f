"""The field `pronounce` of a payload: words as they stand in the text, and how they sound."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

from pydantic import BeforeValidator

MOST, LONGEST = 50, 80
# Beside letters of any script and their marks.
_BETWEEN = " '\u2019-"
_SAYABLE = re.compile(r"[^\W_]")


def _entries(value: Any) -> dict[str, str]:
    """The entries with plain blanks; ValueError with what is wrong with the first bad one."""
    if not isinstance(value, dict):
        raise ValueError('should be an object of words and how they sound, such as {"Nova": "no-va"}')  # noqa: TRY004  pydantic's own
    if len(value) > MOST:
        raise ValueError(f"has {len(value)} entries; at most {MOST} are taken")
    found = {_word(word): _sound(word, said) for word, said in value.items()}
    taken: dict[str, str] = {}
    for word in map(str, value):
        other = taken.setdefault(" ".join(word.split()).casefold(), word)
        if other != word:
            raise ValueError(f"{other!r} and {word!r} are the same word; keep one of them")
    return found


def _word(word: Any) -> str:
    key = " ".join(word.split()) if isinstance(word, str) else ""
    if not _SAYABLE.search(key) or len(key) > LONGEST:
        raise ValueError(f"the word {str(word)[:LONGEST]!r} should have 1 to {LONGEST} signs, and a letter or digit")
    return key


def _sound(word: str, said: Any) -> str:
    sound = " ".join(said.split()) if isinstance(said, str) else ""
    signs = {unicodedata.category(sign)[0] for sign in sound if sign not in _BETWEEN}
    if "L" not in signs or signs - {"L", "M"} or len(sound) > LONGEST:
        shown = repr(said)[:LONGEST]
        raise ValueError(f"{word!r} sounds like {shown}: write how it sounds in letters, such as 'no-va' or 'show me'")
    return sound


Pronounce = Annotated[dict[str, str], BeforeValidator(_entries)]
