"""Commands for jobs that do not go as they should, and for the fleet, as people and programs use them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.house import House, lines
from tests.support.workers import wait_for


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("cli-mending"))
    made.start_worker("cli-worker")
    yield made
    made.close()


def failed(house: House, job_id: str) -> None:
    words = ("enqueue", "selftest", "--id", job_id, "--set", "stages=3", "--set", "fail_at=2")
    assert house.jobs(*words, "--set", "fail_kind=permanent", "--wait").returncode == 1


def test_dead_jobs_are_listed_with_where_and_why_and_shown_with_their_log(house: House) -> None:
    failed(house, "dead-1")
    found = {one["id"]: one for one in json.loads(house.good("dead", "--json"))}
    assert (found["dead-1"]["error_stage"], found["dead-1"]["error_class"]) == ("step_2", "InvalidInput")
    assert "step 2 was asked to fail" in house.good("dead")
    text = house.good("dead", "dead-1")
    assert text.startswith("dead-1 is failed in stage step_2: InvalidInput: step 2 was asked to fail\n")
    assert "job_processing_started" in text
    assert "stage_completed" in text
    tail = json.loads(house.good("dead", "dead-1", "--json"))["log_tail"]
    assert 3 <= len(tail) <= 200


def test_all_dead_jobs_are_asked_for_again(house: House) -> None:
    failed(house, "dead-2")
    told = house.good("dead", "--replay-all")
    assert "of" in told
    house.jobs("watch", "dead-2")
    assert house.record("dead-2")["run"] == 2


def test_a_replay_keeps_earlier_results_and_takes_other_fields(house: House) -> None:
    failed(house, "broken")
    text = house.good("replay", "broken", "--from", "step_2", "--set", "fail_at=0", "--id", "mended")
    assert text.startswith("job mended stands in its queue; kept of broken: step_1\n")
    assert house.jobs("watch", "mended").returncode == 0
    record = house.record("mended")
    assert (record["replay_of"], record["replay_from"]) == ("broken", "step_2")
    assert [(one["stage"], one["reused_from"]) for one in record["stages"]] == [
        ("step_1", "broken"),
        ("step_2", None),
        ("step_3", None),
    ]
    assert "replay of" in house.good("show", "mended")


def test_why_answers_people_and_programs(house: House) -> None:
    house.good("pause", "--tenant", "slow", "--reason", "they asked for it")
    house.good("enqueue", "selftest", "--id", "held", "--tenant", "slow")
    assert house.good("why", "held") == (
        "held is pending: tenant slow is paused (they asked for it)\n  jobs.py resume --tenant slow\n"
    )
    answer = json.loads(house.good("why", "held", "--json"))
    assert (answer["reason"], answer["command"]) == ("paused", "jobs.py resume --tenant slow")
    house.good("resume", "--tenant", "slow")
    assert house.jobs("watch", "held").returncode == 0


def test_limits_and_weights_are_shown_until_they_are_lifted(house: House) -> None:
    def limits() -> dict[str, Any]:
        return dict(json.loads(house.good("limit", "--json")))

    house.good("limit", "vendor", "2", "--reason", "their key")
    house.good("weight", "acme", "3")
    assert limits() == {"pauses": {}, "limits": {"vendor": 2}, "weights": {"acme": 3.0}}
    assert "vendor" in house.good("limit")
    house.good("limit", "vendor", "none")
    house.good("weight", "acme", "1")
    assert limits() == {"pauses": {}, "limits": {}, "weights": {}}


def test_a_limited_group_is_worked_off(house: House) -> None:
    house.good("limit", "narrow", "1")
    house.good("enqueue", "selftest", "--id", "n", "--count", "5", "--group", "narrow")
    for number in range(1, 6):
        assert house.jobs("watch", f"n-{number}").returncode == 0
    house.good("limit", "narrow", "none")


def test_a_chain_runs_to_its_end(house: House) -> None:
    then = json.dumps({"pipeline": "selftest", "id": "second", "take": {"stages": "number"}})
    told = lines(house.good("enqueue", "selftest", "--id", "first", "--set", "stages=2", "--then", then))
    assert told[0]["created"]
    assert house.jobs("watch", "first").returncode == 0
    wait_for(lambda: house.jobs("show", "second").returncode == 0, what="the next job, which comes by the outbox")
    assert house.jobs("watch", "second").returncode == 0
    assert house.record("second")["payload"]["stages"] == 2


def test_a_parent_and_its_children_are_worked_off_by_one_slot(house: House) -> None:
    done = house.jobs("enqueue", "selftest", "--id", "parent", "--set", "children=3", "--wait")
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout)[-1]["result"]["children"] == ["completed"] * 3
    assert "child of" in house.good("show", "parent.step_1.0")
