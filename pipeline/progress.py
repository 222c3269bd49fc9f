"""Progress as the weighted sum over all steps: each boundary is told, steps between them a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from pipeline.catalog.base import Step

BETWEEN_SECONDS = 0.25
Publish = Callable[[float, str, Sequence[str], str], None]


class ProgressMeter:
    """The progress of one job, 0 to 100; never falls."""

    def __init__(self, steps: Sequence[Step], publish: Publish, *, start: float = 0.0) -> None:
        total = sum(step.weight for step in steps) or 1.0
        self._share = {step.name: 100.0 * step.weight / total for step in steps}
        self._done = dict.fromkeys(self._share, 0.0)
        self._items: dict[str, dict[str, float]] = {name: {"": 0.0} for name in self._share}
        self._active: dict[str, None] = {}
        self._publish = publish
        self._lock = threading.Lock()
        self._value = start
        self._told_at = float("-inf")

    @property
    def value(self) -> float:
        """The progress now."""
        return self._value

    def done(self, name: str) -> None:
        """A step that was done before this run."""
        self._done[name] = 1.0
        self._value = max(self._value, self._sum())

    def split(self, name: str, items: Mapping[str, bool]) -> None:
        """A step works on these items, in any order; which of them were done before."""
        with self._lock:
            self._items[name] = {item: float(is_done) for item, is_done in items.items()}

    def after(self, name: str, item: str = "") -> float:
        """The progress when this item of a step is done."""
        with self._lock:
            gain = (self._share_with(name, item, 1.0) - self._done[name]) * self._share[name]
            return max(self._value, min(100.0, self._sum() + max(0.0, gain)))

    def start(self, name: str) -> None:
        """A step begins."""
        with self._lock:
            self._active[name] = None
        # The claim has told of the first step at 0; saying it again costs every job a round trip.
        if self._value > 0 or len(self._active) > 1:
            self._tell("", force=True)

    def report(self, name: str, share: float, message: str = "", *, item: str = "") -> None:
        """A step, or this item of it, has come to `share` (0..1)."""
        with self._lock:
            items = self._items[name]
            items[item] = max(items[item], min(1.0, share))
            whole = self._share_with(name, item, items[item])
        self._advance(name, whole)
        self._tell(message, force=False)

    def finish(self, name: str, *, tell: bool = True) -> None:
        """A step ends."""
        self._advance(name, 1.0)
        with self._lock:
            self._active.pop(name, None)
        if tell:
            self._tell("", force=True)

    def stage(self) -> str:
        """The step whose range holds the progress."""
        upper = 0.0
        name = ""
        for name, share in self._share.items():
            upper += share
            if self._value < upper - 1e-9:
                return name
        return name

    def _advance(self, name: str, share: float) -> None:
        with self._lock:
            self._done[name] = max(self._done[name], min(1.0, share))
            self._value = max(self._value, min(100.0, self._sum()))

    def _share_with(self, name: str, item: str, share: float) -> float:
        """How far a step is once this item has come to `share`."""
        items = self._items[name]
        return sum((items | {item: share}).values()) / len(items)

    def _sum(self) -> float:
        return min(100.0, sum(self._done[name] * share for name, share in self._share.items()))

    def _tell(self, message: str, *, force: bool) -> None:
        now = time.monotonic()
        if not force and now - self._told_at < BETWEEN_SECONDS:
            return
        self._told_at = now
        self._publish(self._value, self.stage(), tuple(self._active), message)
