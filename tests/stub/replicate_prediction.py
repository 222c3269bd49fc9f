"""One prediction of Replicate's: its life follows from a few moments, so that whoever looks settles what it is by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.stub.clock import HOUR, iso
from tests.stub.replicate_models import Model, file_names, price

ENDED = {"succeeded", "failed", "canceled", "aborted"}
SENSITIVE = "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"


@dataclass
class Prediction:
    """Moments are seconds of the stub's clock. `output` is one prepared by a test; None: files of the model."""

    id: str
    model: Model
    name: str
    version: str
    given: dict[str, Any]
    base: str
    request: int
    created: float
    starts: float
    ends: float
    deadline: float | None = None
    cancelled: float | None = None
    error: str | None = None
    output: Any = None
    source: bytes | None = None
    webhook: str | None = None
    events: frozenset[str] = frozenset()

    def stopped(self) -> float | None:
        """When it was, or will be, ended from outside before its own end."""
        moments = [one for one in (self.cancelled, self.deadline) if one is not None and one < self.ends]
        return min(moments, default=None)

    def completed(self) -> float:
        """When it is over."""
        stopped = self.stopped()
        return self.ends if stopped is None else stopped

    def status(self, now: float) -> str:
        """One of the six."""
        if now < self.completed():
            return "starting" if now < self.starts else "processing"
        stopped = self.stopped()
        if stopped is None:
            return "succeeded" if self.error is None else "failed"
        # A deadline that passes before the start costs nothing and has a name of its own.
        return "aborted" if stopped < self.starts and stopped == self.deadline else "canceled"

    def share(self, now: float) -> float:
        """Which part of its price is owed by now."""
        status = self.status(now)
        if status == "succeeded":
            return 1.0
        if status != "canceled" or self.completed() <= self.starts:
            return 0.0
        return (self.completed() - self.starts) / (self.ends - self.starts)

    def usd(self) -> float:
        """The price of the whole of it."""
        return price(self.model, self.given, self.ends - self.starts)

    def is_removed(self, now: float) -> bool:
        """Input, output and logs are kept for an hour."""
        return self.status(now) in ENDED and now >= self.completed() + HOUR

    def files(self) -> list[str]:
        """The names of the files it makes."""
        return [] if self.output is not None else file_names(self.model, self.given)

    def entry(self, now: float) -> dict[str, Any]:
        """As the list shows it."""
        status, began = self.status(now), min(self.starts, self.completed())
        has_ended, has_started = status in ENDED, now >= self.starts and began == self.starts
        is_removed = self.is_removed(now)
        metrics = {}
        if has_ended and has_started:
            since = {"predict_time": self.starts, "total_time": self.created}
            metrics = {name: round(self.completed() - moment, 6) for name, moment in since.items()}
        return {
            "id": self.id,
            "model": self.name,
            "version": self.version,
            "status": status,
            "input": {} if is_removed else self.given,
            "error": self.error if status == "failed" else None,
            "metrics": metrics,
            "source": "api",
            "data_removed": is_removed,
            "created_at": iso(self.created),
            "started_at": iso(self.starts) if has_started else None,
            "completed_at": iso(self.completed()) if has_ended else None,
            "urls": {
                "get": f"{self.base}/v1/predictions/{self.id}",
                "cancel": f"{self.base}/v1/predictions/{self.id}/cancel",
                "web": f"{self.base}/p/{self.id}",
            },
        }

    def view(self, now: float) -> dict[str, Any]:
        """As it is shown by itself."""
        entry = self.entry(now)
        has_output = entry["status"] == "succeeded" and not entry["data_removed"]
        logs = f"Using seed: {self.request}\n" if entry["started_at"] else ""
        return entry | {
            "output": self._output() if has_output else None,
            "logs": None if entry["data_removed"] else logs,
        }

    def _output(self) -> Any:
        if self.output is not None:
            return self.output
        urls = [f"{self.base}/out/{self.id}/{name}" for name in self.files()]
        return urls if self.model.several else urls[0]
