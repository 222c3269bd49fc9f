"""Who wants to be told of events, and the messages for them, written in the commits that make the events."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, or_, select, text, update

from database.engine import Database, from_json, now_ms
from database.prepared import Prepared
from database.statements import dialect_insert
from database.tables import PENDING_ROWS, Delivery, DeliveryHost, Job, Webhook, WebhookSecret
from errors import InvalidInput, Taken, Unknown

SECRET_BYTES = 32
BEFORE_MS = 24 * 3600 * 1000  # for so long a secret that was changed signs along
MOST_SECRETS = 5  # at a time: each signs each message
MOST_RECEIVERS = 20  # of a tenant: each gets a copy of each message, in the commit of the event
MOST_BYTES = 256 * 1024  # of a message; a longer one leaves the result out
PING = "ping"


@dataclass(frozen=True, slots=True)
class Receiver:
    """An address that passed the door, its host:port, and the events it wants."""

    url: str
    host: str
    events: tuple[str, ...]


# The job with everything that a message tells of it, beside each receiver that may want it.
_RECEIVERS = Prepared(
    select(
        Webhook.id,
        Webhook.url,
        Webhook.host,
        Webhook.events,
        Job.tenant,
        Job.pipeline,
        Job.queue,
        Job.status,
        Job.stage,
        Job.progress,
        Job.run,
        Job.cost_usd,
        Job.error_class,
        Job.error,
        Job.result,
        Job.created_ms,
        Job.finished_ms,
        now_ms().label("at_ms"),
    )
    .join(Webhook, Webhook.tenant == Job.tenant)
    .where(
        Job.id == bindparam("b_id"),
        or_(Webhook.job_id == "", Webhook.job_id == bindparam("b_id")),
        Webhook.disabled_ms.is_(None),
    )
)
_TOLD = ("tenant", "pipeline", "queue", "status", "stage", "progress", "run", "cost_usd", "error_class", "error")


def tell(connection: Connection, job_id: str, event: str, facts: dict[str, Any] | None = None) -> None:
    """Write a message for everybody who wants this event of this job."""
    for row in _RECEIVERS.run(connection, {"b_id": job_id}).fetchall():
        webhook_id, url, host, events, *told, result, created_ms, finished_ms, at_ms = row
        if event not in _plain(connection, events):
            continue
        data = {"job_id": job_id} | dict(zip(_TOLD, told, strict=True))
        data |= {"cost_usd": float(data["cost_usd"] or 0), "result": _plain(connection, result)}
        data |= {"created_ms": created_ms, "finished_ms": finished_ms, "detail": facts}
        _write(connection, webhook_id, data["tenant"], job_id, event, url, host, _body(f"job.{event}", at_ms, data))


def ping(database: Database, webhook_id: str, tenant: str | None) -> str:
    """Write a message that tells of nothing, to see whether it arrives; its id. InvalidInput when one is on its way."""
    row = find_webhook(database, webhook_id, tenant)
    if row["disabled_ms"] is not None:
        raise InvalidInput(f"webhook={webhook_id}: its receiver said that it is gone; remove it and add it anew")
    on_its_way = select(Delivery.id).where(
        *(Delivery.tenant == row["tenant"], Delivery.host == row["host"], text(PENDING_ROWS)),
        *(Delivery.webhook_id == webhook_id, Delivery.event == PING),
    )
    with database.write() as connection:
        if connection.execute(on_its_way.limit(1)).first() is not None:
            raise InvalidInput(f"webhook={webhook_id}: a message to try it is on its way already")
        at_ms = connection.execute(select(now_ms())).scalar_one()
        body = _body(PING, at_ms, {"webhook_id": webhook_id})
        return _write(connection, webhook_id, row["tenant"], "", PING, row["url"], row["host"], body)


def add_receiver(connection: Connection, receiver: Receiver, *, tenant: str, job_id: str = "") -> str:
    """Keep a receiver, of a tenant or of one job, in a commit of the caller's; its id."""
    webhook_id = f"wh_{secrets.token_hex(8)}"
    connection.execute(
        insert(Webhook).values(
            id=webhook_id,
            tenant=tenant,
            job_id=job_id,
            url=receiver.url,
            host=receiver.host,
            events=list(receiver.events),
            created_ms=now_ms(),
        )
    )
    return webhook_id


def add_webhook(database: Database, receiver: Receiver, *, tenant: str) -> dict[str, Any]:
    """Keep a receiver of all jobs of a tenant. Errors: Taken (this address has been added), InvalidInput (too many)."""
    mine = (Webhook.tenant == tenant, Webhook.job_id == "")
    with database.write() as connection:
        known = connection.execute(select(Webhook.url, Webhook.disabled_ms).where(*mine)).all()
        if any(one.url == receiver.url and one.disabled_ms is None for one in known):
            raise Taken("webhook.url: this address has been added already")
        if len(known) >= MOST_RECEIVERS:
            raise InvalidInput(f"tenant={tenant} has {MOST_RECEIVERS} webhooks, the most there may be; remove one")
        webhook_id = add_receiver(connection, receiver, tenant=tenant)
    return find_webhook(database, webhook_id, tenant)


def receiver_of(database: Database, job_id: str) -> Receiver | None:
    """Who is told of this job alone."""
    query = select(Webhook.url, Webhook.host, Webhook.events).where(Webhook.job_id == job_id, Webhook.job_id != "")
    with database.read() as connection:
        row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else Receiver(row.url, row.host, tuple(row.events))


