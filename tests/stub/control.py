"""The control routes below /_ctl: faults, answers, clock, settings, and what was seen and charged."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.stub.answers import Canned
from tests.stub.faults import Fault
from tests.stub.world import Rules, World

T = TypeVar("T", bound=BaseModel)


def control_routes(world: World) -> list[BaseRoute]:
    """All of them; a mistake in what is posted is answered with 400 and its reason."""

    async def fault(request: Request) -> Response:
        faults = await _posted(request, Fault)
        if isinstance(faults, Response):
            return faults
        for one in faults:
            world.faults.add(one)
        return _good()

    async def answers(request: Request) -> Response:
        canned = await _posted(request, Canned)
        if isinstance(canned, Response):
            return canned
        for one in canned:
            world.answers.add(one)
        return _good()

    async def settings(request: Request) -> Response:
        if request.method == "POST":
            merged = world.rules.model_dump() | await request.json()
            try:
                world.rules = Rules.model_validate(merged)
            except ValidationError as error:
                return _wrong(error)
        return JSONResponse(world.rules.model_dump())

    async def clock(request: Request) -> Response:
        if request.method == "POST":
            world.clock.advance(float((await request.json())["advance"]))
        return JSONResponse({"now": world.clock.now(), "offset": world.clock.offset})

    async def reset(_request: Request) -> Response:
        world.reset()
        return _good()

    async def waiting(request: Request) -> Response:
        if request.method == "DELETE":
            world.faults.waiting.clear()
        return JSONResponse([one.model_dump() for one in world.faults.waiting])

    async def requests(_request: Request) -> Response:
        return JSONResponse([one.dump() for one in world.ledger.requests])

    async def charges(_request: Request) -> Response:
        world.settle()
        return JSONResponse([asdict(one) for one in world.ledger.charges.values()])

    return [
        Route("/fault", fault, methods=["POST"]),
        Route("/faults", waiting, methods=["GET", "DELETE"]),
        Route("/answers", answers, methods=["POST"]),
        Route("/settings", settings, methods=["GET", "POST"]),
        Route("/clock", clock, methods=["GET", "POST"]),
        Route("/reset", reset, methods=["POST"]),
        Route("/requests", requests),
        Route("/charges", charges),
    ]


async def _posted(request: Request, kind: type[T]) -> list[T] | Response:
    """One or several of a kind."""
    body: Any = await request.json()
    try:
        return [kind.model_validate(one) for one in (body if isinstance(body, list) else [body])]
    except ValidationError as error:
        return _wrong(error)


def _good() -> Response:
    return JSONResponse({"ok": True})


def _wrong(error: ValidationError) -> Response:
    return JSONResponse({"error": str(error)}, 400)
