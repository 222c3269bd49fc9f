"""JSON that fits a schema and reads like an answer: the same request gets the same words."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

OPENING = ("Meet {name}. It is here to make your day a little easier.", "This is {name}, and it is made for you.")
MIDDLE = (
    "{name} was made with care, and you will notice it from the first day.",
    "Everything about {name} is simple, from the way it looks to the way it works.",
    "Take {name} with you wherever you go, and never look back.",
    "Small details matter, and {name} gets every one of them right.",
    "You will wonder how you ever managed without {name}.",
)
CLOSING = ("Get yours today, and see the difference that {name} makes.", "Try {name} now. You will be glad you did.")
HEADLINES = ("Made with care", "Simple by design", "Ready when you are", "Every detail right", "Here to stay")
KICKERS = ("New", "For every day", "Why people stay", "At a glance", "Today")
LINES = ("Easy to use", "Built to last", "Light and quiet", "Looks good anywhere", "Ready in seconds")
PICTURES = (
    "{name} on a wooden table in soft morning light, slow push in",
    "close view of {name}, shallow focus, warm colours",
    "{name} in use by two friends outdoors, late afternoon sun",
)
LONG = re.compile(r"narration|voice|text|body|description|summary|content|answer|script|paragraph")
SHORT = re.compile(r"headline|title|name|label|subject|theme|mood")
TRUE = re.compile(r"allow|ok|valid|safe|approved|success|relevant|usable")
FORMATS = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T09:00:00Z",
    "time": "09:00:00Z",
    "duration": "PT20S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
LENGTHS = {"scenes": 4, "lines": 2, "features": 3, "bullets": 3}
DEEPEST = 12


def subject_of(prompt: str) -> str:
    """What a prompt is about: the product it names."""
    found = re.search(r"product[_ ]?name[\"'>\\]*\s*[:=]?\s*[\"'\\]*([^\"'\\\n,}<]{2,60})", prompt, re.IGNORECASE)
    return found[1].strip() if found else "this product"


def paragraph(prompt: str, seed: str) -> str:
    """A few sentences about what a prompt is about."""
    chance = random.Random(seed)
    name = subject_of(prompt)
    chosen = [chance.choice(OPENING), *chance.sample(MIDDLE, 2), chance.choice(CLOSING)]
    return " ".join(sentence.format(name=name) for sentence in chosen)


@dataclass(frozen=True)
class Place:
    """Where a value stands: its property's name, and its index in the nearest list of so many."""

    name: str = ""
    index: int = 0
    count: int = 1
    depth: int = 0

    def part(self, parts: tuple[str, ...]) -> str:
        """One of the parts, another one at each index."""
        return parts[self.index % len(parts)]


class Filler:
    """Fills one schema."""

    def __init__(self, schema: dict[str, Any], *, prompt: str, seed: str) -> None:
        self.schema, self.prompt = schema, prompt
        self.name = subject_of(prompt)
        self.chance = random.Random(seed)

    def fill(self) -> Any:
        """The whole answer."""
        return self._value(self.schema, Place())

    def _value(self, schema: dict[str, Any], place: Place) -> Any:
        schema = self._resolved(schema, place)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._one_of(schema["enum"], place)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((one for one in kind if one != "null"), "null")
        makers: dict[str, Callable[[dict[str, Any], Place], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, at: bool(TRUE.search(at.name)),
        }
        return makers[kind](schema, place) if kind in makers else None

    def _resolved(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        """The schema itself, behind references and choices; a picture's number is left out where it may be."""
        for _ in range(DEEPEST):
            if "$ref" in schema:
                found: Any = self.schema
                for part in schema["$ref"].removeprefix("#/").split("/"):
                    found = found[part]
                schema = found
            elif choices := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                empty = [one for one in choices if one.get("type") == "null"]
                full = [one for one in choices if one.get("type") != "null"]
                wants_nothing = place.name == "image" or place.depth > DEEPEST
                schema = empty[0] if empty and (wants_nothing or not full) else full[0]
            else:
                break
        return schema

    def _one_of(self, values: list[Any], place: Place) -> Any:
        """What the prompt names, or in a list one after the other from the first to the last."""
        if place.count == 1:
            named = [one for one in values if isinstance(one, str) and re.search(rf"\b{re.escape(one)}\b", self.prompt)]
            return (named or values)[0]
        if not re.search(r"price\W{1,4}[^\s\"]*\d|[$€£]\s?\d", self.prompt):
            values = [one for one in values if one != "price"] or values
        return values[round(place.index * (len(values) - 1) / (place.count - 1))]

    def _object(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        return {
            name: self._value(one, Place(name.lower(), place.index, place.count, place.depth + 1))
            for name, one in schema.get("properties", {}).items()
        }

    def _array(self, schema: dict[str, Any], place: Place) -> list[Any]:
        most = schema.get("maxItems", 100)
        count = min(most, max(schema.get("minItems", 0), self._length(place.name)))
        if place.depth > DEEPEST:
            count = schema.get("minItems", 0)
        items = schema.get("items", {"type": "string"})
        return [self._value(items, Place(place.name, index, count, place.depth + 1)) for index in range(count)]

    def _length(self, name: str) -> int:
        """As many translations as there are texts; else what is usual."""
        if name == "translations" and (found := re.search(r'"texts\\*":\[(.*?)\]', self.prompt, re.DOTALL)):
            return len(re.findall(r'(?:^|,)\s*\\*"', found[1]))
        return LENGTHS.get(name, 3)

    def _string(self, schema: dict[str, Any], place: Place) -> str:
        text = FORMATS.get(schema.get("format", "")) or self._words(place).format(name=self.name)
        most = schema.get("maxLength", len(text))
        if len(text) > most:
            text = text[:most].rsplit(" ", 1)[0] or text[:most]
        return text.ljust(schema.get("minLength", 0), ".")

    def _words(self, place: Place) -> str:
        is_first, is_last = place.index == 0, place.index == place.count - 1
        if "prompt" in place.name:
            return place.part(PICTURES)
        if place.name in {"lines", "features", "bullets", "tags", "keywords", "points"}:
            return place.part(LINES)
        if place.name.startswith("lang"):
            return "en"
        if "cta" in place.name or "action" in place.name:
            return "Get yours today"
        if place.name in {"kicker", "tagline", "subtitle", "eyebrow"}:
            return place.part(KICKERS)
        if SHORT.search(place.name):
            return "{name}" if is_first else "Get yours today" if is_last else place.part(HEADLINES)
        if LONG.search(place.name) and place.count > 1:
            return self.chance.choice(OPENING) if is_first else self._later(place, is_last=is_last)
        return self.chance.choice(MIDDLE)

    def _later(self, place: Place, *, is_last: bool) -> str:
        return self.chance.choice(CLOSING) if is_last else place.part(MIDDLE)

    def _integer(self, schema: dict[str, Any], place: Place) -> int:
        return round(self._number(schema, place))

    def _number(self, schema: dict[str, Any], place: Place) -> float:
        if place.name in {"index", "number", "position", "order"}:
            return place.index
        least = float(schema.get("minimum", schema.get("exclusiveMinimum", 0)))
        if re.search(r"score|confidence|probab", place.name):
            return min(float(schema.get("maximum", 1)), max(least, 0.8))
        usual = 4.0 if re.search(r"second|duration", place.name) else self.chance.randint(1, 9)
        return min(float(schema.get("maximum", 1e9)), max(least, usual))
