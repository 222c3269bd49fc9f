"""Messages on their way to receivers: a host at a time, tried for a day, and kept as a log.

Who sends takes a tenant's host, not a message: nobody else asks that host meanwhile, hosts take turns, and one that is
silent is left alone with all that waits for it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, exists, literal, select, text, update

from database.engine import Database, now_ms
from database.statements import dialect_insert
from database.tables import FAILED_ROWS, PENDING_ROWS, Delivery, DeliveryHost
from errors import InvalidInput, Unknown

DAY_MS = 24 * 3600 * 1000
MOST_TRIES = 100  # that are remembered
PAGE = 500
State = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Host:
    """A tenant's host that is ours for a while. `free_ms`: until when, and the proof that it is."""

    tenant: str
    host: str
    silences: int
    free_ms: int


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery that is to be sent now; it has not been moved as long as its `due_ms` is the same."""

    id: str
    webhook_id: str
    tenant: str
    job_id: str
    event: str
    url: str
    host: str
    body: str
    attempts: int
    due_ms: int


_OF_HOST = (Delivery.tenant == DeliveryHost.tenant, Delivery.host == DeliveryHost.host)


def take_host(database: Database, *, seconds: float, without: Collection[str] = ()) -> Host | None:
    """The host whose turn it is among those with messages that are due, but for some tenants; ours for so long."""
    is_due = exists().where(*_OF_HOST, text(PENDING_ROWS), Delivery.due_ms <= now_ms())
    query = select(DeliveryHost.tenant, DeliveryHost.host).where(DeliveryHost.free_ms <= now_ms(), is_due)
    query = query.where(DeliveryHost.tenant.not_in(list(without))).order_by(DeliveryHost.free_ms).limit(1)
    with database.read() as connection:
        if connection.execute(query).first() is None:
            return None
    with database.write() as connection:
        row = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
        if row is None:
            return None
        taken = connection.execute(
            update(DeliveryHost)
            .where(DeliveryHost.tenant == row.tenant, DeliveryHost.host == row.host)
            .values(free_ms=now_ms() + int(seconds * 1000))
            .returning(DeliveryHost.tenant, DeliveryHost.host, DeliveryHost.silences, DeliveryHost.free_ms)
        ).one()
    return Host(*taken)


def leave_host(database: Database, host: Host, *, silent: str | None, pause_seconds: float = 0.0) -> None:
    """Let others ask it, after a pause; `silent`: in which words it did not answer. Who lost it meanwhile moves nothing."""
    silences = 0 if silent is None else host.silences + 1
    with database.write() as connection:
        mine = connection.execute(
            update(DeliveryHost)
            .where(DeliveryHost.tenant == host.tenant, DeliveryHost.host == host.host)
            .where(DeliveryHost.free_ms == host.free_ms)
            .values(free_ms=now_ms() + int(pause_seconds * 1000), silences=silences)
        )
        if silent is not None and mine.rowcount:
            waiting = (Delivery.tenant == host.tenant, Delivery.host == host.host, text(PENDING_ROWS))
            connection.execute(update(Delivery).where(*waiting, Delivery.due_ms <= now_ms()).values(error=silent))


def next_message(database: Database, host: Host) -> Message | None:
    """The message to a host that has been due for longest."""
    columns = [getattr(Delivery, name) for name in Message.__slots__]
    due = (Delivery.tenant == host.tenant, Delivery.host == host.host, text(PENDING_ROWS), Delivery.due_ms <= now_ms())
    with database.read() as connection:
        row = connection.execute(select(*columns).where(*due).order_by(Delivery.due_ms, Delivery.id).limit(1)).first()
    return None if row is None else Message(*row)


def keep_try(
    database: Database, message: Message, tried: dict[str, Any], *, status: State, pause_seconds: float = 0.0
) -> bool:
    """Note how a try went; a message that is still pending is due again after the pause.

    False when somebody has moved it meanwhile (sent it again, removed its address): their word stays.
    """
    values: dict[str, Any] = {"status": status, "attempts": message.attempts + 1, "error": tried["error"] or None}
    if status == "pending":
        values["due_ms"] = now_ms() + int(pause_seconds * 1000)
    else:
        values["ended_ms"] = now_ms()
    mine = (Delivery.id == message.id, text(PENDING_ROWS), Delivery.due_ms == message.due_ms)
    with database.write() as connection:
        tries = connection.execute(select(Delivery.tries).where(*mine).with_for_update()).scalar_one_or_none()
        if tries is None:
            return False
        connection.execute(update(Delivery).where(*mine).values(tries=[*tries, tried][-MOST_TRIES:], **values))
    return True


def give_up_old(database: Database, host: Host) -> int:
    """End the messages to a host that have been tried for a day, or waited for it as long; how many."""
    old = (Delivery.tenant == host.tenant, Delivery.host == host.host, text(PENDING_ROWS))
    with database.write() as connection:
        found = connection.execute(
            update(Delivery)
            .where(*old, Delivery.asked_ms < now_ms() - DAY_MS)
            .values(status="failed", ended_ms=now_ms())
        )
    return int(found.rowcount)


def has_due(database: Database) -> bool:
    """Whether a message could be sent now."""
    is_due = exists().where(*_OF_HOST, text(PENDING_ROWS), Delivery.due_ms <= now_ms())
    with database.read() as connection:
        return bool(connection.execute(select(exists().where(DeliveryHost.free_ms <= now_ms(), is_due))).scalar())


def send_again(database: Database, delivery_id: str, tenant: str | None) -> None:
    """A person asks for a message again, under the same id. InvalidInput when it is on its way."""
    row = find_delivery(database, delivery_id, tenant)
    again = {"status": "pending", "attempts": 0, "asked_ms": now_ms(), "due_ms": now_ms(), "ended_ms": None}
    ended = (Delivery.id == delivery_id, Delivery.status != "pending")
    with database.write() as connection:
        if not connection.execute(update(Delivery).where(*ended).values(again)).rowcount:
            raise InvalidInput(f"delivery={delivery_id} is on its way already")
        # Somebody looks at it now: its host need not rest any longer.
        host = (DeliveryHost.tenant == row["tenant"], DeliveryHost.host == row["host"])
        connection.execute(update(DeliveryHost).where(*host, DeliveryHost.silences > 0).values(free_ms=0, silences=0))


def find_delivery(database: Database, delivery_id: str, tenant: str | None) -> dict[str, Any]:
    """One delivery with its message; Unknown when this tenant (None: anybody) has none of this id."""
    with database.read() as connection:
        query = select(*Delivery.__table__.columns).where(Delivery.id == delivery_id)
        row = connection.execute(query).mappings().one_or_none()
    if row is None or tenant not in {None, row["tenant"]}:
        raise Unknown(f"delivery={delivery_id!r} is unknown; the list of deliveries has all ids")
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
    if job_id is not None:
        query = query.where(Delivery.job_id == job_id)
    if tenant is not None:
        # Of one job there are few: its index is the better one, and SQLite would take the tenant's.
        query = query.where((Delivery.tenant if job_id is None else Delivery.tenant.concat("")) == tenant)
    if status is not None:
        query = query.where(text(FAILED_ROWS) if status == "failed" else Delivery.status == status)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query.limit(limit)).mappings()]


def forget_deliveries(database: Database, *, seconds: float) -> int:
    """Delete a page of those that ended so long ago; how many."""
    old = select(Delivery.id).where(Delivery.ended_ms < now_ms() - int(seconds * 1000)).limit(PAGE)
    with database.write() as connection:
        return int(connection.execute(delete(Delivery).where(Delivery.id.in_(old))).rowcount)


def tidy_hosts(database: Database) -> None:
    """Delete the hosts that nothing is on its way to; and note those that were deleted while a message was written."""
    waits = exists().where(*_OF_HOST, text(PENDING_ROWS))
    needed = select(Delivery.tenant, Delivery.host, literal(0), literal(0)).where(text(PENDING_ROWS)).distinct()
    noted = dialect_insert(database)(DeliveryHost).from_select(["tenant", "host", "free_ms", "silences"], needed)
    with database.write() as connection:
        connection.execute(delete(DeliveryHost).where(DeliveryHost.free_ms < now_ms() - DAY_MS, ~waits))
    with database.write() as connection:
        connection.execute(noted.on_conflict_do_nothing(index_elements=["tenant", "host"]))
