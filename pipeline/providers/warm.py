"""A neural voice in a warm child: loaded once, asked for one text at a time, gone after a while of silence."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import process
from errors import BadReply
from pipeline.providers.base import Check
from pipeline.providers.speech import refuse
from settings import ROOT

# How a child ends whose voice cannot be loaded: speech_child.UNLOADABLE, which cannot be imported here without numpy.
UNLOADABLE = 3


class WarmVoice:
    """The child of one voice; any number of threads may ask, one is served at a time."""

    def __init__(self, provider: str, *, memory_mb: int, idle_seconds: float) -> None:
        """The child ends after `idle_seconds` of silence; `provider` is the name that errors carry."""
        self._provider, self._memory_mb, self._idle_seconds = provider, memory_mb, idle_seconds
        self._child: process.Child | None = None
        self._lock = threading.Lock()

    def ask(
        self, argv: Callable[[], Sequence[str]], request: dict[str, Any], timeout_seconds: float, check: Check
    ) -> list[tuple[int, int]]:
        """The times of the request's tokens in samples; `argv` gives the child's module and arguments when it starts."""
        child = self._warm(argv)
        was_warm = child.alive
        line = json.dumps(request).encode()
        try:
            answer = child.request(line, timeout_seconds, check)
        except process.ChildFailed as failure:
            if not was_warm or failure.returncode >= 0:
                raise
            # It was being killed while it had nothing to do: that is no failure of this text.
            answer = child.request(line, timeout_seconds, check)
        reply = json.loads(answer)
        refuse(self._provider, reply)
        if len(reply["times"]) != len(request["tokens"]):
            raise BadReply(f"{self._provider} timed {len(reply['times'])} words of {len(request['tokens'])}")
        return [(start, end) for start, end in reply["times"]]

    def close(self) -> None:
        """End the child; the next question starts another."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def _warm(self, argv: Callable[[], Sequence[str]]) -> process.Child:
        with self._lock:
            if self._child is None:
                self._child = process.Child(
                    [sys.executable, "-m", *argv()],
                    cwd=ROOT,
                    limits=process.Limits(memory_mb=self._memory_mb),
                    idle_seconds=self._idle_seconds,
                )
            return self._child
