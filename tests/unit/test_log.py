"""Logs: JSON when nobody watches, and no secret in any line, whatever carried it there."""

import io
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import structlog

from log import HIDDEN, configure_logging, redact

MARKERS = {
    "ANTHROPIC_API_KEY": "marker-anthropic-1",
    "ELEVENLABS_API_KEY": "marker-eleven-2",
    "REPLICATE_API_TOKEN": "marker-replicate-3",
}


@pytest.fixture
def out(setting: Callable[[str, object], None]) -> Any:
    for name, value in MARKERS.items():
        setting(name, value)
    setting("DATABASE_URL", "postgresql://user:marker-database-4@host/name")
    setting("REDIS_URL", "redis://:marker-redis-5@host:6379/0")
    stream = io.StringIO()
    configure_logging(stream=stream, keep_loggers=False)
    yield stream
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_name_level_and_utc_time(out: io.StringIO) -> None:
    structlog.get_logger().info("job_completed", job_id="a", title="Ångström \U0001f3ac")
    (line,) = lines(out)
    assert (line["event"], line["level"], line["job_id"]) == ("job_completed", "info", "a")
    assert line["timestamp"].endswith("Z")
    assert "Ångström \U0001f3ac" in out.getvalue()


def test_what_is_bound_is_in_every_line(out: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(worker_id="w1", job_id="a"):
        structlog.get_logger().warning("stage_started", stage="s")
    structlog.get_logger().warning("later")
    first, second = lines(out)
    assert (first["worker_id"], first["stage"]) == ("w1", "s")
    assert "worker_id" not in second


def test_lines_below_the_level_are_not_written(out: io.StringIO) -> None:
    structlog.get_logger().debug("too_much")
    assert out.getvalue() == ""


SECRETS = [*MARKERS.values(), "redis://:marker-redis-5@host", "postgresql://user:marker-database-4@host/name"]
CARRIERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "text": lambda secret: {"error": f"refused: {secret}, sorry"},
    "list": lambda secret: {"argv": ["curl", "-H", f"key: {secret}"]},
    "dict": lambda secret: {"request": {"headers": {"x-key": secret}}},
    "tuple": lambda secret: {"pair": ("a", secret)},
    "exception": lambda secret: {"error": ValueError(f"bad key {secret}")},
    "object": lambda secret: {"thing": type("Thing", (), {"__repr__": lambda _self: f"Thing({secret})"})()},
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_secret_reaches_a_line(out: io.StringIO, secret: str, carrier: str) -> None:
    structlog.get_logger().error("failed", **CARRIERS[carrier](secret))
    assert "marker" not in out.getvalue()
    assert HIDDEN in out.getvalue()


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_reaches_a_traceback(out: io.StringIO, secret: str) -> None:
    def deeper(key: str) -> None:
        hidden_local = key
        raise RuntimeError(f"cannot connect with {hidden_local}")

    try:
        deeper(secret)
    except RuntimeError:
        structlog.get_logger().exception("thread_died")
    (line,) = lines(out)
    assert "RuntimeError: cannot connect" in line["exception"]
    assert "marker" not in out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghij0123456789",
        "key sk-ant-api03-abcdefgh",
        "token r8_abcdefghijkl",
        "postgresql://someone:hunter2@db/name",
        "redis://:hunter2@cache:6379",
        "https://user:hunter2@proxy.example:3128/x",
    ],
)
def test_what_looks_like_a_secret_is_hidden_though_no_setting_names_it(text: str) -> None:
    shown = redact(text)
    assert HIDDEN in shown
    assert not any(secret in shown for secret in ("hunter2", "abcdefgh"))


@pytest.mark.parametrize("text", ["http://host:8000/path", "a:b@c", "redis://host:6379/0", "plain words"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_closed_stream_stops_nobody(out: io.StringIO) -> None:
    logger = structlog.get_logger()
    out.close()
    logger.info("nobody_hears")


def test_what_json_cannot_say_is_shown_as_python_says_it(out: io.StringIO) -> None:
    structlog.get_logger().info("odd", path=io.StringIO, number=2**70, text="\udcff")
    assert len(out.getvalue().splitlines()) == 1
