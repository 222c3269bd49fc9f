"""Files over HTTP: brought for jobs to come, and what jobs have made, whole or in ranges, or by a signed link."""

from __future__ import annotations

import tempfile
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response, status
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api.access import Caller, Reader, Submitter, needs
from api.fields import Digest, Tenant
from api.problems import Problem
from api.sessions import LONGEST_LINK_SECONDS, is_link, sign_link
from artifacts import Artifact, find_artifacts, open_store
from database.meta import bind_store
from database.uses import artifact_known, find_artifact, keep_upload, uploaded_bytes
from errors import InvalidInput, TooLarge
from pipeline.catalog.files import inspect_file
from pipeline.film.kinds import MOST_CLIP_BYTES
from redis_client import redis_client
from settings import get_settings

MOST_NAME = 200
MEGABYTE = 1_000_000
# What a browser may show inside a page of ours; everything else is saved.
SHOWN = ("image/jpeg", "image/png", "image/webp", "image/gif", "video/", "audio/", "text/plain", "text/vtt")
router = APIRouter(tags=["files"])
may_read = needs("read")  # asked only where no link is signed


class Link(BaseModel):
    """An address that needs no token, for so many seconds."""

    url: str
    seconds: int


@router.post("/uploads", status_code=status.HTTP_201_CREATED, max_body_size=MOST_CLIP_BYTES)
async def upload(
    request: Request,
    caller: Submitter,
    name: Annotated[str, Query(min_length=1, max_length=MOST_NAME)] = "file",
    tenant: Annotated[Tenant | None, Query()] = None,
) -> Artifact:
    """Bring a picture, film or sound: the body is the file itself. The answer is what a payload names it by.

    It is kept for a day, and longer when a job names it.
    """
    owner = caller.chosen_tenant(tenant)
    most = min(MOST_CLIP_BYTES, await run_in_threadpool(_room, owner))
    with tempfile.NamedTemporaryFile(prefix="stagecrew-upload-") as part:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise TooLarge(f"{name} is larger than {most / 1e6:.0f} MB, the most that is taken now")
            part.write(chunk)
        part.flush()
        return await run_in_threadpool(_keep, Path(part.name), _plain(name), owner, caller)


def _room(tenant: str) -> int:
    """How many bytes a tenant may still bring."""
    settings, free_mb = get_settings(), open_store().free_mb()
    if free_mb < settings.min_free_mb:
        raise Problem(
            HTTPStatus.INSUFFICIENT_STORAGE, f"{free_mb:.0f} MB are free here: nothing is taken now", kind="full"
        )
    if not settings.upload_day_mb:
        return MOST_CLIP_BYTES
    left = settings.upload_day_mb * MEGABYTE - uploaded_bytes(redis_client.database, tenant)
    if left <= 0:
        told = f"{tenant} has brought {settings.upload_day_mb} MB within a day, the most that is taken (UPLOAD_DAY_MB)"
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, told, kind="quota")
    return left


def _keep(path: Path, name: str, tenant: str, caller: Caller) -> Artifact:
    if not path.stat().st_size:
        raise InvalidInput("the body is empty: send the file itself")
    media_type = inspect_file(path, name)
    store = open_store()
    bind_store(redis_client.database, store.identity())
    artifact = store.put(path, media_type=media_type, name=name)
    keep_upload(redis_client.database, artifact, tenant=tenant)
    caller.wrote("upload", artifact.sha256, name=name, size=artifact.size)
    return artifact


@router.get("/artifacts/{sha256}", response_class=Response)
def fetch(
    sha256: Digest,
    request: Request,
    expires: Annotated[str, Query(max_length=16)] = "",
    signature: Annotated[str, Query(max_length=64)] = "",
    download: bool = False,
    name: Annotated[str, Query(max_length=MOST_NAME, description="what it is saved as")] = "",
) -> FileResponse:
    """A file that a job has made or names, whole or in ranges; with a token, or by a signed link."""
    if signature and not is_link(redis_client.database, sha256, expires, signature):
        raise Problem(HTTPStatus.FORBIDDEN, "this link is over, or was never made; ask for a new one", kind="link")
    tenant = None if signature else may_read(request).tenant
    artifact = find_artifact(redis_client.database, sha256, tenant=tenant)
    path = open_store().path(sha256)
    if artifact is None or not path.is_file():
        raise Problem(HTTPStatus.NOT_FOUND, f"no file has the digest {sha256}")
    is_shown = not download and artifact.media_type.startswith(SHOWN)
    # The store keeps the name that its first bringer gave it, who may be another tenant.
    name = quote(_plain(name) if name else sha256[:12], safe="")
    headers = {
        "ETag": f'"{sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f"{'inline' if is_shown else 'attachment'}; filename*=UTF-8''{name}",
        # Somebody else's file is never a page of ours.
        "Content-Security-Policy": "sandbox; default-src 'none'; img-src 'self'; media-src 'self'",
    }
    return FileResponse(path, media_type=artifact.media_type, headers=headers)


@router.post("/artifacts/{sha256}/link")
def link(sha256: Digest, caller: Reader, seconds: Annotated[int, Query(ge=1, le=LONGEST_LINK_SECONDS)] = 3600) -> Link:
    """A link to a file that needs no token, for so many seconds."""
    if find_artifact(redis_client.database, sha256, tenant=caller.tenant) is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no file has the digest {sha256}")
    caller.wrote("link", sha256, seconds=seconds)
    return Link(url=f"/artifacts/{sha256}?{sign_link(redis_client.database, sha256, seconds)}", seconds=seconds)


def check_owned(caller: Caller, value: Any) -> None:
    """Refuse a payload that names a file of another tenant: a digest alone opens nothing."""
    if caller.tenant is None:
        return
    try:
        named = find_artifacts(value)
    except ValueError:
        raise InvalidInput(
            "payload: a file is named by the sha256, size, media_type and name that its upload told"
        ) from None
    for artifact in named:
        if not artifact_known(redis_client.database, caller.tenant, artifact.sha256):
            raise InvalidInput(f"{artifact.sha256[:12]}...: the artifact store has no such file")


def _plain(name: str) -> str:
    """A name without folders, and without what would steer a terminal."""
    return "".join(char for char in Path(name).name if char.isprintable()).strip(". ") or "file"
