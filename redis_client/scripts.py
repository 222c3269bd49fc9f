"""The Lua files as functions: called by keyword, checked against the header of each file."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from settings import ROOT

LUA = ROOT / "lua"
SHARED = LUA / "shared"
_HEADER = re.compile(r"^-- (INCLUDE|KEYS|ARGV|RETURNS):\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua file: its whole source with what it includes, its sha1, and the names of its arguments."""

    name: str
    source: str
    sha: str
    arguments: tuple[str, ...]

    def arrange(self, values: dict[str, Any]) -> list[Any]:
        """The values in the order of the header; a missing or unknown name is a mistake of ours."""
        if values.keys() != set(self.arguments):
            wrong = sorted(set(values) ^ set(self.arguments))
            raise TypeError(f"lua/{self.name}.lua takes {', '.join(self.arguments)}; check {', '.join(wrong)}")
        return [values[name] for name in self.arguments]


def read_header(path: Path) -> dict[str, tuple[str, ...]]:
    """INCLUDE, KEYS, ARGV and RETURNS of a Lua file, as names."""
    header = {}
    for line in path.read_text().splitlines():
        if not line.startswith("--"):
            break
        if found := _HEADER.match(line):
            header[found[1]] = tuple(part.strip() for part in found[2].split(",") if part.strip())
    return header


@cache
def load_script(name: str) -> Script:
    """Read a Lua file with its includes."""
    path = LUA / f"{name}.lua"
    header = read_header(path)
    parts = [(SHARED / f"{part}.lua").read_text() for part in header.get("INCLUDE", ())]
    source = "\n".join([*parts, path.read_text()])
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), header["ARGV"])


def call_script(client: Any, name: str, prefix: str, **values: Any) -> Any:
    """Run a script once; a server that does not know it yet is taught and asked again (it ran nothing)."""
    script = load_script(name)
    arguments = script.arrange(values)
    try:
        return client.evalsha(script.sha, 1, prefix, *arguments)
    except NoScriptError:
        return client.eval(script.source, 1, prefix, *arguments)


def add_script(pipe: Any, name: str, prefix: str, **values: Any) -> None:
    """Put a script into a transaction: by its source, for there it is too late to learn that the server does not know it."""
    script = load_script(name)
    pipe.eval(script.source, 1, prefix, *script.arrange(values))
