"""Every mistake of the kept list is seen, and without one nothing is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from redis_client import scripts
from redis_client.answers import Nothing
from redis_client.connection import Connections, ResponseError
from redis_client.queue import Queue
from redis_client.scripts import LUA
from tests.queue.mutants import MUTANTS, Mutant
from tests.support.edits import Clock, use_scripts
from tests.support.moves import MAIN, bells, job, ready, rebuild, run_out, set_limit, slot, stands, sweep, take
from tests.support.walks import walk

WALKS, STEPS = 40, 80
A_MINUTE_MS = 60_000


# --- questions that walks seldom ask


def a_bad_score_stops_no_sweep(queue: Queue) -> None:
    for number, name in enumerate(("bad", "good")):
        queue.enqueue(job(name))
        take(queue, slot("w1", str(number)))
    queue.connections.commands().hset(queue.key("job:bad"), "score", "rubbish")
    run_out(queue, "bad")
    run_out(queue, "good")
    assert sweep(queue) == {"expired": 1, "promoted": 0, "bad": 1, "woken": 0}
    assert ready(queue) == ["good"]


def a_bad_score_stops_no_promotion(queue: Queue) -> None:
    redis = queue.connections.commands()
    for name in ("bad", "good"):
        queue.enqueue(job(name, wait_ms=A_MINUTE_MS))
        redis.zadd(queue.key("delayed"), {name: 1})
    redis.hset(queue.key("job:bad"), "score", "rubbish")
    sweep(queue)
    assert ready(queue) == ["good"]


def a_job_without_a_tenant_is_not_torn_in_two(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    queue.connections.commands().hdel(queue.key("job:a"), "tenant")
    queue.requeue(slot(), grant)
    assert queue.connections.commands().zscore(queue.key("leases"), "a")


def requeue_sent_twice_answers_one(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    facts = {"queue": MAIN, "delay_ms": 0, "floor": "0", "message": "", "stamp": ""}
    for _ in range(2):
        made = queue.run("requeue", **queue._slot(slot(), ""), **facts, id="a", token=str(grant.token))
        assert made[0] == 1


def a_claim_that_sql_has_not_heard_of_keeps_its_job(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    queue.connections.commands().zrem(queue.key("leases"), "a")
    rebuild(queue, job("a"))
    assert stands(queue) == ("running", grant.token)


def a_parked_job_that_sql_has_in_flight_is_parked_no_more(queue: Queue) -> None:
    """Redis was rewound, and a limit has come meanwhile."""
    queue.enqueue(job("a"))
    set_limit(queue, "pipeline:selftest", 0)
    queue.claim(slot(), nonce="n")
    assert stands(queue)[0] == "parked"
    assert rebuild(queue, job("a", fence=7, in_flight=True)) == "adopted"
    assert not queue.connections.commands().exists(queue.key("parking"))


def the_next_stands_up_for_one_that_was_cancelled(queue: Queue) -> None:
    set_limit(queue, "vendor", 1)
    for name in ("a", "b", "c"):
        queue.enqueue(job(name, groups=("vendor",)))
    grant = take(queue)
    assert isinstance(queue.claim(slot("w2"), nonce="m"), Nothing)
    queue.finish(slot(), grant, status="completed")
    assert ready(queue) == ["b"]
    queue.cancel("b")
    assert ready(queue) == ["c"]


def who_parks_for_one_group_wakes_the_others(queue: Queue) -> None:
    set_limit(queue, "vendor", 1)
    for name, groups in (("a", ("gpu",)), ("b", ("gpu", "vendor")), ("c", ("gpu",)), ("d", ("vendor",))):
        queue.enqueue(job(name, groups=groups))
    first = take(queue, slot("w1"))
    set_limit(queue, "gpu", 1)
    held = take(queue, slot("w2"), "m")  # d: the others wait for a
    assert (first.job_id, held.job_id) == ("a", "d")
    queue.finish(slot("w1"), first, status="completed")
    assert ready(queue) == ["b"]
    assert take(queue, slot("w3"), "o").job_id == "c"  # b waits for d now, and must not hold c back


def what_was_settled_is_not_adopted(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    queue.finish(slot(), grant, status="completed")
    assert not queue.adopt(job("a"), token=grant.token, lease_seconds=30, slot=slot())


def a_job_that_somebody_wants_cancelled_does_not_sleep(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    queue.cancel("a", in_flight=True)
    queue.requeue(slot(), grant, delay_seconds=60)
    assert ready(queue) == ["a"]


def who_takes_a_job_rings_for_the_next(queue: Queue) -> None:
    for name in ("a", "b"):
        queue.enqueue(job(name))
    queue.connections.commands().delete(queue.list_key(MAIN))  # popped by workers that died
    take(queue)
    assert bells(queue) == ["b"]


def a_job_that_lost_its_waking_is_woken(queue: Queue) -> None:
    queue.enqueue(job("a"))
    queue.requeue(slot(), take(queue), waits=True)  # its token is newer than any fence of SQL
    assert rebuild(queue, job("a")) == "unsure"
    assert queue.reconcile(job("a"), lease_seconds=30, sure=True) == "rebuilt"
    assert ready(queue) == ["a"]


def who_was_overtaken_notes_nothing(queue: Queue) -> None:
    """A reconciler that slept, or whose notes a flush took away, must not say how far the next one may begin."""
    queue.connections.commands().hset(queue.key("swept"), "healing", "the next one")
    assert queue.run("compared", healer="me", mark="7 run", after="zzz") == "gone"
    assert queue.connections.commands().hget(queue.key("swept"), "compared") is None
    assert queue.run("compared", healer="the next one", mark="7 run", after="b") == "noted"
    assert queue.connections.commands().hget(queue.key("swept"), "compared") == "7 run b"


QUESTIONS: dict[str, Callable[[Queue], None]] = {
    one.__name__.replace("_", " "): one
    for one in (
        a_bad_score_stops_no_sweep,
        a_bad_score_stops_no_promotion,
        a_job_without_a_tenant_is_not_torn_in_two,
        requeue_sent_twice_answers_one,
        a_claim_that_sql_has_not_heard_of_keeps_its_job,
        a_parked_job_that_sql_has_in_flight_is_parked_no_more,
        the_next_stands_up_for_one_that_was_cancelled,
        who_parks_for_one_group_wakes_the_others,
        what_was_settled_is_not_adopted,
        a_job_that_somebody_wants_cancelled_does_not_sleep,
        who_takes_a_job_rings_for_the_next,
        a_job_that_lost_its_waking_is_woken,
        who_was_overtaken_notes_nothing,
    )
}


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    made = Queue(Connections(redis_url))
    yield made
    made.connections.close()


def is_found(queue: Queue, clock: Clock, mutant: Mutant) -> bool:
    """By its question, or in one of the walks that find nothing without it."""
    if mutant.question:
        try:
            QUESTIONS[mutant.question](queue)
        except (AssertionError, ResponseError):
            return True
        return False
    for number in range(WALKS):
        try:
            walk(queue, clock, number, STEPS)
        except AssertionError:
            return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_a_mistake_is_seen(queue: Queue, monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    clock = Clock()
    use_scripts(monkeypatch, mutant.edit, clock=clock)
    for path in LUA.glob("*.lua"):  # it is a mistake, and no nonsense
        queue.connections.commands().script_load(scripts.load_script(path.stem).source)
    assert is_found(queue, clock, mutant), f"lua/{mutant.file}: {mutant.breaks}, and nobody sees it"


@pytest.mark.parametrize("name", QUESTIONS)
def test_without_a_mistake_the_answers_are_right(queue: Queue, name: str) -> None:
    QUESTIONS[name](queue)


def test_without_a_mistake_the_walks_find_none(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    use_scripts(monkeypatch, clock=clock)
    for number in range(WALKS):
        walk(queue, clock, number, STEPS)


def test_the_list_is_kept() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 14
    for mutant in MUTANTS:
        assert (LUA / mutant.file).read_text().count(mutant.old) == 1, mutant.name
        assert mutant.question in {"", *QUESTIONS}
    assert {mutant.question for mutant in MUTANTS} - {""} == QUESTIONS.keys()
