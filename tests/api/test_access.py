"""Who may do what: every route without a token, with one that is over, of too small a scope, of another tenant."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from database.engine import Database
from database.tokens import create_token, list_tokens, revoke_token
from redis_client.client import RedisClient
from tests.support.web import routes_of

Setting = Callable[[str, object], None]
Bearer = Callable[..., dict[str, str]]
# Open to everybody: they tell nothing.
OPEN = {"/healthz", "/readyz"}
DIGEST = "0" * 64
SAMPLES = {
    "job_id": "theirs",
    "name": "selftest",
    "sha256": DIGEST,
    "scope": "day:2026-01-31",
    "kind": "pipelines",
    "group": "narrow",
    "webhook_id": f"wh_{'0' * 16}",
    "delivery_id": f"msg_{'0' * 24}",
}
BODIES: dict[str, Any] = {
    "/jobs": {"pipeline": "selftest"},
    "/jobs/{job_id}/replay": {"from": "step_1"},
    "/budgets/{scope}": {"cap_usd": 1},
    "/limits/{group}": {"most": 1},
    "/jobs/cancel": {"ids": ["theirs"]},
    "/webhooks": {"url": "https://shop.example/"},
}


def ask(web: TestClient, method: str, path: str, headers: dict[str, str] | None = None) -> Any:
    body = BODIES.get(path, {}) if method in {"POST", "PUT"} and path != "/uploads" else None
    return web.request(method, path.format(**SAMPLES), json=body, headers=headers)


CLOSED = sorted((method, path) for method, path in routes_of(create_app()) if path not in OPEN)
OF_THE_FLEET = {
    path for _, path in CLOSED if path.startswith(("/queues", "/workers", "/budgets", "/limits", "/{kind}"))
} | {"/costs/doubtful"}


def test_the_scan_sees_the_routes() -> None:
    assert {("POST", "/jobs"), ("GET", "/jobs/{job_id}/events"), ("PUT", "/budgets/{scope}")} <= set(CLOSED)


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_route_answers_without_a_token(closed: TestClient, method: str, path: str) -> None:
    for headers in (None, {"Authorization": "Bearer sc_0000000000000000_nothing"}, {"Authorization": "Bearer"}):
        answer = ask(closed, method, path, headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), [one for one in CLOSED if "_id}" in one[1] or "{sha256}" in one[1]])
def test_another_tenants_things_are_not_there(
    closed: TestClient, client: RedisClient, bearer: Bearer, method: str, path: str
) -> None:
    client.enqueue_job("theirs", {}, pipeline="selftest", tenant="globex")
    answer = ask(closed, method, path, bearer("admin", "acme"))
    assert answer.status_code == 404, answer.text
    assert "globex" not in answer.text
    assert client.get_job_status("theirs")["status"] == "pending"


@pytest.mark.parametrize(("method", "path"), [one for one in CLOSED if one[1] in OF_THE_FLEET])
def test_a_tenants_token_does_not_reach_the_fleet(closed: TestClient, bearer: Bearer, method: str, path: str) -> None:
    answer = ask(closed, method, path, bearer("admin", "acme"))
    assert answer.status_code == 403, answer.text
    assert "acme" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [one for one in CLOSED if one[0] != "GET" and not one[1].endswith("/link")] + [("GET", "/webhooks/secret")],
)
def test_a_reader_writes_nothing(closed: TestClient, bearer: Bearer, method: str, path: str) -> None:
    answer = ask(closed, method, path, bearer("read"))
    assert answer.status_code == 403, answer.text


def test_lists_hold_what_is_the_tenants_own(closed: TestClient, client: RedisClient, bearer: Bearer) -> None:
    client.enqueue_job("ours", {}, pipeline="selftest", tenant="acme")
    client.enqueue_job("theirs", {}, pipeline="selftest", tenant="globex")
    mine = bearer("submit", "acme")
    assert [one["job_id"] for one in closed.get("/jobs", headers=mine).json()["jobs"]] == ["ours"]
    assert closed.get("/jobs?tenant=globex", headers=mine).status_code == 422
    assert closed.get("/costs?tenant=globex", headers=mine).status_code == 422
    assert closed.get("/dead?tenant=globex", headers=mine).status_code == 422
    assert closed.post("/jobs", json={"pipeline": "selftest", "tenant": "globex"}, headers=mine).status_code == 422
    made = closed.post("/jobs", json={"pipeline": "selftest"}, headers=mine)
    assert made.json()["tenant"] == "acme"
    every = closed.get("/jobs", headers=bearer("read")).json()["jobs"]
    assert {one["tenant"] for one in every} == {"acme", "globex"}


def test_a_token_ends_by_its_time_and_by_revoking(closed: TestClient, sqlite_database: Database) -> None:
    short = create_token(sqlite_database, "short", scope="read", seconds=-1)
    long = create_token(sqlite_database, "long", scope="read", seconds=3600)

    def code(text: str) -> int:
        return int(closed.get("/jobs", headers={"Authorization": f"Bearer {text}"}).status_code)

    assert (code(short), code(long), code(long[:-1])) == (401, 200, 401)
    revoke_token(sqlite_database, long.split("_")[1])
    assert code(long) == 401
    assert {one["name"] for one in list_tokens(sqlite_database)} == {"short", "long"}
    kept = sqlite_database.path.read_bytes() if hasattr(sqlite_database, "path") else b""
    assert long.split("_", 2)[2].encode() not in kept


def test_the_open_door_is_for_this_machine_alone(web: TestClient, setting: Setting) -> None:
    assert web.get("/jobs").status_code == 200
    # Another site's name that was resolved to this machine.
    assert web.get("/jobs", headers={"Host": "evil.example"}).status_code == 421
    # Somebody who comes through a proxy on this machine.
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert web.get("/jobs", headers={name: "8.8.8.8"}).status_code == 421
    for odd in ("[x", "", "localhost.evil.example"):
        assert web.get("/jobs", headers={"Host": odd}).status_code in {400, 421}
        assert web.get("/", headers={"Host": odd, "Accept": "text/html"}).status_code in {400, 421}
    with TestClient(web.app, base_url="http://localhost", client=("192.0.2.7", 50000)) as elsewhere:
        assert elsewhere.get("/jobs").status_code == 421
    setting("API_HOST", "192.0.2.1")
    assert web.get("/jobs").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[x"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_write_that_another_site_sends_is_refused(web: TestClient, headers: dict[str, str]) -> None:
    answer = web.post("/jobs", json={"pipeline": "selftest"}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:stagecrew:forged")
    assert web.get("/jobs").json()["jobs"] == []


def test_nobody_fills_the_memory(closed: TestClient) -> None:
    for path in ("/jobs", "/login"):
        assert closed.post(path, content=b"x" * ((1 << 20) + 1)).status_code == 413


def test_every_answer_carries_what_keeps_browsers_in_bounds(web: TestClient) -> None:
    for answer in (web.get("/healthz"), web.get("/jobs/none"), web.get("/nowhere")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"


def test_a_bug_tells_nothing_of_itself(web: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("api.jobs.list_jobs", broken)
    answer = web.get("/jobs")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:stagecrew:bug")
    assert "secret" not in answer.text
