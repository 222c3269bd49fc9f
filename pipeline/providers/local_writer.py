"""The copywriter that runs here: frames from phrases.py around the payload's own words, fitted to the duration.

It says only what the payload says. Nothing is cut inside a sentence: what does not fit is left out whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import ClassVar

from errors import InvalidInput
from pipeline.film.script import Script
from pipeline.providers import grammar, lexicon, prose
from pipeline.providers.base import Brief, Capability, Check, Estimate
from pipeline.providers.closing import closers
from pipeline.providers.drafts import GAP_SECONDS, LEAD_SECONDS, TAIL_SECONDS, Draft, script_of
from pipeline.providers.framing import Voice, draft_of, fill, said
from pipeline.providers.grammar import Shape
from pipeline.providers.paid import Ledger
from pipeline.providers.phrases import BARE, STYLES
from pipeline.providers.proofs import proofs_of
from pipeline.providers.speech import is_english, speech_seconds

MOST_FEATURES, MOST_SENTENCES, MOST_LINES = 12, 14, 4  # a payload has no more features
SHORT_SCENE_SECONDS = 2.0
# Over its length a film may be to tell what it would leave out, and never more than this share.
MOST_OVER = 0.13


@dataclass(frozen=True)
class Material:
    """Every scene the film could have; a plan says which."""

    heroes: tuple[Draft, ...]
    pieces: tuple[Draft, ...]  # from the description
    benefits: tuple[Draft, ...]  # one for each feature
    proofs: tuple[Draft, ...]  # the user's figures and quotations
    features: tuple[str, ...]
    closers: tuple[tuple[Draft, ...], ...]  # price and call, in fuller and shorter ways


@dataclass(frozen=True)
class Plan:
    """How many pieces, benefits, proofs and list lines; which hero and which closers."""

    pieces: int
    benefits: int
    proofs: int
    lines: int
    hero: int
    closer: int
    cost: float = field(default=0.0, compare=False)


class LocalWriter:
    """Writes English films from the payload's words; in any other language it says those words and no others."""

    name: ClassVar[str] = "local"
    capability: ClassVar[Capability] = "write"
    version: ClassVar[str] = "3"
    hosted: ClassVar[bool] = False

    def available(self) -> str | None:
        """Always here."""
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def estimate(self, brief: Brief) -> Estimate:
        """Nothing: it writes here."""
        del brief
        return Estimate()

    def write(self, brief: Brief, check: Check, ledger: Ledger | None = None) -> Script:
        """The script; InvalidInput when the product's name holds no letter or digit."""
        del ledger  # nothing is paid here
        check()
        brief = prose.without_markup(brief)
        name = prose.clean(brief.product_name).strip(" .,;:")
        if not said(name):
            raise InvalidInput(f"product_name={brief.product_name!r} has no letter or digit that could be spoken")
        phrases = STYLES.get(brief.style, STYLES["minimal"]) if is_english(brief.language) else BARE
        voice = Voice(phrases, brief.style, brief.seed, grammar.plural_name(name))
        material = _material(brief, name, voice)
        target = brief.duration_seconds - LEAD_SECONDS - TAIL_SECONDS
        plan = best_plan(material, target, voice)
        drafts = _arrange(material, plan, voice)
        openings = _openings(brief, name, voice, drafts[0].narration)
        return script_of(brief, drafts, provider=self.name, openings=openings, left_out=_left_out(material, plan))


def film_seconds(script: Script) -> float:
    """How long the film of a script lasts: its speech, the gaps, the lead-in and the tail."""
    spoken = sum(speech_seconds(scene.narration, script.style) for scene in script.scenes)
    return LEAD_SECONDS + spoken + GAP_SECONDS * (len(script.scenes) - 1) + TAIL_SECONDS


def _left_out(material: Material, plan: Plan) -> list[str]:
    """The features and proofs for which there was no time."""
    proofs = [proof.headline for proof in material.proofs[plan.proofs :]]
    return [*material.features[plan.benefits + plan.lines :], *proofs]


def _openings(brief: Brief, name: str, voice: Voice, own: str) -> list[str]:
    """Other narrations of the first scene; InvalidInput when there are not so many."""
    frames = (*voice.phrases.hooks, *voice.phrases.quick_hooks)
    turned = (frames[(brief.seed + step) % len(frames)] for step in range(len(frames)))
    found = [text for text in dict.fromkeys(fill(voice.it(frame), name=name) for frame in turned) if text != own]
    if len(found) < brief.openings - 1:
        raise InvalidInput(
            f"variants={brief.openings}: the local writer knows {len(found) + 1} opening in {brief.language!r}; "
            "ask for 1, or set the key of a hosted writer"
        )
    return found[: brief.openings - 1]


# -- what could be said --------------------------------------------------------------------------------------------


