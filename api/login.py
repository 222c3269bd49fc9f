"""A browser comes in with a token, and leaves."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from api.access import refuse_foreign
from api.pages import render
from api.problems import Problem
from api.sessions import COOKIE, SESSION_SECONDS, csrf_of, open_session
from database.tokens import find_token
from redis_client import redis_client

TRIES, TRIES_SECONDS, MOST_ADDRESSES = 10, 300.0, 10_000
router = APIRouter(include_in_schema=False)


class Tries:
    """How often each address has tried lately; in memory, since one process serves the pages."""

    def __init__(self) -> None:
        self._tries: dict[str, deque[float]] = defaultdict(deque)

    def add(self, address: str) -> bool:
        """Note a try; False when there were too many."""
        now = time.monotonic()
        if len(self._tries) > MOST_ADDRESSES:
            self._tries.clear()
        tries = self._tries[address]
        while tries and now - tries[0] > TRIES_SECONDS:
            tries.popleft()
        if len(tries) >= TRIES:
            return False
        tries.append(now)
        return True

    def forget(self, address: str) -> None:
        """They have come in."""
        self._tries.pop(address, None)


tries = Tries()


@router.get("/login")
def ask(request: Request, to: Annotated[str, Query(alias="next", max_length=300)] = "/") -> Response:
    """The page that asks for a token."""
    return render(request, "login.html", None, next=_own(to), wrong="")


@router.post("/login")
def come_in(
    request: Request,
    token: Annotated[str, Form(max_length=200)],
    to: Annotated[str, Form(alias="next", max_length=300)] = "/",
) -> Response:
    """Open a session for this browser."""
    refuse_foreign(request)
    address = request.client.host if request.client else ""
    if not tries.add(address):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many wrong tokens came from this address: wait five minutes",
            headers={"Retry-After": str(int(TRIES_SECONDS))},
        )
    found = find_token(redis_client.database, token.strip())
    if found is None:
        page = render(
            request, "login.html", None, next=_own(to), wrong="This token opens nothing: it is wrong or over."
        )
        page.status_code = HTTPStatus.UNAUTHORIZED
        return page
    tries.forget(address)
    answer = RedirectResponse(_own(to), HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        open_session(redis_client.database, found.id),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
def leave(request: Request, csrf: Annotated[str, Form(max_length=100)] = "") -> Response:
    """End the session of this browser."""
    refuse_foreign(request)
    session = request.cookies.get(COOKIE, "")
    if session and csrf != csrf_of(redis_client.database, session):
        raise Problem(HTTPStatus.FORBIDDEN, "this page is too old: load it again", kind="forged")
    answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE)
    return answer


def _own(path: str) -> str:
    """A path of ours; never another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
