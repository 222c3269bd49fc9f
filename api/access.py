"""Who asks, and what they may: bearer tokens, sessions of browsers, and the open door of this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request

from api.problems import Problem
from api.sessions import COOKIE, csrf_of, session_token
from database.audit import write_audit
from database.jobs import find_job
from database.tokens import SCOPES, find_token, living_token
from errors import InvalidInput, UnknownJob
from redis_client import redis_client
from settings import get_settings, is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CSRF_HEADER = "x-csrf-token"
# What proxies add; somebody who comes through one is not on this machine.
PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `tenant` None: for all of them, and for the fleet. `session`: of a browser, "" for a program."""

    name: str
    scope: str
    tenant: str | None
    session: str = ""

    def may(self, scope: str) -> bool:
        """Whether this scope is within theirs."""
        return SCOPES.index(scope) <= SCOPES.index(self.scope)

    def job(self, job_id: str) -> dict[str, Any]:
        """The row of a job that they may see; to them, another tenant's job is none."""
        row = find_job(redis_client.database, job_id)
        if self.tenant not in {None, row["tenant"]}:
            raise UnknownJob(f"no job has the id {job_id!r}")
        return row

    def chosen_tenant(self, named: str | None) -> str:
        """The tenant that they act for."""
        if named is None:
            return self.tenant or DEFAULT_TENANT
        if self.tenant not in {None, named}:
            raise InvalidInput(f"tenant={named!r}: this token speaks for {self.tenant} alone; leave the tenant out")
        return named

    def seen_tenant(self, named: str | None) -> str | None:
        """The tenant whose things they look at; None: everybody's."""
        return named if self.tenant is None else self.chosen_tenant(named)

    def wrote(self, action: str, target: str, **data: Any) -> None:
        """Note what they have done."""
        write_audit(redis_client.database, self.name, self.tenant, action, target, data or None)


def is_open() -> bool:
    """Whether this machine's own people need no token."""
    settings = get_settings()
    return settings.api_auth == "auto" and is_loopback(settings.api_host)


def find_caller(request: Request) -> Caller | None:
    """Who asks: by their token, by their browser's session, or because this door is open; None: nobody known."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = find_token(redis_client.database, text.strip())
        return None if token is None else Caller(token.name, token.scope, token.tenant)
    session = request.cookies.get(COOKIE, "")
    if session and (token_id := session_token(redis_client.database, session)) is not None:
        token = living_token(redis_client.database, token_id)
        if token is not None:
            return Caller(token.name, token.scope, token.tenant, session)
    if is_open():
        _refuse_outsiders(request)
        return Caller("local", "admin", None)
    return None


def _refuse_outsiders(request: Request) -> None:
    """The open door is for people on this machine: not for who comes through a proxy on it, nor for another site's page.

    A page whose own name was resolved to this machine still says its name.
    """
    is_passed_on = any(name in request.headers for name in PASSED_ON)
    is_from_here = request.client is not None and is_loopback(request.client.host)
    if is_passed_on or not is_from_here or not is_loopback(_hostname(request.headers.get("host", ""))):
        raise Problem(
            HTTPStatus.MISDIRECTED_REQUEST,
            "without a token this door opens for people on this machine alone, at localhost; set API_AUTH=on behind a proxy",
        )


def _hostname(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def needs(scope: str, *, fleet: bool = False) -> Callable[[Request], Caller]:
    """A dependency: the caller, who may do this; `fleet`: who is bound to no tenant."""

    def check(request: Request) -> Caller:
        caller = find_caller(request)
        if caller is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "this needs a token: Authorization: Bearer sc_...; one is made by: jobs.py token create NAME",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not caller.may(scope):
            raise Problem(HTTPStatus.FORBIDDEN, f"this needs a token of scope {scope}; this one's is {caller.scope}")
        if fleet and caller.tenant is not None:
            raise Problem(HTTPStatus.FORBIDDEN, f"this token speaks for the jobs of {caller.tenant}, not for the fleet")
        if request.method not in SAFE_METHODS:
            refuse_forged(request, caller)
        return caller

    return check


def refuse_forged(request: Request, caller: Caller) -> None:
    """A write that another site makes a browser send is refused."""
    refuse_foreign(request)
    if caller.session and request.headers.get(CSRF_HEADER, "") != csrf_of(redis_client.database, caller.session):
        raise Problem(HTTPStatus.FORBIDDEN, "this page is too old: load it again", kind="forged")


def refuse_foreign(request: Request) -> None:
    """A write whose page is not ours is refused; a program says nothing of pages."""
    origin = request.headers.get("origin")
    is_foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
    if is_foreign or request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Problem(HTTPStatus.FORBIDDEN, "this comes from another site", kind="forged")


Reader = Annotated[Caller, Depends(needs("read"))]
Submitter = Annotated[Caller, Depends(needs("submit"))]
FleetReader = Annotated[Caller, Depends(needs("read", fleet=True))]
Operator = Annotated[Caller, Depends(needs("admin", fleet=True))]
