"""Small versions of the chaos rows (tests/soak), with fixed seeds: workers, Redis and its log die under 300 jobs.

`make soak` runs all rows, with 5,000 jobs each.
"""

from __future__ import annotations

import pytest

from tests.soak.forks import ForkServer
from tests.soak.plan import Plan
from tests.soak.rows import ROWS

JOBS = 300


@pytest.mark.parametrize(
    ("row", "jobs"),
    [
        ("C1", JOBS),
        ("C2", JOBS),
        ("C4", JOBS),
        ("C5", 500),
        ("C7", JOBS),
        ("C9", JOBS),
        ("C11", JOBS),
        ("C12", JOBS),
        *(
            pytest.param(row, JOBS, marks=pytest.mark.slow)
            for row in ("C2X", "C3", "C8", "C10", "C13", "C14", "C15", "P")
        ),
    ],
)
def test_nothing_is_lost_stuck_or_done_twice(parent: ForkServer, row: str, jobs: int) -> None:
    """What a row does stands in its own first line."""
    result = ROWS[row](parent, Plan(jobs, seed=7, small=True))
    assert result.is_good, result
