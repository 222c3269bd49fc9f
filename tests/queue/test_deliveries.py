"""Messages to receivers: written with their events, signed, tried for a day, each host by itself."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from daemon.courier import Courier
from database.deliveries import (
    find_delivery,
    forget_deliveries,
    leave_host,
    list_deliveries,
    next_message,
    send_again,
    take_host,
    tidy_hosts,
)
from database.engine import Database, now_ms
from database.fenced import FencedWrites
from database.keeping import delete_ended
from database.records import Begun, Checkpoint, Failure, Holder
from database.tables import Delivery, DeliveryHost, Job, Webhook, WebhookSecret
from database.webhooks import (
    MOST_BYTES,
    MOST_RECEIVERS,
    add_webhook,
    find_webhook,
    list_webhooks,
    ping,
    remove_webhook,
    rotate_secret,
    secrets_of,
)
from errors import Fenced, InvalidInput, Taken, Unknown, Unreachable
from pipeline import fetch
from pipeline.replay import replay
from pipeline.signatures import key_of, sign, verify
from pipeline.webhooks import PAUSES, Tried, send
from redis_client.client import RedisClient
from redis_client.outbox import deliver_letters
from redis_client.webhooks import as_receiver
from states import TELLABLE, TOLD_UNASKED
from tests.support.receivers import Receiver, free_port, receive
from tests.support.workers import wait_for

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


def deliver(post: Courier) -> int:
    """Serve all hosts that may be asked now, to the end; how many."""
    threads = post.deliver()
    for one in threads:
        one.join()
    return len(threads)


def due_now(database: Database) -> None:
    """Everything that waits is due, and every host may be asked."""
    with database.write() as connection:
        connection.execute(update(DeliveryHost).values(free_ms=0))
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
        assert deliver(courier(postgres_database, receiver)) == 1
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
    deliver(courier(client.database, receiver))
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
    deliver(courier(database, receiver))
    headers, body = receiver.got[0]
    for secret in (old, new):
        assert verify(headers, body, [secret], now=time.time()) == headers["webhook-id"]
    with database.write() as connection:
        connection.execute(update(WebhookSecret).where(WebhookSecret.secret == old).values(expires_ms=now_ms() - 1))
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
    deliver(post)
    assert (deliver(post), of_job(client)[0]["status"]) == (0, "pending")  # not before its pause is over
    due_now(client.database)
    deliver(post)
    with receive(port) as receiver:
        receiver.answers = [500, 302]
        for _ in range(4):
            due_now(client.database)
            deliver(post)
        found = of_job(client)[0]
        assert [one["status"] for one in found["tries"]] == [None, None, 500, 302, 204]
        assert "does not answer" in found["tries"][0]["error"]
        assert (found["status"], set(receiver.ids())) == ("delivered", {found["id"]})
        assert len(receiver.got) == 3
        send_again(client.database, found["id"], None)
        deliver(post)
        assert (receiver.ids()[3:], receiver.got[3][1]) == ([found["id"]], receiver.got[2][1])


def test_after_a_day_it_is_given_up_and_can_be_sent_again(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    receiver.answers = [503] * (len(PAUSES) + 1)
    client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
    client.cancel("one")
    post = courier(client.database, receiver)
    pauses = []
    for _ in range(len(PAUSES)):
        deliver(post)
        found = of_job(client)[0]
        with client.database.read() as connection:
            pauses.append((found["due_ms"] - connection.execute(select(now_ms())).scalar_one()) / 1000)
        due_now(client.database)
    assert all(0.85 * wanted < pause < 1.15 * wanted for pause, wanted in zip(pauses[2:], PAUSES[2:], strict=True))
    assert 23 * 3600 < sum(PAUSES) < 25 * 3600
    deliver(post)
    assert of_job(client)[0]["status"] == "failed"
    due_now(client.database)
    assert deliver(post) == 0
    send_again(client.database, of_job(client)[0]["id"], None)
    deliver(post)
    found = of_job(client)[0]
    assert (found["status"], len(found["tries"])) == ("delivered", len(PAUSES) + 2)


def test_a_receiver_that_is_gone_is_switched_off(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    receiver.answers = [410]
    webhook_id = add(client, receiver)
    client.enqueue_job("one", {}, pipeline="selftest")
    client.cancel("one")
    deliver(courier(client.database, receiver))
    assert of_job(client)[0]["status"] == "failed"
    assert find_webhook(client.database, webhook_id, None)["disabled_ms"]
    client.enqueue_job("two", {}, pipeline="selftest")
    client.cancel("two")
    assert of_job(client, "two") == []


def told_of(client: RedisClient, name: str, url: str, tenant: str = "default") -> None:
    """A job that has ended, and a message of it."""
    client.enqueue_job(name, {}, pipeline="selftest", tenant=tenant, webhook={"url": url})
    client.cancel(name)


def test_a_silent_host_is_left_alone_with_all_that_waits_for_it(
    client: RedisClient, receiver: Receiver, own: Own
) -> None:
    away = Receiver(free_port())
    own(away, receiver)
    for number in range(5):
        told_of(client, f"away-{number}", away.url)
        told_of(client, f"here-{number}", receiver.url)
    post = courier(client.database, away, receiver)
    assert deliver(post) == 2
    found = list_deliveries(client.database, None)
    assert sum(one["status"] == "delivered" for one in found) == 5
    waiting = [one for one in found if one["status"] == "pending"]
    assert sorted(len(one["tries"]) for one in waiting) == [0, 0, 0, 0, 1]
    assert all("does not answer" in one["error"] for one in waiting)
    assert deliver(post) == 0
    rests = []
    for _ in range(8):
        due_now(client.database)
        deliver(post)
        with client.database.read() as connection:
            rest = select(DeliveryHost.free_ms - now_ms()).where(DeliveryHost.host == away.place)
            rests.append(connection.execute(rest).scalar_one() / 1000)
    assert rests[0] < 40
    assert 3000 < rests[-1] < 4200  # no longer than an hour


def test_what_waits_for_a_silent_host_is_given_up_after_a_day_too(client: RedisClient, own: Own) -> None:
    away = Receiver(free_port())
    own(away)
    for number in range(3):
        told_of(client, f"away-{number}", away.url)
    post = courier(client.database, away)
    deliver(post)
    with client.database.write() as connection:
        connection.execute(update(Delivery).values(asked_ms=now_ms() - 24 * 3600 * 1000 - 1))
    due_now(client.database)
    deliver(post)
    found = list_deliveries(client.database, None)
    assert {one["status"] for one in found} == {"failed"}
    assert all("does not answer" in one["error"] for one in found)


def test_hosts_take_turns_whatever_waits_for_each(
    client: RedisClient, own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tenant's backlog, to however many hosts, leaves room for another's one message."""
    with receive() as theirs, ExitStack() as stack:
        slow = [stack.enter_context(receive(waits=True)) for _ in range(6)]
        own(theirs, *slow)
        for number, one in enumerate(slow):
            for again in range(3):
                told_of(client, f"slow-{number}-{again}", one.url, tenant="greedy")
        told_of(client, "one", theirs.url, tenant="modest")
        post = courier(client.database, theirs, *slow)
        threads = post.deliver()
        assert len(threads) == 3  # two of the greedy one, and the modest one
        wait_for(lambda: of_job(client)[0]["status"] == "delivered")
        assert sum(len(one.got) for one in slow) <= 2
        for one in slow:
            one.gate.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("dribble", [b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50, b""])
