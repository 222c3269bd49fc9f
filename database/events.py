"""Changes of state, written in the commits that make them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from database import statements


def write_event(
    connection: Connection,
    job_id: str,
    kind: str,
    *,
    status: str,
    stage: str | None = None,
    worker_id: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """One row of `events`, in the commit of the change it tells of."""
    statements.EVENT.run(
        connection,
        {"e_job": job_id, "e_kind": kind, "e_status": status, "e_stage": stage, "e_worker": worker_id, "e_data": data},
    )
