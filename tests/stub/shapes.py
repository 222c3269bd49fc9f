"""How each vendor says that something is wrong."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.responses import JSONResponse

ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
ELEVENLABS_STATUS = {
    401: "invalid_api_key",
    403: "missing_permissions",
    404: "not_found",
    429: "system_busy",
}
ELEVENLABS_MESSAGES = {
    "invalid_api_key": "Invalid API key",
    "system_busy": "The system is experiencing heavy traffic. Please try again later.",
    "too_many_concurrent_requests": "Too many concurrent requests. Please upgrade your subscription or try again later.",
    "quota_exceeded": "This request exceeds your quota.",
}
REPLICATE_TITLES = {
    401: "Unauthenticated",
    402: "Insufficient credit",
    403: "Permission denied",
    404: "Not found",
    422: "Unprocessable entity",
    429: "Too many requests",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
}
THROTTLED = "Request was throttled. Your rate limit resets in ~30s."
OPENAI_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def request_id() -> str:
    """A new id of a request, as Anthropic writes it."""
    return f"req_{uuid.uuid4().hex[:24]}"


def anthropic_error(
    status: int, message: str, *, error: str | None = None, code: str | None = None, rid: str | None = None
) -> dict[str, Any]:
    """The body of an error of Anthropic's, also that of an `error` event."""
    kind = error or ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    details = {"details": {"error_code": code}} if code else {}
    return {"type": "error", "error": {"type": kind, "message": message, **details}, "request_id": rid or request_id()}


def failure(
    vendor: str,
    status: int,
    message: str | None = None,
    *,
    error: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An error in the vendor's shape; `error` is its type (anthropic, openai), status (elevenlabs) or title (replicate)."""
    headers = dict(headers or {})
    body: dict[str, Any]
    if vendor == "anthropic":
        rid = request_id()
        headers["request-id"] = rid
        body = anthropic_error(status, message or _said(status), error=error, code=code, rid=rid)
    elif vendor == "elevenlabs":
        kind = error or ELEVENLABS_STATUS.get(status, "internal_error" if status >= 500 else "invalid_request")
        body = {"detail": {"status": kind, "message": message or ELEVENLABS_MESSAGES.get(kind, _said(status))}}
    elif vendor == "replicate":
        detail = message or (THROTTLED if status == 429 else _said(status))
        body = {"title": error or REPLICATE_TITLES.get(status, _said(status)), "detail": detail, "status": status}
    else:
        kind = error or OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        body = {"error": {"message": message or _said(status), "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, headers)


def _said(status: int) -> str:
    words = {429: "This request would exceed your rate limit.", 529: "Overloaded", 503: "Service unavailable"}
    return words.get(status, "Internal server error" if status >= 500 else f"The request failed with status {status}.")


class VendorError(Exception):
    """A vendor says no; the app answers it in the vendor's shape."""

    def __init__(self, vendor: str, status: int, message: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.response = failure(vendor, status, message, **more)
