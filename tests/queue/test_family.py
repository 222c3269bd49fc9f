"""Parents and children, chains, and the outbox: who waits for whom, and who wakes whom, once."""

from typing import Any

import pytest
from sqlalchemy import text

from artifacts import LocalStore
from database.engine import Database
from database.fenced import FencedWrites
from database.jobs import find_events, find_job
from database.outbox import count_letters, take_letters
from database.records import Begun, Holder, NotBegun
from errors import InvalidInput
from pipeline.family import Family
from pipeline.outcome import Outcome, Wait
from pipeline.runner import Runner
from pipeline.settle import tell_redis, write_outcome
from pipeline.stop import StopSignal
from redis_client.answers import Grant, Nothing
from redis_client.client import RedisClient
from redis_client.outbox import deliver_letters
from tests.support.agree import assert_agree
from tests.support.moves import slot, stands


class Crew:
    """One slot that claims, runs, settles and delivers, move by move."""

    def __init__(self, client: RedisClient, store: LocalStore) -> None:
        self.client, self.store = client, store
        self.writes = FencedWrites(client.database)
        self.seat = slot("w1")
        self.number = 0

    def claim(self) -> Grant | None:
        self.number += 1
        claim = self.client.queue.claim(self.seat, nonce=f"n{self.number}")
        assert isinstance(claim, Grant | Nothing)
        return claim if isinstance(claim, Grant) else None

    def run(self, grant: Grant) -> Outcome | NotBegun:
        """Begin, run and settle one granted job, in SQL and in Redis."""
        holder, stop = Holder(grant.job_id, grant.token, self.seat.label), StopSignal()
        begun = self.writes.begin(holder, expired=grant.expired, known=grant.known)
        if isinstance(begun, NotBegun):
            return begun
        assert isinstance(begun, Begun)
        family = Family(self.client, self.client.database, holder, begun.job)
        runner = Runner(self.writes, self.store)
        outcome = runner.run(begun.job, holder, stop=stop, publish=lambda *_: None, family=family, queue=grant.queue)
        tell_redis(self.client.queue, self.seat, grant, write_outcome(self.writes, holder, begun.job, outcome, stop))
        return outcome

    def work_off(self, *, deliver: bool = True) -> list[str]:
        """Everything that can be done now; the ids in the order they were run."""
        ran = []
        while True:
            while grant := self.claim():
                self.run(grant)
                ran.append(grant.job_id)
            if not deliver or not deliver_letters(self.client):
                return ran

    def status(self, job_id: str) -> str:
        return str(find_job(self.client.database, job_id)["status"])


@pytest.fixture
def crew(any_client: RedisClient, state_dir: Any) -> Crew:
    return Crew(any_client, LocalStore(state_dir / "artifacts"))


def enqueue(crew: Crew, job_id: str = "p", **payload: Any) -> None:
    crew.client.enqueue_job(job_id, payload, pipeline="selftest")


def kinds(database: Database, job_id: str) -> list[str]:
    return [event["kind"] for event in find_events(database, job_id)]


def test_a_parent_waits_in_no_index_and_goes_on_when_its_last_child_ends(crew: Crew) -> None:
    enqueue(crew, children=3, stages=2)
    grant = crew.claim()
    assert grant
    assert isinstance(crew.run(grant), Wait)
    assert crew.status("p") == "waiting"
    assert stands(crew.client.queue, "p")[0] == "waiting"
    assert_agree(crew.client)
    assert crew.work_off() == [*(f"p.step_1.{number}" for number in range(3)), "p"]
    assert crew.status("p") == "completed"
    row = find_job(crew.client.database, "p")
    assert (row["open_children"], row["crashes"], row["attempt"]) == (0, 0, 0)
    assert count_letters(crew.client.database) == 0
    assert_agree(crew.client)


def test_spawning_again_finds_the_same_children(crew: Crew) -> None:
    enqueue(crew, children=2)
    crew.run(crew.claim())  # type: ignore[arg-type]
    with crew.client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET status = 'pending' WHERE id = 'p'"))  # as if woken too early
    crew.client.queue.reconcile(open_row(crew, "p"), lease_seconds=30)
    while grant := crew.claim():
        if grant.job_id == "p":
            assert isinstance(crew.run(grant), Wait)
            break
        crew.client.queue.requeue(crew.seat, grant, delay_seconds=60)
    assert len(crew.client.list_jobs(pipeline="selftest")) == 3
    assert find_job(crew.client.database, "p")["open_children"] == 2


