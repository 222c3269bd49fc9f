"""The daemon: `python worker.py [worker-id]`. It claims jobs, runs their stages, beats, and hands back when told to stop.

Exit codes: 0 told to stop, drained, or --max-jobs reached; 2 wrong arguments; 70 a stage ignored its limits or a
thread died (start me again); 75 Redis or the database did not answer at start (try again); 78 a wrong setting.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

import structlog

import process
from artifacts import open_store
from counters import snapshot
from daemon.arguments import WORKER_ID, is_worker_id, parse_arguments
from daemon.beat import Beat
from daemon.collector import Collector
from daemon.courier import HOSTS, Courier
from daemon.crew import Crew, Lane, Running, parse_lanes
from daemon.fetcher import Fetcher
from daemon.housekeeping import Health, Housekeeping
from daemon.notify import notify
from daemon.settle import Desk
from daemon.signals import Signals
from database.engine import get_database
from database.meta import bind_host, bind_store
from database.open_jobs import open_elsewhere, open_in_queues
from errors import HostTrouble, Permanent
from log import configure_logging
from pipeline.gates import passed_gates
from pipeline.names import check_names
from pipeline.providers import registry
from pipeline.stop import Limit, clock
from redis_client import RedisClient, redis_client
from redis_client.answers import Slot
from redis_client.connection import repeat
from redis_client.fleet import count_start
from settings import get_settings, near_misses, this_host

EXIT_OK, EXIT_USAGE, EXIT_SOFTWARE, EXIT_TEMPORARY, EXIT_CONFIG = 0, 2, 70, 75, 78  # 2 is argparse's
TICK_SECONDS = 0.2
DRAIN_LOOK_SECONDS = 0.5
DRAIN_WITHIN_SECONDS = 60.0
FINISH_FIRST = frozenset({"drained", "max_jobs"})
IGNORED_SECONDS = 30.0
FORCE_BEFORE_SECONDS = 5.0
LEAVE_SECONDS = 5.0
TELL_SECONDS = 10.0  # for the webhooks of its last jobs, when it drained or reached --max-jobs
log = structlog.get_logger()


class Worker:
    """One worker process. `start()` runs it in the calling thread until it is told to stop."""

    def __init__(
        self,
        worker_id: str | None = None,
        *,
        queues: str | None = None,
        concurrency: int | None = None,
        drain: bool = False,
        max_jobs: int | None = None,
        client: RedisClient | None = None,
    ) -> None:
        settings = self.settings = get_settings()
        self.worker_id = worker_id or f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}"
        if not is_worker_id(self.worker_id):
            raise Permanent(f"worker id {self.worker_id!r}: {WORKER_ID}")
        self.uuid = uuid.uuid4().hex
        lanes: tuple[Lane, ...] = parse_lanes(
            settings.worker_queues if queues is None else queues, concurrency or settings.worker_concurrency
        )
        self.crew = Crew(lanes, worker_uuid=self.uuid, label=self.worker_id, lease_seconds=settings.lease_seconds)
        self.client = client or redis_client
        self.health = Health()
        self.drain = drain
        self.max_jobs = settings.worker_max_tasks_per_child if max_jobs is None else max_jobs
        self.stopping: str | None = None
        self.exit_code = EXIT_OK
        self.running = False
        self.started_jobs = 0
        self._reserved = 0
        self.signals = Signals()
        self._leave_by = self._paid_by = float("inf")
        self._forced = False
        self._drain_looked_at = float("-inf")
        self._state_lock = threading.Lock()
        self._starts = 1
        self.store = open_store()
        # One connection a slot and branch, and some for housekeeping and the courier.
        get_database(pool_size=len(self.crew.slots) + 4 + HOSTS)
        self.desk = Desk(self)
        self.house = Housekeeping(
            self.client,
            self.desk.writes,
            self.store,
            settings,
            self.health,
            self.worker_id,
            self.slot_of,
            Collector(self.client.queue, self.desk.writes.database, self.store, settings.state_dir / "work"),
        )
        self.beat = Beat(
            self.client.queue,
            self.crew,
            worker_uuid=self.uuid,
            lease_seconds=settings.lease_seconds,
            beat_seconds=settings.beat_seconds,
            record=self.record,
            lost=self.house.take_lost,
        )
        self.courier = Courier(self.desk.writes.database, self.worker_id, settings.webhook_own_hosts)
        self.fetcher = Fetcher(
            self.client.queue, self.crew, self.health, self, self.house.hurry, self.house.doubt_redis
        )

    # --- the life of the process

    def start(self) -> int:
        """Run until told to stop; the exit code."""
        self.signals.listen()  # first: told to stop while it starts, it ends in order
        self._open()
        self.running = True
        for name, body in (
            ("beat", self.beat.run),
            ("housekeeping", self.house.run),
            ("fetcher", self.fetcher.run),
            ("courier", self.courier.run),
        ):
            threading.Thread(target=self._guarded, args=(body,), name=name, daemon=True).start()
        self.crew.start(self.desk.run_job, freed=self.fetcher.hear, died=self.died)
        log.info("worker_started", queues=self.crew.queues, slots=len(self.crew.slots), pid=os.getpid())
        notify("READY=1")
        try:
            while not self._is_over():
                self.signals.wait(TICK_SECONDS * (1 + self.crew.is_idle()))
                self._tick()
        finally:
            self._close()
        return self.exit_code

    def stop(self, reason: str = "stop") -> None:
        """Take nothing more, hand every job back, end."""
        if self.stopping is None:
            self.stopping = reason

    def _open(self) -> None:
        structlog.contextvars.bind_contextvars(worker_id=self.worker_id)
        for found, meant in near_misses().items():
            log.warning("setting_unknown", found=found, did_you_mean=meant)
        check_names(self.settings)
        bind_store(self.client.database, self.store.identity())
        bind_host(self.client.database, *this_host())
        repeat(lambda: self.client.get_client().ping())
        self.client.bind()
        self._starts = count_start(self.client.queue, self.worker_id)
        self.house.probe_now()
        repeat(self.beat.beat_once)

    def _tick(self) -> None:
        if self.signals.count and (self.stopping is None or self.stopping in FINISH_FIRST):
            self.stopping = "signal"
        for running in self.crew.running():
            self._hold_to_limits(running)
        if self.stopping is not None:
            self._hand_back()
        elif self.max_jobs and self.started_jobs >= self.max_jobs:
            self.stop("max_jobs")
        elif self.drain and self._has_drained():
            self.stop("drained")
        self._watch_threads()

    def _is_over(self) -> bool:
        # The fetcher first: a grant on its way to a slot would be forgotten until its lease ran out.
        return self.stopping is not None and self.fetcher.ended.is_set() and self.crew.is_idle()

    def _close(self) -> None:
        self.running = False
        if self.stopping in FINISH_FIRST:
            self.courier.finish(TELL_SECONDS)
        self.fetcher.stop()
        self.beat.stop()
        self.house.stop()
        self.courier.stop()
        registry.close_all()
        process.kill_children()
        with suppress(HostTrouble):
            self.house.post_lines()
            self.client.queue.forget_worker(self.uuid)
        log.info("worker_shutdown_complete", reason=self.stopping)
        notify("STOPPING=1")

    # --- stopping

    def _hand_back(self) -> None:
        """Ask every job to stop at its next safe point; force those that do not, near the deadline or when told twice."""
        self.fetcher.stop()
        if not self.hands_back:
            return
        # From now on, not from when it was drained or at --max-jobs: its last jobs may have run for long since.
        self._leave_by = min(self._leave_by, clock() + self.settings.shutdown_seconds)
        self._paid_by = min(self._paid_by, clock() + self.settings.shutdown_paid_seconds)
        for running in self.crew.running():
            running.stop.request("shutdown")
        if not self._forced and (self.signals.count > 1 or self._leave_by - clock() < FORCE_BEFORE_SECONDS):
            self._forced = True
            self._leave_by = min(self._leave_by, clock() + FORCE_BEFORE_SECONDS)
            process.kill_children()
        left = self._leave_by - clock()
        if self._pays() and (paid_left := self._paid_by - clock()) > 0:
            # Its answer is waited for; the other jobs need not.
            if left <= 0:
                self.desk.hand_back("shutdown", spare=lambda one: one.stop.paid_calls > 0)
            left = max(left, paid_left)
        notify(f"EXTEND_TIMEOUT_USEC={int(max(1.0, left + 5) * 1e6)}")
        if left <= 0:
            self._leave_the_rest("shutdown")

    def _pays(self) -> bool:
        return any(one.stop.paid_calls > 0 and not one.settled for one in self.crew.running())

    def _leave_the_rest(
        self, reason: str, *, exit_code: int = EXIT_OK, given_up: tuple[Running, Limit] | None = None
    ) -> None:
        """Jobs whose threads do not stop are handed back from here; then the process goes, threads and all.

        From a thread, for a few seconds: SQL or Redis may hang. What they did not hear, the lease settles.
        """

        def leave() -> None:
            process.kill_children()
            if given_up:
                self.desk.give_up(*given_up)
            self.desk.hand_back(reason)
            self._close()

        leaving = threading.Thread(target=copy_context().run, args=(leave,), name="leaving", daemon=True)
        leaving.start()
        leaving.join(LEAVE_SECONDS)
        if leaving.is_alive():
            log.warning("left_unheard", jobs=[one.grant.job_id for one in self.crew.running()])
            log.info("worker_shutdown_complete", reason=self.stopping)
        _flush()
        os._exit(exit_code or self.exit_code)

    def _hold_to_limits(self, running: Running) -> None:
        for limit in running.stop.limits():
            if not limit.passed_hard():
                continue
            if not limit.children_killed:
                limit.children_killed = True
                log.warning("hard_limit_passed", job_id=running.grant.job_id, seconds=limit.hard_seconds)
            # The limit of a stage, or of an item of it, ends its own children only, the job's all; again each tick, for one that was just starting.
            for one in [limit] if limit.stage else running.stop.limits():
                process.kill_tag(f"{running.grant.job_id}/{one.tag}", "time_limit")
            if clock() > limit.hard + IGNORED_SECONDS and not running.settled:
                log.error("limits_ignored", job_id=running.grant.job_id, stage=limit.stage)
                self.stopping = self.stopping or "limits_ignored"
                self._leave_the_rest("a stage ignored its limits", exit_code=EXIT_SOFTWARE, given_up=(running, limit))

    # --- what the threads ask

    def may_claim(self) -> bool:
        """Whether this worker takes jobs now."""
        return self.stopping is None and self.health.trouble is None

    def reserve(self) -> bool:
        """Ask for the right to claim one job; answered by `claimed`. No when it takes none, or --max-jobs is reached."""
        with self._state_lock:
            if not self.may_claim() or (self.max_jobs and self.started_jobs + self._reserved >= self.max_jobs):
                return False
            self._reserved += 1
            return True

    def claimed(self, *, granted: bool) -> None:
        """What the claim of a reserved right came to."""
        with self._state_lock:
            self._reserved -= 1
            self.started_jobs += granted

    @property
    def hands_back(self) -> bool:
        """Whether it is stopping and its jobs must leave; drained or at --max-jobs it finishes what it has."""
        return self.stopping is not None and (self.stopping not in FINISH_FIRST or self.signals.count > 0)

    def slot_of(self, running: Running) -> Slot | None:
        """The slot a job runs in; None when it has left."""
        return next((state.slot for state in self.crew.slots if state.running is running), None)

    def died(self, error: BaseException) -> None:
        """A thread of ours died: nothing it kept can be trusted to go on."""
        log.error("thread_died", exc_info=error)
        self.exit_code = EXIT_SOFTWARE
        self.stop("thread_died")

    def _guarded(self, body: Any) -> None:
        structlog.contextvars.bind_contextvars(worker_id=self.worker_id)
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - the top of a thread
            self.died(error)

    def _watch_threads(self) -> None:
        """The manager's watchdog is fed only while our threads move; Redis or SQL away is no reason to be killed."""
        patience = 2 * self.settings.lease_seconds
        if clock() - min(self.beat.ticked, self.fetcher.ticked or clock()) < patience:
            notify("WATCHDOG=1")

    def _has_drained(self) -> bool:
        if clock() - self._drain_looked_at < DRAIN_LOOK_SECONDS or not self.crew.is_idle() or self.health.trouble:
            return False
        self._drain_looked_at = clock()
        with suppress(HostTrouble):
            database, queues = self.client.database, self.crew.queues
            if open_in_queues(database, queues, within_seconds=DRAIN_WITHIN_SECONDS):
                return False
            elsewhere = open_elsewhere(database, queues)
            return all(self.client.queue.lease_alive(job_id) for job_id in elsewhere) and self.crew.is_idle()
        return False

    # --- health

    def get_health_status(self) -> dict[str, Any]:
        """What this worker is and does, and whether it can reach what it needs, looked at now."""
        if not self.running:
            self.house.probe_now()
        current = [one.grant.job_id for one in self.crew.running()]
        healthy = self.health.redis_healthy and self.health.database_healthy and self.health.trouble is None
        return {
            "worker_id": self.worker_id,
            "running": self.running,
            "current_job": current[0] if current else None,
            "current_jobs": current,
            "redis_healthy": self.health.redis_healthy,
            "database_healthy": self.health.database_healthy,
            "healthy": healthy,
            "trouble": self.health.trouble,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    def record(self) -> dict[str, Any]:
        """What Redis keeps of this worker."""
        return {
            "worker_id": self.worker_id,
            "uuid": self.uuid,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "queues": list(self.crew.queues),
            "slots": len(self.crew.slots),
            "jobs": [one.grant.job_id for one in self.crew.running()],
            "started_jobs": self.started_jobs,
            "trouble": self.health.trouble,
            "stopping": self.stopping,
            "starts": self._starts,
            "memory_mb": round(process.memory_mb(os.getpid())),
            "gates": passed_gates(),
            "counters": snapshot(),
            "beat_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; the exit code."""
    try:
        configure_logging()  # a wrong setting is told before the arguments that depend on it
        arguments = parse_arguments(argv)
        code = Worker(
            arguments.worker_id,
            queues=arguments.queues,
            concurrency=arguments.concurrency,
            drain=arguments.drain,
            max_jobs=arguments.max_jobs,
        ).start()
    except Permanent as error:
        print(f"worker.py: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except HostTrouble as error:
        log.error("worker_cannot_start", error=str(error))  # noqa: TRY400 - a sentence, not a traceback
        return EXIT_TEMPORARY
    _flush()
    return code


if __name__ == "__main__":
    exit_code = main()
    _flush()
    # Daemon threads may sit in a C call; nothing is left for the interpreter's slow goodbye.
    os._exit(exit_code)
