"""Replicate sits the exam: one order a call, watched and found again, its file fetched without the token, its end booked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from errors import (
    BadReply,
    Interrupted,
    InvalidInput,
    Overloaded,
    Permanent,
    RateLimited,
    Refused,
    TooLarge,
    Transient,
    Unanswered,
    Unsupported,
)
from pipeline.providers import registry, replicate_call, vendor_files
from pipeline.providers.base import Clip, ClipOrder, no_check
from pipeline.providers.paid import Submitted
from pipeline.providers.replicate import ReplicateEnhancer, ReplicateFilm
from pipeline.providers.replicate_call import Prediction
from pipeline.providers.replicate_models import MODELS, Wish, find_model, input_of, takes_picture
from pipeline.providers.vendor_files import OutputExpiredError, fetch_output
from redis_client.client import RedisClient
from settings import get_settings
from tests.contract import exam
from tests.contract.exam import SECRET, Subject, Till
from tests.queue.test_charges import Bench
from tests.stub import media
from tests.stub.server import Stub

pytest_plugins = ("tests.stub.fixtures",)

Setting = Callable[[str, object], None]
ORDER = ClipOrder("a flask on a rock", "9:16", 4.0, seed=7)
CREATE = r"/predictions$"
HOUR = 3600.0


@pytest.fixture
def film(stub: Stub, setting: Setting) -> Iterator[ReplicateFilm]:
    setting("REPLICATE_BASE_URL", stub.replicate_url)
    setting("REPLICATE_API_TOKEN", SECRET)
    stub.set(clip_side=64)
    film = ReplicateFilm()
    yield film
    film.close()


@pytest.fixture
def till(stub: Stub) -> Till:
    return Till(stub)


def clip(film: ReplicateFilm, folder: Path, till: Till, order: ClipOrder = ORDER) -> Clip:
    return film.clip(order, folder=folder, check=no_check, ledger=till)


@pytest.fixture
def subject(stub: Stub, film: ReplicateFilm, tmp_path: Path) -> Subject:
    return Subject(stub, "replicate", CREATE, lambda till: clip(film, tmp_path, till))


def prediction(film: ReplicateFilm, folder: Path, order: ClipOrder = ORDER, image: Path | None = None) -> Prediction:
    api, model = film.api(), find_model("google/veo-3-fast", "video")
    picture = replicate_call.Picture.of(image) if image else None
    wish = Wish(order.prompt, order.seconds, order.aspect, order.seed, image is not None)
    return Prediction("clip", api, model, wish, picture=picture, folder=folder, check=no_check)


# --- the exam


@pytest.mark.parametrize(("status", "error"), exam.STATUSES)
def test_a_status_says_what_to_do_next(subject: Subject, status: int, error: Any) -> None:
    exam.sit_status(subject, status, error)


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_it_asks_for_is_kept(subject: Subject, status: int) -> None:
    exam.sit_retry_after(subject, status)


def test_the_wait_may_be_a_date(subject: Subject) -> None:
    exam.sit_retry_date(subject)


def test_the_wait_may_stand_in_the_sentence(subject: Subject) -> None:
    subject.stub.faults("status", vendor="replicate", status=429)
    found = subject.fails(RateLimited)
    assert isinstance(found, RateLimited)
    assert found.retry_after == 30


def test_a_page_of_a_proxy_is_an_answer(subject: Subject) -> None:
    exam.sit_page(subject)


@pytest.mark.parametrize(("kind", "options"), exam.DOUBTS)
def test_what_cannot_be_read_leaves_doubt(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_doubt(subject, kind, options)


@pytest.mark.parametrize(("kind", "options"), exam.DELAYS)
def test_no_answer_passes_the_deadline(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_delay(subject, kind, options)


def test_headers_that_drip_end_too(stub: Stub, film: ReplicateFilm, tmp_path: Path, setting: Setting) -> None:
    with exam.dripping_port() as address:
        setting("REPLICATE_BASE_URL", address)
        exam.sit_dripping_headers(stub, lambda till: clip(film, tmp_path, till))


def test_nothing_leaves_for_a_closed_port(stub: Stub, film: ReplicateFilm, tmp_path: Path, setting: Setting) -> None:
    setting("REPLICATE_BASE_URL", exam.closed_port())
    exam.sit_unreachable(stub, lambda till: clip(film, tmp_path, till))


def test_a_key_that_cannot_be_sent_is_not_shown(
    film: ReplicateFilm, tmp_path: Path, till: Till, setting: Setting
) -> None:
    setting("REPLICATE_API_TOKEN", f"{SECRET}é")
    with pytest.raises(Permanent) as caught:
        clip(film, tmp_path, till)
    assert SECRET not in str(caught.value)


def test_the_key_and_the_credit_are_told_apart(subject: Subject) -> None:
    subject.stub.faults("status", vendor="replicate", status=402)
    assert "credit" in str(subject.fails(Permanent))
    subject.stub.faults("status", vendor="replicate", status=401)
    with pytest.raises(Permanent, match="does not accept the key"):
        subject.pay(Till(subject.stub))


# --- ordered once


def test_a_clip_is_one_order_and_a_file(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    found = clip(film, tmp_path, till)
    assert (found.media_type, found.provider, found.model) == ("video/mp4", "replicate", "google/veo-3-fast")
    assert found.path.read_bytes()[4:8] == b"ftyp"
    [order] = stub.requests("replicate", method="POST")
    assert order.path == "/v1/models/google/veo-3-fast/predictions"
    assert order.headers["cancel-after"] == "600s"
    assert "prefer" not in order.headers
    assert "webhook" not in order.json
    assert order.json["input"]["duration"] == 4
    assert order.json["input"]["aspect_ratio"] == "9:16"
    answer = till.answers[0]
    assert answer.external_id == till.submitted[0]
    assert answer.cost_usd == pytest.approx(0.4)
    assert answer.is_estimate
    assert till.calls[0].most_usd >= answer.cost_usd
    [charge] = stub.charges("replicate")
    assert charge.delivered


def test_the_webhook_is_asked_for_when_there_is_one(
    film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till, setting: Setting
) -> None:
    setting("REPLICATE_WEBHOOK_URL", f"{exam.closed_port()}/hook")
    clip(film, tmp_path, till)
    [order] = stub.requests("replicate", method="POST")
    assert order.json["webhook"].endswith("/hook")
    assert order.json["webhook_events_filter"] == ["completed"]


def test_the_token_goes_to_the_api_alone(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    clip(film, tmp_path, till)
    seen = stub.requests("replicate")
    [download] = [one for one in seen if one.path.startswith("/out/")]
    assert SECRET not in str(download.headers)
    assert all(one.headers["authorization"] == f"Bearer {SECRET}" for one in seen if one is not download)


def test_pauses_grow_and_end(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    stub.set(prediction_seconds=60)
    clip(film, tmp_path, till)
    assert till.pauses[0] == 1.0
    assert max(till.pauses) == 5.0
    assert till.pauses == sorted(till.pauses)


def test_the_request_names_no_path_and_no_secret(film: ReplicateFilm, tmp_path: Path) -> None:
    image = exam.picture(tmp_path / "a.png")
    request = prediction(film, tmp_path, image=image).request
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    assert request["input"]["image"] == {"sha256": digest}
    assert SECRET not in str(request)
    assert str(tmp_path) not in str(request)


@pytest.mark.parametrize("large", [False, True])
def test_a_picture_goes_along(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till, large: bool) -> None:
    image = exam.picture(tmp_path / "a.png", side=400 if large else 32, noise=True)
    clip(film, tmp_path, till, ClipOrder("a flask", "1:1", 8, image, seed=1))
    *uploads, order = stub.requests("replicate", method="POST")
    sent = order.json["input"]["image"]
    assert [one.path for one in uploads] == (["/v1/files"] if large else [])
    assert sent.startswith(f"{stub.replicate_url}/v1/files/" if large else "data:image/png;base64,")


def test_a_failed_upload_is_no_doubt(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    image = exam.picture(tmp_path / "a.png", side=400, noise=True)
    stub.faults("reset_after", vendor="replicate", path="/v1/files")
    with pytest.raises(Transient) as caught:
        clip(film, tmp_path, till, ClipOrder("a flask", "1:1", 8, image))
    assert not isinstance(caught.value, Unanswered)
    assert not stub.requests("replicate", path=CREATE)


# --- watched to its end


def test_a_look_may_fail_some_times(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    stub.faults("status", vendor="replicate", method="GET", path="/v1/predictions/", status=503, n=2)
    stub.faults("malformed", vendor="replicate", method="GET", path="/v1/predictions/")
    clip(film, tmp_path, till)
    assert len(stub.requests("replicate", method="POST")) == 1


def test_looks_that_fail_for_ever_leave_the_call_submitted(
    film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till
) -> None:
    stub.faults("status", vendor="replicate", method="GET", path="/v1/predictions/", status=500, n=None)
    with pytest.raises(Overloaded):
        clip(film, tmp_path, till)
    assert len(stub.requests("replicate", method="GET")) == replicate_call.MOST_FAILED_LOOKS


def test_a_wait_that_a_look_is_told_is_kept(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    stub.faults("status", vendor="replicate", method="GET", path="/v1/predictions/", status=429, retry_after=12)
    clip(film, tmp_path, till)
    assert till.pauses[0] == 12


def test_attached_again_it_orders_nothing(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    sent = prediction(film, tmp_path).send("k")
    assert isinstance(sent, Submitted)
    again = prediction(film, tmp_path / "other")
    path, _ = till.book(again, again.collect(sent.external_id, till.pause))
    assert path.exists()
    assert len(stub.requests("replicate", method="POST")) == 1


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("The input or output was flagged as sensitive. (E005)", Refused),
        ("cannot identify image file", InvalidInput),
        ("CUDA out of memory", BadReply),
    ],
)
def test_a_failed_prediction_is_booked(
    film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till, said: str, error: Any
) -> None:
    stub.answer("replicate", error=said)
    with pytest.raises(error):
        clip(film, tmp_path, till)
    assert [one.cost_usd for one in till.answers] == [0.0]


def test_what_nobody_began_costs_nothing(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    stub.set(start_seconds=5000)
    till.speed = 100
    with pytest.raises(BadReply, match="not begun"):
        clip(film, tmp_path, till)
    assert [one.cost_usd for one in till.answers] == [0.0]
    assert not stub.charges("replicate")


def test_what_passes_its_limit_is_charged(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    stub.set(prediction_seconds=5000)
    till.speed = 100
    with pytest.raises(BadReply, match="limit of time"):
        clip(film, tmp_path, till)
    assert till.answers[0].cost_usd > 0


def test_a_stop_is_heard_between_two_looks(film: ReplicateFilm, stub: Stub, tmp_path: Path) -> None:
    call = prediction(film, tmp_path)
    stub.set(prediction_seconds=5000)
    sent = call.send("k")
    assert isinstance(sent, Submitted)

    def stop(_seconds: float) -> None:
        raise Interrupted("shutdown")

    with pytest.raises(Interrupted):
        call.collect(sent.external_id, stop)


# --- its file


def test_a_result_is_gone_after_an_hour(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    call = prediction(film, tmp_path)
    sent = call.send("k")
    assert isinstance(sent, Submitted)
    stub.advance(2 * HOUR)
    answer = call.collect(sent.external_id, till.pause)
    assert answer.cost_usd > 0
    with pytest.raises(OutputExpiredError):
        till.book(call, answer)


def test_a_file_that_is_gone_is_named(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    stub.faults("status", vendor="replicate", path="/out/", status=404)
    with pytest.raises(OutputExpiredError):
        clip(film, tmp_path, till)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("truncated", {}), ("reset_during", {}), ("html", {"status": 200}), ("status", {"status": 500})],
)
def test_a_broken_download_is_fetched_again(
    film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till, kind: str, options: dict[str, Any]
) -> None:
    stub.faults(kind, vendor="replicate", path="/out/", **options)
    with pytest.raises(Transient):
        clip(film, tmp_path, till)
    assert not till.answers
    assert not list(tmp_path.glob("*.mp4"))
    call = till.calls[0]
    path, _ = till.book(call, call.collect(till.submitted[0], till.pause))
    assert path.exists()
    assert len(stub.requests("replicate", method="POST")) == 1


def test_a_dripping_download_ends(
    film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate_call, "CLIP_SECONDS", 0.4)
    stub.faults("drip", vendor="replicate", path="/out/", seconds=0.15, pieces=40)
    with pytest.raises(Transient, match="within"):
        clip(film, tmp_path, till)


def test_a_file_over_its_cap_is_left(
    film: ReplicateFilm, tmp_path: Path, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicate_call, "MOST_CLIP_BYTES", 100)
    with pytest.raises(BadReply, match="more than"):
        clip(film, tmp_path, till)


@pytest.mark.parametrize(
    "url", ["http://elsewhere.test/a.mp4", "ftp://a/b", "https://u:p@a.test/x", "file:///etc/passwd"]
)
def test_only_https_is_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadReply, match="https"):
        fetch_output(url, tmp_path / "o", vendor="R", home="http://127.0.0.1:1", most_bytes=10, seconds=1)


def test_a_file_may_come_inside_the_answer(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    body = media.clip(media.ClipShape(160, 284, 1.0), "inside")
    stub.answer("replicate", body=[vendor_files.data_uri(body, "video/mp4")])
    assert clip(film, tmp_path, till).path.read_bytes() == body


def test_a_clip_that_no_film_can_show_is_paid_and_no_use(
    film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till
) -> None:
    inside = vendor_files.data_uri(b"\0\0\0\x18ftypmp42" + b"\0" * 100, "video/mp4")
    stub.answer("replicate", body=[inside])
    with pytest.raises(BadReply, match="cannot be read"):
        clip(film, tmp_path, till)
    assert till.answers[0].cost_usd > 0


# --- found again


def test_the_search_finds_the_one(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    stub.set(page_size=2)
    for other in ("b", "c"):
        clip(film, tmp_path, till, ClipOrder(other, "9:16", 4.0, seed=7))
    stub.faults("reset_after", vendor="replicate", path=CREATE)
    since = int(stub.now() * 1000)
    call = prediction(film, tmp_path)
    with pytest.raises(Unanswered):
        call.send("k")
    for other in ("d", "e"):
        clip(film, tmp_path, till, ClipOrder(other, "9:16", 4.0, seed=7))
    [found] = call.search(since)
    path, _ = till.book(call, call.collect(found.external_id, till.pause))
    assert path.exists()
    assert found.created_ms is not None
    assert abs(found.created_ms - since) < 60_000


def test_the_search_knows_pictures_apart(film: ReplicateFilm, stub: Stub, tmp_path: Path) -> None:
    images = [exam.picture(tmp_path / f"{side}.png", side=side, noise=True) for side in (32, 33, 400, 401)]
    calls = [prediction(film, tmp_path, image=one) for one in images]
    since = int(stub.now() * 1000)
    sent = [call.send("k") for call in calls]
    for call, one in zip(calls, sent, strict=True):
        assert isinstance(one, Submitted)
        assert [found.external_id for found in call.search(since)] == [one.external_id]


def test_the_search_leaves_what_is_older(film: ReplicateFilm, stub: Stub, tmp_path: Path) -> None:
    call = prediction(film, tmp_path)
    call.send("k")
    stub.advance(1000)
    assert call.search(int(stub.now() * 1000)) == []


def test_a_search_that_fails_is_no_answer(film: ReplicateFilm, stub: Stub, tmp_path: Path) -> None:
    call = prediction(film, tmp_path)
    stub.faults("wrong_shape", vendor="replicate", method="GET", path="/v1/predictions$")
    with pytest.raises(BadReply):
        call.search(0)


def test_a_cancelled_call_is_told_and_priced(film: ReplicateFilm, stub: Stub, tmp_path: Path) -> None:
    stub.set(prediction_seconds=50)
    sent = prediction(film, tmp_path).send("k")
    assert isinstance(sent, Submitted)
    stub.advance(10)
    assert film.cancel_call(sent.external_id) == pytest.approx(0.4)
    assert film.cancel_call("nobody") is None
    assert stub.requests("replicate", method="POST", path="/cancel$")


# --- with the ledger


def test_the_ledger_books_a_failure_and_orders_anew(
    film: ReplicateFilm, stub: Stub, client: RedisClient, tmp_path: Path
) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    bench = Bench(client, tmp_path)
    stub.answer("replicate", error="CUDA out of memory", n=1)
    with pytest.raises(BadReply):
        bench.begin().charge(prediction(film, tmp_path))
    path, _ = bench.begin().charge(prediction(film, tmp_path))
    assert path.exists()
    assert [(state, cost) for state, _, cost in bench.rows()] == [("settled", 0.0), ("settled", pytest.approx(0.4))]
    assert bench.begin().charge(prediction(film, tmp_path))[0] == path
    assert len(stub.requests("replicate", path=CREATE, method="POST")) == 2


def test_the_ledger_finds_a_lost_order(film: ReplicateFilm, stub: Stub, client: RedisClient, tmp_path: Path) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    bench = Bench(client, tmp_path)
    stub.faults("reset_after", vendor="replicate", path=CREATE)
    with pytest.raises(Unanswered):
        bench.begin().charge(prediction(film, tmp_path))
    bench.age(155)
    path, _ = bench.begin().charge(prediction(film, tmp_path))
    assert path.exists()
    assert len(stub.charges("replicate")) == 1


# --- pictures, models, the registry


def test_pictures_are_made_better(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    image = exam.picture(tmp_path / "a.png")
    enhancer = ReplicateEnhancer()
    better = enhancer.enhance(image, digest="", folder=tmp_path / "w", check=no_check, ledger=till)
    alone = enhancer.cut_out(image, digest="", folder=tmp_path / "w", check=no_check, ledger=till)
    enhancer.close()
    assert better.read_bytes()[:4] == alone.read_bytes()[:4] == b"\x89PNG"
    orders = stub.requests("replicate", method="POST")
    assert [one.path for one in orders] == ["/v1/predictions"] * 2
    assert len({one.json["version"] for one in orders}) == 2


def test_what_is_no_picture_is_not_sent(film: ReplicateFilm, stub: Stub, tmp_path: Path, till: Till) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InvalidInput):
        ReplicateEnhancer().enhance(tmp_path / "a.txt", digest="", folder=tmp_path, check=no_check, ledger=till)
    assert not stub.requests("replicate")
    assert issubclass(TooLarge, Permanent)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_an_input_and_a_price(name: str) -> None:
    model = MODELS[name]
    given = input_of(model, Wish("a flask", 4, "9:16", 3, has_picture=True))
    price = model.estimate(given)
    assert 0 < price.likely_usd <= price.most_usd < 5
    assert model.source.startswith("https://")
    assert 30 <= model.longest_seconds <= 1800
    assert takes_picture(given) or not model.needs_picture
    assert model.cost(given, "aborted", None) == 0
    assert model.cost(given, "succeeded", None) == pytest.approx(price.likely_usd)


def test_a_model_that_wants_a_picture_says_so(
    film: ReplicateFilm, tmp_path: Path, till: Till, setting: Setting
) -> None:
    before = film.version
    setting("REPLICATE_VIDEO_MODEL", "kwaivgi/kling-v2.1")
    assert film.version != before
    with pytest.raises(Unsupported, match="picture"):
        clip(film, tmp_path, till)
    assert film.estimate(ORDER).likely_usd == pytest.approx(0.45)


def test_an_unknown_model_is_refused_with_the_nearest(setting: Setting) -> None:
    with pytest.raises(InvalidInput, match="google/veo-3-fast"):
        find_model("google/veo3-fast", "video")
    assert find_model("google/veo-3:abc", "video").version == "abc"


def test_auto_takes_it_only_with_a_token(setting: Setting) -> None:
    assert registry.resolve("film", "auto", get_settings()) == "local"
    setting("REPLICATE_API_TOKEN", SECRET)
    assert registry.resolve("film", "auto", get_settings()) == "replicate"
    assert registry.resolve("film", "local", get_settings()) == "local"
    gate = registry.vendor("replicate").gate
    assert gate.name.startswith("replicate:")
    assert SECRET not in gate.name
