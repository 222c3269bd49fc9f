"""What this server signs: sessions of browsers, their CSRF words, and links to files. Nothing of it is stored."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlencode

from database.engine import Database
from database.meta import server_key

COOKIE = "stagecrew"
SESSION_SECONDS = 12 * 3600
LONGEST_LINK_SECONDS = 7 * 24 * 3600


def open_session(database: Database, token_id: str) -> str:
    """The cookie of a browser that came with this token; it ends by itself, or when the token is revoked."""
    said = f"{token_id}.{int(time.time()) + SESSION_SECONDS}"
    return f"{said}.{_sign(database, 'session', said)}"


def session_token(database: Database, cookie: str) -> str | None:
    """The id of the token that opened this session; None when it is over, or was never opened."""
    said, _, signature = cookie.rpartition(".")
    token_id, _, ends = said.partition(".")
    if not _is_signed(database, "session", said, signature) or not _is_ahead(ends):
        return None
    return token_id


def csrf_of(database: Database, session: str) -> str:
    """The word that a page of this session sends back with each write."""
    return _sign(database, "csrf", session)


def sign_link(database: Database, sha256: str, seconds: float) -> str:
    """The query of a link to a file that is good for so many seconds."""
    ends = int(time.time() + min(seconds, LONGEST_LINK_SECONDS))
    return urlencode({"expires": ends, "signature": _sign(database, "file", f"{sha256}.{ends}")})


def is_link(database: Database, sha256: str, expires: str, signature: str) -> bool:
    """Whether we made this link, and it is still good."""
    return _is_signed(database, "file", f"{sha256}.{expires}", signature) and _is_ahead(expires)


def _is_ahead(ends: str) -> bool:
    return ends.isascii() and ends.isdecimal() and len(ends) < 13 and int(ends) > time.time()


def _is_signed(database: Database, kind: str, said: str, signature: str) -> bool:
    return hmac.compare_digest(_sign(database, kind, said).encode(), signature.encode())


def _sign(database: Database, kind: str, said: str) -> str:
    return hmac.new(server_key(database), f"{kind}:{said}".encode(), hashlib.sha256).hexdigest()
