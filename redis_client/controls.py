"""Redis's copy of what people switched (database/controls.py): pauses, limits, weights."""

from __future__ import annotations

from typing import Any

from database.controls import Controls, controls
from database.engine import Database
from redis_client.connection import queue_errors
from redis_client.queue import Queue


def copy_controls(queue: Queue, database: Database) -> None:
    """Bring Redis to what SQL says; a limit that is set again also counts anew who runs."""
    wanted = controls(database)
    with queue_errors():
        client = queue.connections.commands()
        paused: Any = client.hkeys(queue.key("paused"))
        limited: Any = client.hgetall(queue.key("limits"))
    _copy_pauses(queue, wanted, set(paused))
    limits = wanted.group_limits()
    for group, most in limits.items():
        queue.limit(group, most)
    for group, most in limited.items():
        if group not in limits and int(most) >= 0:
            queue.limit(group, None)
    _copy_weights(queue, wanted)


def _copy_pauses(queue: Queue, wanted: Controls, held: set[str]) -> None:
    pauses = wanted.paused_queues()
    for name in held - set(pauses):
        queue.resume(name)
    if pauses:
        with queue_errors():
            queue.connections.commands().hset(
                queue.key("paused"), mapping={name: reason or "1" for name, reason in pauses.items()}
            )


def _copy_weights(queue: Queue, wanted: Controls) -> None:
    with queue_errors():
        client, key = queue.connections.commands(), queue.key("weights")
        held: Any = client.hgetall(key)
        weights: dict[Any, Any] = {tenant: f"{weight:g}" for tenant, weight in wanted.weights.items()}
        if held == weights:
            return
        pipe = client.pipeline()
        pipe.delete(key)
        if weights:
            pipe.hset(key, mapping=weights)
        pipe.execute()
