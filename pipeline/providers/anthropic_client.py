"""The SDK of Anthropic as a paid call needs it: no retries of its own, no kept connections, one deadline, errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import SecretStr

from errors import Permanent, StagecrewError, Unanswered
from pipeline.providers.vendor_http import GATEWAY_TIMEOUTS, clean, error_of, retry_after_of
from pipeline.providers.vendor_wire import CONNECT_SECONDS, Wire
from settings import Settings

VENDOR = "anthropic"
PUBLIC_URL = "https://api.anthropic.com"
FREE_SECONDS = 60.0
SPENT = {"enforced_spend_limit_reached", "contract_spend_limit_reached", "billing_error"}
# What comes as an event instead of a status: the SDK says 200 for it.
EVENTS = {"overloaded_error": 529, "rate_limit_error": 429, "authentication_error": 401, "permission_error": 403}
EVENTS |= {"invalid_request_error": 400, "billing_error": 402, "not_found_error": 404, "request_too_large": 413}
T = TypeVar("T")


class AnthropicClient:
    """One SDK client under one key; any number of threads may use it."""

    def __init__(self, settings: Settings) -> None:
        if settings.anthropic_api_key is None:
            raise Permanent("anthropic: ANTHROPIC_API_KEY is not set")
        self._wires = threading.local()
        self._client = self._new(settings.anthropic_api_key, settings.anthropic_base_url)

    def paid(self, seconds: float, ask: Callable[[Any], T], *, began: Callable[[], bool] = lambda: False) -> T:
        """A request that costs money, over in `seconds`. Unanswered when it may have been taken.

        `began`: whether an answer had begun when it broke off; then it is billed.
        """
        return self._ask(seconds, ask, began, paid=True)

    def free(self, ask: Callable[[Any], T]) -> T:
        """A request that costs nothing and may be repeated."""
        return self._ask(FREE_SECONDS, ask, lambda: False, paid=False)

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def _ask(self, seconds: float, ask: Callable[[Any], T], began: Callable[[], bool], *, paid: bool) -> T:
        import anthropic

        with Wire(VENDOR, seconds, paid=paid) as wire:
            self._wires.now = wire
            try:
                return ask(self._client.with_options(timeout=_timeout(seconds)))
            except StagecrewError:
                raise
            except anthropic.APIStatusError as error:
                if began() or (paid and error.status_code in GATEWAY_TIMEOUTS):
                    raise Unanswered(f"anthropic broke off its answer: {clean(str(error.type))}") from None
                raise _error_of(error) from None
            except Exception as error:  # noqa: BLE001 - whatever it was, a paid call may have been taken
                raise wire.failure(type(error.__cause__ or error).__name__) from None
            finally:
                self._wires.now = None

    def _new(self, key: SecretStr, base_url: str | None) -> Any:
        import anthropic
        import httpx2

        wires = self._wires

        class Transport(httpx2.HTTPTransport):
            """Tells the wire of this thread how far its request is."""

            def handle_request(self, request: Any) -> Any:
                request.extensions["trace"] = wires.now.trace
                return super().handle_request(request)

        # A kept connection that the other side has closed would leave a call in doubt that was never taken.
        transport = Transport(limits=httpx2.Limits(max_keepalive_connections=0))
        http = anthropic.DefaultHttpxClient(transport=transport, follow_redirects=False)
        # A key and an address of ours: without them the SDK looks in places that nobody has told us of.
        return anthropic.Anthropic(
            api_key=key.get_secret_value(), base_url=base_url or PUBLIC_URL, max_retries=0, http_client=http
        )


def _timeout(seconds: float) -> Any:
    import httpx2

    return httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))


def _error_of(error: Any) -> StagecrewError:
    """The error for a status, or for an error that came as the first event of a stream."""
    body: Any = error.body
    for _ in range(2):
        body = body.get("error", body) if isinstance(body, dict) else {}
    said, code = (
        str(body.get("message") or "") if isinstance(body, dict) else "",
        getattr(error, "error_code", None) or error.type,
    )
    status = EVENTS.get(str(error.type), 500) if error.status_code < 300 else error.status_code
    quota = code in SPENT or "credit balance is too low" in said.lower()
    return error_of(status, vendor=VENDOR, said=said, retry_after=retry_after_of(error.response.headers), quota=quota)
