"""Files that were uploaded to Replicate as inputs; they are kept for a day."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.stub.clock import DAY, iso
from tests.stub.replicate_checks import check_token, not_found, refused
from tests.stub.world import World, base_of

ADDRESS = re.compile(r"/v1/files/([^/?#]+)")


@dataclass(frozen=True)
class Upload:
    """One file."""

    id: str
    name: str
    media_type: str
    metadata: dict[str, Any]
    made: float
    body: bytes

    def dump(self, base: str) -> dict[str, Any]:
        """As the vendor shows it."""
        sha256, md5 = (hashlib.new(name, self.body, usedforsecurity=False).hexdigest() for name in ("sha256", "md5"))
        return {
            "id": self.id,
            "name": self.name,
            "content_type": self.media_type,
            "size": len(self.body),
            "etag": md5,
            "checksums": {"sha256": sha256, "md5": md5},
            "metadata": self.metadata,
            "created_at": iso(self.made),
            "expires_at": iso(self.made + DAY),
            "urls": {"get": f"{base}/v1/files/{self.id}"},
        }


class Files:
    """All files of the account."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.all: dict[str, Upload] = {}

    def routes(self) -> list[BaseRoute]:
        """Below /r."""
        return [
            Route("/v1/files", self.create, methods=["POST"]),
            Route("/v1/files", self.list, methods=["GET"]),
            Route("/v1/files/{file}", self.get, methods=["GET"]),
            Route("/v1/files/{file}", self.delete, methods=["DELETE"]),
        ]

    def read(self, url: str) -> bytes | None:
        """The file of an address of ours; None for another address. LookupError when it is not there any more."""
        found = ADDRESS.search(url)
        if found is None:
            return None
        return self._kept()[found[1]].body

    async def create(self, request: Request) -> Response:
        """Keep what stands in the part `content`."""
        check_token(request)
        form = await request.form()
        content = form.get("content")
        if not isinstance(content, UploadFile):
            raise refused("content", "content is required")
        try:
            metadata = json.loads(str(form.get("metadata") or "{}"))
        except ValueError as error:
            raise refused("metadata", "metadata must be JSON") from error
        body, now = await content.read(), self.world.clock.now()
        kind = content.content_type or "application/octet-stream"
        made = Upload(uuid.uuid4().hex, content.filename or "file", kind, metadata, now, body)
        self.all[made.id] = made
        return JSONResponse(made.dump(base_of(request)), 201)

    async def list(self, request: Request) -> Response:
        """All of them, the newest first."""
        check_token(request)
        results = [one.dump(base_of(request)) for one in reversed(self._kept().values())]
        return JSONResponse({"previous": None, "next": None, "results": results})

    async def get(self, request: Request) -> Response:
        """What is known of one."""
        return JSONResponse(self._found(request).dump(base_of(request)))

    async def delete(self, request: Request) -> Response:
        """Forget one."""
        del self.all[self._found(request).id]
        return Response(status_code=204)

    def _found(self, request: Request) -> Upload:
        check_token(request)
        found = self._kept().get(request.path_params["file"])
        if found is None:
            raise not_found()
        return found

    def _kept(self) -> dict[str, Upload]:
        now = self.world.clock.now()
        self.all = {name: one for name, one in self.all.items() if now < one.made + DAY}
        return self.all
