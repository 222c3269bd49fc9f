"""One try of one stage, or of one item of it: reuse, or run under its limits; a checkpoint ready to be committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import structlog
from sqlalchemy import Connection

import process
from artifacts import artifacts_in
from database.charges import stage_cost
from database.records import Checkpoint
from errors import HostTrouble
from pipeline.catalog.base import Step
from pipeline.charges import StageLedger
from pipeline.checkpoints import cache_key, reuse
from pipeline.choice import helper_of, next_provider
from pipeline.context import Context, Reads, tidy
from pipeline.providers import registry
from pipeline.run import Run
from pipeline.stage import Stage
from pipeline.stop import clock

log = structlog.get_logger()


def work(run: Run, step: Step, stage: Stage, item: str, value: Any, attempt: int) -> tuple[Checkpoint, Any]:
    """The checkpoint of this try and its result."""
    started = clock()
    provider = run.chosen.get(step.name)
    version = _version(stage, provider)
    key = cache_key(run.job, run.payload, stage, version, provider, value, run.known, step) if stage.cache else None
    if key and (found := reuse(run.writes.database, run.store, run.job.tenant, key, stage)):
        result, source, provider = found
        log.info("stage_reused", item=item, reused_from=source)
        return _checkpoint(run, step, stage, item, result, version, provider, key, source, started), result
    log.info("stage_started", item=item, attempt=attempt)
    soft, hard = limits_of(run, stage)
    ledger = StageLedger(
        run.writes.database,
        run.store,
        run.settings,
        run.holder,
        run.job,
        step.name,
        item,
        run.stop,
        run.gates,
        may_switch=next_provider(run, stage, provider) is not None,
    )
    context = _context(run, step, stage, item, attempt, ledger)
    if not run.stop.lease_alive():
        raise HostTrouble("the lease ran out, and Redis has not renewed it")  # nothing new is begun on it
    arguments = (context,) if item == "" else (context, value)
    limits = run.stop.stage(step.name, item, soft_seconds=soft, hard_seconds=hard)
    with limits as limit, tidy(context), children_of(f"{run.job.id}/{limit.tag}"):
        run.stop.check()
        result = stage.result.validate_python(stage.function(*arguments))
        if run.stop.reason != "shutdown":  # finished work is kept: its commit is shorter than doing it again
            run.stop.check()
    real = getattr(result, "provider", None) or provider
    made = _checkpoint(run, step, stage, item, result, version, real, key, None, started)
    return replace(made, cost_usd=_cost(ledger)), result


def _context(run: Run, step: Step, stage: Stage, item: str, attempt: int, ledger: StageLedger) -> Context:
    def find_provider(capability: str) -> Any:
        if capability == stage.capability:
            return registry.get(cast("Any", capability), str(run.chosen.get(step.name)))
        return registry.get(cast("Any", capability), helper_of(run, capability))

    return Context(
        job_id=run.job.id,
        tenant=run.job.tenant,
        pipeline=run.pipeline.name,
        stage=step.name,
        item=item,
        attempt=attempt,
        payload=Reads(run.payload, stage.reads),
        options=step.options,
        results={name: run.known.result(name) for name in step.needs},
        stop=run.stop,
        store=run.store,
        database=run.writes.database,
        settings=run.settings,
        report=lambda share, message: run.meter.report(step.name, share, message, item=item),
        family=run.family.of_stage(step.name, item),
        ledger=ledger,
        find_provider=find_provider,
    )


def _version(stage: Stage, provider: str | None) -> str:
    """The stage's version; where a result may be reused, also that of the provider that makes it."""
    if not (stage.cache and stage.capability and provider):
        return stage.version
    return f"{stage.version}/{registry.get(cast('Any', stage.capability), provider).version}"


def at_once(run: Run, step: Step, stage: Stage) -> int:
    """How many items of a stage run side by side."""
    if stage.at_once is None:
        return 1
    name = run.chosen.get(step.name)
    provider = registry.get(cast("Any", stage.capability), name) if name else None
    return max(1, stage.at_once(run.payload, provider, run.settings))


def limits_of(run: Run, stage: Stage) -> tuple[float, float]:
    """The soft and hard time limits of a stage of this job, in seconds."""
    settings = run.settings
    soft = float(getattr(run.payload, "stage_seconds", 0) or stage.soft_seconds or settings.task_soft_time_limit)
    hard = stage.hard_seconds or settings.task_time_limit
    return min(soft, hard), hard


def _cost(ledger: StageLedger) -> float:
    """What this stage, or item, has cost, in this try or an earlier one; nothing is asked where nothing was paid."""
    if not ledger.used:
        return 0.0
    return stage_cost(ledger.database, ledger.job.id, ledger.stage, ledger.item)


def _checkpoint(
    run: Run,
    step: Step,
    stage: Stage,
    item: str,
    result: Any,
    version: str,
    provider: str | None,
    key: str | None,
    source: str | None,
    started: float,
) -> Checkpoint:
    return Checkpoint(
        stage=step.name,
        item=item,
        result=stage.result.dump_python(result, mode="json"),
        version=version,
        provider=provider,
        cache_key=key,
        reused_from=source,
        progress=run.meter.after(step.name, item),
        seconds=clock() - started,
        artifacts=artifacts_in(result),
        commit=_bound(stage, result),
    )


@contextmanager
def children_of(tag: str) -> Iterator[None]:
    """Mark the child processes started here as this job's, so that its hard limit kills them and no others."""
    token = process.current_tag.set(tag)
    try:
        yield
    finally:
        process.current_tag.reset(token)


def _bound(stage: Stage, result: Any) -> Callable[[Connection], None] | None:
    commit = stage.commit
    return (lambda connection: commit(connection, result)) if commit else None
