"""What Prometheus reads: the fleet as it stands, from SQL and Redis, and what each living worker has counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from api.access import FleetReader
from api.fleet import Sight, judge, look
from database.charges import OPEN as OPEN_CALLS
from database.costs import costs, count_calls
from errors import StagecrewError
from redis_client import redis_client
from redis_client.gates import GateState
from states import OPEN

PREFIX = "stagecrew_"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "jobs_begun": "Jobs that a worker has begun.",
    "jobs_ended": "Jobs that a worker has ended, by outcome.",
    "jobs_requeued": "Jobs that a worker has handed back.",
    "retries": "Tries of a stage that failed and are made again.",
    "leases_lost": "Jobs that a worker has lost to another one.",
    "stale_writes_refused": "Writes of a worker that somebody newer had overtaken.",
    "stages": "Stages and items that were done.",
    "stage_seconds": "How long they took, in seconds.",
    "repairs": "Times that the reconciler found something to repair in Redis.",
    "health_checks": "Looks of a worker at itself, by whether it was in trouble.",
    "webhooks": "Tries to tell somebody of an event, by how they went.",
    "calls": "Paid calls that were settled.",
    "call_seconds": "How long they took from sending to their answer, in seconds.",
    "call_errors": "Paid calls, and questions about them, that failed, by class of error.",
    "call_cost_usd": "What they cost, in USD.",
    "calls_unanswered": "Paid calls whose answer never came.",
    "calls_repaid": "Paid calls that were made again because nobody could say whether they had been made.",
}
LEVELS = {"healthy": 0, "warning": 1, "critical": 2}
router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response)
def metrics(_caller: FleetReader) -> Response:
    """The fleet in Prometheus' text format; `stagecrew_health` is 0 healthy, 1 warning, 2 critical."""
    return Response(generate_latest(_Fleet()), media_type=MEDIA_TYPE)


class _Fleet:
    """Asked anew at each scrape, so that several of these processes tell the same."""

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        seen = look()
        yield _gauge("health", "0 healthy, 1 warning, 2 critical.", LEVELS[judge(seen)["status"]])
        if seen.queues is not None:
            yield from _queues(seen)
        if seen.workers is not None:
            yield from _workers(seen.workers)
            yield from _gates(seen.gates)
        try:
            yield from list(_money())
        except StagecrewError:
            return  # `health` says so


def _queues(seen: Sight) -> Iterator[Metric]:
    """What stands where."""
    jobs = GaugeMetricFamily(f"{PREFIX}queue_jobs", "Open jobs in a queue, by status.", labels=("queue", "status"))
    paused = GaugeMetricFamily(f"{PREFIX}queue_paused", "Whether a queue is paused.", labels=("queue",))
    oldest = GaugeMetricFamily(
        f"{PREFIX}queue_oldest_seconds",
        "How long the oldest job of a queue has waited that could run.",
        labels=("queue",),
    )
    for queue in seen.queues or ():
        paused.add_metric((queue["queue"],), int(queue["paused"]))
        oldest.add_metric((queue["queue"],), seen.oldest.get(queue["queue"], 0.0))
        for status in sorted(OPEN):
            jobs.add_metric((queue["queue"], status), int(queue.get(status, 0)))
    yield from (jobs, paused, oldest)
    yield _gauge("oldest_pending_seconds", "How long the oldest job has waited that could run.", seen.oldest_seconds)


def _gates(gates: dict[str, GateState]) -> Iterator[Metric]:
    """How the vendors' gates stand."""
    breaker = GaugeMetricFamily(
        f"{PREFIX}breaker_open", "Whether a vendor's breaker is open: nothing is asked of it.", labels=("vendor",)
    )
    held = GaugeMetricFamily(f"{PREFIX}vendor_slots_used", "Slots of a vendor's key that are held.", labels=("vendor",))
    slots = GaugeMetricFamily(f"{PREFIX}vendor_slots", "Slots of a vendor's key over the fleet.", labels=("vendor",))
    for name, gate in gates.items():
        breaker.add_metric((name,), int(gate.open_seconds > 0))
        held.add_metric((name,), gate.held)
        if gate.slots is not None:
            slots.add_metric((name,), gate.slots)
    yield from (breaker, held, slots)


def _money() -> Iterator[Metric]:
    """What the ledger of paid calls holds."""
    spent = CounterMetricFamily(
        f"{PREFIX}charges_usd", "What the ledger of paid calls holds, in USD.", labels=("provider",)
    )
    for row in costs(redis_client.database, "provider"):
        spent.add_metric((str(row["key"]),), row["cost_usd"])
    yield spent
    calls = GaugeMetricFamily(f"{PREFIX}calls_open", "Paid calls under way or in doubt, by state.", labels=("state",))
    for state in OPEN_CALLS:
        calls.add_metric((state,), count_calls(redis_client.database, state))
    yield calls


def _workers(living: list[dict[str, Any]]) -> Iterator[Metric]:
    """What the living workers say of themselves."""
    yield _gauge("workers", "Living workers.", len(living))
    yield _gauge("slots", "Their slots.", sum(one["slots"] for one in living))
    yield _gauge("slots_used", "Slots in which a job runs.", sum(len(one["jobs"]) for one in living))
    troubled = sum(1 for one in living if one["trouble"])
    memory = GaugeMetricFamily(f"{PREFIX}worker_memory_mb", "What a worker itself holds.", labels=("worker",))
    starts = GaugeMetricFamily(
        f"{PREFIX}worker_starts", "How often a worker of this name has started.", labels=("worker",)
    )
    for one in living:
        memory.add_metric((one["worker_id"],), one.get("memory_mb", 0))
        starts.add_metric((one["worker_id"],), one.get("starts", 1))
    yield from (memory, starts)
    yield _gauge("workers_in_trouble", "Living workers that take no jobs now.", troubled)
    series: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for worker in living:
        for name, labels, value in worker.get("counters", ()):
            series[name].append(({"worker": worker["worker_id"], **labels}, value))
    for name, samples in sorted(series.items()):
        found = CounterMetricFamily(f"{PREFIX}{name}", HELP.get(name, name), labels=tuple(samples[0][0]))
        for labels, value in samples:
            found.add_sample(f"{PREFIX}{name}_total", labels, value)
        yield found


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", told, value=value)
