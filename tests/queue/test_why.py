"""`why JOB`: each cause is built, and the answer names it with the command that frees the job."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from database.fenced import FencedWrites
from errors import UnknownJob
from redis_client.client import RedisClient
from redis_client.why import Why, why
from tests.queue.test_family import Crew
from tests.support.moves import MAIN, begin, failure, holder, run_out, slot, sweep, take


def enqueue(
    client: RedisClient, job_id: str = "a", /, *, delay: float = 0, tenant: str = "default", **payload: Any
) -> None:
    client.enqueue_job(job_id, payload, pipeline="selftest", delay=delay, tenant=tenant)


def worker_is_alive(client: RedisClient, **facts: Any) -> None:
    record = {"worker_id": "w", "queues": [MAIN], "slots": 1, "jobs": [], "trouble": None, "stopping": None} | facts
    client.queue.beat(client.get_client(), worker="w9", lease_seconds=30, record=record, jobs=[])


def paused(kind: str, name: str) -> Callable[[RedisClient], None]:
    def build(client: RedisClient) -> None:
        client.pause(name, kind=kind, reason="upkeep")
        enqueue(client, tenant="acme")

    return build


def full(client: RedisClient) -> None:
    client.limit("tenant:default", 1)
    enqueue(client, "other")
    take(client.queue)
    enqueue(client)
    client.queue.claim(slot("w2"), nonce="park")


def delayed(client: RedisClient) -> None:
    enqueue(client, delay=60)


def nobody(client: RedisClient) -> None:
    enqueue(client)


def queued(client: RedisClient) -> None:
    worker_is_alive(client, jobs=["x"])
    enqueue(client, "0")  # of two jobs of one millisecond the one whose id sorts first comes first
    enqueue(client)


def troubled(client: RedisClient) -> None:
    worker_is_alive(client, trouble="the disk is full")
    enqueue(client)


def running(client: RedisClient) -> None:
    enqueue(client)
    begin(client, take(client.queue))


def silent(client: RedisClient) -> None:
    running(client)
    sweep(client.queue)
    run_out(client.queue)
    sweep(client.queue)


def cancelling(client: RedisClient) -> None:
    running(client)
    client.cancel("a")


def failed_once(client: RedisClient) -> None:
    enqueue(client)
    grant = take(client.queue)
    record = begin(client, grant)
    FencedWrites(client.database).retry_later(holder(grant), record, failure(), delay_seconds=60)
    client.queue.requeue(slot(), grant, delay_seconds=60)


def host_trouble(client: RedisClient) -> None:
    enqueue(client)
    grant = take(client.queue)
    record = begin(client, grant)
    FencedWrites(client.database).release(holder(grant), record, reason="the disk is full", delay_seconds=60)
    client.queue.requeue(slot(), grant, delay_seconds=60)


def dead(client: RedisClient) -> None:
    enqueue(client)
    grant = take(client.queue)
    record = begin(client, grant)
    FencedWrites(client.database).fail(holder(grant), record, failure())


def quarantined(client: RedisClient) -> None:
    enqueue(client)
    set_status(client, "quarantined")


def cancelled(client: RedisClient) -> None:
    enqueue(client)
    client.cancel("a")


def forgotten(client: RedisClient) -> None:
    worker_is_alive(client)
    enqueue(client)
    client.get_client().delete(client.queue.key("job:a"))


def set_status(client: RedisClient, status: str) -> None:
    with client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET status = :status, crashes = 3, finished_ms = 1"), {"status": status})


@pytest.mark.parametrize(
    ("build", "reason", "said", "command"),
    [
        (paused("queue", MAIN), "paused", "is paused (upkeep)", f"jobs.py resume {MAIN}"),
        (paused("pipeline", "selftest"), "paused", "pipeline selftest is paused", "jobs.py resume --pipeline selftest"),
        (paused("tenant", "acme"), "paused", "tenant acme is paused", "jobs.py resume --tenant acme"),
        (full, "limit_full", "1 jobs of tenant:default may run at once, and so many do: other", "jobs.py limit"),
        (delayed, "delayed", "due in", ""),
        (nobody, "no_worker", f"no living worker serves its queue {MAIN}", f"python worker.py --queues {MAIN}"),
        (queued, "queued", "1 jobs stand ahead of it", ""),
        (troubled, "worker_trouble", "worker w takes no jobs now: the disk is full", "jobs.py workers"),
        (running, "running", "it runs on worker label-w1", ""),
        (silent, "lease_lost", "worker label-w1 stopped answering", "start a worker"),
        (cancelling, "cancelling", "somebody cancelled it", ""),
        (failed_once, "retry_at", "try 1 of stage step_1 failed (no connection); the next is in", ""),
        (host_trouble, "host_trouble", "handed it back: the disk is full", "jobs.py workers"),
        (dead, "failed", "it failed in stage step_1: Unreachable: no connection", "jobs.py retry a"),
        (quarantined, "quarantined", "died 3 times", "jobs.py show a --debug, then jobs.py retry a"),
        (cancelled, "cancelled", "somebody cancelled it", "jobs.py retry a"),
        (forgotten, "unknown_to_redis", "Redis has lost it", ""),
    ],
)
def test_the_answer_names_the_cause_and_what_frees_the_job(
    any_client: RedisClient, build: Callable[[RedisClient], None], reason: str, said: str, command: str
) -> None:
    build(any_client)
    answer = why(any_client, "a")
    assert isinstance(answer, Why)
    assert answer.reason == reason, answer
    assert said in answer.sentence
    assert command in answer.command


@pytest.mark.parametrize(("edge", "reason"), [("skip", "children"), ("wait", "child_needs_a_person")])
def test_a_waiting_parent_names_its_child(client: RedisClient, state_dir: Any, edge: str, reason: str) -> None:
    from artifacts import LocalStore

    crew = Crew(client, LocalStore(state_dir / "artifacts"))
    enqueue(client, children=2, child_fails=1, child_edge=edge)
    if edge == "wait":
        crew.work_off()
    else:
        crew.run(crew.claim())  # type: ignore[arg-type]
    answer = why(client, "a")
    assert answer.reason == reason
    assert "a.step_1.0" in answer.sentence
    assert "a.step_1.0" in answer.command


def test_with_redis_away_the_answer_says_so(client: RedisClient) -> None:
    enqueue(client)
    away = RedisClient(url="unix:///nonexistent/redis.sock", database=client.database)
    answer = why(away, "a")
    assert answer.reason == "redis_away"
    assert "the job is safe" in answer.sentence


def test_an_unknown_job_is_an_error(client: RedisClient) -> None:
    with pytest.raises(UnknownJob):
        why(client, "nobody")
