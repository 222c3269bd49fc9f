"""The heartbeat: a thread of its own with a connection of its own renews every lease; it never touches SQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog

from daemon.crew import Crew, Running
from errors import QueueUnavailable
from pipeline.stop import clock
from redis_client.connection import queue_errors
from redis_client.queue import Queue

AGAIN_SECONDS = 1.0
BEAT_SOCKET_SECONDS = 3.0
log = structlog.get_logger()


class Beat:
    """Renews leases every `beat_seconds`, every second after a failure, at once when somebody cancels a job."""

    def __init__(
        self,
        queue: Queue,
        crew: Crew,
        *,
        worker_uuid: str,
        lease_seconds: float,
        beat_seconds: float,
        record: Callable[[], dict[str, Any]],
        lost: Callable[[Running], None],
    ) -> None:
        self._queue, self._crew, self._worker = queue, crew, worker_uuid
        self._lease_seconds, self._beat_seconds = lease_seconds, beat_seconds
        self._record, self._lost = record, lost
        self._client: Any = None
        self._messages: Any = None
        self._stop = threading.Event()
        self.ticked = clock()

    def run(self) -> None:
        """The thread's loop."""
        while not self._stop.is_set():
            self.ticked = clock()
            try:
                self.beat_once()
                self._doze(self._beat_seconds)
            except QueueUnavailable as error:
                log.warning("beat_failed", error=str(error))
                self._drop()
                self._stop.wait(AGAIN_SECONDS)
        self._drop()

    def stop(self) -> None:
        """End the loop."""
        self._stop.set()

    def beat_once(self) -> None:
        """Renew now."""
        with queue_errors():
            if self._client is None:
                self._client = self._queue.connections.build(socket_timeout=BEAT_SOCKET_SECONDS)
        running = [one for one in self._crew.running() if not one.settled]
        sent = clock()
        words = self._queue.beat(
            self._client,
            worker=self._worker,
            lease_seconds=self._lease_seconds,
            record=self._record(),
            jobs=[(one.grant.job_id, one.grant.token) for one in running],
            holds=[pair for one in running for pair in tuple(one.stop.holds)],
        )
        for one, word in zip(running, words, strict=True):
            if word == "lost":
                if not one.settled:
                    self._lost(one)
                continue
            # Counted from before the beat was sent, less a margin: we stop spending before Redis stops waiting.
            one.stop.lease_until = sent + lease_margin(self._lease_seconds)
            if word == "cancel":
                one.stop.request("cancelled")

    def _doze(self, seconds: float) -> None:
        """Sleep until the next beat is due, or somebody cancels a job that may be ours."""
        until = clock() + seconds
        with queue_errors():
            if self._messages is None:
                self._messages = self._client.pubsub(ignore_subscribe_messages=True)
                self._messages.subscribe(self._queue.key("cancel"))
            while not self._stop.is_set() and (left := until - clock()) > 0:
                self.ticked = clock()
                message = self._messages.get_message(timeout=min(left, 1.0))
                if message and any(one.grant.job_id == message["data"] for one in self._crew.running()):
                    return

    def _drop(self) -> None:
        for one in (self._messages, self._client):
            if one is not None:
                one.close()
        self._messages = self._client = None


def lease_margin(lease_seconds: float) -> float:
    """How long after the sending of a beat its lease may be trusted: five seconds less, a sixth for short leases."""
    return lease_seconds - min(5.0, lease_seconds / 6)
