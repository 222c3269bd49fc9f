"""The dashboard without a browser: every page, who may see what, coming in and leaving."""

import re
from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from api import login
from database.engine import Database
from database.tokens import create_token, revoke_token
from redis_client.client import RedisClient
from tests.support.workers import WorkerProcess

Start = Callable[..., WorkerProcess]
PAGES = ("/", "/ui/jobs", "/ui/dead", "/ui/workers", "/ui/costs", "/ui/new", "/ui/new?pipeline=selftest")
HTML = {"Accept": "text/html"}
EVIL = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def _no_tries_before() -> Iterator[None]:
    login.tries = login.Tries()
    yield
    login.tries = login.Tries()


def come_in(web: TestClient, database: Database, scope: str = "admin", tenant: str | None = None) -> str:
    """Log in; the id of the token."""
    text = create_token(database, "ann", scope=scope, tenant=tenant)
    answer = web.post("/login", data={"token": text, "next": "/ui/jobs"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/jobs")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    return text.split("_")[1]


def csrf(web: TestClient) -> str:
    found = re.search(r'name="csrf" content="([0-9a-f]+)"', web.get("/").text)
    assert found
    return found[1]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_stands_empty_and_full(web: TestClient, client: RedisClient, path: str) -> None:
    for _ in range(2):
        answer = web.get(path, headers=HTML)
        assert answer.status_code == 200, answer.text
        assert answer.text.count("<h1") == 1
        # The policy forbids what stands in a page itself.
        assert not re.search(r"<script(?! src=)|\sstyle=|\son\w+=", answer.text)
        client.enqueue_job("one", {"stages": 2, "label": EVIL}, pipeline="selftest")


def test_a_page_of_a_job_tells_its_whole_story(web: TestClient, client: RedisClient, start_worker: Start) -> None:
    client.enqueue_job("bad", {"stages": 3, "fail_at": 2, "fail_kind": "permanent", "label": EVIL}, pipeline="selftest")
    client.enqueue_job("good", {"stages": 2, "items": 2, "bytes": 32}, pipeline="selftest")
    waiting = web.get("/ui/jobs/good").text
    assert 'data-events="/jobs/good/events"' in waiting
    assert "no living worker serves its queue" in waiting
    worker = start_worker("worker-1", "--drain")
    assert worker.wait() == 0, worker.text()
    bad, good = web.get("/ui/jobs/bad").text, web.get("/ui/jobs/good").text
    for text in (
        "step 2 was asked to fail",
        "Retry",
        "Replay from a stage",
        "Last log lines",
        "job_processing_started",
    ):
        assert text in bad
    assert "<script>alert" not in bad
    assert "&lt;script&gt;alert" in bad
    for text in ("step_1/0", "step_2/1", "step-2.bin", "Result"):
        assert text in good
    assert "data-events" not in good
    assert "bad" in web.get("/ui/dead").text


def test_an_unknown_job_is_told_on_a_page_and_to_programs_as_a_problem(web: TestClient) -> None:
    page = web.get("/ui/jobs/none", headers=HTML)
    assert (page.status_code, "no job has the id &#39;none&#39;" in page.text) == (404, True)
    assert web.get("/ui/jobs/none").headers["content-type"] == "application/problem+json"


def test_pages_ask_for_a_token_and_come_back(closed: TestClient, sqlite_database: Database) -> None:
    for path in PAGES:
        answer = closed.get(path, headers=HTML, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path.partition('?')[0]}")
    assert "Come in with a token" in closed.get("/login?next=//evil.example").text
    assert "evil" not in closed.get("/login?next=//evil.example").text
    token_id = come_in(closed, sqlite_database)
    assert closed.get("/").status_code == 200
    revoke_token(sqlite_database, token_id)
    assert closed.get("/", follow_redirects=False).status_code == 303


def test_a_session_writes_only_with_its_own_word(closed: TestClient, sqlite_database: Database) -> None:
    come_in(closed, sqlite_database)
    given = {"pipeline": "selftest", "id": "one"}
    assert closed.post("/jobs", json=given).status_code == 403
    assert closed.post("/jobs", json=given, headers={"X-CSRF-Token": "0" * 64}).status_code == 403
    assert closed.post("/jobs", json=given, headers={"X-CSRF-Token": csrf(closed)}).status_code == 202
    word = csrf(closed)
    assert closed.post("/logout", data={"csrf": "0"}, follow_redirects=False).status_code == 403
    assert closed.post("/logout", data={"csrf": word}, follow_redirects=False).status_code == 303
    assert closed.get("/", follow_redirects=False).status_code == 303


def test_a_session_that_we_did_not_sign_opens_nothing(closed: TestClient, sqlite_database: Database) -> None:
    come_in(closed, sqlite_database)
    cookie = closed.cookies["stagecrew"]
    token_id, ends, signature = cookie.split(".")
    for forged in (f"{token_id}.9{ends}.{signature}", f"{token_id}.{ends}.{'0' * 64}", "..", "x"):
        closed.cookies.clear()
        closed.cookies.set("stagecrew", forged)
        assert closed.get("/jobs").status_code == 401, forged


def test_wrong_tokens_are_tried_ten_times_only(closed: TestClient, sqlite_database: Database) -> None:
    codes = [closed.post("/login", data={"token": "sc_0_0"}).status_code for _ in range(11)]
    assert codes == [401] * 10 + [429]
    good = create_token(sqlite_database, "ann", scope="read")
    assert closed.post("/login", data={"token": good}).status_code == 429


def test_another_site_logs_nobody_in(closed: TestClient, sqlite_database: Database) -> None:
    good = create_token(sqlite_database, "ann", scope="read")
    answer = closed.post("/login", data={"token": good}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_pages_show_a_reader_no_buttons_and_a_tenant_no_fleet(
    closed: TestClient, client: RedisClient, sqlite_database: Database
) -> None:
    client.enqueue_job("ours", {}, pipeline="selftest", tenant="acme")
    client.enqueue_job("theirs", {}, pipeline="selftest", tenant="globex")
    come_in(closed, sqlite_database, "read", "acme")
    assert "data-ask" not in closed.get("/ui/jobs/ours").text
    assert closed.get("/ui/jobs/theirs", headers=HTML).status_code == 404
    for path in PAGES:
        text = closed.get(path).text
        assert "theirs" not in text
        assert "data-ask" not in text
    assert "not the fleet" in closed.get("/ui/workers").text


def test_a_form_that_leaves_fields_empty_is_answered_and_pages_follow_each_other(
    web: TestClient, client: RedisClient
) -> None:
    client.enqueue_many(client.prepare(f"job-{number:03}", {}, pipeline="selftest") for number in range(60))
    first = web.get("/ui/jobs?status=&pipeline=selftest&tenant=&after=")
    assert first.status_code == 200
    older = re.search(r'href="(/ui/jobs[^"]*after=[^"]*)"', first.text)
    assert older
    second = web.get(older[1].replace("&amp;", "&"))
    names = [re.findall(r'href="/ui/jobs/(job-\d+)"', page.text) for page in (first, second)]
    assert sorted({*names[0], *names[1]}) == [f"job-{number:03}" for number in range(60)]
    assert "pipeline=selftest" in older[1]
