"""Events over HTTP: each once, in order, from where a reader stopped; also when Redis has lost them."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
from starlette.testclient import TestClient

from redis_client.client import RedisClient
from tests.support.crews import enqueue
from tests.support.web import Server
from tests.support.workers import WorkerProcess, wait_for

Start = Callable[..., WorkerProcess]


def read(lines: Iterable[str]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Messages of a stream: id and data."""
    event_id = None
    for line in lines:
        if line.startswith("id: "):
            event_id = line[4:]
        elif line.startswith("data: "):
            yield event_id, json.loads(line[6:])
            event_id = None


def stream(server: Server, job_id: str, after: str | None = None) -> Iterator[tuple[str | None, dict[str, Any]]]:
    headers = {"Last-Event-ID": after} if after else {}
    with httpx.stream("GET", f"{server.url}/jobs/{job_id}/events", headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield from read(answer.iter_lines())


def test_readers_see_each_event_once_and_go_on_where_they_stopped(
    server: Server, client: RedisClient, start_worker: Start
) -> None:
    enqueue(client, "one", stages=5, seconds=0.05)
    seen: dict[int, list[tuple[str | None, dict[str, Any]]]] = {number: [] for number in range(5)}

    def follow(number: int) -> None:
        after = None
        while not seen[number] or seen[number][-1][1]["status"] != "completed":
            # Some leave after a few messages, and come back with the last id that they saw.
            for at, (event_id, event) in enumerate(stream(server, "one", after)):
                if event_id is None:
                    assert event["status"] == "pending"  # before the first event the records tell where it stands
                    continue
                seen[number].append((event_id, event))
                after = event_id
                if number and at == number:
                    break

    readers = [threading.Thread(target=follow, args=(number,)) for number in seen]
    for reader in readers:
        reader.start()
    worker = start_worker("worker-1", "--drain")
    assert worker.wait() == 0, worker.text()
    for reader in readers:
        reader.join(30)
        assert not reader.is_alive()
    whole = seen[0]
    assert (whole[0][1]["status"], whole[-1][1]["status"]) == ("processing", "completed")
    assert {event["stage"] for _, event in whole} >= {f"step_{number}" for number in range(1, 6)}
    progress = [event["progress"] for _, event in whole]
    assert progress == sorted(progress)
    assert all(one == whole for one in seen.values())


def test_a_reader_of_an_ended_job_gets_all_and_then_nothing_more(
    web: TestClient, client: RedisClient, start_worker: Start
) -> None:
    enqueue(client, "one", stages=2)
    assert start_worker("worker-1", "--drain").wait() == 0
    messages = list(read(web.get("/jobs/one/events").text.splitlines()))
    assert messages[-1][1]["status"] == "completed"
    last = messages[-1][0]
    assert last
    # A browser asks no more after a 204.
    assert web.get("/jobs/one/events", headers={"Last-Event-ID": last}).status_code == 204
    assert web.get("/jobs/one/events", headers={"Last-Event-ID": "x'; drop"}).status_code == 422


def test_when_redis_has_lost_the_events_the_records_tell_the_end(
    web: TestClient, client: RedisClient, start_worker: Start
) -> None:
    enqueue(client, "one", stages=2)
    assert start_worker("worker-1", "--drain").wait() == 0
    client.get_client().delete(client.queue.key("events:one"))
    messages = list(read(web.get("/jobs/one/events").text.splitlines()))
    assert [(event["status"], event["source"]) for _, event in messages] == [("completed", "sql")]
    again = web.get("/jobs/one/events", headers={"Last-Event-ID": str(messages[0][0])})
    assert again.status_code == 204


def test_a_job_that_was_asked_for_again_is_followed_to_its_new_end(
    server: Server, client: RedisClient, start_worker: Start
) -> None:
    enqueue(client, "one", stages=2)
    client.cancel("one")
    client.retry("one")
    seen = stream(server, "one")
    assert next(event for event_id, event in seen if event_id)["status"] == "cancelled"
    worker = start_worker("worker-1", "--drain")
    assert worker.wait() == 0, worker.text()
    assert [event["status"] for _, event in seen][-1] == "completed"


def test_the_bell_survives_what_others_say_on_its_channel(server: Server, client: RedisClient) -> None:
    enqueue(client, "one")
    came: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: came.extend(event for _, event in stream(server, "one")))
    reader.start()
    wait_for(lambda: came or None, what="where it stands")
    for odd in ("hello", "[]", "{}", "1"):
        client.get_client().publish("job_progress", odd)
    client.cancel("one")
    reader.join(4)  # the look without a bell comes after five seconds
    assert not reader.is_alive()


def test_news_comes_at_once(server: Server, client: RedisClient) -> None:
    """By the bell, not by the look that comes without one."""
    enqueue(client, "one")
    came: list[dict[str, Any]] = []

    def follow() -> None:
        came.extend(event for _, event in stream(server, "one"))

    reader = threading.Thread(target=follow)
    reader.start()
    wait_for(lambda: came or None, what="where it stands")
    client.cancel("one")
    reader.join(4)  # the look without a bell comes after five seconds
    assert not reader.is_alive()
    assert came[-1]["status"] == "cancelled"
