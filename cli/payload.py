"""`--set field=value` and `--json FILE` become a payload, by the types of the pipeline's own model."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import orjson
from pydantic import BaseModel

from errors import InvalidInput
from pipeline.catalog.base import Pipeline
from pipeline.catalog.complaints import nearest

ANYWHERE = (Path("/"),)  # a person at the command line may name any file that they can read
LISTS = (list, tuple, set, frozenset)
RESERVED = frozenset({"id"})


def read_payload(pipeline: Pipeline, pairs: Sequence[str], json_file: str | None) -> dict[str, Any]:
    """The payload as typed: the JSON file (`-`: standard input) under the pairs. InvalidInput names the field."""
    data = _read_json(json_file) if json_file is not None else {}
    data |= _read_pairs(pipeline, pairs)
    for name in data:
        if name not in pipeline.payload.model_fields and name not in RESERVED:
            known = pipeline.payload.model_fields
            raise InvalidInput(f"field {name!r} is not one of {pipeline.name}{nearest(name, known)}")
    for name in pipeline.file_fields:
        if isinstance(data.get(name), list | tuple):
            data[name] = [_at_home(value) for value in data[name]]
    for name in (*pipeline.still_fields, *pipeline.sound_fields):
        if name in data:
            data[name] = _at_home(data[name])
    return data


def members(annotation: Any) -> list[Any]:
    """What a field may hold: its type without Annotated, each member of a union."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return [member for argument in get_args(annotation) for member in members(argument)]
    return [annotation]


def element(annotation: Any) -> Any:
    """The type of the elements of a list field; None when it is none."""
    for member in members(annotation):
        if member in LISTS:
            return Any
        if get_origin(member) in LISTS:
            return (get_args(member) or (Any,))[0]
    return None


def read_object(option: str, text: str | None) -> dict[str, Any] | None:
    """An option that takes a JSON object; None when it was not given."""
    if text is None:
        return None
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{option}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"{option}: should be one JSON object, not a {type(data).__name__}")
    return data


def _read_json(source: str) -> dict[str, Any]:
    shown = "standard input" if source == "-" else source
    try:
        text = sys.stdin.buffer.read() if source == "-" else Path(source).expanduser().read_bytes()
    except OSError as error:
        raise InvalidInput(f"--json {source}: {error.strerror or error}") from None
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{shown} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"{shown} should hold one JSON object of fields, not a {type(data).__name__}")
    return data


def _read_pairs(pipeline: Pipeline, pairs: Sequence[str]) -> dict[str, Any]:
    typed: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InvalidInput(f"--set {pair!r}: write it as field=value")
        typed.setdefault(name.strip(), []).append(value)
    data: dict[str, Any] = {}
    for name, values in typed.items():
        field = pipeline.payload.model_fields.get(name)
        annotation = field.annotation if field else str
        if (inner := element(annotation)) is not None:
            data[name] = [part for value in values for part in _read_list(inner, value)]
        elif len(values) > 1:
            raise InvalidInput(f"{name} is set {len(values)} times and takes one value")
        else:
            data[name] = _read_value(annotation, values[0])
    return data


def _read_list(inner: Any, value: str) -> list[Any]:
    if value.lstrip().startswith("["):
        parsed = _parse(value)
        if isinstance(parsed, list):
            return parsed
    return [_read_value(inner, value)]


def _read_value(annotation: Any, value: str) -> Any:
    """Text where the field takes text, else JSON; what is neither stays text, for the model to refuse."""
    kinds = members(annotation)
    if any(_is_text(kind) for kind in kinds):
        holds_objects = any(isinstance(kind, type) and issubclass(kind, BaseModel | dict) for kind in kinds)
        if not (holds_objects and value.lstrip().startswith("{")):
            return value
    return _parse(value)


def _is_text(kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return all(isinstance(value, str) for value in get_args(kind))
    return isinstance(kind, type) and (issubclass(kind, str | Path) or issubclass(kind, Enum))


def _parse(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _at_home(value: Any) -> Any:
    """The shell leaves `~` alone behind `images=`."""
    return str(Path(value).expanduser()) if isinstance(value, str) and value.startswith("~") else value
