"""A writer and a moderator made of any author: the questions are ours, the vendor only answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from pipeline.film.script import Script
from pipeline.providers.base import Author, Brief, Capability, Check, Estimate, Vendor, Verdict
from pipeline.providers.drafts import script_of
from pipeline.providers.paid import Gate, Ledger
from pipeline.providers.script_question import drafts_of, script_question
from pipeline.providers.subtitle_question import subtitle_question
from pipeline.providers.verdict_question import verdict_of, verdict_question


class HostedAuthor(Author, Vendor, Protocol):
    """An author behind a vendor's key."""


class Asking:
    """A provider that asks an author of the same vendor."""

    name: ClassVar[str]
    hosted: ClassVar[bool] = True
    version: ClassVar[str] = "1"

    def __init__(self, author: HostedAuthor) -> None:
        self.author = author

    @property
    def gate(self) -> Gate:
        """The author's."""
        return self.author.gate

    def available(self) -> str | None:
        """As the author."""
        return self.author.available()

    def cancel_call(self, external_id: str) -> float | None:
        """As the author."""
        return self.author.cancel_call(external_id)

    def close(self) -> None:
        """Let go of connections."""
        self.author.close()


class AskedWriter(Asking):
    """Writes scripts by asking a language model, and checks what it wrote."""

    capability: ClassVar[Capability] = "write"

    def write(self, brief: Brief, check: Check, ledger: Ledger) -> Script:
        """The script for this brief; Refused when the model will not write it, BadReply when it is no use."""
        answer = self.author.ask(script_question(brief), check, ledger)
        openings = list(dict.fromkeys(answer.openings))[: brief.openings - 1]
        return script_of(brief, drafts_of(answer, brief), provider=self.name, openings=openings)

    def translate(
        self, texts: Sequence[str], language: str, into: str, check: Check, ledger: Ledger
    ) -> tuple[str, ...]:
        """Each text in another language, for subtitles."""
        return tuple(self.author.ask(subtitle_question(texts, language, into), check, ledger).translations)

    def translate_estimate(self, text: str, language: str, into: str) -> Estimate:
        """What that costs."""
        return self.author.estimate(subtitle_question([text], language, into))

    def estimate(self, brief: Brief) -> Estimate:
        """What writing it costs."""
        return self.author.estimate(script_question(brief))


class AskedModerator(Asking):
    """Asks a language model whether texts may be used."""

    capability: ClassVar[Capability] = "moderate"

    def moderate(self, texts: Mapping[str, str], check: Check, ledger: Ledger) -> Verdict:
        """The verdict on these texts by field."""
        return verdict_of(self.author.ask(verdict_question(texts), check, ledger))

    def estimate(self, texts: Mapping[str, str]) -> Estimate:
        """What judging these texts costs."""
        return self.author.estimate(verdict_question(texts))
