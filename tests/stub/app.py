"""The app: the vendors under /a /r /e /o, and the control routes under /_ctl."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from tests.stub.anthropic import Anthropic
from tests.stub.control import control_routes
from tests.stub.elevenlabs import ElevenLabs
from tests.stub.openai import OpenAi
from tests.stub.replicate import Replicate
from tests.stub.shapes import VendorError
from tests.stub.wire import PREFIXES, Wire
from tests.stub.world import World


def make_app() -> Starlette:
    """One stub, with a world of its own."""
    world = World()
    world.vendors = [Anthropic(world), Replicate(world), ElevenLabs(world), OpenAi(world)]
    prefixes = {vendor: prefix for prefix, vendor in PREFIXES.items()}
    mounts = [Mount(f"/{prefixes[vendor.name]}", routes=vendor.routes()) for vendor in world.vendors]
    return Starlette(
        routes=[*mounts, Mount("/_ctl", routes=control_routes(world))],
        middleware=[Middleware(Wire, world=world)],
        exception_handlers={VendorError: _refusal},
    )


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, VendorError)
    return error.response
