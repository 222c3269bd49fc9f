"""The dashboard: pages made here, kept live by one small script. Every button asks a route that programs use too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from pydantic import BeforeValidator

from api import views
from api.access import Caller, Reader, find_caller
from api.events import HEADERS
from api.fields import JobId, Name, Tenant
from api.fleet import judge, look
from api.forms import form_of
from api.jobs import log_of, page_of_jobs
from api.problems import Problem
from api.sessions import csrf_of
from api.webhooks import page_of_deliveries
from artifacts import find_artifacts, open_store
from database.budgets import budgets
from database.charges import find_charges
from database.controls import controls
from database.costs import costs
from database.family import find_children
from database.jobs import find_events, find_stages, list_dead
from database.overview import ended_by_hour
from database.webhooks import list_webhooks
from errors import InvalidInput
from pipeline.catalog.base import find_pipeline, pipelines
from redis_client import redis_client
from redis_client.why import why as find_reason
from states import ENDED, TELLABLE, TOLD_UNASKED, JobStatus

HERE = Path(__file__).parent
DAY_MS = 24 * 3600 * 1000
PAGE, SHOWN = 50, 31
MOST_CAPTIONS = 64 * 1024
CHART_SECONDS = 5
NEWS_SECONDS, QUIET_SECONDS, TENANT_SECONDS = 0.5, 15.0, 3.0
router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(HERE / "templates")
templates.env.trim_blocks = templates.env.lstrip_blocks = True
templates.env.filters |= {
    "moment": views.moment,
    "seconds": views.seconds,
    "size": views.size,
    "usd": views.usd,
    "pretty": views.pretty,
}


class LoginNeeded(Exception):
    """A page that needs to know who looks."""


def install(app: FastAPI) -> None:
    """The pages, their style and script."""
    app.include_router(router)
    app.state.error_page = error_page
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    @app.exception_handler(LoginNeeded)
    async def _login(request: Request, _error: LoginNeeded) -> RedirectResponse:
        return RedirectResponse(f"/login?next={request.url.path}", HTTPStatus.SEE_OTHER)


def error_page(request: Request, status: HTTPStatus, detail: str) -> HTMLResponse:
    """What went wrong, for people."""
    try:
        caller = find_caller(request) if status < HTTPStatus.INTERNAL_SERVER_ERROR else None
    except Problem:
        caller = None
    page = render(request, "error.html", caller, title=status.phrase, detail=detail)
    page.status_code = status
    return page


def _looker(request: Request) -> Caller:
    caller = find_caller(request)
    if caller is None:
        raise LoginNeeded
    return caller


Looker = Annotated[Caller, Depends(_looker)]
EMPTY = BeforeValidator(lambda given: given or None)  # a form sends its empty fields too


def render(request: Request, name: str, caller: Caller | None, **facts: Any) -> HTMLResponse:
    """A page, with what all of them need."""
    csrf = csrf_of(redis_client.database, caller.session) if caller and caller.session else ""
    known = {"viewer": caller, "csrf": csrf, "here": request.url.path, "now_ms": _now(), "statuses": list(JobStatus)}
    return templates.TemplateResponse(request, name, known | facts)


@router.get("/")
def overview(request: Request, caller: Looker) -> HTMLResponse:
    """The whole at a glance."""
    newest = page_of_jobs(caller, None, after=None, limit=10)["jobs"]
    running = page_of_jobs(caller, None, after=None, limit=20, status=JobStatus.PROCESSING)["jobs"]
    hours = _hours(caller.tenant, int(time.monotonic() // CHART_SECONDS))
    ended = _sums(hours)
    today = costs(redis_client.database, "day", since_ms=_now() // DAY_MS * DAY_MS, tenant=caller.tenant)
    fleet = _fleet(caller)
    return render(
        request,
        "overview.html",
        caller,
        newest=newest,
        running=running,
        chart=views.chart(hours, _now()),
        ended=ended,
        spent=sum(row["cost_usd"] for row in today),
        **fleet,
    )


@router.get("/ui/jobs")
def jobs(
    request: Request,
    caller: Looker,
    status: Annotated[JobStatus | None, EMPTY] = None,
    pipeline: Annotated[Name | None, EMPTY] = None,
    tenant: Annotated[Tenant | None, EMPTY] = None,
    after: Annotated[str | None, Query(max_length=256), EMPTY] = None,
) -> HTMLResponse:
    """The jobs, newest first."""
    page = page_of_jobs(caller, tenant, after=after, limit=PAGE, status=status, pipeline=pipeline)
    chosen = {"status": status, "pipeline": pipeline, "tenant": tenant}
    query = {name: value for name, value in chosen.items() if value is not None}
    newest = f"/ui/jobs?{urlencode(query)}" if after else ""
    older = f"/ui/jobs?{urlencode(query | {'after': page['next']})}" if page["next"] else ""
    facts = {"page": page, "chosen": chosen, "pipelines": list(pipelines()), "newest": newest, "older": older}
    return render(request, "jobs.html", caller, **facts)


@router.get("/ui/jobs/{job_id}")
def job(request: Request, job_id: JobId, caller: Looker) -> HTMLResponse:
    """Everything about a job."""
    row = caller.job(job_id)
    database = redis_client.database
    live = redis_client.get_job_status(job_id)
    row |= {"stages": find_stages(database, job_id), "events": find_events(database, job_id)}
    row |= {name: live[name] for name in ("progress", "stage")}
    try:
        planned = find_pipeline(row["pipeline"]).stages
    except InvalidInput:  # a pipeline that this version does not have is still looked at
        planned = ()
    done = dict.fromkeys(stage["stage"] for stage in row["stages"])
    return render(
        request,
        "job.html",
        caller,
        job=row,
        why=find_reason(redis_client, job_id),
        bars=views.waterfall(row, _now()),
        files=views.files_of(row),
        words=views.words_of(row),
        captions=_captions(row["result"]),
        log_lines=log_of(row, row["events"]),
        charges=find_charges(database, job_id),
        children=find_children(database, job_id),
        deliveries=page_of_deliveries(caller, None, job_id=job_id, limit=PAGE),
        is_ended=row["status"] in ENDED,
        stages=list(dict.fromkeys((*planned, *done))) if row["pipeline"] != "selftest" else list(done),
    )


@router.get("/ui/dead")
def dead(request: Request, caller: Looker) -> HTMLResponse:
    """What failed, and why."""
    found = list_dead(redis_client.database, tenant=caller.tenant, limit=200)
    return render(request, "dead.html", caller, jobs=found)


@router.get("/ui/workers")
def workers(request: Request, caller: Looker) -> HTMLResponse:
    """Who works, on what; and the queues."""
    return render(request, "workers.html", caller, switched=controls(redis_client.database), **_fleet(caller))


@router.get("/ui/costs")
def money(request: Request, caller: Looker) -> HTMLResponse:
    """What was paid."""
    since = _now() - 30 * DAY_MS
    by = {
        name: costs(redis_client.database, name, since_ms=since, tenant=caller.tenant, limit=SHOWN)
        for name in ("day", "provider", "pipeline", "job")
    }
    caps = [] if caller.tenant else budgets(redis_client.database)
    return render(request, "costs.html", caller, by=by, budgets=caps)


@router.get("/ui/webhooks")
def webhooks(request: Request, caller: Looker) -> HTMLResponse:
    """Who is told of what, and how it got there."""
    return render(
        request,
        "webhooks.html",
        caller,
        webhooks=list_webhooks(redis_client.database, caller.tenant),
        deliveries=page_of_deliveries(caller, None, limit=PAGE),
        events=TELLABLE,
        unasked=TOLD_UNASKED,
    )


@router.get("/ui/new")
def new(request: Request, caller: Looker, pipeline: Name = "product_video") -> HTMLResponse:
    """The form of a new job."""
    chosen = find_pipeline(pipeline)
    first, more = form_of(chosen)
    return render(request, "new.html", caller, pipeline=chosen, pipelines=list(pipelines()), first=first, more=more)


@router.get("/ui/news", response_class=StreamingResponse)
async def news(request: Request, caller: Reader) -> Response:
    """A word whenever something has happened to a job: the page then looks for itself.

    Who may see one tenant's jobs alone is not told when others have some: they look now and then.
    """

    async def words() -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n"
        while caller.tenant is not None:
            await asyncio.sleep(TENANT_SECONDS)
            yield b"data: look\n\n"
        with request.app.state.bell.listen() as rung:
            while True:
                with suppress(TimeoutError):  # also then: a bell may miss something
                    await asyncio.wait_for(rung.wait(), QUIET_SECONDS)
                rung.clear()
                yield b"data: look\n\n"
                await asyncio.sleep(NEWS_SECONDS)  # many words at once are one

    return StreamingResponse(words(), media_type="text/event-stream", headers=HEADERS)


@lru_cache(maxsize=64)
def _hours(tenant: str | None, _period: int) -> list[dict[str, Any]]:
    """How the last hours went; counted once in a while, since a day may hold very many jobs."""
    return ended_by_hour(redis_client.database, tenant=tenant)


def _captions(result: Any) -> str:
    """What is shown and when, of the (first) film that a job made."""
    for one in find_artifacts(result):
        path = open_store().path(one.sha256)
        if one.media_type == "text/vtt" and one.size <= MOST_CAPTIONS and path.is_file():
            return path.read_text("utf-8", "replace")
    return ""


def _fleet(caller: Caller) -> dict[str, Any]:
    """Queues, workers and their health, for those who may see the fleet."""
    if caller.tenant is not None:
        return {"health": None, "workers": [], "queues": [], "gates": {}, "oldest": {}, "pools": []}
    seen = look()
    facts = {"gates": seen.gates, "oldest": seen.oldest, "pools": seen.pools}
    return {"health": judge(seen), "workers": seen.workers or [], "queues": seen.queues or []} | facts


def _sums(hours: list[dict[str, Any]]) -> dict[str, int]:
    return {status: sum(int(row.get(status, 0)) for row in hours) for status in JobStatus}


def _now() -> int:
    return int(time.time() * 1000)
