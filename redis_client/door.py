"""The door: a job is checked here, whole, before anything is stored or paid."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import orjson

from artifacts import Artifact, open_store
from database.engine import Database
from database.jobs import NewJob
from database.meta import bind_store
from errors import InvalidInput
from pipeline.catalog.base import (
    Pipeline,
    check_partly,
    declared_queues,
    find_pipeline,
    plan_first,
    validate_payload,
)
from pipeline.catalog.complaints import nearest
from pipeline.catalog.files import take_files
from redis_client.queue import priority_name
from redis_client.webhooks import as_receiver
from settings import ID_PATTERN, NAME_PATTERN

LONGEST_DELAY_SECONDS = 366 * 24 * 3600
LONGEST_CHAIN = 20
RESERVED = frozenset({"id"})
FOLLOWING = frozenset(
    {"id", "pipeline", "payload", "take", "queue", "priority", "delay", "groups", "reuse", "then", "webhook"}
)
_ID = re.compile(ID_PATTERN)
_NAME = re.compile(NAME_PATTERN)
_PATH = re.compile(r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")


class EnqueueOptions(TypedDict, total=False):
    """How a job is run, beside what it works on.

    `pipeline` (product_video), `queue` (the pipeline's own), `priority` (normal), `delay` in seconds (0), `tenant`
    (default), `reuse` of equal stages (True), `groups` whose limits it heeds, and `then`: the job that follows it,
    as {"pipeline", "payload", "take": {field: "path.in.the.result"}, and any of the others}; `webhook`, who is told of
    it: {"url", "events"}.
    """

    pipeline: str
    queue: str | None
    priority: str | int
    delay: float
    tenant: str
    reuse: bool
    groups: Sequence[str]
    then: dict[str, Any] | None
    webhook: dict[str, Any] | None


def prepare(
    database: Database,
    job_id: str,
    job_data: dict[str, Any],
    options: EnqueueOptions,
    *,
    roots: Sequence[Path] | None = None,
) -> NewJob:
    """Check a job; nothing is stored but the files it names (from `roots`, else INPUT_ROOTS)."""
    tenant = options.get("tenant", "default")
    for name, value in (("id", job_id), ("tenant", tenant)):
        check_id(name, value)
    if job_data.get("id", job_id) != job_id:
        raise InvalidInput(f"id={job_data['id']!r} in the payload is not the job's id {job_id!r}")
    chosen, queue = _pipeline(options.get("pipeline", "product_video")), _queue(options.get("queue"))
    data = {name: value for name, value in job_data.items() if name not in RESERVED}
    data, artifacts = _take(database, chosen, data, roots)
    payload = validate_payload(chosen, data)
    if chosen.check:
        chosen.check(payload)
    plain = payload.model_dump(mode="json")
    stage, home = plan_first(chosen, payload, queue)
    then, more = _following(database, options.get("then"), roots)
    kept: dict[str, Any] = {} if options.get("reuse", True) else {"reuse": False}
    if queue is not None:
        kept["queue"] = queue
    return NewJob(
        id=job_id,
        pipeline=chosen.name,
        queue=home,
        payload=plain,
        payload_digest=payload_digest(chosen.name, plain),
        tenant=tenant,
        priority=priority_name(options.get("priority", "normal")),
        delay_seconds=_delay("delay", options.get("delay", 0)),
        stage=stage,
        options=kept,
        artifacts=(*artifacts, *more),
        groups=_groups(chosen, options.get("groups", ())),
        then=then,
        webhook=None if options.get("webhook") is None else as_receiver("webhook", options["webhook"]),
    )


def payload_digest(pipeline: str, payload: dict[str, Any]) -> str:
    """What makes two jobs of one id the same job."""
    return hashlib.sha256(orjson.dumps([pipeline, payload], option=orjson.OPT_SORT_KEYS)).hexdigest()


def check_id(name: str, value: object) -> None:
    """Refuse what is no id."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidInput(
            f"{name}={value!r}: use 1 to 128 letters, digits and . _ : @ -, beginning with a letter or digit"
        )


