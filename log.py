"""Logging: structured events, JSON when nobody watches, and one redactor at the root of everything."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import deque
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import cache
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

import orjson
import structlog

from counters import count_event
from settings import Settings, get_settings

HIDDEN = "[hidden]"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# What a secret looks like even when no setting names it: keys in headers, tokens, passwords inside URLs.
_PATTERNS = (
    re.compile(r"(?i)\b(sk-[a-z0-9_-]{8,}|r8_[a-z0-9]{8,}|sc_[0-9a-f]{16}_[a-z0-9_-]{8,})"),
    re.compile(r"(?i)(?<=bearer )[a-z0-9._~+/=-]{8,}"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
)


@cache
def _secrets() -> tuple[str, ...]:
    """The values of every secret setting of this process."""
    settings = get_settings()
    found = (getattr(settings, name) for name in Settings.model_fields)
    texts = (value.get_secret_value() for value in found if hasattr(value, "get_secret_value"))
    # Of a URL the password alone is the secret; the address is wanted in error messages.
    whole = [text for text in texts if text]
    passwords = [urlsplit(text).password for text in whole if "://" in text]
    parts = [text for text in whole if "://" not in text] + [text for text in passwords if text]
    return tuple(dict.fromkeys([*parts, *(unquote(text) for text in parts)]))


def redact_known(text: str) -> str:
    """The text without the secrets of this process; for what is kept as data, where a guess would spoil it."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return text


def redact(text: str) -> str:
    """The text without any secret of this program, nor what looks like one."""
    text = redact_known(text)
    for pattern in _PATTERNS:
        text = pattern.sub(HIDDEN, text)
    return text


def _redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if not isinstance(value, str) or len(value) > 7:
            event[name] = without_secrets(value)
    return event


def without_secrets(value: Any, by: Callable[[str], str] = redact) -> Any:
    """The value without secrets, at any depth; `by` makes a text so."""
    match value:
        case str():
            return by(value)
        case dict():
            return {key: without_secrets(part, by) for key, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [without_secrets(part, by) for part in value]
        case None | bool() | int() | float():
            return value
    return by(repr(value))


TAIL_LINES = 200
_tails: dict[str, deque[tuple[str, dict[str, Any]]]] = {}


def keep_tail(job_id: str) -> None:
    """From now on keep the last log lines of a job, for the record of its failure."""
    _tails[job_id] = deque(maxlen=TAIL_LINES)


def tail_of(job_id: str) -> str:
    """The last log lines of a job that is kept."""
    return "\n".join(_as_line(level, event) for level, event in list(_tails.get(job_id, ())))


def drop_tail(job_id: str) -> None:
    """The job has left this process."""
    _tails.pop(job_id, None)


def _note_tail(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    tail = _tails.get(event.get("job_id", ""))
    if tail is not None:
        tail.append((method, dict(event)))
    return event


def _as_line(level: str, event: dict[str, Any]) -> str:
    plain = {"timestamp", "level", "event", "job_id"}
    facts = " ".join(f"{name}={value!r}" for name, value in event.items() if name not in plain)
    return f"{event.get('timestamp', '')} {level:<8} {event.get('event', '')} {facts}".rstrip()


RECENT_LINES = 1000
_recent: deque[str] = deque(maxlen=RECENT_LINES)


def take_lines() -> list[str]:
    """What was logged since the last call, as it was written; of very much only the last."""
    lines = []
    with suppress(IndexError):
        while True:
            lines.append(_recent.popleft())
    return lines


class _Out:
    """Writes lines to a stream that may be closed under us at exit."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """As a stream, for the handler of library logs."""
        with suppress(ValueError, OSError):
            self.stream.write(text)

    def flush(self) -> None:
        """As a stream."""
        with suppress(ValueError, OSError):
            self.stream.flush()

    def msg(self, message: str) -> None:
        """One line."""
        _recent.append(message)
        self.write(message + "\n")
        self.flush()

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


# One for the process: loggers that were used keep what they were made with, and still follow a new stream.
_out = _Out(sys.stdout)


def _to_json(event: Any, **_options: Any) -> str:
    try:
        return orjson.dumps(event, default=repr).decode()
    except TypeError:  # half a character, or a number of more than 64 bits: a log line must not stop its writer
        return json.dumps(event, default=repr)


def configure_logging(*, stream: TextIO | None = None, keep_loggers: bool = True) -> None:
    """Set up logging of this process by LOG_LEVEL and LOG_FORMAT; to standard output unless told otherwise.

    `keep_loggers`: a logger that was used keeps what it was made with, which is faster.
    """
    settings = get_settings()
    stream = stream or sys.stdout
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())
    renderer: Any = structlog.processors.JSONRenderer(serializer=_to_json)
    if not as_json:
        renderer = structlog.dev.ConsoleRenderer(colors=stream.isatty())
    _out.stream = stream
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            count_event,
            _drop_below(_LEVELS[settings.log_level]),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Locals are never shown: they hold keys and prompts.
            structlog.processors.ExceptionRenderer(),
            _redact_event,
            _note_tail,
            renderer,
        ],
        # What is not written is still counted.
        wrapper_class=structlog.make_filtering_bound_logger(min(_LEVELS[settings.log_level], _LEVELS["info"])),
        logger_factory=lambda *_arguments: _out,
        cache_logger_on_first_use=keep_loggers,
    )
    _take_over_library_logs(renderer)


def _drop_below(least: int) -> Any:
    """A processor that lets only what is important enough go on."""

    def drop(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if _LEVELS.get("error" if method == "exception" else method, least) < least:
            raise structlog.DropEvent
        return event

    return drop


def _take_over_library_logs(renderer: Any) -> None:
    """What libraries log goes the same way: redacted, and in the same form."""
    handler = logging.StreamHandler(_out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_logger_name,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(),
                _redact_event,
                renderer,
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
