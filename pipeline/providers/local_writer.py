"""The copywriter that runs here: frames from phrases.py around the payload's own words, fitted to the duration.

It says only what the payload says. Nothing is cut inside a sentence: what does not fit is left out whole.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field, replace
from typing import ClassVar

from errors import InvalidInput
from pipeline.film.script import SceneKind, Script
from pipeline.providers import grammar
from pipeline.providers.base import Brief, Capability, Check, Estimate
from pipeline.providers.drafts import GAP_SECONDS, LEAD_SECONDS, TAIL_SECONDS, Draft, script_of
from pipeline.providers.grammar import Shape
from pipeline.providers.paid import Ledger
from pipeline.providers.phrases import BARE, SEVERAL, STYLES, Phrases
from pipeline.providers.proofs import proofs_of
from pipeline.providers.speech import is_english, speech_seconds

MOST_FEATURES, MOST_SENTENCES, MOST_LINES = 16, 14, 4
SHORT_SCENE_SECONDS = 2.0
SHORT_FILM_SECONDS = 12.0
_AMOUNT = re.compile(r"[$€£¥₹]?\s?\d[\d.,]*\s?(?:[$€£¥₹]|[A-Za-z]{3})?")


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
        if words[0] == "They" and grammar.third_person(words[1]):
            words[1] = grammar.base_form(words[1])
        return " ".join(words)

    def seconds(self, narration: str) -> float:
        """How long Piper takes for a narration, in this style."""
        return speech_seconds(narration, self.style)


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
    version: ClassVar[str] = "2"
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
        name = grammar.clean(brief.product_name).strip(" .,;:")
        if not _said(name):
            raise InvalidInput(f"product_name={brief.product_name!r} has no letter or digit that could be spoken")
        phrases = STYLES.get(brief.style, STYLES["minimal"]) if is_english(brief.language) else BARE
        voice = Voice(phrases, brief.style, brief.seed, grammar.plural_name(name))
        material = _material(brief, name, voice)
        target = brief.duration_seconds - LEAD_SECONDS - TAIL_SECONDS
        drafts = _arrange(material, best_plan(material, target, voice), voice)
        openings = _openings(brief, name, voice, drafts[0].narration)
        return script_of(brief, drafts, provider=self.name, openings=openings)


def film_seconds(script: Script) -> float:
    """How long the film of a script lasts: its speech, the gaps, the lead-in and the tail."""
    spoken = sum(speech_seconds(scene.narration, script.style) for scene in script.scenes)
    return LEAD_SECONDS + spoken + GAP_SECONDS * (len(script.scenes) - 1) + TAIL_SECONDS


def _openings(brief: Brief, name: str, voice: Voice, own: str) -> list[str]:
    """Other narrations of the first scene; InvalidInput when there are not so many."""
    frames = (*voice.phrases.hooks, *voice.phrases.quick_hooks)
    turned = (frames[(brief.seed + step) % len(frames)] for step in range(len(frames)))
    found = [text for text in dict.fromkeys(_fill(voice.it(frame), name=name) for frame in turned) if text != own]
    if len(found) < brief.openings - 1:
        raise InvalidInput(
            f"variants={brief.openings}: the local writer knows {len(found) + 1} opening in {brief.language!r}; "
            "ask for 1, or set the key of a hosted writer"
        )
    return found[: brief.openings - 1]


# -- what could be said --------------------------------------------------------------------------------------------


def _material(brief: Brief, name: str, voice: Voice) -> Material:
    sentences = grammar.sentences(brief.description)
    features: list[str] = []
    for text in brief.features:
        parts = grammar.sentences(text)
        # A feature of several sentences is a description that stands in the wrong field.
        if len(parts) == 1 and len(parts[0]) <= 110:
            features.append(parts[0].rstrip(".!,;: "))
        else:
            sentences += parts
    told = " ".join(sentences).lower()
    # A longer feature that the description already tells word for word would be said twice.
    fresh = [text for text in dict.fromkeys(features) if len(text.split()) < 3 or text.lower() not in told]
    features = [text for text in fresh if _said(text)][:MOST_FEATURES]
    heroes = tuple(
        _draft(voice, "hero", _fill(voice.it(voice.pick(options)), name=name), name)
        for options in (voice.phrases.hooks, voice.phrases.quick_hooks)
    )
    pieces = tuple(_piece(voice, text, step) for step, text in enumerate(sentences[:MOST_SENTENCES]))
    benefits = tuple(_benefit(voice, text, step) for step, text in enumerate(features))
    return Material(heroes, pieces, benefits, proofs_of(brief), tuple(features), _closers(brief, name, voice))


def _piece(voice: Voice, text: str, step: int) -> Draft:
    """A sentence of the description as it is, or a bare phrase made into one."""
    kind = grammar.shape(text.rstrip(".!?"))
    fragment = text[-1] not in ".!?" and kind in {Shape.NOUN, Shape.IDENTITY}
    if voice.phrases is not BARE and (kind == Shape.VERB or fragment):
        frame = "{it} {x}." if kind == Shape.VERB else "{it}'s {x}."
        narration = _statement(voice, text.rstrip(".!?"), kind, frame)
    else:
        narration = grammar.capital(grammar.ended(text))
    return _draft(voice, "benefit", narration, text, voice.pick(voice.phrases.kickers, step))


def _benefit(voice: Voice, text: str, step: int) -> Draft:
    kind = Shape.SENTENCE if voice.phrases is BARE else grammar.shape(text)
    frames = {
        Shape.SENTENCE: "{x}.",
        Shape.VERB: "{it} {x}.",
        Shape.STAYS: "{it} stays {x}.",
        Shape.ADJECTIVE: voice.pick(voice.phrases.are, step),
        Shape.IDENTITY: "{it}'s {x}.",
        Shape.NOUN: "You get {x}."
        if grammar.head_of(text) in grammar.SERVICES
        else voice.pick(voice.phrases.have, step),
    }
    narration = _statement(voice, text, kind, frames[kind])
    return _draft(voice, "benefit", narration, text, voice.pick(voice.phrases.kickers, step + 1))


def _statement(voice: Voice, text: str, kind: Shape, frame: str) -> str:
    """A phrase of a known shape as a sentence."""
    if kind == Shape.SENTENCE:
        return grammar.capital(grammar.ended(text))
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
    return _fill(frame, x=inner)


def _closers(brief: Brief, name: str, voice: Voice) -> tuple[tuple[Draft, ...], ...]:
    """Price and call to action: in full, without the address, and in a short film in one scene."""
    price = _said(grammar.clean(brief.price).rstrip(".,;:! "))
    full, brief_call = _calls(brief, name, voice)
    if not price:
        return ((full,), (brief_call,))
    plain = _AMOUNT.fullmatch(price)
    frame = voice.it(voice.pick(voice.phrases.prices)) if plain else voice.phrases.price_alone
    tag = _draft(voice, "price", _fill(frame, price=price), price, voice.phrases.price_kicker)
    if brief.duration_seconds >= SHORT_FILM_SECONDS:
        return ((tag, full), (tag, brief_call))
    both = [replace(call, narration=f"{tag.narration} {call.narration}", kicker=price) for call in (full, brief_call)]
    return tuple((replace(draft, seconds=voice.seconds(draft.narration)),) for draft in both)


def _calls(brief: Brief, name: str, voice: Voice) -> tuple[Draft, Draft]:
    shown = _said(grammar.clean(brief.cta_text).strip(" ,;:"))
    cta, url = grammar.calm(shown), _said(short_url(brief.url))
    farewell = _fill(voice.it(voice.pick(voice.phrases.farewells)), name=name)
    address = voice.pick(voice.phrases.address)
    address = _fill(voice.it(address), url=url)
    mark = "!" if voice.style == "playful" and voice.phrases is not BARE else "."
    spoken_cta = grammar.ended(cta, mark) if cta else ""
    words = cta.rstrip("!.").lower().split()
    if cta and url and url.lower() not in cta.lower():
        verb = words and words[0] in grammar.CALLS and "at" not in words and not cta.endswith("?")
        joined = _fill(voice.pick(voice.phrases.calls), cta=cta.rstrip("!."), url=url)
        texts = (joined if verb else f"{spoken_cta} {address}", spoken_cta)
    elif cta:
        texts = (f"{farewell} {spoken_cta}", spoken_cta)
    elif url:
        texts = (address, address)
    else:
        texts = (farewell, farewell)
    lines = (url,) if url else ()
    drafts = [_draft(voice, "cta", text, shown or url or name, name if shown or url else "", lines) for text in texts]
    return drafts[0], drafts[1]


def short_url(url: str) -> str:
    """What a person would type: `https://www.novaflask.com/shop?x=1` -> `novaflask.com`."""
    url = grammar.clean(url)
    return re.sub(r"^(?:[a-z]+://)?(?:www\.)?([^/?#\s]+).*$", r"\1", url, flags=re.IGNORECASE | re.DOTALL).rstrip(".")


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
    miss = abs(seconds - target) / max(target, 1.0)
    told = (plan.benefits + plan.lines) / max(1, len(material.features)) if material.features else 1.0
    alone = plan.lines and not plan.benefits
    cost = 20 * max(0.0, miss - 0.03) + (5 * max(0.0, seconds - target) / max(target, 1.0))
    cost += 0.6 * (1 - told) + (0.5 if material.pieces and not plan.pieces else 0) + 0.4 * bool(alone)
    # A proof was given to be seen: it goes before anything that merely describes.
    cost += 0.8 * (len(material.proofs) - plan.proofs)
    # A film wants its own hook and its own address; the short forms are for when they do not fit.
    cost += 0.15 * plan.hero + 0.6 * plan.closer + 0.05 * plan.pieces
    return replace(plan, cost=cost)


def _arrange(material: Material, plan: Plan, voice: Voice) -> list[Draft]:
    """The scenes in order: hook, the description's opening, benefits and the rest in turn, the list, proofs, the end."""
    pieces, benefits = list(material.pieces[: plan.pieces]), _gathered(material.benefits[: plan.benefits], voice)
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


