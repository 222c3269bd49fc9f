"""Webhooks through real workers: to the receiver of the guide, through kills, and from nobody who was overtaken."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from database.deliveries import list_deliveries
from database.engine import now_ms
from database.tables import Delivery, DeliveryHost
from database.webhooks import secrets_of
from pipeline.signatures import sign
from redis_client.client import RedisClient
from settings import child_environment
from tests.support.receivers import Receiver, example, free_port, receive
from tests.support.workers import WorkerProcess, wait_for

StartWorker = Callable[..., WorkerProcess]
Setting = Callable[[str, object], None]


@pytest.fixture
def start_receiver(tmp_path: Path, client: RedisClient) -> Iterator[Callable[[list[str], str], tuple[int, Path]]]:
    """`start_receiver([node], "js")`: the receiver that the guide shows; its port, and what it says."""
    started: list[subprocess.Popen[bytes]] = []

    def start(program: list[str], language: str) -> tuple[int, Path]:
        source, said, port = tmp_path / f"receiver.{language}", tmp_path / "said", free_port()
        source.write_text(example(language))
        secret = secrets_of(client.database, "default")[0]
        with said.open("wb") as out:
            process = subprocess.Popen(
                [*program, str(source)],
                env=child_environment(PORT=str(port), WEBHOOK_SECRET=secret),
                stdout=out,
                stderr=out,
            )
        started.append(process)
        return port, said

    yield start
    for one in started:
        one.kill()
        one.wait()


def tell_of(client: RedisClient, start_worker: StartWorker, setting: Setting, port: int, said: Path) -> None:
    """A worker tells the receiver of two jobs, and it believes and says so once each, also when it is told again."""
    place = f"127.0.0.1:{port}"
    setting("WEBHOOK_OWN_HOSTS", place)
    webhook = {"url": f"http://{place}/stagecrew"}
    client.enqueue_job("good", {"stages": 2}, pipeline="selftest", webhook=webhook)
    client.enqueue_job("bad", {"fail_at": 1, "fail_kind": "permanent"}, pipeline="selftest", webhook=webhook)
    worker = start_worker("worker-1", WEBHOOK_OWN_HOSTS=place)

    def delivered() -> bool:
        found = list_deliveries(client.database, None)
        return len(found) == 2 and all(one["status"] == "delivered" for one in found)

    # The receiver may start later than its first message comes.
    wait_for(lambda: due(client) or delivered(), what=lambda: f"{worker.text()} {said.read_text()}")
    with client.database.write() as connection:
        connection.execute(update(Delivery).values(status="pending", due_ms=now_ms()))
        connection.execute(update(DeliveryHost).values(free_ms=0))
    wait_for(delivered, what=worker.text)
    assert sorted(said.read_text().splitlines()) == ["job.completed good", "job.failed bad"]
    assert worker.stop() == 0


def due(client: RedisClient) -> bool:
    """Let everything that waits be due; False."""
    with client.database.write() as connection:
        connection.execute(update(DeliveryHost).where(DeliveryHost.silences > 0).values(free_ms=0))
        connection.execute(
            update(Delivery).where(Delivery.status == "pending", Delivery.attempts > 0).values(due_ms=now_ms())
        )
    return False


def test_the_receiver_of_the_guide_believes_us(
    client: RedisClient,
    start_worker: StartWorker,
    setting: Setting,
    start_receiver: Callable[[list[str], str], tuple[int, Path]],
) -> None:
    tell_of(client, start_worker, setting, *start_receiver([sys.executable], "python"))


@pytest.mark.browser
def test_the_other_receiver_of_the_guide_believes_us(
    client: RedisClient,
    start_worker: StartWorker,
    setting: Setting,
    start_receiver: Callable[[list[str], str], tuple[int, Path]],
) -> None:
    from playwright._impl._driver import compute_driver_executable

    node = compute_driver_executable()[0]  # the one that drives the browser
    assert shutil.which(node)
    tell_of(client, start_worker, setting, *start_receiver([node], "js"))


def test_a_forged_message_is_not_believed(
    client: RedisClient, start_receiver: Callable[[list[str], str], tuple[int, Path]]
) -> None:
    port, said = start_receiver([sys.executable], "python")
    secret, body, now = (
        secrets_of(client.database, "default")[0],
        b'{"type": "job.completed", "data": {}}',
        int(time.time()),
    )

    def post(stamp: int, signature: str) -> int | None:
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(stamp), "webhook-signature": signature}
        try:
            return httpx.post(f"http://127.0.0.1:{port}/", content=body, headers=headers).status_code
        except httpx.HTTPError:
            return None

    wait_for(lambda: post(now, "") == 401, what=said.read_text)
    assert post(now, sign("whsec_" + "A" * 43 + "=", "msg_1", now, body)) == 401
    assert post(now - 400, sign(secret, "msg_1", now - 400, body)) == 401
    assert post(now, sign(secret, "msg_2", now, body)) == 401
    assert post(now, sign(secret, "msg_1", now, body)) == 204


@contextmanager
def sending(
    client: RedisClient, start_worker: StartWorker, setting: Setting
) -> Iterator[tuple[Receiver, WorkerProcess]]:
    """A worker in the middle of telling a receiver, which does not answer before its gate is open."""
    with receive(waits=True) as receiver:
        setting("WEBHOOK_OWN_HOSTS", receiver.place)
        client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
        worker = start_worker("worker-1", WEBHOOK_OWN_HOSTS=receiver.place)
        wait_for(lambda: receiver.got, what=worker.text)
        yield receiver, worker


def test_a_worker_that_is_killed_while_it_sends_loses_no_message(
    client: RedisClient, start_worker: StartWorker, setting: Setting
) -> None:
    with sending(client, start_worker, setting) as (receiver, first):
        first.kill()
        receiver.gate.set()
        with client.database.write() as connection:
            connection.execute(update(DeliveryHost).values(free_ms=0))  # as if its minute was over
        second = start_worker("worker-2", WEBHOOK_OWN_HOSTS=receiver.place)
        wait_for(lambda: due(client) or len(receiver.got) >= 2, what=second.text)
        wait_for(lambda: list_deliveries(client.database, None)[0]["status"] == "delivered", what=second.text)
        assert len(set(receiver.ids())) == 1
        assert second.stop() == 0


def test_a_worker_does_not_wait_for_a_receiver_when_it_stops(
    client: RedisClient, start_worker: StartWorker, setting: Setting
) -> None:
    with sending(client, start_worker, setting) as (_, worker):
        assert worker.stop(8) == 0
        assert list_deliveries(client.database, None)[0]["status"] == "pending"


def test_a_worker_that_drains_tells_of_its_last_job_before_it_leaves(
    client: RedisClient, start_worker: StartWorker, setting: Setting
) -> None:
    with receive() as receiver:
        setting("WEBHOOK_OWN_HOSTS", receiver.place)
        client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
        assert start_worker("worker-1", "--drain", WEBHOOK_OWN_HOSTS=receiver.place).wait() == 0
        assert [one["type"] for one in receiver.told()] == ["job.completed"]
