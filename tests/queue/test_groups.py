"""Limits over the whole fleet, pauses and fairness: nobody passes them, and nobody sleeps beside free room."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from database.controls import Controls, controls
from database.engine import Database
from redis_client.answers import Claim, Grant, Nothing, Rewound
from redis_client.client import RedisClient
from redis_client.connection import Connections
from redis_client.controls import copy_controls
from redis_client.queue import Queue
from redis_client.reconcile import reconcile
from tests.support.agree import assert_agree
from tests.support.moves import (
    MAIN,
    SECOND,
    bells,
    facts,
    forget,
    job,
    ready,
    rebuild,
    run_out,
    set_limit,
    slot,
    sweep,
    take,
)


@pytest.fixture
def queue(redis_url: str) -> Iterator[Queue]:
    made = Queue(Connections(redis_url))
    yield made
    made.connections.close()


@pytest.fixture
def server(queue: Queue) -> Any:
    return queue.connections.commands()


def parked(queue: Queue, group: str, name: str = MAIN) -> list[str]:
    found: Any = queue.connections.commands().zrange(queue.key(f"parked:{group}:{name}"), 0, -1)
    return list(found)


def running(queue: Queue, group: str) -> list[str]:
    found: Any = queue.connections.commands().zrange(queue.key(f"group:{group}"), 0, -1)
    return sorted(found)


def claim(queue: Queue, name: str = "0", *queues: str) -> str | None:
    answer = queue.claim(slot("w1", name, *queues), nonce=f"n{name}")
    assert isinstance(answer, Grant | Nothing)
    return answer.job_id if isinstance(answer, Grant) else None


# --- limits


@pytest.mark.parametrize("group", ["tenant:default", "pipeline:selftest", f"queue:{MAIN}", "vendor"])
def test_never_more_of_a_group_run_than_its_limit(queue: Queue, group: str) -> None:
    set_limit(queue, group, 2)
    for number in range(5):
        queue.enqueue(job(f"j{number}", groups=("vendor",)))
    assert [claim(queue, str(seat)) for seat in range(4)] == ["j0", "j1", None, None]
    assert running(queue, group) == ["j0", "j1"]
    assert parked(queue, group) == ["j2", "j3", "j4"]
    assert bells(queue) == []


def test_who_ends_makes_room_for_the_best_that_is_parked(queue: Queue) -> None:
    set_limit(queue, "vendor", 1)
    for number in range(3):
        queue.enqueue(job(f"j{number}", groups=("vendor",)))
    grant = take(queue)
    assert claim(queue, "1") is None
    following = queue.finish(slot(), grant, status="completed", nonce="next")
    assert isinstance(following, Grant)
    assert following.job_id == "j1"
    assert parked(queue, "vendor") == ["j2"]


@pytest.mark.parametrize("leaves", ["finish", "requeue", "delay", "waits", "sweep"])
def test_whatever_ends_a_run_frees_its_room(queue: Queue, leaves: str) -> None:
    set_limit(queue, "vendor", 1)
    queue.enqueue(job("a", groups=("vendor",)))
    queue.enqueue(job("b", groups=("vendor",)))
    grant = take(queue)
    assert claim(queue, "1") is None
    match leaves:
        case "finish":
            queue.finish(slot(), grant, status="failed")
        case "requeue":
            queue.requeue(slot(), grant)
        case "delay":
            queue.requeue(slot(), grant, delay_seconds=60)
        case "waits":
            queue.requeue(slot(), grant, waits=True)
        case "sweep":
            sweep(queue)
            run_out(queue)
            sweep(queue)
    assert "b" in ready(queue)
    assert running(queue, "vendor") == []
    assert bells(queue)


def test_a_job_of_two_full_groups_does_not_sleep_for_ever(queue: Queue) -> None:
    """Woken for one group it may meet the other full: it moves there, and the first wakes its next."""
    set_limit(queue, "g", 1)
    set_limit(queue, "h", 1)
    queue.enqueue(job("gh", groups=("g", "h"), created_ms=1))
    queue.enqueue(job("h1", groups=("h",), priority="high"))
    queue.enqueue(job("g1", groups=("g",), priority="high"))
    done: list[str] = []
    seats: dict[int, Claim | None] = {seat: queue.claim(slot("w1", str(seat)), nonce=f"a{seat}") for seat in range(3)}
    for round_ in range(6):
        for seat, grant in list(seats.items()):
            if isinstance(grant, Grant):
                done.append(grant.job_id)
                seats[seat] = queue.finish(slot("w1", str(seat)), grant, status="completed", nonce=f"r{round_}.{seat}")
            else:
                seats[seat] = queue.claim(slot("w1", str(seat)), nonce=f"r{round_}.{seat}")
    assert sorted(done) == ["g1", "gh", "h1"]


def test_the_one_that_stood_for_its_group_is_cancelled_and_the_next_stands_up(queue: Queue) -> None:
    """The first bug that a random walk found: the group slept for ever."""
    set_limit(queue, "vendor", 1)
    for name in ("a", "b", "c"):
        queue.enqueue(job(name, groups=("vendor",)))
    grant = take(queue)
    claim(queue, "1")
    queue.finish(slot(), grant, status="completed")
    assert ready(queue) == ["b"]
    queue.cancel("b")
    assert ready(queue) == ["c"]


def test_parking_and_cancelling_leave_no_bell_behind(queue: Queue) -> None:
    """The second one: the list grew with every parked job that was cancelled."""
    set_limit(queue, "vendor", 1)
    queue.enqueue(job("a", groups=("vendor",)))
    take(queue)
    for number in range(20):
        queue.enqueue(job(f"j{number}", groups=("vendor",)))
    claim(queue, "1")
    for number in range(20):
        assert queue.cancel(f"j{number}") == "parked"
    assert bells(queue) == []
    assert parked(queue, "vendor") == []


def test_each_queue_of_a_group_is_woken_since_nobody_may_serve_the_other(queue: Queue) -> None:
    set_limit(queue, "vendor", 1)
    queue.enqueue(job("a", groups=("vendor",)))
    grant = take(queue)
    queue.enqueue(job("here", groups=("vendor",)))
    queue.enqueue(job("there", groups=("vendor",), queue=SECOND))
    claim(queue, "1", MAIN, SECOND)
    queue.finish(slot(), grant, status="completed")
    assert (ready(queue), ready(queue, SECOND)) == (["here"], ["there"])
    assert claim(queue, "2", SECOND) == "there"
    assert claim(queue, "3", MAIN) is None


def test_a_raised_limit_wakes_as_many_as_have_room(queue: Queue) -> None:
    set_limit(queue, "vendor", 1)
    for number in range(6):
        queue.enqueue(job(f"j{number}", groups=("vendor",)))
    take(queue)
    claim(queue, "1")
    assert set_limit(queue, "vendor", 4) == 3
    assert ready(queue) == ["j1", "j2", "j3"]


def test_a_lifted_limit_lets_all_go_page_by_page_and_is_forgotten(queue: Queue, server: Any) -> None:
    set_limit(queue, "vendor", 0)
    queue.enqueue_many([job(f"j{number:04}", groups=("vendor",)) for number in range(700)])
    while queue.claim(slot(), nonce="n") != Nothing(None, again=False, paused=()):
        pass
    assert len(parked(queue, "vendor")) == 700
    set_limit(queue, "vendor", None)
    while parked(queue, "vendor"):
        assert sweep(queue)["woken"] > 0
    assert len(ready(queue)) == len(bells(queue)) == 700
    assert server.exists(queue.key("limits"), queue.key("parking")) == 0


def test_a_limit_that_comes_later_counts_those_that_run(queue: Queue) -> None:
    queue.enqueue(job("a"))
    queue.enqueue(job("b"))
    take(queue)
    set_limit(queue, "tenant:default", 1)
    assert running(queue, "tenant:default") == ["a"]
    assert claim(queue, "1") is None


def test_a_job_put_back_as_running_counts_in_its_groups(queue: Queue) -> None:
    set_limit(queue, "vendor", 1)
    queue.enqueue(job("a", groups=("vendor",)))
    grant = take(queue)
    forget(queue)
    set_limit(queue, "vendor", 1)
    assert rebuild(queue, job("a", groups=("vendor",), fence=grant.token, in_flight=True)) == "adopted"
    assert running(queue, "vendor") == ["a"]
    queue.enqueue(job("b", groups=("vendor",)))
    assert claim(queue, "1") is None


def test_a_parked_record_that_is_spoilt_stops_nobody(queue: Queue, server: Any) -> None:
    set_limit(queue, "vendor", 1)
    for name in ("a", "bad", "good"):
        queue.enqueue(job(name, groups=("vendor",)))
    grant = take(queue)
    claim(queue, "1")
    server.hdel(queue.key("job:bad"), "score")
    queue.finish(slot(), grant, status="completed")
    assert ready(queue) == ["good"]
    assert server.smembers(queue.key("bad")) == {"bad"}


# --- pauses


@pytest.mark.parametrize(("kind", "name"), [("queue", MAIN), ("pipeline", "selftest"), ("tenant", "acme")])
def test_what_is_paused_does_not_start_and_hides_nothing(any_client: RedisClient, kind: str, name: str) -> None:
    client, queue = any_client, any_client.queue
    client.pause(name, kind=kind, reason="upkeep")
    client.enqueue_job("held", {}, pipeline="selftest", tenant="acme")
    client.enqueue_job("free", {"product_name": "x"}, queue=SECOND)
    assert claim(queue, "0", MAIN, SECOND) == "free"
    assert claim(queue, "1", MAIN, SECOND) is None
    client.resume(name, kind=kind)
    assert claim(queue, "2", MAIN, SECOND) == "held"


def test_pauses_limits_and_weights_survive_a_flush(client: RedisClient) -> None:
    client.limit("vendor", 1)
    client.limit("tenant:acme", 3)
    client.pause("selftest", kind="pipeline")
    client.pause(SECOND)
    client.weigh("acme", 3)
    client.get_client().flushall()
    reconcile(client.queue, client.database, lease_seconds=30, untouched_seconds=0)
    server: Any = client.get_client()
    assert server.hgetall(client.queue.key("limits")) == {"vendor": "1", "tenant:acme": "3", "pipeline:selftest": "0"}
    assert set(server.hgetall(client.queue.key("paused"))) == {SECOND}
    assert server.hgetall(client.queue.key("weights")) == {"acme": "3"}


def test_a_resumed_pipeline_keeps_its_limit(client: RedisClient) -> None:
    client.limit("pipeline:selftest", 2)
    client.pause("selftest", kind="pipeline")
    client.resume("selftest", kind="pipeline")
    server: Any = client.get_client()
    assert server.hgetall(client.queue.key("limits")) == {"pipeline:selftest": "2"}
    client.limit("pipeline:selftest", None)
    assert server.hgetall(client.queue.key("limits")) == {}


def test_the_copy_forgets_what_sql_does_not_say(client: RedisClient) -> None:
    set_limit(client.queue, "stale", 1)
    client.get_client().hset(client.queue.key("paused"), SECOND, "1")
    copy_controls(client.queue, client.database)
    server: Any = client.get_client()
    assert server.exists(client.queue.key("limits"), client.queue.key("paused")) == 0


@pytest.mark.parametrize("switched", ["resume", "pause", "limit", "lift", "weigh"])
def test_a_copy_does_not_undo_what_was_switched_while_it_was_made(
    any_client: RedisClient, monkeypatch: pytest.MonkeyPatch, switched: str
) -> None:
    """The reconciler has read SQL, and somebody switches something before it tells Redis."""
    client, server = any_client, any_client.get_client()
    client.pause(MAIN, reason="upkeep")
    client.limit("vendor", 1)
    switches: dict[str, Callable[[], None]] = {
        "resume": lambda: client.resume(MAIN),
        "pause": lambda: client.pause(SECOND, reason="late"),
        "limit": lambda: client.limit("gpu", 2),
        "lift": lambda: client.limit("vendor", None),
        "weigh": lambda: client.weigh("acme", 3),
    }
    meanwhile = [switches[switched]]

    def overtaken(database: Database) -> Controls:
        found = controls(database)
        if meanwhile:
            meanwhile.pop()()
        return found

    monkeypatch.setattr("redis_client.controls.controls", overtaken)
    copy_controls(client.queue, client.database, anew=True)
    said, key = controls(client.database), client.queue.key
    assert server.hgetall(key("paused")) == said.paused_queues()
    assert server.hgetall(key("limits")) == {group: str(most) for group, most in said.limits.items()}
    assert server.hgetall(key("weights")) == {tenant: f"{weight:g}" for tenant, weight in said.weights.items()}


def test_a_flushed_redis_grants_nothing_until_it_is_whole_again(client: RedisClient) -> None:
    client.pause("selftest", kind="pipeline")
    client.get_client().flushall()
    client.enqueue_job("a", {}, pipeline="selftest")
    assert client.queue.claim(slot(), nonce="n") == Rewound()
    reconcile(client.queue, client.database, lease_seconds=30, untouched_seconds=0)
    assert isinstance(client.queue.claim(slot(), nonce="m"), Nothing)
    assert facts(client.queue)["parked"] == "pipeline:selftest"
    assert_agree(client)


# --- fairness between tenants


def serve(queue: Queue, count: int) -> list[str]:
    """Claim and finish so many jobs, one after the other; their ids."""
    order = []
    for number in range(count):
        grant = take(queue, nonce=f"f{number}")
        order.append(grant.job_id)
        queue.finish(slot(), grant, status="completed")
    return order


def tenants(order: list[str]) -> str:
    return "".join(job_id[0] for job_id in order)


def test_one_job_of_another_tenant_does_not_wait_for_a_flood(queue: Queue) -> None:
    queue.enqueue_many([job(f"a{number:04}", tenant="a") for number in range(1000)])
    assert tenants(serve(queue, 20)) == "a" * 20
    queue.enqueue(job("b", tenant="b"))
    assert "b" in serve(queue, 2)


def test_tenants_take_turns_and_weights_hold(queue: Queue, server: Any) -> None:
    server.hset(queue.key("weights"), "a", "3")
    queue.enqueue_many([job(f"{name}{number:03}", tenant=name) for name in "abc" for number in range(100)])
    served = Counter(tenants(serve(queue, 150)))
    assert served == {"a": 90, "b": 30, "c": 30}


def test_a_tenant_that_comes_back_saves_up_no_turns(queue: Queue) -> None:
    queue.enqueue(job("b0", tenant="b"))
    serve(queue, 1)
    queue.enqueue_many([job(f"a{number:03}", tenant="a") for number in range(100)])
    serve(queue, 50)
    queue.enqueue_many([job(f"b{number}", tenant="b") for number in range(1, 9)])
    assert Counter(tenants(serve(queue, 8)))["a"] >= 3


def test_priorities_hold_within_a_tenant(queue: Queue) -> None:
    queue.enqueue_many([job(f"a{number}", tenant="a", priority="low") for number in range(3)])
    queue.enqueue_many([job(f"b{number}", tenant="b") for number in range(3)])
    queue.enqueue(job("ahigh", tenant="a", priority="high"))
    order = serve(queue, 7)
    assert [one for one in order if one[0] == "a"] == ["ahigh", "a0", "a1", "a2"]
    assert tenants(order[:6]) in {"ababab", "bababa", "abbaab", "baabba"}


def test_an_idle_queue_keeps_no_shares(queue: Queue, server: Any) -> None:
    queue.enqueue_many([job(f"{name}{number}", tenant=name) for name in "ab" for number in range(5)])
    serve(queue, 10)
    assert server.exists(queue.key(f"fair:{MAIN}"), queue.key(f"lanes:{MAIN}")) == 0
