"""The pools of workers as others see them, and what people ask of them. Everything here runs out by itself."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from redis_client.connection import queue_errors
from redis_client.queue import Queue

RECORD_SECONDS, ORDER_SECONDS = 15, 60
MOST_ORDERS = 20
Action = Literal["start", "stop", "drain"]


@dataclass(frozen=True, slots=True)
class Order:
    """One worker more, one less (which, or any), or one that works everything off and ends."""

    id: str
    action: Action
    worker_id: str = ""


def post_pool(queue: Queue, host: str, record: dict[str, Any]) -> None:
    """Tell that this host's pool lives, and what it holds."""
    with queue_errors():
        queue.connections.commands().set(queue.key(f"pool:{host}"), orjson.dumps(record), ex=RECORD_SECONDS)
        queue.connections.commands().sadd(queue.key("pools"), host)


def find_pools(queue: Queue) -> list[dict[str, Any]]:
    """The pools that live, by host."""
    with queue_errors():
        client = queue.connections.commands()
        hosts: Any = client.smembers(queue.key("pools"))
        found: dict[str, Any] = {host: client.get(queue.key(f"pool:{host}")) for host in sorted(hosts)}
        if gone := [host for host, record in found.items() if record is None]:
            client.srem(queue.key("pools"), *gone)
    return [orjson.loads(record) for record in found.values() if record is not None]


def ask_pool(queue: Queue, host: str, action: Action, worker_id: str = "") -> str:
    """Leave an order for a host's pool; its id. One that nobody takes within a minute is void."""
    order = {"id": secrets.token_hex(6), "action": action, "worker_id": worker_id}
    key = queue.key(f"orders:{host}")
    with queue_errors():
        client = queue.connections.commands()
        client.rpush(key, orjson.dumps(order))
        client.ltrim(key, -MOST_ORDERS, -1)
        client.expire(key, ORDER_SECONDS)
    return order["id"]


def take_orders(queue: Queue, host: str) -> list[Order]:
    """The orders for this host, oldest first; each is taken once."""
    with queue_errors():
        taken: Any = queue.connections.commands().lpop(queue.key(f"orders:{host}"), MOST_ORDERS)
    return [Order(**orjson.loads(one)) for one in taken or ()]
