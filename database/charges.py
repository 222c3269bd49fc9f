"""The ledger: one row a paid call, intent -> submitted -> settled, or void. Written call by call, never deleted.

The fence stops work, not book-keeping: a new intent needs the job's fence; what a worker learns of its own call it
records under any fence, by the call's key. A call whose answer comes after somebody else has written it off is an
orphan: recorded beside it, and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from database import statements
from database.budgets import reserve, scopes_of, spend
from database.engine import Database, now_ms
from database.guard import guard
from database.records import Holder
from database.tables import Charge, Job
from errors import InvalidInput
from states import DEAD

OPEN = ("intent", "submitted")
KEY_SHOWN = 12  # characters of a key that people see


@dataclass(frozen=True, slots=True)
class Intent:
    """A call that is about to be made."""

    key: str
    job_id: str
    stage: str
    item: str
    call: str
    number: int
    tenant: str
    provider: str
    request_digest: str
    most_usd: float
    price_table: str
    deadline_seconds: float


@dataclass(frozen=True, slots=True)
class ChargeRecord:
    """A row of the ledger; `age_seconds` since its intent, by the database's clock."""

    key: str
    job_id: str
    stage: str
    item: str
    call: str
    number: int
    tenant: str
    provider: str
    state: str
    external_id: str | None
    result: Any
    estimate_usd: float
    cost_usd: float | None
    cost_is_estimate: bool
    fence: int
    deadline_seconds: float
    doubt: str | None
    error: str | None
    intent_ms: int
    age_seconds: float


def charge_key(job_id: str, stage: str, item: str, call: str, request_digest: str, number: int) -> str:
    """The name of one call: the same call of a later try has the same; a call after a rejected answer has another."""
    parts = (job_id, stage, item, call, request_digest, str(number))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def find_charge(database: Database, key: str) -> ChargeRecord | None:
    """One call."""
    with database.read() as connection:
        row = connection.execute(select(*_COLUMNS).where(Charge.idem_key == key)).one_or_none()
    return _record(row) if row else None


def find_charge_by_start(database: Database, start: str) -> ChargeRecord:
    """One call by the beginning of its key, as people copy it; InvalidInput when none or several begin so."""
    query = select(*_COLUMNS).where(Charge.idem_key.startswith(start, autoescape=True)).limit(2)
    with database.read() as connection:
        rows = connection.execute(query).all()
    if len(rows) != 1 or len(start) < KEY_SHOWN:
        raise InvalidInput(
            f"charge {start!r}: {'several begin so' if rows else 'there is none'}; see `jobs.py costs --doubtful`"
        )
    return _record(rows[0])


def find_charges(database: Database, job_id: str) -> list[ChargeRecord]:
    """The calls of a job, in the order they were made."""
    query = select(*_COLUMNS).where(Charge.job_id == job_id).order_by(Charge.intent_ms, Charge.idem_key)
    with database.read() as connection:
        return [_record(row) for row in connection.execute(query)]


def known_external_ids(database: Database, provider: str, external_ids: list[str]) -> set[str]:
    """Those of a vendor's ids that some call has already."""
    query = select(Charge.external_id).where(Charge.provider == provider, Charge.external_id.in_(external_ids))
    with database.read() as connection:
        return {str(found) for found in connection.execute(query).scalars()}


def intend(database: Database, holder: Holder, intent: Intent, caps: Mapping[str, float | None]) -> bool:
    """Write the intent and reserve the most it can cost, in one commit under the job's fence; False when it was there.

    Fenced, or NoRoomError: nothing is written then.
    """
    with database.write() as connection:
        guard(connection, holder, statements.SPAWN)
        if connection.execute(select(Charge.state).where(Charge.idem_key == intent.key)).first():
            return False
        at_ms = int(connection.execute(select(now_ms())).scalar_one())
        reserve(database, connection, scopes_of(intent.job_id, intent.tenant, at_ms), caps, intent.most_usd)
        connection.execute(
            insert(Charge).values(
                idem_key=intent.key,
                job_id=intent.job_id,
                stage=intent.stage,
                item=intent.item,
                call=intent.call,
                try_number=intent.number,
                tenant=intent.tenant,
                provider=intent.provider,
                state="intent",
                request_digest=intent.request_digest,
                estimate_usd=intent.most_usd,
                price_table=intent.price_table,
                fence=holder.token,
                deadline_seconds=intent.deadline_seconds,
                intent_ms=at_ms,
            )
        )
    return True


