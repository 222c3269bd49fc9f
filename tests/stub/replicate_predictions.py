"""Replicate's predictions: made, listed, cancelled, waited for, told by webhook and billed, all by the stub's clock."""

from __future__ import annotations

import asyncio
import json
import mimetypes
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.stub import replicate_checks as checks
from tests.stub import replicate_webhooks as webhooks
from tests.stub.media import picture_size
from tests.stub.replicate_files import Files
from tests.stub.replicate_models import VERSIONS, data_of, flaws, image_of, model_of, render
from tests.stub.replicate_prediction import ENDED, SENSITIVE, Prediction
from tests.stub.shapes import VendorError
from tests.stub.world import World, base_of

DEFAULT_EVENTS = frozenset({"output", "completed"})
NAMELESS = "stub/model"  # the model of a version that nobody knows
HIDDEN = "hidden"  # what stands for the version of a model that is called by its name


class Predictions:
    """All predictions of the account."""

    def __init__(self, world: World, files: Files) -> None:
        self.world, self.files = world, files
        self.all: dict[str, Prediction] = {}
        self.tellers: set[asyncio.Task[None]] = set()

    def routes(self) -> list[BaseRoute]:
        """Below /r."""
        return [
            Route("/v1/predictions", self.create, methods=["POST"]),
            Route("/v1/predictions", self.list, methods=["GET"]),
            Route("/v1/models/{owner}/{name}/predictions", self.create_by_name, methods=["POST"]),
            Route("/v1/predictions/{prediction}", self.get, methods=["GET"]),
            Route("/v1/predictions/{prediction}/cancel", self.cancel, methods=["POST"]),
            Route("/out/{prediction}/{file}", self.file),
        ]

    def forget(self) -> None:
        """Begin anew."""
        self.all.clear()
        for teller in self.tellers:
            teller.cancel()

    def settle(self) -> None:
        """Bill what has succeeded, and the part of what was cancelled that had been done."""
        now = self.world.clock.now()
        for one in self.all.values():
            share = one.share(now)
            if share:
                self.world.ledger.charge(
                    one.id,
                    one.usd() * share,
                    vendor="replicate",
                    kind="prediction",
                    model=one.name,
                    at=one.completed(),
                    request=one.request,
                    status=one.status(now),
                    share=share,
                )

    async def create(self, request: Request) -> Response:
        """By version: its hash, alone or behind the model's name."""
        checks.check_token(request)
        body = await checks.body_of(request, needs_version=True)
        name, _, version = body["version"].rpartition(":")
        if "/" in version:
            name, version = version, HIDDEN
        if "missing" in version:
            reason = "The specified version does not exist (or perhaps you don't have permission to use it?)"
            raise VendorError("replicate", 422, reason, error="Invalid version or not permitted")
        return await self._created(request, body, name or VERSIONS.get(version, NAMELESS), version)

    async def create_by_name(self, request: Request) -> Response:
        """By the name of an official model."""
        checks.check_token(request)
        body = await checks.body_of(request, needs_version=False)
        if request.path_params["name"] == "missing":
            raise checks.not_found()
        return await self._created(request, body, "{owner}/{name}".format_map(request.path_params), HIDDEN)

    async def list(self, request: Request) -> Response:
        """The newest first, in pages that a cursor goes on with."""
        checks.check_token(request)
        ids = list(reversed(self.all))
        cursor, size = request.query_params.get("cursor"), self.world.rules.page_size
        # The cursor names the first entry of its page, so that new predictions do not move it.
        start = ids.index(cursor) if cursor in ids else 0
        address = f"{base_of(request)}/v1/predictions?cursor="
        page = {
            "previous": address + ids[max(0, start - size)] if start else None,
            "next": address + ids[start + size] if start + size < len(ids) else None,
            "results": [self.all[one].entry(self.world.clock.now()) for one in ids[start : start + size]],
        }
        return JSONResponse(page)

    async def get(self, request: Request) -> Response:
        """How far it is."""
        return self._said(self._found(request), request)

    async def cancel(self, request: Request) -> Response:
        """End it; one that has ended stays as it is."""
        found, now = self._found(request), self.world.clock.now()
        if found.status(now) not in ENDED:
            found.cancelled = now
        return self._said(found, request)

    async def file(self, request: Request) -> Response:
        """A file that it made, for whoever knows the address, for an hour. A token that comes along stands in the log."""
        found, now = self.all.get(request.path_params["prediction"]), self.world.clock.now()
        name = request.path_params["file"]
        if found is None or name not in found.files() or found.status(now) != "succeeded" or found.is_removed(now):
            return Response("Not found", 404)
        side = self.world.rules.clip_side
        seed = f"{found.id}/{name}"
        body = await asyncio.to_thread(render, found.model, found.given, found.source, name=name, seed=seed, side=side)
        request.state.seen.carries.append(found.id)
        return Response(body, media_type=mimetypes.guess_type(name)[0])

    async def _created(self, request: Request, body: dict[str, Any], name: str, version: str) -> Response:
        given = body["input"]
        model = model_of(name, given)
        if wrong := list(flaws(model, given)):
            raise checks.refused_all(wrong)
        wait, seconds = checks.wanted_wait(request), checks.cancel_after(request)
        canned = self.world.answers.find("replicate", f"{request.url.path} {json.dumps(body, ensure_ascii=False)}")
        source, error = await asyncio.to_thread(self._source, given)
        if "forbidden" in str(given.get("prompt", "")).lower():
            error = SENSITIVE
        rules, now = self.world.rules, self.world.clock.now()
        starts, lasts = rules.start_seconds, rules.prediction_seconds
        if canned:
            error = canned.error or error
            starts = starts if canned.start_seconds is None else canned.start_seconds
            lasts = lasts if canned.seconds is None else canned.seconds
        made = Prediction(
            id=uuid.uuid4().hex[:26],
            model=model,
            name=name,
            version=version,
            given=given,
            base=base_of(request),
            request=request.state.seen.number,
            created=now,
            starts=now + starts,
            ends=now + starts + lasts,
            deadline=None if seconds is None else now + seconds,
            error=error,
            output=canned.body if canned else None,
            source=source,
            webhook=body.get("webhook"),
            events=frozenset(body.get("webhook_events_filter") or DEFAULT_EVENTS),
        )
        self.all[made.id] = made
        if made.webhook:
            teller = asyncio.create_task(self._tell(made, made.webhook))
            self.tellers.add(teller)
            teller.add_done_callback(self.tellers.discard)
        if wait is None:
            return self._said(made, request, 201)
        await self.world.clock.until(min(now + wait, made.completed()))
        return self._said(made, request, 201 if made.status(self.world.clock.now()) in ENDED else 202)

    def _source(self, given: dict[str, Any]) -> tuple[bytes | None, str | None]:
        """The picture in an input as far as the stub can read it, and why the model could not."""
        url = image_of(given)
        if url is None:
            return None, None
        try:
            body = data_of(url)
            body = self.files.read(url) if body is None else body
        except LookupError:
            return None, f"404 Client Error: Not Found for url: {url}"
        if body is not None and picture_size(body) is None:
            return None, "cannot identify image file"
        return body, None

    async def _tell(self, made: Prediction, url: str) -> None:
        """Call the client at its start and at its end, as far as it wants to be called."""
        clock = self.world.clock
        if "start" in made.events:
            await clock.until(min(made.starts, made.completed()))
            if made.status(clock.now()) != "aborted":
                await webhooks.tell(url, made.view(clock.now()))
        while made.status(clock.now()) not in ENDED:
            await clock.until(made.completed())
        view = made.view(clock.now())
        if view["output"] is not None and "output" in made.events:
            await webhooks.tell(url, view | {"status": "processing", "completed_at": None, "metrics": {}})
        if "completed" in made.events:
            await webhooks.tell(url, view)

    def _said(self, found: Prediction, request: Request, status: int = 200) -> Response:
        now = self.world.clock.now()
        if found.output is not None and found.status(now) == "succeeded":
            request.state.seen.carries.append(found.id)
        return JSONResponse(found.view(now), status)

    def _found(self, request: Request) -> Prediction:
        checks.check_token(request)
        found = self.all.get(request.path_params["prediction"])
        if found is None:
            raise checks.not_found()
        return found
