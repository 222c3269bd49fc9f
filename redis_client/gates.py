"""Fleet-wide care for what everybody shares: rate limits and slots of a resource, such as a vendor's key."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from errors import InvalidInput, QueueUnavailable
from redis_client.connection import queue_errors
from redis_client.queue import Queue
from redis_client.scripts import call_script

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$")

# Not more than a job has retries: one that is alone must open a breaker before its last failure ends it.
FAILURES_IN_A_ROW = 3


def take(queue: Queue, bucket: str, *, per_second: float, burst: int, cost: int = 1) -> float:
    """Ask for `cost` calls now; 0 when granted, else the seconds to wait before asking again.

    In any window at most burst + window * per_second are granted. Sent once: a lost reply costs a call, never two.
    """
    _refuse_odd(bucket)
    if per_second <= 0 or not 1 <= cost <= burst:
        raise InvalidInput(
            f"rate {bucket}: {per_second:g} a second with a burst of {burst} never grants {cost} at once"
        )
    with queue_errors():
        wait_us = call_script(
            queue.connections.commands(),
            "take",
            queue.prefix,
            bucket=bucket,
            interval_us=max(1, round(1e6 / per_second)),
            burst=burst,
            cost=cost,
        )
    return int(wait_us) / 1e6


def hold(queue: Queue, resource: str, holder: str, *, slots: int, lease_seconds: float) -> bool:
    """Take one of the slots of a resource, or keep it; False when all are taken. A worker's beats renew it."""
    _refuse_odd(resource)
    return bool(queue.run("hold", resource=resource, holder=holder, slots=slots, lease_ms=int(lease_seconds * 1000)))


def release(queue: Queue, resource: str, holder: str) -> bool:
    """Give a slot back; False when it was not held."""
    return bool(queue.run("release", resource=resource, holder=holder))


def breaker(
    queue: Queue,
    name: str,
    holder: str,
    move: Literal["look", "ask", "ok", "fail", "cool"],
    *,
    threshold: int = FAILURES_IN_A_ROW,
    open_seconds: float = 30.0,
    longest_seconds: float = 300.0,
) -> float:
    """Move a circuit breaker of the fleet (see lua/breaker.lua); the seconds to wait before a call, 0 for none."""
    _refuse_odd(name)
    wait_ms = queue.run(
        "breaker",
        breaker=name,
        holder=holder,
        move=move,
        threshold=threshold,
        open_ms=int(open_seconds * 1000),
        longest_ms=int(longest_seconds * 1000),
    )
    return int(wait_ms) / 1000


@dataclass(frozen=True, slots=True)
class GateState:
    """How a gate stands: for how long its breaker stays open (0: closed), slots held, and all slots (None: no limit)."""

    open_seconds: float
    held: int
    slots: int | None


def look_at(queue: Queue, slots: Mapping[str, int | None]) -> dict[str, GateState]:
    """How these gates stand, by name; given with each is how many slots it has."""
    if not slots:
        return {}
    with queue_errors():
        client = queue.connections.commands()
        seconds, micros = client.time()
        now_ms = seconds * 1000 + micros // 1000
        pipe = client.pipeline(transaction=False)
        for name in slots:
            pipe.hget(queue.key(f"breaker:{name}"), "open_until")
            pipe.zcount(queue.key(f"sem:{name}"), now_ms, "+inf")
        found: Any = pipe.execute()
    states = zip(found[::2], found[1::2], strict=True)
    return {
        name: GateState(max(0.0, (int(until or 0) - now_ms) / 1000), int(held), most)
        for (name, most), (until, held) in zip(slots.items(), states, strict=True)
    }


def hint(queue: Queue, external_id: str, *, keep_seconds: int = 3600) -> None:
    """A vendor says that it has ended this call: whoever waits for it looks now. Only a hint: losing it costs a poll."""
    _refuse_odd(external_id)
    with queue_errors():
        pipe = queue.connections.commands().pipeline()
        pipe.rpush(queue.key(f"hint:{external_id}"), "1")
        pipe.ltrim(queue.key(f"hint:{external_id}"), 0, 0)
        pipe.expire(queue.key(f"hint:{external_id}"), keep_seconds)
        pipe.execute()


def wait_for_hint(queue: Queue, external_id: str, seconds: float) -> bool:
    """Wait for such a hint; whether it came. With Redis away it just waits."""
    try:
        with queue_errors():
            key = queue.key(f"hint:{external_id}")
            return bool(queue.connections.commands().blpop([key], timeout=max(0.01, seconds)))
    except QueueUnavailable:
        time.sleep(seconds)
        return False


def _refuse_odd(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"resource {name!r}: use letters, digits and . _ : @ -, at most 128")