def submit(database: Database, key: str, external_id: str) -> bool:
    """The vendor has taken the call under this id; False when the row says something else by now (an orphan)."""
    with database.write() as connection:
        done = connection.execute(
            update(Charge)
            .where(Charge.idem_key == key, Charge.state == "intent")
            .values(state="submitted", external_id=external_id, submitted_ms=now_ms(), doubt=None)
        ).rowcount
        if done:
            return True
        row = connection.execute(select(Charge.state, Charge.external_id).where(Charge.idem_key == key)).one()
        return bool(row.state in {"submitted", "settled"} and row.external_id == external_id)


def settle(
    database: Database,
    key: str,
    *,
    result: Any,
    cost_usd: float,
    is_estimate: bool,
    external_id: str | None = None,
    error: str | None = None,
) -> bool:
    """The answer and its cost, in one commit; False when the call was written off or answered before: an orphan.

    `error`: why the answer is useless although it is paid.
    """
    facts = {"result": result, "cost_usd": cost_usd, "cost_is_estimate": is_estimate, "error": error}
    with database.write() as connection:
        row = connection.execute(select(*_MONEY).where(Charge.idem_key == key).with_for_update()).one()
        if row.state in OPEN:
            connection.execute(
                update(Charge)
                .where(Charge.idem_key == key)
                .values(
                    **facts,
                    state="settled",
                    external_id=func.coalesce(external_id, Charge.external_id),
                    settled_ms=now_ms(),
                    doubt=None,
                )
            )
            _pay(connection, row, cost_usd, reserved=float(row.estimate_usd))
            return True
        if row.state == "settled" and (external_id is None or row.external_id == external_id):
            return True  # settled before: by us, when the reply was lost, or by who re-attached
        if _keep_orphan(connection, row, key, external_id, facts):
            _pay(connection, row, cost_usd, reserved=0.0)
        return False


def settle_unanswered(database: Database, key: str, cost_usd: float, reason: str) -> bool:
    """A call that was made, and whose answer nobody will have: its cost by estimate, and why; see `settle`."""
    nothing: dict[str, Any] = {"result": None, "files": {}}
    return settle(database, key, result=nothing, cost_usd=cost_usd, is_estimate=True, error=reason)


def void(database: Database, key: str, reason: str, *, doubt: str | None = None) -> bool:
    """The call was not made, or is written off (`doubt`: why nobody can be sure); its reservation comes back."""
    with database.write() as connection:
        row = connection.execute(select(*_MONEY).where(Charge.idem_key == key).with_for_update()).one()
        if row.state not in OPEN:
            return False
        connection.execute(
            update(Charge)
            .where(Charge.idem_key == key)
            .values(state="void", error=reason[:1000], doubt=doubt, settled_ms=now_ms())
        )
        _pay(connection, row, 0.0, reserved=float(row.estimate_usd))
        return True


def reject(database: Database, key: str, reason: str) -> None:
    """A paid answer turned out to be useless; it stays paid, and the next try asks anew."""
    with database.write() as connection:
        connection.execute(
            update(Charge).where(Charge.idem_key == key, Charge.state == "settled").values(error=reason[:1000])
        )


def doubt(database: Database, key: str, why: str) -> None:
    """Note of an open call that its answer is lost (`lost`), or that a person must decide (`parked`)."""
    with database.write() as connection:
        connection.execute(update(Charge).where(Charge.idem_key == key, Charge.state.in_(OPEN)).values(doubt=why))


