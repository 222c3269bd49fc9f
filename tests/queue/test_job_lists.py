"""Lists of few jobs among a million are read from the indexes that hold only those few."""

from typing import Any

import pytest
from sqlalchemy import event

from database.engine import Database
from database.jobs import list_dead, list_jobs


def plan(database: Database, **filters: Any) -> str:
    """How SQLite reads a list."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        list_dead(database) if filters.pop("dead", False) else list_jobs(database, **filters)
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    statement, parameters = next(one for one in seen if "FROM jobs" in one[0])
    with database.read() as connection:
        return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall())


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"status": "failed"}, "ix_jobs_dead"),
        ({"status": "cancelled", "tenant": "acme"}, "ix_jobs_dead"),
        ({"dead": True}, "ix_jobs_dead"),
        ({"status": "processing"}, "ix_jobs_open"),
        ({"status": "pending", "tenant": "acme", "after": (5, "x")}, "ix_jobs_open"),
        ({}, "ix_jobs_created"),
        ({"status": "completed"}, "ix_jobs_created"),
        ({"tenant": "acme", "after": (5, "x")}, "ix_jobs_tenant_created"),
        ({"pipeline": "selftest", "status": "completed"}, "ix_jobs_pipeline_created"),
        ({"parent": "one"}, "ix_jobs_parent"),
    ],
)
def test_each_list_has_its_index(sqlite_database: Database, filters: dict[str, Any], index: str) -> None:
    assert index in plan(sqlite_database, **filters)
