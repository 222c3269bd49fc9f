"""What Prometheus reads, parsed by its own library."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from starlette.testclient import TestClient

from counters import COUNTED
from database.engine import now_ms
from database.tables import Job
from redis_client import gates
from redis_client.client import RedisClient
from tests.support.crews import enqueue, enqueue_many, wait_for_all
from tests.support.workers import WorkerProcess, wait_for

Start = Callable[..., WorkerProcess]


def read(web: TestClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = web.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def value(found: dict[str, Any], name: str, **labels: str) -> float:
    """The sum of the samples with these labels."""
    return float(sum(amount for have, amount in found.get(name, ()) if labels.items() <= have.items()))


def test_the_fleet_is_told(web: TestClient, client: RedisClient, start_worker: Start) -> None:
    assert value(read(web), "stagecrew_health") == 1
    worker = start_worker("worker-1", BEAT_SECONDS="0.3")
    enqueue_many(client, 3, stages=2)
    enqueue(client, "bad", stages=2, fail_at=2, fail_kind="permanent")
    enqueue(client, "later", delay=600)
    wait_for(lambda: client.get_job_status("bad")["status"] == "failed", what=worker.text)
    wait_for(lambda: value(read(web), "stagecrew_jobs_ended_total") == 4, what=lambda: str(read(web)))
    found = read(web)
    assert value(found, "stagecrew_jobs_ended_total", outcome="completed", pipeline="selftest", worker="worker-1") == 3
    assert value(found, "stagecrew_jobs_ended_total", outcome="failed") == 1
    assert value(found, "stagecrew_stages_total", stage="step_1") == 4
    assert value(found, "stagecrew_queue_jobs", queue="video_generation_queue", status="waiting") == 1
    assert value(found, "stagecrew_workers") == value(found, "stagecrew_slots") == 1
    assert value(found, "stagecrew_health") == 0


def test_it_is_told_also_when_redis_is_away(
    web: TestClient, client: RedisClient, setting: Callable[[str, object], None]
) -> None:
    enqueue(client, "one")
    setting("REDIS_URL", "redis://127.0.0.1:1")
    from redis_client import redis_client

    redis_client.close()
    found = read(web)
    assert value(found, "stagecrew_health") == 2
    assert value(found, "stagecrew_queue_jobs", status="pending") == 1
    assert "stagecrew_workers" not in found


def test_a_queue_that_drains_leaves_nothing(web: TestClient, client: RedisClient, start_worker: Start) -> None:
    enqueue_many(client, 5)
    assert start_worker("worker-1", "--drain").wait() == 0
    wait_for_all(client, "completed")
    assert value(read(web), "stagecrew_queue_jobs") == 0
    assert value(read(web), "stagecrew_oldest_pending_seconds") == 0


DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
# Of the counters some are told only once something was counted.
NAMES = {f"stagecrew_{count.name}_total" for counts in COUNTED.values() for count in counts}


def test_what_dashboard_and_alerts_ask_for_is_told(web: TestClient, client: RedisClient) -> None:
    text = web.get("/metrics").text
    told = NAMES | set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | {"stagecrew_charges_usd_total"}
    board = json.loads((DEPLOY / "stagecrew.json").read_text())
    asked = " ".join(target["expr"] for panel in board["panels"] for target in panel["targets"])
    for source in (asked, (DEPLOY / "alerts.yml").read_text()):
        names = set(re.findall(r"\bstagecrew_\w+", source))
        assert names
        assert not names - told


def test_every_alert_stands_in_the_guide() -> None:
    guide = (DEPLOY.parents[1] / "docs" / "operating.md").read_text()
    alerts = re.findall(r"alert: (\w+)", (DEPLOY / "alerts.yml").read_text())
    assert alerts
    assert re.findall(r"^\| `(Stagecrew\w+)`", guide, re.MULTILINE) == alerts


def test_what_a_vendor_and_a_worker_cost_is_told(web: TestClient, client: RedisClient, start_worker: Start) -> None:
    worker = start_worker("worker-1", BEAT_SECONDS="0.3")
    worker.wait_for_event("worker_started")
    found = read(web)
    assert 20 < value(found, "stagecrew_worker_memory_mb", worker="worker-1") < 500
    assert value(found, "stagecrew_worker_starts", worker="worker-1") == 1
    assert worker.stop() == 0
    again = start_worker("worker-1", BEAT_SECONDS="0.3")
    again.wait_for_event("worker_started")
    assert value(read(web), "stagecrew_worker_starts", worker="worker-1") == 2
    assert again.stop() == 0
    # A worker whose calls have come to a vendor, as its heartbeat tells.
    redis, vendor = client.get_client(), "replicate:0a1b2c3d"
    record = {"worker_id": "w", "slots": 1, "jobs": [], "trouble": None, "stopping": None, "gates": {vendor: 8}}
    redis.hset(client.queue.key("worker:x"), "record", json.dumps(record))
    redis.zadd(client.queue.key("workers"), {"x": 1})
    gates.hold(client.queue, vendor, "one", slots=8, lease_seconds=30)
    found = read(web)
    assert value(found, "stagecrew_vendor_slots_used", vendor=vendor) == 1
    assert value(found, "stagecrew_vendor_slots", vendor=vendor) == 8
    assert value(found, "stagecrew_breaker_open", vendor=vendor) == 0
    for _ in range(gates.FAILURES_IN_A_ROW):
        gates.breaker(client.queue, vendor, "one", "fail")
    assert value(read(web), "stagecrew_breaker_open", vendor=vendor) == 1
    assert "out of order" in web.get("/workers/health").json()["reasons"][-1]
    assert vendor in web.get("/ui/workers", headers={"Accept": "text/html"}).text


def test_the_oldest_job_of_each_queue_is_told(web: TestClient, client: RedisClient) -> None:
    enqueue_many(client, 2)
    with client.database.write() as connection:
        connection.execute(update(Job).values(updated_ms=now_ms() - 60_000))
    found = read(web)
    assert 60 <= value(found, "stagecrew_queue_oldest_seconds", queue="video_generation_queue") < 90
    assert value(found, "stagecrew_queue_oldest_seconds", queue="images-queue") == 0
