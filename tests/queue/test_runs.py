"""A run under a claim, on both databases: what a stage may break is its own try, and never the worker."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, text

from artifacts import LocalStore
from database.checkpoint_rows import write_done
from database.engine import Database
from database.fenced import FencedWrites
from database.jobs import find_job, find_stages
from database.records import Begun, Holder
from errors import HostTrouble, InvalidInput
from log import configure_logging, drop_tail, keep_tail
from pipeline import stage as stages
from pipeline.catalog.base import Policy, pipelines
from pipeline.family import Family
from pipeline.outcome import Outcome
from pipeline.runner import Runner
from pipeline.settle import Ended, write_outcome
from pipeline.stages import selftest_step
from pipeline.stop import StopSignal
from redis_client.client import RedisClient


class Desk:
    """Begins, runs and settles one job, again and again, as a worker would."""

    def __init__(self, client: RedisClient, store: LocalStore) -> None:
        self.client = client
        self.writes = FencedWrites(client.database)
        self.runner = Runner(self.writes, store)
        self.token = 0
        self.told: list[float] = []

    def run(self, *, stop: StopSignal | None = None) -> tuple[Outcome, Ended]:
        self.token += 1
        with self.client.database.write() as connection:
            connection.execute(
                text("UPDATE jobs SET not_before_ms = NULL, status = 'pending' WHERE finished_ms IS NULL")
            )
        holder = Holder("a", self.token, "w")
        begun = self.writes.begin(holder, expired=0, known=holder.token)
        assert isinstance(begun, Begun)
        stop = stop or StopSignal()
        outcome = self.runner.run(
            begun.job,
            holder,
            stop=stop,
            publish=lambda progress, *_: self.told.append(progress),
            family=Family(self.client, self.client.database, holder, begun.job),
        )
        return outcome, write_outcome(self.writes, holder, begun.job, outcome, stop)

    def row(self) -> dict[str, Any]:
        return find_job(self.client.database, "a")


@pytest.fixture
def desk(database: Database, state_dir: Any) -> Desk:
    client = RedisClient(url="unix:///nonexistent", database=database)
    return Desk(client, LocalStore(state_dir / "artifacts"))


def enqueue(desk: Desk, **payload: Any) -> None:
    desk.client.enqueue_job("a", payload, pipeline="selftest")


def break_in(monkeypatch: pytest.MonkeyPatch, fault: Callable[[int], None]) -> None:
    """Let the stage raise what `fault` raises for a step's number."""
    monkeypatch.setattr(selftest_step, "_sleep", lambda context, _seconds: fault(context.options["number"]))


@pytest.mark.parametrize("items", [0, 3])
@pytest.mark.parametrize("stages_count", [1, 3])
def test_a_run_ends_with_every_stage_done_once(desk: Desk, items: int, stages_count: int) -> None:
    enqueue(desk, stages=stages_count, items=items, bytes=10)
    _, ended = desk.run()
    assert ended.status == "completed"
    found = find_stages(desk.client.database, "a")
    assert len(found) == stages_count * max(1, items)
    assert all(one["executions"] == 1 and one["status"] == "completed" for one in found)
    assert desk.told == sorted(desk.told)
    assert desk.row()["progress"] == 100


def test_a_retried_run_goes_on_where_it_failed(desk: Desk) -> None:
    enqueue(desk, stages=3, items=2, fail_at=2, fail_times=1)
    for expected in ("waiting", "waiting", "completed"):
        desk.run()
        assert desk.row()["status"] == expected
    assert all(one["executions"] == 1 for one in find_stages(desk.client.database, "a"))
    assert desk.told == sorted(desk.told)


def test_a_stage_is_retried_three_times_and_then_the_job_fails(desk: Desk) -> None:
    enqueue(desk, stages=2, fail_at=2)
    delays = [desk.run()[1].delay_seconds for _ in range(3)]
    assert delays == [2, 4, 8]
    assert desk.run()[1].status == "failed"
    now = desk.row()
    assert (now["status"], now["attempt"], now["error_class"], now["error_stage"]) == (
        "failed",
        4,
        "Unreachable",
        "step_2",
    )


