"""The only reader of the environment: every setting, its default and its check.

A wrong value stops the program at start with one sentence that names the setting.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from errors import InvalidInput

ROOT = Path(__file__).resolve().parent
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
PLACE_PATTERN = r"^(\[[0-9a-f:]+\]|[a-z0-9.-]+):[0-9]{1,5}$"
# A longer near miss than this is another program's setting, not a typing error of ours.
NEAR_MISS = 0.88

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]


class Settings(BaseSettings):
    """Read once; the names in the environment are these in upper case."""

    model_config = SettingsConfigDict(env_file=ROOT / ".env", extra="ignore", env_ignore_empty=True, frozen=True)

    state_dir: Path = Path("var")
    redis_url: SecretStr | None = None
    redis_allow_insecure: bool = False
    database_url: SecretStr | None = None
    artifact_store: str | None = None
    input_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    font_dirs: Annotated[tuple[Path, ...], NoDecode] = ()

    queue_namespace: str = Field("video_generation_queue", pattern=NAME_PATTERN)
    worker_queues: str = ""
    worker_concurrency: int = Field(1, ge=1, le=256)
    stage_queues: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)

    lease_seconds: float = Field(30, ge=1, le=3600)
    beat_seconds: float = Field(10, gt=0, le=1200)
    sweep_seconds: float = Field(5, gt=0, le=600)
    shutdown_seconds: float = Field(20, ge=0, le=3600)
    shutdown_paid_seconds: float = Field(120, ge=0, le=3600)
    min_free_mb: int = Field(500, ge=0)
    quarantine_crashes: int = Field(3, ge=0)
    max_retries: int = Field(3, ge=0, le=100)
    retry_base_seconds: float = Field(2, ge=0, le=3600)
    health_seconds: float = Field(30, gt=0, le=3600)
    task_soft_time_limit: Seconds = 3300
    task_time_limit: Seconds = 3600
    worker_max_tasks_per_child: int = Field(0, ge=0)

    script_provider: str = "auto"
    voice_provider: str = "auto"
    video_provider: str = "auto"
    text_provider: str = "auto"
    moderation_provider: str = "auto"
    sound_provider: str = "auto"
    transcribe_provider: str = "auto"
    enhance_provider: str = "auto"
    moderation_deny: Annotated[tuple[str, ...], NoDecode] = ()
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str | None = None
    anthropic_model: str = "claude-sonnet-5-5"
    llm_base_url: str | None = None
    llm_api_key: SecretStr | None = None
    llm_model: str = ""
    elevenlabs_api_key: SecretStr | None = None
    elevenlabs_base_url: str | None = None
    elevenlabs_model: str = "eleven_multilingual_v2"
    elevenlabs_voice: str = "JBFqnCBsd6RMkjVDRZzb"
    kokoro_model: Path | None = None
    kokoro_voices: Path | None = None
    kokoro_voice: str = Field("af_heart", pattern=r"^[ab][fm]_[a-z0-9]+$")
    replicate_api_token: SecretStr | None = None
    replicate_base_url: str | None = None
    replicate_video_model: str = "google/veo-3-fast"
    replicate_webhook_url: str | None = None
    replicate_webhook_secret: SecretStr | None = None
    anthropic_slots: int = Field(8, ge=1, le=1000)
    elevenlabs_slots: int = Field(4, ge=1, le=1000)
    replicate_slots: int = Field(8, ge=1, le=1000)
    budget_job_usd: float | None = Field(None, ge=0)
    budget_tenant_usd: float | None = Field(None, ge=0)
    budget_day_usd: float | None = Field(None, ge=0)
    park_above_usd: float = Field(0.05, ge=0)
    film_workers: int = Field(0, ge=0, le=64)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=1, le=65535)
    api_auth: Literal["auto", "on"] = "auto"
    upload_day_mb: int = Field(20_000, ge=0)
    webhook_own_hosts: Annotated[tuple[str, ...], NoDecode] = ()

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("state_dir", "kokoro_model", "kokoro_voices", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value if value is None or value.is_absolute() else ROOT / value

    @field_validator("input_roots", "font_dirs", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("webhook_own_hosts", mode="after")
    @classmethod
    def _places(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [one for one in value if not re.fullmatch(PLACE_PATTERN, one)]:
            raise ValueError(f"{wrong[0]!r}: write host:port, such as 127.0.0.1:9000 or app.internal:443")
        return value

    @field_validator("moderation_deny", "webhook_own_hosts", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("stage_queues", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.strip().partition("=") for part in value.split(",") if part.strip()]
        if any(not equals or not stage or not queue for stage, equals, queue in pairs):
            raise ValueError("write it as stage=queue,stage=queue")
        if wrong := [queue for _, _, queue in pairs if not re.fullmatch(NAME_PATTERN, queue)]:
            raise ValueError(f"the queue {wrong[0]!r} is no name: use a-z, 0-9, _ and -")
        return {stage: queue for stage, _, queue in pairs}

    @model_validator(mode="after")
    def _relations(self) -> Self:
        if self.beat_seconds * 2 > self.lease_seconds:
            raise ValueError(
                f"BEAT_SECONDS={self.beat_seconds:g} must be at most half of LEASE_SECONDS={self.lease_seconds:g}"
            )
        if self.task_soft_time_limit > self.task_time_limit:
            raise ValueError(
                f"TASK_SOFT_TIME_LIMIT={self.task_soft_time_limit:g} must not pass "
                f"TASK_TIME_LIMIT={self.task_time_limit:g}"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the caller passes, then the environment, then `.env`; no secrets folder."""
        del settings_cls, file_secret_settings
        return init_settings, env_settings, dotenv_settings


