"""The jobs of a row, and what each must come to."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DONE = frozenset({"completed"})


@dataclass(frozen=True)
class Spec:
    """A job as it is enqueued."""

    id: str
    payload: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    ends: frozenset[str] = DONE

    def following(self) -> Iterator[str]:
        """The jobs that it starts itself."""
        at = self.payload.get("children_at", 1)
        yield from (f"{self.id}.step_{at}.{number}" for number in range(self.payload.get("children", 0)))
        if self.options.get("then"):
            yield f"{self.id}.then"

    def result(self) -> Any:
        """What it must come to when it is completed."""
        number, items = self.payload.get("stages", 1), self.payload.get("items", 0)
        if items:
            return [self._of(number, item) for item in range(items)]
        return self._of(number, None)

    def _of(self, number: int, item: int | None) -> dict[str, Any]:
        at, count = self.payload.get("children_at", 1), self.payload.get("children", 0)
        children = ["completed"] * count if count and at == number else []
        return {"number": number, "item": item, "artifact": self._artifact(number, item), "children": children}

    def _artifact(self, number: int, item: int | None) -> dict[str, Any] | None:
        size = self.payload.get("bytes", 0)
        if not size:
            return None
        content = random.Random(f"{self.id}/{number}/{item}").randbytes(size)
        kind = "application/octet-stream"
        digest = hashlib.sha256(content).hexdigest()
        return {"sha256": digest, "size": size, "media_type": kind, "name": f"step-{number}.bin"}


def plain(count: int, *, prefix: str = "job", stages: int = 3, seconds: float = 0.01, **options: Any) -> list[Spec]:
    """Jobs of a few short stages."""
    return [Spec(f"{prefix}-{one:05}", {"stages": stages, "seconds": seconds}, dict(options)) for one in range(count)]


def mixed(count: int, dice: random.Random, *, seconds: float = 0.01) -> list[Spec]:
    """Mostly jobs of three stages; some with items, files, two queues, a try that fails, children, a next one."""
    then = {"pipeline": "selftest", "payload": {"stages": 1}}
    kinds: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
        (12, {"stages": 3}, {}),
        (1, {"stages": 2, "items": 2, "bytes": 64}, {}),
        (1, {"stages": 2, "items": 4, "items_at_once": 3, "bytes": 64}, {}),
        (2, {"stages": 3, "two_queues": True}, {}),
        (1, {"stages": 2, "fail_at": 2, "fail_times": 1}, {}),
        (1, {"stages": 2, "children": 2, "children_at": 2}, {}),
        (1, {"stages": 1}, {"then": then}),
        (1, {"stages": 3, "branches": 2}, {"priority": "high"}),
    ]
    chosen = dice.choices(kinds, weights=[weight for weight, _, _ in kinds], k=count)
    return [
        Spec(f"job-{number:05}", payload | {"seconds": seconds}, dict(options))
        for number, (_, payload, options) in enumerate(chosen)
    ]
