"""What was paid, and what may be."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api.access import FleetReader, Operator, Reader
from api.fields import Body, Tenant
from database.budgets import budgets, set_budget
from database.costs import By, costs, doubtful_calls
from errors import InvalidInput
from redis_client import redis_client

DAY_SECONDS = 24 * 3600
SCOPE = r"^(day:[0-9]{4}-[0-9]{2}-[0-9]{2}|(tenant|job):[A-Za-z0-9][A-Za-z0-9._:@-]{0,127})$"
router = APIRouter(tags=["money"])


class Cap(Body):
    """The most that may be spent; null: as the settings say."""

    cap_usd: float | None = Field(ge=0, le=1_000_000, allow_inf_nan=False)


@router.get("/costs")
def spent(
    caller: Reader, by: By = "day", days: Annotated[int, Query(ge=1, le=3660)] = 30, tenant: Tenant | None = None
) -> dict[str, Any]:
    """What paid calls have cost in the last days, by day (UTC), tenant, provider, pipeline or job."""
    since = int((time.time() - days * DAY_SECONDS) * 1000)
    rows = costs(redis_client.database, by, since_ms=since, tenant=caller.seen_tenant(tenant))
    return {"by": by, "days": days, "costs": rows}


@router.get("/costs/doubtful")
def doubtful(_caller: FleetReader) -> dict[str, Any]:
    """The paid calls of which nobody knows whether they were made; a person decides each: jobs.py decide."""
    return {"calls": doubtful_calls(redis_client.database)}


@router.get("/budgets")
def index(_caller: FleetReader) -> dict[str, Any]:
    """What may be spent, is promised to calls under way, and is spent."""
    return {"budgets": [asdict(one) for one in budgets(redis_client.database)]}


@router.put("/budgets/{scope}")
def change(scope: Annotated[str, Path(pattern=SCOPE)], given: Cap, caller: Operator) -> dict[str, Any]:
    """Set a cap; the jobs that waited for it go on."""
    if scope.startswith("day:"):
        try:
            date.fromisoformat(scope.removeprefix("day:"))
        except ValueError:
            raise InvalidInput(f"scope={scope!r}: there is no such day") from None
    set_budget(redis_client.database, scope, given.cap_usd)
    freed = redis_client.free(reason=f"budget {scope}")
    caller.wrote("budget", scope, cap_usd=given.cap_usd)
    return {"scope": scope, "cap_usd": given.cap_usd, "freed": freed}
