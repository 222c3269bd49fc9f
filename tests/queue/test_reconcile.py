"""Redis is rebuilt from SQL: whatever it forgot comes back, what runs is not run twice, and one bad row stops nobody."""

from typing import Any

import pytest
from sqlalchemy import text

from database.fenced import FencedWrites
from database.jobs import NewJob, insert_jobs
from database.open_jobs import OpenJob, known_open_jobs, mark_reconciled
from database.records import Begun, NotBegun
from errors import QueueUnavailable
from redis_client.answers import Grant
from redis_client.client import RedisClient
from redis_client.reconcile import reconcile, start_of
from tests.support.agree import assert_agree, snapshot
from tests.support.moves import (
    LEASE_SECONDS,
    MAIN,
    SECOND,
    begin,
    checkpoint,
    facts,
    holder,
    job,
    ready,
    run_out,
    slot,
    stands,
    sweep,
    take,
    whole,
)
from tests.support.points import remember, rewind
from worker import Worker


def repair(client: RedisClient, *, untouched_seconds: float = 0.0) -> dict[str, int]:
    done = reconcile(client.queue, client.database, lease_seconds=LEASE_SECONDS, untouched_seconds=untouched_seconds)
    return dict(done or {})


def enqueue(client: RedisClient, *names: str, **options: Any) -> None:
    for name in names:
        client.enqueue_job(name, {"stages": 2}, pipeline="selftest", **options)


def test_after_a_flush_every_open_job_is_back_in_its_place(any_client: RedisClient) -> None:
    enqueue(any_client, "a", "b")
    enqueue(any_client, "high", priority="high")
    enqueue(any_client, "second", queue=SECOND)
    enqueue(any_client, "later", delay=60)
    enqueue(any_client, "cancelled")
    any_client.cancel("cancelled")
    places = {key: snapshot(any_client)[key] for key in ("slots", "leases")}
    any_client.get_client().flushall()
    assert repair(any_client) == {"rebuilt": 5}
    assert_agree(any_client, workers=0)
    assert ready(any_client.queue)[0] == "high"
    assert sorted(ready(any_client.queue)) == ["a", "b", "high"]
    assert ready(any_client.queue, SECOND) == ["second"]
    assert facts(any_client.queue, "later")["state"] == "delayed"
    assert {key: snapshot(any_client)[key] for key in ("slots", "leases")} == places
    assert repair(any_client) == {"fine": 5}


def test_a_job_in_flight_is_put_back_as_running_under_its_fence_and_not_run_twice(any_client: RedisClient) -> None:
    enqueue(any_client, "a")
    queue = any_client.queue
    grant = take(queue)
    record = begin(any_client, grant)
    any_client.get_client().flushall()
    assert repair(any_client) == {"adopted": 1}
    assert stands(queue) == ("running", grant.token)
    assert ready(queue) == []
    # Its living owner's next beat matches; it goes on and ends it.
    words = queue.beat(any_client.get_client(), worker="w1", lease_seconds=30, record={}, jobs=[("a", grant.token)])
    assert words == ["ok"]
    FencedWrites(any_client.database).complete(holder(grant), record, checkpoint(), {})
    queue.finish(slot(), grant, status="completed")
    assert_agree(any_client)
    assert any_client.get_job_status("a")["status"] == "completed"


def test_a_dead_owners_job_comes_back_after_one_lease_and_counts_its_crash(any_client: RedisClient) -> None:
    enqueue(any_client, "a")
    queue = any_client.queue
    old = take(queue)
    begin(any_client, old)
    any_client.get_client().flushall()
    repair(any_client)
    sweep(queue)
    run_out(queue)
    assert sweep(queue)["expired"] == 1
    new = take(queue, slot("w2"))
    assert new.token > old.token
    assert new.expired == old.token
    assert begin(any_client, new, "label-w2").crashes == 1
    assert_agree(any_client)


