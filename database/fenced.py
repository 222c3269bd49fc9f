"""The writes of a worker: each carries the fence, and none of a stale worker's gets through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from database import statements
from database.begin import begin
from database.checkpoint_rows import is_written, write_done, write_failed
from database.ending import FOR_CHILDREN, Relations, after_end
from database.engine import Database
from database.events import write_event
from database.guard import guard, look
from database.prepared import Prepared
from database.records import Begun, Checkpoint, Failure, Holder, JobRecord, NotBegun, failure_parameters
from errors import DatabaseUnavailable
from states import JobStatus

WAITING_FOR = 256  # characters that jobs.waiting_for holds


@dataclass(slots=True)
class FencedWrites:
    """The fenced writes against one database."""

    database: Database
    quarantine_crashes: int = 3
    posted: Callable[[], None] = lambda: None  # called after a commit that left something in the outbox
    _unsure: set[tuple[Holder, str, str]] = field(default_factory=set, init=False)

    def begin(self, holder: Holder, *, expired: int, known: int) -> Begun | NotBegun:
        """Install the fence and take the job, or say why not (see database/begin.py)."""
        answer, posted = begin(
            self.database, holder, expired=expired, known=known, quarantine_crashes=self.quarantine_crashes
        )
        if posted:
            self.posted()
        return answer

    def checkpoint(self, holder: Holder, job: JobRecord, done: Checkpoint) -> None:
        """Commit one finished stage or item; the job goes on."""
        with self._reply_may_be_lost(holder, done), self.database.write() as connection:
            if (holder, done.stage, done.item) in self._unsure and is_written(connection, holder, done):
                return
            values = {"b_stage": done.stage, "b_progress": done.progress}
            guard(connection, holder, statements.ADVANCE, values)
            write_done(self.database, connection, holder, job, done)
            data = {"item": done.item} if done.item else None
            _event(connection, holder, "stage_completed", JobStatus.PROCESSING, done.stage, data)

    def complete(self, holder: Holder, job: JobRecord, last: Checkpoint | None, result: Any) -> None:
        """The terminal commit of a job that succeeded, together with its last stage."""

        def rest(connection: Connection) -> None:
            if last:
                write_done(self.database, connection, holder, job, last)
            _event(connection, holder, "completed", JobStatus.COMPLETED, last.stage if last else None)

        values = {
            "b_stage": last.stage if last else None,
            "b_progress": 100.0,
            "b_result": result,
        }
        self._end(holder, JobStatus.COMPLETED, statements.END, values, rest)

    def fail(self, holder: Holder, job: JobRecord, failure: Failure) -> None:
        """The terminal commit of a job that cannot succeed."""

        def rest(connection: Connection) -> None:
            write_failed(self.database, connection, holder, job, failure)
            _event(connection, holder, "failed", JobStatus.FAILED, failure.stage, _told(failure))

        values = failure_parameters(failure, JobStatus.FAILED)
        self._end(holder, JobStatus.FAILED, statements.FAIL, values, rest)

    def cancelled(self, holder: Holder) -> None:
        """The terminal commit of a job that somebody cancelled while it ran."""
        values = {"b_stage": None, "b_progress": 0.0, "b_result": None}
        status = JobStatus.CANCELLED
        self._end(holder, status, statements.END, values, lambda found: _event(found, holder, "cancelled", status))

    def retry_later(self, holder: Holder, job: JobRecord, failure: Failure, *, delay_seconds: float) -> None:
        """Record a failed try and let the job wait for the next one; the only write that raises `attempt`."""
        rest = _rest(delay_seconds, "retry")
        values = failure_parameters(failure, rest["b_status"]) | rest | {"b_queue": job.queue}
        with self.database.write() as connection:
            if guard(connection, holder, statements.RETRY, values, wanted={rest["b_status"]}) is None:
                return
            write_failed(self.database, connection, holder, job, failure)
            data = _told(failure) | {"delay_seconds": delay_seconds}
            _event(connection, holder, "retry_scheduled", rest["b_status"], failure.stage, data)

    def release(
        self,
        holder: Holder,
        job: JobRecord,
        *,
        reason: str,
        queue: str | None = None,
        delay_seconds: float = 0.0,
    ) -> None:
        """Give the job back unfinished: to the front of its queue, to another queue, or to wait. Burns nothing."""
        rest = _rest(delay_seconds, reason)
        values = rest | {"b_queue": queue or job.queue}
        with self.database.write() as connection:
            if guard(connection, holder, statements.RELEASE, values, wanted={rest["b_status"]}) is None:
                return
            data = {"reason": reason, "queue": queue} if queue else {"reason": reason}
            _event(connection, holder, "handed_over" if queue else "requeued", rest["b_status"], data=data)

    def wait_for_children(self, holder: Holder, job: JobRecord) -> bool:
        """Give the job back until its last child ends; False when that came first, and it can go on at once."""
        values = {"b_queue": job.queue, "b_waiting_for": FOR_CHILDREN}
        states = {JobStatus.WAITING, JobStatus.PENDING}
        with self.database.write() as connection:
            row = guard(connection, holder, statements.WAIT, values, wanted=states)
            if row is not None:
                _event(connection, holder, "waits_for_children", row[0])
                return bool(row[0] == JobStatus.WAITING)
            found = look(connection, holder.job_id)
            return found is not None and found.status == JobStatus.WAITING

    def hold(self, holder: Holder, job: JobRecord, *, reason: str) -> None:
        """Give the job back until a person has decided; it stands in no index then."""
        status = JobStatus.WAITING
        values = {
            "b_status": status,
            "b_queue": job.queue,
            "b_delay_ms": 0,
            "b_waiting_for": f"a person: {reason}"[:WAITING_FOR],
        }
        with self.database.write() as connection:
            if guard(connection, holder, statements.RELEASE, values, wanted={status}) is not None:
                _event(connection, holder, "needs_a_person", status, data={"reason": reason})

    def keep_providers(self, holder: Holder, providers: dict[str, str]) -> None:
        """Keep which provider each capability got, so that another host makes the same film."""
        with self.database.write() as connection:
            guard(connection, holder, statements.PROVIDERS, {"b_providers": providers})

    def still_mine(self, holder: Holder) -> bool:
        """Whether SQL says that this holder owns the job (asked when Redis lost the lease)."""
        with self.database.read() as connection:
            row = look(connection, holder.job_id)
        return row is not None and row.fence == holder.token and bool(row.in_flight)

    def _end(
        self,
        holder: Holder,
        status: JobStatus,
        statement: Prepared,
        values: dict[str, Any],
        rest: Callable[[Connection], None],
    ) -> None:
        """A terminal commit: the job's row, what else belongs to it, and what follows for others."""
        with self.database.write() as connection:
            row = guard(connection, holder, statement, values | {"b_status": status}, wanted={status})
            if row is None:
                return
            rest(connection)
            posted = after_end(self.database, connection, holder.job_id, status, Relations(*row))
        if posted:
            self.posted()

    @contextmanager
    def _reply_may_be_lost(self, holder: Holder, done: Checkpoint) -> Iterator[None]:
        """A commit whose reply was lost may have been done: the next try of this checkpoint looks first."""
        try:
            yield
        except DatabaseUnavailable:
            self._unsure.add((holder, done.stage, done.item))
            raise
        self._unsure.discard((holder, done.stage, done.item))


def _event(
    connection: Connection,
    holder: Holder,
    kind: str,
    status: str,
    stage: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    write_event(connection, holder.job_id, kind, status=status, stage=stage, worker_id=holder.owner, data=data)


def _rest(delay_seconds: float, reason: str) -> dict[str, Any]:
    """Waiting with a time, or pending: waiting without one is for children and persons, whom somebody must wake."""
    delay_ms = int(delay_seconds * 1000)
    if delay_ms <= 0:
        return {"b_status": JobStatus.PENDING, "b_delay_ms": 0, "b_waiting_for": None}
    return {"b_status": JobStatus.WAITING, "b_delay_ms": delay_ms, "b_waiting_for": reason[:WAITING_FOR]}


def _told(failure: Failure) -> dict[str, Any]:
    return {"error_class": failure.error_class, "error": failure.message, "attempt": failure.attempt}
