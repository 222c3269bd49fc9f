"""The question for subtitles in another language than the one that is spoken."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from pydantic import BaseModel, ConfigDict

from errors import BadReply
from pipeline.providers.base import Question

LONGEST = 3.0  # how much longer than its text a translation may be, and then some
INSTRUCTIONS = """\
You translate the narrations of a short product film into subtitles.

- translations: one for each of `texts`, in their order, in the language `into`; whole sentences that can be read in the time in which
  the text is spoken, so rather shorter than longer. Names, numbers, prices and addresses stay as they are. No notes."""


class SubtitleAnswer(BaseModel):
    """The translations, in the order of the texts."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    translations: list[str]


def subtitle_question(texts: Sequence[str], language: str, into: str) -> Question[SubtitleAnswer]:
    """`language` and `into` are language tags."""
    content = orjson.dumps({"texts": list(texts), "language": language, "into": into}).decode()
    most_tokens = 2000 + 3 * sum(map(len, texts))
    return Question(
        "subtitles", INSTRUCTIONS, content, SubtitleAnswer, most_tokens, check=lambda one: _check(one, texts)
    )


def _check(answer: SubtitleAnswer, texts: Sequence[str]) -> None:
    if len(answer.translations) != len(texts):
        raise BadReply(f"there are {len(answer.translations)} translations of {len(texts)} texts")
    for text, said in zip(texts, answer.translations, strict=True):
        if not any(map(str.isalnum, said)):
            raise BadReply(f"the translation of {text[:40]!r} has no words")
        if len(said) > LONGEST * len(text) + 60:
            raise BadReply(f"the translation of {text[:40]!r} is {len(said)} letters long")
