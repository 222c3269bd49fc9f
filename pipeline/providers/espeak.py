"""espeak-ng: a robotic voice for a hundred languages, as fast as it is plain; the fallback of the local speakers.

It is GPL-3 and loads as a C library, so each text is spoken by a program of its own (0.15 s).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import process
from errors import BadReply, InvalidInput, Unsupported
from pipeline.providers.base import Check
from pipeline.providers.local_speaker import LocalSpeaker, Times, Wish
from pipeline.providers.speech import language_tag, refuse, share
from settings import ROOT

WORDS_A_MINUTE = 185
START_SECONDS, TOKEN_SECONDS = 30.0, 0.1
MEMORY_MB = 1024
VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")


class EspeakSpeaker(LocalSpeaker):
    """Speaks every language that espeak-ng has; `voice` is "" or one of VARIANTS (five higher, eight lower)."""

    name: ClassVar[str] = "espeak"
    version: ClassVar[str] = "1.52-r1"

    def available(self) -> str | None:
        """None, or that its package is missing."""
        return None if find_spec("espeakng_loader") else "espeakng-loader is not installed."

    def speaks(self, language: str) -> bool:
        """Whether espeak-ng has this language, or its region's parent (`de-LI` -> `de`)."""
        return self._voice(language) is not None

    def accept(self, language: str, voice: str) -> None:
        """`voice` is "" or one of VARIANTS."""
        self.require()
        if self._voice(language) is None:
            raise Unsupported(f"language {language!r}: espeak has {', '.join(sorted(languages()))}")
        if voice and voice not in VARIANTS:
            raise InvalidInput(f"voice {voice!r}: espeak has {', '.join(VARIANTS)}")

    def say(self, wish: Wish, check: Check) -> Times:
        """See LocalSpeaker."""
        tongue = self._voice(wish.language)
        request: dict[str, object] = {
            "text": " ".join(wish.tokens),
            "voice": f"{tongue}+{wish.voice}" if wish.voice else tongue,
            "rate": round(WORDS_A_MINUTE / wish.pace.length),
            "output": str(wish.output),
        }
        return token_times(wish.tokens, self._run(request, START_SECONDS + TOKEN_SECONDS * len(wish.tokens), check))

    def close(self) -> None:
        """Nothing is held open."""

    def _run(self, request: dict[str, object], timeout_seconds: float, check: Check) -> list[tuple[int, int, int]]:
        done = process.run(
            [sys.executable, "-m", "pipeline.providers.espeak_child"],
            stdin=json.dumps(request).encode(),
            timeout_seconds=timeout_seconds,
            cwd=ROOT,
            check=check,
            limits=process.Limits(memory_mb=MEMORY_MB),
        )
        try:
            reply = json.loads(done.stdout)
        except ValueError as error:
            raise BadReply(f"espeak answered no JSON: {done.stderr_tail[-200:]}") from error
        refuse(self.name, reply)
        return [(position, start, end) for position, start, end in reply["marks"]]

    def _voice(self, language: str) -> str | None:
        tag = language_tag(language)
        if tag == "en":
            tag = "en-us"
        known = languages() if self.available() is None else {}
        return next((known[name] for name in (tag, tag.rsplit("-", 1)[0], tag.split("-")[0]) if name in known), None)


@cache
def languages() -> Mapping[str, str]:
    """The language tags that the packaged data has, in lower case, and the name of the voice that reads each."""
    spec = find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        return {}
    found: dict[str, tuple[int, str]] = {}
    for file in (Path(spec.origin).parent / "espeak-ng-data" / "lang").rglob("*"):
        if file.is_file():
            for line in file.read_bytes().splitlines():
                words = line.split()
                if len(words) > 1 and words[0] == b"language":
                    # A voice is known by its file's name; the lower number is its own language rather than a relative's.
                    rank = int(words[2]) if len(words) > 2 and words[2].isdigit() else 5
                    tag, voice = words[1].decode("ascii", "replace").lower(), (rank, file.name.lower())
                    found[tag] = min(found.get(tag, voice), voice)
    return {tag: name for tag, (_, name) in sorted(found.items())}


def token_times(spoken: list[str], marks: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """First and last sample of each token, from the marks (position in the joined text, first, last sample).

    A token may have several marks (its words), or none when espeak joins it to its neighbour.
    """
    own: list[list[tuple[int, int]]] = []
    position, index = 0, 0
    for token in spoken:
        end = position + len(token)
        own.append([])
        while index < len(marks) and marks[index][0] < end:
            own[-1].append(marks[index][1:])
            index += 1
        position = end + 1
    times: list[tuple[int, int]] = []
    number = 0
    while number < len(spoken):
        after = next((later for later in range(number + 1, len(spoken)) if own[later]), len(spoken))
        start, end = (own[number][0][0], own[number][-1][1]) if own[number] else (0, 0)
        times += share(start, end, spoken[number:after])
        number = after
    return times
