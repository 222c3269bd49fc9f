"""`run`: one program, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from errors import TimedOut
from process.launcher import Limits
from process.running import LINE_BYTES, STDOUT_BYTES, Data, Running

Write = Callable[[Data], None]


@dataclass(frozen=True)
class Completed:
    """A child that ended with exit code 0."""

    returncode: int
    stdout: bytes  # the last `stdout_cap` bytes
    stdout_truncated: bool
    stderr_tail: str  # the last 8 KiB
    cpu_seconds: float  # user and system time, also of what the child waited for
    peak_memory_mb: float  # sampled a few times a second: a floor, 0.0 for a child that was gone at once


class _Capture:
    """Keeps the end of what a child says, and hands it on line by line."""

    def __init__(self, cap: int, on_line: Callable[[str], None] | None) -> None:
        self._cap = cap
        self._on_line = on_line
        self._kept = bytearray()
        self._line = bytearray()
        self.truncated = False

    def __call__(self, data: bytes) -> None:
        """Take what the child has just said."""
        self._kept += data
        if len(self._kept) > 2 * self._cap:  # cut rarely: each cut moves what stays
            self._cut()
        if self._on_line is not None:
            *ended, rest = data.split(b"\n")
            for part in ended:
                self._add(part)
                self._end_line()
            self._add(rest)

    def _add(self, part: bytes) -> None:
        self._line += part[: LINE_BYTES - len(self._line)]

    def _end_line(self) -> None:
        line = self._line.decode(errors="replace").removesuffix("\r")
        self._line.clear()
        if self._on_line is not None:
            self._on_line(line)

    def finish(self) -> bytes:
        """The end of everything it said."""
        if self._line:
            self._end_line()
        self._cut()
        return bytes(self._kept)

    def _cut(self) -> None:
        if len(self._kept) > self._cap:
            self.truncated = True
            del self._kept[: len(self._kept) - self._cap]


def run(
    argv: Sequence[str],
    *,
    timeout_seconds: float,
    stall_seconds: float | None = None,
    stdin: bytes | None = None,
    feed: Callable[[Write], None] | None = None,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    check: Callable[[], None] | None = None,
    limits: Limits | None = None,
    stdout_cap: int = STDOUT_BYTES,
) -> Completed:
    """Run a program to its end and return what it said.

    `feed(write)` produces the child's input piece by piece (or `stdin` gives all of it), `on_line` gets each line of
    its output without the line's end, and `check()` is asked a few times a second and may raise to leave; all three
    run in the calling thread. `env` is added to this process's environment without its secrets.

    Raises TimedOut after `timeout_seconds`, or after `stall_seconds` without output (or accepted input); ChildFailed
    for any exit code but 0; HostTrouble when the program is missing; Interrupted when `kill_tag` or `kill_children`
    ended it; and whatever `check`, `feed` or `on_line` raise. In every case the child's whole group is gone before
    this returns: at once after TimedOut, otherwise with TERM and KILL 3 seconds later.
    """
    if stdin is not None:
        assert feed is None, "give stdin or feed, not both"
        feed = _feeder(stdin)
    child = Running(argv, cwd=cwd, env=env, limits=limits, talks=feed is not None)
    try:
        child.guard(timeout_seconds=timeout_seconds, stall_seconds=stall_seconds, check=check)
        child.on_output = capture = _Capture(stdout_cap, on_line)
        if feed is not None:
            _feed(child, feed)
        while not child.group.exited():
            child.step()
            child.tick()
        returncode, cpu_seconds = child.collect()
    except BaseException as error:
        child.end(at_once=isinstance(error, TimedOut))
        raise
    stdout = capture.finish()
    if returncode != 0:
        raise child.failure(returncode)
    stderr_tail = child.stderr.decode(errors="replace")
    return Completed(returncode, stdout, capture.truncated, stderr_tail, cpu_seconds, child.peak_memory_mb)


def _feed(child: Running, feed: Callable[[Write], None]) -> None:
    """Let `feed` write; a child that stops reading is judged by its exit code, not by our broken pipe."""
    child.widen_input()
    try:
        feed(child.write)
    except BrokenPipeError:
        if not child.input_refused:
            raise
    child.close_input()


def _feeder(data: bytes) -> Callable[[Write], None]:
    return lambda write: write(data)
