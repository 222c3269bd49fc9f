"""Batches of messages: half the price, within a day, cancelled half done, and gone through with by the stub's clock."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pipeline.providers.prices import BATCH_SHARE
from tests.stub.anthropic_checks import check_headers, check_message, parsed, wrong
from tests.stub.anthropic_message import PromptCache, compose
from tests.stub.clock import DAY, iso
from tests.stub.ledger import Seen
from tests.stub.shapes import VendorError, request_id
from tests.stub.world import World, base_of

CANCEL_SECONDS = 0.05


@dataclass
class Batch:
    """Its requests are done one after the other, evenly over `seconds`."""

    id: str
    items: list[dict[str, Any]]
    created: float
    seconds: float
    version: str
    request: int
    cancelled: float | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def expires(self) -> float:
        """A day after its creation nothing more is done."""
        return self.created + DAY

    @property
    def ends(self) -> float:
        """When its processing ends."""
        done = min(self.created + self.seconds, self.expires)
        return done if self.cancelled is None else min(done, self.cancelled + CANCEL_SECONDS)

    def due(self, index: int) -> float:
        """When a request of it is done, if nothing comes between."""
        return self.created + self.seconds * (index + 1) / len(self.items)

    def stops(self) -> float:
        """When no further request of it is begun."""
        return min(self.expires, self.expires if self.cancelled is None else self.cancelled)


class Batches:
    """All batches of the account."""

    def __init__(self, world: World, cache: PromptCache) -> None:
        self.world, self.cache = world, cache
        self.all: dict[str, Batch] = {}

    def routes(self) -> list[BaseRoute]:
        """Below /a."""
        path = "/v1/messages/batches"
        return [
            Route(path, self.create, methods=["POST"]),
            Route(path, self.list, methods=["GET"]),
            Route(path + "/{batch}", self.retrieve, methods=["GET"]),
            Route(path + "/{batch}", self.delete, methods=["DELETE"]),
            Route(path + "/{batch}/results", self.results, methods=["GET"]),
            Route(path + "/{batch}/cancel", self.cancel, methods=["POST"]),
        ]

    def settle(self) -> None:
        """Do, and bill, what is due by now."""
        for batch in self.all.values():
            self._go_on(batch)

    async def create(self, request: Request) -> Response:
        """Take a batch; its requests are looked at when their turn comes."""
        version = check_headers(request.headers)
        items = parsed(await request.body()).get("requests")
        if not isinstance(items, list) or not items:
            raise wrong("requests: List should have at least 1 item after validation")
        for number, item in enumerate(items):
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(item.get("custom_id", ""))):
                raise wrong(f"requests.{number}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
            if not isinstance(item.get("params"), dict):
                raise wrong(f"requests.{number}.params: Field required")
        if len({item["custom_id"] for item in items}) < len(items):
            raise wrong("requests: custom_id values must be unique")
        seconds, number = self.world.rules.batch_seconds, request.state.seen.number
        batch = Batch(f"msgbatch_{uuid.uuid4().hex[:24]}", items, self.world.clock.now(), seconds, version, number)
        self.all[batch.id] = batch
        return self._said(batch, request)

    async def retrieve(self, request: Request) -> Response:
        """How far it is."""
        return self._said(self._found(request), request)

    async def list(self, request: Request) -> Response:
        """All batches, the newest first, in pages."""
        check_headers(request.headers)
        ids = list(reversed(self.all))
        after, before = request.query_params.get("after_id"), request.query_params.get("before_id")
        ids = ids[ids.index(after) + 1 :] if after in ids else ids
        ids = ids[: ids.index(before)] if before in ids else ids
        limit = int(request.query_params.get("limit", 20))
        shown = ids[:limit]
        page = {
            "data": [self._view(self.all[one], request) for one in shown],
            "has_more": len(ids) > limit,
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }
        return JSONResponse(page, headers={"request-id": request_id()})

    async def cancel(self, request: Request) -> Response:
        """Begin no further request of it."""
        batch = self._found(request)
        now = self.world.clock.now()
        if now < batch.ends and batch.cancelled is None:
            batch.cancelled = now
        return self._said(batch, request)

    async def delete(self, request: Request) -> Response:
        """Only when it has ended."""
        batch = self._found(request)
        if self.world.clock.now() < batch.ends:
            raise wrong("Message Batch must have finished processing before it can be deleted.")
        del self.all[batch.id]
        return JSONResponse({"id": batch.id, "type": "message_batch_deleted"}, headers={"request-id": request_id()})

    async def results(self, request: Request) -> Response:
        """One JSON a line, not in the order of the requests."""
        batch = self._found(request)
        if self.world.clock.now() < batch.ends:
            raise wrong(f"Message batch {batch.id} has no results yet.", 404)
        seen: Seen = request.state.seen
        lines = []
        for name, result in reversed(batch.results.items()):
            lines.append(json.dumps({"custom_id": name, "result": result}))
            if result["type"] == "succeeded":
                seen.carries.append(result["message"]["id"])
        headers = {"request-id": request_id()}
        return Response("\n".join(lines) + "\n", headers=headers, media_type="application/x-jsonl")

    def _found(self, request: Request) -> Batch:
        check_headers(request.headers)
        batch = self.all.get(request.path_params["batch"])
        if batch is None:
            raise wrong(f"Message batch {request.path_params['batch']} not found.", 404)
        return batch

    def _go_on(self, batch: Batch) -> None:
        now = self.world.clock.now()
        for index, item in enumerate(batch.items):
            name, due = item["custom_id"], batch.due(index)
            if name in batch.results:
                continue
            if due <= min(now, batch.stops()):
                batch.results[name] = self._done(batch, item, due)
            elif now >= batch.ends:
                batch.results[name] = {"type": "expired" if batch.ends >= batch.expires else "canceled"}

    def _done(self, batch: Batch, item: dict[str, Any], at: float) -> dict[str, Any]:
        """The result of one request, billed when it succeeded."""
        params = item["params"]
        try:
            check_message(params, batch.version)
        except VendorError as error:
            return {"type": "errored", "error": json.loads(bytes(error.response.body))}
        message, usd = compose(self.world, self.cache, params, share=BATCH_SHARE)
        self.world.ledger.charge(
            message["id"],
            usd,
            vendor="anthropic",
            kind="batch",
            model=params["model"],
            at=at,
            request=batch.request,
            batch=batch.id,
            custom_id=item["custom_id"],
            usage=message["usage"],
        )
        return {"type": "succeeded", "message": message}

    def _said(self, batch: Batch, request: Request) -> Response:
        return JSONResponse(self._view(batch, request), headers={"request-id": request_id()})

    def _view(self, batch: Batch, request: Request) -> dict[str, Any]:
        self._go_on(batch)
        has_ended = self.world.clock.now() >= batch.ends
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        # The counts of what is done appear when all is done, as at the vendor's.
        if has_ended:
            for result in batch.results.values():
                counts[result["type"]] += 1
        else:
            counts["processing"] = len(batch.items)
        under_way = "in_progress" if batch.cancelled is None else "canceling"
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if has_ended else under_way,
            "request_counts": counts,
            "created_at": iso(batch.created),
            "expires_at": iso(batch.expires),
            "ended_at": iso(batch.ends) if has_ended else None,
            "cancel_initiated_at": iso(batch.cancelled),
            "archived_at": None,
            "results_url": f"{base_of(request)}/v1/messages/batches/{batch.id}/results" if has_ended else None,
        }
