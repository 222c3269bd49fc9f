"""Real workers and paid calls: stopped, overtaken, cancelled, without their vendor; every answer is paid once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text

from database.tables import Charge, Stage
from pipeline.orchestrator import PipelineOrchestrator
from redis_client.client import RedisClient
from tests.stub.server import Stub
from tests.support.crews import SHORT_LEASE, Setting, StartWorker, row, wait_for_status
from tests.support.hosted import CLAUDE, CLAUDE_CALLS, CLIPS, FACTS, VOICE, books, host_everything, prepare_answers
from tests.support.workers import ROOT, WorkerProcess, suspend, wait_for

pytest_plugins = ("tests.stub.fixtures",)

SCENES = 2
PATIENCE = 60.0
LIBRARIES = {"anthropic", "elevenlabs", "replicate", "httpx", "httpx2"}


@pytest.fixture(autouse=True)
def hosted(setting: Setting, stub: Stub) -> None:
    host_everything(setting, stub)
    setting("MIN_FREE_MB", 0)
    prepare_answers(stub, SCENES)


def ask(client: RedisClient, stop_after: str, **fields: Any) -> None:
    """A film up to its last paid call."""
    assert client.enqueue_job("a", FACTS | {"stop_after": stop_after} | fields)


def posts(stub: Stub, vendor: str, path: str) -> int:
    return len(stub.requests(vendor, method="POST", path=path))


def rows(client: RedisClient, provider: str) -> list[tuple[str, str | None]]:
    query = select(Charge.state, Charge.external_id).where(Charge.provider == provider).order_by(Charge.intent_ms)
    with client.database.read() as connection:
        return [(one.state, one.external_id) for one in connection.execute(query)]


def wait_for_rows(client: RedisClient, provider: str, worker: WorkerProcess, *states: str) -> None:
    wait_for(lambda: [one for one, _ in rows(client, provider)] == list(states), PATIENCE, what=worker.text)


def wait_for_end(client: RedisClient, worker: WorkerProcess) -> None:
    """The job has ended well."""
    wait_for(lambda: row(client, "a")["finished_ms"], PATIENCE, what=worker.text)
    assert row(client, "a")["status"] == "completed", row(client, "a")["error"]


def make_due(client: RedisClient) -> None:
    """Who came back later than now comes back now."""
    with client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET not_before_ms = 1 WHERE not_before_ms IS NOT NULL"))
    server: Any = client.get_client()
    server.zadd(client.queue.key("delayed"), {"a": 1})
    server.rpush(client.queue.list_key("video_generation_queue"), "a")


def assert_paid_once(client: RedisClient, stub: Stub) -> None:
    """Claude's calls and one a scene; each has one answer and one bill."""
    found, calls = books(client, stub), CLAUDE_CALLS + SCENES
    assert [(one.state, one.doubt) for one in found.rows] == [("settled", None)] * calls
    assert {one.external_id for one in found.rows} == {one.id for one in found.billed}
    assert len(found.billed) == calls
    assert found.paid() == pytest.approx(stub.cost(), abs=1e-5)
    assert found.reserved == pytest.approx(0, abs=1e-9)


# -- stopped -----------------------------------------------------------------------------------------------------------


def test_a_sigterm_during_a_poll_leaves_the_prediction_to_the_next_worker(
    client: RedisClient, stub: Stub, start_worker: StartWorker
) -> None:
    stub.set(start_seconds=1, prediction_seconds=90)
    ask(client, "video_gen")
    first = start_worker("worker-1")
    wait_for_rows(client, CLIPS, first, *["submitted"] * SCENES)
    wait_for(lambda: stub.requests(CLIPS, method="GET", path="/predictions/"), what=first.text)
    assert first.stop() == 0
    assert [state for state, _ in rows(client, CLIPS)] == ["submitted"] * SCENES
    found = row(client, "a")
    assert (found["status"], found["attempt"], found["crashes"]) == ("pending", 0, 0)
    stub.advance(100)
    stub.set(start_seconds=0, prediction_seconds=0)
    second = start_worker("worker-2")
    wait_for_end(client, second)
    assert posts(stub, CLIPS, "predictions$") == SCENES
    assert_paid_once(client, stub)


def test_a_sigterm_during_a_call_waits_for_its_answer_and_keeps_it(
    client: RedisClient, stub: Stub, start_worker: StartWorker
) -> None:
    stub.set(speech_seconds=2)
    ask(client, "voice_gen")
    first = start_worker("worker-1")
    wait_for(lambda: posts(stub, VOICE, "") == SCENES, PATIENCE, what=first.text)
    assert first.stop() == 0
    assert [state for state, _ in rows(client, VOICE)] == ["settled"] * SCENES, "they were waited for"
    assert row(client, "a")["attempt"] == 0
    stub.set(speech_seconds=0)
    second = start_worker("worker-2")
    wait_for_end(client, second)
    assert posts(stub, VOICE, "") == SCENES
    assert_paid_once(client, stub)


