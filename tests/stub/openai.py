"""A chat-completions server such as vLLM, Ollama or llama.cpp: no key needed, nothing billed but counted."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tests.stub.filler import Filler, paragraph
from tests.stub.shapes import VendorError
from tests.stub.world import Vendor

MODEL = "stub"
PIECES = 5


class OpenAi(Vendor):
    """Below /o/v1."""

    name = "openai"

    def routes(self) -> list[BaseRoute]:
        """What adapters need."""
        return [
            Route("/v1/chat/completions", self.complete, methods=["POST"]),
            Route("/v1/models", self.models),
        ]

    def settle(self) -> None:
        """Everything is billed when it is answered."""

    def forget(self) -> None:
        """It remembers nothing."""

    async def models(self, _request: Request) -> Response:
        """One model."""
        return JSONResponse(
            {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "stub", "created": 0}]}
        )

    async def complete(self, request: Request) -> Response:
        """Answer, whole or as chunks; with JSON where a schema is given."""
        asked = _parsed(await request.body())
        text, reason = self._text(asked)
        tokens = {"prompt_tokens": _tokens(json.dumps(asked["messages"])), "completion_tokens": _tokens(text)}
        usage = tokens | {"total_tokens": sum(tokens.values())}
        made = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
            "created": int(self.world.clock.now()),
            "model": asked["model"],
            "system_fingerprint": "stub",
        }
        seen = request.state.seen
        self.world.ledger.charge(
            made["id"],
            0.0,
            vendor=self.name,
            kind="completion",
            model=asked["model"],
            at=self.world.clock.now(),
            request=seen.number,
            usage=usage,
        )
        seen.carries.append(made["id"])
        if asked.get("stream"):
            wants_usage = (asked.get("stream_options") or {}).get("include_usage")
            chunks = _chunks(made, text, reason, usage if wants_usage else None)
            return StreamingResponse(chunks, media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "tool_calls": []}
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        return JSONResponse(made | {"object": "chat.completion", "choices": [choice], "usage": usage})

    def _text(self, asked: dict[str, Any]) -> tuple[str, str]:
        """What it says and why it ends."""
        canned = self.world.answers.find(self.name, json.dumps(asked, ensure_ascii=False))
        prompt = "\n".join(_words(message.get("content")) for message in asked["messages"])
        seed = hashlib.sha256(json.dumps(asked["messages"], sort_keys=True).encode()).hexdigest()
        wanted = asked.get("response_format") or {}
        if canned and canned.body is not None:
            text = canned.body if isinstance(canned.body, str) else json.dumps(canned.body, ensure_ascii=False)
        elif wanted.get("type") == "json_schema":
            schema = wanted["json_schema"]["schema"]
            text = json.dumps(Filler(schema, prompt=prompt, seed=seed).fill(), ensure_ascii=False)
        elif wanted.get("type") == "json_object":
            text = json.dumps({"text": paragraph(prompt, seed)})
        else:
            text = paragraph(prompt, seed)
        most = 4 * int(asked.get("max_completion_tokens") or asked.get("max_tokens") or 1_000_000)
        reason = "length" if len(text) > most else "stop"
        return text[:most], (canned and canned.stop_reason) or reason


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        asked: dict[str, Any] = json.loads(body)
    except ValueError as error:
        raise VendorError("openai", 400, f"invalid JSON: {error}") from error
    for name in ("model", "messages"):
        if not asked.get(name):
            raise VendorError("openai", 400, f"field required: {name}")
    if asked["model"] == "missing":
        raise VendorError("openai", 404, "The model `missing` does not exist.", code="model_not_found")
    return asked


def _words(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content or ""


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)


def _chunks(made: dict[str, Any], text: str, reason: str, usage: dict[str, int] | None) -> Iterator[bytes]:
    made = made | {"object": "chat.completion.chunk"}
    size = -(-len(text) // PIECES) or 1
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": text[start : start + size]}, None) for start in range(0, len(text), size)]
    deltas.append(({}, reason))
    for delta, ended in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": ended}
        yield f"data: {json.dumps(made | {'choices': [choice]})}\n\n".encode()
    if usage:
        yield f"data: {json.dumps(made | {'choices': [], 'usage': usage})}\n\n".encode()
    yield b"data: [DONE]\n\n"
