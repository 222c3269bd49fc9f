"""What can be made: the pipelines, with the JSON schema of what each takes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from api.access import Reader
from api.fields import Name
from api.problems import Problem
from pipeline.catalog.base import Pipeline, pipelines

router = APIRouter(tags=["pipelines"])


@router.get("/pipelines")
def index(_caller: Reader) -> dict[str, Any]:
    """Every pipeline: its stages, its queue and the schema of its payload."""
    return {"pipelines": [record(one) for one in pipelines().values()]}


@router.get("/pipelines/{name}")
def show(name: Name, _caller: Reader) -> dict[str, Any]:
    """One pipeline."""
    if name not in pipelines():
        raise Problem(HTTPStatus.NOT_FOUND, f"no pipeline has the name {name!r}")
    return record(pipelines()[name])


def record(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline for programs; `files` are the fields that take what was uploaded."""
    return pipeline.record() | {"files": list(pipeline.uploads)}
