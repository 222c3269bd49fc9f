"""The user's own words: said as they stand, dressed with what the payload has."""

from __future__ import annotations

from typing import Any

import pytest

from errors import InvalidInput
from pipeline.catalog.base import find_pipeline, validate_payload
from pipeline.providers.base import Brief
from pipeline.providers.own_script import own_script

BRIEF = Brief("Nova Flask", cta_text="Order now", price="$29", images=2)


def payload(*scenes: dict[str, Any]) -> Any:
    data = {"product_name": "Nova Flask", "script": scenes}
    return validate_payload(find_pipeline("product_video"), data)


def test_what_is_not_given_is_made_of_what_is() -> None:
    given = payload(
        {"narration": "Cold for a whole day."},
        {"narration": "It is light, and it fits every holder.", "kicker": "Up close"},
        {"narration": "You get a lid and a strap.", "lines": ["A lid", "A strap"]},
        {"narration": "It is twenty-nine dollars.", "kind": "price"},
        {"narration": "Get yours.", "headline": "Today"},
    )
    script = own_script(BRIEF, given.script)
    assert script.provider == "own"
    assert [scene.kind for scene in script.scenes] == ["hero", "benefit", "features", "price", "cta"]
    assert [scene.narration for scene in script.scenes] == [one.narration for one in given.script]
    assert [scene.headline for scene in script.scenes[:1]] == ["Nova Flask"]
    assert script.scenes[1].headline.startswith("Light")
    assert [scene.headline for scene in script.scenes[3:]] == ["$29", "Today"]
    assert [scene.image for scene in script.scenes] == [0, 1, 0, 1, 0]


def test_one_scene_is_a_script() -> None:
    assert own_script(BRIEF, payload({"narration": "Hello."}).script).scenes[0].kind == "hero"


@pytest.mark.parametrize(
    "scene", [{"narration": ""}, {"narration": "..."}, {"narration": "x" * 601}, {"headline": "x"}, {"kind": "intro"}]
)
def test_what_cannot_be_said_is_refused(scene: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"script"):
        payload(scene)
