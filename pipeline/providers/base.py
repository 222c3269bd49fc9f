"""What a provider can do: one Protocol a capability, with frozen results; no provider knows jobs or Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Protocol

from pipeline.film.script import Script, Style, Word

Capability = Literal["write", "speak", "film"]

# Called often by a provider at work; it raises errors.Interrupted when the work must stop.
Check = Callable[[], None]


def no_check() -> None:
    """The Check of a caller that never stops a provider."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What a copywriter may know about one product; everything it says must come from here.

    `price` and `url` are as the user typed them; `images` is how many pictures there are; the same `seed` gives
    the same words; `duration_seconds` (8-90) is what the whole film should last.
    """

    product_name: str
    description: str = ""
    features: tuple[str, ...] = ()
    style: Style = "minimal"
    cta_text: str = ""
    url: str = ""
    price: str = ""
    duration_seconds: float = 20.0
    language: str = "en"
    images: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Speech:
    """A spoken text: a mono 16-bit WAV, its length in seconds, and each whitespace token of the text in time."""

    path: Path
    sample_rate: int
    duration_seconds: float
    words: tuple[Word, ...]
    provider: str
    version: str


class Provider(Protocol):
    """What every provider has; `version` changes whenever the same request would give another answer."""

    name: ClassVar[str]
    capability: ClassVar[Capability]
    version: ClassVar[str]
    hosted: ClassVar[bool]

    def available(self) -> str | None:
        """None when it can work on this host, else one sentence that says what is missing."""

    def close(self) -> None:
        """Let go of children and connections; a later call may open them again."""


class Writer(Provider, Protocol):
    """Writes the script of a film."""

    def write(self, brief: Brief, check: Check) -> Script:
        """The script for this brief; InvalidInput or Unsupported when it cannot be written."""


class Speaker(Provider, Protocol):
    """Turns text into sound and says when each word is spoken."""

    def speaks(self, language: str) -> bool:
        """Whether it can read this language (a tag such as `en` or `pt-BR`)."""

    def speak(self, text: str, *, language: str, voice: str, style: str, output: Path, check: Check) -> Speech:
        """Speak the text into the WAV file `output`.

        `voice` is one of the provider's names, or "" for its own choice. InvalidInput when there is nothing to say
        or the voice is unknown, Unsupported for a language it lacks, TooLarge, HostTrouble when the engine is missing.
        """
