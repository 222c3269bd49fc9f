"""What a provider can do: one Protocol a capability, with frozen results; no provider knows jobs or Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

from pipeline.film.script import Aspect, Quote, Script, Stat, Style, Word
from pipeline.providers.paid import Gate, Ledger
from pipeline.providers.pronounce import AS_WRITTEN

T = TypeVar("T", bound=BaseModel)

Capability = Literal["write", "speak", "film", "text", "moderate", "sound", "transcribe", "enhance"]

CALLS_AT_ONCE = 4  # of one job, to one vendor: more would leave its slots to nobody else

# Called often by a provider at work; it raises errors.Interrupted when the work must stop.
Check = Callable[[], None]


def no_check() -> None:
    """The Check of a caller that never stops a provider."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What a copywriter may know about one product; everything it says must come from here.

    `openings` is in how many ways it should begin; `price` and `url` are as the user typed them; `images` is how many
    pictures there are; the same `seed` gives the same words; `duration_seconds` (8-90) is what the whole film should last.
    """

    product_name: str
    description: str = ""
    features: tuple[str, ...] = ()
    stats: tuple[Stat, ...] = ()
    quotes: tuple[Quote, ...] = ()
    style: Style = "minimal"
    cta_text: str = ""
    url: str = ""
    price: str = ""
    duration_seconds: float = 20.0
    language: str = "en"
    images: int = 0
    seed: int = 0
    openings: int = 1

    @classmethod
    def of(cls, payload: Any) -> Brief:
        """From the payload of a film (pipeline/catalog/product_video.py)."""
        counted = {"images": len(payload.images), "openings": payload.variants}
        return cls(
            **counted, **{one.name: getattr(payload, one.name) for one in fields(cls) if one.name not in counted}
        )


@dataclass(frozen=True, slots=True)
class Speech:
    """A spoken text: a mono 16-bit WAV, its length in seconds, and each whitespace token of the text in time."""

    path: Path
    sample_rate: int
    duration_seconds: float
    words: tuple[Word, ...]
    provider: str
    version: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a call is likely to cost, and the most it can; USD. A local engine costs nothing."""

    likely_usd: float = 0.0
    most_usd: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.likely_usd + other.likely_usd, self.most_usd + other.most_usd)


@dataclass(frozen=True, slots=True)
class ClipOrder:
    """One moving picture: what to show, and from which still picture if any; `seconds` is what the film needs."""

    prompt: str
    aspect: Aspect
    seconds: float
    image: Path | None = None
    image_digest: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Clip:
    """A stored video file of a vendor's; its length may differ from the wish."""

    path: Path
    media_type: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """A task for a language model whose answer is one JSON object of the type `answer`.

    `name` says what it is for (copy, prompts, summary ...); `instructions` are ours and stay the same between calls,
    `content` is data that may come from strangers and is never obeyed.
    """

    name: str
    instructions: str
    content: str
    answer: type[T]
    most_tokens: int = 4000
    may_wait: bool = False  # a batch at half the price will do, within a day
    check: Callable[[T], None] | None = None  # raises BadReply for an answer that is of no use


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether texts may be used; `reason` is one sentence for the person who wrote them, `field` which one it is."""

    allowed: bool
    field: str = ""
    category: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word of a recording, seconds from its start; `speaker` as the engine names them ("" unknown)."""

    text: str
    start: float
    end: float
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a recording says."""

    language: str
    words: tuple[HeardWord, ...]
    duration_seconds: float
    provider: str


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


class Vendor(Provider, Protocol):
    """A hosted provider."""

    @property
    def gate(self) -> Gate:
        """What the fleet shares of its key."""

    def cancel_call(self, external_id: str) -> float | None:
        """Tell the vendor that nobody wants this call any more; what it costs all the same (None: nothing, or unknown)."""


def calls_at_once(vendor: Vendor) -> int:
    """How many calls of one stage are made to a vendor side by side: fewer where its key has fewer slots."""
    return min(CALLS_AT_ONCE, vendor.gate.slots or CALLS_AT_ONCE)


class Writer(Provider, Protocol):
    """Writes the script of a film."""

    def write(self, brief: Brief, check: Check, ledger: Ledger) -> Script:
        """The script for this brief; InvalidInput or Unsupported when it cannot be written."""

    def estimate(self, brief: Brief) -> Estimate:
        """What writing it costs."""


class Speaker(Provider, Protocol):
    """Turns text into sound and says when each word is spoken."""

    def speaks(self, language: str) -> bool:
        """Whether it can read this language (a tag such as `en` or `pt-BR`)."""

    def speak(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        style: str,
        output: Path,
        check: Check,
        ledger: Ledger,
        pronounce: Mapping[str, str] = AS_WRITTEN,
    ) -> Speech:
        """Speak the text into the WAV file `output`.

        `pronounce` says how words sound (pronounce.py); the words of the result stay as they are shown. `voice` is one of
        the provider's names, or "" for its own choice. InvalidInput when there is nothing to say or the voice is unknown, Unsupported for a language it lacks, TooLarge, HostTrouble when the engine is missing.
        """

    def estimate(self, text: str) -> Estimate:
        """What speaking it costs."""


class Filmer(Provider, Protocol):
    """Makes moving pictures."""

    def clip(self, order: ClipOrder, *, folder: Path, check: Check, ledger: Ledger) -> Clip:
        """Make a clip; `folder` is for files on their way. Refused when the vendor will not show this."""

    def estimate(self, order: ClipOrder) -> Estimate:
        """What the clip costs."""


class Author(Provider, Protocol):
    """Answers questions with text (capability `text`): copy, prompts, summaries."""

    def ask(self, question: Question[T], check: Check, ledger: Ledger) -> T:
        """The answer; Refused when the model will not give one, BadReply when it is not what was asked for."""

    def estimate(self, question: Question[Any]) -> Estimate:
        """What the answer costs."""


class Moderator(Provider, Protocol):
    """Says whether texts may be used, before money is spent on them."""

    def moderate(self, texts: Mapping[str, str], check: Check, ledger: Ledger) -> Verdict:
        """The verdict on these texts by field."""


class SoundMaker(Provider, Protocol):
    """Makes sounds that are no speech; WAV files."""

    def effect(self, prompt: str, seconds: float, *, output: Path, check: Check, ledger: Ledger) -> Path:
        """A sound effect."""

    def music(self, prompt: str, seconds: float, *, output: Path, check: Check, ledger: Ledger) -> Path:
        """A piece of music without voices."""


class Transcriber(Provider, Protocol):
    """Writes down what a recording says, and who says it."""

    def transcribe(
        self, audio: Path, *, digest: str, language: str, speakers: int | None, check: Check, ledger: Ledger
    ) -> Transcript:
        """The words in time; `digest` is the file's sha256, `speakers` how many speak (None: find out)."""


class Enhancer(Provider, Protocol):
    """Makes pictures better."""

    def enhance(self, image: Path, *, digest: str, folder: Path, check: Check, ledger: Ledger) -> Path:
        """The picture, larger and cleaner."""

    def cut_out(self, image: Path, *, digest: str, folder: Path, check: Check, ledger: Ledger) -> Path:
        """The picture's subject without its background (PNG with alpha)."""