def test_a_rewound_redis_that_holds_a_running_job_ready_under_an_older_token(client: RedisClient) -> None:
    enqueue(client, "a")
    server: Any = client.get_client()
    before = {key: server.dump(key) for key in server.keys("*")}
    grant = take(client.queue)
    begin(client, grant)
    server.flushall()
    for key, value in before.items():
        server.restore(key, 0, value)
    assert ready(client.queue) == ["a"]
    assert repair(client) == {"adopted": 1}
    assert_agree(client, workers=0)
    assert stands(client.queue) == ("running", grant.token)


def test_a_token_issued_by_a_rewound_redis_is_above_the_fence_in_the_end(client: RedisClient) -> None:
    """A claim before the reconciler came: begin answers with the floor, and the next token passes it."""
    enqueue(client, "a")
    queue, server = client.queue, client.get_client()
    ahead = take(queue)
    with client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET fence = :fence"), {"fence": ahead.token + 10**9})
    writes = FencedWrites(client.database)
    refused = writes.begin(holder(ahead), expired=0, known=0)
    assert isinstance(refused, NotBegun)
    assert refused.verdict == "stale"
    queue.requeue(slot(), ahead, floor=refused.floor)
    again = take(queue)
    assert isinstance(writes.begin(holder(again), expired=0, known=again.known), Begun)
    assert server.hget(queue.key("job:a"), "floor") == str(ahead.token + 10**9)


def test_a_job_that_redis_lost_the_waking_of_is_ready_again(client: RedisClient) -> None:
    """Claimed while it waited, so its token is newer than SQL's fence; then it was woken, and Redis forgot that."""
    enqueue(client, "a")
    queue = client.queue
    grant = take(queue)
    queue.requeue(slot(), grant, waits=True)
    assert facts(queue, "a")["state"] == "waiting"
    told = known_open_jobs(client.database, untouched_seconds=0)[0]
    assert queue.reconcile(told, lease_seconds=LEASE_SECONDS) == "unsure", "SQL may have more to say by now"
    assert repair(client) == {"rebuilt": 1}
    assert ready(queue) == ["a"]
    again = take(queue)
    assert again.token > grant.token
    begin(client, again)
    assert_agree(client, workers=1)


def test_more_than_one_page_is_repaired(client: RedisClient) -> None:
    count = 1203
    insert_jobs(client.database, [NewJob(f"j{number:04}", "selftest", MAIN, {}, "d") for number in range(count)])
    assert repair(client) == {"rebuilt": count}
    assert len(ready(client.queue)) == count
    assert_agree(client, workers=0)


@pytest.mark.parametrize("spoil", ["priority", "hash"])
def test_a_bad_row_is_logged_and_does_not_stop_the_others(client: RedisClient, spoil: str) -> None:
    enqueue(client, "a", "b", "c")
    client.get_client().flushall()
    if spoil == "priority":
        with client.database.write() as connection:
            connection.execute(text("UPDATE jobs SET priority = 'rubbish' WHERE id = 'b'"))
    else:
        client.get_client().set(client.queue.key("job:b"), "no hash")
    done = repair(client)
    assert done["rebuilt"] == 2
    assert sorted(ready(client.queue)) == ["a", "c"]


@pytest.mark.parametrize("index", ["ready:" + MAIN, "delayed", "leases"])
def test_a_hole_in_an_index_is_mended(client: RedisClient, index: str) -> None:
    enqueue(client, "a", delay=60 if index == "delayed" else 0)
    if index == "leases":
        take(client.queue)
    client.get_client().zrem(client.queue.key(index), "a")
    # Claimed and not begun: SQL does not know its token yet, so it runs on.
    assert repair(client) == {"adopted" if index == "leases" else "rebuilt": 1}
    assert_agree(client, workers=1)


@pytest.mark.parametrize("state", ["", "rubbish", "completed", "failed", "cancelled", "gone"])
def test_a_wrong_state_in_redis_is_mended(client: RedisClient, state: str) -> None:
    enqueue(client, "a")
    server = client.get_client()
    server.zrem(client.queue.key(f"ready:{MAIN}"), "a")
    server.hset(client.queue.key("job:a"), "state", state)
    assert repair(client) == {"rebuilt": 1}
    assert_agree(client, workers=1)


