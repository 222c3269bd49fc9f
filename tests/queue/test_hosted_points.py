"""Every point between two durable steps of a hosted film, also within its paid calls: whoever dies there, nothing is paid twice."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest
from pydantic import TypeAdapter

from pipeline.context import Context
from pipeline.stage import stages
from redis_client.client import RedisClient
from tests.stub.server import Stub
from tests.support.hosted import (
    CLAUDE,
    CLAUDE_CALLS,
    CLIPS,
    VOICE,
    HostedTrial,
    Setting,
    books,
    cut_short,
    dying,
    host_everything,
    quick_stub,
    watch_calls,
)
from tests.support.points import (
    AFTER,
    BEFORE,
    OPEN,
    Act,
    Points,
    points_on,
)

pytest_plugins = ("tests.stub.fixtures",)


@pytest.fixture
def points(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Points]:
    with points_on(redis_url, monkeypatch) as found:
        watch_calls(found, monkeypatch)
        yield found


@pytest.fixture
def trial(
    client: RedisClient, points: Points, stub: Stub, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> HostedTrial:
    host_everything(setting, stub)
    for name, value in (
        ("RETRY_BASE_SECONDS", 0.01),
        ("QUARANTINE_CRASHES", 0),
        ("MIN_FREE_MB", 0),
        ("PARK_ABOVE_USD", 1),
    ):
        setting(name, value)
    monkeypatch.setattr("worker.near_misses", dict)
    quick_stub(monkeypatch)
    return HostedTrial(client, points, stub)


@pytest.fixture
def in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """One stage, and one item, after the other: every run has the same steps."""
    cut_short(monkeypatch, in_line=True)
    monkeypatch.setattr("pipeline.progress.BETWEEN_SECONDS", 0)


# -- one death -------------------------------------------------------------------------------------------------------


def visit(trial: HostedTrial, names: list[str], number: int, where: str) -> None:
    """The worker dies at one point, another one goes on."""
    try:
        found = trial.run({number: dying(trial.points, where)})
        assert trial.lives == 2
        assert (found.repaid(), len(found.lost())) == doubts(names, number, where)
    except AssertionError as error:
        error.add_note(f"{where} step {number} of {names}")
        raise


def doubts(names: list[str], number: int, where: str) -> tuple[int, int]:
    """How many questions to Claude nobody knows of after this death, and how many of those it has answered."""
    done = number if where == AFTER else number - 1
    sent = done + (where == BEFORE)
    for call in (place for place, name in enumerate(names, 1) if name == f"call {CLAUDE}"):
        intended, settled = call - 1, names.index("sql settle", call) + 1
        if intended <= done < settled:
            return 1, int(call <= sent)
    return 0, 0


def each_visit(names: list[str], numbers: Iterable[int]) -> Iterator[tuple[int, str]]:
    for number in numbers:
        if names[number - 1].startswith("call "):
            yield number, BEFORE
        yield number, AFTER


def around_last_call(names: list[str], vendor: str) -> list[int]:
    """The last call to a vendor, and the commits around it, up to the checkpoint of its stage."""
    call = len(names) - names[::-1].index(f"call {vendor}")
    end = names.index("sql checkpoint", call) + 1
    return [number for number in range(call - 1, end + 1) if names[number - 1].startswith(("sql ", "call "))]


@pytest.mark.parametrize("vendor", [CLAUDE, VOICE, CLIPS])
@pytest.mark.usefixtures("in_line")
def test_a_kill_at_any_point_of_a_paid_call_buys_nothing_twice(trial: HostedTrial, vendor: str) -> None:
    trial.run()
    names = trial.names
    for number, where in each_visit(names, around_last_call(names, vendor)):
        visit(trial, names, number, where)


@pytest.mark.slow
@pytest.mark.usefixtures("in_line")
def test_a_kill_at_any_point_of_a_hosted_film_buys_nothing_twice(trial: HostedTrial) -> None:
    trial.run()
    names = trial.names
    for number, where in each_visit(names, range(1, len(names) + 1)):
        visit(trial, names, number, where)


@pytest.mark.usefixtures("in_line")
def test_a_question_too_dear_to_ask_twice_waits_for_a_person(trial: HostedTrial, setting: Setting) -> None:
    setting("PARK_ABOVE_USD", 0.01)  # a verdict costs less, a script may cost more
    trial.run()
    script = [number for number, name in enumerate(trial.names, 1) if name == f"call {CLAUDE}"][1]
    trial.clean()
    assert not trial.live({script: dying(trial.points, BEFORE)})
    with pytest.raises(AssertionError, match="stuck"):
        trial.live({}, rounds=5)
    doubtful = [one for one in books(trial.client, trial.stub).rows if one.state != "settled"]
    assert [(one.call, one.state, one.doubt) for one in doubtful] == [("script", "intent", "parked")]
    assert len(trial.stub.requests(CLAUDE)) == 2

    trial.client.decide_call(doubtful[0].key, None, made=False)
    assert trial.live({})
    found = books(trial.client, trial.stub)
    assert trial.client.get_job("a")["status"] == "completed"
    assert (len(trial.stub.requests(CLAUDE)), len(found.lost())) == (CLAUDE_CALLS + 1, 1)
    assert found.reserved == pytest.approx(0, abs=1e-9)


# -- many deaths, and answers that are lost on the way -----------------------------------------------------------------


def plan(dice: random.Random, points: Points, steps: int) -> list[dict[int, Act]]:
    """One to three lives that die somewhere."""
    return [
        {dice.randint(1, steps): dying(points, dice.choice((OPEN, BEFORE, AFTER)))} for _ in range(dice.randint(1, 3))
    ]


def lose_answers(dice: random.Random, stub: Stub) -> None:
    """Some requests are taken and their connections reset."""
    for _ in range(dice.randint(1, 4)):
        vendor = dice.choice((CLAUDE, VOICE, CLIPS))
        stub.faults("reset_after", vendor=vendor, method="POST", skip=dice.randint(0, 1))


def run_by_seed(trial: HostedTrial, seed: int) -> Tally:
    dice = random.Random(seed)
    trial.clean()
    lose_answers(dice, trial.stub)
    try:
        for acts in plan(dice, trial.points, 75):
            trial.live(acts)
        assert trial.live({})
        found = trial.check()
    except AssertionError as error:
        error.add_note(f"seed {seed}")
        raise
    looks = len(trial.stub.requests(method="GET", path="/(history|predictions)$"))
    resets = sum(one.fault == "reset_after" for one in trial.stub.requests())
    return Tally(deaths=trial.lives - 1, resets=resets, looks=looks, repaid=found.repaid(), lost=len(found.lost()))


class Tally(NamedTuple):
    """What has happened: else the seeds would prove nothing."""

    deaths: int
    resets: int
    looks: int
    repaid: int
    lost: int


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(1000, 1200), marks=pytest.mark.slow)], ids=["20", "200"]
)
def test_deaths_and_lost_answers_together_buy_nothing_twice(
    trial: HostedTrial, setting: Setting, monkeypatch: pytest.MonkeyPatch, seeds: range
) -> None:
    setting("MAX_RETRIES", 100)
    cut_short(monkeypatch)
    tallies = [run_by_seed(trial, seed) for seed in seeds]
    told = Tally(*map(sum, zip(*tallies, strict=True)))
    assert min(told) > len(seeds) / 4, told


# -- six calls ---------------------------------------------------------------------------------------------------------


def speak_all(context: Context) -> list[str]:
    """All scenes in one try of one stage."""
    speaker = context.provider("speak")
    for scene in context.result("script_gen").scenes:
        output = context.workdir / f"{scene.index}.wav"
        speaker.speak(
            scene.narration,
            language="en",
            voice="",
            style="minimal",
            output=output,
            check=context.check,
            ledger=context.ledger,
        )
    return []


@pytest.fixture(params=["items", "calls of one try"])
def six(request: pytest.FixtureRequest, in_line: None, trial: HostedTrial, monkeypatch: pytest.MonkeyPatch) -> str:
    """Six voices: each an item with its own checkpoint, or all in one try of a stage."""
    trial.scenes = 6
    if request.param != "items":
        whole = replace(
            stages()["voice_gen"], function=speak_all, each=None, cache=False, result=TypeAdapter(list[str])
        )
        monkeypatch.setitem(stages(), "voice_gen", whole)
    return str(request.param)


def test_a_stage_killed_after_its_fifth_of_six_calls_makes_one_more_call(trial: HostedTrial, six: str) -> None:
    trial.run()
    names = trial.names
    calls = [number for number, name in enumerate(names, 1) if name == f"call {VOICE}"]
    assert len(calls) == 6
    settled = names.index("sql settle", calls[4]) + 1
    trial.run({settled: dying(trial.points, AFTER)})
    assert trial.lives == 2
    assert trial.names.count(f"call {VOICE}") == 1, "of the second life"
    assert len(trial.stub.requests(VOICE, method="POST")) == 6
    assert len(trial.stub.charges(VOICE)) == 6
