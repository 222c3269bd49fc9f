"""Each move of the queue against a real Redis: what it does, what it answers, and what it does when sent twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from redis_client.answers import Busy, Grant, Nothing
from redis_client.client import RedisClient
from redis_client.queue import Queue
from tests.support.moves import (
    MAIN,
    SECOND,
    bells,
    end_pause,
    facts,
    forget,
    job,
    ready,
    rebuild,
    run_out,
    slot,
    stands,
    sweep,
    take,
    whole,
)

A_MINUTE_MS = 60_000


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    client = RedisClient(url=redis_url)
    yield client.queue
    client.close()


@pytest.fixture
def server(queue: Queue) -> Any:
    return queue.connections.commands()


def now_ms(server: Any) -> int:
    seconds, micros = server.time()
    return int(seconds * 1000 + micros // 1000)


# --- enqueue


def test_a_new_job_is_ready_and_rings(queue: Queue) -> None:
    assert queue.enqueue(job("a"))
    assert ready(queue) == ["a"]
    assert bells(queue) == ["a"]
    assert facts(queue)["state"] == "ready"


def test_a_known_id_is_refused_and_changes_nothing(queue: Queue) -> None:
    queue.enqueue(job("a"))
    before = whole(queue)
    assert not queue.enqueue(job("a", queue=SECOND, priority="high"))
    assert whole(queue) == before


def test_enqueue_makes_no_event_stream(queue: Queue, server: Any) -> None:
    """An XADD at enqueue costs 4.3 KB a job beside 340 B: the stream is made at the first claim."""
    queue.enqueue(job("a"))
    assert not server.exists(queue.key("events:a"))
    take(queue)
    assert server.xlen(queue.key("events:a")) == 1


def test_many_jobs_are_placed_in_one_trip_and_again_without_harm(queue: Queue, server: Any) -> None:
    jobs = [job(f"j{number:03}") for number in range(100)]
    queue.enqueue_many(jobs)
    before = whole(queue)
    server.script_flush()
    queue.enqueue_many(jobs)
    assert whole(queue) == before
    assert len(ready(queue)) == len(bells(queue)) == 100


def test_priorities_are_head_starts(queue: Queue) -> None:
    for name in ("low", "normal", "high"):
        queue.enqueue(job(name, priority=name))
    assert ready(queue) == ["high", "normal", "low"]
    queue.finish(slot(), take(queue), status="completed")
    # A normal job that has waited longer than the head start comes before a new high one: nothing starves.
    rebuild(queue, job("old", created_ms=1))
    queue.enqueue(job("new", priority="high"))
    assert ready(queue)[0] == "old"


def test_a_job_in_another_queue_rings_there_only(queue: Queue) -> None:
    queue.enqueue(job("a", queue=SECOND))
    assert bells(queue) == []
    assert bells(queue, SECOND) == ["a"]
    assert isinstance(queue.claim(slot(), nonce="n"), Nothing)
    assert take(queue, slot("w1", "0", SECOND)).queue == SECOND


# --- claim


def test_a_claim_takes_the_best_job_and_its_bell(queue: Queue) -> None:
    for name in ("first", "second", "third"):  # two in one millisecond stand in the order of their names
        queue.enqueue(job(name))
    grant = take(queue)
    assert (grant.job_id, grant.expired, grant.queue) == ("first", 0, MAIN)
    assert ready(queue) == ["second", "third"]
    assert len(bells(queue)) == 2
    assert facts(queue, "first")["state"] == "running"


def test_a_claim_sent_twice_grants_once(queue: Queue) -> None:
    queue.enqueue(job("a"))
    queue.enqueue(job("b"))
    first = take(queue, nonce="same")
    before = whole(queue)
    assert queue.claim(slot(), nonce="same") == first
    assert whole(queue) == before


def test_a_slot_that_holds_a_job_gets_no_other(queue: Queue) -> None:
    queue.enqueue(job("a"))
    queue.enqueue(job("b"))
    take(queue, nonce="one")
    assert queue.claim(slot(), nonce="two") == Busy("a")
    assert ready(queue) == ["b"]


def test_the_best_over_several_queues_wins(queue: Queue) -> None:
    rebuild(queue, job("a", queue=SECOND, created_ms=1_000_001))
    rebuild(queue, job("b", created_ms=1_000_002))
    rebuild(queue, job("c", queue=SECOND, priority="high", created_ms=1_000_003))
    both = (MAIN, SECOND)
    order = [take(queue, slot("w1", str(number), *both)).job_id for number in range(3)]
    assert order == ["c", "a", "b"]


def test_a_lost_pop_costs_nothing(queue: Queue, server: Any) -> None:
    """The list is emptied by hand: whoever claims still gets every job, and rings again for the next."""
    for number in range(3):
        queue.enqueue(job(f"j{number}"))
    server.delete(queue.list_key(MAIN))
    take(queue)
    assert bells(queue)
    server.delete(queue.list_key(MAIN))
    take(queue, slot("w2"))
    take(queue, slot("w3"))
    assert bells(queue) == []


def test_a_bell_is_left_while_jobs_are_ready(queue: Queue, server: Any) -> None:
    for number in range(5):
        queue.enqueue(job(f"j{number}"))
    for number in range(5):
        popped = server.lpop(queue.list_key(MAIN))
        claim = queue.claim(slot(f"w{number}"), nonce="n", popped=(MAIN, str(popped)))
        assert isinstance(claim, Grant)
        assert len(bells(queue)) >= min(1, len(ready(queue)))
    assert bells(queue) == []


def test_a_bell_popped_from_another_queue_than_the_job_came_from_is_given_back(queue: Queue, server: Any) -> None:
    queue.enqueue(job("later", queue=SECOND))
    queue.enqueue(job("now", priority="high"))
    popped = str(server.lpop(queue.list_key(SECOND)))
    claim = queue.claim(slot("w1", "0", MAIN, SECOND), nonce="n", popped=(SECOND, popped))
    assert isinstance(claim, Grant)
    assert claim.job_id == "now"
    assert len(bells(queue, SECOND)) == 1
    assert bells(queue) == []


def test_a_repeated_claim_after_a_pop_neither_adopts_twice_nor_takes_a_bell(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    queue.enqueue(job("b"))
    popped = str(server.lpop(queue.list_key(MAIN)))
    first = queue.claim(slot(), nonce="n", popped=(MAIN, popped))
    before = whole(queue)
    assert queue.claim(slot(), nonce="n", popped=(MAIN, popped)) == first
    assert whole(queue) == before


def test_an_index_entry_that_lies_is_healed_and_hides_nothing(queue: Queue, server: Any) -> None:
    queue.enqueue(job("good"))
    for number in range(70):
        server.zadd(queue.key(f"ready:{MAIN}"), {f"ghost{number:02}": number})
    assert take(queue).job_id == "good"
    assert queue.claim(slot("w2"), nonce="n") == Nothing(None, again=True, paused=())
    assert queue.claim(slot("w2"), nonce="m") == Nothing(None, again=False, paused=())
    assert ready(queue) == []


# --- delays


def test_a_delayed_job_waits_and_its_time_is_told(queue: Queue) -> None:
    queue.enqueue(job("a", wait_ms=A_MINUTE_MS))
    claim = queue.claim(slot(), nonce="n")
    assert isinstance(claim, Nothing)
    assert claim.wait_seconds is not None
    assert 55 < claim.wait_seconds <= 60
    assert bells(queue) == []
    assert facts(queue)["state"] == "delayed"


def test_a_due_job_is_promoted_by_the_next_claim(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a", wait_ms=A_MINUTE_MS))
    server.zadd(queue.key("delayed"), {"a": now_ms(server)})
    assert take(queue).job_id == "a"


def test_a_due_job_is_promoted_by_the_sweep_and_rings(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a", wait_ms=A_MINUTE_MS))
    server.zadd(queue.key("delayed"), {"a": now_ms(server)})
    assert sweep(queue)["promoted"] == 1
    assert bells(queue) == ["a"]
    assert sweep(queue)["promoted"] == 0
    assert bells(queue) == ["a"]


def test_a_job_that_is_woken_does_not_wait(queue: Queue) -> None:
    queue.enqueue(job("a", wait_ms=A_MINUTE_MS))
    assert queue.enqueue(job("a"), mode="wake")
    assert ready(queue) == ["a"]
    before = whole(queue)
    assert not queue.enqueue(job("a"), mode="wake")
    assert whole(queue) == before


def test_a_job_woken_while_it_runs_does_not_sleep_afterwards(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    assert not queue.enqueue(job("a"), mode="wake")
    queue.requeue(slot(), grant, delay_seconds=60)
    assert ready(queue) == ["a"]
    queue.requeue(slot("w2"), take(queue, slot("w2")), delay_seconds=60)
    assert facts(queue)["state"] == "delayed"


# --- pauses


def test_a_paused_queue_gives_nothing_and_is_named(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    server.hset(queue.key("paused"), MAIN, "upkeep")
    assert queue.claim(slot(), nonce="n") == Nothing(None, again=False, paused=(MAIN,))
    assert ready(queue) == ["a"]


def test_a_paused_queue_hides_no_other(queue: Queue, server: Any) -> None:
    for number in range(70):
        queue.enqueue(job(f"p{number}"))
    queue.enqueue(job("free", queue=SECOND))
    server.hset(queue.key("paused"), MAIN, "1")
    assert take(queue, slot("w1", "0", MAIN, SECOND)).job_id == "free"


def test_a_paused_queue_is_not_rung_by_claims(queue: Queue, server: Any) -> None:
    """One job in a paused queue made a worker spin 6,500 rounds a second."""
    queue.enqueue(job("a"))
    popped = str(server.lpop(queue.list_key(MAIN)))
    server.hset(queue.key("paused"), MAIN, "1")
    queue.claim(slot("w1", "0", MAIN, SECOND), nonce="n", popped=(MAIN, popped))
    assert bells(queue) == []


def test_resume_rings_once_however_often_it_is_said(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    server.lpop(queue.list_key(MAIN))
    server.hset(queue.key("paused"), MAIN, "1")
    for _ in range(5):
        end_pause(queue, MAIN)
    assert bells(queue) == ["a"]
    assert take(queue).job_id == "a"


# --- finish


def test_finish_ends_a_job_and_claims_the_next_in_one_trip(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    queue.enqueue(job("b"))
    grant = take(queue)
    following = queue.finish(slot(), grant, status="completed", stage="step_1", progress=100.0, nonce="next")
    assert isinstance(following, Grant)
    assert following.job_id == "b"
    assert facts(queue, "a")["state"] == "completed"
    assert 0 < server.ttl(queue.key("job:a")) <= 3600
    assert 0 < server.ttl(queue.key("events:a")) <= 3600
    assert server.hgetall(queue.key("slots")) == {"w1#0": "b"}


def test_finish_sent_twice_grants_the_same_job(queue: Queue) -> None:
    for name in ("a", "b", "c"):
        queue.enqueue(job(name))
    grant = take(queue)
    first = queue.finish(slot(), grant, status="completed", nonce="next")
    before = whole(queue)
    assert queue.finish(slot(), grant, status="completed", nonce="next") == first
    assert whole(queue) == before


def test_finish_without_a_nonce_claims_nothing(queue: Queue) -> None:
    queue.enqueue(job("a"))
    queue.enqueue(job("b"))
    assert queue.finish(slot(), take(queue), status="failed") is None
    assert ready(queue) == ["b"]


def test_a_finished_job_is_never_claimed(queue: Queue) -> None:
    queue.enqueue(job("a"))
    queue.finish(slot(), take(queue), status="completed")
    assert isinstance(queue.claim(slot(), nonce="m"), Nothing)
    assert not queue.enqueue(job("a"))
    assert isinstance(queue.claim(slot(), nonce="o"), Nothing)


# --- stale tokens


def test_a_stale_token_changes_nothing(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    old = take(queue)
    sweep(queue)
    run_out(queue)
    assert sweep(queue)["expired"] == 1
    new = take(queue, slot("w2"))
    assert new.token > old.token
    before = whole(queue)
    queue.finish(slot(), old, status="completed")
    queue.requeue(slot(), old, delay_seconds=5)
    assert not queue.progress("a", old.token, 1, progress=50, stage="s", active=["s"], label="w1")
    assert not queue.adopt(job("a"), token=old.token, lease_seconds=30, slot=slot())
    held = whole(queue)
    assert held == before
    words = queue.beat(server, worker="w1", lease_seconds=30, record={}, jobs=[("a", old.token)])
    assert words == ["lost"]
    assert whole(queue)[queue.key("leases")] == before[queue.key("leases")]


# --- tokens


def test_tokens_rise_through_requeues(queue: Queue) -> None:
    queue.enqueue(job("a"))
    tokens = []
    for number in range(20):
        grant = take(queue, nonce=str(number))
        tokens.append(grant.token)
        queue.requeue(slot(), grant)
    assert tokens == sorted(set(tokens))


def test_tokens_rise_with_the_clock_back(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    ahead = (now_ms(server) + 10_000) * 1000
    server.hset(queue.key("job:a"), "token", ahead)
    assert take(queue).token == ahead + 1


def test_tokens_rise_after_a_flush_since_sql_knows_the_fence(queue: Queue, server: Any) -> None:
    fence = (now_ms(server) + 3_600_000) * 1000 + 7  # issued by a Redis whose clock was an hour ahead
    forget(queue)
    rebuild(queue, job("a", fence=fence))
    assert take(queue).token == fence + 1


def test_the_floor_of_a_requeue_is_respected_and_never_falls(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    floor = (now_ms(server) + 3_600_000) * 1000
    queue.requeue(slot(), take(queue), floor=floor)
    grant = take(queue)
    assert grant.token == floor + 1
    queue.requeue(slot(), grant, floor=0)
    assert take(queue).token == floor + 2


# --- requeue


def test_a_requeued_job_stands_at_the_front(queue: Queue) -> None:
    for name in ("a", "b", "c"):
        queue.enqueue(job(name))
    queue.requeue(slot(), take(queue))
    assert ready(queue) == ["a", "b", "c"]
    assert len(bells(queue)) == 3


def test_requeue_with_a_delay_waits(queue: Queue) -> None:
    queue.enqueue(job("a"))
    queue.requeue(slot(), take(queue), delay_seconds=60, message="later")
    assert facts(queue)["state"] == "delayed"
    assert ready(queue) == bells(queue) == []


def test_requeue_to_another_queue_hands_over(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    queue.requeue(slot(), take(queue), queue=SECOND)
    assert ready(queue) == bells(queue) == []
    assert ready(queue, SECOND) == bells(queue, SECOND) == ["a"]
    assert server.hgetall(queue.key("slots")) == {}


def test_a_handed_over_job_may_come_back_in_the_same_trip(queue: Queue) -> None:
    queue.enqueue(job("a"))
    both = slot("w1", "0", MAIN, SECOND)
    grant = take(queue, both)
    again = queue.requeue(both, grant, queue=SECOND, nonce="next")
    assert isinstance(again, Grant)
    assert (again.job_id, again.queue) == ("a", SECOND)
    assert again.token > grant.token
    before = whole(queue)
    assert queue.requeue(both, grant, queue=SECOND, nonce="next") == again
    assert whole(queue) == before


def test_requeue_sent_twice_answers_the_same(queue: Queue) -> None:
    queue.enqueue(job("a"))
    both = slot("w1", "0", MAIN, SECOND)
    grant = take(queue, both)
    values = dict(
        **queue._slot(both, "next"),
        stamp="now",
        id="a",
        token=str(grant.token),
        queue=MAIN,
        delay_ms=0,
        floor="0",
        message="",
    )
    first = queue.run("requeue", **values)
    assert first[0] == 1
    assert queue.run("requeue", **values) == first


def test_a_job_that_somebody_cancelled_does_not_sleep_first(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    assert queue.cancel("a") == "running"
    queue.requeue(slot(), grant, delay_seconds=3600)
    assert ready(queue) == ["a"]


# --- beat


def test_a_beat_renews_what_is_still_held(queue: Queue, server: Any) -> None:
    for name in ("a", "b", "c"):
        queue.enqueue(job(name))
    grants = [take(queue, slot("w1", name)) for name in ("0", "1", "2")]
    server.zadd(queue.key("leases"), {"a": 1, "b": 1})
    queue.cancel("b")
    queue.finish(slot("w1", "2"), grants[2], status="completed")
    jobs = [(grant.job_id, grant.token) for grant in grants]
    words = queue.beat(server, worker="w1", lease_seconds=30, record={"worker_id": "one"}, jobs=jobs)
    assert words == ["ok", "cancel", "lost"]
    leases = dict(server.zrange(queue.key("leases"), 0, -1, withscores=True))
    assert set(leases) == {"a", "b"}
    assert all(deadline > now_ms(server) + 25_000 for deadline in leases.values())
    assert server.hget(queue.key("worker:w1"), "record") == '{"worker_id":"one"}'


def test_a_beat_after_the_lease_was_swept_is_lost(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    sweep(queue)
    run_out(queue)
    sweep(queue)
    assert queue.beat(server, worker="w1", lease_seconds=30, record={}, jobs=[("a", grant.token)]) == ["lost"]
    assert server.zcard(queue.key("leases")) == 0


# --- cancel


@pytest.mark.parametrize("wait_ms", [0, A_MINUTE_MS])
def test_cancel_takes_a_job_out_of_every_index(queue: Queue, server: Any, wait_ms: int) -> None:
    queue.enqueue(job("a", wait_ms=wait_ms))
    assert queue.cancel("a") == ("delayed" if wait_ms else "ready")
    assert ready(queue) == bells(queue) == []
    assert server.zcard(queue.key("delayed")) == 0
    assert queue.cancel("a") == "cancelled"
    assert queue.cancel("nobody") == "none"


def test_cancel_leaves_no_doorbell_even_when_a_claim_took_its_own(queue: Queue) -> None:
    """An element's identity means nothing: a claim that was not woken pops any one, then cancel finds none of its own."""
    for number in range(20):
        queue.enqueue(job(f"low{number}", priority="low"))
        queue.enqueue(job(f"high{number}", priority="high"))
    for number in range(20):
        assert take(queue, slot(f"w{number}")).job_id.startswith("high")
    for number in range(20):
        queue.cancel(f"low{number}")
    assert bells(queue) == []


