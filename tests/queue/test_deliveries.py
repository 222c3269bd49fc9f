"""Messages to receivers: written with their events, signed, tried for a day, each host by itself."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from daemon.courier import Courier
from database.deliveries import find_delivery, forget_deliveries, list_deliveries, send_again
from database.engine import Database, now_ms
from database.fenced import FencedWrites
from database.keeping import delete_ended
from database.records import Begun, Checkpoint, Failure, Holder
from database.tables import Delivery, Job, Webhook
from database.webhooks import (
    add_webhook,
    find_webhook,
    list_webhooks,
    ping,
    remove_webhook,
    rotate_secret,
    secrets_of,
)
from errors import Fenced, InvalidInput, Unknown
from pipeline import fetch
from pipeline.signatures import key_of, sign, verify
from pipeline.webhooks import PAUSES, Tried, send
from redis_client.client import RedisClient
from redis_client.webhooks import as_receiver
from states import TELLABLE, TOLD_UNASKED
from tests.support.receivers import Receiver, free_port, receive

Setting = Callable[[str, object], None]
Own = Callable[..., None]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as made:
        yield made


@pytest.fixture
def own(setting: Setting) -> Own:
    """`own(receiver)`: a place in our own network."""
    return lambda *places: setting("WEBHOOK_OWN_HOSTS", ",".join(one.place for one in places))


def courier(database: Database, *receivers: Receiver, **options: Any) -> Courier:
    return Courier(database, "worker-1", [one.place for one in receivers], **options)


def due_now(database: Database) -> None:
    """Everything that waits is due."""
    with database.write() as connection:
        connection.execute(update(Delivery).where(Delivery.status == "pending").values(due_ms=now_ms()))


def of_job(client: RedisClient, job_id: str = "one") -> list[dict[str, Any]]:
    return list_deliveries(client.database, None, job_id=job_id)


def begin(client: RedisClient, token: int, job_id: str = "one") -> tuple[FencedWrites, Holder, Any]:
    writes = FencedWrites(client.database)
    holder = Holder(job_id, token, "worker-1#0")
    begun = writes.begin(holder, expired=0, known=token)
    assert isinstance(begun, Begun)
    return writes, holder, begun.job


# --- what is written


@pytest.mark.parametrize("events", [None, ["completed"], list(TELLABLE)])
def test_a_job_is_told_of_to_those_who_want_its_events(
    client: RedisClient, receiver: Receiver, own: Own, events: list[str] | None
) -> None:
    own(receiver)
    client.enqueue_job("one", {"stages": 2}, pipeline="selftest", webhook={"url": receiver.url, "events": events})
    client.enqueue_job("other", {}, pipeline="selftest")
    for job_id in ("one", "other"):
        writes, holder, job = begin(client, 10, job_id)
        writes.checkpoint(holder, job, Checkpoint("step_1", "", {}, "1", progress=50.0))
        writes.complete(holder, job, Checkpoint("step_2", "", {}, "1", progress=100.0), {"answer": 42})
    told = [one["event"] for one in reversed(of_job(client))]
    assert told == [one for one in ("processing", "stage_completed", "completed") if one in (events or TOLD_UNASKED)]
    assert of_job(client, "other") == []
    body = orjson_of(client, of_job(client)[0]["id"])
    assert body["type"] == "job.completed"
    wanted = {"job_id": "one", "tenant": "default", "status": "completed", "run": 1, "result": {"answer": 42}}
    assert {name: body["data"][name] for name in wanted} == wanted


def orjson_of(client: RedisClient, delivery_id: str) -> dict[str, Any]:
    import orjson

    found: dict[str, Any] = orjson.loads(find_delivery(client.database, delivery_id, None)["body"])
    return found


@pytest.mark.parametrize("end", ["failed", "cancelled", "cancelled while it runs", "quarantined", "needs_a_person"])
def test_each_end_is_told(client: RedisClient, receiver: Receiver, own: Own, end: str) -> None:
    own(receiver)
    add_webhook(client.database, as_receiver("webhook", {"url": receiver.url}), tenant="default")
    client.enqueue_job("one", {}, pipeline="selftest")
    if end == "cancelled":
        client.cancel("one")
    elif end == "quarantined":
        writes = FencedWrites(client.database, quarantine_crashes=1)
        writes.begin(Holder("one", 10, "worker-1#0"), expired=0, known=0)
        writes.begin(Holder("one", 11, "worker-2#0"), expired=10, known=10)
    else:
        writes, holder, job = begin(client, 10)
        if end == "failed":
            writes.fail(holder, job, Failure("step_1", "", 1, "Permanent", "it is broken"))
        elif end == "needs_a_person":
            writes.hold(holder, job, reason="a budget is spent")
        else:
            writes.cancelled(holder)
    found = of_job(client)
    assert [one["event"] for one in found] == [end.split(" ", maxsplit=1)[0]]
    if end == "failed":
        assert orjson_of(client, found[0]["id"])["data"]["error"] == "it is broken"


def test_a_worker_that_was_overtaken_tells_nothing(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
    writes, stale, job = begin(client, 10)
    _, newer, _ = begin(client, 11)
    with pytest.raises(Fenced):
        writes.complete(stale, job, None, {})
    assert of_job(client) == []
    writes.complete(newer, job, None, {})
    assert len(of_job(client)) == 1


def test_a_commit_that_fails_tells_nothing(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
    writes, holder, job = begin(client, 10)
    with pytest.raises(TypeError):  # what JSON cannot hold
        writes.complete(holder, job, Checkpoint("step_1", "", {"bad": object()}, "1", progress=100.0), {})
    assert of_job(client) == []


def test_only_the_tenants_own_receivers_are_told(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    made = as_receiver("webhook", {"url": receiver.url})
    acme = add_webhook(client.database, made, tenant="acme")
    add_webhook(client.database, made, tenant="globex")
    client.enqueue_job("one", {}, pipeline="selftest", tenant="acme")
    client.cancel("one")
    assert [one["webhook_id"] for one in of_job(client)] == [acme["id"]]
    assert [one["id"] for one in list_webhooks(client.database, "acme")] == [acme["id"]]
    with pytest.raises(Unknown):
        remove_webhook(client.database, acme["id"], "globex")
    with pytest.raises(Unknown):
        find_delivery(client.database, of_job(client)[0]["id"], "globex")
    remove_webhook(client.database, acme["id"], "acme")
    client.retry("one")
    client.cancel("one")
    assert len(of_job(client)) == 1


def test_it_is_the_same_on_postgresql(redis_url: str, postgres_database: Database, setting: Setting) -> None:
    with receive() as receiver:
        setting("WEBHOOK_OWN_HOSTS", receiver.place)
        client = RedisClient(url=redis_url, database=postgres_database)
        client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
        writes, holder, job = begin(client, 10)
        writes.complete(holder, job, None, "a bare word")
        assert courier(postgres_database, receiver).deliver() == 1
        assert receiver.told()[0]["data"]["result"] == "a bare word"
        assert [one["status"] for one in of_job(client)] == ["delivered"]
        assert forget_deliveries(postgres_database, seconds=-1) == 1
        client.close()


# --- how it is signed


def test_the_signature_is_that_of_the_standard() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    found = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_is_genuine_to_a_library_of_somebody_else(client: RedisClient, receiver: Receiver, own: Own) -> None:
    from replicate.webhook import Webhooks, WebhookSigningSecret, WebhookValidationError

    own(receiver)
    ping(client.database, add(client, receiver), None)
    courier(client.database, receiver).deliver()
    headers, body = receiver.got[0]
    secret = secrets_of(client.database, "default")[0]
    Webhooks.validate(headers=headers, body=body.decode(), secret=WebhookSigningSecret(key=secret), tolerance=300)
    with pytest.raises(WebhookValidationError):
        Webhooks.validate(
            headers=headers, body=body.decode() + " ", secret=WebhookSigningSecret(key=secret), tolerance=300
        )


def add(client: RedisClient, receiver: Receiver, tenant: str = "default") -> str:
    made = add_webhook(client.database, as_receiver("webhook", {"url": receiver.url}), tenant=tenant)
    return str(made["id"])


def test_a_secret_that_was_changed_signs_along_for_a_day(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    database = client.database
    old = secrets_of(database, "default")[0]
    assert len(key_of(old)) == 32
    new = rotate_secret(database, "default")
    ping(database, add(client, receiver), None)
    courier(database, receiver).deliver()
    headers, body = receiver.got[0]
    for secret in (old, new):
        assert verify(headers, body, [secret], now=time.time()) == headers["webhook-id"]
    with database.write() as connection:
        from database.tables import WebhookSecret

        connection.execute(update(WebhookSecret).values(rotated_ms=now_ms() - 24 * 3600 * 1000))
    assert secrets_of(database, "default") == [new]
    assert secrets_of(database, "acme") != [new]
    assert base64.b64decode(new.removeprefix("whsec_")) != base64.b64decode(old.removeprefix("whsec_"))


# --- how it gets there


def test_a_receiver_that_is_away_hears_each_message_once(client: RedisClient, own: Own) -> None:
    port = free_port()
    away = Receiver(port)
    own(away)
    client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": away.url})
    client.cancel("one")
    post = courier(client.database, away)
    post.deliver()
    assert (post.deliver(), of_job(client)[0]["status"]) == (0, "pending")  # not before its pause is over
    due_now(client.database)
    post.deliver()
    with receive(port) as receiver:
        receiver.answers = [500, 302]
        for _ in range(4):
            due_now(client.database)
            post.deliver()
        found = of_job(client)[0]
        assert [one["status"] for one in found["tries"]] == [None, None, 500, 302, 204]
        assert "does not answer" in found["tries"][0]["error"]
        assert (found["status"], set(receiver.ids())) == ("delivered", {found["id"]})
        assert len(receiver.got) == 3
        send_again(client.database, found["id"], None)
        post.deliver()
        assert (receiver.ids()[3:], receiver.got[3][1]) == ([found["id"]], receiver.got[2][1])


def test_after_a_day_it_is_given_up_and_can_be_sent_again(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    receiver.answers = [503] * (len(PAUSES) + 1)
    client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
    client.cancel("one")
    post = courier(client.database, receiver)
    pauses = []
    for _ in range(len(PAUSES)):
        post.deliver()
        found = of_job(client)[0]
        with client.database.read() as connection:
            pauses.append((found["due_ms"] - connection.execute(select(now_ms())).scalar_one()) / 1000)
        due_now(client.database)
    assert all(0.85 * wanted < pause < 1.15 * wanted for pause, wanted in zip(pauses[2:], PAUSES[2:], strict=True))
    assert 23 * 3600 < sum(PAUSES) < 25 * 3600
    post.deliver()
    assert of_job(client)[0]["status"] == "failed"
    due_now(client.database)
    assert post.deliver() == 0
    send_again(client.database, of_job(client)[0]["id"], None)
    post.deliver()
    found = of_job(client)[0]
    assert (found["status"], len(found["tries"])) == ("delivered", len(PAUSES) + 2)


def test_a_receiver_that_is_gone_is_switched_off(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    receiver.answers = [410]
    webhook_id = add(client, receiver)
    client.enqueue_job("one", {}, pipeline="selftest")
    client.cancel("one")
    courier(client.database, receiver).deliver()
    assert of_job(client)[0]["status"] == "failed"
    assert find_webhook(client.database, webhook_id, None)["disabled_ms"]
    client.enqueue_job("two", {}, pipeline="selftest")
    client.cancel("two")
    assert of_job(client, "two") == []


def test_a_silent_host_holds_up_nobody_elses_messages_and_burns_one_try(
    client: RedisClient, receiver: Receiver, own: Own
) -> None:
    away = Receiver(free_port())
    own(away, receiver)
    for number in range(5):
        client.enqueue_job(f"away-{number}", {}, pipeline="selftest", webhook={"url": away.url})
        client.enqueue_job(f"here-{number}", {}, pipeline="selftest", webhook={"url": receiver.url})
        client.cancel(f"away-{number}")
        client.cancel(f"here-{number}")
    courier(client.database, away, receiver).deliver()
    found = list_deliveries(client.database, None)
    assert sum(one["status"] == "delivered" for one in found) == 5
    waiting = [one for one in found if one["status"] == "pending"]
    assert sorted(one["attempts"] for one in waiting) == [0, 0, 0, 0, 1]
    assert sum(len(one["tries"]) for one in waiting) == 1


def test_a_host_that_hangs_is_left_behind(
    client: RedisClient, receiver: Receiver, own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.courier.HANGS_SECONDS", 0.2)
    with receive(waits=True) as hanging:
        own(hanging, receiver)
        for name, one in (("slow", hanging), ("quick", receiver)):
            client.enqueue_job(name, {}, pipeline="selftest", webhook={"url": one.url})
            client.cancel(name)
        post = courier(client.database, hanging, receiver)
        post.deliver()
        assert [one["status"] for one in (of_job(client, "slow") + of_job(client, "quick"))] == ["pending", "delivered"]
        assert len(post._left_behind) == 1


def test_a_bug_in_one_message_stops_no_other(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    for name in ("bad", "good"):
        client.enqueue_job(name, {}, pipeline="selftest", webhook={"url": f"{receiver.url}?{name}"})
        client.cancel(name)

    def broken(message: Any, *given: Any, **options: Any) -> Tried:
        if message.job_id == "bad":
            raise RuntimeError("a bug")
        return send(message, *given, **options)

    post = courier(client.database, receiver, send=broken)
    with client.database.write() as connection:
        connection.execute(update(Delivery).where(Delivery.job_id == "bad").values(host="bad.example"))
    post.deliver()
    assert of_job(client, "good")[0]["status"] == "delivered"
    assert of_job(client, "bad")[0]["status"] == "pending"


# --- the door, and the guard


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("https://shop.example", "use an object"),
        ({}, "use an object"),
        ({"url": 5}, "use an object"),
        ({"url": "https://shop.example", "secret": "x"}, "use an object"),
        ({"url": "http://shop.example/"}, "give an https address"),
        ({"url": "ftp://shop.example/"}, "give an https address"),
        ({"url": "https://me:pw@shop.example/"}, "without user and password"),
        ({"url": "https://shop.example/\n"}, "give an https address"),
        ({"url": "https://shop.example/" + "x" * 2000}, "at most 2000"),
        ({"url": "https://127.0.0.1/"}, "private network"),
        ({"url": "https://169.254.169.254/latest"}, "private network"),
        ({"url": "https://[::1]/"}, "private network"),
        ({"url": "https://shop.example/", "events": []}, "use a list"),
        ({"url": "https://shop.example/", "events": "completed"}, "use a list"),
        ({"url": "https://shop.example/", "events": ["complete"]}, "did you mean 'completed'"),
    ],
)
def test_a_wrong_receiver_is_refused_before_the_job_is_stored(client: RedisClient, given: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=r"webhook") as refused:
        client.enqueue_job("one", {}, pipeline="selftest", webhook=given)
    assert told in str(refused.value)
    assert client.list_jobs() == []


def test_a_name_that_leads_inside_is_never_asked(
    client: RedisClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_resolve", lambda _host, _port: ["127.0.0.1"])
    url = f"https://inside.example:{receiver.port}/"
    client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": url})
    client.cancel("one")
    courier(client.database).deliver()
    found = of_job(client)[0]
    assert "private network" in found["tries"][0]["error"]
    assert receiver.got == []


def test_an_own_place_is_that_port_alone(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    other = receiver.url.replace(str(receiver.port), str(free_port()))
    with pytest.raises(InvalidInput):
        client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": other})


# --- how long it is kept


def test_they_go_when_their_time_is_over(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    for name in ("one", "two"):
        client.enqueue_job(name, {}, pipeline="selftest", webhook={"url": receiver.url})
    client.cancel("one")
    assert forget_deliveries(client.database, seconds=-1) == 0  # it is still to be sent
    courier(client.database, receiver).deliver()
    assert forget_deliveries(client.database, seconds=3600) == 0
    assert forget_deliveries(client.database, seconds=-1) == 1
    delete_ended(client.database, lambda _pipeline, _status: -1.0)
    with client.database.read() as connection:
        assert connection.execute(select(Webhook.job_id)).scalars().all() == ["two"]
        assert connection.execute(select(func.count()).select_from(Job)).scalar_one() == 1
    with client.database.write() as connection:
        connection.execute(delete(Webhook))
