"""The HTTP interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import (
    catalog,
    events,
    files,
    fleet,
    health,
    jobs,
    login,
    metrics,
    money,
    pages,
    problems,
    webhooks,
    webhooks_in,
)
from api.headers import SafeHeaders
from redis_client import redis_client
from redis_client.events import Bell

MOST_BYTES = 1 << 20  # of a request, but of an upload


@asynccontextmanager
async def _until_the_end(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.bell.close()


def create_app() -> FastAPI:
    """The application; opens nothing before its first request."""
    app = FastAPI(
        title="Stagecrew",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=_until_the_end,
        responses=problems.RESPONSES,
        max_body_size=MOST_BYTES,
    )
    app.state.bell = Bell(redis_client.queue)
    app.add_middleware(SafeHeaders)
    problems.install(app)
    for room in (health, metrics, catalog, jobs, events, files, money, fleet, webhooks, webhooks_in, login):
        app.include_router(room.router)
    pages.install(app)
    return app
