"""The form of a new job, from the JSON schema of its payload: each field with the widget that suits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.catalog.base import PaidPayload, Pipeline

LONG_TEXT = 200
# Shown first, and open; all others wait behind "more".
FIRST = 6


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `widget` is text, longtext, number, check, choice, lines, file, files or json."""

    name: str
    title: str
    widget: str
    required: bool
    help: str
    default: str
    choices: tuple[str, ...] = ()
    step: str = "any"


def form_of(pipeline: Pipeline) -> tuple[list[Field], list[Field]]:
    """The fields that most people fill in, and the others."""
    schema = pipeline.payload.model_json_schema()
    definitions = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    fields = [
        _field(
            name,
            found,
            name in required,
            definitions,
            several=name in pipeline.file_fields,
            is_file=name in pipeline.uploads,
        )
        # What a pipeline makes comes before what it may cost.
        for name, found in sorted(schema["properties"].items(), key=lambda pair: pair[0] in PaidPayload.model_fields)
    ]
    first = [one for one in fields if one.required or one.widget == "files"]
    simple = [one for one in fields if one not in first and one.widget != "json"]
    first += simple[: max(0, FIRST - len(first))]
    return first, [one for one in fields if one not in first]


def _field(
    name: str, schema: dict[str, Any], required: bool, definitions: dict[str, Any], *, several: bool, is_file: bool
) -> Field:
    kinds = _kinds(schema, definitions)
    choices = tuple(str(value) for kind in kinds for value in kind.get("enum", ()) or _const(kind))
    default = schema.get("default")
    widget, step = _widget(kinds, choices, several=several, is_file=is_file)
    if default is None or widget in {"file", "files"}:
        shown = ""
    elif isinstance(default, str):
        shown = default
    elif widget == "check":
        shown = "on" if default else ""
    else:
        shown = "" if default in ([], {}) else orjson.dumps(default).decode()
    title = name.replace("_", " ")
    return Field(name, title, widget, required, schema.get("description", ""), shown, choices, step)


def _kinds(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """What the value may be, without null and with references followed."""
    options = schema.get("anyOf") or schema.get("oneOf") or [schema]
    followed = [definitions.get(str(one.get("$ref", "")).rpartition("/")[2], one) for one in options]
    return [one for one in followed if one.get("type") != "null"]


def _const(kind: dict[str, Any]) -> tuple[Any, ...]:
    return (kind["const"],) if "const" in kind else ()


def _widget(kinds: list[dict[str, Any]], choices: tuple[str, ...], *, several: bool, is_file: bool) -> tuple[str, str]:
    if is_file:
        return ("files" if several else "file"), ""
    if choices and all(kind.get("enum") or "const" in kind for kind in kinds):
        return "choice", ""
    kind = kinds[0] if kinds else {}
    match kind.get("type"):
        case "boolean":
            return "check", ""
        case "integer":
            return "number", "1"
        case "number":
            return "number", "any"
        case "string":
            return ("longtext" if kind.get("maxLength", 0) > LONG_TEXT else "text"), ""
        case "array" if kind.get("items", {}).get("type") == "string":
            return "lines", ""
    return "json", ""
