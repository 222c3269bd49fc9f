"""The HTTP interface."""

from __future__ import annotations

from fastapi import FastAPI

from api import webhooks_in


def create_app() -> FastAPI:
    """The application; opens nothing before its first request."""
    app = FastAPI(title="Stagecrew", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(webhooks_in.router)
    return app
