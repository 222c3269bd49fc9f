"""The workers that Redis knows, and the last lines of their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from redis_client.connection import queue_errors, repeat
from redis_client.queue import Queue

MOST_LINES, LINES_SECONDS = 1000, 24 * 3600
STARTS_SECONDS = 24 * 3600
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def post_lines(queue: Queue, worker: str, lines: Sequence[str]) -> None:
    """Add to the last log lines of a worker; they run out a day after the last one."""
    if not lines:
        return
    key = queue.key(f"lines:{worker}")
    with queue_errors():
        pipe = queue.connections.commands().pipeline(transaction=False)
        pipe.rpush(key, *lines)
        pipe.ltrim(key, -MOST_LINES, -1)
        pipe.expire(key, LINES_SECONDS)
        pipe.execute()


def count_start(queue: Queue, worker: str) -> int:
    """A worker of this name starts; how often one has, with never a day between two (one more for a reply that is lost)."""
    key = queue.key(f"starts:{worker}")

    def counted() -> Any:
        pipe = queue.connections.commands().pipeline(transaction=False)
        pipe.incr(key)
        pipe.expire(key, STARTS_SECONDS)
        return pipe.execute()

    return int(repeat(counted)[0])


def find_lines(queue: Queue, worker: str, *, limit: int = MOST_LINES) -> list[str]:
    """The last log lines of a worker, oldest first."""
    with queue_errors():
        found: Any = queue.connections.commands().lrange(queue.key(f"lines:{worker}"), -limit, -1)
    return list(found)


def lines_of_job(queue: Queue, workers: Iterable[str], job_id: str, *, limit: int = MOST_LINES) -> list[str]:
    """What these workers have logged of a job lately, worker by worker, oldest first."""
    # JSON ("job_id":"x") or for people (job_id=x), there perhaps with colours around.
    named = re.compile(rf"job_id[\"']?[=:]\s*[\"']?{re.escape(job_id)}(?![A-Za-z0-9._:@-])")
    found = [
        line
        for worker in dict.fromkeys(workers)
        for line in find_lines(queue, worker)
        if named.search(COLOURS.sub("", line))
    ]
    return found[-limit:]


def forget_workers(queue: Queue) -> list[str]:
    """Forget the workers whose record has run out; which. Leases are not touched: they run out by themselves."""
    with queue_errors():
        client, key = queue.connections.commands(), queue.key("workers")
        ids: Any = client.zrange(key, 0, -1)
        gone = [worker for worker in ids if not client.exists(queue.key(f"worker:{worker}"))]
        if gone:
            client.zrem(key, *gone)
    return gone
