"""Records as people read them: tables and sentences; programs get the same facts as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args, get_origin

import orjson
from pydantic_core import PydanticUndefined
from rich.console import Console, Group, RenderableType
from rich.text import Text

from artifacts import Artifact, find_artifacts, open_store
from cli.door import plain, table
from cli.payload import element, members
from database.controls import Controls
from pipeline.catalog.base import Pipeline
from states import JobStatus

# For admins and --debug only.
PRIVATE = ("error_detail", "log_tail")
RESULT_LINES = 60


def moment(epoch_ms: int | None) -> str | None:
    """A time as people read it, UTC."""
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def stage_seconds(stage: dict[str, Any]) -> float | None:
    """How long a stage, or item, took; None when it was reused or never ended."""
    if stage["started_ms"] is None or stage["finished_ms"] is None or stage["reused_from"]:
        return None
    return round(float(stage["finished_ms"] - stage["started_ms"]) / 1000, 2)


def artifact_records(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a job: of which stage, what they are, and where they really lie."""
    store, seen, records = open_store(), set(), []
    sources = [("payload", "", job["payload"])]
    sources += [(stage["stage"], stage["item"], stage["result"]) for stage in job["stages"]]
    for stage, item, value in [*sources, ("result", "", job["result"])]:
        for artifact in find_artifacts(value):
            if artifact.sha256 not in seen:
                seen.add(artifact.sha256)
                path = store.path(artifact)
                records.append(
                    {"stage": stage, "item": item, **artifact.model_dump(), "path": str(path), "exists": path.exists()}
                )
    return records


def job_record(job: dict[str, Any], *, debug: bool = False) -> dict[str, Any]:
    """Everything about a job for programs; the traceback only with `debug`."""
    kept = {name: value for name, value in job.items() if debug or name not in PRIVATE}
    stages = [stage | {"seconds": stage_seconds(stage)} for stage in job["stages"]]
    return {"job_id": job["id"], **kept, "stages": stages, "artifacts": artifact_records(job)}


def job_view(job: dict[str, Any], *, debug: bool = False) -> RenderableType:
    """Everything about a job for people."""
    parts: list[RenderableType] = [_facts(job)]
    if job["stages"]:
        columns = ("stage", "item", "status", "attempt", "seconds", "provider", "cost USD", "error")
        rows = [
            (
                stage["stage"],
                stage["item"],
                f"{stage['status']} (reused from {stage['reused_from']})" if stage["reused_from"] else stage["status"],
                stage["attempt"],
                stage_seconds(stage),
                stage["provider"],
                float(stage["cost_usd"] or 0),
                stage["error_class"],
            )
            for stage in job["stages"]
        ]
        parts += [Text(), table(columns, rows)]
    parts += _files(artifact_records(job))
    if job["status"] == JobStatus.COMPLETED:
        parts += [Text(), Text("result"), result_text(job["result"])]
    if debug:
        parts += [Text(), Text(plain(job["error_detail"] or "no traceback was recorded"))]
    return Group(*parts)


def result_text(result: Any) -> Text:
    """A result as indented JSON, not without end."""
    lines = orjson.dumps(result, option=orjson.OPT_INDENT_2).decode().splitlines()
    more = [f"... {len(lines) - RESULT_LINES} lines more with --json"] if len(lines) > RESULT_LINES else []
    return Text(plain("\n".join(lines[:RESULT_LINES] + more)))


def print_files(console: Console, job: dict[str, Any]) -> None:
    """The files of a job with their paths."""
    for part in _files(artifact_records(job)):
        console.print(part)


def end_sentence(status: dict[str, Any]) -> str:
    """One sentence on how a job ended, or stands."""
    text = f"job {status['job_id']} is {status['status']}"
    if status["error"] and status["status"] != JobStatus.COMPLETED:
        where = f" in {status['error_stage']}" if status["error_stage"] else ""
        text += f": {status['error_class']}{where}: {status['error']}"
    return text


def jobs_view(jobs: Sequence[dict[str, Any]]) -> RenderableType:
    """A list of jobs."""
    columns = ("id", "pipeline", "status", "stage", "%", "queue", "tenant", "worker", "created", "cost USD", "error")
    rows = [
        (
            job["id"],
            job["pipeline"],
            job["status"],
            job["stage"],
            round(float(job["progress"])),
            job["queue"],
            job["tenant"],
            job["owner"],
            moment(job["created_ms"]),
            float(job["cost_usd"] or 0),
            _short(job["error"]),
        )
        for job in jobs
    ]
    return table(columns, rows) if rows else Text("no jobs")


def queues_view(queues: Sequence[dict[str, Any]]) -> RenderableType:
    """Each queue with its jobs by status."""
    statuses = [status.value for status in JobStatus]
    rows = [
        (
            one["queue"],
            (f"paused: {one['reason']}" if one["reason"] else "paused") if one["paused"] else "open",
            one.get("ready"),
            *(one.get(status, 0) for status in statuses),
        )
        for one in queues
    ]
    return table(("queue", "state", "ready", *statuses), rows)


