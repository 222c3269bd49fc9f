"""What a paid call to a vendor is, for the ledger that makes it: sent once, found again, its answer kept with its cost.

An adapter says how its call is sent, collected, searched for and cancelled; the ledger (pipeline/charges.py) decides when.
Errors of `send` say what is known: Unanswered when the vendor may have taken the call, any other when it has not.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from errors import Unsupported

# Sleeps so many seconds, or until a hint comes that the vendor has ended; raises Interrupted when the work must stop.
Pause = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Gate:
    """What the whole fleet shares of a vendor's key: `name` (vendor and key), calls a second, calls at a time."""

    name: str
    per_second: float | None = None
    burst: int = 1
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The vendor works on it under this id."""

    external_id: str


@dataclass(frozen=True, slots=True)
class PaidFile:
    """A file that came with an answer, still in the work folder."""

    path: Path
    media_type: str
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call brought: JSON, files by name, and what it cost (`is_estimate`: the vendor did not say)."""

    result: Any
    cost_usd: float
    is_estimate: bool = False
    files: Mapping[str, PaidFile] = field(default_factory=dict)
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A call at the vendor that may be ours; `created_ms` by the vendor's clock, None when it does not say."""

    external_id: str
    created_ms: int | None = None


class PaidCall(ABC):
    """One call. `request` is what makes it this call and no other: JSON without secrets and without file paths.

    `most_usd`: the most it can cost. `deadline_seconds`: the longest that `send` can take, all in all.
    """

    name: str
    provider: str
    request: Any
    most_usd: float
    deadline_seconds: float
    price_table: str = ""
    gate: Gate | None = None
    # The vendor takes our key and makes one call of two with the same key.
    keyed: bool = False
    # The vendor's calls can be looked through.
    searchable: bool = False
    # When nobody can say whether it was made: ask a person, or pay again. By default the sum decides.
    when_in_doubt: Literal["park", "repay"] | None = None

    @abstractmethod
    def send(self, key: str) -> Submitted | Answer:
        """Make the call, once, under our key."""

    def collect(self, external_id: str, pause: Pause) -> Answer:
        """Wait for a submitted call's answer and fetch it; free, and may be repeated."""
        del pause
        raise Unsupported(f"{self.provider}: {self.name} has nothing to collect under {external_id}")

    def search(self, since_ms: int) -> Sequence[Candidate]:
        """Calls at the vendor that look like this one, made since then; free."""
        raise Unsupported(f"{self.provider}: {self.name} cannot be searched for since {since_ms}")

    def accept(self, result: Any, files: Mapping[str, Path]) -> Any:
        """The answer as the stage wants it; BadReply when it is useless although it is paid.

        `result` is what `Answer.result` was, `files` where its files are stored. Called again for a stored answer.
        """
        del files
        return result


class Ledger(ABC):
    """Makes paid calls for one try of one stage."""

    @abstractmethod
    def charge(self, call: PaidCall) -> Any:
        """The answer of a call (`PaidCall.accept`): the stored one when it was made before, else make it now."""

    @abstractmethod
    def pause(self, seconds: float) -> None:
        """Sleep, unless the work must stop first."""


class NoLedger(Ledger):
    """For local providers outside a job: nothing can be paid."""

    def charge(self, call: PaidCall) -> Any:
        """Refused."""
        raise Unsupported(f"{call.provider}: paid calls are made in a job only")

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)
