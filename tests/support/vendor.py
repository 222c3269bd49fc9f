"""A vendor in memory: what it was asked, what it charged; and calls to it as the ledger knows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from errors import BadReply
from pipeline.providers.paid import Answer, Candidate, Gate, PaidCall, PaidFile, Pause, Submitted


@dataclass
class Vendor:
    """Every call it takes costs a dollar; `fault` may raise before it is taken, `lost` after."""

    folder: Path
    taken: list[str] = field(default_factory=list)
    looks: int = 0
    fault: Callable[[], None] | None = None
    lost: Callable[[], None] | None = None
    cost_usd: float = 1.0

    def take(self) -> str:
        if self.fault:
            self.fault()
        self.taken.append(f"v{len(self.taken) + 1}")
        if self.lost:
            self.lost()
        return self.taken[-1]


class Sync(PaidCall):
    """A call that is answered at once."""

    name, provider, deadline_seconds = "speak", "vendor", 5.0

    def __init__(
        self, vendor: Vendor, request: Any = "hello", *, most_usd: float = 2.0, gate: Gate | None = None
    ) -> None:
        self.vendor, self.request, self.most_usd, self.gate = vendor, request, most_usd, gate
        self.useless = 0

    def send(self, key: str) -> Submitted | Answer:
        number = self.vendor.take()
        return Answer({"number": number, "said": self.request}, self.vendor.cost_usd)

    def accept(self, result: Any, files: Mapping[str, Path]) -> Any:
        if self.useless:
            self.useless -= 1
            raise BadReply("no use")
        return result


class Async(Sync):
    """A call that is submitted and collected, with a file; it can be looked for."""

    name, searchable = "film", True

    def send(self, key: str) -> Submitted | Answer:
        return Submitted(self.vendor.take())

    def collect(self, external_id: str, pause: Pause) -> Answer:
        pause(0.01)
        path = self.vendor.folder / f"{external_id}.bin"
        path.write_text(f"clip {external_id}")
        return Answer(
            {"number": external_id},
            self.vendor.cost_usd,
            files={"clip": PaidFile(path, "video/mp4", "clip.mp4")},
            external_id=external_id,
        )

    def search(self, since_ms: int) -> Sequence[Candidate]:
        self.vendor.looks += 1
        return [Candidate(one) for one in self.vendor.taken]

    def accept(self, result: Any, files: Mapping[str, Path]) -> Any:
        return result["number"], files["clip"].read_text()


class Keyed(Sync):
    """A vendor that makes one call of two with the same key."""

    keyed = True

    def __init__(self, vendor: Vendor, **options: Any) -> None:
        super().__init__(vendor, **options)
        self.keys: dict[str, str] = {}

    def send(self, key: str) -> Submitted | Answer:
        if key not in self.keys:
            self.keys[key] = f"k{len(self.keys) + 1}"
            self.keys[key] = self.vendor.take()
        return Answer({"number": self.keys[key]}, self.vendor.cost_usd)
