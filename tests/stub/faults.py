"""The fault queue: what is to go wrong with which of the next requests."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tests.stub.ledger import Seen

Kind = Literal[
    "status",  # an error of the vendor's own shape
    "slow",  # `seconds` before the headers
    "drip",  # the body in `pieces`, `seconds` before each
    "truncated",  # a content-length that is longer than what comes
    "malformed",  # JSON that ends in the middle
    "wrong_shape",  # JSON of another shape: `body`
    "html",  # a proxy's page
    "reset_before",  # the connection is reset before the request is taken
    "reset_after",  # the request is taken, then the connection is reset without an answer
    "reset_during",  # the request is taken, and the connection is reset in the middle of the answer
    "cut",  # a stream of events ends well after `events` of them
    "error_event",  # a stream of events goes on with an error after `events` of them
]
NOT_TAKEN = {"status", "html", "reset_before"}


class Match(BaseModel):
    """Which requests: a vendor, a method, a regex for the path, a regex for the body."""

    model_config = ConfigDict(extra="forbid")

    vendor: str | None = None
    method: str | None = None
    path: str | None = None
    contains: str | None = None

    def fits(self, seen: Seen) -> bool:
        """Whether a request is meant."""
        return (
            self.vendor in {None, seen.vendor}
            and self.method in {None, seen.method}
            and (self.path is None or re.search(self.path, seen.path) is not None)
            and (self.contains is None or re.search(self.contains, seen.text()) is not None)
        )


class Fault(BaseModel):
    """One fault for the next `n` requests that match (None: for all to come), after `skip` of them passed unharmed.

    `taken` says whether the vendor does the work and bills it; each kind has its own default.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    match: Match = Match()
    n: int | None = Field(1, ge=1)
    skip: int = Field(0, ge=0)
    taken: bool | None = None
    status: int | None = None
    error: str | None = None
    code: str | None = None
    message: str | None = None
    headers: dict[str, str] = {}
    retry_after: str | None = None
    seconds: float = 1.0
    pieces: int = Field(5, ge=1)
    share: float = Field(0.5, ge=0, le=1)
    events: int = Field(3, ge=0)
    body: Any = None

    def is_taken(self) -> bool:
        """Whether the vendor takes the request although it goes wrong."""
        return self.kind not in NOT_TAKEN if self.taken is None else self.taken

    def all_headers(self) -> dict[str, str]:
        """Its headers, with Retry-After when it has one."""
        return self.headers | ({"retry-after": self.retry_after} if self.retry_after is not None else {})


class FaultQueue:
    """Faults wait until a request fits; the oldest that fits is used."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let it wait for its requests."""
        self.waiting.append(fault.model_copy())

    def take(self, seen: Seen) -> Fault | None:
        """The fault for this request, used up by one."""
        for fault in self.waiting:
            if not fault.match.fits(seen):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.n is not None:
                fault.n -= 1
                if not fault.n:
                    self.waiting.remove(fault)
            return fault
        return None