def open_row(crew: Crew, job_id: str) -> Any:
    from database.open_jobs import open_job

    return open_job(crew.client.database, job_id)


@pytest.mark.parametrize(("edge", "parent"), [("fail", "failed"), ("skip", "completed"), ("wait", "waiting")])
def test_an_edge_says_what_a_failed_child_does(crew: Crew, edge: str, parent: str) -> None:
    enqueue(crew, children=3, child_fails=1, child_edge=edge)
    crew.work_off()
    assert crew.status("p") == parent
    states = [crew.status(f"p.step_1.{number}") for number in range(3)]
    assert states[0] == "failed"
    if edge == "fail":
        assert "child p.step_1.0 is failed" in find_job(crew.client.database, "p")["error"]
    else:
        assert states[1:] == ["completed", "completed"]
    assert_agree(crew.client)


def test_a_failed_parent_takes_its_open_children_along(crew: Crew) -> None:
    enqueue(crew, children=3, child_fails=1)
    crew.run(crew.claim())  # type: ignore[arg-type]
    crew.run(crew.claim())  # type: ignore[arg-type]
    crew.client.pause("selftest", kind="pipeline")  # the siblings stay where they are
    deliver_letters(crew.client)
    crew.client.resume("selftest", kind="pipeline")
    ran = crew.work_off()
    assert crew.status("p") == "failed"
    ended = {crew.status(f"p.step_1.{number}") for number in (1, 2)}
    assert ended <= {"completed", "cancelled"}
    assert ran.count("p") == 1
    assert_agree(crew.client)


def test_a_child_that_waits_for_a_person_frees_its_parent_when_it_is_retried(crew: Crew) -> None:
    enqueue(crew, children=2, child_fails=1, child_edge="wait")
    crew.work_off()
    assert crew.status("p") == "waiting"
    assert "child_needs_a_person" in kinds(crew.client.database, "p")
    with crew.client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET payload = '{}' WHERE id = 'p.step_1.0'"))
    crew.client.retry("p.step_1.0")
    crew.work_off()
    assert crew.status("p") == "completed"
    assert_agree(crew.client)


def test_a_child_that_waits_for_a_person_frees_its_parent_when_it_is_given_up(crew: Crew) -> None:
    enqueue(crew, children=2, child_fails=1, child_edge="wait")
    crew.work_off()
    assert crew.client.cancel("p.step_1.0") == "cancelled"
    crew.work_off()
    assert crew.status("p") == "completed"
    assert_agree(crew.client)


def test_a_cancel_goes_down_the_tree(crew: Crew) -> None:
    enqueue(crew, children=3)
    crew.run(crew.claim())  # type: ignore[arg-type]
    assert crew.client.cancel("p") == "cancelled"
    assert {crew.status(f"p.step_1.{number}") for number in range(3)} == {"cancelled"}
    assert crew.work_off() == []
    assert_agree(crew.client)


def test_a_retried_parent_asks_for_the_children_that_failed_it(crew: Crew) -> None:
    enqueue(crew, children=2, child_fails=1)
    crew.work_off()
    assert crew.status("p") == "failed"
    with crew.client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET payload = '{}' WHERE id = 'p.step_1.0'"))
    crew.client.retry("p")
    assert find_job(crew.client.database, "p")["open_children"] >= 1
    crew.work_off()
    assert crew.status("p") == "completed"
    assert_agree(crew.client)


def test_a_wake_that_nobody_delivered_is_delivered_by_the_next(crew: Crew) -> None:
    enqueue(crew, children=1)
    crew.work_off(deliver=False)
    assert crew.status("p") == "pending"
    assert len(take_letters(crew.client.database)) == 1  # taken by a worker that dies now
    assert take_letters(crew.client.database) == []
    with crew.client.database.write() as connection:
        connection.execute(text("UPDATE outbox SET due_ms = 0"))
    assert crew.work_off() == ["p"]
    assert crew.status("p") == "completed"


def test_a_parent_that_redis_forgot_is_woken_all_the_same(crew: Crew) -> None:
    enqueue(crew, children=1)
    crew.run(crew.claim())  # type: ignore[arg-type]
    crew.run(crew.claim())  # type: ignore[arg-type]
    crew.client.get_client().delete(crew.client.queue.key("job:p"))
    assert crew.work_off() == ["p"]
    assert_agree(crew.client)


