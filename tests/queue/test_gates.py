"""What everybody shares: a rate limit never grants more than it says (I17), slots of a resource are never passed."""

import pytest

from errors import InvalidInput
from redis_client import gates
from redis_client.client import RedisClient
from tests.support.moves import job, slot, take


def test_a_rate_limit_grants_its_burst_and_then_tells_how_long_to_wait(client: RedisClient) -> None:
    waits = [gates.take(client.queue, "vendor", per_second=10, burst=3) for _ in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert all(0 < wait <= 0.1 for wait in waits[3:])


def test_in_any_window_no_more_than_burst_and_rate_are_granted(client: RedisClient) -> None:
    server = client.get_client()

    def now_us() -> int:
        seconds, micros = server.time()
        return int(seconds) * 1_000_000 + int(micros)

    began, granted = now_us(), 0
    while now_us() - began < 300_000:
        granted += gates.take(client.queue, "vendor", per_second=100, burst=5) == 0
    window = (now_us() - began) / 1e6
    assert 5 < granted <= 5 + 100 * window


def test_a_dear_call_costs_more(client: RedisClient) -> None:
    assert gates.take(client.queue, "vendor", per_second=1, burst=4, cost=3) == 0
    assert 0 < gates.take(client.queue, "vendor", per_second=1, burst=4, cost=3) <= 2
    assert gates.take(client.queue, "vendor", per_second=1, burst=4) == 0


@pytest.mark.parametrize(("per_second", "burst", "cost"), [(0, 1, 1), (-1, 1, 1), (1, 1, 2), (1, 1, 0)])
def test_a_rate_that_never_grants_is_refused(client: RedisClient, per_second: float, burst: int, cost: int) -> None:
    with pytest.raises(InvalidInput, match="never grants"):
        gates.take(client.queue, "vendor", per_second=per_second, burst=burst, cost=cost)


@pytest.mark.parametrize("name", ["", "a b", "x{y}", "a" * 129])
def test_an_odd_name_of_a_resource_is_refused(client: RedisClient, name: str) -> None:
    with pytest.raises(InvalidInput, match="resource"):
        gates.hold(client.queue, name, "me", slots=1, lease_seconds=30)


def test_slots_of_a_resource_are_never_passed_and_come_back(client: RedisClient) -> None:
    queue = client.queue
    held = [gates.hold(queue, "vendor", name, slots=2, lease_seconds=30) for name in ("a", "b", "c", "a")]
    assert held == [True, True, False, True]
    assert gates.release(queue, "vendor", "a")
    assert not gates.release(queue, "vendor", "a")
    assert gates.hold(queue, "vendor", "c", slots=2, lease_seconds=30)


def test_a_slot_of_the_dead_runs_out_and_a_beat_renews_that_of_the_living(client: RedisClient) -> None:
    queue, server = client.queue, client.get_client()
    for name in ("living", "dead"):
        assert gates.hold(queue, "vendor", name, slots=2, lease_seconds=30)
    server.zadd(queue.key("sem:vendor"), {"living": 1, "dead": 1})
    queue.enqueue(job("a"))
    grant = take(queue, slot())
    queue.beat(
        server, worker="w1", lease_seconds=30, record={}, jobs=[("a", grant.token)], holds=[("vendor", "living")]
    )
    assert gates.hold(queue, "vendor", "new", slots=2, lease_seconds=30)
    assert not gates.hold(queue, "vendor", "another", slots=2, lease_seconds=30)
    server.flushall()
    queue.beat(server, worker="w1", lease_seconds=30, record={}, jobs=[], holds=[("vendor", "living")])
    assert server.zrange(queue.key("sem:vendor"), 0, -1) == ["living"]


# --- the breaker

VENDOR = "vendor"


def fail(client: RedisClient, times: int, holder: str = "h") -> None:
    for _ in range(times):
        gates.breaker(client.queue, VENDOR, holder, "fail", threshold=3, open_seconds=10, longest_seconds=40)


def ask(client: RedisClient, holder: str) -> float:
    return gates.breaker(client.queue, VENDOR, holder, "ask", threshold=3, open_seconds=10, longest_seconds=40)


def wait_is_over(client: RedisClient) -> None:
    client.get_client().hset(client.queue.key(f"breaker:{VENDOR}"), "open_until", 1)


def test_a_breaker_opens_after_some_failures_in_a_row(client: RedisClient) -> None:
    fail(client, 2)
    assert ask(client, "a") == 0
    gates.breaker(client.queue, VENDOR, "a", "ok")
    fail(client, 2)
    assert ask(client, "a") == 0
    fail(client, 1)
    assert 9 < ask(client, "a") <= 10
    assert 9 < gates.breaker(client.queue, VENDOR, "", "look") <= 10


def test_one_probe_at_a_time_decides_for_all(client: RedisClient) -> None:
    fail(client, 3)
    wait_is_over(client)
    assert [ask(client, name) > 0 for name in "abc"] == [False, True, True]
    gates.breaker(client.queue, VENDOR, "b", "ok")  # an answer to a call from before
    assert ask(client, "c") > 0
    gates.breaker(client.queue, VENDOR, "a", "ok")
    assert ask(client, "c") == 0


def test_a_failed_probe_closes_it_for_twice_as_long_up_to_a_limit(client: RedisClient) -> None:
    fail(client, 3)
    for longest in (20, 40, 40):
        wait_is_over(client)
        assert ask(client, "a") == 0
        fail(client, 1, "a")
        assert longest - 1 < ask(client, "b") <= longest


def test_a_probe_that_died_is_forgotten(client: RedisClient) -> None:
    fail(client, 3)
    wait_is_over(client)
    assert ask(client, "dead") == 0
    assert ask(client, "b") > 0
    client.get_client().hset(client.queue.key(f"breaker:{VENDOR}"), "probe_until", 1)
    assert ask(client, "b") == 0


def test_a_vendor_that_says_for_how_long_is_left_alone_so_long(client: RedisClient) -> None:
    gates.breaker(client.queue, VENDOR, "a", "cool", open_seconds=25)
    assert 24 < ask(client, "b") <= 25


def test_a_hint_wakes_who_waits_and_comes_early_too(client: RedisClient) -> None:
    gates.hint(client.queue, "pred-1")
    gates.hint(client.queue, "pred-1")
    assert gates.wait_for_hint(client.queue, "pred-1", 5)
    assert not gates.wait_for_hint(client.queue, "pred-1", 0.01)


def test_how_gates_stand_is_told(client: RedisClient) -> None:
    queue = client.queue
    for name in ("a", "b"):
        gates.hold(queue, "vendor", name, slots=2, lease_seconds=30)
    assert gates.look_at(queue, {"vendor": 2, "other": None}) == {
        "vendor": gates.GateState(0.0, 2, 2),
        "other": gates.GateState(0.0, 0, None),
    }
    for _ in range(gates.FAILURES_IN_A_ROW):
        gates.breaker(queue, "vendor", "a", "fail", open_seconds=30)
    assert 25 < gates.look_at(queue, {"vendor": 2})["vendor"].open_seconds <= 30
    assert gates.look_at(queue, {}) == {}
