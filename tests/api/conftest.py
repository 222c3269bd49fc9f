"""The HTTP interface over an empty Redis and an empty SQLite: in this process, and as a server of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from database.engine import Database
from database.tokens import create_token
from redis_client.client import RedisClient
from tests.support.web import Server, serve

Setting = Callable[[str, object], None]
HERE, ME = "http://localhost", ("127.0.0.1", 50000)


@pytest.fixture
def web(client: RedisClient) -> Iterator[TestClient]:
    """This machine's own people: no token."""
    with TestClient(create_app(), base_url=HERE, raise_server_exceptions=False, client=ME) as made:
        yield made


@pytest.fixture
def closed(client: RedisClient, setting: Setting) -> Iterator[TestClient]:
    """The same, where everybody needs a token."""
    setting("API_AUTH", "on")
    with TestClient(create_app(), base_url=HERE, raise_server_exceptions=False, client=ME) as made:
        yield made


@pytest.fixture
def bearer(sqlite_database: Database) -> Callable[..., dict[str, str]]:
    """`bearer("submit", "acme")`: the header of a new token."""

    def make(scope: str = "read", tenant: str | None = None) -> dict[str, str]:
        name = f"{scope}-{tenant or 'all'}"
        return {"Authorization": f"Bearer {create_token(sqlite_database, name, scope=scope, tenant=tenant)}"}

    return make


@pytest.fixture
def server(client: RedisClient, redis_url: str, tmp_path: Path) -> Iterator[Server]:
    """A real one, on a port of its own."""
    with serve(tmp_path, redis_url) as made:
        yield made