def test_a_permanent_error_is_not_retried(desk: Desk) -> None:
    enqueue(desk, stages=2, fail_at=1, fail_kind="permanent")
    assert desk.run()[1].status == "failed"
    assert desk.row()["attempt"] == 1


def test_trouble_of_the_host_burns_no_attempt_however_long_its_words(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(_number: int) -> None:
        raise HostTrouble("the disk\0 \udcff " + "x" * 1000)

    enqueue(desk)
    break_in(monkeypatch, fault)
    for _ in range(5):
        _, ended = desk.run()
        assert ended.move == "requeue"
    assert (desk.row()["attempt"], desk.row()["crashes"], desk.row()["status"]) == (0, 0, "waiting")


ODD = ["nul \0 byte", "half \ud83d character", "\udcff odd file name", "", "\n\n", "x" * 100_000]


@pytest.mark.parametrize("words", ODD, ids=lambda words: ascii(words[:12]))
@pytest.mark.parametrize("kind", [InvalidInput, ValueError])
def test_odd_words_of_an_error_are_stored_and_kill_nobody(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, words: str, kind: type[Exception]
) -> None:
    def fault(_number: int) -> None:
        raise kind(words)

    enqueue(desk)
    break_in(monkeypatch, fault)
    desk.run()
    now = desk.row()
    assert now["error_class"] == kind.__name__
    assert len(now["error"]) <= 1000
    assert now["error"]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("value", ["\ud83d", object()], ids=["half a character", "no JSON"])
def test_a_result_that_cannot_be_stored_is_that_stages_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, value: object, *, last: bool
) -> None:
    """The last stage's commit is the terminal one: what breaks there must not kill the worker either."""
    enqueue(desk, stages=2)
    real = write_done

    def spoiled(where: Any, connection: Connection, holder: Any, job: Any, done: Any) -> None:
        real(where, connection, holder, job, replace(done, result=value) if done.stage == broken else done)

    broken = "step_2" if last else "step_1"
    monkeypatch.setattr("database.fenced.write_done", spoiled)
    _, ended = desk.run()
    assert ended.move == "requeue"
    now = desk.row()
    assert (now["status"], now["attempt"], now["error_stage"]) == ("waiting", 1, broken)
    for _ in range(3):
        desk.run()
    assert desk.row()["status"] == "failed"


@pytest.mark.parametrize("last", [False, True])
def test_a_stages_own_commit_that_fails_is_that_stages_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, last: bool
) -> None:
    enqueue(desk, stages=2)
    known = stages.find_stage("selftest_step")
    broken = 2 if last else 1

    def commit(connection: Connection, result: Any) -> None:
        if result.number == broken:
            connection.execute(text("INSERT INTO meta (name, value) VALUES ('one', '1'), ('one', '2')"))

    from dataclasses import replace

    with monkeypatch.context() as patch:
        patch.setitem(stages._registry, "selftest_step", replace(known, commit=commit))
        stages.stages.cache_clear()
        desk.run()
    stages.stages.cache_clear()
    now = find_job(desk.client.database, "a")
    assert (now["status"], now["error_class"], now["error_stage"]) == ("waiting", "IntegrityError", f"step_{broken}")


def test_a_secret_at_the_edge_of_a_long_message_is_hidden(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, setting: Callable[[str, object], None]
) -> None:
    secret = "marker-" + "s" * 60

    def fault(_number: int) -> None:
        raise ValueError("x" * 970 + secret)

    enqueue(desk)
    monkeypatch.setenv("REPLICATE_API_TOKEN", secret)
    setting("ELEVENLABS_API_KEY", "another-marker-key")
    break_in(monkeypatch, fault)
    desk.run()
    assert "marker-" not in str(desk.row())