def workers_view(workers: Sequence[dict[str, Any]]) -> RenderableType:
    """Each worker and what it does."""
    rows = [
        (
            one["worker_id"],
            one["host"],
            one["pid"],
            ", ".join(one["queues"]),
            one["slots"],
            ", ".join(one["jobs"]),
            one["started_jobs"],
            _worker_state(one),
            one["beat_at"],
        )
        for one in workers
    ]
    columns = ("worker", "host", "pid", "queues", "slots", "jobs now", "jobs begun", "state", "last beat")
    return table(columns, rows) if rows else Text("no workers; start one with: python worker.py worker-1")


def pipeline_record(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline for programs: its fields in words, and its JSON schema."""
    fields = [
        {
            "name": name,
            "type": type_name(field.annotation),
            "required": field.is_required(),
            "default": None if field.default is PydanticUndefined else field.default,
            "description": field.description or "",
        }
        for name, field in pipeline.payload.model_fields.items()
    ]
    return pipeline.record() | {"fields": fields}


def pipelines_view(records: Sequence[dict[str, Any]]) -> RenderableType:
    """Pipelines for people."""
    parts: list[RenderableType] = []
    for record in records:
        rows = [
            (
                field["name"],
                field["type"],
                "required" if field["required"] else orjson.dumps(field["default"]).decode(),
                field["description"],
            )
            for field in record["fields"]
        ]
        parts += [
            Text(f"{record['name']}: {record['title']}"),
            Text(f"queue {record['queue']}; stages {' -> '.join(record['stages'])}"),
            table(("field", "type", "default", ""), rows),
            Text(),
        ]
    return Group(*parts[:-1])


def dead_view(jobs: Sequence[dict[str, Any]]) -> RenderableType:
    """Jobs that failed or were put aside."""
    if not jobs:
        return Text("no dead jobs")
    columns = ("job", "pipeline", "status", "stage", "tries", "error", "ended")
    rows = [
        (
            job["id"],
            job["pipeline"],
            job["status"],
            job["error_stage"],
            job["attempt"],
            _short(f"{job['error_class']}: {job['error']}"),
            moment(job["finished_ms"]),
        )
        for job in jobs
    ]
    return table(columns, rows)


def controls_view(found: Controls) -> RenderableType:
    """What people switched."""
    rows: list[tuple[str, str, object]] = [("pause", name, reason or None) for name, reason in found.pauses.items()]
    rows += [("limit", name, most) for name, most in found.limits.items()]
    rows += [("weight", name, share) for name, share in found.weights.items()]
    return table(("what", "of", ""), rows) if rows else Text("nothing is paused, limited or weighted")


def type_name(annotation: Any) -> str:
    """The type of a field in words: text, int, list of text, 'minimal' | 'bold' ..."""
    inner = element(annotation)
    if inner is not None:
        return f"list of {type_name(inner)}"
    names = []
    for member in members(annotation):
        if get_origin(member) is Literal:
            names += [repr(value) for value in get_args(member)]
        elif member is not type(None):
            names.append({str: "text", Artifact: "file"}.get(member, getattr(member, "__name__", str(member))))
    return " | ".join(names)


def _facts(job: dict[str, Any]) -> RenderableType:
    rows: list[tuple[str, object]] = [
        ("job", job["id"]),
        ("pipeline", job["pipeline"]),
        ("status", job["status"]),
        ("stage", job["stage"]),
        ("progress", f"{float(job['progress']):.0f}%"),
        ("queue", f"{job['queue']}, priority {job['priority']}, tenant {job['tenant']}"),
        ("worker", job["owner"]),
        ("created", moment(job["created_ms"])),
        ("started", moment(job["started_ms"])),
        ("finished", moment(job["finished_ms"])),
        ("cost", f"{float(job['cost_usd'] or 0):.2f} USD"),
    ]
    if job["run"] > 1 or job["crashes"]:
        rows.append(("run", f"{job['run']}, crashes {job['crashes']}"))
    if job["parent_id"]:
        rows.append(("child of", f"{job['parent_id']}, edge {job['on_child_failure']}"))
    if job["replay_of"]:
        rows.append(("replay of", f"{job['replay_of']} from {job['replay_from']}"))
    if job["then"]:
        rows.append(("then", job["then"]["pipeline"]))
    if job["waiting_for"]:
        due = moment(job["not_before_ms"])
        rows.append(("waiting for", f"{job['waiting_for']}, until {due}" if due else job["waiting_for"]))
    if job["error"]:
        where = f" in {job['error_stage']}" if job["error_stage"] else ""
        rows.append(("error", f"{job['error_class']}{where}: {job['error']}"))
    shown = table(("", ""), rows)
    shown.show_header = False
    return shown


def _files(records: Sequence[dict[str, Any]]) -> list[RenderableType]:
    if not records:
        return []
    rows = [
        (
            f"{one['stage']}/{one['item']}" if one["item"] else one["stage"],
            one["name"],
            one["media_type"],
            one["size"],
            one["path"] if one["exists"] else f"{one['path']} (gone)",
        )
        for one in records
    ]
    return [Text(), table(("from", "file", "type", "bytes", "path"), rows)]


def _worker_state(worker: dict[str, Any]) -> str:
    if worker["stopping"]:
        return f"stopping ({worker['stopping']})"
    return f"in trouble: {worker['trouble']}" if worker["trouble"] else "at work"


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= 80 else f"{text[:79]}…"
