"""Fixtures for tests against the stub: `pytest_plugins = ("tests.stub.fixtures",)` in a test file brings them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stub.server import Stub, stub_server


@pytest.fixture(scope="session")
def stub_of_session() -> Iterator[Stub]:
    """One stub for all tests; use `stub`, which empties it first."""
    with stub_server() as stub:
        yield stub


@pytest.fixture
def stub(stub_of_session: Stub) -> Stub:
    """The vendors with no past."""
    stub_of_session.reset()
    return stub_of_session
