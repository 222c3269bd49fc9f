"""Counts are the log's own events, also those that are not written."""

import io
from collections.abc import Iterator

import pytest
import structlog

import counters
from log import configure_logging


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    counters._counts.clear()
    yield
    counters._counts.clear()
    configure_logging(keep_loggers=False)


def test_events_raise_what_they_stand_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    configure_logging(stream=said, keep_loggers=False)
    log = structlog.get_logger()
    with structlog.contextvars.bound_contextvars(pipeline="selftest"):
        log.info("job_completed")
        log.error("job_failed")
        log.info("stage_completed", stage="step_1", seconds=1.5)
        log.info("stage_completed", stage="step_1", seconds=0.5)
    log.warning("call_settled", provider="replicate", cost_usd=0.25)
    log.info("call_settled", provider="replicate", cost_usd=None)
    log.info("health_check", trouble="the disk is full")
    log.info("nothing_special")
    assert counters.snapshot() == [
        ("call_cost_usd", {"provider": "replicate"}, 0.25),
        ("calls", {"provider": "replicate"}, 2),
        ("health_checks", {"trouble": "yes"}, 1),
        ("jobs_ended", {"outcome": "completed", "pipeline": "selftest"}, 1),
        ("jobs_ended", {"outcome": "failed", "pipeline": "selftest"}, 1),
        ("stage_seconds", {"stage": "step_1"}, 2.0),
        ("stages", {"stage": "step_1"}, 2),
    ]


def test_what_is_not_written_is_counted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from settings import get_settings

    monkeypatch.setenv("LOG_LEVEL", "warning")
    get_settings.cache_clear()
    said = io.StringIO()
    configure_logging(stream=said, keep_loggers=False)
    structlog.get_logger().info("job_completed", pipeline="selftest")
    structlog.get_logger().warning("job_lost")
    assert {name for name, _, _ in counters.snapshot()} == {"jobs_ended", "leases_lost"}
    assert "job_completed" not in said.getvalue()
    assert "job_lost" in said.getvalue()
