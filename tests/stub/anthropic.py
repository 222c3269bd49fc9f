"""Anthropic: messages (also as events), counting, models; batches live beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tests.stub.anthropic_batches import Batches
from tests.stub.anthropic_checks import MODELS, check_headers, check_message, parsed, wrong
from tests.stub.anthropic_message import PromptCache, compose, prompt_tokens
from tests.stub.clock import iso
from tests.stub.shapes import request_id
from tests.stub.world import Vendor, World

RELEASED = "2026-08-20T00:00:00Z"
PIECES = 5


class Anthropic(Vendor):
    """The Messages API of version 2026-10-21, and of 2023-06-01 as far as it differs."""

    name = "anthropic"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.cache = PromptCache()
        self.batches = Batches(world, self.cache)

    def routes(self) -> list[BaseRoute]:
        """Below /a."""
        return [
            Route("/v1/messages", self.messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", self.count_tokens, methods=["POST"]),
            *self.batches.routes(),
            Route("/v1/models", self.models),
            Route("/v1/models/{model}", self.model),
        ]

    def settle(self) -> None:
        """Bill what batches have done by now."""
        self.batches.settle()

    def forget(self) -> None:
        """Begin anew."""
        self.cache.until.clear()
        self.batches.all.clear()

    async def messages(self, request: Request) -> Response:
        """Answer, whole or as events."""
        version = check_headers(request.headers)
        params = parsed(await request.body())
        check_message(params, version)
        world, seen = self.world, request.state.seen
        if world.rules.message_seconds:
            await world.clock.until(world.clock.now() + world.rules.message_seconds)
        message, usd = compose(world, self.cache, params)
        world.ledger.charge(
            message["id"],
            usd,
            vendor=self.name,
            kind="message",
            model=params["model"],
            at=world.clock.now(),
            request=seen.number,
            usage=message["usage"],
        )
        seen.carries.append(message["id"])
        headers = self._headers()
        if params.get("stream"):
            return StreamingResponse(events(message), headers=headers, media_type="text/event-stream; charset=utf-8")
        return JSONResponse(message, headers=headers)

    async def count_tokens(self, request: Request) -> Response:
        """Free."""
        version = check_headers(request.headers)
        params = parsed(await request.body())
        check_message(params, version, counts_only=True)
        return JSONResponse({"input_tokens": prompt_tokens(params)}, headers=self._headers())

    async def models(self, request: Request) -> Response:
        """All models, in pages."""
        check_headers(request.headers)
        names = list(MODELS)
        after = request.query_params.get("after_id")
        start = names.index(after) + 1 if after in names else 0
        shown = names[start : start + int(request.query_params.get("limit", 20))]
        page = {
            "data": [_model(name) for name in shown],
            "has_more": bool(shown) and shown[-1] != names[-1],
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }
        return JSONResponse(page, headers=self._headers())

    async def model(self, request: Request) -> Response:
        """One of them."""
        check_headers(request.headers)
        name = request.path_params["model"]
        if name not in MODELS:
            raise wrong(f"model: {name}", 404)
        return JSONResponse(_model(name), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        reset = str(iso(self.world.clock.now() + 60))
        headers = {"request-id": request_id(), "anthropic-organization-id": "00000000-0000-4000-8000-000000000000"}
        for name, limit in {"requests": 4000, "input-tokens": 2_000_000, "output-tokens": 400_000}.items():
            headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(limit - 1)
            headers[f"anthropic-ratelimit-{name}-reset"] = reset
        return headers


def events(message: dict[str, Any]) -> Iterator[bytes]:
    """A message as the events of a stream."""
    usage = message["usage"]
    opened = message | {"content": [], "stop_reason": None, "stop_details": None, "usage": usage | {"output_tokens": 1}}
    yield _event("message_start", message=opened)
    yield _event("ping")
    for index, block in enumerate(message["content"]):
        empty, deltas = _deltas(block)
        yield _event("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ended = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield _event("message_delta", delta=ended, usage=usage)
    yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _deltas(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block without its content, and its content piece by piece."""
    if block["type"] == "tool_use":
        pieces = _cut(json.dumps(block["input"]))
        return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    kind = block["type"]
    deltas = [{"type": f"{kind}_delta", kind: piece} for piece in _cut(block[kind])]
    if kind == "thinking":
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return block | {"thinking": "", "signature": ""}, deltas
    return block | {"text": ""}, deltas


def _cut(text: str) -> list[str]:
    size = -(-len(text) // PIECES) or 1
    return [text[start : start + size] for start in range(0, len(text), size)]


def _model(name: str) -> dict[str, Any]:
    words = name.removeprefix("claude-").split("-")
    return {
        "type": "model",
        "id": name,
        "display_name": f"Claude {words[0].title()} {'.'.join(words[1:])}",
        "created_at": RELEASED,
        "lifecycle": "active",
        "line": MODELS[name],
        "max_input_tokens": 1_000_000,
        "max_tokens": 128_000,
        "deprecated_at": None,
        "retires_at": None,
        "capabilities": None,
    }
