"""Redis's copy of what people switched (database/controls.py): pauses, limits, weights."""

from __future__ import annotations

from typing import Any

from redis.exceptions import WatchError

from database.controls import Controls, controls
from database.engine import Database
from errors import QueueUnavailable
from redis_client.connection import repeat
from redis_client.queue import Queue
from redis_client.scripts import add_script

MOST_TRIES = 20


def copy_controls(queue: Queue, database: Database, *, anew: bool = False) -> None:
    """Bring Redis to what SQL says, whole or not at all. `anew`: set known limits too, which counts who runs.

    SQL is read under a watch on `copied`, which every copy counts up. So one that another has overtaken is made again,
    and what a person has switched meanwhile is not undone by what SQL said before.
    """
    for _ in range(MOST_TRIES):
        if repeat(lambda: _copied(queue, database, anew=anew)):
            return
    raise QueueUnavailable(f"the controls were switched {MOST_TRIES} times while they were copied")


def _copied(queue: Queue, database: Database, *, anew: bool) -> bool:
    pipe: Any
    with queue.connections.commands().pipeline() as pipe:
        pipe.watch(queue.key("copied"))
        wanted = controls(database)
        paused, limited = pipe.hkeys(queue.key("paused")), pipe.hgetall(queue.key("limits"))
        pipe.multi()
        _copy_pauses(pipe, queue, wanted, set(paused))
        _copy_limits(pipe, queue, wanted, {group: int(most) for group, most in limited.items()}, anew=anew)
        _copy_weights(pipe, queue, wanted)
        pipe.incr(queue.key("copied"))
        try:
            pipe.execute()
        except WatchError:
            return False
    return True


def _copy_pauses(pipe: Any, queue: Queue, wanted: Controls, held: set[str]) -> None:
    pauses = wanted.paused_queues()
    for name in held - set(pauses):
        add_script(pipe, "resume", queue.prefix, queue=name)
    if pauses:
        pipe.hset(queue.key("paused"), mapping={name: reason or "1" for name, reason in pauses.items()})


def _copy_limits(pipe: Any, queue: Queue, wanted: Controls, held: dict[str, int], *, anew: bool) -> None:
    limits = wanted.group_limits()
    for group, most in limits.items():
        if anew or held.get(group) != most:
            add_script(pipe, "limit", queue.prefix, group=group, limit=most)
    for group, most in held.items():
        if group not in limits and most >= 0:
            add_script(pipe, "limit", queue.prefix, group=group, limit=-1)


def _copy_weights(pipe: Any, queue: Queue, wanted: Controls) -> None:
    pipe.delete(queue.key("weights"))
    if wanted.weights:
        weights = {tenant: f"{weight:g}" for tenant, weight in wanted.weights.items()}
        pipe.hset(queue.key("weights"), mapping=weights)
