"""The question for a film's script, and its answer as scenes after a check of every promise it makes."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from errors import BadReply
from pipeline.providers.base import Brief, Question
from pipeline.providers.drafts import GAP_SECONDS, Draft
from pipeline.providers.proofs import fitting_proofs
from pipeline.providers.speech import speech_seconds

FEWEST, MOST = 2, 14
# Of the wanted duration: a film may be a little shorter or longer than it was asked for, not half or double.
SHORTEST, LONGEST = 0.45, 1.5
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
INSTRUCTIONS = """\
You write the script of a short product film: scenes with a spoken narration and the words on the screen.

What it says comes from the data alone. No number, price, rating, award, customer, comparison, guarantee or discount that is
not in the data, and nothing about the product that the data does not say. Write in the language of `language`.

- scenes: the first is a hero (a hook of one short sentence that names the product), the last a cta (what to do now: cta_text,
  and url when there is one). Between them benefit scenes (one feature or one part of the description each), features (up to
  four in one scene, listed in `lines`) and, only when a price is given, one price scene.
- narration: what is spoken, whole sentences, plain words, no lists, no emoji, no stage directions, no markup.
- All narrations together are spoken in about `duration_seconds`, at 2.4 words a second; a scene takes 2 to 6 seconds.
- headline: what is shown, at most 60 characters, not the narration again. kicker: a line above it of at most 30 characters,
  or empty. lines: only in a features scene, two to four of at most 60 characters each; else empty.
- shown_besides has scenes of their own, which are not yours to write: say nothing of them.
- openings: `other_openings` other narrations for the hero scene, each with another hook; without that number none.
- style gives the tone: minimal is calm and exact, bold is short and loud, elegant is slow and well-mannered, playful is light."""


class SceneAnswer(BaseModel):
    """One scene as the model writes it."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    kind: Literal["hero", "benefit", "features", "price", "cta"]
    narration: str = Field(min_length=2, max_length=600)
    headline: str = Field(max_length=90)
    kicker: str = Field("", max_length=45)
    lines: list[str] = Field([], max_length=4)


class ScriptAnswer(BaseModel):
    """The whole answer."""

    model_config = ConfigDict(extra="forbid")

    scenes: list[SceneAnswer]
    openings: list[Annotated[str, Field(min_length=2, max_length=300)]] = Field([], max_length=4)


def script_question(brief: Brief) -> Question[ScriptAnswer]:
    """The question for this brief."""
    proofs = fitting_proofs(brief)
    duration = brief.duration_seconds - sum(one.seconds + GAP_SECONDS for one in proofs)
    facts = {
        "product_name": brief.product_name,
        "description": brief.description,
        "features": list(brief.features),
        "style": brief.style,
        "cta_text": brief.cta_text,
        "url": brief.url,
        "price": brief.price,
        "duration_seconds": round(duration, 1) if proofs else brief.duration_seconds,
        "language": brief.language,
    }
    if proofs:
        facts["shown_besides"] = [one.narration for one in proofs]
    if brief.openings > 1:
        facts["other_openings"] = brief.openings - 1
    if brief.seed:
        facts["variation"] = brief.seed  # another seed asks for other words, and the same one finds its stored answer
    content = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode()
    most_tokens = 3000 + round(60 * brief.duration_seconds)  # thinking counts too
    return Question(
        "script", INSTRUCTIONS, content, ScriptAnswer, most_tokens, check=lambda answer: check_script(answer, brief)
    )


def check_script(answer: ScriptAnswer, brief: Brief) -> None:
    """BadReply with what is wrong with a script: its scenes, its length, or a number that nobody gave."""
    scenes = answer.scenes
    if not FEWEST <= len(scenes) <= MOST:
        raise BadReply(f"the script has {len(scenes)} scenes, not {FEWEST} to {MOST}")
    if (first := scenes[0].kind) != "hero" or scenes[-1].kind != "cta":
        raise BadReply(f"the script begins with {first} and ends with {scenes[-1].kind}, not with hero and cta")
    seconds = sum(speech_seconds(scene.narration, brief.style) + GAP_SECONDS for scene in scenes)
    seconds += sum(one.seconds + GAP_SECONDS for one in fitting_proofs(brief))
    if not SHORTEST <= seconds / brief.duration_seconds <= LONGEST:
        raise BadReply(f"the script takes about {seconds:.0f} s, and {brief.duration_seconds:.0f} s were asked for")
    if len(set(answer.openings)) < brief.openings - 1:
        raise BadReply(f"the script has {len(answer.openings)} other openings, not {brief.openings - 1}")
    known = " ".join((brief.product_name, brief.description, *brief.features, brief.cta_text, brief.url, brief.price))
    texts = [" ".join((scene.narration, scene.headline, scene.kicker, *scene.lines)) for scene in scenes]
    for said in (*texts, *answer.openings):
        if invented := set(_NUMBER.findall(said)) - set(_NUMBER.findall(known)):
            raise BadReply(f"the script says {min(invented)}, which the payload does not")


def drafts_of(answer: ScriptAnswer, brief: Brief) -> list[Draft]:
    """The scenes of a checked answer, with the user's figures and quotations before the end."""
    written = [Draft(one.kind, one.narration, one.headline, one.kicker, tuple(one.lines)) for one in answer.scenes]
    end = next((at for at, one in enumerate(written) if one.kind in {"price", "cta"} and at), len(written))
    return [*written[:end], *fitting_proofs(brief), *written[end:]]
