"""Webhooks over HTTP: kept, tried out, sent again, by those whose they are."""

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from daemon.courier import Courier
from database.fenced import FencedWrites
from database.records import Begun, Holder
from redis_client.client import RedisClient
from tests.support.receivers import receive

Setting = Callable[[str, object], None]
Bearer = Callable[..., dict[str, str]]
URL = "https://shop.example/hook"


def deliver(courier: Courier) -> None:
    for one in courier.deliver():
        one.join()


def test_from_adding_to_removing(web: TestClient, client: RedisClient, setting: Setting) -> None:
    with receive() as receiver:
        setting("WEBHOOK_OWN_HOSTS", receiver.place)
        made = web.post("/webhooks", json={"url": receiver.url, "events": ["completed", "cancelled"]})
        assert (made.status_code, made.json()["events"]) == (201, ["completed", "cancelled"])
        name = made.json()["id"]
        assert [one["id"] for one in web.get("/webhooks").json()["webhooks"]] == [name]
        assert web.post(f"/webhooks/{name}/ping").status_code == 202
        web.post("/jobs", json={"pipeline": "selftest", "id": "one"})
        web.post("/jobs/one/cancel")
        courier = Courier(client.database, "worker-1", [receiver.place])
        deliver(courier)
        assert sorted(one["type"] for one in receiver.told()) == ["job.cancelled", "ping"]
        found = web.get("/deliveries?job=one&status=delivered").json()["deliveries"]
        assert [(one["event"], one["tries"][0]["status"]) for one in found] == [("cancelled", 204)]
        delivery = found[0]["id"]
        assert web.get(f"/deliveries/{delivery}").json()["body"].encode() == receiver.got[-1][1]
        assert web.post(f"/deliveries/{delivery}/replay").json() == {"delivery": delivery, "status": "pending"}
        deliver(courier)
        assert receiver.ids().count(delivery) == 2
        assert web.delete(f"/webhooks/{name}").json() == {"removed": name}
        assert web.get("/webhooks").json()["webhooks"] == []
        assert web.delete(f"/webhooks/{name}").status_code == 404
        page = web.get("/ui/webhooks", headers={"Accept": "text/html"})
        assert delivery in page.text
        assert delivery in web.get("/ui/jobs/one", headers={"Accept": "text/html"}).text


def test_a_job_names_its_own_receiver(web: TestClient, client: RedisClient) -> None:
    given = {"pipeline": "selftest", "id": "one", "webhook": {"url": URL}}
    assert web.post("/jobs", json=given).status_code == 202
    assert web.post("/jobs", json=given).status_code == 202  # the same job: nobody is told twice
    web.post("/jobs/one/cancel")
    assert [one["url"] for one in web.get("/deliveries?job=one").json()["deliveries"]] == [URL]
    assert web.get("/webhooks").json()["webhooks"] == []


@pytest.mark.parametrize("url", ["http://shop.example/", "https://10.0.0.1/", "https://u:p@shop.example/", "nowhere"])
def test_a_wrong_address_is_refused_at_the_door(web: TestClient, url: str) -> None:
    for answer in (
        web.post("/webhooks", json={"url": url}),
        web.post("/jobs", json={"pipeline": "selftest", "webhook": {"url": url}}),
    ):
        assert answer.status_code == 422, answer.text
        assert "webhook.url" in answer.json()["detail"]
    assert web.get("/jobs").json()["jobs"] == []


def test_the_secret_is_the_tenants_own(closed: TestClient, bearer: Bearer) -> None:
    acme, globex = bearer("submit", "acme"), bearer("submit", "globex")
    first = closed.get("/webhooks/secret", headers=acme).json()["secret"]
    assert first.startswith("whsec_")
    assert closed.get("/webhooks/secret", headers=acme).json()["secret"] == first
    assert closed.get("/webhooks/secret", headers=globex).json()["secret"] != first
    assert closed.get("/webhooks/secret?tenant=acme", headers=globex).status_code == 422
    assert closed.get("/webhooks/secret", headers=bearer("read", "acme")).status_code == 403
    fresh = closed.post("/webhooks/secret/rotate", json={}, headers=acme).json()["secret"]
    assert closed.get("/webhooks/secret", headers=acme).json()["secret"] == fresh != first
    assert closed.get("/webhooks/secret?tenant=acme", headers=bearer("admin")).json()["secret"] == fresh


def test_another_tenants_webhooks_are_not_there(closed: TestClient, bearer: Bearer) -> None:
    acme, globex = bearer("submit", "acme"), bearer("submit", "globex")
    name = closed.post("/webhooks", json={"url": URL}, headers=acme).json()["id"]
    closed.post("/jobs", json={"pipeline": "selftest", "id": "one"}, headers=acme)
    closed.post("/jobs/one/cancel", headers=acme)
    delivery = closed.get("/deliveries", headers=acme).json()["deliveries"][0]["id"]
    for method, path in (
        ("DELETE", f"/webhooks/{name}"),
        ("POST", f"/webhooks/{name}/ping"),
        ("GET", f"/deliveries/{delivery}"),
        ("POST", f"/deliveries/{delivery}/replay"),
    ):
        assert closed.request(method, path, headers=globex).status_code == 404
    assert closed.get("/webhooks", headers=globex).json()["webhooks"] == []
    assert closed.get("/deliveries", headers=globex).json()["deliveries"] == []
    assert closed.get("/deliveries?job=one", headers=globex).json()["deliveries"] == []


def test_several_jobs_are_cancelled_at_once(closed: TestClient, client: RedisClient, bearer: Bearer) -> None:
    for name, tenant in (("one", "acme"), ("two", "acme"), ("three", "globex")):
        client.enqueue_job(name, {}, pipeline="selftest", tenant=tenant)
    asked = closed.post("/jobs/cancel", json={"ids": ["one", "two", "three", "none"]}, headers=bearer("submit", "acme"))
    assert asked.json()["cancelled"] == ["one", "two"]
    assert set(asked.json()["refused"]) == {"three", "none"}
    assert client.get_job_status("three")["status"] == "pending"
    assert closed.post("/jobs/cancel", json={"ids": []}, headers=bearer("submit")).status_code == 422


def test_a_result_is_ready_until_somebody_has_asked_for_it(web: TestClient, client: RedisClient) -> None:
    for name in ("one", "two", "three"):
        client.enqueue_job(name, {}, pipeline="selftest")
        writes, holder = FencedWrites(client.database), Holder(name, 10, "worker-1#0")
        begun = writes.begin(holder, expired=0, known=10)
        assert isinstance(begun, Begun)
        writes.complete(holder, begun.job, None, {})

    def ready() -> int:
        found = web.get("/workers/queue-stats").json()
        assert found["summary"]["total_ready"] == sum(one["ready"] for one in found["queues"])
        return int(found["summary"]["total_ready"])

    assert ready() == 3
    web.get("/jobs")
    web.get("/ui/jobs/one", headers={"Accept": "text/html"})
    assert ready() == 3  # looking is not fetching
    web.get("/jobs/one")
    web.get("/jobs/two/status")
    assert client.wait("three", timeout=5) == {}
    assert ready() == 0
