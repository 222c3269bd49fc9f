"""Commands for jobs that do not go as they should: why, cancel, retry, replay, dead."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.door import EXIT_FAILED, AsJson, JobId, complain, console, plain, print_json
from errors import StagecrewError
from states import JobStatus

app = typer.Typer()


@app.command()
def why(job_id: JobId, as_json: AsJson = False) -> None:
    """Why a job does not run, in one sentence, and the command that frees it."""
    from dataclasses import asdict

    from redis_client import redis_client
    from redis_client.why import why as find_reason

    answer = find_reason(redis_client, job_id)
    if as_json:
        print_json(asdict(answer), indent=True)
        return
    print(f"{answer.job_id} is {answer.status}: {plain(answer.sentence)}")
    if answer.command:
        print(f"  {answer.command}")


@app.command()
def cancel(job_id: JobId) -> None:
    """Cancel a job and its children: at once when it does not run, else its worker stops it at its next safe point."""
    from redis_client import redis_client

    status = redis_client.cancel(job_id)
    if status == JobStatus.CANCELLED:
        print(f"job {job_id} is cancelled")
    elif status == JobStatus.PROCESSING:
        print(f"job {job_id} is running: its worker stops it at the next safe point")
    else:
        complain(f"job {job_id} is {status} already")
        raise typer.Exit(EXIT_FAILED)


@app.command()
def retry(job_id: JobId) -> None:
    """Ask for a failed, cancelled or quarantined job again; its finished stages are kept."""
    from redis_client import redis_client

    redis_client.retry(job_id)
    print(f"job {job_id} stands in its queue again")


@app.command()
def replay(
    job_id: JobId,
    from_stage: Annotated[str, typer.Option("--from", metavar="STAGE", help="The first stage that runs anew.")],
    fields: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field that is different.")
    ] = None,
    new_id: Annotated[str | None, typer.Option("--id", help="The new job's id; made up when missing.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a job again from a stage on, as a new job; earlier stages keep their results."""
    from dataclasses import asdict

    from cli.payload import ANYWHERE, read_payload
    from database.jobs import find_job
    from pipeline.catalog.base import find_pipeline
    from pipeline.replay import replay as replay_from
    from redis_client import redis_client

    pipeline = find_pipeline(find_job(redis_client.database, job_id)["pipeline"])
    changes = read_payload(pipeline, fields or [], None)
    made = replay_from(redis_client, job_id, from_stage=from_stage, changes=changes, new_id=new_id, roots=ANYWHERE)
    if as_json:
        print_json(asdict(made), indent=True)
        return
    print(f"job {made.job_id} stands in its queue; kept of {job_id}: {', '.join(made.kept) or 'nothing'}")
    if made.outdated:
        print(f"  made with the old fields, and kept all the same: {', '.join(made.outdated)}")


@app.command()
def dead(
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One of them, with its last log lines.")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only jobs of this pipeline.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only jobs of this tenant.")] = None,
    replay_all: Annotated[bool, typer.Option("--replay-all", "--retry-all", help="Ask for all of them again.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The jobs that failed or were put aside: where and why; retry one with `retry`, all with --replay-all."""
    from database.jobs import find_job, list_dead
    from redis_client import redis_client

    if job_id is not None:
        _show_dead(find_job(redis_client.database, job_id), as_json=as_json)
        return
    found = list_dead(redis_client.database, pipeline=pipeline, tenant=tenant, limit=limit)
    if replay_all:
        asked = sum(_retried(redis_client, job["id"]) for job in found)
        print(f"{asked} of {len(found)} dead jobs stand in their queues again")
        return
    if as_json:
        print_json(found, indent=True)
        return
    from cli.show import dead_view

    console().print(dead_view(found))


def _retried(client: Any, job_id: str) -> bool:
    try:
        client.retry(job_id)
    except StagecrewError as error:  # somebody else was faster
        complain(error)
        return False
    return True


def _show_dead(job: dict[str, Any], *, as_json: bool) -> None:
    facts = {name: job[name] for name in ("id", "status", "error_stage", "error_class", "error", "attempt", "crashes")}
    if as_json:
        print_json(facts | {"log_tail": (job["log_tail"] or "").splitlines()}, indent=True)
        return
    where = f" in stage {job['error_stage']}" if job["error_stage"] else ""
    print(f"{job['id']} is {job['status']}{where}: {job['error_class']}: {plain(job['error'] or '')}")
    print(plain(job["log_tail"] or "no log lines were kept"))
