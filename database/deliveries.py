"""Messages on their way to receivers: taken by one worker at a time, tried for a day, and kept as a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, select, text, update

from database.engine import Database, now_ms
from database.tables import PENDING_ROWS, Delivery
from errors import Unknown

# What somebody took is nobody else's for so long; when its worker died, the next one sends it.
TAKEN_MS = 60_000
MOST_TRIES = 100  # that are remembered
PAGE = 500
State = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery that is to be sent now."""

    id: str
    webhook_id: str
    tenant: str
    job_id: str
    event: str
    url: str
    host: str
    body: str
    attempts: int
    tries: list[dict[str, Any]]


def take_messages(database: Database, *, limit: int) -> list[Message]:
    """Messages that are due, the oldest first; for a while nobody else gets them."""
    due = (text(PENDING_ROWS), Delivery.due_ms <= now_ms())
    with database.read() as connection:
        if connection.execute(select(Delivery.id).where(*due).limit(1)).first() is None:
            return []
    columns = [getattr(Delivery, name) for name in Message.__slots__]
    with database.write() as connection:
        chosen = select(Delivery.id).where(*due).order_by(Delivery.due_ms, Delivery.id).limit(limit)
        ids = list(connection.execute(chosen.with_for_update(skip_locked=True)).scalars())
        rows = connection.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids))
            .values(due_ms=now_ms() + TAKEN_MS, attempts=Delivery.attempts + 1)
            .returning(*columns)
        )
        found = {row.id: Message(*row) for row in rows}
    return [found[one] for one in ids]


def keep_try(
    database: Database, message: Message, tried: dict[str, Any], *, status: State, pause_seconds: float = 0.0
) -> None:
    """Note how a try went; a message that is still pending is due again after the pause."""
    values: dict[str, Any] = {"tries": [*message.tries, tried][-MOST_TRIES:], "status": status}
    if status == "pending":
        values["due_ms"] = now_ms() + int(pause_seconds * 1000)
    else:
        values["ended_ms"] = now_ms()
    with database.write() as connection:
        # Somebody may have sent it again meanwhile, and been heard: that stays.
        connection.execute(update(Delivery).where(Delivery.id == message.id, text(PENDING_ROWS)).values(values))


def put_back(database: Database, messages: list[Message], *, pause_seconds: float) -> None:
    """Messages that were taken and not tried, since their receiver's host does not answer; no try is counted."""
    with database.write() as connection:
        connection.execute(
            update(Delivery)
            .where(Delivery.id.in_([one.id for one in messages]), text(PENDING_ROWS))
            .values(due_ms=now_ms() + int(pause_seconds * 1000), attempts=Delivery.attempts - 1)
        )


def send_again(database: Database, delivery_id: str, tenant: str | None) -> None:
    """A person asks for a message again, under the same id."""
    find_delivery(database, delivery_id, tenant)
    with database.write() as connection:
        connection.execute(
            update(Delivery)
            .where(Delivery.id == delivery_id)
            .values(status="pending", attempts=0, due_ms=now_ms(), ended_ms=None)
        )


def find_delivery(database: Database, delivery_id: str, tenant: str | None) -> dict[str, Any]:
    """One delivery with its message; Unknown when this tenant (None: anybody) has none of this id."""
    with database.read() as connection:
        query = select(*Delivery.__table__.columns).where(Delivery.id == delivery_id)
        row = connection.execute(query).mappings().one_or_none()
    if row is None or tenant not in {None, row["tenant"]}:
        raise Unknown(f"delivery={delivery_id!r} is unknown; see GET /deliveries")
    return dict(row)


def list_deliveries(
    database: Database,
    tenant: str | None,
    *,
    job_id: str | None = None,
    status: State | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """The newest deliveries that match, newest first, without their messages."""
    columns = [column for column in Delivery.__table__.columns if column.name not in {"body", "host"}]
    query = select(*columns).order_by(Delivery.created_ms.desc(), Delivery.id)
    for column, value in ((Delivery.tenant, tenant), (Delivery.job_id, job_id), (Delivery.status, status)):
        if value is not None:
            query = query.where(column == value)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]


def forget_deliveries(database: Database, *, seconds: float) -> int:
    """Delete a page of those that ended so long ago; how many."""
    old = select(Delivery.id).where(Delivery.created_ms < now_ms() - int(seconds * 1000), Delivery.status != "pending")
    with database.write() as connection:
        gone = connection.execute(delete(Delivery).where(Delivery.id.in_(old.limit(PAGE))))
    return int(gone.rowcount)
