"""Trouble of Redis is nobody's failure, and what other programs push breaks nothing."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import orjson
import pytest
import redis
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from daemon.fetcher import BUSY_SECONDS
from database.engine import Database
from errors import InvalidInput, QueueUnavailable
from redis_client.answers import Grant, Nothing
from redis_client.client import RedisClient
from redis_client.connection import Connections, queue_errors
from redis_client.inbox import adopt_inbox
from redis_client.queue import Queue
from redis_client.reconcile import reconcile
from tests.support.agree import assert_agree
from tests.support.moves import LEASE_SECONDS, MAIN, bells, forget, job, slot, take, whole
from tests.support.servers import redis_server
from worker import Worker


@pytest.fixture
def spare_queue() -> Iterator[Queue]:
    """A Redis of its own, to be mistreated."""
    with redis_server() as url:
        connections = Connections(url)
        yield Queue(connections)
        connections.close()


# --- answers that mean "not now"


def make_read_only(server: Any) -> None:
    server.execute_command("REPLICAOF", "127.0.0.1", "1")
    server.config_set("replica-serve-stale-data", "yes")


def make_full(server: Any) -> None:
    server.config_set("maxmemory", 1)


def make_lonely(server: Any) -> None:
    server.config_set("min-replicas-to-write", 1)


@pytest.mark.parametrize("spoil", [make_read_only, make_full, make_lonely])
def test_a_redis_that_cannot_write_now_is_trouble_and_no_bug(spare_queue: Queue, spoil: Callable[[Any], None]) -> None:
    spare_queue.enqueue(job("a"))
    server = spare_queue.connections.commands()
    spoil(server)
    with pytest.raises(QueueUnavailable):
        spare_queue.enqueue(job("b"))
    with pytest.raises(QueueUnavailable), queue_errors():
        server.set("x", 1)


@pytest.mark.parametrize(
    "answer",
    [
        redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
        redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.exceptions.ClusterDownError("The cluster is down"),
        redis.exceptions.TryAgainError("Multiple keys request during rehashing of slot"),
        redis.exceptions.MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
        redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
        redis.exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
        redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.exceptions.ResponseError("BUSY Redis is busy running a script."),
        redis.exceptions.ResponseError(
            "Error running script (call to f_9e81): @user_script:19: @user_script: 19: -MISCONF Redis is configured"
        ),
        redis.exceptions.ConnectionError("gone"),
        redis.exceptions.TimeoutError("slow"),
        redis.exceptions.MaxConnectionsError("too many"),
    ],
    ids=lambda error: f"{type(error).__name__}-{str(error)[:8]}",
)
def test_every_answer_that_means_not_now_is_host_trouble(answer: Exception) -> None:
    with pytest.raises(QueueUnavailable), queue_errors():
        raise answer


def test_a_wrong_command_stays_a_bug(redis_url: str) -> None:
    server = RedisClient(url=redis_url).get_client()
    server.set("text", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"), queue_errors():
        server.lpush("text", "y")


def test_a_redis_that_would_delete_jobs_is_refused(spare_queue: Queue) -> None:
    server = spare_queue.connections.build(socket_timeout=5)
    server.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(Exception, match="noeviction"):
        spare_queue.connections.commands()
    server.close()


def test_no_command_is_sent_twice_by_the_library(redis_url: str) -> None:
    client = Connections(redis_url).build(socket_timeout=1)
    retry = client.get_retry()
    assert retry is not None
    assert retry._retries == 0


# --- with Redis down


def test_enqueue_with_redis_down_stores_the_job_and_the_reconciler_delivers(
    redis_url: str, sqlite_database: Database
) -> None:
    broken = RedisClient(url="unix:///nonexistent/redis.sock", database=sqlite_database)
    with capture_logs() as logs:
        assert broken.enqueue_job("a", {}, pipeline="selftest")
        assert broken.enqueue_job("b", {}, pipeline="selftest", delay=60)
    assert [entry["job_id"] for entry in logs if entry["event"] == "enqueue_deferred"] == ["a", "b"]
    whole_client = RedisClient(url=redis_url, database=sqlite_database)
    done = reconcile(whole_client.queue, sqlite_database, lease_seconds=30, untouched_seconds=0)
    assert done == {"rebuilt": 2}
    assert_agree(whole_client)
    assert take(whole_client.queue).job_id == "a"
    claim = whole_client.queue.claim(slot("w2"), nonce="n")
    assert isinstance(claim, Nothing)
    assert claim.wait_seconds is not None
    assert 50 < claim.wait_seconds <= 60


def test_an_embedded_redis_that_cannot_start_defers_too(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent")  # as under systemd: no server is started
    client = RedisClient(database=sqlite_database)
    assert client.enqueue_job("a", {}, pipeline="selftest")
    assert client.cancel("a") == "cancelled"
    assert client.get_job_status("a")["status"] == "cancelled"


def test_cancel_retry_and_pause_with_redis_down_are_written_and_delivered_later(
    client: RedisClient, sqlite_database: Database
) -> None:
    broken = RedisClient(url="unix:///nonexistent/redis.sock", database=sqlite_database)
    client.enqueue_job("a", {}, pipeline="selftest")
    broken.pause(MAIN, reason="upkeep")
    assert broken.cancel("a") == "cancelled"
    broken.retry("a")
    reconcile(client.queue, sqlite_database, lease_seconds=30, untouched_seconds=0)
    assert client.queue.claim(slot(), nonce="n") == Nothing(None, again=False, paused=(MAIN,))
    broken.resume(MAIN)
    reconcile(client.queue, sqlite_database, lease_seconds=30, untouched_seconds=0)
    assert take(client.queue).job_id == "a"


def test_a_worker_starts_though_any_one_reply_is_lost(
    redis_url: str, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end with 75 else, and somebody had to start it again."""
    read, answers = AbstractConnection.read_response, [0, 0]

    def read_or_lose(connection: AbstractConnection, *arguments: Any, **options: Any) -> Any:
        answer = read(connection, *arguments, **options)
        answers[0] += 1
        if answers[0] == answers[1]:
            connection.disconnect()  # type: ignore[no-untyped-call]
            raise RedisConnectionError("its reply was lost")
        return answer

    monkeypatch.setattr(AbstractConnection, "read_response", read_or_lose)
    for lost in count(1):
        client = RedisClient(url=redis_url, database=sqlite_database)
        worker = Worker("w1", client=client, queues=MAIN, concurrency=1)
        answers[:] = 0, lost
        worker._open()
        met = answers[0] >= lost
        answers[:] = 0, 0
        client.close()
        if not met:
            break
    assert lost > 6


