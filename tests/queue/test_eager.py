"""Eager runs: `execute_pipeline` holds its job like a worker does, hears a cancel, and gives back what it cannot end."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from typing import Any

import pytest

from pipeline.orchestrator import PipelineOrchestrator, TryAgain
from pipeline.stage import stages
from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.workers import wait_for


def test_an_eager_run_hears_a_cancel(client: RedisClient) -> None:
    ended: list[Any] = []

    def run() -> None:
        orchestrator = PipelineOrchestrator("job", client)
        ended.append(orchestrator.execute_pipeline({"stages": 4, "seconds": 30}, pipeline="selftest"))

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: client.list_jobs(status="processing"), what="its begin")
    assert client.cancel("job") == "processing"
    thread.join(20)
    assert ended[0]["status"] == "cancelled"
    assert_agree(client, workers=0)


def test_an_interrupted_eager_run_gives_the_job_back(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_context: Any) -> Any:
        raise KeyboardInterrupt

    step = stages()["selftest_step"]
    monkeypatch.setitem(stages(), "selftest_step", replace(step, function=interrupted))
    with pytest.raises(KeyboardInterrupt):
        PipelineOrchestrator("job", client).execute_pipeline({}, pipeline="selftest")
    status = client.get_job_status("job")
    assert (status["status"], status["attempt"], status["crashes"]) == ("pending", 0, 0)
    assert_agree(client, workers=0)


def test_an_interrupted_eager_run_waits_for_what_is_paid_beside_it(
    client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real Ctrl-C while two items side by side have a paid call under way each."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # those who run tests side by side ignore it
    both, answered = threading.Barrier(2), list[str]()

    def paying(context: Any, _item: int) -> Any:
        with context.stop.paid_call():
            if both.wait(30) == 0:
                os.kill(os.getpid(), signal.SIGINT)
            wait_for(lambda: context.stop.reason == "shutdown", what="the interrupt")
            answered.append(context.item)
        return {"number": 1}

    monkeypatch.setitem(stages(), "selftest_step", replace(stages()["selftest_step"], function=paying))
    try:
        with pytest.raises(KeyboardInterrupt):
            PipelineOrchestrator("job", client).execute_pipeline({"items": 2, "items_at_once": 2}, pipeline="selftest")
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(answered) == ["0", "1"]
    assert client.get_job_status("job")["status"] == "pending"


def test_a_job_that_cannot_be_prepared_fails_in_the_end(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any) -> Any:
        raise RuntimeError("the records are odd")

    monkeypatch.setattr("pipeline.runner.plan_steps", broken)
    monkeypatch.setattr("pipeline.faults.delay_seconds", lambda *_arguments: 0.0)
    orchestrator = PipelineOrchestrator("job", client)
    for attempt in range(1, 4):
        with pytest.raises(TryAgain):
            orchestrator.execute_pipeline({}, pipeline="selftest")
        assert client.get_job_status("job")["attempt"] == attempt
    status = orchestrator.execute_pipeline({}, pipeline="selftest")
    assert (status["status"], status["error"]) == ("failed", "the records are odd")
    assert_agree(client, workers=0)


def test_a_file_that_was_never_made_is_the_stages_fault(client: RedisClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(context: Any) -> Any:
        return context.keep(context.workdir / "nothing", media_type="text/plain")

    monkeypatch.setitem(stages(), "selftest_step", replace(stages()["selftest_step"], function=forgetful))
    with pytest.raises(TryAgain):
        PipelineOrchestrator("job", client).execute_pipeline({}, pipeline="selftest")
    status = client.get_job_status("job")
    assert (status["status"], status["attempt"], status["error_class"]) == ("waiting", 1, "FileNotFoundError")