def add_to_job(database: Database, receiver: Receiver, *, tenant: str, job_id: str) -> None:
    """Keep a receiver of a job that is there already, unless it has one."""
    query = select(Webhook.id).where(Webhook.job_id == job_id, Webhook.job_id != "")
    with database.write() as connection:
        if connection.execute(query.limit(1)).first() is None:
            add_receiver(connection, receiver, tenant=tenant, job_id=job_id)


def find_webhook(database: Database, webhook_id: str, tenant: str | None) -> dict[str, Any]:
    """One receiver; Unknown when this tenant (None: anybody) has none of this id."""
    query = select(*Webhook.__table__.columns).where(Webhook.id == webhook_id)
    with database.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None or tenant not in {None, row["tenant"]}:
        raise Unknown(f"webhook={webhook_id!r} is unknown; the list of webhooks has all ids")
    return dict(row)


def list_webhooks(database: Database, tenant: str | None, *, limit: int = 500) -> list[dict[str, Any]]:
    """The receivers of a tenant (None: of all) but for those of single jobs, the newest first."""
    query = select(*Webhook.__table__.columns).where(Webhook.job_id == "")
    if tenant is not None:
        query = query.where(Webhook.tenant == tenant)
    with database.read() as connection:
        rows = connection.execute(query.order_by(Webhook.created_ms.desc(), Webhook.id).limit(limit)).mappings()
        return [dict(row) for row in rows]


def remove_webhook(database: Database, webhook_id: str, tenant: str | None) -> None:
    """From now on it is told nothing, neither what is on its way."""
    row = find_webhook(database, webhook_id, tenant)
    with database.write() as connection:
        connection.execute(delete(Webhook).where(Webhook.id == webhook_id))
        _drop(connection, row["tenant"], row["host"], webhook_id, "its address was removed")


def disable_webhook(database: Database, tenant: str, host: str, webhook_id: str) -> None:
    """Its receiver says that it is gone for good."""
    with database.write() as connection:
        connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(disabled_ms=now_ms()))
        _drop(connection, tenant, host, webhook_id, "the receiver answered 410: it is gone")


def _drop(connection: Connection, tenant: str, host: str, webhook_id: str, reason: str) -> None:
    connection.execute(
        update(Delivery)
        .where(Delivery.tenant == tenant, Delivery.host == host, text(PENDING_ROWS), Delivery.webhook_id == webhook_id)
        .values(status="failed", error=reason, ended_ms=now_ms())
    )


def secrets_of(database: Database, tenant: str) -> list[str]:
    """What the messages of a tenant are signed with, the newest first; made at the first question."""
    with database.read() as connection:
        found = _living_secrets(connection, tenant)
    if not found:
        with database.write() as connection:
            if not (found := _living_secrets(connection, tenant)):
                _add_secret(connection, tenant)
                found = _living_secrets(connection, tenant)
    return found


def rotate_secret(database: Database, tenant: str) -> str:
    """A new secret; those before sign along for a day, so that receivers can change without missing a message.

    InvalidInput when it was changed too often within the day.
    """
    secrets_of(database, tenant)
    with database.write() as connection:
        if len(_living_secrets(connection, tenant)) >= MOST_SECRETS:
            raise InvalidInput(f"tenant={tenant}: its secret was changed {MOST_SECRETS - 1} times within a day; wait")
        connection.execute(
            update(WebhookSecret)
            .where(WebhookSecret.tenant == tenant, WebhookSecret.expires_ms.is_(None))
            .values(expires_ms=now_ms() + BEFORE_MS)
        )
        return _add_secret(connection, tenant)


def _living_secrets(connection: Connection, tenant: str) -> list[str]:
    is_living = or_(WebhookSecret.expires_ms.is_(None), WebhookSecret.expires_ms > now_ms())
    query = select(WebhookSecret.secret).where(WebhookSecret.tenant == tenant, is_living)
    newest = (WebhookSecret.expires_ms.is_(None).desc(), WebhookSecret.created_ms.desc(), WebhookSecret.secret)
    return list(connection.execute(query.order_by(*newest)).scalars())


def _add_secret(connection: Connection, tenant: str) -> str:
    fresh = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    connection.execute(insert(WebhookSecret).values(tenant=tenant, secret=fresh, created_ms=now_ms()))
    return fresh


def _write(
    connection: Connection, webhook_id: str, tenant: str, job_id: str, event: str, url: str, host: str, body: bytes
) -> str:
    delivery_id = f"msg_{secrets.token_hex(12)}"
    _note_host(connection, tenant, host)
    connection.execute(
        insert(Delivery).values(
            id=delivery_id,
            webhook_id=webhook_id,
            tenant=tenant,
            job_id=job_id,
            event=event,
            url=url,
            host=host,
            body=body.decode(),
            status="pending",
            attempts=0,
            tries=[],
            created_ms=now_ms(),
            asked_ms=now_ms(),
            due_ms=now_ms(),
        )
    )
    return delivery_id


def _note_host(connection: Connection, tenant: str, host: str) -> None:
    known = dialect_insert(connection)(DeliveryHost).values(tenant=tenant, host=host, free_ms=0, silences=0)
    connection.execute(known.on_conflict_do_nothing(index_elements=["tenant", "host"]))


def _body(kind: str, at_ms: int, data: dict[str, Any]) -> bytes:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    whole = orjson.dumps({"type": kind, "timestamp": at, "data": data}, option=orjson.OPT_NON_STR_KEYS)
    if len(whole) <= MOST_BYTES or "result" not in data:
        return whole
    return _body(kind, at_ms, {name: value for name, value in data.items() if name not in {"result", "detail"}})


def _plain(connection: Connection, value: Any) -> Any:
    """JSON of a prepared statement; SQLite's driver leaves it as text."""
    return from_json(value) if connection.dialect.name == "sqlite" and value is not None else value
