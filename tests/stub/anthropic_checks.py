"""What Anthropic's API refuses: keys, versions, and requests that are not as version 2026-10-21 wants them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers

from tests.stub.shapes import VendorError

VERSIONS = {"2023-06-01", "2026-10-21"}
SAMPLING = {"temperature", "top_p", "top_k"}
FIELDS = {
    "max_tokens", "messages", "model", "cache_control", "container", "diagnostics", "inference_geo", "metadata",
    "output_config", "service_tier", "speed", "stop_sequences", "stream", "system", "thinking", "tool_choice", "tools",
}  # fmt: skip
MODELS = {
    f"claude-{name}": line
    for line, names in {
        "opus": ("opus-5-5", "opus-5", "opus-4-8", "opus-4-7", "opus-4-6", "opus-4-5", "opus-4-5-20251101"),
        "sonnet": ("sonnet-5-5", "sonnet-5", "sonnet-4-6", "sonnet-4-5", "sonnet-4-5-20250929"),
        "haiku": ("haiku-5-5", "haiku-4-5", "haiku-4-5-20251001"),
        "fable": ("fable-5-2", "fable-5-1", "fable-5"),
        "mythos": ("mythos-5-2", "mythos-5-1", "mythos-5"),
    }.items()
    for name in names
}
MOST_TOKENS = 128_000
BLOCKS = {
    "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "search_result",
}  # fmt: skip
EFFORTS = {"low", "medium", "high", "xhigh", "max"}
# Keywords of JSON Schema that structured output does not know; the SDK moves them into descriptions.
UNKNOWN_KEYWORDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
    "uniqueItems", "minProperties", "maxProperties", "patternProperties", "not", "if", "then", "else",
}  # fmt: skip


def wrong(message: str, status: int = 400) -> VendorError:
    """An error of the right type for its status."""
    return VendorError("anthropic", status, message)


def check_headers(headers: Headers) -> str:
    """The version that the request asks for; an error without a good key or version."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    if not key:
        raise wrong("x-api-key header is required", 401)
    if "invalid" in key:
        raise wrong("invalid x-api-key", 401)
    version = headers.get("anthropic-version")
    if not version:
        raise wrong("anthropic-version: header is required")
    if version not in VERSIONS:
        raise wrong(f'anthropic-version: "{version}" is not a valid version')
    return version


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON object."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise wrong(f"The request body is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise wrong("Input should be a valid dictionary")
    return found


def check_message(params: dict[str, Any], version: str, *, counts_only: bool = False) -> None:
    """The parameters of a message, or of counting its tokens."""
    for name in ("model", "messages", *(() if counts_only else ("max_tokens",))):
        if name not in params:
            raise wrong(f"{name}: Field required")
    known = FIELDS if version == "2026-10-21" else FIELDS | SAMPLING
    for name in params:
        if name not in known:
            raise wrong(f"{name}: Extra inputs are not permitted")
    _check_model(params["model"])
    if not counts_only:
        _check_most_tokens(params["max_tokens"])
    _check_messages(params["messages"])
    _check_blocks(params.get("system", ""), "system", {"text"})
    _check_output(params.get("output_config"))


def _check_model(model: Any) -> None:
    if not isinstance(model, str):
        raise wrong("model: Input should be a valid string")
    if re.sub(r"-\d{8}$", "", model) not in MODELS and model not in MODELS:
        raise wrong(f"model: {model}", 404)


def _check_most_tokens(most: Any) -> None:
    if not isinstance(most, int) or isinstance(most, bool):
        raise wrong("max_tokens: Input should be a valid integer")
    if most < 1:
        raise wrong("max_tokens: must be greater than or equal to 1")
    if most > MOST_TOKENS:
        raise wrong(f"max_tokens: {most} > {MOST_TOKENS}, which is the maximum allowed number of output tokens")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise wrong("messages: at least one message is required")
    for number, message in enumerate(messages):
        at = f"messages.{number}"
        if not isinstance(message, dict) or message.get("role") not in {"user", "assistant"}:
            raise wrong(f"{at}.role: Input should be 'user' or 'assistant'")
        if "content" not in message:
            raise wrong(f"{at}.content: Field required")
        if message["content"] in ("", []):
            raise wrong(f"{at}: all messages must have non-empty content")
        _check_blocks(message["content"], f"{at}.content", BLOCKS)
    if messages[0]["role"] != "user":
        raise wrong('messages: first message must use the "user" role')


def _check_blocks(content: Any, at: str, known: set[str]) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise wrong(f"{at}: Input should be a valid string or list")
    for number, block in enumerate(content):
        if not isinstance(block, dict) or block.get("type") not in known:
            raise wrong(f"{at}.{number}: Input tag does not match any of the expected tags: {sorted(known)}")
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            raise wrong(f"{at}.{number}.text.text: Field required")
        if block["type"] == "text" and not block["text"]:
            raise wrong(f"{at}.{number}: text content blocks must be non-empty")


def _check_output(output: Any) -> None:
    if output is None:
        return
    if not isinstance(output, dict) or not set(output) <= {"effort", "format"}:
        raise wrong("output_config: Extra inputs are not permitted")
    if output.get("effort", "high") not in EFFORTS:
        raise wrong(f"output_config.effort: Input should be one of {sorted(EFFORTS)}")
    if (chosen := output.get("format")) is not None:
        if chosen.get("type") != "json_schema":
            raise wrong("output_config.format.type: Input should be 'json_schema'")
        if not isinstance(chosen.get("schema"), dict):
            raise wrong("output_config.format.schema: Field required")
        for at, schema in _schemas(chosen["schema"], "output_config.format.schema"):
            _check_schema(at, schema)


def _check_schema(at: str, schema: dict[str, Any]) -> None:
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise wrong(f"{at}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    if unknown := sorted(UNKNOWN_KEYWORDS & set(schema)):
        raise wrong(f"{at}: For '{schema.get('type')}' type, property '{unknown[0]}' is not supported")
    if schema.get("minItems", 0) > 1:
        raise wrong(f"{at}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")


def _schemas(schema: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A schema and all schemas in it."""
    if not isinstance(schema, dict):
        return
    yield at, schema
    for group in ("properties", "$defs"):
        for name, one in schema.get(group, {}).items():
            yield from _schemas(one, f"{at}.{group}.{name}")
    for group in ("anyOf", "allOf"):
        for number, one in enumerate(schema.get(group, [])):
            yield from _schemas(one, f"{at}.{group}.{number}")
    yield from _schemas(schema.get("items"), f"{at}.items")
