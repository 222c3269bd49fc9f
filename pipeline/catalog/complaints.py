"""What is wrong with a payload, in one sentence: the field, the value, what would be right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from itertools import takewhile
from typing import Any

from pydantic import BaseModel

LONGEST_SHOWN = 80
_SUBJECT = re.compile(r"^(?:Value error, )?(?:(?:Input|String|Tuple|List|Dictionary|Value) )?(?=should )")


def complaint(name: str, payload: type[BaseModel], found: Sequence[Any]) -> str:
    """The one of pydantic's errors that helps most; `name` is the pipeline's."""
    # A mistyped name first: it is often why a required field is missing.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    # A union reports one error a member: the one whose rule is ours speaks plainest; the field is what was typed.
    same = [one for one in found if one["loc"][:2] == first["loc"][:2]]
    first = next((one for one in same if one["type"] == "value_error"), first)
    known = names(payload)
    where = ".".join(str(part) for part in takewhile(lambda part: isinstance(part, int) or part in known, first["loc"]))
    field = str(first["loc"][-1]) if first["loc"] else "payload"
    if first["type"] in {"extra_forbidden", "missing"}:
        outer, _, _ = where.rpartition(".") if first["type"] == "missing" else (where, "", "")
        within = f"{outer} of {name}" if outer else name
        if first["type"] == "missing":
            return f"field {field!r} is required by {within}"
        return f"field {field!r} is not one of {within}{'' if outer else nearest(field, payload.model_fields)}"
    return f"{where or field}={repr(first.get('input'))[:LONGEST_SHOWN]}: {_reason(first)}"


def nearest(name: str, known: Any) -> str:
    """The end of an error message: the nearest known name, or the list of what there is."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(sorted(known))}"


@cache
def names(payload: type[BaseModel]) -> frozenset[str]:
    """The fields of a payload, and those of the objects in it."""
    schema = payload.model_json_schema()
    inner = [definition.get("properties", {}) for definition in schema.get("$defs", {}).values()]
    return frozenset(payload.model_fields).union(*inner)


def _reason(error: Any) -> str:
    reason = _SUBJECT.sub("", str(error["msg"])).removeprefix("Value error, ")
    if error["type"] != "literal_error" or not isinstance(error.get("input"), str):
        return reason
    expected = re.findall(r"'([^']*)'", str(error["ctx"]["expected"]))
    close = get_close_matches(error["input"], expected, n=1, cutoff=0.5)
    return reason + (f"; did you mean {close[0]!r}?" if close else "")
