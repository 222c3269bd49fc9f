"""webhooks: who wants to be told, the messages and how they got there; and which results were fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Expand; older programs know none of it."""
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("job_id", sa.String(length=128), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=270), nullable=False),
        sa.Column("events", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("disabled_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    of_one_job = sa.text("job_id <> ''")
    with op.batch_alter_table("webhooks", schema=None) as batch_op:
        batch_op.create_index("ix_webhooks_tenant", ["tenant", "job_id"], unique=False)
        batch_op.create_index(
            "ix_webhooks_job", ["job_id"], unique=False, sqlite_where=of_one_job, postgresql_where=of_one_job
        )

    op.create_table(
        "webhook_secrets",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "secret", name=op.f("pk_webhook_secrets")),
    )
    op.create_table(
        "delivery_hosts",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("host", sa.String(length=270), nullable=False),
        sa.Column("free_ms", sa.BigInteger(), nullable=False),
        sa.Column("silences", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "host", name=op.f("pk_delivery_hosts")),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("webhook_id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("job_id", sa.String(length=128), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=270), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tries", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    pending, failed = sa.text("status = 'pending'"), sa.text("status = 'failed'")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_deliveries_due",
            ["tenant", "host", "due_ms"],
            unique=False,
            sqlite_where=pending,
            postgresql_where=pending,
        )
        batch_op.create_index(
            "ix_deliveries_failed", ["created_ms"], unique=False, sqlite_where=failed, postgresql_where=failed
        )
        batch_op.create_index("ix_deliveries_ended", ["ended_ms"], unique=False)
        batch_op.create_index("ix_deliveries_tenant_created", ["tenant", "created_ms"], unique=False)
        batch_op.create_index("ix_deliveries_created", ["created_ms"], unique=False)
        batch_op.create_index("ix_deliveries_job", ["job_id", "created_ms"], unique=False)

    op.add_column("jobs", sa.Column("fetched_ms", sa.BigInteger(), nullable=True))
    # What ended before anybody counted is nobody's business any more.
    op.execute("UPDATE jobs SET fetched_ms = finished_ms WHERE finished_ms IS NOT NULL")
    unread = sa.text("status = 'completed' AND fetched_ms IS NULL")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_unread", ["queue"], unique=False, sqlite_where=unread, postgresql_where=unread)