def check_group(group: str) -> None:
    """Refuse what is no group: a name of its own, or queue:NAME, pipeline:NAME, tenant:NAME."""
    kind, colon, name = group.partition(":")
    if colon and kind == "tenant":
        check_id("tenant", name)
    elif colon and kind == "pipeline":
        find_pipeline(name)
    elif colon and kind == "queue":
        _queue(name)
    elif not _NAME.fullmatch(group):
        raise InvalidInput(
            f"group={group!r}: use queue:NAME, pipeline:NAME, tenant:NAME, or a name of a-z, 0-9, _ and - of its own"
        )


def _pipeline(name: object) -> Pipeline:
    if not isinstance(name, str):
        raise InvalidInput(f"pipeline={name!r}: use a name")
    return find_pipeline(name)


def _queue(queue: object) -> str | None:
    if queue is None:
        return None
    if not isinstance(queue, str) or queue not in declared_queues():
        raise InvalidInput(f"queue={queue!r} is unknown{nearest(str(queue), declared_queues())}")
    return queue


def _delay(name: str, seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_DELAY_SECONDS:
        raise InvalidInput(f"{name}={seconds!r}: use seconds from 0 to a year")
    return float(seconds)


def _groups(pipeline: Pipeline, named: object) -> tuple[str, ...]:
    if isinstance(named, str) or not isinstance(named, Sequence):
        raise InvalidInput(f"groups={named!r}: use a list of names")
    for group in named:
        if not isinstance(group, str) or not _NAME.fullmatch(group):
            raise InvalidInput(f"group={group!r}: use a name of a-z, 0-9, _ and -")
    return tuple(dict.fromkeys((*pipeline.groups, *named)))


def _take(
    database: Database, pipeline: Pipeline, data: dict[str, Any], roots: Sequence[Path] | None
) -> tuple[dict[str, Any], list[Artifact]]:
    """The payload with its files in the store, and those files."""
    data, artifacts = take_files(pipeline, data, roots=roots)
    if artifacts:
        bind_store(database, open_store().identity())
    return data, artifacts


def _following(
    database: Database, then: object, roots: Sequence[Path] | None, *, depth: int = 1
) -> tuple[dict[str, Any] | None, list[Artifact]]:
    """The job that follows, checked as far as it can be before the result it takes from is there."""
    if then is None:
        return None, []
    if depth > LONGEST_CHAIN:
        raise InvalidInput(f"then: a chain has at most {LONGEST_CHAIN} jobs after the first")
    if not isinstance(then, dict) or not isinstance(then.get("payload", {}), dict):
        raise InvalidInput(f"then={then!r}: use an object with pipeline and payload")
    for name in then:
        if name not in FOLLOWING:
            raise InvalidInput(f"then: {name!r} is not one of its fields{nearest(str(name), FOLLOWING)}")
    if "id" in then:
        check_id("then.id", then["id"])
    pipeline, take = _pipeline(then.get("pipeline", "product_video")), then.get("take", {})
    for field, path in take.items() if isinstance(take, dict) else [("take", None)]:
        if field not in pipeline.payload.model_fields:
            raise InvalidInput(f"then.take: {field!r} is not a field of {pipeline.name}")
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            raise InvalidInput(f"then.take.{field}={path!r}: write a path into the result, such as video or items.0")
    payload, artifacts = _take(database, pipeline, then.get("payload", {}), roots)
    check_partly(pipeline, payload, take)
    nested, more = _following(database, then.get("then"), roots, depth=depth + 1)
    whole = {
        **then,
        "pipeline": pipeline.name,
        "payload": payload,
        "queue": _queue(then.get("queue")),
        "delay": _delay("then.delay", then.get("delay", 0)),
        "priority": priority_name(then.get("priority", "normal")),
        "groups": list(_groups(pipeline, then.get("groups", ()))),
        "then": nested,
    }
    if then.get("webhook") is not None:
        as_receiver("then.webhook", then["webhook"])
    return whole, [*artifacts, *more]
