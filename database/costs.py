"""What was paid: sums of the ledger, and the calls that a person must decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import func, select

from database.charges import OPEN
from database.engine import Database
from database.tables import Charge, Job

By = Literal["day", "tenant", "provider", "pipeline", "job"]
DAY_MS = 24 * 3600 * 1000


def costs(
    database: Database, by: By, *, since_ms: int = 0, tenant: str | None = None, limit: int = 10_000
) -> list[dict[str, Any]]:
    """Settled cost by day (UTC), tenant, provider, pipeline or job; the dearest first, days in order.

    `estimated_usd` is the part of it that the vendors did not tell; `calls` counts them, `repaid` those that were made
    again because nobody could say whether they had been made, `orphans` answers that nobody waited for any more.
    """
    keys = {
        "day": Charge.intent_ms / DAY_MS,
        "tenant": Charge.tenant,
        "provider": Charge.provider,
        "pipeline": func.coalesce(Job.pipeline, "(deleted job)"),
        "job": Charge.job_id,
    }
    key = keys[by].label("key") if by != "day" else func.floor(keys["day"]).label("key")
    amount = func.coalesce(Charge.cost_usd, 0)
    query = (
        select(
            key,
            func.sum(amount).label("cost_usd"),
            func.sum(amount).filter(Charge.cost_is_estimate).label("estimated_usd"),
            func.count().filter(Charge.state == "settled").label("calls"),
            func.count().filter(Charge.doubt == "repaid").label("repaid"),
            func.count().filter(Charge.doubt == "orphan").label("orphans"),
        )
        .join(Job, Job.id == Charge.job_id, isouter=True)
        .where(Charge.intent_ms >= since_ms)
        .group_by(key)
        .order_by(key if by == "day" else func.sum(amount).desc())
        .limit(limit)
    )
    if tenant is not None:
        query = query.where(Charge.tenant == tenant)
    with database.read() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    if by == "day":
        rows = [row | {"key": _day(int(row["key"]))} for row in rows]
    return [row | {name: float(row[name] or 0) for name in ("cost_usd", "estimated_usd")} for row in rows]


def _day(number: int) -> str:
    """The date of a UTC day, counted from 1970 on."""
    return datetime.fromtimestamp(number * DAY_MS / 1000, UTC).date().isoformat()


def count_calls(database: Database, state: str) -> int:
    """How many paid calls are in this state."""
    with database.read() as connection:
        return int(connection.execute(select(func.count()).where(Charge.state == state)).scalar_one())


def doubtful_calls(database: Database) -> list[dict[str, Any]]:
    """The calls that a person must decide, the oldest first."""
    columns = (Charge.idem_key, Charge.job_id, Charge.stage, Charge.call, Charge.provider, Charge.estimate_usd)
    query = select(*columns).where(Charge.state.in_(OPEN), Charge.doubt == "parked").order_by(Charge.intent_ms)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
