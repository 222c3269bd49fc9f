"""Everything the stub knows, in memory: clock, bill, faults, answers that were prepared, and what can be set."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.routing import BaseRoute

from tests.stub.answers import Answers
from tests.stub.clock import Clock
from tests.stub.faults import FaultQueue
from tests.stub.ledger import Ledger


class Rules(BaseModel):
    """What a person or a test may set (POST /_ctl/settings); seconds are those of the stub's clock."""

    model_config = ConfigDict(extra="forbid")

    message_seconds: float = Field(0.0, ge=0)
    batch_seconds: float = Field(0.1, ge=0)
    cache_min_tokens: int = Field(1024, ge=0)
    start_seconds: float = Field(0.02, ge=0)
    prediction_seconds: float = Field(0.05, ge=0)
    page_size: int = Field(100, ge=1)
    clip_side: int = Field(0, ge=0, description="the shorter side of a clip; 0: as it is asked for")
    speech_seconds: float = Field(0.0, ge=0)
    concurrency: int = Field(15, ge=1)
    character_limit: int = Field(1_000_000, ge=0)
    cost_headers: bool = True


class Vendor(ABC):
    """One vendor: its routes, its bill, its memory."""

    name: str

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """What it answers, below its prefix."""

    @abstractmethod
    def settle(self) -> None:
        """Bill what has become due by now."""

    @abstractmethod
    def forget(self) -> None:
        """Begin anew."""


def base_of(request: Request) -> str:
    """Where the vendor is, as the client calls it."""
    return f"{request.url.scheme}://{request.url.netloc}{request.scope['root_path']}"


class World:
    """One stub's state; it belongs to the server's event loop."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger()
        self.faults = FaultQueue()
        self.answers = Answers()
        self.rules = Rules()
        self.vendors: list[Vendor] = []

    def settle(self) -> None:
        """Bill what has become due by now."""
        for vendor in self.vendors:
            vendor.settle()

    def reset(self) -> None:
        """Begin anew; requests that are still being answered keep the old ledger."""
        self.clock.reset()
        self.ledger, self.faults, self.answers, self.rules = Ledger(), FaultQueue(), Answers(), Rules()
        for vendor in self.vendors:
            vendor.forget()
