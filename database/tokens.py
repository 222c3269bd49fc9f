"""Tokens of the HTTP interface: made once, kept as a digest, looked up at each request."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, or_, select, update

from database.engine import Database, now_ms
from database.tables import Token
from errors import InvalidInput

PREFIX = "sc"
SECRET_BYTES = 32
SCOPES = ("read", "submit", "admin")  # each may also do what those before it may


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token without its secret; `tenant` None: of all tenants, and of the fleet."""

    id: str
    name: str
    scope: str
    tenant: str | None


def create_token(
    database: Database, name: str, *, scope: str, tenant: str | None = None, seconds: float | None = None
) -> str:
    """Make a token that is good for so many seconds (None: until it is revoked); its text, which is kept nowhere."""
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    expires = None if seconds is None else now_ms() + int(seconds * 1000)
    row = {"id": token_id, "name": name, "digest": _digest(secret), "scope": scope, "tenant": tenant}
    with database.write() as connection:
        connection.execute(insert(Token).values(**row, created_ms=now_ms(), expires_ms=expires))
    return f"{PREFIX}_{token_id}_{secret}"


def find_token(database: Database, text: str) -> TokenRecord | None:
    """The living token of this text."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != PREFIX or not secret or not token_id.isalnum():
        return None
    row = _living(database, token_id)
    if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
        return None
    return TokenRecord(row.id, row.name, row.scope, row.tenant)


def living_token(database: Database, token_id: str) -> TokenRecord | None:
    """The token of this id, for a session that was opened with it."""
    row = _living(database, token_id)
    return None if row is None else TokenRecord(row.id, row.name, row.scope, row.tenant)


def list_tokens(database: Database) -> list[dict[str, Any]]:
    """All tokens, the newest first."""
    columns = [column for column in Token.__table__.columns if column.name != "digest"]
    with database.read() as connection:
        rows = connection.execute(select(*columns).order_by(Token.created_ms.desc(), Token.id)).mappings()
        return [dict(row) for row in rows]


def has_tokens(database: Database) -> bool:
    """Whether anybody could come in."""
    with database.read() as connection:
        return bool(connection.execute(select(func.count()).where(*_is_living())).scalar_one())


def revoke_token(database: Database, token_id: str) -> None:
    """From now on it opens nothing; InvalidInput when there is none of this id."""
    with database.write() as connection:
        found = connection.execute(
            update(Token).where(Token.id == token_id).values(revoked_ms=func.coalesce(Token.revoked_ms, now_ms()))
        )
    if not found.rowcount:
        raise InvalidInput(f"token={token_id!r} is unknown; see jobs.py token list")


def _is_living() -> tuple[Any, ...]:
    return Token.revoked_ms.is_(None), or_(Token.expires_ms.is_(None), Token.expires_ms > now_ms())


def _living(database: Database, token_id: str) -> Any:
    query = select(*Token.__table__.columns).where(Token.id == token_id, *_is_living())
    with database.read() as connection:
        return connection.execute(query).one_or_none()


def _digest(secret: str) -> str:
    # The secret is 256 bits of chance: nobody can guess it, so a slow hash would only slow requests down.
    return hashlib.sha256(secret.encode()).hexdigest()
