"""Many jobs, several slots and workers, two queues, priorities, pauses: each job once, and none forgotten."""

from __future__ import annotations

import orjson
import pytest

from database.engine import Database
from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.crews import (
    MAIN,
    SECOND,
    StartWorker,
    assert_completed_once,
    begins,
    enqueue,
    enqueue_many,
    events,
    executions,
    hold,
    row,
    wait_for_agreement,
    wait_for_all,
    wait_for_status,
)
from tests.support.workers import WorkerProcess, wait_for


def test_two_workers_share_200_jobs_and_each_runs_once(any_client: RedisClient, start_worker: StartWorker) -> None:
    workers = [start_worker(f"worker-{number}", "--concurrency", "2") for number in range(2)]
    for worker in workers:
        worker.wait_for_event("worker_started")
    enqueue_many(any_client, 200)
    wait_for_all(any_client, "completed")
    assert [worker.stop() for worker in workers] == [0, 0]
    assert_completed_once(any_client)
    assert set(begins(any_client).values()) == {1}
    done = [len(worker.events("job_completed")) for worker in workers]
    assert sum(done) == 200
    assert all(done)
    assert_agree(any_client, workers=0)


@pytest.mark.parametrize("serve", [("", ""), (MAIN, SECOND)], ids=["both", "one-each"])
def test_jobs_are_handed_over_between_two_queues(
    client: RedisClient, start_worker: StartWorker, serve: tuple[str, str]
) -> None:
    ids = enqueue_many(client, 12, stages=4, two_queues=True)
    names = ["worker-1", "worker-2"] if serve[0] else ["worker-1"]
    workers = [
        start_worker(name, *(("--queues", queues) if queues else ()))
        for name, queues in zip(names, serve, strict=False)
    ]
    wait_for_all(client, "completed")
    assert [worker.stop() for worker in workers] == [0] * len(workers)
    assert_completed_once(client)
    for job_id in ids:
        assert [one["data"]["queue"] for one in events(client, job_id, "handed_over")] == [SECOND, MAIN, SECOND]
        assert row(client, job_id)["queue"] == SECOND
    if serve[0]:
        assert {one["stage"] for one in workers[0].events("stage_started")} == {"step_1", "step_3"}
        assert {one["stage"] for one in workers[1].events("stage_started")} == {"step_2", "step_4"}
    assert_agree(client, workers=0)


def most_at_once(worker: WorkerProcess, queue: str) -> int:
    """The most jobs of a queue that this worker ran at the same time, by its log."""
    now, most, of = 0, 0, {}
    for one in worker.events():
        if one["event"] == "job_processing_started":
            of[one["job_id"]] = one["queue"]
            now += one["queue"] == queue
        elif one["event"] in {"job_completed", "job_requeued"} and of.pop(one["job_id"], None) == queue:
            now -= 1
        most = max(most, now)
    return most


def test_slots_by_queue_are_never_exceeded_and_all_used(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue_many(client, 12, stages=4, seconds=0.1, two_queues=True)
    worker = start_worker("worker-1", "--queues", f"{MAIN}=1,{SECOND}=2", "--drain")
    assert worker.wait(60) == 0
    assert_completed_once(client)
    assert most_at_once(worker, MAIN) == 1
    assert most_at_once(worker, SECOND) in {1, 2}
    assert worker.events("worker_started")[0]["slots"] == 3
    assert_agree(client, workers=0)


def test_a_slot_that_became_free_hears_its_queue_at_once(client: RedisClient, start_worker: StartWorker) -> None:
    worker = start_worker("worker-1", "--queues", f"{MAIN}=1,{SECOND}=1")
    worker.wait_for_event("worker_started")
    waits = []
    for number in range(3):
        enqueue(client, f"long-{number}", seconds=0.3)
        wait_for_status(client, f"long-{number}", "completed")
        enqueue(client, f"next-{number}")
        found = wait_for_status(client, f"next-{number}", "completed")
        waits.append(found["started_ms"] - found["created_ms"])
    assert min(waits) < 1000  # not the two seconds of a BLPOP that listens to the other queue alone
    assert worker.stop() == 0
    assert_completed_once(client)
    assert_agree(client, workers=0)


def test_priorities_decide_and_a_delayed_job_waits(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "later", delay=1.5)
    enqueue(client, "low", priority="low")
    enqueue(client, "normal")
    enqueue(client, "high", priority="high")
    worker = start_worker("worker-1", "--drain")
    assert worker.wait() == 0
    order = [one["job_id"] for one in worker.events("job_completed")]
    assert [name for name in order if name != "later"] == ["high", "normal", "low"]
    found = row(client, "later")
    assert found["started_ms"] - found["created_ms"] >= 1500
    assert_completed_once(client)
    assert_agree(client, workers=0)


def test_a_delayed_job_of_an_idle_worker_starts_when_it_is_due(client: RedisClient, start_worker: StartWorker) -> None:
    worker = start_worker("worker-1")
    worker.wait_for_event("worker_started")
    enqueue(client, "later", delay=1.2)
    found = wait_for_status(client, "later", "completed")
    assert 1200 <= found["started_ms"] - found["created_ms"] < 4200
    assert worker.stop() == 0
    assert_agree(client, workers=0)


def calls(client: RedisClient) -> int:
    """How many scripts Redis has run."""
    stats = client.get_client().info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "blpop"))


