"""The four checks people know: health, enqueue, manual processing, persistence. Also `python tests/test_worker.py`."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    # A run by hand leaves this checkout's own records and queue alone.
    os.environ["LOG_LEVEL"] = "warning"
    os.environ["STATE_DIR"] = tempfile.mkdtemp(prefix="stagecrew-test-")
    for name in ("REDIS_URL", "DATABASE_URL", "ARTIFACT_STORE", "QUEUE_NAMESPACE"):
        os.environ[name] = ""

from database import get_database, init_db
from pipeline.orchestrator import PipelineOrchestrator
from redis_client import redis_client
from worker import Worker

QUEUE = "video_generation_queue"


def test_health() -> None:
    """A worker says who it is, and that it reaches Redis and the database."""
    init_db()
    health = Worker("worker-1").get_health_status()
    assert health["worker_id"] == "worker-1"
    assert health["redis_healthy"]
    assert health["database_healthy"]
    assert health["healthy"]
    assert health["current_job"] is None


def test_enqueue() -> None:
    """A job is stored, and stands in the list of its queue."""
    init_db()
    job_id = f"test-{uuid.uuid4()}"
    before = redis_client.get_client().llen(QUEUE)
    data = {"id": job_id, "product_name": "Test Product", "style": "minimal", "cta_text": "Buy Now"}
    assert redis_client.enqueue_job(job_id, data)
    assert redis_client.get_client().llen(QUEUE) == before + 1
    assert redis_client.get_job_status(job_id)["status"] == "pending"
    assert redis_client.cancel(job_id) == "cancelled"
    assert redis_client.get_client().llen(QUEUE) == before


def test_manual_processing() -> None:
    """A pipeline runs here and now, without a worker."""
    init_db()
    job_id = f"test-{uuid.uuid4()}"
    orchestrator = PipelineOrchestrator(job_id, redis_client, get_database())
    status = orchestrator.execute_pipeline({"id": job_id, "stages": 4, "bytes": 1000}, pipeline="selftest")
    assert status["status"] == "completed"
    assert status["progress"] == 100


def test_persistence() -> None:
    """The job and each of its stages are in SQL, and the files are in the store."""
    init_db()
    job_id = f"test-{uuid.uuid4()}"
    with get_database().session() as session:
        orchestrator = PipelineOrchestrator(job_id, redis_client, session)
        orchestrator.execute_pipeline({"stages": 4, "items": 2, "bytes": 1000}, pipeline="selftest")
    job = redis_client.get_job(job_id)
    assert (job["status"], job["attempt"], job["crashes"], job["in_flight"]) == ("completed", 0, 0, False)
    assert sorted((stage["stage"], stage["item"]) for stage in job["stages"]) == [
        (f"step_{number}", str(item)) for number in range(1, 5) for item in range(2)
    ]
    assert {stage["executions"] for stage in job["stages"]} == {1}
    assert [event["kind"] for event in job["events"]][:2] == ["enqueued", "processing"]
    assert job["events"][-1]["kind"] == "completed"


CHECKS: dict[str, Callable[[], None]] = {
    "health": test_health,
    "enqueue": test_enqueue,
    "manual processing": test_manual_processing,
    "persistence": test_persistence,
}


def main() -> int:
    """Run the four checks; 0 when all are well."""
    failed = 0
    for name, check in CHECKS.items():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - each check is reported, and the next one runs
            failed = 1
            print(f"{name}: failed: {type(error).__name__}: {error}")
        else:
            print(f"{name}: ok")
    return failed


if __name__ == "__main__":
    import shutil

    import embedded
    from log import configure_logging

    configure_logging(stream=sys.stderr)
    code = main()
    redis_client.close()
    get_database().dispose()
    embedded.release()
    shutil.rmtree(os.environ["STATE_DIR"], ignore_errors=True)
    raise SystemExit(code)
