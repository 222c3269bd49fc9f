"""The vendors' clock: real time plus what a test has added, so that an hour passes without waiting for it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

HOUR = 3600.0
DAY = 24 * HOUR


class Clock:
    """Belongs to the server's event loop."""

    def __init__(self) -> None:
        self.offset = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever waits for a moment looks again."""
        self.offset += seconds
        self._wake()

    def reset(self) -> None:
        """Real time again."""
        self.offset = 0.0
        self._wake()

    async def until(self, moment: float) -> None:
        """Sleep until this clock shows the moment."""
        while (left := moment - self.now()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._moved.wait()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()


def iso(moment: float | None) -> str | None:
    """A moment as the vendors write it."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
