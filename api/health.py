"""Whether this process lives, and whether it can serve. Open to everybody: it tells nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response, status

from database.meta import database_id
from errors import StagecrewError
from redis_client import redis_client
from redis_client.connection import queue_errors

router = APIRouter(tags=["health"])


@router.get("/healthz")
def alive() -> dict[str, str]:
    """Whether this process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def ready(response: Response) -> dict[str, Any]:
    """Redis and the database answer; 503 when one does not."""
    checks = {"database": _is_well(lambda: database_id(redis_client.database)), "redis": _is_well(_ask_redis)}
    if not all(checks.values()):
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return {"status": "ready" if all(checks.values()) else "unready", **checks}


def _ask_redis() -> None:
    with queue_errors():
        redis_client.get_client().ping()


def _is_well(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except StagecrewError:
        return False
    return True
