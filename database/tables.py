"""The tables: what exists, who owns it, what is done and what was paid. Times are UTC epoch milliseconds (`_ms`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from states import JobStatus

DEAD_ROWS = "status IN ('failed', 'quarantined', 'cancelled')"
UNREAD_ROWS = "status = 'completed' AND fetched_ms IS NULL"
PENDING_ROWS, FAILED_ROWS = "status = 'pending'", "status = 'failed'"


class Base(DeclarativeBase):
    """Every table; constraint names are fixed so that migrations can name them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # `Any` columns are JSON; money is exact.
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        Any: JSON(none_as_null=True),
    }


def _id(length: int = 128) -> Mapped[str]:
    return mapped_column(String(length), primary_key=True)


class Job(Base):
    """One run of one pipeline on one payload; `fence` only rises and every write of a worker carries it."""

    __tablename__ = "jobs"

    id: Mapped[str] = _id()
    pipeline: Mapped[str] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(64))
    tenant: Mapped[str] = mapped_column(String(128), default="default")
    priority: Mapped[str] = mapped_column(String(16), default="normal")
    payload: Mapped[dict[str, Any]]
    payload_digest: Mapped[str] = mapped_column(String(64))
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)  # reuse, stop_after, max_cost_usd, fallback ...
    providers: Mapped[dict[str, Any] | None]  # capability -> provider, resolved at the first begin and kept
    groups: Mapped[list[str] | None]

    status: Mapped[str] = mapped_column(String(16), default=JobStatus.PENDING)
    run: Mapped[int] = mapped_column(Integer, default=1)  # rises when a person asks for the job again
    stage: Mapped[str | None] = mapped_column(String(64))
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    attempt: Mapped[int] = mapped_column(Integer, default=0)  # failed tries of the stage in trouble
    crashes: Mapped[int] = mapped_column(Integer, default=0)
    begins: Mapped[int] = mapped_column(Integer, default=0)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    owner: Mapped[str | None] = mapped_column(String(128))
    in_flight: Mapped[bool] = mapped_column(Boolean, default=False)
    cancel_requested: Mapped[bool] = mapped_column(Boolean, default=False)
    not_before_ms: Mapped[int | None] = mapped_column(BigInteger)
    waiting_for: Mapped[str | None] = mapped_column(String(256))  # what a waiting job waits on, for `why`

    error_class: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)
    error_stage: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(Text)  # a traceback, for --debug and admins
    log_tail: Mapped[str | None] = mapped_column(Text)
    result: Mapped[Any | None]
    cost_usd: Mapped[float] = mapped_column(Numeric(12, 6, asdecimal=False), default=0)

    parent_id: Mapped[str | None] = mapped_column(String(128))
    on_child_failure: Mapped[str | None] = mapped_column(String(16))
    open_children: Mapped[int] = mapped_column(Integer, default=0)
    then: Mapped[Any | None]  # the next job of a chain
    replay_of: Mapped[str | None] = mapped_column(String(128))
    replay_from: Mapped[str | None] = mapped_column(String(64))

    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)
    reconciled_ms: Mapped[int | None] = mapped_column(BigInteger)
    started_ms: Mapped[int | None] = mapped_column(BigInteger)
    finished_ms: Mapped[int | None] = mapped_column(BigInteger)
    fetched_ms: Mapped[int | None] = mapped_column(BigInteger)  # when its result was first asked for

    __table_args__ = (
        # Open rows only: a status that changes costs no index, and a reconciler never reads ended jobs.
        Index(
            "ix_jobs_open", "id", sqlite_where=text("finished_ms IS NULL"), postgresql_where=text("finished_ms IS NULL")
        ),
        # The few among many that people look for; the states of all others are read from the open rows.
        Index("ix_jobs_dead", "status", "created_ms", sqlite_where=text(DEAD_ROWS), postgresql_where=text(DEAD_ROWS)),
        Index("ix_jobs_unread", "queue", sqlite_where=text(UNREAD_ROWS), postgresql_where=text(UNREAD_ROWS)),
        Index("ix_jobs_tenant_created", "tenant", "created_ms"),
        Index("ix_jobs_pipeline_created", "pipeline", "created_ms"),
        Index("ix_jobs_created", "created_ms"),
        Index(
            "ix_jobs_parent",
            "parent_id",
            sqlite_where=text("parent_id IS NOT NULL"),
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
    )


class Stage(Base):
    """The checkpoint of one stage, or of one item of it (`item` is "" for a stage without items)."""

    __tablename__ = "stages"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = _id(64)
    item: Mapped[str] = _id(64)
    status: Mapped[str] = mapped_column(String(16))
    attempt: Mapped[int] = mapped_column(Integer, default=0)
    result: Mapped[Any | None]
    provider: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[str | None] = mapped_column(String(32))
    tenant: Mapped[str] = mapped_column(String(128), default="default")
    cache_key: Mapped[str | None] = mapped_column(String(64))
    reused_from: Mapped[str | None] = mapped_column(String(128))
    cost_usd: Mapped[float] = mapped_column(Numeric(12, 6, asdecimal=False), default=0)
    error_class: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)
    worker_id: Mapped[str | None] = mapped_column(String(128))
    run: Mapped[int] = mapped_column(Integer, default=1)
    executions: Mapped[int] = mapped_column(Integer, default=1)  # how often the work itself was done
    started_ms: Mapped[int | None] = mapped_column(BigInteger)
    finished_ms: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        Index(
            "ix_stages_cache",
            "cache_key",
            sqlite_where=text("cache_key IS NOT NULL"),
            postgresql_where=text("cache_key IS NOT NULL"),
        ),
        # Found by its whole key only: one tree instead of two.
        {"sqlite_with_rowid": False},
    )


