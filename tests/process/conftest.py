"""What the tests of real processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.soak.forks import ForkServer


@pytest.fixture(scope="module")
def parent() -> Iterator[ForkServer]:
    """The warmed process that forks all workers of a file."""
    server = ForkServer()
    server.start()
    yield server
    server.close()