# --- foreign pushes


def push(client: RedisClient, value: str | bytes) -> None:
    """As a worker's claim does with what BLPOP brought."""
    server = client.get_client()
    server.rpush(client.queue.list_key(MAIN), value)
    found = server.lpop(client.queue.list_key(MAIN))
    client.queue.claim(slot("x"), nonce=ascii(found)[:50], popped=(MAIN, str(found)))


def inbox(client: RedisClient) -> list[str]:
    found: Any = client.get_client().lrange(client.queue.key("inbox"), 0, -1)
    return list(found)


def adopt(client: RedisClient) -> list[dict[str, object]]:
    with capture_logs() as logs:
        adopt_inbox(client, lease_seconds=LEASE_SECONDS)
    return [dict(entry) for entry in logs]


def test_a_foreign_push_becomes_a_job(client: RedisClient) -> None:
    push(client, orjson.dumps({"id": "a", "pipeline": "selftest", "stages": 2, "priority": "high"}))
    adopt(client)
    assert inbox(client) == []
    assert client.get_job("a")["payload"]["stages"] == 2
    assert_agree(client)
    assert take(client.queue).job_id == "a"


def test_adoption_repeated_makes_one_job(client: RedisClient) -> None:
    for value in ({"pipeline": "selftest", "label": "no id"}, {"id": "a", "pipeline": "selftest"}):
        for _ in range(3):
            push(client, orjson.dumps(value))
            adopt(client)
            push(client, orjson.dumps(value))
    adopt(client)
    assert len(client.list_jobs()) == 2
    assert inbox(client) == []


POISON = [
    b"\xff\xfe not utf-8",
    b"{\xff}",
    "plain words",
    "word",
    "word\n",
    "[1, 2]",
    "{",
    '"text"',
    "",
    "{}",
    '{"id": "a"}',
    '{"id": {"a": 1}, "pipeline": "selftest"}',
    '{"id": "../../etc", "pipeline": "selftest"}',
    '{"id": "a", "pipeline": "selftest", "delay": "soon"}',
    '{"id": "a", "pipeline": "selftest", "delay": -1}',
    '{"id": "a", "pipeline": "selftest", "delay": [1]}',
    '{"id": "a", "pipeline": 5}',
    '{"id": "a", "pipeline": ["selftest"]}',
    '{"id": "a", "pipeline": "selftest", "queue": 5}',
    '{"id": "a", "pipeline": "selftest", "queue": ["x"]}',
    '{"id": "a", "pipeline": "selftest", "queue": "nowhere"}',
    '{"id": "a", "pipeline": "selftest", "priority": {"x": 1}}',
    '{"id": "a", "pipeline": "selftest", "tenant": 7}',
    '{"id": "a", "pipeline": "selftest", "colour": "red"}',
    '{"id": "a", "pipeline": "selftest", "stages": 1e400}',
    '{"id": "a", "pipeline": "selftest", "stages": 99999999999999999999}',
    '{"id": "a", "product_name": "x", "images": [{"sha256": "../x"}]}',
    '{"id": "a", "product_name": "x", "images": ["/etc/passwd"]}',
    "{" * 20_000,
]


@pytest.mark.parametrize("value", POISON, ids=lambda value: repr(value[:40]))
def test_rubbish_is_set_aside_with_a_log_line_and_stops_nobody(client: RedisClient, value: str | bytes) -> None:
    push(client, value)
    push(client, orjson.dumps({"id": "good", "pipeline": "selftest"}))
    logs = adopt(client)
    assert inbox(client) == []
    assert [job["id"] for job in client.list_jobs()] == ["good"]
    if value:
        aside = [entry for entry in logs if entry["event"] == "inbox_set_aside"]
        assert len(aside) == 1
        orjson.dumps(aside[0])  # a log line that cannot be written would stop the log
        assert client.get_client().llen(client.queue.key("inbox_bad")) == 1


