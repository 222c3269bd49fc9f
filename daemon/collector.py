"""Takes away what nobody keeps any more: ended jobs, files without a job, leftovers of the dead. One worker at a time."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from artifacts import LocalStore
from database.charges import stray_calls
from database.deliveries import PAGE, forget_deliveries, tidy_hosts
from database.engine import Database
from database.keeping import delete_ended, forget_marked, keeps_as, mark_unused, unknown_files
from database.outbox import post
from database.uses import forget_uploads
from errors import InvalidInput
from pipeline.catalog.base import Policy, find_pipeline
from redis_client.connection import queue_errors
from redis_client.queue import Queue

COLLECT_SECONDS = 60.0
STORE_PARTS = 256
MOST_PAGES = 40  # of old messages, at a time
# A file that no row knows was stored by somebody who may still be about to commit; an upload may wait for its job.
UNKNOWN_SECONDS = 24 * 3600.0
UPLOAD_SECONDS = 24 * 3600.0  # brought, and named by no job
DELIVERY_SECONDS = 7 * 24 * 3600.0
FILE_SECONDS = 3600.0
# Vendors keep results for an hour: until then a dead job that is retried goes on with the calls that it has made.
STRAY_SECONDS, DEAD_CALLS_SECONDS = 120.0, 3900.0
log = structlog.get_logger()


@dataclass
class Collector:
    """Does a few pages at each call; where it stopped, it goes on."""

    queue: Queue
    database: Database
    store: LocalStore
    work_dir: Path
    _after: tuple[int, str] = (0, "")
    _part: int = 0

    def collect(self) -> None:
        """One round, when no other worker of the fleet had one within the minute."""
        with queue_errors():
            client, key = self.queue.connections.commands(), self.queue.key("collector")
            if not client.set(key, "1", nx=True, px=int(COLLECT_SECONDS * 1000)):
                return
        page = delete_ended(self.database, keep_seconds, after=self._after)
        self._after = page.after or (0, "")
        forget_uploads(self.database, untouched_seconds=UPLOAD_SECONDS)
        for _ in range(MOST_PAGES):
            if forget_deliveries(self.database, seconds=DELIVERY_SECONDS) < PAGE:
                break
        tidy_hosts(self.database)
        marked = mark_unused(self.database)
        files = sum(
            self.store.remove(digest, untouched_seconds=FILE_SECONDS) for digest in forget_marked(self.database)
        )
        files += self._collect_unknown()
        self._close_stray_calls()
        self.store.sweep_aside(untouched_seconds=UNKNOWN_SECONDS)
        self._sweep_work()
        if page.deleted or files:
            log.info("collected", jobs=page.deleted, files=files, marked=marked)

    def _close_stray_calls(self) -> None:
        """Calls of jobs that are over: whatever left them open, their vendor is told and their reservation comes back."""
        jobs = stray_calls(self.database, cancelled_seconds=STRAY_SECONDS, dead_seconds=DEAD_CALLS_SECONDS)
        if jobs:
            with self.database.write() as connection:
                for job_id in jobs:
                    post(self.database, connection, "cancel_calls", job_id, "stray")

    def _collect_unknown(self) -> int:
        old = self.store.old_files(self._part, untouched_seconds=UNKNOWN_SECONDS)
        self._part = (self._part + 1) % STORE_PARTS
        unknown = unknown_files(self.database, old)
        return sum(self.store.remove(digest, untouched_seconds=UNKNOWN_SECONDS) for digest in unknown)

    def _sweep_work(self) -> None:
        """The work folders of tries whose worker was killed."""
        with suppress(OSError):  # another worker of this host may be at it too
            for folder in self.work_dir.iterdir():
                if time.time() - folder.stat().st_mtime > UNKNOWN_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)


def keep_seconds(pipeline: str, status: str) -> float:
    """How long an ended job is kept, as its pipeline has it; one that this version does not know, as always."""
    try:
        policy = find_pipeline(pipeline).policy
    except InvalidInput:
        policy = Policy()
    return policy.keep_completed_seconds if keeps_as(status) == "completed" else policy.keep_failed_seconds