# -- overtaken ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_that_was_overtaken_while_its_order_was_on_the_way_still_notes_its_id(
    client: RedisClient, stub: Stub, start_worker: StartWorker
) -> None:
    stub.faults("slow", vendor=CLIPS, method="POST", seconds=2, n=SCENES)
    ask(client, "video_gen")
    first = start_worker("worker-1", **SHORT_LEASE)
    wait_for(lambda: posts(stub, CLIPS, "predictions$") == SCENES, PATIENCE, what=first.text)
    suspend(first, client.database)
    second = start_worker("worker-2", **SHORT_LEASE)
    second.wait_for_event("job_requeued", PATIENCE)  # a stranger's call is under way: not judged yet
    assert [state for state, _ in rows(client, CLIPS)] == ["intent"] * SCENES
    first.signal(signal.SIGCONT)
    wait_for_rows(client, CLIPS, first, *["submitted"] * SCENES)
    first.stop()
    make_due(client)
    wait_for_end(client, second)
    assert posts(stub, CLIPS, "predictions$") == SCENES
    assert_paid_once(client, stub)


# -- cancelled ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_job_that_is_cancelled_during_a_poll_is_cancelled_at_the_vendor(
    client: RedisClient, stub: Stub, start_worker: StartWorker
) -> None:
    stub.set(start_seconds=0, prediction_seconds=90)
    ask(client, "video_gen")
    worker = start_worker("worker-1", BEAT_SECONDS="0.3", SWEEP_SECONDS="0.3")
    wait_for_rows(client, CLIPS, worker, *["submitted"] * SCENES)
    client.cancel("a")
    wait_for_status(client, "a", "cancelled")
    wait_for_rows(client, CLIPS, worker, *["settled"] * SCENES)
    assert posts(stub, CLIPS, "/cancel$") == SCENES
    assert posts(stub, CLIPS, "predictions$") == SCENES
    stub.advance(700)
    assert {one.detail["status"] for one in stub.charges(CLIPS)} <= {"canceled"}
    assert books(client, stub).reserved == pytest.approx(0, abs=1e-9)


# -- without its vendor ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_outage_of_a_voice_gives_another_voice_where_the_payload_allows_it(
    client: RedisClient, stub: Stub, setting: Setting, start_worker: StartWorker
) -> None:
    stub.faults("status", vendor=VOICE, method="POST", status=503, n=None)
    setting("RETRY_BASE_SECONDS", 0.05)
    ask(client, "voice_gen", fallback=True)
    worker = start_worker("worker-1")
    wait_for_end(client, worker)
    query = select(Stage.provider, Stage.result).where(Stage.stage == "voice_gen")
    with client.database.read() as connection:
        voices = connection.execute(query).all()
    assert len(voices) == SCENES
    assert {one.provider for one in voices} == {one.result["provider"] for one in voices} <= {"piper", "espeak"}
    assert worker.events("provider_switched", instead_of=VOICE)
    assert stub.charges(VOICE) == []
    assert posts(stub, VOICE, "") <= 4


# -- refused -----------------------------------------------------------------------------------------------------------


def refuse_by_our_rules(setting: Setting, stub: Stub) -> None:
    setting("MODERATION_DENY", "flask")


def refuse_by_claude(setting: Setting, stub: Stub) -> None:
    verdict = {"allowed": False, "field": "product_name", "category": "fraud", "reason": "It promises too much."}
    stub.answer(CLAUDE, "You check texts", verdict)


@pytest.mark.parametrize(("refuse", "calls"), [(refuse_by_our_rules, 0), (refuse_by_claude, 1)])
def test_a_payload_that_is_refused_buys_nothing(
    client: RedisClient, stub: Stub, setting: Setting, refuse: Callable[[Setting, Stub], None], calls: int
) -> None:
    refuse(setting, stub)
    PipelineOrchestrator("a", client).execute_pipeline(FACTS)
    found = client.get_job("a")
    assert (found["status"], found["error_class"]) == ("failed", "Refused")
    assert found["error"].startswith("product_name: it ") or "promises too much" in found["error"]
    assert len(stub.requests(method="POST")) == calls, "the verdict itself, and nothing after it"
    assert len(stub.charges()) == calls


def test_what_a_word_is_said_to_sound_like_is_judged_too(client: RedisClient, stub: Stub, setting: Setting) -> None:
    setting("MODERATION_DENY", "rude word")
    PipelineOrchestrator("a", client).execute_pipeline(FACTS | {"pronounce": {"Nova": "rude word"}})
    found = client.get_job("a")
    assert (found["status"], found["error_class"]) == ("failed", "Refused")
    assert found["error"].startswith("pronounce.Nova: ")
    assert stub.requests(method="POST") == []


# -- nothing to do -----------------------------------------------------------------------------------------------------


def test_a_worker_without_work_imports_no_vendors_library(client: RedisClient) -> None:
    """All keys are set, and it opens, keeps house and looks for work."""
    look = (
        "import sys; from worker import Worker; code = Worker('idle', drain=True).start();"
        f"print('loaded:', code, sorted({LIBRARIES!r} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.stdout.splitlines()[-1] == "loaded: 0 []", said.stdout + said.stderr