@pytest.mark.parametrize("field", ["state", "queue", "score", "token", "slot"])
@pytest.mark.parametrize("claimed", [False, True])
def test_a_record_that_lost_a_field_is_made_whole(client: RedisClient, field: str, *, claimed: bool) -> None:
    enqueue(client, "a")
    if claimed:
        begin(client, take(client.queue))
    client.get_client().hdel(client.queue.key("job:a"), field)
    client.queue.claim(slot("w2"), nonce="look")
    sweep(client.queue)
    run_out(client.queue)
    sweep(client.queue)
    for _ in range(2):
        repair(client)
        sweep(client.queue)
        run_out(client.queue)
        sweep(client.queue)
    assert "a" in ready(client.queue)


def test_a_job_that_ended_since_the_page_was_read_is_not_brought_back(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(client, "a")
    grant = take(client.queue)
    record = begin(client, grant)
    real = known_open_jobs

    def page_then_end(*arguments: Any, **options: Any) -> Any:
        page = real(*arguments, **options)
        if page:
            FencedWrites(client.database).complete(holder(grant), record, checkpoint(), {})
            client.queue.finish(slot(), grant, status="completed")
        return page

    monkeypatch.setattr("redis_client.reconcile.known_open_jobs", page_then_end)
    assert repair(client) == {"fine": 1}
    assert_agree(client, workers=1)


def test_a_row_is_looked_at_once_in_ten_minutes(client: RedisClient) -> None:
    enqueue(client, "a")
    with client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET updated_ms = updated_ms - 61000"))
    assert repair(client, untouched_seconds=60) == {"fine": 1}
    assert repair(client, untouched_seconds=60) == {}


def test_a_fresh_row_is_left_to_its_enqueue(client: RedisClient) -> None:
    insert_jobs(client.database, [NewJob("a", "selftest", MAIN, {}, "d")])
    assert repair(client, untouched_seconds=60) == {}


def test_one_reconciler_at_a_time(client: RedisClient) -> None:
    enqueue(client, "a")
    server = client.get_client()
    server.flushall()
    server.set(client.queue.key("reconciler"), "somebody", px=60_000)
    assert repair(client) == {}
    assert server.get(client.queue.key("reconciler")) == "somebody"
    server.delete(client.queue.key("reconciler"))
    assert repair(client) == {"rebuilt": 1}
    assert not server.exists(client.queue.key("reconciler"))


def test_a_reconciler_that_lost_its_lock_leaves_the_next_ones_alone(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(client, "a")
    server = client.get_client()
    real = mark_reconciled

    def stall(*arguments: Any) -> None:
        real(*arguments)
        server.set(client.queue.key("reconciler"), "the next one", px=60_000)

    monkeypatch.setattr("redis_client.reconcile.mark_reconciled", stall)
    reconcile(client.queue, client.database, lease_seconds=30, untouched_seconds=0, owner="me")
    assert server.get(client.queue.key("reconciler")) == "the next one"


def test_a_cancelled_job_whose_worker_died_ends_with_the_next_claim(client: RedisClient) -> None:
    """Its lease ran out, SQL still says in flight: to take it out of Redis would leave it open for minutes."""
    enqueue(client, "a")
    queue = client.queue
    begin(client, take(queue))
    sweep(queue)
    run_out(queue)
    sweep(queue)
    assert client.cancel("a") == "processing"
    grant = take(queue, slot("w2"))
    answer = FencedWrites(client.database).begin(holder(grant, "label-w2"), expired=grant.expired, known=grant.known)
    assert answer == NotBegun("cancelled", "cancelled")
    queue.finish(slot("w2"), grant, status="cancelled")
    assert_agree(client, workers=1)


def test_a_lost_beat_of_a_job_that_sql_still_gives_to_its_worker_is_adopted(client: RedisClient) -> None:
    enqueue(client, "a", "b")
    queue = client.queue
    grant = take(queue)
    begin(client, grant)
    sweep(queue)
    run_out(queue)
    sweep(queue)
    assert FencedWrites(client.database).still_mine(holder(grant))
    assert queue.adopt(job("a"), token=grant.token, lease_seconds=30, slot=slot())
    assert_agree(client, workers=0)
    follow = queue.finish(slot(), grant, status="completed", nonce="next")
    assert isinstance(follow, Grant)
    assert follow.job_id == "b"


def test_reconcile_of_a_whole_redis_changes_nothing_but_its_marks(client: RedisClient) -> None:
    enqueue(client, "a", "b", "c")
    begin(client, take(client.queue))
    repair(client)
    marks = {client.queue.key(name) for name in ("canary", "swept", "copied")}
    before = {key: value for key, value in whole(client.queue).items() if key not in marks}
    assert repair(client) == {"fine": 3}
    assert {key: value for key, value in whole(client.queue).items() if key not in marks} == before


def test_a_new_worker_finds_out_that_redis_was_started_anew(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All workers died with Redis, which lost its last second: nobody is left who remembers its last start."""
    starts = ["first"]
    monkeypatch.setattr(type(client.queue), "run_id", lambda _queue: starts[-1])
    repair(client)
    enqueue(client, "a")
    known = remember(client)
    client.pause(MAIN)
    starts.append("second")
    rewind(client, known)
    assert not client.get_client().hgetall(client.queue.key("paused"))
    healed: list[Any] = []
    for name in ("w1", "w2"):
        Worker(name, client=client, queues=MAIN, concurrency=1).house.round()
        assert list(client.get_client().hgetall(client.queue.key("paused"))) == [MAIN]
        healed.append(client.get_client().hget(client.queue.key("swept"), "healed"))
    assert start_of(healed[0]) == "second"
    assert healed[0] == healed[1], "once is enough"


@pytest.fixture
def died_half_way(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Six jobs, of which a reconciler compared the first two pages of two; what is compared from then on."""
    monkeypatch.setattr("database.open_jobs.PAGE", 2)
    for name in "abcdef":
        enqueue(client, name)
    compared: list[str] = []
    real = client.queue.reconcile

    def noted(job: OpenJob, **options: Any) -> str:
        compared.append(job.id)
        if len(compared) == 5:
            raise QueueUnavailable("killed here")
        return real(job, **options)

    monkeypatch.setattr(client.queue, "reconcile", noted)
    with pytest.raises(QueueUnavailable):
        reconcile(client.queue, client.database, lease_seconds=30, untouched_seconds=0, owner="w1")
    assert compared == ["a", "b", "c", "d", "e"]
    compared[:] = ["-"] * 5
    return compared


def goes_on(client: RedisClient, compared: list[str]) -> list[str]:
    assert reconcile(client.queue, client.database, lease_seconds=30, untouched_seconds=0, owner="w2") is not None
    return compared[5:]


def test_where_a_reconciler_died_the_next_one_goes_on(client: RedisClient, died_half_way: list[str]) -> None:
    assert goes_on(client, died_half_way) == ["e", "f"]
    # Once all was compared, the next doubt begins with the first again.
    assert goes_on(client, died_half_way)[2:] == ["a", "b", "c", "d", "e", "f"]


def test_after_a_flush_it_begins_anew(client: RedisClient, died_half_way: list[str]) -> None:
    client.get_client().flushall()
    assert goes_on(client, died_half_way) == ["a", "b", "c", "d", "e", "f"]


def test_after_another_start_of_redis_it_begins_anew(
    client: RedisClient, died_half_way: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.queue, "run_id", lambda: "another start")
    assert goes_on(client, died_half_way) == ["a", "b", "c", "d", "e", "f"]


def test_a_flush_on_its_way_ends_it(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("database.open_jobs.PAGE", 1)
    for name in "ab":
        enqueue(client, name)
    real, done = mark_reconciled, []

    def flushed(*arguments: Any) -> None:
        real(*arguments)
        done.append(1)
        if len(done) == 1:
            client.get_client().flushall()

    monkeypatch.setattr("redis_client.reconcile.mark_reconciled", flushed)
    assert reconcile(client.queue, client.database, lease_seconds=30, untouched_seconds=0, owner="w1") is None
    assert len(done) == 1
    assert repair(client) == {"rebuilt": 2}
