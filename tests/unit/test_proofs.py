"""The user's figures and quotations stand in every script word for word, whoever writes the rest."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from errors import InvalidInput
from pipeline.catalog.base import find_pipeline, validate_payload
from pipeline.film.script import Quote, Stat
from pipeline.providers.base import Brief
from pipeline.providers.proofs import fitting_proofs
from pipeline.providers.script_question import SceneAnswer, ScriptAnswer, drafts_of, script_question

STAT = Stat(value="10,000+", label="hikers", stars=5)
QUOTE = Quote(text="Best bottle I own", author="Mara K.")
BRIEF = Brief("Nova Flask", price="$29", stats=(STAT,), quotes=(QUOTE,), duration_seconds=30.0)


def test_a_model_is_not_asked_for_them_and_they_come_before_the_end() -> None:
    asked = orjson.loads(script_question(BRIEF).content)
    assert asked["duration_seconds"] < 30
    assert asked["shown_besides"] == ["10,000+ hikers.", "Mara K. says: Best bottle I own."]
    scenes = [
        SceneAnswer.model_validate({"kind": kind, "narration": "This is it.", "headline": "x"})
        for kind in ("hero", "price", "cta")
    ]
    drafts = drafts_of(ScriptAnswer(scenes=scenes), BRIEF)
    assert [one.kind for one in drafts] == ["hero", "stat", "quote", "price", "cta"]
    assert (drafts[1].headline, drafts[1].lines, drafts[1].stars) == ("10,000+", ("hikers",), 5)
    assert (drafts[2].headline, drafts[2].lines) == ("Best bottle I own", ("Mara K.",))


def test_a_model_without_them_is_asked_as_ever() -> None:
    asked = orjson.loads(script_question(replace(BRIEF, stats=(), quotes=())).content)
    assert asked["duration_seconds"] == 30
    assert "shown_besides" not in asked


def test_they_leave_room_for_the_rest_of_a_short_film() -> None:
    long = Quote(text="word " * 35)
    assert fitting_proofs(replace(BRIEF, quotes=(long, long), duration_seconds=10.0)) == fitting_proofs(
        replace(BRIEF, quotes=(), duration_seconds=10.0)
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"stats": [{"value": "many", "label": "hikers"}]}, "stats.0.value='many': should have a number"),
        ({"stats": [{"value": "10", "label": "..."}]}, "stats.0.label='...': should have at least one letter"),
        ({"quotes": [{"text": "Good", "stars": 6}]}, "quotes.0.stars=6: should be less than or equal to 5"),
        ({"quotes": [{"text": "Good", "by": "Jo"}]}, "field 'by' is not one of quotes.0 of product_video"),
    ],
)
def test_a_wrong_one_is_named(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate_payload(find_pipeline("product_video"), {"product_name": "Nova", **given})
    assert sentence in str(caught.value)
