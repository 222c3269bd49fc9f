"""Jobs over HTTP: stored once, found in pages, mended; every wrong word is answered by one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from redis_client.client import RedisClient
from tests.support.workers import WorkerProcess

Start = Callable[..., WorkerProcess]


def job(**payload: Any) -> dict[str, Any]:
    return {"pipeline": "selftest", "payload": payload}


def chain(length: int) -> dict[str, Any]:
    link: dict[str, Any] = {"pipeline": "selftest"}
    for _ in range(length - 1):
        link = {"pipeline": "selftest", "then": link}
    return link


def submit(web: TestClient, job_id: str, **payload: Any) -> dict[str, Any]:
    answer = web.post("/jobs", json=job(**payload) | {"id": job_id})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def work(start_worker: Start) -> None:
    """A worker does what there is to do, and leaves."""
    worker = start_worker("worker-1", "--drain")
    assert worker.wait() == 0, worker.text()


def test_a_job_is_stored_and_runs(web: TestClient, start_worker: Start) -> None:
    answer = web.post("/jobs", json=job(stages=2) | {"id": "one", "priority": "high", "tenant": "acme"})
    assert (answer.status_code, answer.headers["location"]) == (202, "/jobs/one")
    assert answer.json()["status"] == "pending"
    assert answer.json()["tenant"] == "acme"
    work(start_worker)
    shown = web.get("/jobs/one").json()
    assert (shown["status"], shown["progress"], len(shown["stages"])) == ("completed", 100, 2)
    assert [one["kind"] for one in shown["events"]][:2] == ["enqueued", "processing"]
    assert web.get("/jobs/one/why").json()["reason"] == "completed"
    assert web.get("/jobs/one/status").json()["result"] == shown["result"]


def test_the_same_job_twice_is_one_and_another_under_its_id_a_conflict(web: TestClient) -> None:
    submit(web, "one", stages=2)
    submit(web, "one", stages=2)
    answer = web.post("/jobs", json=job(stages=3) | {"id": "one"})
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json() == {
        "type": "urn:stagecrew:taken",
        "title": "Conflict",
        "status": 409,
        "detail": "id='one' is taken by a job with another payload; choose another id",
        "instance": "/jobs",
    }


def test_an_idempotency_key_names_one_job_of_a_tenant(web: TestClient) -> None:
    def post(key: str, tenant: str = "acme", **payload: Any) -> Any:
        return web.post("/jobs", json=job(**payload) | {"tenant": tenant}, headers={"Idempotency-Key": key})

    first = post("order 17", stages=2)
    assert first.status_code == 202
    assert post("order 17", stages=2).json()["job_id"] == first.json()["job_id"]
    assert post("order 17", "globex", stages=2).json()["job_id"] != first.json()["job_id"]
    assert post("order 18", stages=2).json()["job_id"] != first.json()["job_id"]
    again = post("order 17", stages=3)
    assert (again.status_code, again.json()["detail"]) == (
        409,
        "Idempotency-Key 'order 17' was used with another payload",
    )


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        ({"pipeline": "selftests"}, 422, "pipeline='selftests' is unknown; did you mean 'selftest'?"),
        ({"pipeline": "selftest", "payload": {"stages": 0}}, 422, "stages"),
        ({"pipeline": "selftest", "payload": {"stage": 1}}, 422, "stage"),
        ({"pipeline": "selftest", "id": "../x"}, 422, "id"),
        ({"pipeline": "selftest", "delay": -1}, 422, "delay"),
        ({"pipeline": "selftest", "priority": "urgent"}, 422, "priority='urgent'"),
        ({"pipeline": "selftest", "queue": "nowhere"}, 422, "queue='nowhere' is unknown"),
        ({"pipeline": "selftest", "colour": "red"}, 422, "colour"),
        ({"pipeline": "product_video", "payload": {"product_name": "Cup", "images": ["/etc/passwd"]}}, 422, "https"),
        ({"pipeline": "selftest", "then": {"pipeline": "nope"}}, 422, "'nope' is unknown"),
        ({"pipeline": "selftest", "then": chain(21)}, 422, "a chain has at most 20 jobs"),
        ({"pipeline": "selftest", "then": chain(400)}, 422, "a chain has at most 20 jobs"),
        ({"payload": {"product_name": "Cup", "logo": {"sha256": "x", "size": "y", "media_type": 1}}}, 422, "logo"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_and_nothing_is_stored(
    web: TestClient, given: dict[str, Any], code: int, says: str
) -> None:
    answer = web.post("/jobs", json=given)
    assert answer.status_code == code, answer.text
    assert says in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert web.get("/jobs").json() == {"jobs": [], "next": None}


def test_pages_hold_every_job_once_also_while_others_come(web: TestClient, client: RedisClient) -> None:
    wanted = {f"job-{number:03}" for number in range(25)}
    client.enqueue_many(client.prepare(one, {}, pipeline="selftest") for one in sorted(wanted))
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = web.get("/jobs", params={"limit": 10} | ({"after": after} if after else {})).json()
        seen += [one["job_id"] for one in page["jobs"]]
        after = page["next"]
        submit(web, f"late-{len(seen)}")
    assert sorted(seen) == sorted(wanted)
    assert (
        web.get("/jobs", params={"after": "nonsense!"}).json()["detail"] == "after: give the `next` of the page before"
    )


def test_jobs_are_found_by_what_they_are(web: TestClient) -> None:
    submit(web, "one")
    submit(web, "two")
    web.post("/jobs/two/cancel")
    assert [one["job_id"] for one in web.get("/jobs?status=cancelled").json()["jobs"]] == ["two"]
    assert [one["job_id"] for one in web.get("/jobs?status=pending&pipeline=selftest").json()["jobs"]] == ["one"]
    assert web.get("/jobs?status=dead").status_code == 422


def test_a_dead_job_is_found_with_its_log_and_asked_for_again(web: TestClient, start_worker: Start) -> None:
    for name in ("one", "two", "three"):
        submit(web, name, stages=2, fail_at=2, fail_times=1, fail_kind="permanent")
    work(start_worker)
    found = {one["job_id"]: one for one in web.get("/dead").json()["jobs"]}
    assert set(found) == {"one", "two", "three"}
    assert found["one"]["error_stage"] == "step_2"
    assert any("job_processing_started" in line for line in web.get("/jobs/one/logs").json()["lines"])
    assert "error_detail" not in web.get("/jobs/one").json()
    assert web.post("/jobs/one/retry").json()["status"] == "pending"
    again = web.post("/dead/retry", json={"ids": ["one", "two", "none"]}).json()
    assert again["retried"] == ["two"]
    assert set(again["refused"]) == {"one", "none"}
    assert web.post("/dead/retry", json={"pipeline": "selftest"}).json()["retried"] == ["three"]
    assert {web.get(f"/jobs/{one}").json()["run"] for one in ("one", "two", "three")} == {2}


def test_the_log_of_a_job_that_went_well_is_what_its_workers_say(web: TestClient, start_worker: Start) -> None:
    for name in ("one", "one.more"):
        submit(web, name, stages=2)
    work(start_worker)

    def lines(name: str) -> list[str]:
        return list(web.get(f"/jobs/{name}/logs").json()["lines"])

    for event in ("job_processing_started", "job_completed"):
        assert any(event in line for line in lines("one"))
    assert not any("one.more" in line for line in lines("one"))
    assert "job_completed" in web.get("/ui/jobs/one", headers={"Accept": "text/html"}).text


def test_a_job_is_run_anew_from_a_stage_on(web: TestClient, start_worker: Start) -> None:
    submit(web, "old", stages=3)
    work(start_worker)
    made = web.post("/jobs/old/replay", json={"from": "step_2", "payload": {"label": "new"}, "id": "new"})
    assert (made.status_code, made.json()["kept"]) == (202, ["step_1"])
    work(start_worker)
    assert web.get("/jobs/new").json()["replay_of"] == "old"
    wrong = web.post("/jobs/old/replay", json={"from": "step_9"})
    assert (wrong.status_code, wrong.json()["detail"][:20]) == (422, "stage='step_9' is un")


def test_an_unknown_job_is_not_found(web: TestClient) -> None:
    for path in ("/jobs/none", "/jobs/none/status", "/jobs/none/why", "/jobs/none/logs", "/jobs/none/events"):
        assert web.get(path).json()["detail"] == "no job has the id 'none'"
    for path in ("cancel", "retry"):
        assert web.post(f"/jobs/none/{path}").status_code == 404


def test_pipelines_tell_what_they_take(web: TestClient) -> None:
    found = {one["name"]: one for one in web.get("/pipelines").json()["pipelines"]}
    assert found["product_video"]["stages"] == ["script_gen", "voice_gen", "video_gen", "compositing"]
    assert "product_name" in found["product_video"]["schema"]["properties"]
    assert "images" in found["product_video"]["files"]
    assert web.get("/pipelines/selftest").json() == found["selftest"]


def test_what_people_did_stands_in_the_audit_log(web: TestClient, client: RedisClient) -> None:
    from database.audit import list_audit

    submit(web, "one")
    submit(web, "one")
    web.post("/jobs/one/cancel")
    said = [(one["caller"], one["action"], one["target"]) for one in list_audit(client.database)]
    assert said == [("local", "cancel", "one"), ("local", "submit", "one")]
