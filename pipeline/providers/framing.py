"""How the local copywriter talks: the frames of a style around the payload's words, for one thing or several."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from pipeline.film.script import SceneKind
from pipeline.providers import grammar, lexicon, prose
from pipeline.providers.drafts import Draft
from pipeline.providers.phrases import BARE, SEVERAL, Phrases
from pipeline.providers.speech import speech_seconds


@dataclass(frozen=True)
class Voice:
    """How this film talks: its style's phrases, turned by the seed, and whether the product is It or They."""

    phrases: Phrases
    style: str
    seed: int
    plural: bool

    def pick(self, options: tuple[str, ...], step: int = 0) -> str:
        """One of the options; neighbouring seeds and steps take neighbouring ones, so that they differ."""
        return options[(self.seed + step + zlib.crc32(options[0].encode())) % len(options)]

    def it(self, frame: str) -> str:
        """A frame that begins with {it}, for one thing or several: "It has {x}.", "They have {x}."."""
        if not self.plural:
            return frame.replace("{it}", "It")
        frame = frame.replace("{it}'s", "They're").replace("{it} is", "They are").replace("{it}", "They")
        for one, several in SEVERAL:
            frame = frame.replace(one, several)
        words = re.sub(r"\bit\b(?!')", "them", frame).split(" ")
        if words[0] == "They" and lexicon.third_person(words[1]):
            words[1] = lexicon.base_form(words[1])
        return " ".join(words)

    @property
    def mark(self) -> str:
        """What closes a call."""
        return "!" if self.style == "playful" and self.phrases is not BARE else "."

    def seconds(self, narration: str) -> float:
        """How long Piper takes for a narration, in this style."""
        return speech_seconds(narration, self.style)


def draft_of(
    voice: Voice, kind: SceneKind, narration: str, shown: str, kicker: str = "", lines: tuple[str, ...] = ()
) -> Draft:
    """A scene; where a sentence is too long for a headline and has no part that makes one, its kicker takes that place."""
    headline = grammar.short_headline(shown) if kind == "benefit" else shown
    if not headline:
        headline, kicker = kicker, ""
    return Draft(kind, narration, headline, kicker, lines, voice.seconds(narration))


def fill(frame: str, **values: str) -> str:
    """The frame with its values; a value's own closing mark does not double the frame's."""
    if re.fullmatch(r"(?:\{\w+\}\. ?)+", frame):  # no word of ours: each value ends as its script does
        return re.sub(r"\{(\w+)\}\.", lambda found: prose.ended(values[found[1]]), frame)
    text = frame.format(**values)
    return re.sub(r"([.!?…。！？।۔])[.!]+(?=\s|$)", r"\1", re.sub(r"[.!?]+\?(?=\s|$)", "?", text))  # noqa: RUF001


def said(text: str) -> str:
    """The text, or "" when nothing of it can be said."""
    return text if re.search(r"[^\W_]", text) else ""
