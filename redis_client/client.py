"""The queue as its users see it: enqueue, status, wait, cancel, retry, pause, watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import orjson
import redis
import structlog

from database.charges import OPEN as OPEN_CALLS
from database.charges import find_charge_by_start, reject, submit, void
from database.controls import controls, set_control
from database.engine import Database, get_database
from database.jobs import (
    NewJob,
    count_jobs,
    find_events,
    find_job,
    find_stages,
    insert_jobs,
    list_jobs,
    note_fetched,
    same_job,
)
from database.meta import database_id
from database.migrate import init_db
from database.open_jobs import OpenJob, open_job
from database.requests import find_open_children, free, reopen, request_cancel
from database.webhooks import add_to_job
from errors import HostTrouble, InvalidInput, JobFailed, QueueUnavailable, Taken
from pipeline.catalog.base import declared_queues, find_pipeline
from pipeline.catalog.complaints import nearest
from redis_client.connection import Connections, queue_errors
from redis_client.controls import copy_controls
from redis_client.door import EnqueueOptions, check_group, check_id, prepare
from redis_client.events import read_events
from redis_client.queue import Queue
from states import ENDED, OPEN, JobStatus

log = structlog.get_logger()
POLL_SECONDS = 0.5
REOPEN_SECONDS = 2.0


class RedisClient:
    """Everything that people and programs do with jobs. Making one opens nothing; the first call does."""

    def __init__(
        self, *, url: str | None = None, namespace: str | None = None, database: Database | None = None
    ) -> None:
        self.connections = Connections(url)
        self.queue = Queue(self.connections, namespace)
        self._database = database
        self._is_ready = False
        self._is_bound = False

    @property
    def database(self) -> Database:
        """The records; the schema is brought up to date at the first use."""
        database = self._database or get_database()
        if not self._is_ready:
            init_db(database)
            self._is_ready = True
        return database

    def bind(self) -> None:
        """Refuse a Redis that holds the jobs of another database; asked once, when Redis first answers."""
        if not self._is_bound:
            self.queue.bind(database_id(self.database))
            self._is_bound = True

    def get_client(self) -> redis.Redis:
        """The plain redis-py client, for a look at keys: `get_client().llen("video_generation_queue")`."""
        return self.connections.commands()

    def enqueue_job(self, job_id: str, job_data: dict[str, Any], **options: Unpack[EnqueueOptions]) -> bool:
        """Store a job and ring for it. True once its row is committed; False when this very job was there already.

        With Redis down it still returns True and logs `enqueue_deferred`: the reconciler delivers. The options stand
        in EnqueueOptions. Errors: InvalidInput (one sentence: field, value, what would be right) before anything is
        stored.
        """
        return self.store(self.prepare(job_id, job_data, **options))

    def store(self, job: NewJob) -> bool:
        """Store a prepared job and ring for it; False when this very job was there already, Taken when another was."""
        if not insert_jobs(self.database, [job]):
            if not same_job(self.database, job):
                raise Taken(f"id={job.id!r} is taken by a job with another payload; choose another id")
            if job.webhook is not None:
                add_to_job(self.database, job.webhook, tenant=job.tenant, job_id=job.id)
            return False
        self.deliver([job])
        return True

    def enqueue_many(self, jobs: Iterable[NewJob]) -> int:
        """Store prepared jobs in one commit and ring for them; how many were new."""
        batch = list(jobs)
        stored = insert_jobs(self.database, batch)
        self.deliver([job for job in batch if job.id in stored])
        return len(stored)

    def prepare(
        self,
        job_id: str,
        job_data: dict[str, Any],
        *,
        roots: Sequence[Path] | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> NewJob:
        """Check a job at the door; nothing is stored but the files it names (from `roots`, else INPUT_ROOTS)."""
        return prepare(self.database, job_id, job_data, options, roots=roots)

    def get_job_status(self, job_id: str) -> dict[str, Any]:
        """Where a job stands: status, stage, progress, attempt, worker_id, error, result, cost_usd and more.

        SQL decides; the progress between two checkpoints comes from Redis when it answers. UnknownJob when
        there is none.
        """
        row = find_job(self.database, job_id)
        status = {
            "job_id": row["id"],
            "pipeline": row["pipeline"],
            "queue": row["queue"],
            "tenant": row["tenant"],
            "priority": row["priority"],
            "status": row["status"],
            "stage": row["stage"],
            "progress": row["progress"],
            "attempt": row["attempt"],
            "crashes": row["crashes"],
            "run": row["run"],
            "worker_id": row["owner"],
            "error": row["error"],
            "error_class": row["error_class"],
            "error_stage": row["error_stage"],
            "result": row["result"],
            "cost_usd": row["cost_usd"],
            "waiting_for": row["waiting_for"],
            "not_before_ms": row["not_before_ms"],
            "created_ms": row["created_ms"],
            "started_ms": row["started_ms"],
            "finished_ms": row["finished_ms"],
        }
        if row["status"] not in ENDED:
            live = self._live(job_id, float(row["progress"]))
            # Between two runs the stage is where SQL says; the progress that people have seen does not fall.
            status.update(live if row["status"] == JobStatus.PROCESSING else {n: live[n] for n in live if n != "stage"})
        return status

    def fetch(self, row: dict[str, Any]) -> None:
        """Note that the result in a job's row was asked for; `count_unread` tells those of nobody."""
        if row["status"] == JobStatus.COMPLETED and row["fetched_ms"] is None:
            note_fetched(self.database, row["id"])

    def get_job(self, job_id: str) -> dict[str, Any]:
        """The whole record of a job, with its stages and events."""
        return find_job(self.database, job_id) | {
            "stages": find_stages(self.database, job_id),
            "events": find_events(self.database, job_id),
        }

    def list_jobs(self, **filters: Any) -> list[dict[str, Any]]:
        """The newest jobs that match (status, pipeline, queue, tenant, limit)."""
        return list_jobs(self.database, **filters)

    def wait(self, job_id: str, timeout: float = 300) -> Any:
        """The result of a job; JobFailed when it ends otherwise, TimeoutError after `timeout` seconds."""
        until = time.monotonic() + timeout
        for _event in self.watch(job_id, timeout=timeout):
            pass
        while True:
            row = find_job(self.database, job_id)
            if row["status"] == JobStatus.COMPLETED:
                self.fetch(row)
                return row["result"]
            if row["status"] in ENDED:
                raise JobFailed(job_id, row["status"], row["error"] or "no reason was recorded")
            if time.monotonic() >= until:
                raise TimeoutError(f"job {job_id} is {row['status']} after {timeout:g} s")
            time.sleep(min(POLL_SECONDS, max(0.01, until - time.monotonic())))

    def watch(self, job_id: str, *, timeout: float = 300, last_id: str = "0") -> Iterator[dict[str, Any]]:
        """The job's events as they come, each with its stream id under `id`, until it has ended.

        Resume with the last `id` seen: no gap and no repeat. With Redis down, SQL is asked now and then.
        """
        until = time.monotonic() + timeout
        ended = False  # by its events: what is left of them is read without a wait
        while (left := until - time.monotonic()) > 0:
            events: list[dict[str, Any]] = []
            try:
                # The block stays under the socket's own time-out.
                events = read_events(self.queue, job_id, last_id, block_seconds=0.001 if ended else min(left, 1.0))
            except QueueUnavailable:
                time.sleep(min(POLL_SECONDS, left))
            for event in events:
                last_id = event["id"]
                ended = event["status"] in ENDED
                yield event
            if not events:
                if find_job(self.database, job_id)["status"] in ENDED:
                    return
                ended = False

    def cancel(self, job_id: str) -> str:
        """Cancel a job and its children: at once when it does not run, else its worker stops it at its next safe point.

        A dead child for which its parent waits is given up: the parent goes on without it.
        """
        status = request_cancel(self.database, job_id)
        self._attempt("cancel_deferred", lambda: self.queue.cancel(job_id, in_flight=status in OPEN), job_id)
        for child in find_open_children(self.database, job_id):
            self.cancel(child)
        return status

    def retry(self, job_id: str) -> None:
        """Ask for a failed, cancelled or quarantined job again; its finished stages are kept."""
        for job in reopen(self.database, job_id):
            self._attempt("enqueue_deferred", lambda one=job: self._reopen(one), job.id)  # type: ignore[misc]

    def _reopen(self, job: OpenJob) -> None:
        """Place it, after the end of its last run, which SQL has and Redis may still have to hear."""
        until = time.monotonic() + REOPEN_SECONDS
        while not self.queue.enqueue(job, mode="reopen") and time.monotonic() < until:
            if self.queue.inspect(job.id).state != "running":
                break
            time.sleep(0.05)

    def free(self, *, job_id: str | None = None, reason: str | None = None) -> list[str]:
        """Let jobs go on that wait for a person: one, or all that wait for the same `reason`; their ids."""
        freed = free(self.database, job_id=job_id, reason=reason)
        for one in freed:
            job = open_job(self.database, one)
            if job is not None:
                self._attempt("enqueue_deferred", lambda job=job: self.queue.enqueue(job, mode="wake"), one)  # type: ignore[misc]
        return freed

    def decide_call(self, key: str, external_id: str | None, *, made: bool) -> list[str]:
        """A person says what became of a call in doubt: it was not made (pay again), or made, under this id of the vendor.

        The jobs that go on now.
        """
        row = find_charge_by_start(self.database, key)
        if row.state == "settled" and row.error is None and not made:
            reject(self.database, row.key, "a person says that its answer is lost")
            return self.free(job_id=row.job_id)
        if row.state not in OPEN_CALLS or (row.state == "intent" and row.doubt != "parked"):
            raise InvalidInput(f"charge {key} is {row.state}: there is nothing to decide")
        if made and row.state == "submitted":
            raise InvalidInput(f"charge {key} is known to be made, as {row.external_id}; lost writes it off")
        if made and not external_id:
            raise InvalidInput("a call that was made has an id at the vendor: give it")
        if made and external_id:
            submit(self.database, row.key, external_id)
        else:
            void(self.database, row.key, "a person says that it was not made")
        return self.free(job_id=row.job_id)

    def pause(self, name: str, *, kind: str = "queue", reason: str = "", by: str = "") -> None:
        """Let no job of a queue (or with `kind` of a pipeline or tenant) start; what runs goes on."""
        set_control(self.database, "pause", self._control(kind, name), "1", reason=reason, by=by)
        self._switch("pause_deferred")

    def resume(self, name: str, *, kind: str = "queue") -> None:
        """Let the jobs of a paused queue, pipeline or tenant start again."""
        set_control(self.database, "pause", self._control(kind, name), None)
        self._switch("resume_deferred")

    def limit(self, group: str, most: int | None, *, reason: str = "", by: str = "") -> None:
        """Let at most so many jobs of a group run over the whole fleet; None lifts the limit.

        A group is `queue:NAME`, `pipeline:NAME`, `tenant:NAME`, or a name that jobs give (`groups=`).
        """
        check_group(group)
        if most is not None and not 0 <= most <= 1_000_000:
            raise InvalidInput(f"limit={most}: use a number from 0 to 1,000,000")
        value = None if most is None else str(most)
        set_control(self.database, "limit", group, value, reason=reason, by=by)
        self._switch("limit_deferred")

    def weigh(self, tenant: str, weight: float | None, *, by: str = "") -> None:
        """Give a tenant `weight` times the share of others while they wait for the same queue; None: 1."""
        check_id("tenant", tenant)
        if weight is not None and not 0.01 <= weight <= 100:
            raise InvalidInput(f"weight={weight:g}: use a number from 0.01 to 100")
        set_control(self.database, "weight", tenant, None if weight is None else f"{weight:g}", by=by)
        self._switch("weight_deferred")

    def _switch(self, deferred: str) -> None:
        """Tell Redis what was switched; without it the next reconciler does."""
        self._attempt(deferred, lambda: copy_controls(self.queue, self.database))

    def queues(self) -> list[dict[str, Any]]:
        """Each queue: how many jobs by status, whether it is paused, what Redis holds ready."""
        switched, counts = controls(self.database), count_jobs(self.database)
        paused = switched.paused_queues()
        names = sorted(declared_queues() | {row["queue"]: False for row in counts})
        found = []
        for name in names:
            by_status = {row["status"]: row["jobs"] for row in counts if row["queue"] == name}
            facts = {
                "paused": name in paused,
                "reason": paused.get(name, ""),
                "limit": switched.limits.get(f"queue:{name}"),
            }
            found.append({"queue": name, **facts, **by_status})
        try:
            with queue_errors():
                for entry in found:
                    entry["ready"] = self.get_client().zcard(self.queue.key(f"ready:{entry['queue']}"))
        except QueueUnavailable:
            log.warning("queues_without_redis")
        return found

    def workers(self) -> list[dict[str, Any]]:
        """The workers whose heartbeat has not run out: what they are and do."""
        with queue_errors():
            client = self.get_client()
            ids: Any = client.zrange(self.queue.key("workers"), 0, -1)
            records: Any = [client.hget(self.queue.key(f"worker:{worker}"), "record") for worker in ids]
        return [orjson.loads(record) for record in records if record]

    def close(self) -> None:
        """Close the connections."""
        self.connections.close()

    def deliver(self, jobs: Sequence[NewJob]) -> None:
        """Ring for jobs whose rows are committed; when Redis is away the reconciler does."""
        placed = [_placed(job) for job in jobs]
        try:
            self.bind()
            if len(placed) == 1:
                self.queue.enqueue(placed[0])
            elif placed:
                self.queue.enqueue_many(placed)
        except HostTrouble as error:  # of Redis, or of the embedded one that cannot start
            for job in jobs:
                log.warning("enqueue_deferred", job_id=job.id, error=str(error))

    def _attempt(self, event: str, move: Callable[[], Any], job_id: str = "") -> None:
        """Tell Redis of what SQL has decided; the reconciler does it later when Redis is away."""
        try:
            with queue_errors():
                move()
        except HostTrouble as error:
            log.warning(event, job_id=job_id, error=str(error))

    def _live(self, job_id: str, floor: float) -> dict[str, Any]:
        try:
            with queue_errors():
                found: Any = self.get_client().hmget(self.queue.key(f"job:{job_id}"), "progress", "stage")
        except QueueUnavailable:
            return {}
        progress, stage = found
        if progress is None:
            return {}
        return {"progress": max(floor, float(progress))} | ({"stage": stage} if stage else {})

    def _control(self, kind: str, name: str) -> str:
        """The name of a queue, pipeline or tenant among the controls; refused when there is none."""
        match kind:
            case "queue":
                known = {row["queue"] for row in count_jobs(self.database)} | set(declared_queues())
                if name not in known:
                    raise InvalidInput(f"queue={name!r} is unknown{nearest(name, known)}")
                return name
            case "pipeline":
                return f"pipeline:{find_pipeline(name).name}"
        check_id("tenant", name)
        return f"tenant:{name}"


def _placed(job: NewJob) -> OpenJob:
    return OpenJob(
        id=job.id,
        pipeline=job.pipeline,
        queue=job.queue,
        tenant=job.tenant,
        priority=job.priority,
        status=JobStatus.PENDING,
        fence=0,
        in_flight=False,
        progress=0.0,
        stage=job.stage,
        wait_ms=int(job.delay_seconds * 1000),
        created_ms=0,
        groups=job.groups,
    )
