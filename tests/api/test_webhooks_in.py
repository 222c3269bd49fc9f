"""Webhooks of vendors: verified, fast, and only a hint."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from pipeline.signatures import sign
from redis_client import gates, redis_client

SECRET, OLD = "whsec_c2VjcmV0LW9mLXRvZGF5", "whsec_c2VjcmV0LW9mLXllc3RlcmRheQ=="
BODY = orjson.dumps({"id": "pred1", "status": "succeeded"})
Setting = Callable[[str, object], None]


@pytest.fixture
def web(redis_url: str, setting: Setting) -> Iterator[TestClient]:
    setting("REPLICATE_WEBHOOK_SECRET", f"{SECRET} {OLD}")
    with TestClient(create_app()) as client:
        yield client


def headers(*, secret: str = SECRET, at: float | None = None, body: bytes = BODY, name: str = "msg1") -> dict[str, str]:
    stamp = int(time.time() if at is None else at)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(secret, name, stamp, body),
    }


def post(web: TestClient, given: dict[str, str], body: bytes = BODY) -> int:
    return int(web.post("/webhooks/replicate", content=body, headers=given).status_code)


def hinted(external_id: str = "pred1") -> bool:
    return gates.wait_for_hint(redis_client.queue, external_id, 0.05)


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_a_signed_message_wakes_who_waits(web: TestClient, secret: str) -> None:
    assert post(web, headers(secret=secret)) == 204
    assert hinted()


def test_the_vendors_own_library_agrees_with_our_signature() -> None:
    from replicate.webhook import Webhooks, WebhookSigningSecret

    given: dict[str, Any] = headers()
    Webhooks.validate(headers=given, body=BODY.decode(), secret=WebhookSigningSecret(key=SECRET), tolerance=300)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-id": "other"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1"},
        {"webhook-timestamp": "now"},
    ],
)
def test_what_is_not_signed_by_us_is_refused(web: TestClient, change: dict[str, str]) -> None:
    assert post(web, headers() | change) == 401
    assert not hinted()


@pytest.mark.parametrize("at", [-301, 360])  # five minutes are allowed, and a busy machine takes its time
def test_an_old_message_and_one_of_tomorrow_are_refused(web: TestClient, at: int) -> None:
    assert post(web, headers(at=time.time() + at)) == 401


def test_another_body_under_the_same_signature_is_refused(web: TestClient) -> None:
    assert post(web, headers(), b'{"id":"pred2"}') == 401


def test_a_replayed_message_is_taken_and_wakes_nobody(web: TestClient) -> None:
    given = headers()
    assert [post(web, given), post(web, given)] == [204, 204]
    assert hinted()
    assert not hinted()


@pytest.mark.parametrize("body", [b"", b"[]", b"no json", b'{"id": 5}', b'{"id": "../../x"}', b'{"id": "a:b"}'])
def test_a_signed_message_without_an_id_does_nothing(web: TestClient, body: bytes) -> None:
    assert post(web, headers(body=body), body) == 204


def test_a_huge_body_is_refused_before_it_is_read_whole(web: TestClient) -> None:
    assert post(web, headers(), b"x" * (1 << 21)) == 413


def test_without_a_secret_there_is_no_such_address(redis_url: str) -> None:
    with TestClient(create_app()) as client:
        assert post(client, {}) == 404


def test_with_redis_away_the_vendor_is_answered_all_the_same(setting: Setting) -> None:
    setting("REPLICATE_WEBHOOK_SECRET", SECRET)
    setting("REDIS_URL", "unix:///nonexistent/redis.sock")
    redis_client.close()
    with TestClient(create_app()) as client:
        assert post(client, headers()) == 204
    redis_client.close()
