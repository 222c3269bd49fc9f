"""Jobs for people: enqueue, run, watch, show, why, cancel, retry, replay, pause and more. `python jobs.py --help`."""

from __future__ import annotations

import secrets
import sys
from typing import Annotated, Any

import typer

from cli import access, fleet, keeping, mending, money, webhooks
from cli.door import (
    EXIT_AGAIN,
    AsJson,
    JobId,
    Output,
    complain,
    console,
    end_code,
    fail,
    prepare_process,
    print_json,
    quiet_below,
)
from errors import InvalidInput, StagecrewError
from states import JobStatus

# Redis, SQL and the pipelines are imported by the commands that need them: --help and list stay quick.

EPILOG = (
    "Exit codes: 0 done; 1 the job failed, was cancelled or quarantined, or no such job; 2 wrong arguments or input; "
    "75 try again later (Redis, the database or this machine, or the time given ran out); 78 a wrong setting."
)
LONGEST_SECONDS = 366 * 24 * 3600.0
app = typer.Typer(
    help="Jobs of Stagecrew: put them in a queue, run them here, follow them, look at them.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", help="See `jobs.py pipelines`.")]
SetFields = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help='A field of the payload. Repeat it for a list, or write JSON: features=\'["a","b"]\'. '
        "Pictures by path: images=photo.jpg",
    ),
]
JsonFile = Annotated[
    str | None, typer.Option("--json", metavar="FILE", help="Fields from a JSON file, or - for standard input.")
]
NewId = Annotated[str | None, typer.Option("--id", metavar="ID", help="The job's id; made up when missing.")]
OutputOption = Annotated[
    Output, typer.Option("--output", help="json: one document a line; auto: json unless on a terminal.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="How long to follow the job.")]


# Commands of their own rooms, at the same door.
app.add_typer(mending.app)
app.add_typer(fleet.app)
app.add_typer(money.app)
app.add_typer(keeping.app)
app.add_typer(access.app)
app.add_typer(webhooks.app)


@app.callback()
def _begin() -> None:
    prepare_process()


@app.command()
def enqueue(
    pipeline: PipelineName,
    fields: SetFields = None,
    json_file: JsonFile = None,
    job_id: NewId = None,
    queue: Annotated[str | None, typer.Option(help="A queue other than the pipeline's own.")] = None,
    priority: Annotated[str, typer.Option(help="high, normal or low, or 1 (low) to 5 (high).")] = "normal",
    delay: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Not before so many seconds.")] = 0,
    tenant: Annotated[str, typer.Option(help="Whose job it is.")] = "default",
    count: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="So many equal jobs; their ids end in a number.")
    ] = None,
    groups: Annotated[
        list[str] | None, typer.Option("--group", metavar="NAME", help="A group whose limit it heeds (repeat it).")
    ] = None,
    then: Annotated[
        str | None, typer.Option("--then", metavar="JSON", help="The job that follows: pipeline, payload, take ...")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Who is told of its end; see `jobs.py webhook`.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Reuse no stage of an earlier job.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job to its end and print its result.")] = False,
    timeout: Timeout = LONGEST_SECONDS,
    output: OutputOption = Output.AUTO,
) -> None:
    """Put a job in its queue; a worker takes it from there."""
    from cli.entering import enqueue_count, enqueue_one, numbered
    from cli.payload import ANYWHERE, read_object, read_payload
    from pipeline.catalog.base import find_pipeline
    from redis_client import redis_client

    if wait and count is not None:
        raise InvalidInput("--wait follows one job: leave out --count")
    chosen = find_pipeline(pipeline)
    data = read_payload(chosen, fields or [], json_file)
    base = job_id or data.get("id") or _new_id(pipeline)
    if count is not None:
        data.pop("id", None)
    job = redis_client.prepare(
        base if count is None else numbered(base, 1, count),
        data,
        pipeline=pipeline,
        queue=queue,
        priority=int(priority) if priority.isdecimal() else priority,
        delay=delay,
        tenant=tenant,
        reuse=not fresh,
        groups=groups or (),
        then=read_object("--then", then),
        webhook=None if webhook is None else {"url": webhook},
        roots=ANYWHERE,
    )
    if count is None:
        enqueue_one(redis_client, job, output)
    else:
        enqueue_count(redis_client, job, base, count, output)
    if wait:
        from cli.ending import follow_to_the_end

        raise typer.Exit(follow_to_the_end(redis_client, job.id, timeout, output))


@app.command()
def run(
    pipeline: PipelineName,
    fields: SetFields = None,
    json_file: JsonFile = None,
    job_id: NewId = None,
    output: OutputOption = Output.AUTO,
) -> None:
    """Run a job here and now, without a worker; exit 0 done, 1 failed, 75 try again.

    With --id the finished stages of an earlier run are kept.
    """
    from cli.ending import Spectator, tell_end
    from cli.payload import ANYWHERE, read_payload
    from pipeline.catalog.base import find_pipeline
    from pipeline.catalog.files import take_files
    from pipeline.orchestrator import PipelineOrchestrator, TryAgain
    from pipeline.providers import registry
    from redis_client import redis_client

    quiet_below("silent")  # its end is told below, once
    chosen = find_pipeline(pipeline)
    data = read_payload(chosen, fields or [], json_file)
    name = job_id or data.get("id") or _new_id(pipeline)
    data, _ = take_files(chosen, data, roots=ANYWHERE)
    orchestrator = PipelineOrchestrator(name, redis_client, redis_client.database)
    try:
        with Spectator(redis_client, name, output):
            orchestrator.execute_pipeline(data, pipeline=pipeline)
    except TryAgain as error:
        complain(error)
        raise typer.Exit(EXIT_AGAIN) from None
    finally:
        registry.close_all()
    raise typer.Exit(tell_end(redis_client, name, output))


@app.command()
def watch(
    job_id: JobId,
    after: Annotated[str, typer.Option(help="Go on after this event (its `id`).")] = "0",
    timeout: Timeout = LONGEST_SECONDS,
    output: OutputOption = Output.AUTO,
) -> None:
    """Follow a job until it has ended: live bars, or one JSON line an event."""
    from cli.ending import tell_end
    from cli.watching import follow, reporter_for
    from redis_client import redis_client

    with reporter_for(console(), output, job_id, redis_client.get_job(job_id)) as reporter:
        for event in follow(redis_client, job_id, timeout=timeout, last_id=after):
            reporter.show(event)
    if output.is_json():
        raise typer.Exit(end_code(redis_client.get_job_status(job_id)["status"]))
    raise typer.Exit(tell_end(redis_client, job_id, output))


@app.command()
def show(
    job_id: JobId,
    as_json: AsJson = False,
    debug: Annotated[bool, typer.Option("--debug", help="Also the traceback of its error.")] = False,
) -> None:
    """Everything about one job: state, stages, files, error, result."""
    from cli.show import job_record, job_view
    from database.jobs import find_events, find_job, find_stages

    database = _records()
    job = find_job(database, job_id) | {
        "stages": find_stages(database, job_id),
        "events": find_events(database, job_id),
    }
    if as_json:
        print_json(job_record(job, debug=debug), indent=True)
    else:
        console().print(job_view(job, debug=debug))


@app.command("list")
def list_(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs in this state.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only jobs of this pipeline.")] = None,
    queue: Annotated[str | None, typer.Option(help="Only jobs that stand in this queue.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only jobs of this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The newest jobs."""
    from cli.show import jobs_view
    from database.jobs import list_jobs

    found = list_jobs(_records(), status=status, pipeline=pipeline, queue=queue, tenant=tenant, limit=limit)
    if not found:
        _refuse_unknown(pipeline, queue)
    if as_json:
        print_json([{"job_id": job["id"], **job} for job in found], indent=True)
    else:
        console().print(jobs_view(found))


@app.command()
def pipelines(
    name: Annotated[str | None, typer.Argument(metavar="PIPELINE", help="Only this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """The pipelines: what each makes, its fields, stages and queue."""
    from cli.show import pipeline_record, pipelines_view
    from pipeline.catalog.base import find_pipeline
    from pipeline.catalog.base import pipelines as known

    records = [pipeline_record(one) for one in ([find_pipeline(name)] if name else known().values())]
    if as_json:
        print_json(records, indent=True)
    else:
        console().print(pipelines_view(records))


@app.command()
def demo(
    fresh: Annotated[bool, typer.Option("--fresh", help="Reuse no stage of an earlier demo.")] = False,
    timeout: Timeout = 1800.0,
) -> None:
    """Make one real product video, with a worker of its own: no key, no network, nothing to set up."""
    from cli.demo import run_demo
    from redis_client import redis_client

    raise typer.Exit(run_demo(redis_client, fresh=fresh, timeout=timeout))


def _records() -> Any:
    """The records alone: looking needs no Redis."""
    from database.engine import get_database
    from database.migrate import init_db

    database = get_database()
    init_db(database)
    return database


def _refuse_unknown(pipeline: str | None, queue: str | None) -> None:
    """An empty list for a name that nobody knows is a typing error."""
    from pipeline.catalog.base import declared_queues, find_pipeline
    from pipeline.catalog.complaints import nearest

    if pipeline is not None:
        find_pipeline(pipeline)
    if queue is not None and queue not in declared_queues():
        raise InvalidInput(f"queue={queue!r} is unknown{nearest(queue, declared_queues())}")


def _new_id(pipeline: str) -> str:
    return f"{pipeline}-{secrets.token_hex(6)}"


def main() -> None:
    """The command line."""
    try:
        app()
    except (StagecrewError, TimeoutError) as error:
        sys.exit(fail(error))


if __name__ == "__main__":
    main()
