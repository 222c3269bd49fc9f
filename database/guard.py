"""The fence at work: a worker's UPDATE that hits its own row, was made before, or belongs to somebody newer."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, NamedTuple

from sqlalchemy import Connection

from database import statements
from database.prepared import Prepared
from database.records import Holder
from errors import Fenced


class Look(NamedTuple):
    """What stands in a job's row about its holder."""

    status: str
    fence: int
    owner: str | None
    in_flight: bool
    cancel_requested: bool
    wait_ms: int | None


def look(connection: Connection, job_id: str) -> Look | None:
    """The row of a job; None when there is none."""
    row = statements.LOOK.run(connection, {"b_id": job_id}).fetchone()
    return Look(*row) if row else None


def guard(
    connection: Connection,
    holder: Holder,
    statement: Prepared,
    values: dict[str, Any] | None = None,
    *,
    wanted: Container[str] = (),
) -> tuple[Any, ...] | None:
    """Run a fenced UPDATE; what it returns of the row, or None when this very write was done before.

    `wanted`: the states in which it leaves the job, when it ends the claim; a reply may have been lost. Fenced when
    somebody newer owns the job.
    """
    parameters = (values or {}) | {"b_id": holder.job_id, "b_token": holder.token}
    row = statement.run(connection, parameters).fetchone()
    if row is not None:
        return tuple(row)
    found = look(connection, holder.job_id)
    if found and found.fence == holder.token and found.owner == holder.owner and found.status in wanted:
        return None
    raise Fenced