def _gathered(benefits: tuple[Draft, ...], voice: Voice) -> list[Draft]:
    """Benefits with their link words; two very short neighbours share a scene."""
    found: list[Draft] = []
    for step, draft in enumerate(benefits):
        link = voice.pick(voice.phrases.links, step) if step else ""
        narration = link + (grammar.small(draft.narration) if link else draft.narration)
        previous = found[-1] if found else None
        if previous and previous.seconds + draft.seconds < 2 * SHORT_SCENE_SECONDS and previous.lines == ():
            merged = f"{previous.narration} {narration}"
            found[-1] = replace(previous, narration=merged, seconds=voice.seconds(merged))
        else:
            found.append(replace(draft, narration=narration))
    return found


def _list(voice: Voice, features: tuple[str, ...], step: int) -> Draft:
    """Several features in one breath, and on the screen as lines; the first things said are not "also" there."""
    nouns = all(grammar.shape(text) == Shape.NOUN for text in features)
    frames = tuple(
        frame
        for frame in voice.phrases.lists
        if (nouns or ": {x}" in frame) and (step or not {"also", "more"} & set(re.findall(r"\w+", frame)))
    )
    inner = [grammar.small(text) for text in features]
    inner = [grammar.with_article(text) for text in inner] if nouns and voice.phrases is not BARE else inner
    comma = "," if len(inner) > 2 or voice.phrases is BARE else ""
    joined = ", ".join(inner[:-1]) + comma + (" and " if voice.phrases is not BARE else " ") + inner[-1]
    narration = grammar.capital(_fill(voice.pick(frames or ("{x}.",), step), x=joined))
    lines = tuple(grammar.capital(text) for text in features)
    return _draft(voice, "features", narration, voice.phrases.list_kicker or lines[0], "", lines)


def _draft(
    voice: Voice, kind: SceneKind, narration: str, shown: str, kicker: str = "", lines: tuple[str, ...] = ()
) -> Draft:
    headline = grammar.short_headline(shown) if kind == "benefit" else shown
    if kind == "benefit" and _letters(headline) == _letters(narration):
        headline, kicker = (kicker, "") if kicker else (headline, "")
    return Draft(kind, narration, headline, kicker, lines, voice.seconds(narration))


def _fill(frame: str, **values: str) -> str:
    """The frame with its values; a value's own closing mark does not double the frame's."""
    text = frame.format(**values)
    return re.sub(r"([.!?])[.!]+(?=\s|$)", r"\1", text)


def _said(text: str) -> str:
    """The text, or "" when nothing of it can be said."""
    return text if re.search(r"[^\W_]", text) else ""


def _letters(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())
