"""Commands about money: what was paid, budgets, calls in doubt, and what a job would cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.door import AsJson, complain, console, print_json, table
from errors import InvalidInput

app = typer.Typer()


@app.command()
def costs(
    by: Annotated[str, typer.Option(help="day, tenant, provider, pipeline or job.")] = "day",
    days: Annotated[int, typer.Option(min=1, max=3660, help="Of the last so many days.")] = 30,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    doubtful: Annotated[bool, typer.Option("--doubtful", help="The calls that a person must decide.")] = False,
    as_json: AsJson = False,
) -> None:
    """What paid calls have cost."""
    from database.costs import costs as find_costs
    from database.costs import doubtful_calls
    from pipeline.providers import prices
    from redis_client import redis_client

    if by not in {"day", "tenant", "provider", "pipeline", "job"}:
        raise InvalidInput(f"--by {by}: use day, tenant, provider, pipeline or job")
    if doubtful:
        found = doubtful_calls(redis_client.database)
        _show(found, as_json, ("charge", "job", "stage", "call", "provider", "at most USD"), _doubtful_row)
        return
    since = datetime.now(UTC) - timedelta(days=days)
    rows = find_costs(redis_client.database, by, since_ms=int(since.timestamp() * 1000), tenant=tenant)  # type: ignore[arg-type]
    if warning := prices.warning():
        complain(warning)
    _show(rows, as_json, (by, "USD", "of it estimated", "calls", "made again", "orphans"), _cost_row)


@app.command()
def budget(
    scope: Annotated[
        str | None, typer.Argument(metavar="SCOPE", help="day:2026-01-31, tenant:NAME or job:ID; none: all of them.")
    ] = None,
    cap: Annotated[
        str | None, typer.Argument(metavar="USD", help="The most that may be spent; none: as the settings say.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What may be spent, is promised to calls under way, and is spent; with an amount, sets it."""
    from database.budgets import budgets, set_budget
    from redis_client import redis_client

    if scope is not None and cap is not None:
        set_budget(redis_client.database, _scope(scope), _amount(cap))
        freed = redis_client.free(reason=f"budget {scope}")
        print(f"budget {scope}: {cap} USD" + (f"; {len(freed)} jobs go on" if freed else ""))
        return
    found = [
        {"scope": one.scope, "cap_usd": one.cap_usd, "reserved_usd": one.reserved_usd, "spent_usd": one.spent_usd}
        for one in budgets(redis_client.database, prefix=scope or "")
    ]
    _show(found, as_json, ("budget", "cap USD", "reserved USD", "spent USD"), lambda row: tuple(row.values()))


@app.command()
def decide(
    charge: Annotated[str, typer.Argument(metavar="CHARGE", help="See `jobs.py costs --doubtful`.")],
    fate: Annotated[str, typer.Argument(metavar="lost|made", help="Whether the vendor took the call.")],
    external_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Its id at the vendor, when it did.")
    ] = None,
) -> None:
    """Say what became of a paid call of which nobody knows whether it was made."""
    from redis_client import redis_client

    if fate not in {"lost", "made"}:
        raise InvalidInput(f"{fate!r}: say lost (it was not made: pay again) or made ID")
    freed = redis_client.decide_call(charge, external_id, made=fate == "made")
    print(f"charge {charge} is {'collected' if fate == 'made' else 'made again'}; {len(freed)} jobs go on")


@app.command()
def free(job_id: Annotated[str, typer.Argument(metavar="ID", help="A job that waits for a person.")]) -> None:
    """Let a job go on that waits for a person."""
    from redis_client import redis_client

    if not redis_client.free(job_id=job_id):
        raise InvalidInput(f"job {job_id} does not wait for a person; see jobs.py why {job_id}")
    print(f"job {job_id} goes on")


@app.command()
def estimate(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="See `jobs.py pipelines`.")],
    fields: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field.")] = None,
    as_json: AsJson = False,
) -> None:
    """What a job would cost with the providers of these settings, before anything runs."""
    from cli.payload import ANYWHERE, read_payload
    from pipeline.catalog.base import find_pipeline
    from pipeline.estimate import estimate as find_estimate
    from pipeline.providers import prices
    from redis_client import redis_client

    chosen = find_pipeline(pipeline)
    job = redis_client.prepare("estimate", read_payload(chosen, fields or [], None), pipeline=pipeline, roots=ANYWHERE)
    found = find_estimate(chosen, job.payload)
    if warning := prices.warning():
        complain(warning)
    _show(found, as_json, ("stage", "for", "provider", "likely USD", "at most USD"), _price_row)
    if found and not as_json:
        print(
            f"in all about {sum(row['likely_usd'] for row in found):.2f} USD, at most {sum(row['most_usd'] for row in found):.2f} USD"
        )


def _show(rows: list[dict[str, Any]], as_json: bool, columns: tuple[str, ...], cells: Any) -> None:
    if as_json:
        print_json(rows, indent=True)
    elif rows:
        console().print(table(columns, [cells(row) for row in rows]))
    else:
        print("nothing yet")


def _price_row(row: dict[str, Any]) -> tuple[object, ...]:
    money = (f"{row['likely_usd']:.4f}", f"{row['most_usd']:.4f}")
    return (row["stage"], row["capability"], row["provider"], *money)


def _cost_row(row: dict[str, Any]) -> tuple[object, ...]:
    money = (f"{row['cost_usd']:.4f}", f"{row['estimated_usd']:.4f}")
    return (row["key"], *money, row["calls"], row["repaid"], row["orphans"])


def _doubtful_row(row: dict[str, Any]) -> tuple[object, ...]:
    return (row["idem_key"][:12], row["job_id"], row["stage"], row["call"], row["provider"], float(row["estimate_usd"]))


def _scope(scope: str) -> str:
    kind, colon, name = scope.partition(":")
    if not colon or kind not in {"day", "tenant", "job"} or not name:
        raise InvalidInput(f"budget {scope!r}: write day:2026-01-31, tenant:NAME or job:ID")
    return scope


def _amount(cap: str) -> float | None:
    if cap == "none":
        return None
    try:
        amount = float(cap)
    except ValueError:
        amount = -1
    if not 0 <= amount <= 1_000_000:
        raise InvalidInput(f"{cap!r}: give USD from 0 to 1,000,000, or none")
    return amount
