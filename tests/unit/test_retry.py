"""Backoff is arithmetic: 2, 4, 8 s; a Retry-After wins."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import Overloaded, RateLimited
from pipeline.retry import delay_seconds


def test_the_default_table_is_2_4_8() -> None:
    assert [delay_seconds(attempt, 2) for attempt in (1, 2, 3)] == [2, 4, 8]


def test_a_base_of_zero_waits_for_nothing() -> None:
    assert [delay_seconds(attempt, 0) for attempt in (1, 2, 3)] == [0, 0, 0]


def test_retry_after_wins_over_the_table() -> None:
    assert delay_seconds(1, 2, RateLimited("slow down", retry_after=40)) == 40
    assert delay_seconds(3, 2, RateLimited("slow down", retry_after=0)) == 0
    assert delay_seconds(1, 2, RateLimited("slow down", retry_after=-5)) == 0


@pytest.mark.parametrize("error", [Overloaded("busy"), ZeroDivisionError("bug"), None])
def test_without_retry_after_the_table_holds(error: Exception | None) -> None:
    assert delay_seconds(2, 2, error) == 4


@settings(derandomize=True, database=None, deadline=None)
@given(attempt=st.integers(1, 100), base=st.floats(0, 3600))
def test_waits_never_fall_with_the_tries(attempt: int, base: float) -> None:
    assert 0 <= delay_seconds(attempt, base) <= delay_seconds(attempt + 1, base)
