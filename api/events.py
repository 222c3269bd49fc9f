"""The events of a job as they come (server-sent events): a reader goes on after the last one it saw, without gap or repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.access import Reader
from api.fields import JobId
from errors import QueueUnavailable
from redis_client import redis_client
from redis_client.events import Bell, read_events
from states import ENDED

# Without a bell: it is a hint, and may be lost with a connection. With Redis away SQL is asked as often.
LOOK_SECONDS, AWAY_SECONDS = 5.0, 2.0
# The records know of an end a moment before its event is there; when that never comes, it was lost with Redis.
TOLD_SECONDS = 1.0
AGAIN_MS = 2000
STREAM_ID = r"^[0-9]{1,16}(-[0-9]{1,16})?$"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
router = APIRouter(tags=["jobs"])
EventId = Annotated[str | None, Header(pattern=STREAM_ID)]


@router.get("/jobs/{job_id}/events", response_class=StreamingResponse)
async def follow(
    job_id: JobId,
    caller: Reader,
    request: Request,
    last_event_id: EventId = None,
    after: Annotated[str | None, Query(pattern=STREAM_ID)] = None,
) -> Response:
    """The job's events from the first, or after Last-Event-ID, until it has ended; 204 when nothing more will come."""
    row = await run_in_threadpool(caller.job, job_id)
    last_id = last_event_id or after or "0"
    if row["status"] in ENDED and last_id != "0" and not await _read(job_id, last_id):
        return Response(status_code=HTTPStatus.NO_CONTENT)  # a browser asks no more after this
    stream = _events(request.app.state.bell, job_id, last_id)
    return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)


async def _events(bell: Bell, job_id: str, last_id: str) -> AsyncIterator[bytes]:
    yield f"retry: {AGAIN_MS}\n\n".encode()
    told: dict[str, Any] = {}
    was_patient = False
    with bell.listen(job_id) as news:
        while True:
            news.clear()
            wait = LOOK_SECONDS
            try:
                page = await _read(job_id, last_id)
            except QueueUnavailable:
                page, wait = [], AWAY_SECONDS
            for event in page:
                last_id, told = event.pop("id"), event
                yield _message(event, last_id)
            if page:
                continue
            status = await run_in_threadpool(redis_client.get_job_status, job_id)
            if status["status"] in ENDED and told.get("status") == status["status"]:
                return
            if status["status"] in ENDED and was_patient:
                # With an id, so that who comes back with it is told that this was all.
                yield _message(_of_row(status), f"{status['finished_ms']}-0")
                return
            if status["status"] in ENDED:
                was_patient, wait = True, TOLD_SECONDS
            # Before its first event, and while Redis is away, the records tell where it stands.
            elif (last_id == "0" or wait == AWAY_SECONDS) and _of_row(status) != told:
                told = _of_row(status)
                yield _message(told, None)
            else:
                yield b": still here\n\n"
            try:
                await asyncio.wait_for(news.wait(), wait)
            except TimeoutError:
                continue


async def _read(job_id: str, last_id: str) -> list[dict[str, Any]]:
    return await run_in_threadpool(read_events, redis_client.queue, job_id, last_id)


def _of_row(status: dict[str, Any]) -> dict[str, Any]:
    """What SQL knows, in the form of an event; it has no id, so that a reader goes on where the stream was."""
    kept = {name: status[name] for name in ("job_id", "status", "stage", "worker_id")}
    return kept | {"progress": status["progress"], "message": status["error"] or "", "source": "sql"}


def _message(event: dict[str, Any], event_id: str | None) -> bytes:
    named = f"id: {event_id}\n".encode() if event_id else b""
    return named + b"data: " + orjson.dumps(event) + b"\n\n"
