"""The fence in SQL, on both databases: who may begin, who may write, and what a lost reply may not do twice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from artifacts import Artifact
from database.engine import Database
from database.fenced import FencedWrites
from database.jobs import NewJob, find_events, find_job, find_stages, insert_jobs
from database.open_jobs import open_job
from database.records import Begun, Holder, JobRecord, NotBegun
from database.requests import reopen, request_cancel
from database.uses import artifact_known
from errors import DatabaseUnavailable, Fenced, InvalidInput, UnknownJob
from tests.support.moves import checkpoint, failure

ME, OTHER = Holder("a", 10, "w1"), Holder("a", 20, "w2")


@pytest.fixture
def writes(database: Database) -> FencedWrites:
    insert_jobs(database, [NewJob("a", "selftest", "q", {"stages": 2}, "digest", stage="step_1")])
    return FencedWrites(database)


def begin(writes: FencedWrites, holder: Holder = ME, *, expired: int = 0) -> JobRecord:
    answer = writes.begin(holder, expired=expired, known=holder.token)
    assert isinstance(answer, Begun), answer
    return answer.job


def refuse(writes: FencedWrites, holder: Holder, *, expired: int = 0) -> NotBegun:
    answer = writes.begin(holder, expired=expired, known=holder.token)
    assert isinstance(answer, NotBegun), answer
    return answer


def row(writes: FencedWrites, job_id: str = "a") -> dict[str, Any]:
    return find_job(writes.database, job_id)


def kinds(writes: FencedWrites) -> list[str]:
    return [event["kind"] for event in find_events(writes.database, "a")]


@contextmanager
def the_reply_is_lost(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The next commit is done, and its answer never comes."""
    real = database.write

    @contextmanager
    def write() -> Iterator[Connection]:
        with real() as connection:
            yield connection
        raise DatabaseUnavailable("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(database, "write", write)
        yield


# --- begin


def test_begin_takes_a_pending_job(writes: FencedWrites) -> None:
    job = begin(writes)
    assert (job.begins, job.attempt, job.crashes, job.payload, job.options) == (1, 0, 0, {"stages": 2}, {})
    now = row(writes)
    assert (now["status"], now["fence"], now["owner"], now["in_flight"]) == ("processing", 10, "w1", True)
    assert kinds(writes) == ["enqueued", "processing"]


def test_begin_again_after_a_lost_reply_goes_on(writes: FencedWrites) -> None:
    begin(writes)
    assert begin(writes).begins == 1
    assert kinds(writes) == ["enqueued", "processing"]


def test_begin_with_a_stale_token_is_told_the_floor(writes: FencedWrites) -> None:
    begin(writes, OTHER)
    assert refuse(writes, ME) == NotBegun("stale", "processing", floor=20)
    assert refuse(writes, Holder("a", 20, "w3")).verdict == "stale"


def test_begin_of_a_job_that_is_not_there(writes: FencedWrites) -> None:
    assert refuse(writes, Holder("b", 10, "w1")) == NotBegun("gone")


def test_begin_of_an_ended_job(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.complete(ME, job, checkpoint(), {"number": 1})
    assert refuse(writes, OTHER) == NotBegun("ended", "completed")
    assert row(writes)["fence"] == 10


def test_begin_before_the_time_is_told_how_long(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.release(ME, job, reason="later", delay_seconds=60)
    answer = refuse(writes, OTHER)
    assert answer.verdict == "not_due"
    assert 50_000 < answer.wait_ms <= 60_000
    assert row(writes)["status"] == "waiting"


def test_begin_of_a_job_that_somebody_wants_cancelled(writes: FencedWrites) -> None:
    begin(writes)
    assert request_cancel(writes.database, "a") == "processing"
    assert refuse(writes, OTHER, expired=10).verdict == "cancelled"
    now = row(writes)
    assert (now["status"], now["in_flight"], now["fence"]) == ("cancelled", False, 20)
    with pytest.raises(Fenced):
        writes.checkpoint(ME, JobRecord(*[None] * 13), checkpoint())  # type: ignore[arg-type]


def test_of_two_who_begin_at_once_the_higher_token_works(writes: FencedWrites) -> None:
    holders = [Holder("a", token, f"w{token}") for token in range(10, 18)]
    barrier, answers = threading.Barrier(len(holders)), {}

    def body(holder: Holder) -> None:
        barrier.wait()
        answers[holder.token] = writes.begin(holder, expired=0, known=holder.token)

    threads = [threading.Thread(target=body, args=(holder,)) for holder in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == len(holders)
    assert row(writes)["fence"] == 17
    assert isinstance(answers[17], Begun)
    stale = [answer for answer in answers.values() if isinstance(answer, NotBegun)]
    assert {answer.verdict for answer in stale} <= {"stale"}


# --- crashes


def test_a_begin_after_the_lease_ran_out_counts_a_crash(writes: FencedWrites) -> None:
    begin(writes)
    assert begin(writes, OTHER, expired=10).crashes == 1
    assert row(writes)["attempt"] == 0


def test_a_begin_in_flight_under_another_token_counts_none(writes: FencedWrites) -> None:
    begin(writes)
    assert begin(writes, OTHER, expired=0).crashes == 0
    assert begin(writes, Holder("a", 30, "w3"), expired=10).crashes == 0


def test_a_lease_that_ran_out_after_the_hand_back_counts_none(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.release(ME, job, reason="shutdown")
    assert begin(writes, OTHER, expired=10).crashes == 0


def test_the_third_crash_quarantines(writes: FencedWrites) -> None:
    for number in range(1, 4):
        begin(writes, Holder("a", number, "w"), expired=number - 1)
    assert row(writes)["crashes"] == 2
    assert refuse(writes, Holder("a", 4, "w"), expired=3) == NotBegun("quarantined", "quarantined")
    now = row(writes)
    assert (now["status"], now["error_class"], now["crashes"], now["in_flight"]) == (
        "quarantined",
        "Quarantined",
        3,
        False,
    )
    assert refuse(writes, Holder("a", 5, "w"), expired=4).verdict == "ended"
    assert kinds(writes)[-1] == "quarantined"
    reopen(writes.database, "a")
    assert begin(writes, Holder("a", 6, "w")).crashes == 0


def test_quarantine_can_be_switched_off(database: Database, writes: FencedWrites) -> None:
    never = FencedWrites(database, quarantine_crashes=0)
    for number in range(1, 9):
        begin(never, Holder("a", number, "w"), expired=number - 1)
    assert row(writes)["crashes"] == 7


# --- stale writes


def test_every_write_of_a_stale_worker_is_refused_and_changes_nothing(writes: FencedWrites) -> None:
    job = begin(writes)
    begin(writes, OTHER, expired=10)
    before = (row(writes), find_stages(writes.database, "a"), kinds(writes))
    attempts: list[Any] = [
        lambda: writes.checkpoint(ME, job, checkpoint()),
        lambda: writes.complete(ME, job, checkpoint(), {}),
        lambda: writes.fail(ME, job, failure()),
        lambda: writes.cancelled(ME),
        lambda: writes.retry_later(ME, job, failure(), delay_seconds=2),
        lambda: writes.release(ME, job, reason="x"),
        lambda: writes.release(ME, job, reason="x", delay_seconds=3),
        lambda: writes.keep_providers(ME, {"speak": "local"}),
    ]
    for attempt in attempts:
        with pytest.raises(Fenced):
            attempt()
    assert (row(writes), find_stages(writes.database, "a"), kinds(writes)) == before
    assert not writes.still_mine(ME)
    assert writes.still_mine(OTHER)


def test_no_branch_writes_after_its_own_tokens_end(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.retry_later(ME, job, failure(), delay_seconds=2)
    with pytest.raises(Fenced):
        writes.checkpoint(ME, job, checkpoint("step_2"))
    with pytest.raises(Fenced):
        writes.complete(ME, job, checkpoint(), {})
    with pytest.raises(Fenced):
        writes.fail(ME, job, failure())
    assert row(writes)["status"] == "waiting"


def test_another_worker_with_the_same_token_is_not_me(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.complete(ME, job, checkpoint(), {})
    with pytest.raises(Fenced):
        writes.complete(Holder("a", 10, "impostor"), job, checkpoint(), {})


# --- lost replies


@pytest.mark.parametrize("move", ["complete", "fail", "cancelled", "retry_later", "release", "hand_over"])
def test_a_commit_repeated_after_a_lost_reply_writes_nothing_twice(
    writes: FencedWrites, monkeypatch: pytest.MonkeyPatch, move: str
) -> None:
    job, calls = begin(writes), []
    done = checkpoint(cost_usd=0.5, commit=lambda _connection: calls.append(1))
    moves: dict[str, Any] = {
        "complete": lambda: writes.complete(ME, job, done, {"x": 1}),
        "fail": lambda: writes.fail(ME, job, failure()),
        "cancelled": lambda: writes.cancelled(ME),
        "retry_later": lambda: writes.retry_later(ME, job, failure(), delay_seconds=2),
        "release": lambda: writes.release(ME, job, reason="x"),
        "hand_over": lambda: writes.release(ME, job, reason="x", queue="r"),
    }
    with the_reply_is_lost(writes.database, monkeypatch), pytest.raises(DatabaseUnavailable):
        moves[move]()
    before = (row(writes), find_stages(writes.database, "a"), kinds(writes), list(calls))
    moves[move]()
    assert (row(writes), find_stages(writes.database, "a"), kinds(writes), calls) == before


def test_a_checkpoint_repeated_after_a_lost_reply_is_counted_once(
    writes: FencedWrites, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, calls = begin(writes), []
    done = checkpoint(cost_usd=0.5, commit=lambda _connection: calls.append(1))
    with the_reply_is_lost(writes.database, monkeypatch), pytest.raises(DatabaseUnavailable):
        writes.checkpoint(ME, job, done)
    writes.checkpoint(ME, job, done)
    assert [stage["cost_usd"] for stage in find_stages(writes.database, "a")] == [0.5]
    assert [stage["executions"] for stage in find_stages(writes.database, "a")] == [1]
    assert kinds(writes).count("stage_completed") == 1
    assert calls == [1]


def test_a_checkpoint_repeated_after_a_commit_that_failed_is_written(
    writes: FencedWrites, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin(writes)

    def broken() -> Any:
        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(writes.database, "write", broken)
        with pytest.raises(DatabaseUnavailable):
            writes.checkpoint(ME, job, checkpoint())
    writes.checkpoint(ME, job, checkpoint())
    assert len(find_stages(writes.database, "a")) == 1


# --- what burns an attempt


def test_only_a_recorded_failure_raises_attempt(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.release(ME, job, reason="shutdown")
    assert row(writes)["attempt"] == 0
    job = begin(writes, OTHER)
    writes.release(OTHER, job, reason="the disk is full", delay_seconds=1)
    assert (row(writes)["attempt"], row(writes)["crashes"], row(writes)["waiting_for"]) == (0, 0, "the disk is full")
    with writes.database.write() as connection:
        connection.execute(text("UPDATE jobs SET not_before_ms = 1"))
    last = Holder("a", 30, "w3")
    job = begin(writes, last)
    writes.retry_later(last, job, failure(attempt=1), delay_seconds=2)
    now = row(writes)
    assert (now["attempt"], now["status"], now["error_class"], now["waiting_for"]) == (
        1,
        "waiting",
        "Unreachable",
        "retry",
    )
    assert [(stage["status"], stage["attempt"]) for stage in find_stages(writes.database, "a")] == [("failed", 1)]


def test_a_finished_stage_starts_the_count_anew(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.retry_later(ME, job, failure(attempt=2), delay_seconds=0)
    job = begin(writes, OTHER)
    assert job.attempt == 2
    writes.checkpoint(OTHER, job, checkpoint(progress=50.0))
    assert (row(writes)["attempt"], row(writes)["progress"], row(writes)["stage"]) == (0, 50.0, "step_1")


def test_a_hand_over_changes_the_queue_and_burns_nothing(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.release(ME, job, reason="handed over", queue="other")
    now = row(writes)
    assert (now["queue"], now["status"], now["attempt"], now["in_flight"]) == ("other", "pending", 0, False)
    assert kinds(writes)[-1] == "handed_over"


# --- what one commit holds together


def test_an_exception_in_a_commit_callback_rolls_everything_back(writes: FencedWrites) -> None:
    job = begin(writes)
    artifact = Artifact(sha256="0" * 64, size=1, media_type="text/plain")

    def commit(connection: Connection) -> None:
        connection.execute(text("INSERT INTO meta (name, value) VALUES ('mine', '1')"))
        raise RuntimeError("no")

    before = row(writes)
    moves: list[Callable[[], None]] = [
        lambda: writes.checkpoint(ME, job, checkpoint(artifacts=[artifact], commit=commit)),
        lambda: writes.complete(ME, job, checkpoint(artifacts=[artifact], commit=commit), {}),
    ]
    for move in moves:
        with pytest.raises(RuntimeError):
            move()
        assert row(writes) == before
        assert find_stages(writes.database, "a") == []
        assert kinds(writes) == ["enqueued", "processing"]
        assert not artifact_known(writes.database, "default", artifact.sha256)
    with writes.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM meta WHERE name = 'mine'")).scalar() == 0


def test_a_commit_callback_writes_in_the_checkpoints_own_transaction(writes: FencedWrites) -> None:
    job = begin(writes)

    def commit(connection: Connection) -> None:
        connection.execute(text("INSERT INTO meta (name, value) VALUES ('mine', '1')"))

    artifact = Artifact(sha256="1" * 64, size=1, media_type="text/plain")
    writes.checkpoint(ME, job, checkpoint(commit=commit, artifacts=[artifact]))
    assert artifact_known(writes.database, "default", artifact.sha256)
    assert not artifact_known(writes.database, "else", artifact.sha256)
    with writes.database.read() as connection:
        assert connection.execute(text("SELECT value FROM meta WHERE name = 'mine'")).scalar() == "1"


def test_executions_add_up_and_reuse_counts_none(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.checkpoint(ME, job, checkpoint())
    writes.checkpoint(ME, job, checkpoint())
    writes.checkpoint(ME, job, checkpoint("step_2", reused_from="b"))
    found = {stage["stage"]: stage["executions"] for stage in find_stages(writes.database, "a")}
    assert found == {"step_1": 2, "step_2": 0}


JSON: dict[str, Any] = {
    "text": "ä\n\u2028\U0001f3ac \"'\\",
    "none": None,
    "list": [1, 2.5, True],
    "deep": {"a": {"b": []}},
    "big": 2**53,
}


@pytest.mark.parametrize("value", [JSON, [], {}, "text", 0, False, [None]], ids=repr)
def test_json_comes_back_as_it_was(writes: FencedWrites, value: Any) -> None:
    job = begin(writes)
    writes.checkpoint(ME, job, checkpoint(result=value))
    writes.complete(ME, job, None, value)
    assert row(writes)["result"] == value
    assert [stage["result"] for stage in find_stages(writes.database, "a")] == [value]


def test_payload_and_options_come_back_as_they_were(database: Database) -> None:
    insert_jobs(database, [NewJob("b", "selftest", "q", JSON, "digest", options={"reuse": False})])
    job = begin(FencedWrites(database), Holder("b", 1, "w"))
    assert (job.payload, job.options) == (JSON, {"reuse": False})


def test_providers_are_kept_once_chosen(writes: FencedWrites) -> None:
    begin(writes)
    writes.keep_providers(ME, {"speak": "local"})
    assert begin(writes, OTHER).providers == {"speak": "local"}


def test_a_stage_of_no_job_is_refused_by_the_database(writes: FencedWrites) -> None:
    insert = "INSERT INTO stages (job_id, stage, item, status, attempt, tenant, cost_usd, run, executions) "
    with pytest.raises(IntegrityError), writes.database.write() as connection:
        connection.execute(text(insert + "VALUES ('nobody', 's', '', 'completed', 0, 't', 0, 1, 1)"))


# --- cancel


def test_cancel_of_a_job_that_does_not_run_ends_it(writes: FencedWrites) -> None:
    assert request_cancel(writes.database, "a") == "cancelled"
    assert request_cancel(writes.database, "a") == "cancelled"
    assert refuse(writes, ME) == NotBegun("ended", "cancelled")
    assert kinds(writes) == ["enqueued", "cancelled"]


def test_cancel_of_a_running_job_is_ended_by_its_worker(writes: FencedWrites) -> None:
    job = begin(writes)
    assert request_cancel(writes.database, "a") == "processing"
    writes.checkpoint(ME, job, checkpoint())
    writes.cancelled(ME)
    assert row(writes)["status"] == "cancelled"
    assert kinds(writes)[-2:] == ["stage_completed", "cancelled"]


def test_a_job_that_ends_before_its_worker_hears_of_the_cancel_stays_completed(writes: FencedWrites) -> None:
    job = begin(writes)
    request_cancel(writes.database, "a")
    writes.complete(ME, job, checkpoint(), {})
    assert row(writes)["status"] == "completed"
    assert request_cancel(writes.database, "a") == "completed"


def test_a_cancelled_job_that_was_handed_back_does_not_begin_again(writes: FencedWrites) -> None:
    job = begin(writes)
    request_cancel(writes.database, "a")
    writes.retry_later(ME, job, failure(), delay_seconds=60)
    assert refuse(writes, OTHER).verdict == "cancelled"


def test_cancel_of_nobody(database: Database) -> None:
    with pytest.raises(UnknownJob):
        request_cancel(database, "nobody")


# --- a person asks again


def test_reopen_keeps_what_is_done_and_counts_anew(writes: FencedWrites) -> None:
    job = begin(writes)
    writes.checkpoint(ME, job, checkpoint("step_1", progress=50.0))
    writes.fail(ME, job, failure("step_2", attempt=4))
    (opened,) = reopen(writes.database, "a")
    assert (opened.fence, opened.progress, opened.status) == (10, 50.0, "pending")
    found = {stage["stage"]: (stage["status"], stage["attempt"]) for stage in find_stages(writes.database, "a")}
    assert found == {"step_1": ("completed", 0), "step_2": ("failed", 0)}
    job = begin(writes, OTHER)
    assert (job.run, job.attempt) == (2, 0)
    with pytest.raises(InvalidInput, match="only failed"):
        reopen(writes.database, "a")


def test_waits_are_told_by_the_databases_clock(writes: FencedWrites) -> None:
    insert_jobs(writes.database, [NewJob("b", "selftest", "q", {}, "d", delay_seconds=60)])
    delayed = open_job(writes.database, "b")
    assert delayed is not None
    assert 50_000 < delayed.wait_ms <= 60_000
    assert delayed.status == "waiting"


# --- writers at once


def test_threads_that_write_at_once_lose_nothing(database: Database) -> None:
    writes = FencedWrites(database)
    count = 40
    insert_jobs(database, [NewJob(f"j{number}", "selftest", "q", {}, "d") for number in range(count)])
    troubles: list[BaseException] = []

    def body(first: int) -> None:
        try:
            for number in range(first, count, 4):
                holder = Holder(f"j{number}", 1, "w")
                job = begin(writes, holder)
                writes.checkpoint(holder, job, checkpoint())
                writes.complete(holder, job, checkpoint("step_2"), {})
        except BaseException as error:  # noqa: BLE001 - shown by the test
            troubles.append(error)

    threads = [threading.Thread(target=body, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert troubles == []
    assert all(find_job(database, f"j{number}")["status"] == "completed" for number in range(count))


def test_a_database_that_is_away_is_trouble_of_the_host(tmp_path: Any) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder/x.db", f"postgresql+psycopg://nobody@/x?host={tmp_path}"):
        away = Database(url)
        assert not away.ping()
        with pytest.raises(DatabaseUnavailable):
            FencedWrites(away).begin(ME, expired=0, known=0)
        away.dispose()


def test_a_connection_that_the_server_cut_is_trouble_and_the_next_one_works(postgres_database: Database) -> None:
    insert_jobs(postgres_database, [NewJob("a", "selftest", "q", {}, "d")])
    writes = FencedWrites(postgres_database)

    def cut(connection: Connection) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        with postgres_database.write() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    job = begin(writes)
    with pytest.raises(DatabaseUnavailable):
        writes.checkpoint(ME, job, checkpoint(commit=cut))
    writes.checkpoint(ME, job, checkpoint())


def test_a_pool_with_no_connection_left_is_trouble_of_the_host(sqlite_database: Database) -> None:
    small = Database(sqlite_database.url, pool_size=1)
    small.engine.pool._max_overflow = 0  # type: ignore[attr-defined]
    small.engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    with small.read(), pytest.raises(DatabaseUnavailable), small.read():
        pass
    small.dispose()


@pytest.mark.parametrize("words", ["x" * 5000, "ä" * 5000])
def test_a_long_reason_fits_its_column(writes: FencedWrites, words: str) -> None:
    job = begin(writes)
    writes.release(ME, job, reason=words, delay_seconds=1)
    assert row(writes)["waiting_for"] == words[:256]
