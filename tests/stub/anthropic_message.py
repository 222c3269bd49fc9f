"""A message of Claude's: its content, why it ended, the tokens it took, the cache of prompts, and its price."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.providers import prices
from tests.stub.answers import Canned
from tests.stub.filler import Filler, paragraph
from tests.stub.world import World

CHARACTERS_A_TOKEN = 4
TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}
REFUSAL = "I can't help with that."


@dataclass(frozen=True)
class Usage:
    """Tokens by what they cost; `write` by the time that the cache keeps them."""

    input: int
    output: int
    read: int
    write: dict[str, int]
    thinking: int

    def dump(self, tier: str) -> dict[str, Any]:
        """As the API says it."""
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cache_creation_input_tokens": sum(self.write.values()),
            "cache_read_input_tokens": self.read,
            "cache_creation": {f"ephemeral_{ttl}_input_tokens": self.write.get(ttl, 0) for ttl in TTL_SECONDS},
            "output_tokens_details": {"thinking_tokens": self.thinking},
            "server_tool_use": None,
            "service_tier": tier,
            "inference_geo": "us",
        }

    def usd(self, model: str, share: float) -> float:
        """Its price by the program's own table, so that the two books can be compared to the cent."""
        price = prices.tokens_of(model)
        millionths = (
            self.input * price.input
            + self.output * price.output
            + self.read * price.cache_read
            + self.write.get("5m", 0) * price.cache_write
            + self.write.get("1h", 0) * price.input * 2
        )
        return millionths * share / 1_000_000


class PromptCache:
    """The beginnings of prompts that were marked to be kept, and until when."""

    def __init__(self) -> None:
        self.until: dict[str, float] = {}

    def split(self, params: dict[str, Any], now: float, least: int) -> tuple[int, int, dict[str, int]]:
        """Tokens that are plain, read, and written by time to live; what is marked is kept from now on."""
        tokens, read, marked, ttl = 0, 0, 0, "5m"
        digest = hashlib.sha256(params["model"].encode())
        for text, mark in _pieces(params):
            tokens += count(text)
            digest.update(text.encode())
            if mark is None or tokens < least:
                continue
            ttl, marked, key = mark, tokens, digest.hexdigest()
            if self.until.get(key, 0) > now:
                read = tokens
            self.until[key] = now + TTL_SECONDS[ttl]
        return tokens - marked, read, {ttl: marked - read} if marked > read else {}


def count(text: str) -> int:
    """Tokens of a text, roughly."""
    return -(-len(text.encode()) // CHARACTERS_A_TOKEN)


def prompt_tokens(params: dict[str, Any]) -> int:
    """Tokens of a whole prompt."""
    return sum(count(text) for text, _ in _pieces(params))


def compose(
    world: World, cache: PromptCache, params: dict[str, Any], *, share: float = 1.0
) -> tuple[dict[str, Any], float]:
    """A message and its price."""
    canned = world.answers.find("anthropic", json.dumps(params, ensure_ascii=False))
    content, stop_reason = _content(params, canned)
    thinking = count(content[0]["thinking"]) if content[0]["type"] == "thinking" else 0
    plain, read, write = cache.split(params, world.clock.now(), world.rules.cache_min_tokens)
    output = sum(count(_text_of(block)) for block in content)
    usage = Usage(plain, output, read, write, thinking)
    message = {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": _refused() if stop_reason == "refusal" else None,
        "container": None,
        "usage": usage.dump("batch" if share < 1 else "standard"),
    }
    return message, usage.usd(params["model"], share)


def _content(params: dict[str, Any], canned: Canned | None) -> tuple[list[dict[str, Any]], str]:
    """The blocks of the answer, and why it ended."""
    blocks: list[dict[str, Any]] = []
    if params.get("thinking", {}).get("type") in {"enabled", "adaptive"}:
        blocks.append(
            {"type": "thinking", "thinking": "The wish is clear. A short answer will do.", "signature": "c3R1Yg=="}
        )
    wanted = canned.stop_reason if canned else None
    if (tool := _tool(params)) and wanted is None:
        made = canned.body if canned and canned.body is not None else _made(params, tool["input_schema"])
        used = {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex[:24]}", "name": tool["name"], "input": made}
        return [*blocks, used], "tool_use"
    text = _answer(params, canned, wanted)
    most = params["max_tokens"] * CHARACTERS_A_TOKEN
    if len(text) > most:
        text, wanted = text[:most], wanted or "max_tokens"
    return [*blocks, {"type": "text", "text": text, "citations": None}], wanted or "end_turn"


def _answer(params: dict[str, Any], canned: Canned | None, stop_reason: str | None) -> str:
    if canned and canned.body is not None:
        text = canned.body if isinstance(canned.body, str) else json.dumps(canned.body, ensure_ascii=False)
    elif stop_reason == "refusal":
        text = REFUSAL
    elif schema := ((params.get("output_config") or {}).get("format") or {}).get("schema"):
        text = json.dumps(_made(params, schema), ensure_ascii=False)
    else:
        text = paragraph(_asked(params), _seed(params))
    return text[: max(1, len(text) // 2)] if stop_reason == "max_tokens" and not (canned and canned.body) else text


def _made(params: dict[str, Any], schema: dict[str, Any]) -> Any:
    return Filler(schema, prompt=_asked(params), seed=_seed(params)).fill()


def _tool(params: dict[str, Any]) -> dict[str, Any] | None:
    """The tool that the answer must use."""
    choice = params.get("tool_choice") or {}
    tools = params.get("tools") or []
    if choice.get("type") == "any" and tools:
        return dict(tools[0])
    return next((one for one in tools if choice.get("type") == "tool" and one["name"] == choice.get("name")), None)


def _seed(params: dict[str, Any]) -> str:
    """The same request gets the same words."""
    asked = {name: params[name] for name in sorted(params) if name not in {"stream", "metadata"}}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _asked(params: dict[str, Any]) -> str:
    """All that the user says."""
    return "\n".join(text for text, _ in _pieces({"messages": params["messages"]}))


def _pieces(params: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """The prompt in the order in which it is cached: each block's text, and how long to keep all up to it."""
    pieces: list[tuple[str, str | None]] = [(json.dumps(tool), _mark(tool)) for tool in params.get("tools") or []]
    if schema := ((params.get("output_config") or {}).get("format") or {}).get("schema"):
        pieces.append((json.dumps(schema), None))
    contents = [params.get("system", ""), *(message["content"] for message in params.get("messages", []))]
    for content in contents:
        if isinstance(content, str):
            pieces.append((content, None))
        else:
            pieces += [(_text_of(block), _mark(block)) for block in content]
    if pieces and (mark := _mark(params)):
        pieces[-1] = (pieces[-1][0], mark)
    yield from pieces


def _mark(block: dict[str, Any]) -> str | None:
    control = block.get("cache_control")
    return str(control.get("ttl", "5m")) if isinstance(control, dict) else None


def _text_of(block: dict[str, Any]) -> str:
    """What counts of a block; a picture counts as its data does not, but as 1,500 tokens."""
    if block["type"] in {"text", "thinking"}:
        return str(block[block["type"]])
    if block["type"] in {"image", "document"}:
        digest = hashlib.sha256(json.dumps(block.get("source")).encode()).hexdigest()
        return digest.ljust(1500 * CHARACTERS_A_TOKEN)
    return json.dumps(block)


def _refused() -> dict[str, Any]:
    return {"type": "refusal", "category": "general_harms", "explanation": "The request asks for something harmful."}
