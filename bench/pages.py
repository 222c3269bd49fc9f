"""The dashboard's lists and pages over a million jobs, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text

from bench.place import place
from bench.rows import Row, percentile, say
from database.engine import Database
from database.migrate import init_db
from tests.support.servers import postgres_server
from tests.support.web import serve

PART = "pages"
JOBS = int(os.environ.get("BENCH_PAGES_JOBS", "1000000"))
ASKED, P95_MS = 40, 100.0
# Nine in ten are completed; one in a thousand is dead, one in two thousand open; ten tenants; two weeks.
STATUS = """CASE WHEN n % 2000 = 7 THEN 'pending' WHEN n % 1000 = 3 THEN 'failed' WHEN n % 50 = 1 THEN 'cancelled' ELSE 'completed' END"""
FILL = f"""
INSERT INTO jobs (id, pipeline, queue, tenant, priority, payload, payload_digest, options, status, run, progress, attempt, crashes,
    begins, fence, in_flight, cancel_requested, cost_usd, open_children, created_ms, updated_ms, started_ms, finished_ms, error, error_class)
SELECT 'job-' || n, CASE WHEN n % 3 = 0 THEN 'product_video' ELSE 'selftest' END, 'video_generation_queue', 'tenant-' || (n % 10),
    'normal', '{{}}', 'x', '{{}}', {STATUS}, 1, 100, 0, 0, 1, n, false, false, 0, 0, :now - n * 1200, :now - n * 1200, :now - n * 1200,
    CASE WHEN n % 2000 = 7 THEN NULL ELSE :now - n * 1200 + 900 END, CASE WHEN n % 1000 = 3 THEN 'the vendor was away' END,
    CASE WHEN n % 1000 = 3 THEN 'Unreachable' END
FROM numbers
"""
NUMBERS = {
    True: "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :jobs) ",
    False: "",
}
PAGES = {
    "newest": "/jobs",
    "a page in the middle": "/jobs?after={middle}",
    "failed": "/jobs?status=failed",
    "pending": "/jobs?status=pending",
    "completed of a pipeline": "/jobs?status=completed&pipeline=product_video",
    "of a tenant": "/jobs?tenant=tenant-7",
    "failed of a tenant": "/jobs?status=failed&tenant=tenant-3",
    "list page": "/ui/jobs",
    "list page, failed": "/ui/jobs?status=failed",
    "job page": "/ui/jobs/job-500000",
    "dead letters": "/ui/dead",
    "overview": "/",
}


def measure() -> Iterator[Row]:
    """p95 of each page on each database."""
    with place() as here:
        yield from _of(here.client.database, "SQLite", here.folder, f"unix://{here.socket}")
        with postgres_server() as url, _as_database(url) as database:
            yield from _of(database, "PostgreSQL", here.folder, f"unix://{here.socket}")


@contextmanager
def _as_database(url: str) -> Iterator[Database]:
    database = Database(url)
    init_db(database)
    before = os.environ.get("DATABASE_URL")
    os.environ["DATABASE_URL"] = url
    try:
        yield database
    finally:
        database.dispose()
        os.environ.pop("DATABASE_URL", None)
        if before is not None:
            os.environ["DATABASE_URL"] = before


def _of(database: Database, name: str, folder: Path, redis_url: str) -> Iterator[Row]:
    say(f"pages: {JOBS:,} jobs in {name} ...")
    fill(database)
    with serve(folder, redis_url, DATABASE_URL=database.url) as server, httpx.Client(base_url=server.url) as web:
        middle = web.get("/jobs?limit=500").json()["next"]
        for what, path in PAGES.items():
            times = [_ask(web, path.format(middle=middle)) for _ in range(ASKED + 3)][3:]
            p95 = percentile(times, 0.95)
            seen = f"p50 {percentile(times, 0.5):.0f} ms, p95 {p95:.0f} ms"
            yield Row(PART, f"{name}: {what}", seen, f"p95 <= {P95_MS:.0f} ms", p95 <= P95_MS)


def fill(database: Database) -> None:
    """A million rows in one statement."""
    numbers = NUMBERS[database.is_sqlite]
    rows = FILL if database.is_sqlite else FILL.replace("FROM numbers", "FROM generate_series(1, :jobs) AS t(n)")
    # A statement of SQLite begins with its common table; PostgreSQL has one of its own for this.
    insert, _, select = rows.partition("SELECT")
    statement = f"{insert}{numbers}SELECT{select}"
    with database.write() as connection:
        connection.execute(text(statement), {"now": int(time.time() * 1000), "jobs": JOBS})
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE jobs"))  # what autovacuum does within a minute


def _ask(web: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    answer = web.get(path)
    assert answer.status_code == 200, answer.text
    return (time.perf_counter() - began) * 1000
