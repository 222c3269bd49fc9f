"""May these texts be used? The question, and its answer as a verdict."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from pydantic import BaseModel, ConfigDict

from pipeline.providers.base import Question, Verdict

INSTRUCTIONS = """\
You check texts that a business wants to have spoken and shown in a marketing video, before anything is made.
Refuse only what a reputable video vendor would refuse: sexual content, hate or harassment of a group or a person,
incitement to violence or self-harm, instructions for weapons, drugs or crime, fraud and impersonation, and personal
data of private people (home addresses, identity numbers, health data). Ordinary advertising, also loud or clumsy, is
allowed; so are alcohol, medicine and insurance where they are simply advertised. When in doubt, allow.

allowed: whether all texts may be used. When they may not: field is the name of the first text that may not, category one
or two words, reason one plain sentence for the person who wrote it. Otherwise these three are empty."""


class VerdictAnswer(BaseModel):
    """What the model answers."""

    model_config = ConfigDict(extra="forbid")

    allowed: bool
    field: str = ""
    category: str = ""
    reason: str = ""


def verdict_question(texts: Mapping[str, str]) -> Question[VerdictAnswer]:
    """The question about these texts by field."""
    content = orjson.dumps(dict(texts), option=orjson.OPT_SORT_KEYS).decode()
    return Question("moderation", INSTRUCTIONS, content, VerdictAnswer, most_tokens=1500)


def verdict_of(answer: VerdictAnswer) -> Verdict:
    """The verdict."""
    if answer.allowed:
        return Verdict(True)
    reason = answer.reason or "it may not be used in a video"
    return Verdict(False, answer.field[:80], answer.category[:80] or "content", reason[:300])
