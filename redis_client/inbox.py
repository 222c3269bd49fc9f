"""What other programs pushed onto a queue's list: adopted as an enqueue, or set aside with a log line."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson
import structlog

from database.jobs import find_job
from errors import HostTrouble, Permanent
from redis_client.client import RedisClient
from redis_client.connection import queue_errors, raw
from redis_client.reconcile import repair_job
from settings import ID_PATTERN

KEPT_ASIDE = 1000
_ID = re.compile(ID_PATTERN)
OPTIONS = frozenset({"pipeline", "queue", "priority", "delay", "tenant"})
log = structlog.get_logger()


def adopt_inbox(client: RedisClient, *, lease_seconds: float, limit: int = 100) -> int:
    """Adopt up to `limit` entries; safe to repeat: an entry leaves the inbox after its row is committed."""
    inbox = client.queue.key("inbox")
    adopted = 0
    for _ in range(limit):
        with queue_errors():
            found: Any = client.get_client().lindex(inbox, 0)
        if found is None:
            break
        value = str(found)
        try:
            _adopt(client, value, lease_seconds)
            adopted += 1
        except HostTrouble:
            raise
        except Exception as error:  # noqa: BLE001 - one strange entry must not stop every worker, one after the other
            log.warning("inbox_set_aside", error=str(error), value=ascii(value[:200]))
            with queue_errors():
                client.get_client().lpush(client.queue.key("inbox_bad"), raw(value))
                client.get_client().ltrim(client.queue.key("inbox_bad"), 0, KEPT_ASIDE - 1)
        with queue_errors():
            client.get_client().lrem(inbox, 1, raw(value))  # type: ignore[arg-type]  # bytes are values too
    return adopted


def _adopt(client: RedisClient, value: str, lease_seconds: float) -> None:
    if _ID.fullmatch(value):
        # The bell of a job that Redis has forgotten, or of one that has ended; any other word is no job of ours.
        if repair_job(client.queue, client.database, value, lease_seconds=lease_seconds) == "gone":
            find_job(client.database, value)
        return
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise Permanent("an entry of the list is neither a job's id nor JSON") from None
    if not isinstance(data, dict):
        raise Permanent("an entry of the list is JSON but not an object with the fields of a job")
    # An entry without an id is known by its content, so that adopting it twice makes one job.
    job_id = data.get("id") or data.get("job_id") or f"inbox-{hashlib.sha256(value.encode()).hexdigest()[:32]}"
    options = {name: data[name] for name in OPTIONS & data.keys() if data[name] is not None}
    payload = {name: part for name, part in data.items() if name not in OPTIONS | {"id", "job_id"}}
    is_new = client.enqueue_job(str(job_id), payload, **options)
    log.info("inbox_adopted" if is_new else "inbox_repeated", job_id=job_id)