def _material(brief: Brief, name: str, voice: Voice) -> Material:
    sentences = prose.sentences(brief.description)
    features: list[str] = []
    for text in brief.features:
        parts = prose.sentences(text)
        # A feature of several sentences is a description that stands in the wrong field.
        if len(parts) == 1 and len(parts[0]) <= 110:
            features.append(parts[0].rstrip(prose.CLOSING))
        else:
            sentences += parts
    told = " ".join(sentences).lower()
    # A longer feature that the description already tells word for word would be said twice.
    fresh = [text for text in dict.fromkeys(features) if len(text.split()) < 3 or text.lower() not in told]
    features = [text for text in fresh if said(text)][:MOST_FEATURES]
    heroes = tuple(
        draft_of(voice, "hero", fill(voice.it(voice.pick(options)), name=name), name)
        for options in (voice.phrases.hooks, voice.phrases.quick_hooks)
    )
    pieces = tuple(_piece(voice, text, step) for step, text in enumerate(sentences[:MOST_SENTENCES]))
    benefits = tuple(_benefit(voice, text, step) for step, text in enumerate(features))
    return Material(heroes, pieces, benefits, proofs_of(brief), tuple(features), closers(brief, name, voice))


def _piece(voice: Voice, text: str, step: int) -> Draft:
    """A sentence of the description as it is, or a bare phrase made into one."""
    kind = grammar.shape(text.rstrip(".!?"))
    fragment = text[-1] not in prose.STOPS and kind in {Shape.NOUN, Shape.IDENTITY}
    if voice.phrases is not BARE and (kind == Shape.VERB or fragment):
        frame = "{it} {x}." if kind == Shape.VERB else "{it}'s {x}."
        narration = _statement(voice, text.rstrip(".!?"), kind, frame)
    else:
        narration = prose.capital(prose.ended(text))
    return draft_of(voice, "benefit", narration, text, voice.pick(voice.phrases.kickers, step))


def _benefit(voice: Voice, text: str, step: int) -> Draft:
    kind = Shape.FRAGMENT if voice.phrases is BARE else grammar.shape(text)
    frames = {
        Shape.SENTENCE: "{x}.",
        Shape.FRAGMENT: "{x}.",
        Shape.VERB: "{it} {x}.",
        Shape.STAYS: "{it} stays {x}.",
        Shape.ADJECTIVE: voice.pick(voice.phrases.are, step),
        Shape.IDENTITY: "{it}'s {x}.",
        Shape.NOUN: "You get {x}."
        if grammar.head_of(text) in lexicon.SERVICES
        else voice.pick(voice.phrases.have, step),
    }
    narration = _statement(voice, text, kind, frames[kind])
    draft = draft_of(voice, "benefit", narration, text, voice.pick(voice.phrases.kickers, step + 1))
    # A bare fragment is short enough to be read and heard at once.
    bare = kind == Shape.FRAGMENT and len(text) <= grammar.HEADLINE
    return replace(draft, headline=prose.capital(text)) if bare else draft


def _statement(voice: Voice, text: str, kind: Shape, frame: str) -> str:
    """A phrase of a known shape as a sentence."""
    if kind in {Shape.SENTENCE, Shape.FRAGMENT}:
        return prose.capital(prose.ended(text))
    inner = grammar.small(text)
    frame = voice.it(frame)
    match kind:
        case Shape.VERB:
            inner = grammar.plural_verb(inner) if voice.plural else inner
            frame = frame.replace("stays", "stay") if voice.plural else frame
        case Shape.STAYS:
            *amount, state = inner.split()
            inner = f"{state} for {' '.join(amount)}"
        case Shape.NOUN | Shape.IDENTITY:
            inner = grammar.with_article(inner)
        case _:
            pass
    return fill(frame, x=inner)


# -- what is said ----------------------------------------------------------------------------------------------------


def best_plan(material: Material, target: float, voice: Voice) -> Plan:
    """The plan whose film comes closest to `target` seconds of speech and gaps, and leaves little out."""
    plans = [
        Plan(pieces, benefits, proofs, lines, hero, closer)
        for hero in range(len(material.heroes))
        for closer in range(len(material.closers))
        for pieces in range(len(material.pieces) + 1)
        for benefits in range(len(material.benefits) + 1)
        for proofs in range(len(material.proofs) + 1)
        for lines in (0, 2, 3, MOST_LINES)
        if lines <= len(material.features) - benefits
    ]
    lists = _list_seconds(material, voice)
    return min((_cost(plan, material, target, lists) for plan in plans), key=lambda plan: plan.cost)


def _list_seconds(material: Material, voice: Voice) -> dict[tuple[int, int], float]:
    found = {}
    for first in range(len(material.features)):
        for count in (2, 3, MOST_LINES):
            if first + count <= len(material.features):
                found[first, count] = _list(voice, material.features[first : first + count], first).seconds
    return found


