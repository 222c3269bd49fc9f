"""Drives the steps of one job under one claim: what may start, side by side, and what it came to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

import structlog

from artifacts import LocalStore
from database.fenced import FencedWrites
from database.records import Checkpoint, Holder, JobRecord
from errors import AwaitChildren, DatabaseUnavailable, Fenced, HostTrouble, Interrupted, InvalidInput, Permanent
from pipeline.abreast import begin, work_off
from pipeline.catalog.base import Policy, Step, find_pipeline, validate_payload
from pipeline.checkpoints import Known, load_known
from pipeline.choice import choose_providers, provider_of
from pipeline.family import Family
from pipeline.faults import again_or_dead, failed, failure_of, judge, plain
from pipeline.gates import Gates
from pipeline.outcome import Dead, Done, HandBack, HandOver, Lost, Outcome, Wait, gravest
from pipeline.progress import ProgressMeter, Publish
from pipeline.run import Run
from pipeline.stage import Stage, find_stage, plan_steps, queue_of
from pipeline.stop import StopSignal
from pipeline.trial import at_once, limits_of, work
from settings import get_settings

NO_SUCH_VERSION_SECONDS = 30.0
COMMIT_PAUSE_SECONDS = 0.5
log = structlog.get_logger()


class Runner:
    """Runs the stages of jobs; holds nothing of a job between two runs."""

    def __init__(self, writes: FencedWrites, store: LocalStore) -> None:
        self.writes = writes
        self.store = store

    def run(
        self,
        job: JobRecord,
        holder: Holder,
        *,
        stop: StopSignal,
        publish: Publish,
        family: Family,
        queue: str | None = None,
    ) -> Outcome:
        """Run what is missing of this job under this claim; what it came to."""
        try:
            run = self._prepare(job, holder, stop, publish, queue, family)
        except Permanent as error:
            return Dead(failure_of("", "", 1, error))
        except Fenced:
            return Lost()
        except HostTrouble as error:
            return HandBack(plain(str(error)), error.retry_after, host_trouble=True)
        except Exception as error:  # noqa: BLE001 - a job that cannot even be prepared must not end its worker
            return again_or_dead(Policy(), failure_of("", "", job.attempt + 1, error), error)
        if run is None:
            reason = f"no worker of this version knows the pipeline {job.pipeline!r}"
            return HandBack(reason, NO_SUCH_VERSION_SECONDS)
        return _Steps(run).drive()

    def _prepare(
        self,
        job: JobRecord,
        holder: Holder,
        stop: StopSignal,
        publish: Publish,
        queue: str | None,
        family: Family,
    ) -> Run | None:
        try:
            pipeline = find_pipeline(job.pipeline)
            payload = validate_payload(pipeline, job.payload)
            steps = plan_steps(pipeline, payload)
            for step in steps:
                find_stage(step.stage)
        except InvalidInput:
            # Stored by a newer program: a pipeline, field or stage that this one does not know.
            log.warning("job_not_understood", exc_info=True)
            return None
        known = load_known(self.writes.database, self.store, job, steps) if job.begins > 1 else Known()
        meter = ProgressMeter(steps, publish, start=job.progress)
        for step in steps:
            if known.is_done(step):
                meter.done(step.name)
        settings = get_settings()
        policy = pipeline.policy
        stop.limit_job(
            policy.soft_seconds or settings.task_soft_time_limit, policy.hard_seconds or settings.task_time_limit
        )
        run = Run(
            job,
            holder,
            stop,
            self.writes,
            self.store,
            settings,
            queue,
            pipeline,
            payload,
            steps,
            known,
            meter,
            family,
            Gates(family.client.queue, stop, settings.lease_seconds),
        )
        run.providers = choose_providers(run)
        return run


class _Steps:
    """Drives the steps of one run: what may start, side by side; and what it came to."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.ended: SimpleQueue[tuple[Step, Outcome | None]] = SimpleQueue()
        self.running: set[str] = set()
        self.waiting: set[str] = set()  # for children
        self.outcomes: list[Outcome] = []
        self.last: Checkpoint | None = None
        self.lock = threading.Lock()

    def drive(self) -> Outcome:
        """Start every step whose needs are met, until nothing more can be done under this claim."""
        self._note_done()
        while True:
            ready = [] if self.outcomes else self._ready()
            here = [step for step in ready if self._is_here(step)]
            if len(here) == 1 and not self.running:
                self._settle(here[0], self._step(here[0]))
                continue
            for step in here:
                self._start(step)
            if not self.running:
                return self._outcome(ready)
            step, outcome = self.ended.get()
            self.running.discard(step.name)
            self._settle(step, outcome)

    def _note_done(self) -> None:
        """Steps with items whose items were all done before: without this a hand-over would lead back to them."""
        known = self.run.known
        done = {step.name for step in self.run.steps if known.is_done(step)}
        for step in self.run.steps:
            if step.name in done or step.name not in known.results or not done.issuperset(step.needs):
                continue
            with suppress(Exception):  # a step whose items cannot be listed fails when it is run
                if all(known.has(step.name, item) for item, _ in self._items(step, find_stage(step.stage))):
                    known.finish(step)
                    done.add(step.name)
                    self.run.meter.done(step.name)

    def _outcome(self, ready: Sequence[Step]) -> Outcome:
        if self.outcomes:
            return gravest(self.outcomes)
        if ready:
            return HandOver(queue_of(ready[0], self._home()))
        if self.waiting:
            return Wait()
        final = self.run.steps[-1]
        return Done(self.run.known.plain(final), self.last, self._fault)

    def _fault(self, error: Exception) -> Outcome:
        """The last stage's commit is the job's: what its result or its own commit break there is that stage's fault."""
        final = self.run.steps[-1]
        name, item = (self.last.stage, self.last.item) if self.last else (final.name, "")
        step = next(one for one in self.run.steps if one.name == name)
        return failed(self.run, step.name, item, self.run.known.attempts(name, item), error)

    def _home(self) -> str:
        return self.run.pipeline.default_queue() if self.run.queue is None else self._home_queue()

    def _home_queue(self) -> str:
        named = self.run.job.options.get("queue")
        return str(named) if named else self.run.pipeline.default_queue()

    def _is_here(self, step: Step) -> bool:
        return self.run.queue is None or queue_of(step, self._home()) == self.run.queue

    def _ready(self) -> list[Step]:
        known = self.run.known
        done = {step.name for step in self.run.steps if known.is_done(step)}
        return [
            step
            for step in self.run.steps
            if step.name not in done | self.running | self.waiting and done.issuperset(step.needs)
        ]

    def _start(self, step: Step) -> None:
        self.running.add(step.name)
        begin(f"branch-{step.name}", lambda: self._step(step), lambda outcome: self.ended.put((step, outcome)))

    def _settle(self, step: Step, outcome: Outcome | None) -> None:
        if outcome is None:
            self.run.known.finish(step)
        elif isinstance(outcome, Wait):
            self.waiting.add(step.name)  # the other branches need not
        else:
            self.outcomes.append(outcome)

    def _step(self, step: Step) -> Outcome | None:
        """Run one step, item by item, or several at once; None when it is done."""
        stage, run = find_stage(step.stage), self.run
        with structlog.contextvars.bound_contextvars(stage=step.name):
            try:
                run.meter.start(step.name)
                run.chosen[step.name] = provider_of(run, step, stage)
                items = self._items(step, stage)
                run.meter.split(step.name, {item: run.known.has(step.name, item) for item, _ in items})
                # Another branch may end the run: what is done is kept, nothing new begins.
                outcome = work_off(
                    [one for one in items if not run.known.has(step.name, one[0])],
                    at_once(run, step, stage),
                    lambda one: self._try_item(step, stage, items, *one),
                    lambda: bool(self.outcomes),
                )
                if outcome is None and not self.outcomes:
                    run.meter.finish(step.name, tell=self.last is None)
            except Exception as error:  # noqa: BLE001 - a fault between two items is the stage's too
                attempt = run.known.attempts(step.name, "")
                return judge(run, step.name, "", attempt, limits_of(run, stage)[0], error)
            return outcome

    def _items(self, step: Step, stage: Stage) -> list[tuple[str, Any]]:
        """(key, element) of each item; one with the key "" for a stage without items."""
        if stage.each is None:
            return [("", None)]
        sources = [self.run.known.result(name) for name in step.needs] + [self.run.payload]
        for source in sources:
            found = getattr(source, stage.each, None)
            if found is not None:
                if isinstance(found, int):
                    return [(str(number), number) for number in range(found)] or [("", None)]
                return [(str(number), element) for number, element in enumerate(found)]
        raise Permanent(f"stage {step.name} works on {stage.each!r}, which neither its needs nor the payload have")

    def _try_item(
        self, step: Step, stage: Stage, items: Sequence[tuple[str, Any]], item: str, value: Any
    ) -> Outcome | None:
        """One try of one stage or item; None when its checkpoint is committed (or kept for the terminal commit)."""
        attempt = self.run.known.attempts(step.name, item)
        try:
            made, result = work(self.run, step, stage, item, value, attempt)
            self._commit(step, made, result, [one for one, _ in items if one != item])
            if len(items) > 1 and made is not self.last:
                self.run.meter.report(step.name, 1.0, item=item)
        except (Exception, Interrupted, AwaitChildren, Fenced) as error:  # noqa: BLE001 - where a stage's fault becomes a value
            return judge(self.run, step.name, item, attempt, limits_of(self.run, stage)[0], error)
        return None

    def _commit(self, step: Step, made: Checkpoint, result: Any, others: Sequence[str]) -> None:
        """Commit a checkpoint; the very last one waits for the terminal commit. `others`: the step's other items."""
        known = self.run.known
        with self.lock:
            if (
                not self.outcomes
                and all(known.has(step.name, item) for item in others)
                and all(known.is_done(one) for one in self.run.steps if one.name != step.name)
            ):
                self.last = made
                known.put(step.name, made.item, result)
                return
        patiently(lambda: self.run.writes.checkpoint(self.run.holder, self.run.job, made), self.run.stop)
        with self.lock:
            # Only now: a branch that ends at the same moment must not take this one for committed.
            known.put(step.name, made.item, result)
        log.info("stage_completed", item=made.item, seconds=round(made.seconds, 3))


def patiently(commit: Callable[[], None], stop: StopSignal) -> None:
    """Commit; while the database is away, try again as long as the lease lives and nobody stops us.

    What is to be committed is finished work: throwing it away for a short outage would do it, and pay it, twice.
    """
    while True:
        try:
            return commit()
        except DatabaseUnavailable as error:
            if not stop.lease_alive() or stop.reason is not None:
                raise
            log.warning("commit_deferred", error=str(error))
            time.sleep(COMMIT_PAUSE_SECONDS)
