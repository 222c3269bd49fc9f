"""How a film of the local copywriter ends: its price, its call to action and its address."""

from __future__ import annotations

import re
from dataclasses import replace

from pipeline.film.layout import short_address
from pipeline.providers import grammar, lexicon, prose
from pipeline.providers.base import Brief
from pipeline.providers.drafts import Draft
from pipeline.providers.framing import Voice, draft_of, fill, said
from pipeline.providers.phrases import BARE

SHORT_FILM_SECONDS = 12.0
_SUM = r"(?:[A-Z]{0,3}[$€£¥₹]|[A-Z]{3})?\s?\d[\d.,]*[-–]?\s?(?:[$€£¥₹]|[A-Za-z]{3}\b)?"  # noqa: RUF001
_AMOUNT = re.compile(_SUM + r"(?:\s?/\s?[a-z]+|\s(?:a|an|per|each)\b(?:\s[a-z]+)?)?")
_LEAST = re.compile(rf"(?:from|starting (?:at|from)|about|around|under|up to)\s+{_AMOUNT.pattern}", re.IGNORECASE)


def closers(brief: Brief, name: str, voice: Voice) -> tuple[tuple[Draft, ...], ...]:
    """Price and call to action: in full, without the address, and in a short film in one scene."""
    price = said(prose.clean(brief.price).rstrip(".,;:! "))
    full, brief_call = _calls(brief, name, voice)
    if not price:
        return ((full,), (brief_call,))
    tag = draft_of(voice, "price", _price(price, voice), price, voice.phrases.price_kicker)
    if brief.duration_seconds >= SHORT_FILM_SECONDS:
        return ((tag, full), (tag, brief_call))
    both = [replace(call, narration=f"{tag.narration} {call.narration}", kicker=price) for call in (full, brief_call)]
    return tuple((replace(draft, seconds=voice.seconds(draft.narration)),) for draft in both)


def _price(price: str, voice: Voice) -> str:
    """An amount in a frame of its style; "50% off" and "Price: $20" as they stand."""
    if voice.phrases is BARE:
        return fill("{price}.", price=price)
    if _AMOUNT.fullmatch(price):
        return fill(voice.it(voice.pick(voice.phrases.prices)), price=price)
    if _LEAST.fullmatch(price):
        frame = voice.phrases.price_alone
        return fill(frame, price=prose.capital(price) if "? {" in frame else grammar.small(price))
    return prose.ended(prose.capital(prose.calm(price)), voice.mark)


def _calls(brief: Brief, name: str, voice: Voice) -> tuple[Draft, Draft]:
    shown = said(prose.clean(brief.cta_text).strip(" ,;:"))
    cta, url = prose.calm(shown), said(short_url(brief.url))
    farewell = fill(voice.it(voice.pick(voice.phrases.farewells)), name=name)
    address = voice.pick(voice.phrases.address)
    address = fill(voice.it(address), url=url)
    spoken_cta = prose.ended(cta, voice.mark) if cta else ""
    if cta and url and url.lower() not in cta.lower():
        joined = fill(voice.pick(voice.phrases.calls), cta=cta.rstrip(prose.CLOSING), url=url)
        texts = (joined if _leads_somewhere(cta, voice) else f"{spoken_cta} {address}", spoken_cta)
    elif cta:
        texts = (f"{farewell} {spoken_cta}", spoken_cta)
    elif url:
        texts = (address, address)
    else:
        texts = (farewell, farewell)
    lines = (url,) if url else ()
    drafts = [draft_of(voice, "cta", text, shown or url or name, name if shown or url else "", lines) for text in texts]
    return drafts[0], drafts[1]


def _leads_somewhere(cta: str, voice: Voice) -> bool:
    """Whether an address can follow a call in one sentence: "Buy now at ...", but not "Call 555 0199 at ..."."""
    words = cta.rstrip("!.").lower().split()
    if voice.phrases is BARE:
        return not cta.endswith(tuple(prose.STOPS))
    other = (
        {"at", "via", "from"} & set(words)
        or ("us" in words and words[0] not in {"visit", "join", "see", "find"})
        or any(sign.isdigit() or sign in "@,;:" for sign in cta)
    )
    return bool(words) and words[0] in lexicon.CALLS - {"call"} and not other and not cta.endswith("?")


def short_url(url: str) -> str:
    """What a person would say of an address, its host: `https://www.novaflask.com/shop?x=1` -> `novaflask.com`."""
    return re.split(r"[/\s]", short_address(prose.clean(url)), maxsplit=1)[0].rstrip(".")