def load_settings(**overrides: object) -> Settings:
    """The settings of this process, or InvalidInput with one sentence that names the wrong one."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        reason = str(first["msg"]).removeprefix("Value error, ")
        if not name:
            raise InvalidInput(reason) from None
        shown = "" if "KEY" in name or "TOKEN" in name or "URL" in name else f"={first['input']!r}"
        raise InvalidInput(f"{name}{shown}: {reason}") from None


@cache
def get_settings() -> Settings:
    """The settings of this process, read at the first call and kept."""
    return load_settings()


def near_misses(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Names in the environment or `.env` that look like a typing error of a setting: {found: meant}."""
    known = {name.upper() for name in Settings.model_fields}
    names = set(os.environ if environment is None else environment)
    if environment is None and (ROOT / ".env").exists():
        names |= set(dotenv_values(ROOT / ".env"))
    misses = {}
    for name in sorted(names - known):
        close = get_close_matches(name.upper(), known, n=1, cutoff=NEAR_MISS)
        if close and close[0] != name:
            misses[name] = close[0]
    return misses


def child_environment(**extra: str) -> dict[str, str]:
    """The environment for a child process: this one's, without any secret, and `extra`."""
    secret = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    return {name: value for name, value in os.environ.items() if name.upper() not in secret} | extra


def this_host() -> tuple[str, str]:
    """The name of this machine, and a word that only its kernel has, and only until it boots again."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return platform.node()[:128], boot


def is_same_host(name: str, boot: str) -> bool:
    """Whether that was this machine: containers share its kernel, and a reboot keeps its name."""
    ours = this_host()
    return name == ours[0] or boot == ours[1]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as it is written."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def notify_socket() -> str | None:
    """Where systemd wants to hear from us (Type=notify)."""
    return os.environ.get("NOTIFY_SOCKET")


def is_systemd_unit() -> bool:
    """Whether systemd runs this process as (a child of) a unit's own process.

    INVOCATION_ID alone proves nothing: desktop terminals pass theirs on to every shell. It counts for the unit's own
    process, its children, and whatever systemd itself started.
    """
    ours = {str(os.getpid()), str(os.getppid())}
    by_systemd = os.environ.get("SYSTEMD_EXEC_PID") in ours or _parent_name() == "systemd"
    return notify_socket() is not None or ("INVOCATION_ID" in os.environ and by_systemd)


def _parent_name() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return ""
