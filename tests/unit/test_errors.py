"""Errors say what happens next; settings and doors say what is wrong in one sentence."""

from collections.abc import Callable

import pytest

import errors
from errors import (
    HostTrouble,
    InvalidInput,
    JobFailed,
    NeedsPerson,
    NotNow,
    Permanent,
    QueueUnavailable,
    StagecrewError,
    Transient,
)
from settings import child_environment, get_settings, load_settings, near_misses


def test_every_error_is_of_one_kind() -> None:
    kinds = (Transient, Permanent, HostTrouble, NotNow, NeedsPerson)
    for name, found in vars(errors).items():
        if isinstance(found, type) and issubclass(found, StagecrewError) and found not in {StagecrewError, *kinds}:
            of = [kind for kind in kinds if issubclass(found, kind)]
            assert len(of) == 1 or name in {"JobFailed", "Unknown", "UnknownJob"}, name


def test_host_trouble_says_when_to_look_again() -> None:
    assert HostTrouble("disk").retry_after == 5
    assert QueueUnavailable("away", retry_after=1).retry_after == 1
    assert Transient("x").retry_after is None


def test_a_failed_job_says_how_it_ended() -> None:
    error = JobFailed("a", "cancelled", "by hand")
    assert str(error) == "job a is cancelled: by hand"
    assert error.status == "cancelled"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LEASE_SECONDS", "soon", "LEASE_SECONDS='soon'"),
        ("WORKER_CONCURRENCY", "0", "WORKER_CONCURRENCY='0'"),
        ("QUEUE_NAMESPACE", "Bad Name", "QUEUE_NAMESPACE='Bad Name'"),
        ("QUEUE_NAMESPACE", "{a}", "QUEUE_NAMESPACE"),
        ("QUEUE_NAMESPACE", "a\n", "QUEUE_NAMESPACE"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL='loud'"),
        ("STAGE_QUEUES", "voice_gen", "write it as stage=queue,stage=queue"),
        ("STAGE_QUEUES", "voice_gen=Bad Name", "STAGE_QUEUES"),
        ("STAGE_QUEUES", "voice_gen=a:b", "STAGE_QUEUES"),
        ("BEAT_SECONDS", "20", "must be at most half of LEASE_SECONDS=30"),
        ("TASK_SOFT_TIME_LIMIT", "4000", "must not pass TASK_TIME_LIMIT=3600"),
        ("MAX_RETRIES", "-1", "MAX_RETRIES"),
        ("LEASE_SECONDS", "nan", "LEASE_SECONDS"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(
    setting: Callable[[str, object], None], name: str, value: str, sentence: str
) -> None:
    setting(name, value)
    with pytest.raises(InvalidInput, match=sentence.replace("(", r"\(")) as caught:
        get_settings()
    assert "\n" not in str(caught.value).replace("a\\n", "")


def test_a_wrong_secret_is_not_shown(setting: Callable[[str, object], None]) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(anthropic_api_key=["marker-secret"])
    assert "marker" not in str(caught.value)
    assert "ANTHROPIC_API_KEY" in str(caught.value)


def test_an_empty_setting_is_its_default(setting: Callable[[str, object], None]) -> None:
    setting("LEASE_SECONDS", "")
    assert get_settings().lease_seconds == 30


def test_near_misses_are_named_and_strangers_are_not() -> None:
    found = near_misses({"LEASE_SECOND": "3", "REDIS_URLS": "x", "HOME": "/", "LEASE_SECONDS": "3", "LESS": "x"})
    assert found == {"LEASE_SECOND": "LEASE_SECONDS", "REDIS_URLS": "REDIS_URL"}


def test_children_see_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "marker")
    monkeypatch.setenv("REDIS_URL", "redis://:marker@x")
    monkeypatch.setenv("OTHER", "kept")
    environment = child_environment(MORE="1")
    assert "marker" not in str(environment)
    assert (environment["OTHER"], environment["MORE"]) == ("kept", "1")
