"""The thread that keeps house for the whole fleet: sweeps, reconciles, adopts, probes and reports health."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

import structlog

from artifacts import LocalStore
from daemon.collector import Collector
from daemon.crew import Running
from database.fenced import FencedWrites
from database.meta import bind_host, canary, raise_canary
from database.open_jobs import open_job
from database.records import Holder
from errors import DatabaseUnavailable, HostTrouble, QueueUnavailable
from log import redact, take_lines
from pipeline.calls import cancel_calls
from pipeline.stop import clock
from redis_client.answers import Slot
from redis_client.client import RedisClient
from redis_client.connection import queue_errors
from redis_client.fleet import post_lines
from redis_client.inbox import adopt_inbox
from redis_client.outbox import deliver_letters
from redis_client.reconcile import reconcile, start_of
from settings import Settings, this_host

RECONCILE_SECONDS = 30.0
log = structlog.get_logger()


@dataclass
class Health:
    """What the last look at the outside found; `trouble` is why no job is claimed, or None."""

    redis_healthy: bool = False
    database_healthy: bool = False
    trouble: str | None = None
    trouble_until: float = 0.0

    def report(self, reason: str, seconds: float) -> None:
        """A job met trouble of the host: claim nothing for a while, then probe."""
        reason = redact(reason)  # it stands in the worker's record, for all to read
        if self.trouble is None:
            log.warning("host_trouble", reason=reason)
        self.trouble = reason
        self.trouble_until = max(self.trouble_until, clock() + seconds)


@dataclass
class Housekeeping:
    """One round every SWEEP_SECONDS, with jitter so that a fleet does not sweep in step."""

    client: RedisClient
    writes: FencedWrites
    store: LocalStore
    settings: Settings
    health: Health
    label: str
    slot_of: Callable[[Running], Slot | None]
    collector: Collector
    lost: SimpleQueue[Running] = field(default_factory=SimpleQueue)
    ticked: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)
    _is_whole: bool = True  # whether Redis holds all that SQL says, as far as we know
    _run_id: str = ""
    _healed: str = ""  # who had healed Redis last when we began to doubt
    _reconciled_at: float = float("-inf")
    _health_at: float = float("-inf")

    def run(self) -> None:
        """The thread's loop."""
        dice = random.Random(self.label)
        while not self._stop.is_set():
            self.ticked = clock()
            self.round()
            pause = self.settings.sweep_seconds * dice.uniform(0.7, 1.0)
            if self.health.trouble is not None:
                pause = min(1.0, pause, max(0.05, self.health.trouble_until - clock()))
            self._wake.wait(pause)
            self._wake.clear()

    def stop(self) -> None:
        """End the loop."""
        self._stop.set()
        self._wake.set()

    def hurry(self) -> None:
        """Do the next round now."""
        self._wake.set()

    def doubt_redis(self) -> None:
        """Something does not fit: look at once whether Redis was rewound."""
        self._is_whole = False
        self.hurry()

    def take_lost(self, running: Running) -> None:
        """A beat found a job's lease gone: SQL must say whose it is."""
        self.lost.put(running)
        self.hurry()

    def round(self) -> None:
        """One round; trouble of Redis or SQL ends it early and is reported."""
        self._probe()
        steps = (
            self._ask_for_lost,
            self._look_at_canary,
            self._sweep,
            self._adopt,
            self._deliver,
            self._reconcile,
            self.collector.collect,
            self.post_lines,
        )
        for step in steps:
            if self._stop.is_set():
                return
            try:
                step()
            except HostTrouble as error:
                log.warning("housekeeping_failed", step=step.__name__.strip("_"), error=str(error))
        if clock() - self._health_at >= self.settings.health_seconds:
            self._health_at = clock()
            self._say_where()
            log.info(
                "health_check",
                redis_healthy=self.health.redis_healthy,
                database_healthy=self.health.database_healthy,
                trouble=self.health.trouble,
            )

    def probe_now(self) -> None:
        """Look at Redis, the database and the disk."""
        self._probe()

    def _probe(self) -> None:
        health = self.health
        if clock() - self._health_at < self.settings.health_seconds and health.trouble is None and self._looked():
            return
        health.redis_healthy = self._redis_answers()
        health.database_healthy = self.client.database.ping()
        trouble = None
        if not health.redis_healthy:
            trouble = "Redis does not answer"
        elif not health.database_healthy:
            trouble = "the database does not answer"
        else:
            trouble = self._disk_trouble()
        if trouble is not None:
            health.report(trouble, 1.0)
        elif health.trouble is not None and clock() >= health.trouble_until:
            log.info("host_recovered", reason=health.trouble)
            health.trouble = None

    def _looked(self) -> bool:
        trouble = self._disk_trouble()  # cheap, and a full disk must stop claims before it stops a job
        if trouble is not None:
            self.health.report(trouble, 1.0)
        return trouble is None and self.health.redis_healthy and self.health.database_healthy

    def _disk_trouble(self) -> str | None:
        try:
            free = self.store.free_mb()
        except OSError as error:
            return f"the artifact store cannot be read: {error.strerror}"
        if free < self.settings.min_free_mb:
            return f"{free:.0f} MB free on the artifact store's disk, MIN_FREE_MB is {self.settings.min_free_mb}"
        return None

    def _redis_answers(self) -> bool:
        try:
            with queue_errors():
                self.client.connections.revive()
                return bool(self.client.get_client().ping())
        except HostTrouble:
            return False

    def _ask_for_lost(self) -> None:
        """SELECT fence: mine -> put it back in Redis and go on; not mine -> the job must stop and write nothing."""
        while True:
            try:
                running = self.lost.get_nowait()
            except Empty:
                return
            slot = self.slot_of(running)
            if slot is None or running.settled or running.record is None:
                continue  # not begun: SQL does not know it as ours yet, and the begin will say
            grant = running.grant
            try:
                self._keep_or_fence(running, slot)
            except (QueueUnavailable, DatabaseUnavailable):
                self.lost.put(running)
                raise
            log.warning("lease_lost", job_id=grant.job_id, kept=not running.stop.fenced)

    def _keep_or_fence(self, running: Running, slot: Slot) -> None:
        grant = running.grant
        mine = self.writes.still_mine(Holder(grant.job_id, grant.token, slot.label))
        job = open_job(self.client.database, grant.job_id) if mine else None
        if job is None or running.settled:
            if not running.settled:
                running.stop.fence()
            return
        if not self.client.queue.adopt(job, token=grant.token, lease_seconds=slot.lease_seconds, slot=slot):
            running.stop.fence()

    def _say_where(self) -> None:
        """Say that this host still uses a database that serves one host only."""
        try:
            bind_host(self.client.database, *this_host())
        except HostTrouble as error:
            log.error("another_host", error=str(error))  # noqa: TRY400 - a sentence, not a traceback

    def _sweep(self) -> None:
        counts = self.client.queue.sweep(
            lease_seconds=self.settings.lease_seconds, sweep_seconds=self.settings.sweep_seconds
        )
        if counts["expired"] or counts["bad"]:
            log.warning("swept", **counts)

    def _look_at_canary(self) -> None:
        """Has Redis forgotten something? Then everything open is compared with SQL, at once, until that is done."""
        queue, number = self.client.queue, canary(self.client.database)
        run_id = queue.run_id()
        is_whole, healed = queue.look_at_canary(number)
        # Started anew, or another one took over: its last second may be missing. A worker that is new itself goes by the
        # start under which Redis was put right last.
        if not is_whole or run_id != (self._run_id or start_of(healed)):
            self._is_whole, self._run_id = False, run_id
        if is_whole and not self._is_whole and self._healed not in {"", healed}:
            self._is_whole = True  # somebody else has compared everything since we began to doubt
        elif not self._is_whole:
            self._healed = healed
            self._is_whole = self._compare(untouched_seconds=0.0)
        if self._is_whole:
            self._run_id, self._healed = run_id, ""
            if is_whole:
                raise_canary(self.client.database, number)

    def _adopt(self) -> None:
        adopt_inbox(self.client, lease_seconds=self.settings.lease_seconds)

    def _deliver(self) -> None:
        others = {"cancel_calls": partial(cancel_calls, self.client.database)}
        while deliver_letters(self.client, others=others) and not self._stop.is_set():
            pass

    def post_lines(self) -> None:
        """What the log said lately, for people who cannot reach this host."""
        post_lines(self.client.queue, self.label, take_lines())

    def _reconcile(self) -> None:
        if clock() - self._reconciled_at >= RECONCILE_SECONDS:
            self._reconciled_at = clock()
            self._compare(untouched_seconds=60.0)

    def _compare(self, untouched_seconds: float) -> bool:
        """Whether every row was compared; somebody else may be at it."""
        done = reconcile(
            self.client.queue,
            self.client.database,
            lease_seconds=self.settings.lease_seconds,
            untouched_seconds=untouched_seconds,
            owner=self.label,
            stopping=self._stop.is_set,
        )
        return done is not None
