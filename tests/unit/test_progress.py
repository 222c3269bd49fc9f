"""Progress: the weighted sum of all steps, 0 to 100, never falling, however branches interleave."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog.base import Step
from pipeline.progress import ProgressMeter

FOUR = [Step(name, name, (), 25.0) for name in ("script_gen", "voice_gen", "video_gen", "compositing")]


class Told:
    """What was published."""

    def __init__(self) -> None:
        self.said: list[tuple[float, str, tuple[str, ...]]] = []

    def __call__(self, progress: float, stage: str, active: Sequence[str], message: str) -> None:
        self.said.append((progress, stage, tuple(active)))


def test_four_stages_share_the_whole_and_each_boundary_is_told() -> None:
    told = Told()
    meter = ProgressMeter(FOUR, told)
    for step in FOUR:
        meter.start(step.name)
        meter.finish(step.name)
    boundaries = [progress for progress, _, _ in told.said]
    assert boundaries == [25, 25, 50, 50, 75, 75, 100]
    assert told.said[1] == (25.0, "voice_gen", ("voice_gen",))
    assert told.said[-1][1] == "compositing"


def test_the_stage_is_the_one_whose_range_holds_the_progress() -> None:
    meter = ProgressMeter(FOUR, Told())
    assert meter.stage() == "script_gen"
    meter.report("script_gen", 0.5)
    assert (meter.value, meter.stage()) == (12.5, "script_gen")
    meter.finish("script_gen")
    assert meter.stage() == "voice_gen"


def test_what_was_done_before_counts_and_a_restart_does_not_fall_back() -> None:
    meter = ProgressMeter(FOUR, Told(), start=60.0)
    meter.done("script_gen")
    assert meter.value == 60
    meter.report("voice_gen", 0.1)
    assert meter.value == 60
    meter.done("voice_gen")
    meter.done("video_gen")
    assert meter.value == 75


def test_the_progress_of_a_checkpoint_is_that_of_its_end() -> None:
    meter = ProgressMeter(FOUR, Told())
    meter.report("script_gen", 0.4)
    assert meter.after("script_gen") == 25
    assert meter.after("voice_gen") == 35


def test_items_count_by_what_each_has_done_in_whatever_order() -> None:
    meter = ProgressMeter(FOUR, Told())
    meter.split("script_gen", {"0": True, "1": False, "2": False, "3": False, "4": False})
    meter.report("script_gen", 0.5, item="4")
    assert meter.value == pytest.approx(25 * 1.5 / 5)
    assert meter.after("script_gen", "4") == pytest.approx(25 * 2 / 5)
    assert meter.after("script_gen", "1") == pytest.approx(25 * 2.5 / 5)
    meter.report("script_gen", 1.0, item="4")
    meter.report("script_gen", 0.2, item="4")  # tried again: it is not undone
    meter.report("script_gen", -1.0, item="1")
    assert meter.value == pytest.approx(25 * 2 / 5)


def test_between_boundaries_little_is_told() -> None:
    told = Told()
    meter = ProgressMeter(FOUR, told)
    for number in range(1000):
        meter.report("script_gen", number / 1000)
    assert len(told.said) < 100


steps = st.lists(st.floats(0, 1000), min_size=1, max_size=12).map(
    lambda weights: [Step(f"s{number}", "s", (), weight) for number, weight in enumerate(weights)]
)
words = st.tuples(
    st.sampled_from(["start", "report", "finish", "done", "after", "split"]), st.integers(0, 11), st.floats(-1, 2)
)


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(plan=steps, said=st.lists(words, max_size=60), start=st.floats(0, 100))
def test_progress_never_falls_and_never_passes_100(
    plan: list[Step], said: list[tuple[str, int, float]], start: float
) -> None:
    told = Told()
    meter = ProgressMeter(plan, told, start=start)
    value = meter.value
    split: dict[str, str] = {}
    for word, number, share in said:
        name = f"s{number % len(plan)}"
        match word:
            case "report":
                meter.report(name, share, item=split.get(name, ""))
            case "after":
                assert value <= meter.after(name, split.get(name, "")) <= 100 + 1e-9
            case "split":
                split[name] = "1"
                meter.split(name, {"0": share > 0, "1": False})
            case _:
                getattr(meter, word)(name)
        assert value <= meter.value <= 100
        value = meter.value
        assert meter.stage() in {step.name for step in plan}
    values = [progress for progress, _, _ in told.said]
    assert values == sorted(values)


@settings(derandomize=True, database=None, deadline=None)
@given(plan=steps)
def test_all_steps_done_is_100(plan: list[Step]) -> None:
    meter = ProgressMeter(plan, Told())
    for step in plan:
        meter.start(step.name)
        meter.finish(step.name)
    assert meter.value == pytest.approx(100) or not any(step.weight for step in plan)


def test_branches_side_by_side_only_raise_it() -> None:
    plan = [Step(f"s{number}", "s", (), 1.0) for number in range(8)]
    meter, seen, barrier = ProgressMeter(plan, Told()), [], threading.Barrier(8)

    def branch(name: str) -> None:
        barrier.wait()
        meter.start(name)
        for share in range(200):
            meter.report(name, share / 200)
            seen.append((name, meter.value))
        meter.finish(name)

    threads = [threading.Thread(target=branch, args=(step.name,)) for step in plan]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert meter.value == pytest.approx(100)
    for step in plan:
        values = [value for name, value in seen if name == step.name]
        assert values == sorted(values)
