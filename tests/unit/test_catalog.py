"""Pipelines: payloads are checked where they are typed, with the nearest name suggested; graphs have no holes."""

from collections.abc import Callable
from typing import Any

import pytest

from errors import InvalidInput
from pipeline.catalog.base import declared_queues, find_pipeline, pipelines, plan_first, validate_payload
from pipeline.catalog.complaints import nearest
from pipeline.catalog.selftest import SECOND_QUEUE, SelftestPayload, steps
from pipeline.stage import find_stage, plan_steps, queue_of, stages
from settings import NAME_PATTERN

FULL: dict[str, dict[str, Any]] = {"product_video": {"product_name": "Nova Flask"}, "selftest": {}}


def refuse(pipeline: str, data: dict[str, Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        validate_payload(find_pipeline(pipeline), data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(pipelines()))
def test_every_pipeline_is_whole(name: str) -> None:
    import re

    pipeline = pipelines()[name]
    assert re.fullmatch(NAME_PATTERN, name)
    assert all(stage in stages() for stage in pipeline.stages)
    assert all(re.fullmatch(NAME_PATTERN, queue) for queue in (pipeline.default_queue(), *pipeline.queues))
    assert set(pipeline.file_fields) <= set(pipeline.payload.model_fields)


@pytest.mark.parametrize("name", sorted(FULL))
def test_the_first_stage_is_known_without_importing_stages(name: str) -> None:
    pipeline = find_pipeline(name)
    payload = validate_payload(pipeline, FULL[name])
    planned = plan_steps(pipeline, payload)
    assert plan_first(pipeline, payload, None) == (planned[0].name, queue_of(planned[0], pipeline.default_queue()))


def test_an_unknown_pipeline_and_stage_are_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="pipeline='produkt_video' is unknown; did you mean 'product_video'"):
        find_pipeline("produkt_video")
    with pytest.raises(InvalidInput, match="did you mean 'voice_gen'"):
        find_stage("voicegen")


def test_without_a_near_name_all_are_listed() -> None:
    assert nearest("zzz", {"b": 1, "a": 2}) == "; there is a, b"


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ({"product_name": "x", "stile": "bold"}, ("'stile'", "did you mean 'style'")),
        ({"product_name": "x", "style": "minimall"}, ("style='minimall'", "did you mean 'minimal'")),
        ({}, ("'product_name' is required",)),
        ({"product_name": ""}, ("product_name=''",)),
        ({"product_name": "---"}, ("product_name='---'", "letter or digit")),
        ({"product_name": "x" * 500}, ("product_name=",)),
        ({"product_name": "x", "duration_seconds": 5}, ("duration_seconds=5",)),
        ({"product_name": "x", "images": ["http://x/y.png"]}, ("images", "https://")),
        ({"product_name": "x", "features": ["ok", ""]}, ("features.1",)),
        ({"product_name": ["x"]}, ("product_name",)),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_would_be_right(
    data: dict[str, Any], parts: tuple[str, ...]
) -> None:
    sentence = refuse("product_video", data)
    assert all(part in sentence for part in parts), sentence
    assert len(sentence) < 400


def test_a_rule_over_several_fields_is_told_in_a_sentence() -> None:
    assert "fail_at=3 is past the last of 2 stages" in refuse("selftest", {"stages": 2, "fail_at": 3})


@pytest.mark.parametrize("count", [1, 2, 5, 50])
@pytest.mark.parametrize("branches", [1, 2, 7, 16])
def test_the_graph_of_selftest_has_no_holes_and_one_end(count: int, branches: int) -> None:
    plan = steps(SelftestPayload(stages=count, branches=branches))
    names = [step.name for step in plan]
    assert len(set(names)) == count
    for number, step in enumerate(plan):
        assert set(step.needs) <= set(names[:number])
    needed = {name for step in plan for name in step.needs}
    assert set(names) - needed == {names[-1]} or branches == 1


def test_queues_are_declared_by_pipelines_and_settings(setting: Callable[[str, object], None]) -> None:
    assert set(declared_queues()) >= {"video_generation_queue", SECOND_QUEUE}
    setting("STAGE_QUEUES", "voice_gen=gpu-queue")
    assert "gpu-queue" in declared_queues()
    pipeline = find_pipeline("product_video")
    voice = next(
        step
        for step in plan_steps(pipeline, validate_payload(pipeline, FULL["product_video"]))
        if step.name == "voice_gen"
    )
    assert queue_of(voice, "home") == "gpu-queue"


def test_a_payload_cannot_be_changed() -> None:
    payload = validate_payload(find_pipeline("selftest"), {})
    with pytest.raises(ValueError, match="frozen"):
        payload.stages = 9  # type: ignore[attr-defined]
