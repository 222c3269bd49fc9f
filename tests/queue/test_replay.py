"""A replay is a new job that begins with the results of an older one; the old one stays as it is."""

from typing import Any

import pytest

from artifacts import LocalStore
from database.jobs import find_job, find_stages
from database.keeping import delete_ended
from errors import InvalidInput, UnknownJob
from pipeline.replay import replay
from redis_client.client import RedisClient
from tests.queue.test_family import Crew
from tests.support.agree import assert_agree


@pytest.fixture
def crew(any_client: RedisClient, state_dir: Any) -> Crew:
    return Crew(any_client, LocalStore(state_dir / "artifacts"))


def finished(crew: Crew, **payload: Any) -> None:
    crew.client.enqueue_job("old", payload, pipeline="selftest", tenant="acme", priority="high")
    crew.work_off()
    assert crew.status("old") == "completed"


def stages_of(crew: Crew, job_id: str) -> dict[str, tuple[str | None, int]]:
    return {row["stage"]: (row["reused_from"], row["executions"]) for row in find_stages(crew.client.database, job_id)}


def test_earlier_stages_keep_their_results_and_the_rest_runs_anew(crew: Crew) -> None:
    finished(crew, stages=4, bytes=100)
    before = find_job(crew.client.database, "old")
    made = replay(crew.client, "old", from_stage="step_3", new_id="new")
    assert (made.job_id, made.kept) == ("new", ("step_1", "step_2"))
    assert crew.work_off() == ["new"]
    assert stages_of(crew, "new") == {
        "step_1": ("old", 0),
        "step_2": ("old", 0),
        "step_3": (None, 1),
        "step_4": (None, 1),
    }
    row = find_job(crew.client.database, "new")
    assert (row["status"], row["replay_of"], row["replay_from"]) == ("completed", "old", "step_3")
    assert (row["tenant"], row["priority"]) == ("acme", "high")
    assert find_job(crew.client.database, "old") == before
    assert_agree(crew.client)


def test_what_does_not_need_the_stage_is_kept_too(crew: Crew) -> None:
    """Branches of a graph: only what stands behind the stage runs anew."""
    finished(crew, stages=5, branches=2)
    made = replay(crew.client, "old", from_stage="step_1", new_id="new")
    assert made.kept == ("step_2", "step_4")


def test_changed_fields_reach_the_stages_that_run_and_outdated_ones_are_named(crew: Crew) -> None:
    finished(crew, stages=3)
    made = replay(crew.client, "old", from_stage="step_3", changes={"label": "other"})
    assert made.outdated == ("step_1", "step_2")
    assert find_job(crew.client.database, made.job_id)["payload"]["label"] == "other"


def test_a_failed_job_is_replayed_with_what_it_had_done(crew: Crew) -> None:
    crew.client.enqueue_job("old", {"stages": 3, "fail_at": 2, "fail_kind": "permanent"}, pipeline="selftest")
    crew.work_off()
    made = replay(crew.client, "old", from_stage="step_2", changes={"fail_at": 0})
    assert made.kept == ("step_1",)
    crew.work_off()
    assert crew.status(made.job_id) == "completed"


def test_the_files_of_the_kept_results_outlive_the_old_job(crew: Crew) -> None:
    finished(crew, stages=2, bytes=100)
    replay(crew.client, "old", from_stage="step_2", new_id="new")
    delete_ended(crew.client.database, lambda _pipeline, _status: -1)
    with pytest.raises(UnknownJob):
        find_job(crew.client.database, "old")
    assert crew.work_off() == ["new"]
    assert stages_of(crew, "new")["step_1"] == ("old", 0)


@pytest.mark.parametrize(
    ("stage", "changes", "said"),
    [
        ("step_9", {}, "stage='step_9' is unknown; did you mean"),
        ("step_1", {"stages": 0}, "stages=0"),
        ("step_1", {"stagse": 1}, "did you mean 'stages'"),
    ],
)
def test_a_wrong_replay_is_refused_at_the_door(crew: Crew, stage: str, changes: dict[str, Any], said: str) -> None:
    finished(crew, stages=2)
    with pytest.raises(InvalidInput, match=said):
        replay(crew.client, "old", from_stage=stage, changes=changes)
    assert len(crew.client.list_jobs()) == 1


def test_a_taken_id_is_refused(crew: Crew) -> None:
    finished(crew)
    with pytest.raises(InvalidInput, match="is taken"):
        replay(crew.client, "old", from_stage="step_1", new_id="old")
