"""Errors in the form of RFC 9457: one sentence for people, a type and a status for programs."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from errors import (
    BudgetSpent,
    HostTrouble,
    InvalidInput,
    Permanent,
    Refused,
    StagecrewError,
    Taken,
    TooLarge,
    Unknown,
    Unsupported,
)

MEDIA_TYPE = "application/problem+json"
# What /openapi.json says of every answer that is not the one that was asked for.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem, in one sentence.",
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "instance"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "instance": {"type": "string"},
                    },
                }
            }
        },
    }
}
# The first that fits; the classes stand before those they are made of.
STATUSES: tuple[tuple[type[StagecrewError], HTTPStatus], ...] = (
    (Unknown, HTTPStatus.NOT_FOUND),
    (Taken, HTTPStatus.CONFLICT),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (Unsupported, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (Refused, HTTPStatus.FORBIDDEN),
    (BudgetSpent, HTTPStatus.PAYMENT_REQUIRED),
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Permanent, HTTPStatus.UNPROCESSABLE_ENTITY),
    (HostTrouble, HTTPStatus.SERVICE_UNAVAILABLE),
)
log = structlog.get_logger()


class Problem(Exception):
    """An answer that is not the one that was asked for."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, kind: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, headers


def problem(
    request: Request, status: HTTPStatus, detail: str, *, kind: str = "", headers: dict[str, str] | None = None
) -> Response:
    """The answer; `kind` is one word for programs. A person who looked for a page gets one."""
    if (page := getattr(request.app.state, "error_page", None)) is not None and _looks(request):
        return page(request, status, detail)  # type: ignore[no-any-return]
    content: dict[str, Any] = {
        "type": f"urn:stagecrew:{kind or status.phrase.lower().replace(' ', '-')}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "instance": request.url.path,
    }
    return JSONResponse(content, status.value, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Every error of this program leaves in this form, and tells nothing that it should not."""

    @app.exception_handler(Problem)
    async def _own(request: Request, error: Problem) -> Response:
        return problem(request, error.status, error.detail, kind=error.kind, headers=error.headers)

    @app.exception_handler(StagecrewError)
    async def _ours(request: Request, error: StagecrewError) -> Response:
        status = next((status for kind, status in STATUSES if isinstance(error, kind)), None)
        if status is None:
            return _unexpected(request, error)
        headers = {"Retry-After": str(math.ceil(error.retry_after))} if isinstance(error, HostTrouble) else None
        return problem(request, status, str(error), kind=_word(type(error).__name__), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"})
        sentence = f"{where}: {first['msg']}" if where else str(first["msg"])
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, sentence, kind="invalid-input")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        headers = dict(error.headers) if error.headers else None
        return problem(request, status, str(error.detail), headers=headers)

    @app.exception_handler(ClientDisconnect)
    async def _left(request: Request, _error: ClientDisconnect) -> Response:
        return problem(request, HTTPStatus.BAD_REQUEST, "the request ended before its body did")

    @app.exception_handler(Exception)
    async def _any(request: Request, error: Exception) -> Response:
        return _unexpected(request, error)


def _looks(request: Request) -> bool:
    """Whether a browser asks for something to look at."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=error)
    sentence = "the program made a mistake; its log tells more"
    return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, sentence, kind="bug")


def _word(name: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() and at else char.lower() for at, char in enumerate(name))
