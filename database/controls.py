"""What people switched: pauses, limits and weights. SQL's `controls` is the truth; Redis holds a copy."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select

from database.engine import Database, now_ms
from database.tables import Control

GROUP_KINDS = ("pipeline:", "tenant:")


@dataclass(frozen=True, slots=True)
class Controls:
    """`pauses`: paused queue, or `pipeline:NAME`, `tenant:NAME` -> reason; `limits`: group -> how many may run."""

    pauses: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def paused_queues(self) -> dict[str, str]:
        """Paused queue -> reason."""
        return {name: reason for name, reason in self.pauses.items() if not name.startswith(GROUP_KINDS)}

    def group_limits(self) -> dict[str, int]:
        """What Redis must hold: a paused pipeline or tenant is a group of which none may run."""
        paused = {name: 0 for name in self.pauses if name.startswith(GROUP_KINDS)}
        return self.limits | paused


def set_control(database: Database, kind: str, name: str, value: str | None, *, reason: str = "", by: str = "") -> None:
    """Switch one thing on (`value`), or off (None). Kinds: pause, limit, weight."""
    with database.write() as connection:
        connection.execute(delete(Control).where(Control.kind == kind, Control.name == name))
        if value is not None:
            connection.execute(
                insert(Control).values(kind=kind, name=name, value=value, reason=reason, by=by, at_ms=now_ms())
            )


def controls(database: Database) -> Controls:
    """Everything that is switched on."""
    with database.read() as connection:
        rows = connection.execute(select(Control.kind, Control.name, Control.value, Control.reason)).all()
    found = Controls()
    for kind, name, value, reason in rows:
        match kind:
            case "pause":
                found.pauses[name] = reason
            case "limit":
                found.limits[name] = int(value)
            case "weight":
                found.weights[name] = float(value)
    return found