def _cost(plan: Plan, material: Material, target: float, lists: dict[tuple[int, int], float]) -> Plan:
    parts = [material.heroes[plan.hero], *material.closers[plan.closer]]
    parts += [*material.pieces[: plan.pieces], *material.benefits[: plan.benefits], *material.proofs[: plan.proofs]]
    seconds = sum(draft.seconds + GAP_SECONDS for draft in parts) - GAP_SECONDS
    if plan.lines:
        seconds += lists[plan.benefits, plan.lines] + GAP_SECONDS
    told = (plan.benefits + plan.lines) / len(material.features) if material.features else 1.0
    alone = plan.lines and not plan.benefits
    cost = _miss(seconds, target, all_told=told == 1)
    cost += 2.0 * (1 - told) + (0.8 if not told else 0)
    cost += (0.5 if material.pieces and not plan.pieces else 0) + 0.4 * bool(alone)
    # A proof was given to be seen: it goes before anything that merely describes.
    cost += 1.5 * (len(material.proofs) - plan.proofs)
    # A film wants its own hook and its own address; the short forms are for when they do not fit.
    cost += 0.15 * plan.hero + 0.6 * plan.closer + 0.05 * plan.pieces
    return replace(plan, cost=cost)


def _miss(seconds: float, target: float, *, all_told: bool) -> float:
    """What it costs to be shorter or longer than wanted; a film that tells everything may be somewhat longer."""
    off = (seconds - target) / max(target, 1.0)
    if off <= 0:
        return 20 * max(0.0, -off - 0.03)
    free = 0.08 if all_told else 0.03
    beyond = seconds - target - MOST_OVER * (target + LEAD_SECONDS + TAIL_SECONDS)
    return 20 * max(0.0, off - free) + 5 * off + 10 * max(0.0, beyond)


def _arrange(material: Material, plan: Plan, voice: Voice) -> list[Draft]:
    """The scenes in order: hook, the description's opening, benefits and the rest in turn, the list, proofs, the end."""
    pieces, benefits = list(material.pieces[: plan.pieces]), _gathered(material, plan.benefits, voice)
    middle = pieces[:1]
    rest = pieces[1:]
    while benefits or rest:
        # Spread the shorter of the two evenly through the longer.
        source = benefits if len(benefits) >= len(rest) else rest
        middle.append(source.pop(0))
    if plan.lines:
        chosen = material.features[plan.benefits : plan.benefits + plan.lines]
        middle.append(_list(voice, chosen, plan.benefits))
    return [
        material.heroes[plan.hero],
        *middle,
        *material.proofs[: plan.proofs],
        *material.closers[plan.closer],
    ]


def _gathered(material: Material, count: int, voice: Voice) -> list[Draft]:
    """Benefits with their link words; two very short neighbours share a scene, both as its lines."""
    found: list[Draft] = []
    for step, (draft, text) in enumerate(zip(material.benefits[:count], material.features, strict=False)):
        stands_alone = grammar.shape(text) == Shape.FRAGMENT
        link = voice.pick(voice.phrases.links, step) if step and not stands_alone else ""
        narration = link + (grammar.small(draft.narration) if link else draft.narration)
        previous = found[-1] if found else None
        if previous and previous.seconds + draft.seconds < 2 * SHORT_SCENE_SECONDS and previous.lines == ():
            lines = tuple(prose.capital(one) for one in material.features[step - 1 : step + 1])
            head = voice.pick(voice.phrases.kickers, step + 1)
            found[-1] = draft_of(voice, "features", f"{previous.narration} {narration}", head, "", lines)
        else:
            found.append(replace(draft, narration=narration))
    return found


def _list(voice: Voice, features: tuple[str, ...], step: int) -> Draft:
    """Several features in one breath, and on the screen as lines; the first things said are not "also" there."""
    kinds = set() if voice.phrases is BARE else {grammar.shape(text) for text in features}
    nouns = kinds == {Shape.NOUN}
    frames = tuple(
        frame
        for frame in voice.phrases.lists
        if (nouns or ": {x}" in frame) and (step or not {"also", "more"} & set(re.findall(r"\w+", frame)))
    )
    if any(":" in text for text in features):
        frames = ()
    inner = [grammar.small(text) for text in features]
    inner = [grammar.with_article(text) for text in inner] if nouns else inner
    if kinds == {Shape.VERB}:
        frames = (voice.it("{it} {x}."),)
        inner = [grammar.plural_verb(text) for text in inner] if voice.plural else inner
    elif kinds == {Shape.ADJECTIVE}:
        frames = tuple(voice.it(frame) for frame in voice.phrases.are)
    # What is of several shapes is only counted up: "keeps drinks cold, 750ml".
    joined = prose.listed(inner, "and" if len(kinds) == 1 and kinds != {Shape.FRAGMENT} else "")
    narration = prose.capital(fill(voice.pick(frames or ("{x}.",), step), x=joined))
    lines = tuple(prose.capital(text) for text in features)
    return draft_of(voice, "features", narration, voice.phrases.list_kicker or lines[0], "", lines)
