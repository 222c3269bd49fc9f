"""Who wants to be told of events, and the messages for them, written in the commits that make the events."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from database.engine import Database, from_json, now_ms
from database.prepared import Prepared
from database.statements import dialect_insert
from database.tables import Delivery, Job, Webhook, WebhookSecret
from errors import Unknown

SECRET_BYTES = 32
BEFORE_MS = 24 * 3600 * 1000  # for so long the secret before signs along
PING = "ping"


@dataclass(frozen=True, slots=True)
class Receiver:
    """An address that passed the door, and the events it wants."""

    url: str
    events: tuple[str, ...]


# The job with everything that a message tells of it, beside each receiver that may want it.
_RECEIVERS = Prepared(
    select(
        Webhook.id,
        Webhook.url,
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
        webhook_id, url, events, *told, result, created_ms, finished_ms, at_ms = row
        if event not in _plain(connection, events):
            continue
        data = {"job_id": job_id} | dict(zip(_TOLD, told, strict=True))
        data |= {"cost_usd": float(data["cost_usd"] or 0), "result": _plain(connection, result)}
        data |= {"created_ms": created_ms, "finished_ms": finished_ms, "detail": facts}
        _write(connection, webhook_id, data["tenant"], job_id, event, url, _body(f"job.{event}", at_ms, data))


def ping(database: Database, webhook_id: str, tenant: str | None) -> str:
    """Write a message that tells of nothing, to see whether it arrives; its id."""
    row = find_webhook(database, webhook_id, tenant)
    with database.write() as connection:
        at_ms = connection.execute(select(now_ms())).scalar_one()
        body = _body(PING, at_ms, {"webhook_id": webhook_id})
        return _write(connection, webhook_id, row["tenant"], "", PING, row["url"], body)


def add_receiver(connection: Connection, receiver: Receiver, *, tenant: str, job_id: str = "") -> str:
    """Keep a receiver, of a tenant or of one job, in a commit of the caller's; its id."""
    webhook_id = f"wh_{secrets.token_hex(8)}"
    connection.execute(
        insert(Webhook).values(
            id=webhook_id,
            tenant=tenant,
            job_id=job_id,
            url=receiver.url,
            events=list(receiver.events),
            created_ms=now_ms(),
        )
    )
    return webhook_id


def add_webhook(database: Database, receiver: Receiver, *, tenant: str) -> dict[str, Any]:
    """Keep a receiver of all jobs of a tenant."""
    with database.write() as connection:
        webhook_id = add_receiver(connection, receiver, tenant=tenant)
    return find_webhook(database, webhook_id, tenant)


def find_webhook(database: Database, webhook_id: str, tenant: str | None) -> dict[str, Any]:
    """One receiver; Unknown when this tenant (None: anybody) has none of this id."""
    query = select(*Webhook.__table__.columns).where(Webhook.id == webhook_id)
    with database.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    if row is None or tenant not in {None, row["tenant"]}:
        raise Unknown(f"webhook={webhook_id!r} is unknown; see GET /webhooks")
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
    """From now on it is told nothing; what is on its way is still delivered."""
    find_webhook(database, webhook_id, tenant)
    with database.write() as connection:
        connection.execute(delete(Webhook).where(Webhook.id == webhook_id))


def disable_webhook(database: Database, webhook_id: str) -> None:
    """Its receiver says that it is gone for good."""
    with database.write() as connection:
        connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(disabled_ms=now_ms()))


def secrets_of(database: Database, tenant: str) -> list[str]:
    """What the messages of a tenant are signed with, the newest first; made at the first question."""
    query = select(WebhookSecret.secret, WebhookSecret.before, (now_ms() - WebhookSecret.rotated_ms).label("age_ms"))
    query = query.where(WebhookSecret.tenant == tenant)
    with database.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        fresh = dialect_insert(database)(WebhookSecret).values(tenant=tenant, secret=_secret(), rotated_ms=now_ms())
        with database.write() as connection:
            connection.execute(fresh.on_conflict_do_nothing(index_elements=["tenant"]))
            row = connection.execute(query).one()
    return [row.secret, *([row.before] if row.before and row.age_ms < BEFORE_MS else [])]


def rotate_secret(database: Database, tenant: str) -> str:
    """A new secret; the one before signs along for a day, so that receivers can change without missing a message."""
    before, fresh = secrets_of(database, tenant)[0], _secret()
    with database.write() as connection:
        connection.execute(
            update(WebhookSecret)
            .where(WebhookSecret.tenant == tenant)
            .values(secret=fresh, before=before, rotated_ms=now_ms())
        )
    return fresh


def _write(connection: Connection, webhook_id: str, tenant: str, job_id: str, event: str, url: str, body: bytes) -> str:
    delivery_id = f"msg_{secrets.token_hex(12)}"
    connection.execute(
        insert(Delivery).values(
            id=delivery_id,
            webhook_id=webhook_id,
            tenant=tenant,
            job_id=job_id,
            event=event,
            url=url,
            host=urlsplit(url).netloc[:260],
            body=body.decode(),
            status="pending",
            attempts=0,
            tries=[],
            created_ms=now_ms(),
            due_ms=now_ms(),
        )
    )
    return delivery_id


def _body(kind: str, at_ms: int, data: dict[str, Any]) -> bytes:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": kind, "timestamp": at, "data": data}, option=orjson.OPT_NON_STR_KEYS)


def _plain(connection: Connection, value: Any) -> Any:
    """JSON of a prepared statement; SQLite's driver leaves it as text."""
    return from_json(value) if connection.dialect.name == "sqlite" and value is not None else value


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
