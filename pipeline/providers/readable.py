"""What a voice that runs here can read: letters of another writing system it would spell by their names, or call "Chinese letter"."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from errors import Unsupported
from pipeline.film.scripts import BOPOMOFO, EAST_ASIAN, HANGUL, IDEOGRAPHS, KANA, of_language, script_of

CYRILLIC = frozenset(["ba", "be", "bg", "cv", "kk", "ky", "mk", "mn", "ru", "sr", "tg", "tt", "uk"])
OWN = {"JP": {KANA}, "KR": {HANGUL}, "SC": {IDEOGRAPHS, BOPOMOFO}, "TC": {IDEOGRAPHS, BOPOMOFO}}
NAMES = {IDEOGRAPHS: "Chinese characters", KANA: "kana", HANGUL: "Hangul"}


def require_readable(tokens: Iterable[str], language: str, voice: str) -> None:
    """Unsupported, with the word and what to do, when the voice of this language does not know its letters."""
    known = read_in(language)
    for token in tokens:
        foreign = [
            script
            for letter in token
            if unicodedata.category(letter)[0] == "L" and (script := script_of(letter)) and script not in known
        ]
        # A single letter has a name that people say: the beta of a version, the omega of an ohm.
        if len(foreign) > 1 or EAST_ASIAN.intersection(foreign):
            raise Unsupported(
                f"{token[:40]!r} is written in {NAMES.get(foreign[0], foreign[0])}, which the voice {voice} does not read in "
                f"language {language!r}: say how it sounds in `pronounce`, give a `voice_file`, `mute` the film, or set the key "
                "of a hosted voice"
            )


def read_in(language: str) -> set[str]:
    """The writing systems that a voice of this language reads, by their names in `scripts`; Latin always."""
    tag = language.lower().replace("_", "-").partition("-")[0]
    own = of_language(language)
    if own in OWN:
        return {"Latin"} | OWN[own]
    if tag in CYRILLIC:
        return {"Latin", "Cyrillic"}
    return {"Latin", "Greek"} if tag in {"el", "grc"} else {"Latin", own}
