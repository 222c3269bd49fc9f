"""Replicate: predictions, files and the secret of its webhooks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.stub.replicate_checks import check_token
from tests.stub.replicate_files import Files
from tests.stub.replicate_predictions import Predictions
from tests.stub.replicate_webhooks import SECRET
from tests.stub.world import Vendor, World


class Replicate(Vendor):
    """Below /r."""

    name = "replicate"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.files = Files(world)
        self.predictions = Predictions(world, self.files)

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return [
            *self.predictions.routes(),
            *self.files.routes(),
            Route("/v1/account", self.account),
            Route("/v1/webhooks/default/secret", self.secret),
        ]

    def settle(self) -> None:
        """Bill what predictions have done by now."""
        self.predictions.settle()

    def forget(self) -> None:
        """Begin anew."""
        self.predictions.forget()
        self.files.all.clear()

    async def account(self, request: Request) -> Response:
        """Whose token it is."""
        check_token(request)
        return JSONResponse({"type": "organization", "username": "stub", "name": "Stub", "github_url": None})

    async def secret(self, request: Request) -> Response:
        """What webhooks are signed with."""
        check_token(request)
        return JSONResponse({"key": SECRET})