def test_a_bell_of_a_forgotten_job_brings_it_back(client: RedisClient) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    forget(client.queue)
    push(client, "a")
    adopt(client)
    assert take(client.queue).job_id == "a"
    assert len(bells(client.queue)) <= 1


def test_a_bell_of_an_ended_job_is_dropped_in_silence(client: RedisClient) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    client.cancel("a")
    client.get_client().flushall()
    push(client, "a")
    logs = adopt(client)
    assert not [entry for entry in logs if entry["event"] == "inbox_set_aside"]
    assert inbox(client) == []


def test_with_the_database_down_the_inbox_keeps_what_it_has(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(client, orjson.dumps({"id": "a", "pipeline": "selftest"}))
    before = inbox(client)

    def broken(*_arguments: object) -> set[str]:
        from errors import DatabaseUnavailable

        raise DatabaseUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr("redis_client.client.insert_jobs", broken)
        with pytest.raises(Exception, match="away"):
            adopt(client)
    assert inbox(client) == before
    adopt(client)
    assert client.get_job_status("a")["status"] == "pending"


# --- at the door


@pytest.mark.parametrize("bad", ["", " a", "-a", ".a", "a b", "a/b", "a\n", "ä", "a" * 129, "a\x00b", 5, None])
def test_a_bad_id_is_refused_before_anything_is_stored(client: RedisClient, bad: object) -> None:
    with pytest.raises(InvalidInput, match="id="):
        client.enqueue_job(bad, {}, pipeline="selftest")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="tenant="):
        client.enqueue_job("a", {}, pipeline="selftest", tenant=bad)  # type: ignore[arg-type]
    assert client.list_jobs() == []
    assert set(whole(client.queue)) == {client.queue.key("canary")}


@pytest.mark.parametrize("good", ["a", "9", "A.b_c:d@e-f", "a" * 128])
def test_a_good_id_is_taken(client: RedisClient, good: str) -> None:
    assert client.enqueue_job(good, {"id": good}, pipeline="selftest")


def test_the_same_id_and_payload_is_the_same_job_and_another_payload_an_error(any_client: RedisClient) -> None:
    assert any_client.enqueue_job("a", {"stages": 2}, pipeline="selftest") is True
    before = whole(any_client.queue)
    assert any_client.enqueue_job("a", {"stages": 2, "seconds": 0}, pipeline="selftest") is False
    with pytest.raises(InvalidInput, match="another payload"):
        any_client.enqueue_job("a", {"stages": 3}, pipeline="selftest")
    with pytest.raises(InvalidInput, match="another payload"):
        any_client.enqueue_job("a", {"stages": 2}, pipeline="selftest", tenant="else")
    assert whole(any_client.queue) == before
    assert len(any_client.list_jobs()) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pipeline": "selfest"}, "did you mean 'selftest'"),
        ({"queue": "selftest-quue"}, "did you mean 'selftest-queue'"),
        ({"priority": "urgent"}, "priority='urgent'"),
        ({"priority": 6}, "priority=6"),
        ({"priority": True}, "priority=True"),
        ({"delay": -1}, "delay=-1"),
        ({"delay": float("nan")}, "delay=nan"),
        ({"delay": float("inf")}, "delay=inf"),
        ({"delay": "5"}, "delay='5'"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_typed(
    client: RedisClient, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        client.enqueue_job("a", {}, **({"pipeline": "selftest"} | options))  # type: ignore[arg-type]
    assert client.list_jobs() == []


def test_an_id_in_the_payload_must_be_the_jobs(client: RedisClient) -> None:
    with pytest.raises(InvalidInput, match="not the job's id"):
        client.enqueue_job("a", {"id": "b"}, pipeline="selftest")


# --- a slot whose last job Redis still has


def test_a_slot_that_redis_takes_for_busy_rests_before_it_asks_again(client: RedisClient) -> None:
    """Redis was rewound: it has the slot's last job in it until the lease runs out, and rings for the others."""
    for name in ("a", "b", "c"):  # in the order of their ids, as two of one millisecond stand
        client.enqueue_job(name, {}, pipeline="selftest")
    worker = Worker("w1", client=client, queues=MAIN, concurrency=1)
    (state,) = worker.crew.slots
    worker.house.probe_now()
    assert isinstance(client.queue.claim(state.slot, nonce="before the rewind"), Grant)
    with capture_logs() as logs:
        waits = [worker.fetcher._fill() for _ in range(50)]
    assert [line["job_id"] for line in logs if line["event"] == "slot_busy"] == ["a"]
    assert 0 < max(waits) <= BUSY_SECONDS
    assert bells(client.queue) == ["b", "c"], "others may hear them"
    state.rests_until = 0.0
    with capture_logs() as logs:
        worker.fetcher._fill()
    assert [line["event"] for line in logs] == ["slot_busy"]