class Charge(Base):
    """One paid call with its answer: intent -> submitted -> settled, or void. Never deleted."""

    __tablename__ = "charges"

    idem_key: Mapped[str] = _id(64)
    job_id: Mapped[str] = mapped_column(String(128), index=True)
    stage: Mapped[str] = mapped_column(String(64))
    item: Mapped[str] = mapped_column(String(64), default="")
    call: Mapped[str] = mapped_column(String(64))
    try_number: Mapped[int] = mapped_column(Integer, default=1)
    tenant: Mapped[str] = mapped_column(String(128), default="default")
    provider: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), index=True)
    request_digest: Mapped[str] = mapped_column(String(64))
    external_id: Mapped[str | None] = mapped_column(String(256))
    result: Mapped[Any | None]
    estimate_usd: Mapped[float] = mapped_column(Numeric(12, 6, asdecimal=False), default=0)
    cost_usd: Mapped[float | None] = mapped_column(Numeric(12, 6, asdecimal=False))
    cost_is_estimate: Mapped[bool] = mapped_column(Boolean, default=False)
    price_table: Mapped[str | None] = mapped_column(String(64))
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    deadline_seconds: Mapped[float | None] = mapped_column(Float)
    doubt: Mapped[str | None] = mapped_column(String(32))
    error: Mapped[str | None] = mapped_column(Text)
    intent_ms: Mapped[int] = mapped_column(BigInteger)
    submitted_ms: Mapped[int | None] = mapped_column(BigInteger)
    settled_ms: Mapped[int | None] = mapped_column(BigInteger)


class Budget(Base):
    """A cap on spending of one scope (`job:ID`, `tenant:NAME`, `day:2026-01-31`): reserved + spent never pass it."""

    __tablename__ = "budgets"

    scope: Mapped[str] = _id(160)
    cap_usd: Mapped[float | None] = mapped_column(Numeric(12, 6, asdecimal=False))
    reserved_usd: Mapped[float] = mapped_column(Numeric(12, 6, asdecimal=False), default=0)
    spent_usd: Mapped[float] = mapped_column(Numeric(12, 6, asdecimal=False), default=0)
    updated_ms: Mapped[int] = mapped_column(BigInteger)


class StoredArtifact(Base):
    """A file in the artifact store; collection marks it, waits, checks again and deletes."""

    __tablename__ = "artifacts"

    sha256: Mapped[str] = _id(64)
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(128))
    name: Mapped[str] = mapped_column(String(256), default="")
    created_ms: Mapped[int] = mapped_column(BigInteger)
    marked_ms: Mapped[int | None] = mapped_column(BigInteger)


class ArtifactUse(Base):
    """A tenant's job that refers to an artifact; touched in the commit that refers to it."""

    __tablename__ = "artifact_uses"

    tenant: Mapped[str] = _id()
    sha256: Mapped[str] = _id(64)
    job_id: Mapped[str] = _id()
    touched_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_artifact_uses_sha256", "sha256"), Index("ix_artifact_uses_job", "job_id"))


