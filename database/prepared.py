"""Statements of the hot path: built with SQLAlchemy Core, compiled once a dialect, run on the driver itself.

Core's own execution costs several times what SQLite needs for the statement; a no-op job runs five of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Connection
from sqlalchemy.sql.compiler import SQLCompiler

from database.engine import to_json


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    names: tuple[str, ...] | None  # the order of positional parameters; None: the driver takes names
    fixed: dict[str, Any]
    json_names: frozenset[str]


class Prepared:
    """One statement; `run` takes its bind parameters by name, those of JSON columns are encoded."""

    def __init__(self, statement: Any) -> None:
        self.statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: dict[str, Any]) -> Any:
        """Execute in the connection's transaction; the driver's cursor."""
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection)
        found = compiled.fixed | values
        for name in compiled.json_names:
            if found[name] is not None:
                found[name] = to_json(found[name])
        parameters = found if compiled.names is None else tuple([found[name] for name in compiled.names])
        driver: Any = connection.connection.driver_connection
        return driver.execute(compiled.sql, parameters)

    def _compile(self, connection: Connection) -> _Compiled:
        compiled = self.statement.compile(dialect=connection.dialect)
        assert isinstance(compiled, SQLCompiler)
        names = tuple(compiled.positiontup) if compiled.positiontup is not None else None
        json_names = frozenset(name for name, bind in compiled.binds.items() if isinstance(bind.type, JSON))
        made = _Compiled(str(compiled), names, dict(compiled.params), json_names)
        self._compiled[connection.dialect.name] = made
        return made
