"""What must happen later and elsewhere: written in the commit that decides it, delivered at least once under its id."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from database.engine import Database, now_ms
from database.statements import dialect_insert
from database.tables import Outbox

# A row that somebody took is nobody else's for so long; when its worker died, the next one delivers it.
TAKEN_MS = 30_000
LONGEST_PAUSE_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of the outbox."""

    id: str
    kind: str
    job_id: str | None
    payload: dict[str, Any]
    attempts: int


def post(database: Database, connection: Connection, kind: str, job_id: str, *facts: object, **payload: Any) -> None:
    """Put a letter into the outbox, in the commit of what it tells; the same facts make one letter."""
    letter_id = hashlib.sha256("\0".join([kind, job_id, *map(str, facts)]).encode()).hexdigest()
    letter = dialect_insert(database)(Outbox).values(
        id=letter_id,
        kind=kind,
        job_id=job_id,
        destination="",
        payload=payload,
        attempts=0,
        created_ms=now_ms(),
        due_ms=now_ms(),
    )
    connection.execute(letter.on_conflict_do_nothing(index_elements=["id"]))


def take_letters(database: Database, *, limit: int = 50) -> list[Letter]:
    """Letters that are due, the oldest first; for a while nobody else gets them."""
    due = (Outbox.delivered_ms.is_(None), Outbox.due_ms <= now_ms())
    with database.read() as connection:
        if connection.execute(select(Outbox.id).where(*due).limit(1)).first() is None:
            return []
    with database.write() as connection:
        chosen = select(Outbox.id).where(*due).order_by(Outbox.due_ms, Outbox.id).limit(limit)
        ids = list(connection.execute(chosen.with_for_update(skip_locked=True)).scalars())
        if not ids:
            return []
        columns = (Outbox.id, Outbox.kind, Outbox.job_id, Outbox.payload, Outbox.attempts)
        rows = connection.execute(
            update(Outbox)
            .where(Outbox.id.in_(ids))
            .values(due_ms=now_ms() + TAKEN_MS, attempts=Outbox.attempts + 1)
            .returning(*columns)
        )
        letters = {row.id: Letter(*row) for row in rows}
    return [letters[one] for one in ids]


def delivered(database: Database, letter_ids: Sequence[str]) -> None:
    """These letters have arrived."""
    if letter_ids:
        with database.write() as connection:
            connection.execute(delete(Outbox).where(Outbox.id.in_(list(letter_ids))))


def deferred(database: Database, letter: Letter, error: str) -> None:
    """A letter could not be delivered; it is tried again later, less and less often."""
    pause = min(LONGEST_PAUSE_MS, 1000 * 2 ** min(letter.attempts, 12))
    with database.write() as connection:
        connection.execute(
            update(Outbox).where(Outbox.id == letter.id).values(due_ms=now_ms() + pause, error=error[:1000])
        )


def count_letters(database: Database) -> int:
    """How many wait to be delivered."""
    with database.read() as connection:
        return int(connection.execute(select(func.count()).where(Outbox.delivered_ms.is_(None))).scalar_one())
