"""The Lua scripts as a test wants them: under a clock that stands until it is moved, or with a mistake in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from redis_client.scripts import LUA, Script, load_script

# Long past any real token, so that one that was made by the real clock would be seen at once.
FIRST_US = 1_900_000_000_000_000


@dataclass
class Clock:
    """The time of Redis, and of SQLite where a test wants that: it moves when it is told to."""

    us: int = FIRST_US

    @property
    def ms(self) -> int:
        return self.us // 1000

    @property
    def seconds(self) -> float:
        return self.us / 1e6

    def advance(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)


@dataclass(frozen=True)
class Edit:
    """One place of a Lua file, and what stands there instead; `old` occurs in it exactly once."""

    file: str
    old: str
    new: str


# The only place where a script asks for the time: it comes as one argument more.
OWN_CLOCK = Edit(
    "shared/common.lua",
    """    local time = redis.call('TIME')
    clock_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
""",
    "    clock_us = tonumber(ARGV[#ARGV])\n",
)


@dataclass(frozen=True)
class Clocked(Script):
    """A script that is told the time."""

    clock: Clock

    def arrange(self, values: dict[str, Any]) -> list[Any]:
        return [*super().arrange(values), self.clock.us]


def edited(script: Script, edits: Iterable[Edit]) -> Script:
    """The script with these edits in the files it is made of."""
    source, texts = script.source, dict[str, str]()
    for edit in edits:
        before = texts.get(edit.file) or (LUA / edit.file).read_text()
        assert before.count(edit.old) == 1, f"lua/{edit.file} has changed: look again at {edit.old!r}"
        texts[edit.file] = before.replace(edit.old, edit.new)
    for file, changed in texts.items():
        source = source.replace((LUA / file).read_text(), changed)
    return replace(script, source=source, sha=hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def use_scripts(patch: pytest.MonkeyPatch, *edits: Edit, clock: Clock | None = None) -> None:
    """From now on this process runs the scripts with these edits, and by this clock."""
    real = load_script
    every = (*edits, OWN_CLOCK) if clock else edits

    @cache
    def load(name: str) -> Script:
        made = edited(real(name), every)
        return Clocked(made.name, made.source, made.sha, made.arguments, clock) if clock else made

    patch.setattr("redis_client.scripts.load_script", load)
    patch.setattr("redis_client.queue.load_script", load)
