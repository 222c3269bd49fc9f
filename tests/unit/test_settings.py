"""Settings: read once, checked at the start, refused with one sentence that names the setting."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import settings
from errors import InvalidInput
from settings import ROOT, Settings, child_environment, get_settings, is_systemd_unit, load_settings, near_misses


def test_without_any_setting_everything_has_its_default() -> None:
    found = Settings()
    for name, field in Settings.model_fields.items():
        if name != "state_dir":
            assert getattr(found, name) == field.get_default(call_default_factory=True), name


def test_an_empty_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "LEASE_SECONDS", "STAGE_QUEUES", "LOG_FORMAT"):
        monkeypatch.setenv(name, "")
    found = load_settings()
    assert found.redis_url is None
    assert (found.lease_seconds, found.stage_queues, found.log_format) == (30, {}, "auto")


def test_a_relative_state_folder_is_the_checkouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", "elsewhere")
    assert load_settings().state_dir == ROOT / "elsewhere"
    monkeypatch.setenv("STATE_DIR", "/srv/state")
    assert load_settings().state_dir == Path("/srv/state")


def test_lists_are_read_from_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPUT_ROOTS", "/a:/b c:")
    monkeypatch.setenv("STAGE_QUEUES", "voice_gen=gpu, compositing=big,")
    found = load_settings()
    assert found.input_roots == (Path("/a"), Path("/b c"))
    assert found.stage_queues == {"voice_gen": "gpu", "compositing": "big"}


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "env"
    file.write_text("LEASE_SECONDS=60\nMAX_RETRIES=7\nSOMEBODY_ELSES=1\n")
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    monkeypatch.setenv("LEASE_SECONDS", "40")
    found = load_settings()
    assert (found.lease_seconds, found.max_retries) == (40, 7)


def test_settings_are_read_once(setting: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch) -> None:
    setting("LEASE_SECONDS", 40)
    assert get_settings().lease_seconds == 40
    monkeypatch.setenv("LEASE_SECONDS", "50")
    assert get_settings().lease_seconds == 40


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEASE_SECONDS", "soon"),
        ("LEASE_SECONDS", "0"),
        ("LEASE_SECONDS", "nan"),
        ("WORKER_CONCURRENCY", "0"),
        ("WORKER_CONCURRENCY", "1.5"),
        ("QUEUE_NAMESPACE", "Has Spaces"),
        ("QUEUE_NAMESPACE", "{tag}"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("API_PORT", "70000"),
        ("STAGE_QUEUES", "voice_gen"),
        ("MAX_RETRIES", "-1"),
        ("TASK_TIME_LIMIT", "inf"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{name}=")
    assert value in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_beat_must_fit_twice_into_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE_SECONDS", "15")
    with pytest.raises(InvalidInput, match="BEAT_SECONDS=10 must be at most half of LEASE_SECONDS=15"):
        load_settings()


def test_the_soft_limit_must_not_pass_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASK_TIME_LIMIT", "60")
    with pytest.raises(InvalidInput, match="TASK_SOFT_TIME_LIMIT=3300 must not pass TASK_TIME_LIMIT=60"):
        load_settings()


def test_the_level_of_the_log_is_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert load_settings().log_level == "debug"


def test_secrets_are_not_shown() -> None:
    found = load_settings(
        anthropic_api_key="hidden-1", redis_url="redis://u:hidden-2@h", database_url="postgresql://u:hidden-3@h/d"
    )
    assert "hidden" not in repr(found)
    assert "hidden" not in str(found.model_dump())


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL", "ANTHROPIC_API_KEY", "REPLICATE_API_TOKEN"])
def test_a_child_gets_the_environment_without_the_secrets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("HARMLESS", "1")
    found = child_environment(MORE="2")
    assert name not in found
    assert (found["HARMLESS"], found["MORE"], found["PATH"]) == ("1", "2", os.environ["PATH"])


def test_typing_errors_are_noticed_and_strangers_are_not() -> None:
    found = near_misses({"REDIS_ULR": "", "LEASE_SECOND": "", "REDIS_URL": "", "HOME": "", "PATH": "", "LANG": ""})
    assert found == {"LEASE_SECOND": "LEASE_SECONDS", "REDIS_ULR": "REDIS_URL"}


def test_a_wrong_setting_stops_a_worker_at_its_start_with_78() -> None:
    said = subprocess.run(
        [sys.executable, str(ROOT / "worker.py")],
        env=os.environ | {"LEASE_SECONDS": "soon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 78
    assert said.stderr.count("\n") == 1
    assert said.stderr.startswith("worker.py: LEASE_SECONDS='soon': ")


def test_a_units_process_and_its_children_know_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_systemd_unit()
    monkeypatch.setenv("INVOCATION_ID", "a terminal hands its own on to every shell")
    monkeypatch.setattr(settings, "_parent_name", lambda: "bash")
    assert not is_systemd_unit()
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getppid()))
    assert is_systemd_unit()
    monkeypatch.delenv("INVOCATION_ID")
    assert not is_systemd_unit()
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    assert is_systemd_unit()