def test_a_paused_queue_is_left_alone_without_spinning(client: RedisClient, start_worker: StartWorker) -> None:
    client.pause(SECOND, reason="repairs")
    enqueue_many(client, 20, stages=2, two_queues=True)
    worker = start_worker("worker-1", "--concurrency", "2")
    wait_for(lambda: client.get_client().zcard(client.queue.key(f"ready:{SECOND}")) == 20, what="20 jobs in the pause")
    assert {row(client, f"job-{number:03}")["status"] for number in range(20)} == {"pending"}
    client.pause(MAIN)
    enqueue_many(client, 5, prefix="main")
    hold(2.5)  # what it was blocked on runs out
    before = calls(client)
    hold(3)
    assert calls(client) - before < 3 * 8  # two claims a second, the beat, the sweep
    assert not worker.events("job_completed")
    client.resume(SECOND)
    client.resume(MAIN)
    wait_for_all(client, "completed")
    assert worker.stop() == 0
    assert_completed_once(client)
    assert_agree(client, workers=0)


def test_what_runs_when_its_queue_is_paused_goes_on(client: RedisClient, start_worker: StartWorker) -> None:
    enqueue(client, "a", stages=3, seconds=0.2)
    enqueue(client, "b")
    worker = start_worker("worker-1", "--drain")
    worker.wait_for_event("stage_started", job_id="a")
    client.pause(MAIN)
    assert worker.wait() == 0  # what is paused is nothing that it waits for
    assert (row(client, "a")["status"], row(client, "b")["status"]) == ("completed", "pending")
    assert_agree(client, workers=0)


# -- the inbox ---------------------------------------------------------------------------------------------------------


def wait_until_blocked(client: RedisClient) -> None:
    wait_for(lambda: any(one["cmd"] == "blpop" for one in client.get_client().client_list()), what="a BLPOP")


def test_json_of_another_program_becomes_a_job_and_rubbish_is_set_aside(
    client: RedisClient, start_worker: StartWorker
) -> None:
    redis = client.get_client()
    worker = start_worker("worker-1")
    worker.wait_for_event("worker_started")
    wait_until_blocked(client)
    redis.rpush(MAIN, orjson.dumps({"id": "theirs", "pipeline": "selftest", "stages": 2}))
    wait_for(client.list_jobs, 20, what=worker.text)
    wait_for_status(client, "theirs", "completed")
    rubbish: list[bytes] = [
        b"hello world",
        b"{not json",
        b"[1, 2]",
        b"\xff\xfe\x00binary",
        b'{"pipeline": "selftest", "stages": "many"}',
        b'{"pipeline": "selftest", "delay": "soon"}',
        b'{"pipeline": {}, "stages": 1}',
        b'{"pipeline": null}',
        b'{"pipeline": "selftest", "queue": 5}',
        b'{"pipeline": "selftest", "priority": []}',
        b'{"pipeline": "selftest", "tenant": {}}',
        b'{"id": {"a": 1}, "pipeline": "selftest"}',
        b'{"pipeline": "selftest", "label": "\\u0000\\ud800"}',
        b"nobody-knows-this-id",
        b"",
    ]
    redis.rpush(MAIN, *rubbish)
    enqueue_many(client, 5)
    wait_for(
        lambda: (
            redis.llen(client.queue.key("inbox")) == 0 and redis.llen(client.queue.key("inbox_bad")) >= len(rubbish) - 1
        ),
        what=lambda: f"rubbish set aside: {redis.llen(client.queue.key('inbox_bad'))} {worker.text()}",
    )
    wait_for_all(client, "completed")
    assert worker.events("inbox_set_aside")
    assert worker.is_alive()
    assert worker.stop() == 0
    assert not worker.events("thread_died")
    wait_for_agreement(client, workers=0)
    assert executions(client, "theirs") == {"step_1": 1, "step_2": 1}


def test_rubbish_on_postgresql_kills_no_worker(
    redis_url: str, postgres_database: Database, start_worker: StartWorker
) -> None:
    client = RedisClient(url=redis_url, database=postgres_database)
    redis = client.get_client()
    redis.rpush(MAIN, b'{"id": "nul", "pipeline": "selftest", "label": "a\\u0000b"}', b"\xff\xfe")
    enqueue_many(client, 3)
    worker = start_worker("worker-1", SWEEP_SECONDS="0.3")
    wait_for(lambda: redis.llen(client.queue.key("inbox_bad")) == 1, what=worker.text)
    wait_for_all(client, "completed")
    wait_for(lambda: not redis.llen(MAIN), what="a worker that has heard all bells")
    assert worker.stop() == 0
    wait_for_agreement(client, workers=0)
    client.close()


@pytest.mark.slow
def test_what_is_pushed_while_workers_come_and_go_is_not_lost(client: RedisClient, start_worker: StartWorker) -> None:
    redis = client.get_client()
    for number in range(3):
        worker = start_worker(f"worker-{number}", SWEEP_SECONDS="60")
        worker.wait_for_event("worker_started")  # the one before may still be seen to wait
        wait_until_blocked(client)
        redis.rpush(MAIN, *(orjson.dumps({"id": f"theirs-{number}-{one}", "pipeline": "selftest"}) for one in range(3)))
        assert worker.stop() == 0
    last = start_worker("last", SWEEP_SECONDS="0.3")
    wait_for(lambda: len(client.list_jobs(status="completed")) == 9, what=lambda: f"9 jobs: {client.list_jobs()}")
    wait_for(lambda: not redis.llen(MAIN), what="a worker that has heard the bells of those before it")
    assert last.stop() == 0
    assert_completed_once(client)
    assert_agree(client, workers=0)
