"""What vendors tell us: only a hint that wakes who waits, so that a lost one costs a poll interval and a forged one nothing."""

from __future__ import annotations

import re
import time

import orjson
import structlog
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from errors import InvalidInput, QueueUnavailable, Refused
from pipeline.signatures import verify
from redis_client import gates, redis_client
from redis_client.connection import queue_errors
from settings import get_settings

MOST_BYTES = 1 << 20
SEEN_SECONDS = 900
_EXTERNAL_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")
log = structlog.get_logger()
router = APIRouter(include_in_schema=False)  # it speaks as its vendor wants


@router.post("/webhooks/replicate", status_code=204)
async def replicate(request: Request) -> Response:
    """Replicate has ended a prediction. 401 for a signature that is not ours, 204 otherwise, also for repeats."""
    secret = get_settings().replicate_webhook_secret
    if secret is None:
        return Response(status_code=404)
    body = await _body(request)
    if body is None:
        return Response(status_code=413)
    try:
        message_id = verify(request.headers, body, secret.get_secret_value().split(), now=time.time())
    except (Refused, InvalidInput) as error:
        log.warning("webhook_refused", reason=str(error))
        return Response(status_code=401)
    external_id = _prediction_of(body)
    if external_id is not None:
        await run_in_threadpool(_hint, message_id, external_id)
    return Response(status_code=204)


async def _body(request: Request) -> bytes | None:
    """The body; None when it is larger than any that a vendor sends."""
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            return None
    return found


def _prediction_of(body: bytes) -> str | None:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    external_id = data.get("id") if isinstance(data, dict) else None
    return external_id if isinstance(external_id, str) and _EXTERNAL_ID.fullmatch(external_id) else None


def _hint(message_id: str, external_id: str) -> None:
    try:
        with queue_errors():
            key = redis_client.queue.key(f"seen:{message_id[:128]}")
            if not redis_client.get_client().set(key, "1", nx=True, ex=SEEN_SECONDS):
                return  # told before
        gates.hint(redis_client.queue, external_id)
    except QueueUnavailable as error:
        log.warning("webhook_not_told", error=str(error))  # who waits asks by itself