def test_the_last_child_may_end_before_its_parent_waits(crew: Crew) -> None:
    """The wake comes while the parent still runs: its wait commit sees no open child, and it goes on at once."""
    enqueue(crew, children=1)
    grant = crew.claim()
    assert grant
    holder, stop = Holder("p", grant.token, crew.seat.label), StopSignal()
    begun = crew.writes.begin(holder, expired=0, known=grant.known)
    assert isinstance(begun, Begun)
    family = Family(crew.client, crew.client.database, holder, begun.job)
    runner = Runner(crew.writes, crew.store)
    outcome = runner.run(begun.job, holder, stop=stop, publish=lambda *_: None, family=family, queue=grant.queue)
    other = Crew(crew.client, crew.store)
    other.seat = slot("w2")
    other.work_off()
    ended = write_outcome(crew.writes, holder, begun.job, outcome, stop)
    assert not ended.waits
    tell_redis(crew.client.queue, crew.seat, grant, ended)
    assert crew.work_off() == ["p"]
    assert crew.status("p") == "completed"


@pytest.mark.parametrize("ended", ["completed", "failed"])
def test_two_last_children_wake_their_parent_once(crew: Crew, ended: str) -> None:
    enqueue(crew, children=2, child_fails=2 if ended == "failed" else 0, child_edge="skip")
    crew.run(crew.claim())  # type: ignore[arg-type]
    seats = [Crew(crew.client, crew.store), Crew(crew.client, crew.store)]
    seats[1].seat = slot("w2")
    grants = [one.claim() for one in seats]
    for one, grant in zip(seats, grants, strict=True):
        assert grant
        one.run(grant)
    assert count_letters(crew.client.database) == 1
    assert crew.work_off() == ["p"]
    assert crew.status("p") == "completed"


# --- chains


def test_the_next_job_of_a_chain_starts_once_and_takes_from_the_result(crew: Crew) -> None:
    then = {"pipeline": "selftest", "payload": {"label": "next"}, "take": {"stages": "number"}, "id": "b"}
    crew.client.enqueue_job("a", {"stages": 2}, pipeline="selftest", then=then, tenant="acme")
    assert crew.work_off() == ["a", "b"]
    row = find_job(crew.client.database, "b")
    assert (row["status"], row["payload"]["stages"], row["payload"]["label"]) == ("completed", 2, "next")
    assert row["tenant"] == "acme"
    deliver_letters(crew.client)
    assert crew.work_off() == []


def test_chains_are_as_long_as_they_are_written(crew: Crew) -> None:
    spec: dict[str, Any] = {"pipeline": "selftest", "payload": {}}
    crew.client.enqueue_job("a", {}, pipeline="selftest", then=spec | {"then": spec | {"id": "c"}})
    assert crew.work_off() == ["a", "a.then", "c"]


def test_a_failed_job_starts_no_next_one(crew: Crew) -> None:
    crew.client.enqueue_job(
        "a", {"fail_at": 1, "fail_kind": "permanent"}, pipeline="selftest", then={"pipeline": "selftest"}
    )
    assert crew.work_off() == ["a"]


@pytest.mark.parametrize("path", ["nothing.here", "number.0"])
def test_a_next_job_that_its_door_refuses_is_a_failed_job_that_people_see(crew: Crew, path: str) -> None:
    then = {"pipeline": "selftest", "take": {"label": path}, "id": "b"}
    crew.client.enqueue_job("a", {}, pipeline="selftest", then=then)
    crew.work_off()
    row = find_job(crew.client.database, "b")
    assert row["status"] == "failed"
    assert path in row["error"]
    assert count_letters(crew.client.database) == 0


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ({"pipeline": "nope"}, "pipeline='nope' is unknown"),
        ({"pipline": "selftest"}, "did you mean 'pipeline'"),
        ({"pipeline": "selftest", "payload": {"stagse": 1}}, "did you mean 'stages'"),
        ({"pipeline": "selftest", "payload": {"stages": 0}}, "stages=0"),
        ({"pipeline": "selftest", "take": {"nope": "number"}}, "'nope' is not a field"),
        ({"pipeline": "selftest", "take": {"label": "a b"}}, "write a path into the result"),
        ({"pipeline": "product_video", "payload": {}}, "product_name"),
        ({"pipeline": "selftest", "id": "a b"}, "then.id='a b'"),
        ({"pipeline": "selftest", "then": {"pipeline": "nope"}}, "'nope' is unknown"),
        ("selftest", "use an object"),
    ],
)
def test_a_wrong_next_job_is_refused_at_the_door(client: RedisClient, then: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        client.enqueue_job("a", {}, pipeline="selftest", then=then)
    assert client.list_jobs() == []
