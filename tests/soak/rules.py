"""Rules that no write may break, watched by the database itself: triggers note what should not be."""

from __future__ import annotations

from sqlalchemy import text

from database.engine import Database

ENDED = "('completed', 'failed', 'cancelled', 'quarantined')"
DEAD = "('failed', 'quarantined')"
# A person's retry opens an ended job again under the next run, and giving a dead child up changes it in its place.
RULES = {
    "the fence fell": (
        "UPDATE OF fence ON jobs",
        "NEW.fence < OLD.fence",
        "OLD.id || ': ' || OLD.fence || ' -> ' || NEW.fence",
    ),
    "an ended job changed": (
        "UPDATE OF status ON jobs",
        f"OLD.status IN {ENDED} AND NEW.run = OLD.run AND NOT (OLD.status IN {DEAD} AND NEW.status = 'cancelled')",
        "OLD.id || ': ' || OLD.status || ' -> ' || NEW.status",
    ),
    "a finished stage was written again": (
        "UPDATE ON stages",
        "OLD.status = 'completed' AND (NEW.executions <> OLD.executions OR NEW.status <> OLD.status)",
        "OLD.job_id || '/' || OLD.stage || '/' || OLD.item",
    ),
    "progress fell": (
        "UPDATE OF progress ON jobs",
        "NEW.progress < OLD.progress AND NEW.run = OLD.run",
        "OLD.id || ': ' || OLD.progress || ' -> ' || NEW.progress",
    ),
}


def watch_rows(database: Database) -> None:
    """Let SQLite note every broken rule; on PostgreSQL the counts at the end have to do."""
    if not database.is_sqlite:
        return
    with database.write() as connection:
        connection.execute(text("CREATE TABLE broken_rules (rule TEXT, what TEXT)"))
        for number, (rule, (event, condition, what)) in enumerate(RULES.items()):
            connection.execute(
                text(
                    f"CREATE TRIGGER watch_{number} BEFORE {event} WHEN {condition} "
                    f"BEGIN INSERT INTO broken_rules VALUES ('{rule}', {what}); END".replace(":", "\\:")
                )
            )


def broken_rules(database: Database) -> list[str]:
    """What was noted."""
    if not database.is_sqlite:
        return []
    with database.read() as connection:
        return [f"{row.rule}: {row.what}" for row in connection.execute(text("SELECT rule, what FROM broken_rules"))]