class Event(Base):
    """A change of state, written in the commit that made it."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(128), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    status: Mapped[str | None] = mapped_column(String(16))
    stage: Mapped[str | None] = mapped_column(String(64))
    worker_id: Mapped[str | None] = mapped_column(String(128))
    data: Mapped[dict[str, Any] | None]
    at_ms: Mapped[int] = mapped_column(BigInteger)


class Control(Base):
    """What a person switched: kind "pause" (name: a queue, pipeline:NAME or tenant:NAME), "limit", "rate", "weight"."""

    __tablename__ = "controls"

    kind: Mapped[str] = _id(32)
    name: Mapped[str] = _id(160)
    value: Mapped[str] = mapped_column(String(64), default="")
    reason: Mapped[str] = mapped_column(Text, default="")
    by: Mapped[str] = mapped_column(String(128), default="")
    at_ms: Mapped[int] = mapped_column(BigInteger)


class Outbox(Base):
    """What must happen later and elsewhere; delivered at least once under its id."""

    __tablename__ = "outbox"

    id: Mapped[str] = _id(64)
    kind: Mapped[str] = mapped_column(String(32))
    job_id: Mapped[str | None] = mapped_column(String(128), index=True)
    destination: Mapped[str] = mapped_column(Text, default="")
    payload: Mapped[dict[str, Any]]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    due_ms: Mapped[int] = mapped_column(BigInteger)
    delivered_ms: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("ix_outbox_due", "delivered_ms", "due_ms"),)


class Schedule(Base):
    """A cron rule: each due tick enqueues one job whose id is made of name and tick."""

    __tablename__ = "schedules"

    name: Mapped[str] = _id(64)
    cron: Mapped[str] = mapped_column(String(128))
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    pipeline: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]]
    overlap: Mapped[str] = mapped_column(String(16), default="skip")
    catch_up: Mapped[str] = mapped_column(String(16), default="last")
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    last_tick: Mapped[str | None] = mapped_column(String(32))


class Token(Base):
    """Who may use the HTTP interface, and for what; of its secret only the sha256 is kept."""

    __tablename__ = "tokens"

    id: Mapped[str] = _id(32)
    name: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(16))
    tenant: Mapped[str | None] = mapped_column(String(128))  # None: all of them, and the fleet
    created_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int | None] = mapped_column(BigInteger)
    revoked_ms: Mapped[int | None] = mapped_column(BigInteger)


class Audit(Base):
    """A write that somebody asked for through the HTTP interface."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    caller: Mapped[str] = mapped_column(String(128))
    tenant: Mapped[str | None] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(160), default="")
    data: Mapped[dict[str, Any] | None]


class Webhook(Base):
    """Where a tenant, or one job alone (`job_id`; "" for all), wants to be told of events."""

    __tablename__ = "webhooks"

    id: Mapped[str] = _id(32)
    tenant: Mapped[str] = mapped_column(String(128))
    job_id: Mapped[str] = mapped_column(String(128), default="")
    url: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(String(270))  # and its port
    events: Mapped[list[str]]
    created_ms: Mapped[int] = mapped_column(BigInteger)
    disabled_ms: Mapped[int | None] = mapped_column(BigInteger)  # the receiver said that it is gone

    __table_args__ = (
        Index("ix_webhooks_tenant", "tenant", "job_id"),
        Index("ix_webhooks_job", "job_id", sqlite_where=text("job_id <> ''"), postgresql_where=text("job_id <> ''")),
    )


class WebhookSecret(Base):
    """What the messages of a tenant are signed with; one that was changed signs along until it `expires`."""

    __tablename__ = "webhook_secrets"

    tenant: Mapped[str] = _id()
    secret: Mapped[str] = _id(64)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int | None] = mapped_column(BigInteger)


class DeliveryHost(Base):
    """A host that a tenant's messages go to: from when on it may be asked, and how often in a row it was silent."""

    __tablename__ = "delivery_hosts"

    tenant: Mapped[str] = _id()
    host: Mapped[str] = _id(270)
    free_ms: Mapped[int] = mapped_column(BigInteger)
    silences: Mapped[int] = mapped_column(Integer, default=0)


class Delivery(Base):
    """One message to one receiver: written in the commit of the event it tells of, kept as a log of how it got there.

    `asked_ms` is from when its day counts; `due_ms` is also what a sender shows to prove that nobody else has moved it.
    """

    __tablename__ = "deliveries"

    id: Mapped[str] = _id(64)
    webhook_id: Mapped[str] = mapped_column(String(32))
    tenant: Mapped[str] = mapped_column(String(128))
    job_id: Mapped[str] = mapped_column(String(128))
    event: Mapped[str] = mapped_column(String(32))
    url: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(String(270))
    body: Mapped[str] = mapped_column(Text)  # as it is signed
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # since it was last asked for
    tries: Mapped[Any]  # of each: at_ms, status (of HTTP, or null), seconds, error
    error: Mapped[str | None] = mapped_column(Text)  # why it is not there yet
    created_ms: Mapped[int] = mapped_column(BigInteger)
    asked_ms: Mapped[int] = mapped_column(BigInteger)
    due_ms: Mapped[int] = mapped_column(BigInteger)
    ended_ms: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        Index(
            "ix_deliveries_due",
            *("tenant", "host", "due_ms"),
            sqlite_where=text(PENDING_ROWS),
            postgresql_where=text(PENDING_ROWS),
        ),
        Index("ix_deliveries_failed", "created_ms", sqlite_where=text(FAILED_ROWS), postgresql_where=text(FAILED_ROWS)),
        Index("ix_deliveries_ended", "ended_ms"),
        Index("ix_deliveries_tenant_created", "tenant", "created_ms"),
        Index("ix_deliveries_created", "created_ms"),
        Index("ix_deliveries_job", "job_id", "created_ms"),
    )


class Meta(Base):
    """Single facts about this database: the artifact store's id, the canary's number."""

    __tablename__ = "meta"

    name: Mapped[str] = _id(64)
    value: Mapped[str] = mapped_column(Text)