def test_no_answer_takes_longer_than_it_may(dribble: bytes) -> None:
    with dribbling(dribble) as port:
        began = time.monotonic()
        with pytest.raises(Unreachable):
            fetch.post(f"http://127.0.0.1:{port}/", b"{}", {}, own={f"127.0.0.1:{port}"}, seconds=1.0)
        assert time.monotonic() - began < 5


@contextmanager
def dribbling(piece: bytes) -> Iterator[int]:
    """A server that says the same piece again and again, and never comes to an end."""
    over = threading.Event()

    def say(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while not over.wait(0.05):
                connection.sendall(piece)

    def listen() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=say, args=(door.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=listen, daemon=True).start()
        yield door.getsockname()[1]
        over.set()


def test_sending_again_is_stronger_than_the_try_that_is_under_way(
    client: RedisClient, receiver: Receiver, own: Own
) -> None:
    own(receiver)
    told_of(client, "one", receiver.url)
    database = client.database

    def meanwhile(message: Any, *_given: Any, **_options: Any) -> Tried:
        with database.write() as connection:  # it ended, and a person asked for it again
            connection.execute(update(Delivery).values(status="failed"))
        send_again(database, message.id, None)
        return Tried(500, 0.1, "the receiver answered 500")

    post = courier(database, receiver, send=meanwhile)
    host = take_host(database, seconds=60)
    assert host is not None
    message = next_message(database, host)
    assert message is not None
    post._keep(message, post._try(message))
    leave_host(database, host, silent=None)
    found = of_job(client)[0]
    assert (found["status"], found["attempts"]) == ("pending", 0)
    deliver(courier(database, receiver))
    assert of_job(client)[0]["status"] == "delivered"
    send_again(database, found["id"], None)
    with pytest.raises(InvalidInput, match="on its way"):
        send_again(database, found["id"], None)


def test_a_host_that_was_lost_is_not_given_back_by_who_lost_it(
    client: RedisClient, receiver: Receiver, own: Own
) -> None:
    own(receiver)
    told_of(client, "one", receiver.url)
    first = take_host(client.database, seconds=-1)
    assert first is not None
    second = take_host(client.database, seconds=60)
    assert second is not None
    leave_host(client.database, first, silent=None)
    assert take_host(client.database, seconds=60) is None
    leave_host(client.database, second, silent=None)
    assert take_host(client.database, seconds=60) is not None


def test_a_tenant_has_only_so_many_receivers_secrets_and_pings(
    client: RedisClient, receiver: Receiver, own: Own
) -> None:
    own(receiver)
    webhook_id = add(client, receiver)
    with pytest.raises(Taken, match="added already"):
        add(client, receiver)
    ping(client.database, webhook_id, None)
    with pytest.raises(InvalidInput, match="on its way"):
        ping(client.database, webhook_id, None)
    for number in range(MOST_RECEIVERS - 1):
        add_webhook(client.database, as_receiver("webhook", {"url": f"{receiver.url}/{number}"}), tenant="default")
    with pytest.raises(InvalidInput, match="the most"):
        add_webhook(client.database, as_receiver("webhook", {"url": f"{receiver.url}/x"}), tenant="default")
    seen = [rotate_secret(client.database, "default") for _ in range(4)]
    assert set(seen) < set(secrets_of(client.database, "default"))
    with pytest.raises(InvalidInput, match="within a day"):
        rotate_secret(client.database, "default")


def test_what_is_on_its_way_to_a_removed_address_is_dropped(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    webhook_id = add(client, receiver)
    client.enqueue_job("one", {}, pipeline="selftest")
    client.cancel("one")
    remove_webhook(client.database, webhook_id, None)
    assert [(one["status"], one["error"]) for one in of_job(client)] == [("failed", "its address was removed")]
    assert deliver(courier(client.database, receiver)) == 0


def test_a_very_long_result_is_left_out(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    client.enqueue_job("one", {}, pipeline="selftest", webhook={"url": receiver.url})
    writes, holder, job = begin(client, 10)
    writes.complete(holder, job, None, {"text": "x" * MOST_BYTES})
    body = orjson_of(client, of_job(client)[0]["id"])
    assert ("result" in body["data"], body["data"]["status"]) == (False, "completed")


def test_a_chain_and_a_replay_tell_too(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    webhook = {"url": receiver.url}
    then = {"pipeline": "selftest", "payload": {}, "id": "next", "webhook": webhook}
    client.enqueue_job("one", {}, pipeline="selftest", webhook=webhook, then=then)
    writes, holder, job = begin(client, 10)
    writes.complete(holder, job, None, {})
    assert deliver_letters(client) == 1
    client.cancel("next")
    assert [one["event"] for one in of_job(client, "next")] == ["cancelled"]
    replay(client, "one", from_stage="step_1", new_id="again")
    client.cancel("again")
    assert [one["event"] for one in of_job(client, "again")] == ["cancelled"]
    # The same job once more, now with somebody to tell.
    client.enqueue_job("late", {}, pipeline="selftest")
    client.enqueue_job("late", {}, pipeline="selftest", webhook=webhook)
    client.cancel("late")
    assert len(of_job(client, "late")) == 1
    with pytest.raises(InvalidInput, match=r"then\.webhook"):
        client.enqueue_job("bad", {}, pipeline="selftest", then=then | {"webhook": {"url": "http://x/"}})


def test_names_of_all_alphabets_are_one_host(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    monkeypatch.setattr(fetch, "_resolve", resolve)
    told_of(client, "one", "https://b\u00fccher.example/\u00fc?\u00e9=1")
    deliver(courier(client.database))
    assert asked == ["xn--bcher-kva.example"]
    assert "private network" in of_job(client)[0]["error"]
    for odd in ("https://.a.example/", "https://a..example/", "https://" + "b\u00fc" * 80 + ".example/"):
        with pytest.raises(InvalidInput, match=r"webhook\.url"):
            told_of(client, "two", odd)


def test_a_bug_in_one_message_stops_no_other(client: RedisClient, receiver: Receiver, own: Own) -> None:
    own(receiver)
    for name in ("bad", "good"):
        client.enqueue_job(name, {}, pipeline="selftest", webhook={"url": f"{receiver.url}?{name}"})
        client.cancel(name)

    def broken(message: Any, *given: Any, **options: Any) -> Tried:
        if message.job_id == "bad":
            raise RuntimeError("a bug")
        return send(message, *given, **options)

    deliver(courier(client.database, receiver, send=broken))
    assert of_job(client, "good")[0]["status"] == "delivered"
    bad = of_job(client, "bad")[0]
    assert (bad["status"], bad["tries"][0]["error"]) == ("pending", "a fault of this program: RuntimeError")


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
        ({"url": "http://127.0.0.1:9000/hook"}, "must be named in WEBHOOK_OWN_HOSTS (host:port)"),
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
    deliver(courier(client.database))
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
    deliver(courier(client.database, receiver))
    assert forget_deliveries(client.database, seconds=3600) == 0
    assert forget_deliveries(client.database, seconds=-1) == 1
    tidy_hosts(client.database)
    with client.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(DeliveryHost)).scalar_one() == 1  # not a day old
    delete_ended(client.database, lambda _pipeline, _status: -1.0)
    with client.database.read() as connection:
        assert connection.execute(select(Webhook.job_id)).scalars().all() == ["two"]
        assert connection.execute(select(func.count()).select_from(Job)).scalar_one() == 1
    with client.database.write() as connection:
        connection.execute(delete(Webhook))
