"""Queues, workers and money over HTTP."""

from collections.abc import Callable

from starlette.testclient import TestClient

from redis_client.client import RedisClient
from redis_client.fleet import post_lines
from tests.support.crews import enqueue_many
from tests.support.workers import WorkerProcess, wait_for

Start = Callable[..., WorkerProcess]
MAIN = "video_generation_queue"


def test_a_queue_is_paused_with_a_reason_and_resumed(web: TestClient, client: RedisClient, start_worker: Start) -> None:
    enqueue_many(client, 3)
    assert web.post(f"/queues/{MAIN}/pause", json={"reason": "the printer burns"}).json()["paused"]
    worker = start_worker("worker-1")
    worker.wait_for_event("worker_started")
    assert web.get("/jobs/job-000/why").json()["reason"] == "paused"
    assert web.get("/queues").json()["controls"]["pauses"] == {MAIN: "the printer burns"}
    assert not web.post(f"/queues/{MAIN}/resume").json()["paused"]
    wait_for(lambda: web.get("/jobs?status=completed").json()["jobs"][2:], what="three jobs")
    assert web.post("/queues/nowhere/pause", json={}).status_code == 422


def test_a_pipeline_and_a_tenant_are_paused_too(web: TestClient) -> None:
    for kind, name in (("pipelines", "selftest"), ("tenants", "acme")):
        assert web.post(f"/{kind}/{name}/pause", json={"reason": "later"}).json()["paused"]
    assert web.get("/queues").json()["controls"]["pauses"] == {"pipeline:selftest": "later", "tenant:acme": "later"}
    for kind, name in (("pipelines", "selftest"), ("tenants", "acme")):
        assert not web.post(f"/{kind}/{name}/resume").json()["paused"]
    assert web.get("/queues").json()["controls"]["pauses"] == {}
    assert web.put("/limits/narrow", json={"most": 2}).json() == {"group": "narrow", "limit": 2}
    assert web.put("/limits/UPPER", json={"most": 2}).status_code == 422
    assert web.put("/limits/narrow", json={"most": -1}).status_code == 422


def test_health_says_what_is_wrong(web: TestClient, client: RedisClient, start_worker: Start) -> None:
    empty = web.get("/workers/health").json()
    assert (empty["status"], empty["reasons"]) == (
        "warning",
        ["no living worker; start one: python worker.py worker-1"],
    )
    worker = start_worker("worker-1", BEAT_SECONDS="0.3")
    wait_for(lambda: web.get("/workers/health").json()["status"] == "healthy", what=worker.text)
    web.post(f"/queues/{MAIN}/pause", json={})
    enqueue_many(client, 11)
    crowded = web.get("/workers/health").json()
    assert (crowded["status"], crowded["reasons"]) == ("warning", ["11 jobs wait for 1 workers"])
    assert [one["worker_id"] for one in web.get("/workers/status").json()["workers"]] == ["worker-1"]
    stats = web.get("/workers/queue-stats").json()
    assert stats["summary"]["total_pending"] == 11
    assert [row["pending"] for row in stats["queues"] if row["queue"] == MAIN] == [11]


def test_without_redis_it_is_critical_and_unready_and_jobs_are_still_taken(
    web: TestClient, client: RedisClient, setting: Callable[[str, object], None]
) -> None:
    setting("REDIS_URL", "redis://127.0.0.1:1")
    from redis_client import redis_client

    redis_client.close()
    ready = web.get("/readyz")
    assert (ready.status_code, ready.json()) == (503, {"status": "unready", "database": True, "redis": False})
    assert web.get("/healthz").json() == {"status": "ok"}
    judged = web.get("/workers/health").json()
    assert judged["status"] == "critical"
    assert "Redis does not answer" in judged["reasons"][0]
    assert web.get("/workers/status").status_code == 503
    assert web.get("/workers/status").headers["retry-after"] == "5"
    assert web.post("/jobs", json={"pipeline": "selftest", "id": "kept"}).status_code == 202
    assert client.get_job("kept")["status"] == "pending"


def test_workers_that_left_no_heartbeat_are_forgotten_and_their_leases_stay(
    web: TestClient, client: RedisClient
) -> None:
    server, key = client.get_client(), client.queue.key
    server.zadd(key("workers"), {"gone": 1, "here": 1})
    server.hset(key("worker:here"), "record", "{}")
    server.zadd(key("leases"), {"job": 1})
    assert web.post("/workers/clear-stale").json() == {"forgotten": ["gone"]}
    assert server.zrange(key("workers"), 0, -1) == ["here"]
    assert server.zcard(key("leases")) == 1


def test_a_workers_last_log_lines_are_told(web: TestClient, client: RedisClient, start_worker: Start) -> None:
    enqueue_many(client, 2)
    start_worker("worker-1", SWEEP_SECONDS="0.2", LOG_FORMAT="json")

    def lines() -> list[str]:
        found: list[str] = web.get("/workers/logs?worker_id=worker-1").json()["lines"]
        return found

    wait_for(lambda: sum('"event":"job_completed"' in line for line in lines()) == 2, what=lambda: str(lines()))
    assert len(web.get("/workers/logs?worker_id=worker-1&limit=3").json()["lines"]) == 3
    assert web.get("/workers/logs?worker_id=other").json()["lines"] == []
    post_lines(client.queue, "worker-1", [str(number) for number in range(1500)])
    assert client.get_client().llen(client.queue.key("lines:worker-1")) == 1000
    assert client.get_client().ttl(client.queue.key("lines:worker-1")) > 80_000


def test_budgets_are_set_and_costs_are_told(web: TestClient) -> None:
    assert web.put("/budgets/day:2026-01-31", json={"cap_usd": 5}).json()["cap_usd"] == 5
    assert web.get("/budgets").json()["budgets"] == [
        {"scope": "day:2026-01-31", "cap_usd": 5.0, "reserved_usd": 0.0, "spent_usd": 0.0}
    ]
    for wrong in ("yesterday", "day:2026-99-99", "day:\u0661\u0661\u0661\u0661-01-01"):
        assert web.put(f"/budgets/{wrong}", json={"cap_usd": 5}).status_code == 422
    assert web.put("/budgets/day:2026-01-31", json={"cap_usd": -1}).status_code == 422
    assert web.get("/costs?by=provider&days=7").json() == {"by": "provider", "days": 7, "costs": []}
    assert web.get("/costs/doubtful").json() == {"calls": []}
