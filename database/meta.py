"""Single facts about this database: whose store and queue belong to it, and how often the fleet has swept."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, select, update

from database.engine import Database, now_ms
from database.statements import dialect_insert
from database.tables import Meta
from errors import HostTrouble, Permanent

CANARY = "canary"
SILENT_MS = 120_000


def bind_store(database: Database, identity: str) -> None:
    """Tie the database to its artifact store; Permanent when it belongs to another one."""
    with database.write() as connection:
        known = _first(database, connection, "store_id", identity)
    if known != identity:
        raise Permanent("ARTIFACT_STORE is not the store that this database knows: its files would all be missing")


def database_id(database: Database) -> str:
    """A name that this database gave itself at its first use."""
    with database.read() as connection:
        known = connection.execute(select(Meta.value).where(Meta.name == "database_id")).scalar()
    if known is not None:
        return str(known)
    with database.write() as connection:
        return _first(database, connection, "database_id", secrets.token_hex(16))


def server_key(database: Database) -> bytes:
    """What this installation signs links and sessions with; made at its first use."""
    with database.read() as connection:
        known = connection.execute(select(Meta.value).where(Meta.name == "server_key")).scalar()
    if known is None:
        with database.write() as connection:
            known = _first(database, connection, "server_key", secrets.token_hex(32))
    return bytes.fromhex(str(known))


def canary(database: Database) -> int:
    """The number that Redis must not be below (see lua/canary.lua)."""
    with database.read() as connection:
        return int(connection.execute(select(Meta.value).where(Meta.name == CANARY)).scalar() or 0)


def raise_canary(database: Database, number: int) -> None:
    """From `number` to the next, unless somebody was faster."""
    with database.write() as connection:
        _first(database, connection, CANARY, "0")
        connection.execute(
            update(Meta).where(Meta.name == CANARY, Meta.value == str(number)).values(value=str(number + 1))
        )


def bind_host(database: Database, name: str, boot: str) -> None:
    """Note that this host uses this SQLite file; HostTrouble when another one does. Nothing to do for PostgreSQL.

    Containers share the boot of one kernel, and a reboot keeps the name. Called again and again: a host that was silent
    for SILENT_MS has left.
    """
    if not database.is_sqlite:
        return
    with database.write() as connection:
        now = int(connection.execute(select(now_ms())).scalar_one())
        known = _first(database, connection, "host", f"{name}\n{boot}\n{now}")
        other, other_boot, seen = known.split("\n")
        if other != name and other_boot != boot and now - int(seen) < SILENT_MS:
            raise HostTrouble(
                f"the SQLite database is used by the host {other} now, and serves one host only: "
                "set DATABASE_URL to a PostgreSQL that all hosts reach"
            )
        connection.execute(update(Meta).where(Meta.name == "host").values(value=f"{name}\n{boot}\n{now}"))


def _first(database: Database, connection: Connection, name: str, value: str) -> str:
    """Set a fact that nobody has set; what it is now."""
    first = dialect_insert(database)(Meta).values(name=name, value=value)
    connection.execute(first.on_conflict_do_nothing(index_elements=["name"]))
    return str(connection.execute(select(Meta.value).where(Meta.name == name)).scalar_one())
