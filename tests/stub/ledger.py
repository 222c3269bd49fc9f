"""What the vendors were asked and what they charged: the request log and the bill."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """One request. `fault` names what was done to it; `delivered` says that its whole answer reached an open connection."""

    number: int
    at: float
    vendor: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int | None = None
    fault: str | None = None
    taken: bool = False
    delivered: bool = False
    # The charges whose answer this request carries.
    carries: list[str] = field(default_factory=list)

    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def text(self) -> str:
        """The body as text, as far as it is text."""
        return self.body.decode(errors="replace")

    def dump(self) -> dict[str, Any]:
        """Itself for the control routes."""
        return {
            "number": self.number,
            "at": self.at,
            "vendor": self.vendor,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "json": self.json(),
            "size": len(self.body),
            "sha256": hashlib.sha256(self.body).hexdigest(),
            "status": self.status,
            "fault": self.fault,
            "taken": self.taken,
            "delivered": self.delivered,
        }


@dataclass
class Charge:
    """One billed thing: what the vendor calls it, its price, and how often its answer was delivered."""

    id: str
    vendor: str
    kind: str
    model: str
    amount_usd: float
    at: float
    # The request that ordered it.
    request: int
    detail: dict[str, Any]
    deliveries: int = 0

    @property
    def delivered(self) -> bool:
        """Whether an answer with its result ever reached the client."""
        return self.deliveries > 0


class Ledger:
    """Requests and charges in the order of their coming."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.charges: dict[str, Charge] = {}
        self.in_flight: set[int] = set()

    def arrive(self, seen: Seen) -> None:
        """A request has come whole."""
        self.requests.append(seen)
        self.in_flight.add(seen.number)

    def leave(self, seen: Seen) -> None:
        """A request is over; when its answer was delivered, so are the charges that it carries."""
        self.in_flight.discard(seen.number)
        if seen.delivered:
            for one in seen.carries:
                self.deliver(one)

    def deliver(self, charge_id: str) -> None:
        """An answer of this charge has reached the client."""
        if charge_id in self.charges:
            self.charges[charge_id].deliveries += 1

    def charge(
        self,
        charge_id: str,
        amount_usd: float,
        *,
        vendor: str,
        kind: str,
        model: str,
        at: float,
        request: int,
        **detail: Any,
    ) -> None:
        """Bill one thing, once."""
        if charge_id not in self.charges:
            self.charges[charge_id] = Charge(charge_id, vendor, kind, model, round(amount_usd, 9), at, request, detail)

    def flying(self, vendor: str, path: str) -> int:
        """How many requests of a vendor below a path are being answered now."""
        return sum(
            self.requests[number - 1].vendor == vendor and self.requests[number - 1].path.startswith(path)
            for number in self.in_flight
        )
