"""Files over HTTP: brought, looked at, named by a job, fetched whole, in ranges and by signed links."""

import io
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from artifacts import open_store
from database.uses import UPLOAD, artifact_known, forget_uploads
from redis_client.client import RedisClient

Bearer = Callable[..., dict[str, str]]


def photo(color: str = "#336699", kind: str = "PNG") -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (320, 240), color).save(made, kind)
    return made.getvalue()


def bring(web: TestClient, content: bytes, name: str = "flask.png", **more: Any) -> Any:
    return web.post("/uploads", params={"name": name}, content=content, **more)


def test_a_picture_is_brought_and_named_by_a_job(web: TestClient, client: RedisClient) -> None:
    answer = bring(web, photo(), "../../etc/flask.png")
    assert answer.status_code == 201, answer.text
    artifact = answer.json()
    assert (artifact["media_type"], artifact["name"]) == ("image/png", "flask.png")
    given = {"payload": {"product_name": "Cup", "images": [artifact]}, "id": "film"}
    assert web.post("/jobs", json=given).status_code == 202
    assert client.get_job("film")["payload"]["images"][0]["sha256"] == artifact["sha256"]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"", 422, "the body is empty"),
        (b"#EXTM3U\nhttp://evil.example/x", 415, "playlist.png"),
        (b"<svg onload=alert(1)>", 415, "playlist.png"),
        (photo()[:200], 422, "playlist.png"),
    ],
)
def test_what_is_no_picture_film_or_sound_is_refused(web: TestClient, content: bytes, code: int, says: str) -> None:
    answer = bring(web, content, "playlist.png")
    assert answer.status_code == code, answer.text
    assert says in answer.json()["detail"]
    assert not [path for path in open_store().root.rglob("*") if path.is_file() and path.name != ".store-id"]


def test_a_file_is_fetched_whole_and_in_ranges(web: TestClient) -> None:
    content = photo()
    path = f"/artifacts/{bring(web, content).json()['sha256']}"
    whole = web.get(path)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, content, "image/png")
    assert whole.headers["content-disposition"] == f"inline; filename*=UTF-8''{path[-64:-52]}"
    named = web.get(f"{path}?download=true&name=../../flask.png")
    assert named.headers["content-disposition"] == "attachment; filename*=UTF-8''flask.png"
    assert "sandbox" in whole.headers["content-security-policy"]
    part = web.get(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    assert web.get(path, headers={"Range": f"bytes={len(content)}-"}).status_code == 416
    assert web.get(f"{path}?download=true").headers["content-disposition"].startswith("attachment")
    assert web.get(f"/artifacts/{'0' * 64}").status_code == 404
    assert web.get("/artifacts/..%2f..%2fetc%2fpasswd").status_code in {404, 422}


def test_a_signed_link_opens_one_file_for_a_while(
    closed: TestClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = bearer("submit", "acme")
    digest = bring(closed, photo(), headers=token).json()["sha256"]
    other = bring(closed, photo("#aa0000"), headers=token).json()["sha256"]
    url = closed.post(f"/artifacts/{digest}/link?seconds=60", headers=token).json()["url"]
    assert closed.get(url).status_code == 200
    assert closed.get(url.replace(digest, other)).status_code == 403
    assert closed.get(url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403
    assert closed.get(url.replace("expires=", "expires=9")).status_code == 403
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert closed.get(url).status_code == 403


def test_a_tenants_files_are_its_own_also_by_their_digest(closed: TestClient, bearer: Bearer) -> None:
    acme, globex = bearer("submit", "acme"), bearer("submit", "globex")
    artifact = bring(closed, photo(), headers=acme).json()
    path = f"/artifacts/{artifact['sha256']}"
    assert closed.get(path, headers=acme).status_code == 200
    assert closed.get(path, headers=globex).status_code == 404
    assert closed.post(f"{path}/link", headers=globex).status_code == 404
    given = {"payload": {"product_name": "Cup", "images": [artifact]}}
    stolen = closed.post("/jobs", json=given, headers=globex)
    assert (stolen.status_code, "no such file" in stolen.json()["detail"]) == (422, True)
    nested = closed.post("/jobs", json={"pipeline": "selftest", "then": given}, headers=globex)
    assert (nested.status_code, "no such file" in nested.json()["detail"]) == (422, True)
    assert closed.post("/jobs", json=given, headers=acme).status_code == 202


def test_what_no_job_names_is_forgotten_after_a_day(web: TestClient, client: RedisClient) -> None:
    kept, left = bring(web, photo()).json(), bring(web, photo("#aa0000")).json()
    web.post("/jobs", json={"payload": {"product_name": "Cup", "images": [kept]}, "id": "film"})
    assert forget_uploads(client.database, untouched_seconds=3600) == 0
    assert forget_uploads(client.database, untouched_seconds=-1) == 2
    assert artifact_known(client.database, "default", kept["sha256"])
    assert not artifact_known(client.database, "default", left["sha256"])
    assert UPLOAD.startswith("@")  # no job can have this id


def test_what_a_tenant_may_bring_in_a_day_has_an_end(
    closed: TestClient, bearer: Bearer, setting: Callable[[str, object], None]
) -> None:
    setting("UPLOAD_DAY_MB", 1)
    acme, globex = bearer("submit", "acme"), bearer("submit", "globex")
    noise = random.Random(7)

    def picture() -> bytes:
        from PIL import Image

        made = io.BytesIO()
        Image.frombytes("RGB", (400, 400), noise.randbytes(480_000)).save(made, "PNG")
        return made.getvalue()

    answers = [bring(closed, picture(), headers=acme).status_code for _ in range(4)]
    assert answers == [201, 201, 413, 413]  # a third does not fit into what is left
    small = bring(closed, photo(), headers=acme)
    assert small.status_code == 201
    assert bring(closed, picture(), headers=globex).status_code == 201
    setting("UPLOAD_DAY_MB", 0)
    assert bring(closed, picture(), headers=acme).status_code == 201


def test_nothing_is_taken_when_the_disk_is_full(web: TestClient, setting: Callable[[str, object], None]) -> None:
    setting("MIN_FREE_MB", 10**9)
    answer = bring(web, photo())
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:stagecrew:full")