def stage_cost(database: Database, job_id: str, stage: str, item: str) -> float:
    """What a stage, or item, has cost."""
    query = select(func.coalesce(func.sum(Charge.cost_usd), 0)).where(
        Charge.job_id == job_id, Charge.stage == stage, Charge.item == item, Charge.state == "settled"
    )
    with database.read() as connection:
        return float(connection.execute(query).scalar_one() or 0)


def has_open_calls(connection: Connection, job_id: str) -> bool:
    """Whether a job has calls under way, of which somebody must tell the vendor when it is cancelled."""
    query = select(Charge.idem_key).where(Charge.job_id == job_id, Charge.state.in_(OPEN)).limit(1)
    return connection.execute(query).first() is not None


def stray_calls(database: Database, *, cancelled_seconds: float, dead_seconds: float, limit: int = 100) -> list[str]:
    """Jobs that are over and have calls under way of which nobody will ask any more.

    A dead job is left for longer: when somebody retries it, it goes on with the calls that it has paid for.
    """
    ended = or_(
        Job.finished_ms < now_ms() - int(dead_seconds * 1000),
        and_(Job.status.not_in(DEAD), Job.finished_ms < now_ms() - int(cancelled_seconds * 1000)),
    )
    query = (
        select(Charge.job_id)
        .join(Job, Job.id == Charge.job_id)
        .where(Charge.state.in_(OPEN), Job.finished_ms.is_not(None), ended)
        .distinct()
        .limit(limit)
    )
    with database.read() as connection:
        return list(connection.execute(query).scalars())


_COLUMNS = (
    Charge.idem_key.label("key"),
    Charge.job_id,
    Charge.stage,
    Charge.item,
    Charge.call,
    Charge.try_number.label("number"),
    Charge.tenant,
    Charge.provider,
    Charge.state,
    Charge.external_id,
    Charge.result,
    Charge.estimate_usd,
    Charge.cost_usd,
    Charge.cost_is_estimate,
    Charge.fence,
    Charge.deadline_seconds,
    Charge.doubt,
    Charge.error,
    Charge.intent_ms,
    (now_ms() - Charge.intent_ms).label("age_seconds"),
)
_MONEY = (
    Charge.state,
    Charge.external_id,
    Charge.job_id,
    Charge.stage,
    Charge.item,
    Charge.call,
    Charge.try_number,
    Charge.tenant,
    Charge.provider,
    Charge.request_digest,
    Charge.estimate_usd,
    Charge.price_table,
    Charge.fence,
    Charge.intent_ms,
)


def _record(row: Any) -> ChargeRecord:
    facts: dict[str, Any] = row._asdict()
    return ChargeRecord(**facts | {"age_seconds": max(0.0, facts["age_seconds"] / 1000)})


def _pay(connection: Connection, row: Any, cost_usd: float, *, reserved: float) -> None:
    """Book what a call has cost, on its job and its budgets; whoever holds the job now."""
    spend(connection, scopes_of(row.job_id, row.tenant, row.intent_ms), reserved=reserved, cost=cost_usd)
    if cost_usd:
        connection.execute(update(Job).where(Job.id == row.job_id).values(cost_usd=Job.cost_usd + cost_usd))


def _keep_orphan(connection: Connection, row: Any, key: str, external_id: str | None, facts: dict[str, Any]) -> bool:
    """An answer that nobody waits for any more: it is paid all the same, and shown; False when it stands there already."""
    orphan = hashlib.sha256(f"{key}\0orphan\0{external_id}".encode()).hexdigest()
    if connection.execute(select(Charge.idem_key).where(Charge.idem_key == orphan)).first():
        return False
    copied = ("job_id", "stage", "item", "call", "try_number", "tenant", "provider", "request_digest", "price_table")
    connection.execute(
        insert(Charge).values(
            {name: getattr(row, name) for name in copied}
            | facts
            | {
                "idem_key": orphan,
                "state": "settled",
                "doubt": "orphan",
                "external_id": external_id,
                "estimate_usd": 0,
                "fence": row.fence,
                "intent_ms": row.intent_ms,
                "settled_ms": now_ms(),
            }
        )
    )
    return True
