"""Budgets that hold: the most a call can cost is reserved before it, what it did not use comes back after.

A scope is `day:2026-01-31` (the whole installation), `job:ID` or `tenant:NAME`. The check and the reservation are one
UPDATE a scope, in a fixed order and in the commit of the intent: sums that are read first pass the cap when two run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, case, func, or_, select, update

from database.engine import Database, now_ms
from database.statements import dialect_insert
from database.tables import Budget

DAY_SECONDS = 24 * 3600
CENTS = 1e-9  # what rounding may leave


@dataclass(frozen=True, slots=True)
class Spending:
    """One budget: what may be spent (None: what the settings say), what is promised to calls under way, what is spent."""

    scope: str
    cap_usd: float | None
    reserved_usd: float
    spent_usd: float


class NoRoomError(Exception):
    """The reservation does not fit; `scope` says where."""

    def __init__(self, budget: Spending, wanted_usd: float) -> None:
        cap = budget.cap_usd or 0.0
        left = max(0.0, cap - budget.reserved_usd - budget.spent_usd)
        super().__init__(
            f"the budget {budget.scope} of {cap:.2f} USD has {left:.4f} left, the call may cost {wanted_usd:.4f}"
        )
        self.scope = budget.scope
        # Only promised to calls under way, which may cost less.
        self.comes_back = budget.spent_usd + wanted_usd <= cap + CENTS


def scopes_of(job_id: str, tenant: str, at_ms: int) -> tuple[str, ...]:
    """The scopes of a call, in the order in which they are locked; the day is the UTC day of its intent."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
    return (f"day:{day}", f"job:{job_id}", f"tenant:{tenant}")


def reserve(
    database: Database, connection: Connection, scopes: tuple[str, ...], caps: Mapping[str, float | None], amount: float
) -> None:
    """Reserve an amount in every scope, in the caller's commit; NoRoomError when one is full: roll back then.

    `caps` by kind (day, job, tenant) hold for scopes that nobody has given one of their own.
    """
    for scope in scopes:
        cap = caps.get(scope.partition(":")[0])
        first = dialect_insert(database)(Budget).values(
            scope=scope, cap_usd=None, reserved_usd=0, spent_usd=0, updated_ms=now_ms()
        )
        connection.execute(first.on_conflict_do_nothing(index_elements=["scope"]))
        wanted = Budget.reserved_usd + Budget.spent_usd + amount
        own = Budget.cap_usd if cap is None else func.coalesce(Budget.cap_usd, cap)
        room = or_(own.is_(None), wanted <= own + CENTS)
        taken = connection.execute(
            update(Budget)
            .where(Budget.scope == scope, room)
            .values(reserved_usd=Budget.reserved_usd + amount, updated_ms=now_ms())
        )
        if not taken.rowcount:
            found = _read(connection, scope)
            raise NoRoomError(found if found.cap_usd is not None else replace(found, cap_usd=cap), amount)


def spend(connection: Connection, scopes: tuple[str, ...], *, reserved: float, cost: float) -> None:
    """A call is over: its reservation goes, its cost stays."""
    for scope in scopes:
        left = Budget.reserved_usd - reserved
        connection.execute(
            update(Budget)
            .where(Budget.scope == scope)
            .values(
                reserved_usd=case((left < 0, 0), else_=left),  # rounding may leave a crumb
                spent_usd=Budget.spent_usd + cost,
                updated_ms=now_ms(),
            )
        )


def seconds_to_midnight(database: Database) -> float:
    """Until the next UTC day begins, by the database's clock."""
    with database.read() as connection:
        at_ms = int(connection.execute(select(now_ms())).scalar_one())
    return DAY_SECONDS - (at_ms / 1000) % DAY_SECONDS + 1


def set_budget(database: Database, scope: str, cap_usd: float | None) -> None:
    """Give a scope its own cap; None: that of the settings."""
    with database.write() as connection:
        first = dialect_insert(database)(Budget).values(
            scope=scope, cap_usd=cap_usd, reserved_usd=0, spent_usd=0, updated_ms=now_ms()
        )
        changed = {"cap_usd": cap_usd, "updated_ms": now_ms()}
        connection.execute(first.on_conflict_do_update(index_elements=["scope"], set_=changed))


def budgets(database: Database, *, prefix: str = "") -> list[Spending]:
    """All budgets whose scope begins so."""
    query = select(*_COLUMNS).where(Budget.scope.startswith(prefix, autoescape=True)).order_by(Budget.scope)
    with database.read() as connection:
        return [_spending(row) for row in connection.execute(query)]


_COLUMNS = (Budget.scope, Budget.cap_usd, Budget.reserved_usd, Budget.spent_usd)


def _read(connection: Connection, scope: str) -> Spending:
    return _spending(connection.execute(select(*_COLUMNS).where(Budget.scope == scope)).one())


def _spending(row: tuple[str, float | None, float, float]) -> Spending:
    scope, cap, reserved, spent = row
    return Spending(scope, None if cap is None else float(cap), float(reserved), float(spent))
