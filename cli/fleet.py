"""Commands for the whole fleet: queues, workers, pauses, limits, weights."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from cli.door import AsJson, console, print_json
from errors import InvalidInput

app = typer.Typer()

QueueName = Annotated[str | None, typer.Argument(metavar="QUEUE", help="See `jobs.py queues`.")]
PipelineOption = Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="A pipeline instead.")]
TenantOption = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="A tenant instead.")]
Reason = Annotated[str, typer.Option(help="Why; shown by `queues` and `why`.")]


@app.command()
def queues(as_json: AsJson = False) -> None:
    """The queues: how many jobs by status, how many are ready, which are paused."""
    from cli.show import queues_view
    from redis_client import redis_client

    found = redis_client.queues()
    if as_json:
        print_json(found, indent=True)
    else:
        console().print(queues_view(found))


@app.command()
def workers(as_json: AsJson = False) -> None:
    """The workers that are alive, and what they do."""
    from cli.show import workers_view
    from redis_client import redis_client

    found = redis_client.workers()
    if as_json:
        print_json(found, indent=True)
    else:
        console().print(workers_view(found))


@app.command()
def pause(
    queue: QueueName = None, pipeline: PipelineOption = None, tenant: TenantOption = None, reason: Reason = ""
) -> None:
    """Let no job of a queue (pipeline, tenant) start; what runs goes on."""
    from redis_client import redis_client

    kind, name = _which(queue, pipeline, tenant)
    redis_client.pause(name, kind=kind, reason=reason, by=_person())
    print(f"{kind} {name} is paused")


@app.command()
def resume(queue: QueueName = None, pipeline: PipelineOption = None, tenant: TenantOption = None) -> None:
    """Let the jobs of a paused queue (pipeline, tenant) start again."""
    from redis_client import redis_client

    kind, name = _which(queue, pipeline, tenant)
    redis_client.resume(name, kind=kind)
    print(f"{kind} {name} is open")


@app.command()
def limit(
    group: Annotated[
        str | None,
        typer.Argument(
            metavar="GROUP", help="queue:NAME, pipeline:NAME, tenant:NAME, or a group that jobs name themselves."
        ),
    ] = None,
    most: Annotated[str | None, typer.Argument(metavar="NUMBER", help="How many may run at once; none: any.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """How many jobs of a group may run at once over the whole fleet; without arguments, what is limited."""
    from redis_client import redis_client

    if group is None or most is None:
        if group is not None:
            raise InvalidInput(f"limit {group}: give a number, or none to lift the limit")
        _show_limits(redis_client, as_json=as_json)
        return
    if most != "none" and not most.isdecimal():
        raise InvalidInput(f"limit={most!r}: use a number from 0 to 1,000,000, or none")
    redis_client.limit(group, None if most == "none" else int(most), reason=reason, by=_person())
    print(f"{group} has no limit" if most == "none" else f"of {group} at most {most} run at once")


@app.command()
def weight(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose jobs.")],
    share: Annotated[float, typer.Argument(metavar="WEIGHT", help="1: like everybody else; 3: three times as many.")],
) -> None:
    """What share of a queue a tenant gets while others wait for it too."""
    from redis_client import redis_client

    redis_client.weigh(tenant, None if share == 1 else share, by=_person())
    print(f"tenant {tenant} has the weight {share:g}")


def _show_limits(client: Any, *, as_json: bool) -> None:
    from cli.show import controls_view
    from database.controls import controls

    found = controls(client.database)
    if as_json:
        print_json({"pauses": found.pauses, "limits": found.limits, "weights": found.weights}, indent=True)
    else:
        console().print(controls_view(found))


def _which(queue: str | None, pipeline: str | None, tenant: str | None) -> tuple[str, str]:
    given = {"queue": queue, "pipeline": pipeline, "tenant": tenant}
    named = [(kind, name) for kind, name in given.items() if name is not None]
    if len(named) != 1:
        raise InvalidInput("name one QUEUE, or one --pipeline or --tenant")
    return named[0]


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a user id without a name, as containers have
