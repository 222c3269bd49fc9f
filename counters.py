"""What this process has counted: its own named log events, by a few of their facts. Workers post it with their heartbeat.

A count and the line in the log are one thing, so that they cannot tell different stories.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Count:
    """A counter that an event raises: by one, or by the number under `amount`; `by` are facts that become labels."""

    name: str
    by: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    amount: str = ""


def _ended(outcome: str) -> tuple[Count, ...]:
    return (Count("jobs_ended", ("pipeline",), {"outcome": outcome}),)


COUNTED: dict[str, tuple[Count, ...]] = {
    "job_completed": _ended("completed"),
    "job_failed": _ended("failed"),
    "job_cancelled": _ended("cancelled"),
    "job_quarantined": _ended("quarantined"),
    "job_processing_started": (Count("jobs_begun", ("pipeline",)),),
    "job_retry_scheduled": (Count("retries", ("pipeline", "stage")),),
    "job_requeued": (Count("jobs_requeued", ("pipeline",)),),
    "job_lost": (Count("leases_lost"),),
    "stale_write_refused": (Count("stale_writes_refused"),),
    "stage_completed": (Count("stages", ("stage",)), Count("stage_seconds", ("stage",), amount="seconds")),
    "reconciled": (Count("repairs"),),
    "health_check": (Count("health_checks", ("trouble",)),),
    "webhook_delivered": (Count("webhooks", labels={"outcome": "delivered"}),),
    "webhook_deferred": (Count("webhooks", labels={"outcome": "deferred"}),),
    "webhook_given_up": (Count("webhooks", labels={"outcome": "given_up"}, amount="count"),),
    "call_settled": (
        Count("calls", ("provider",)),
        Count("call_seconds", ("provider",), amount="seconds"),
        Count("call_cost_usd", ("provider",), amount="cost_usd"),
    ),
    "call_failed": (Count("call_errors", ("provider", "error_class")),),
    "call_unanswered": (Count("calls_unanswered", ("provider",)),),
    "call_repaid": (Count("calls_repaid", ("provider",)),),
}
Key = tuple[str, tuple[tuple[str, str], ...]]
_counts: dict[Key, float] = defaultdict(float)
_lock = threading.Lock()


def count_event(_logger: object, _method: str, event: Any) -> Any:
    """A processor of the log: raises what this event stands for."""
    for one in COUNTED.get(event.get("event", ""), ()):
        facts = {name: _label(event.get(name)) for name in one.by} | dict(one.labels)
        amount = event.get(one.amount) if one.amount else 1
        if isinstance(amount, int | float):
            with _lock:
                _counts[one.name, tuple(sorted(facts.items()))] += amount
    return event


def snapshot() -> list[tuple[str, dict[str, str], float]]:
    """Everything that was counted since this process began: name, labels, value."""
    with _lock:
        return [(name, dict(labels), round(value, 6)) for (name, labels), value in sorted(_counts.items())]


def _label(fact: object) -> str:
    """A fact as a label; of a sentence only whether there is one."""
    text = str(fact or "")
    return "yes" if " " in text else text[:64]
