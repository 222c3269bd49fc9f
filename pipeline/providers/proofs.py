"""The user's figures and quotations as scenes: shown and said word for word, whoever writes the rest of the script."""

from __future__ import annotations

from dataclasses import replace

from pipeline.providers import prose
from pipeline.providers.base import Brief
from pipeline.providers.drafts import GAP_SECONDS, Draft
from pipeline.providers.speech import is_english, speech_seconds

# Of a film: where they would take more, the last ones are left out.
MOST_SHARE = 0.45


def proofs_of(brief: Brief) -> tuple[Draft, ...]:
    """A scene for each; a quotation is said with its author's name where it has one and the language is English."""
    found = []
    for stat in brief.stats:
        narration = prose.capital(prose.ended(prose.clean(f"{stat.value} {stat.label}")))
        found.append(_proof(brief, Draft("stat", narration, stat.value, "", (stat.label,), stars=stat.stars)))
    for quote in brief.quotes:
        text = prose.clean(quote.text)
        said = prose.ended(text)
        narration = f"{quote.author} says: {said}" if quote.author and is_english(brief.language) else said
        lines = (quote.author,) if quote.author else ()
        found.append(_proof(brief, Draft("quote", narration, text, "", lines, stars=quote.stars)))
    return tuple(found)


def fitting_proofs(brief: Brief) -> tuple[Draft, ...]:
    """As many as leave the film room for the rest."""
    room, found = MOST_SHARE * brief.duration_seconds, []
    for draft in proofs_of(brief):
        room -= draft.seconds + GAP_SECONDS
        if room < 0:
            break
        found.append(draft)
    return tuple(found)


def _proof(brief: Brief, draft: Draft) -> Draft:
    return replace(draft, seconds=speech_seconds(draft.narration, brief.style))
