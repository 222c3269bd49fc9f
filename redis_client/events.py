"""The events of jobs: the stream of each is the record, the channel of all of them the bell that says when to look."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from redis_client.connection import queue_errors

if TYPE_CHECKING:
    from redis_client.queue import Queue

CHANNEL = "job_progress"
PAGE = 100
LISTEN_SECONDS, AGAIN_SECONDS = 1.0, 1.0
log = structlog.get_logger()


def read_events(queue: Queue, job_id: str, after: str, *, block_seconds: float = 0.0) -> list[dict[str, Any]]:
    """A page of the events of a job after the one of this stream id, oldest first, each with its own under `id`.

    Waits for the first one up to `block_seconds`. QueueUnavailable when Redis does not answer.
    """
    block = max(1, int(block_seconds * 1000)) if block_seconds else None
    with queue_errors():
        client = queue.connections.commands()
        answer: Any = client.xread({queue.key(f"events:{job_id}"): after}, block=block, count=PAGE)
    return [orjson.loads(fields["event"]) | {"id": event_id} for event_id, fields in answer[0][1]] if answer else []


class Bell:
    """One subscription for all coroutines of a process that wait for news of jobs.

    It is a hint: a message may be lost with a connection, so who waits also looks by itself now and then.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def listen(self, job_id: str = "") -> Iterator[asyncio.Event]:
        """An event that is set at news of this job, or of any; clear it before you look."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
            self._thread.start()
        news = asyncio.Event()
        self._waiting[job_id].add(news)
        try:
            yield news
        finally:
            self._waiting[job_id].discard(news)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LISTEN_SECONDS * 3)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with queue_errors():
                    self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next connection may be better
                log.warning("bell_broken", error=f"{type(error).__name__}: {error}")
                self._stop.wait(AGAIN_SECONDS)

    def _listen(self) -> None:
        client: Any = self._queue.connections.build(socket_timeout=LISTEN_SECONDS * 3)
        try:
            with client.pubsub(ignore_subscribe_messages=True) as messages:
                messages.subscribe(CHANNEL)
                self._ring(None)  # what came before is news to everybody
                while not self._stop.is_set():
                    message = messages.get_message(timeout=LISTEN_SECONDS)
                    if message is not None:
                        self._ring(_job_of(message["data"]))
        finally:
            client.close()

    def _ring(self, job_id: str | None) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, job_id)

    def _wake(self, job_id: str | None) -> None:
        names = list(self._waiting) if job_id is None else (job_id, "")
        for name in names:
            for news in self._waiting.get(name, ()):
                news.set()


def _job_of(message: Any) -> str | None:
    """Whose news it is; None: of everybody's, if another program speaks on our channel."""
    try:
        return str(orjson.loads(message)["job_id"])
    except (ValueError, KeyError, TypeError):
        return None
