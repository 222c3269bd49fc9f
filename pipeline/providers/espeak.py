"""espeak-ng: a robotic voice for a hundred languages, as fast as it is plain; the fallback of the local speakers.

It is GPL-3 and loads as a C library, so each text is spoken by a program of its own (0.15 s).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import process
from errors import BadReply, HostTrouble, InvalidInput, Unsupported
from pipeline.providers.base import Capability, Check, Estimate, Speech
from pipeline.providers.paid import Ledger
from pipeline.providers.pronounce import AS_WRITTEN
from pipeline.providers.speech import DEFAULT_PACE, PACES, finish, language_tag, part_of, refuse, share, tokens_of
from settings import ROOT

WORDS_A_MINUTE = 185
START_SECONDS, TOKEN_SECONDS = 30.0, 0.1
MEMORY_MB = 1024
VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8")


class EspeakSpeaker:
    """Speaks every language that espeak-ng has; `voice` is "" or one of VARIANTS (five higher, eight lower)."""

    name: ClassVar[str] = "espeak"
    capability: ClassVar[Capability] = "speak"
    version: ClassVar[str] = "1.52-r1"
    hosted: ClassVar[bool] = False

    def available(self) -> str | None:
        """None, or that its package is missing."""
        return None if find_spec("espeakng_loader") else "espeakng-loader is not installed."

    def speaks(self, language: str) -> bool:
        """Whether espeak-ng has this language, or its region's parent (`de-LI` -> `de`)."""
        return self._voice(language) is not None

    def estimate(self, text: str) -> Estimate:
        """Nothing: it speaks here."""
        del text
        return Estimate()

    def speak(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        style: str,
        output: Path,
        check: Check,
        ledger: Ledger | None = None,
        pronounce: Mapping[str, str] = AS_WRITTEN,
    ) -> Speech:
        """See Speaker."""
        del ledger  # nothing is paid here
        reason = self.available()
        if reason is not None:
            raise HostTrouble(f"espeak: {reason}", retry_after=60)
        tongue = self._voice(language)
        if tongue is None:
            raise Unsupported(f"language {language!r}: espeak has {', '.join(sorted(languages()))}")
        if voice and voice not in VARIANTS:
            raise InvalidInput(f"voice {voice!r}: espeak has {', '.join(VARIANTS)}")
        pairs = tokens_of(text, language, pronounce)
        part = part_of(output)
        spoken = [word for _, word in pairs if word]
        request = {
            "text": " ".join(spoken),
            "voice": f"{tongue}+{voice}" if voice else tongue,
            "rate": round(WORDS_A_MINUTE / PACES.get(style, DEFAULT_PACE).length),
            "output": str(part),
        }
        try:
            marks = self._run(request, START_SECONDS + TOKEN_SECONDS * len(spoken), check)
            return finish(self, part, output, pairs, token_times(spoken, marks))
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

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
