"""What the voices that run here share: nothing is paid, and a text is spoken into a part that is checked and then named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from errors import HostTrouble
from pipeline.providers.base import Capability, Check, Estimate, Speech
from pipeline.providers.paid import Ledger
from pipeline.providers.pronounce import AS_WRITTEN
from pipeline.providers.readable import require_readable
from pipeline.providers.speech import DEFAULT_PACE, PACES, Pace, finish, part_of, tokens_of

Times = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Wish:
    """What an engine is to say: its spoken tokens, in which language and voice, how fast, into which WAV."""

    tokens: list[str]
    language: str
    voice: str
    pace: Pace
    output: Path


class LocalSpeaker:
    """A Speaker without a vendor; a voice says what it accepts, and says its tokens."""

    name: ClassVar[str]
    capability: ClassVar[Capability] = "speak"
    hosted: ClassVar[bool] = False

    def available(self) -> str | None:
        """None, or what is missing."""
        raise NotImplementedError

    def accept(self, language: str, voice: str) -> None:
        """Unsupported for a language that it lacks, InvalidInput for a voice."""
        raise NotImplementedError

    def say(self, wish: Wish, check: Check) -> Times:
        """Write the sound to the wish's output; the first and last sample of each token."""
        raise NotImplementedError

    def estimate(self, text: str) -> Estimate:
        """Nothing: it speaks here."""
        del text
        return Estimate()

    def require(self) -> None:
        """HostTrouble when something is missing."""
        if (reason := self.available()) is not None:
            raise HostTrouble(f"{self.name}: {reason}", retry_after=60)

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
        self.accept(language, voice)
        pairs = tokens_of(text, language, pronounce)
        part = part_of(output)
        tokens = [spoken for _, spoken in pairs if spoken]
        require_readable(tokens, language, self.name)
        try:
            times = self.say(Wish(tokens, language, voice, PACES.get(style, DEFAULT_PACE), part), check)
            return finish(self, part, output, pairs, times)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
