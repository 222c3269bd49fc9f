"""What people asked for through the HTTP interface, and who."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select

from database.engine import Database, now_ms
from database.tables import Audit


def write_audit(
    database: Database, caller: str, tenant: str | None, action: str, target: str, data: dict[str, Any] | None = None
) -> None:
    """Note a write that was done."""
    row = {"caller": caller, "tenant": tenant, "action": action, "target": target, "data": data}
    with database.write() as connection:
        connection.execute(insert(Audit).values(**row, at_ms=now_ms()))


def list_audit(database: Database, *, limit: int = 100) -> list[dict[str, Any]]:
    """What was asked for, the newest first."""
    query = select(*Audit.__table__.columns).order_by(Audit.id.desc()).limit(limit)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
