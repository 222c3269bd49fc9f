"""Changes of state, written in the commits that make them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from database import statements
from database.webhooks import tell
from states import TELLABLE


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
    """One row of `events`, in the commit of the change it tells of; and the messages for those who want to be told."""
    facts = {
        "e_job": job_id,
        "e_kind": kind,
        "e_status": status,
        "e_stage": stage,
        "e_worker": worker_id,
        "e_data": data,
    }
    if kind not in TELLABLE:
        statements.EVENT.run(connection, facts)
    elif statements.TOLD_EVENT.run(connection, facts).fetchone()[0]:
        tell(connection, job_id, kind, data)
