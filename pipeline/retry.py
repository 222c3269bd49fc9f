"""Backoff as pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from errors import Transient


def delay_seconds(
    attempt: int, base_seconds: float, error: BaseException | None = None, table: Sequence[float] = ()
) -> float:
    """How long to wait before try `attempt` + 1: 2, 4, 8 s with a base of 2; a Retry-After wins over that.

    A pipeline may have a table of its own; its last entry is repeated.
    """
    if isinstance(error, Transient) and error.retry_after is not None:
        return max(0.0, error.retry_after)
    if table:
        return float(table[min(attempt, len(table)) - 1])
    return float(base_seconds * 2.0 ** (attempt - 1))