def test_cancel_of_a_running_job_is_seen_by_the_next_beat(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    assert queue.cancel("a") == "running"
    assert queue.cancel("a") == "running"
    assert queue.beat(server, worker="w1", lease_seconds=30, record={}, jobs=[("a", grant.token)]) == ["cancel"]


# --- sweep


def test_an_expired_job_goes_to_the_front_and_its_next_claim_says_so(queue: Queue) -> None:
    for name in ("a", "b"):
        queue.enqueue(job(name))
    sweep(queue)
    old = take(queue)
    run_out(queue)
    assert sweep(queue) == {"expired": 1, "promoted": 0, "bad": 0, "woken": 0}
    assert ready(queue) == ["a", "b"]
    assert sweep(queue)["expired"] == 0
    new = take(queue, slot("w2"))
    assert (new.job_id, new.expired) == ("a", old.token)


def test_a_worker_whose_job_was_swept_may_use_its_slot(queue: Queue) -> None:
    queue.enqueue(job("a"))
    take(queue)
    sweep(queue)
    run_out(queue)
    sweep(queue)
    assert take(queue, nonce="m").job_id == "a"


def test_after_a_silence_nothing_expires_for_one_lease(queue: Queue, server: Any) -> None:
    """Redis was away longer than a lease: the first sweep must not requeue what healthy workers run."""
    queue.enqueue(job("a"))
    take(queue)
    sweep(queue)
    server.hset(queue.key("swept"), "at", now_ms(server) - 16_000)
    run_out(queue)
    assert sweep(queue)["expired"] == 0
    assert sweep(queue)["expired"] == 0
    grace = int(str(server.hget(queue.key("swept"), "grace_until")))
    assert 25_000 < grace - now_ms(server) <= 30_000
    server.hset(queue.key("swept"), "grace_until", now_ms(server) - 1)
    assert sweep(queue)["expired"] == 1


def test_a_short_pause_between_sweeps_is_no_silence(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    take(queue)
    sweep(queue)
    server.hset(queue.key("swept"), "at", now_ms(server) - 14_000)
    run_out(queue)
    assert sweep(queue)["expired"] == 1


FIELDS = ("state", "queue", "score", "token", "slot")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("bad", [None, "rubbish"])
def test_a_bad_running_record_does_not_stop_the_others(queue: Queue, server: Any, field: str, bad: str | None) -> None:
    queue.enqueue(job("bad"))
    queue.enqueue(job("good"))
    for name in ("0", "1"):
        take(queue, slot("w1", name))
    sweep(queue)
    spoil(server, queue.key("job:bad"), field, bad)
    run_out(queue, "bad")
    run_out(queue, "good")
    assert sweep(queue)["expired"] >= 1
    assert "good" in ready(queue)
    assert server.zcard(queue.key("leases")) == 0


@pytest.mark.parametrize("field", [*FIELDS, "progress", "stage", "floor", "seq"])
@pytest.mark.parametrize("bad", [None, "rubbish"])
def test_a_bad_ready_record_does_not_stop_the_others(queue: Queue, server: Any, field: str, bad: str | None) -> None:
    queue.enqueue(job("bad"))
    queue.enqueue(job("good"))
    spoil(server, queue.key("job:bad"), field, bad)
    taken = {take(queue).job_id}
    claim = queue.claim(slot("w2"), nonce="m")
    taken |= {claim.job_id} if isinstance(claim, Grant) else set()
    assert "good" in taken
    assert "bad" not in ready(queue) or bad == "rubbish"


@pytest.mark.parametrize("field", ["state", "queue", "score"])
@pytest.mark.parametrize("bad", [None, "rubbish"])
def test_a_bad_delayed_record_does_not_stop_the_others(queue: Queue, server: Any, field: str, bad: str | None) -> None:
    for name in ("bad", "good"):
        queue.enqueue(job(name, wait_ms=A_MINUTE_MS))
        server.zadd(queue.key("delayed"), {name: 1})
    spoil(server, queue.key("job:bad"), field, bad)
    sweep(queue)
    assert "good" in ready(queue)
    assert server.zcard(queue.key("delayed")) == 0


@pytest.mark.parametrize("place", ["ready", "delayed", "leases"])
def test_a_key_of_another_type_in_place_of_a_record_stops_nobody(queue: Queue, server: Any, place: str) -> None:
    for name in ("bad", "good"):
        queue.enqueue(job(name, wait_ms=A_MINUTE_MS if place == "delayed" else 0))
    if place == "leases":
        for seat in ("0", "1"):
            take(queue, slot("w1", seat))
        sweep(queue)
        run_out(queue, "bad")
        run_out(queue, "good")
    if place == "delayed":
        server.zadd(queue.key("delayed"), {"bad": 1, "good": 1})
    server.delete(queue.key("job:bad"))
    server.set(queue.key("job:bad"), "no hash")
    sweep(queue)
    assert take(queue, slot("w2")).job_id == "good"
    assert isinstance(queue.claim(slot("w3"), nonce="n"), Nothing)


@pytest.mark.parametrize("field", ["queue", "progress", "stage"])
def test_a_bad_record_can_be_cancelled(queue: Queue, server: Any, field: str) -> None:
    queue.enqueue(job("a"))
    server.hdel(queue.key("job:a"), field)
    queue.cancel("a")
    assert facts(queue)["state"] == "cancelled"


def spoil(server: Any, key: str, field: str, bad: str | None) -> None:
    if bad is None:
        server.hdel(key, field)
    else:
        server.hset(key, field, bad)


# --- foreign pushes


def test_what_another_program_pushed_goes_to_the_inbox_whoever_pops_it(queue: Queue, server: Any) -> None:
    """20 foreign pushes and one sweep once left none of them."""
    for number in range(20):
        server.rpush(queue.list_key(MAIN), f'{{"number":{number}}}')
    for number in range(5):
        queue.enqueue(job(f"j{number}"))
        take(queue, slot(f"w{number}"))
    sweep(queue)
    while popped := server.lpop(queue.list_key(MAIN)):
        queue.claim(slot("x"), nonce=str(popped), popped=(MAIN, str(popped)))
    assert sorted(server.lrange(queue.key("inbox"), 0, -1)) == sorted(f'{{"number":{number}}}' for number in range(20))


# --- progress and events


def test_progress_never_falls_never_passes_100_and_ignores_repeats(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    token = take(queue).token

    def say(number: int, value: float) -> bool:
        return queue.progress("a", token, number, progress=value, stage="s", active=["s"], label="w1")

    assert say(1, 40)
    assert not say(1, 40)
    assert say(2, 30)
    assert facts(queue)["progress"] == "40"
    assert say(3, 250)
    assert facts(queue)["progress"] == "100"
    values = [event["event"] for _, event in server.xrange(queue.key("events:a"))]
    assert len(values) == 4


def test_events_resume_without_a_gap_and_without_a_repeat(client: RedisClient) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    queue = client.queue
    grant = take(queue)
    for number in range(10):
        queue.progress("a", grant.token, number, progress=number * 10, stage="step_1", active=[], label="w1")
    seen: list[dict[str, object]] = []
    for event in client.watch("a", timeout=5):
        seen.append(event)
        if len(seen) == 4:
            break
    for event in client.watch("a", timeout=5, last_id=str(seen[-1]["id"])):
        seen.append(event)
        if len(seen) == 11:
            break
    assert [event["progress"] for event in seen] == [0, *range(0, 100, 10)]
    numbers = [int(str(event["seq"])) for event in seen]
    assert numbers == sorted(set(numbers))
    assert all(event["active"] == [] for event in seen[1:])
    assert {"job_id", "stage", "progress", "worker_id", "active", "seq", "status", "message", "timestamp"} <= set(
        seen[0]
    )


def test_progress_is_published_on_both_channels(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    with server.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe("job_progress", "job_progress:a")
        for _ in range(2):
            heard.get_message(timeout=1)
        queue.progress("a", grant.token, 1, progress=5, stage="s", active=["s"], label="w1", message='say "active":{}')
        messages = [heard.get_message(timeout=2) for _ in range(2)]
    assert {message["channel"] for message in messages} == {"job_progress", "job_progress:a"}
    assert all('say \\"active\\":{}' in message["data"] for message in messages)


# --- repair


def test_adopt_puts_a_forgotten_job_back_as_running_with_all_it_needs(queue: Queue, server: Any) -> None:
    token = now_ms(server) * 1000
    assert queue.adopt(job("a", progress=40.0), token=token, lease_seconds=30, slot=slot())
    assert stands(queue) == ("running", token)
    before = {key: value for key, value in whole(queue).items() if "leases" not in key}
    assert queue.adopt(job("a", progress=40.0), token=token, lease_seconds=30, slot=slot())
    assert {key: value for key, value in whole(queue).items() if "leases" not in key} == before
    assert server.hgetall(queue.key("slots")) == {"w1#0": "a"}
    queue.requeue(slot(), Grant("a", token, 0, MAIN))
    assert ready(queue) == ["a"]


def test_adopt_takes_the_bell_of_a_job_that_was_swept(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    for _ in range(5):
        sweep(queue)
        run_out(queue)
        assert sweep(queue)["expired"] == 1
        assert queue.adopt(job("a"), token=grant.token, lease_seconds=30, slot=slot())
        assert ready(queue) == bells(queue) == []


def test_a_running_job_that_its_index_lost_is_put_back_by_what_sql_says(queue: Queue, server: Any) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    server.zrem(queue.key("leases"), "a")
    # Claimed and not begun yet: the token is ahead of SQL's fence.
    assert rebuild(queue, job("a")) == "adopted"
    assert server.hgetall(queue.key("slots")) == {"w1#0": "a"}
    server.zrem(queue.key("leases"), "a")
    # Begun, and released in SQL by a worker that died before it told Redis.
    assert rebuild(queue, job("a", fence=grant.token)) == "rebuilt"
    assert server.hgetall(queue.key("slots")) == {}
    assert ready(queue) == ["a"]
    assert rebuild(queue, job("a", fence=grant.token)) == "fine"


def test_an_open_job_is_neither_rebuilt_nor_reopened(queue: Queue) -> None:
    queue.enqueue(job("a"))
    grant = take(queue)
    before = whole(queue)
    assert not queue.enqueue(job("a"), mode="reopen")
    assert rebuild(queue, job("a", fence=grant.token, in_flight=True)) == "fine"
    assert whole(queue) == before
    queue.finish(slot(), grant, status="failed")
    assert rebuild(queue, job("a", fence=grant.token)) == "ended"
    assert queue.enqueue(job("a", fence=grant.token), mode="reopen")