@pytest.mark.parametrize("branches", [2, 4])
def test_branches_side_by_side_end_once(desk: Desk, branches: int) -> None:
    enqueue(desk, stages=branches + 1, branches=branches, seconds=0.05)
    _, ended = desk.run()
    assert ended.status == "completed"
    assert all(one["executions"] == 1 for one in find_stages(desk.client.database, "a"))


def test_a_stopped_run_keeps_what_is_done_and_burns_nothing(desk: Desk) -> None:
    enqueue(desk, stages=2, seconds=0.1)
    stop = StopSignal()
    stop.request("shutdown")
    _, ended = desk.run(stop=stop)
    assert (ended.move, ended.message) == ("requeue", "shutdown")
    now = desk.row()
    assert (now["status"], now["attempt"], now["crashes"], now["in_flight"]) == ("pending", 0, 0, False)


def test_a_fenced_run_writes_nothing(desk: Desk) -> None:
    enqueue(desk, stages=2)
    stop = StopSignal()
    stop.fence()
    before = None
    _, ended = desk.run(stop=stop)
    assert ended.move == "none"
    before = desk.row()
    assert (before["status"], before["in_flight"]) == ("processing", True)


def test_a_finished_stage_whose_file_is_gone_is_done_again(desk: Desk) -> None:
    enqueue(desk, stages=2, bytes=64, fail_at=2, fail_times=1)
    desk.run()
    (first,) = [one for one in find_stages(desk.client.database, "a") if one["stage"] == "step_1"]
    desk.runner.store.path(first["result"]["artifact"]["sha256"]).unlink()
    assert desk.run()[1].status == "completed"
    found = {one["stage"]: one["executions"] for one in find_stages(desk.client.database, "a")}
    assert found == {"step_1": 2, "step_2": 1}


def test_a_pipeline_of_a_newer_version_is_handed_back_with_a_delay(desk: Desk) -> None:
    enqueue(desk)
    with desk.client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET pipeline = 'from_the_future'"))
    _, ended = desk.run()
    assert (ended.move, ended.delay_seconds) == ("requeue", 30)
    assert desk.row()["attempt"] == 0


# --- a pipeline's own policy


def with_policy(monkeypatch: pytest.MonkeyPatch, **policy: Any) -> None:
    monkeypatch.setitem(pipelines(), "selftest", replace(pipelines()["selftest"], policy=Policy(**policy)))


def test_a_pipeline_has_its_own_table_of_waits_and_its_own_count(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(monkeypatch, max_retries=4, retry_seconds=(1, 60))
    enqueue(desk, fail_at=1)
    waits = []
    for _ in range(4):
        _, ended = desk.run()
        waits.append(ended.delay_seconds)
    assert waits == [1, 60, 60, 60]
    assert desk.run()[1].status == "failed"


def test_a_pipeline_may_never_be_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(monkeypatch, max_retries=0)
    enqueue(desk, fail_at=1)
    assert desk.run()[1].status == "failed"


def test_a_pipeline_has_its_own_limit_of_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(monkeypatch, soft_seconds=0.2)
    enqueue(desk, seconds=30)
    _, ended = desk.run()
    assert ended.message == "TimedOut: the job passed its limit of 0.2 s, in stage step_1"


def test_the_log_of_a_failed_try_is_kept_without_secrets(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, setting: Callable[[str, object], None]
) -> None:
    setting("ANTHROPIC_API_KEY", "sk-marker-secret")
    configure_logging(keep_loggers=False)
    enqueue(desk, fail_at=1, fail_kind="permanent", label="x")

    def fail(*_facts: object) -> None:
        structlog.get_logger().info("spoken", text="the key is sk-marker-secret")
        raise InvalidInput("asked to fail")

    monkeypatch.setattr(selftest_step, "_fail", fail)
    keep_tail("a")
    with structlog.contextvars.bound_contextvars(job_id="a"):
        desk.run()
    drop_tail("a")
    tail = desk.row()["log_tail"]
    assert "spoken" in tail
    assert "sk-marker-secret" not in tail
