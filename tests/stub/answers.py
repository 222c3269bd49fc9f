"""Answers that a test or a person has prepared; without one the stub makes an answer up."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Canned(BaseModel):
    """What to say to the next `n` requests (None: all) of a vendor whose path and body match the regex.

    `body` is the answer: text or JSON of a model, the output of a prediction, what a recording says. `stop_reason` ends
    a message so (refusal, max_tokens); `error` makes a prediction fail; `seconds` and `start_seconds` are its times.
    """

    model_config = ConfigDict(extra="forbid")

    vendor: str
    match: str = ""
    body: Any = None
    n: int | None = Field(None, ge=1)
    stop_reason: str | None = None
    error: str | None = None
    seconds: float | None = None
    start_seconds: float | None = None


class Answers:
    """The latest that fits is used."""

    def __init__(self) -> None:
        self.known: list[Canned] = []

    def add(self, canned: Canned) -> None:
        """Use it from now on."""
        self.known.insert(0, canned.model_copy())

    def find(self, vendor: str, text: str) -> Canned | None:
        """The answer prepared for this request, used up by one."""
        for canned in self.known:
            if canned.vendor != vendor or not re.search(canned.match, text, re.DOTALL):
                continue
            if canned.n is not None:
                canned.n -= 1
                if not canned.n:
                    self.known.remove(canned)
            return canned
        return None
