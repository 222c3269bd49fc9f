"""A key that finds its way into an error is in no log, no record, no event and nowhere in Redis."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from log import configure_logging
from pipeline.orchestrator import PipelineOrchestrator, TryAgain
from pipeline.stage import stages
from redis_client.client import RedisClient
from settings import get_settings
from tests.support.moves import whole

KEY, PASSWORD = "marker-key-3f9c1d", "marker-password-77aa"


def test_no_secret_of_an_error_is_kept(
    client: RedisClient, setting: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting("ELEVENLABS_API_KEY", KEY)
    written = io.StringIO()
    configure_logging(stream=written, keep_loggers=False)

    def refused(context: Any) -> Any:
        context.progress(0.5, f"asking with {KEY}")
        raise ConnectionError(f"401 for xi-api-key {KEY} at https://me:{PASSWORD}@vendor.example/v1")

    monkeypatch.setitem(stages(), "selftest_step", replace(stages()["selftest_step"], function=refused))
    with pytest.raises(TryAgain) as told:
        PipelineOrchestrator("job", client).execute_pipeline({}, pipeline="selftest")

    with client.database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = {
        "the log": written.getvalue(),
        "Redis": repr(whole(client.queue)),
        "the caller's error": str(told.value),
        "the status": repr(client.get_job("job")),
        "SQL": (get_settings().state_dir / "stagecrew.db").read_bytes().decode(errors="replace"),
    }
    assert "[hidden]" in kept["the log"]
    assert "401 for" in kept["SQL"]
    found = {place: marker for place, text in kept.items() for marker in (KEY, PASSWORD) if marker in text}
    assert found == {}
