"""`python -m embedded start | status | stop [--force] | cli [WORD ...]`."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from embedded.keeper import stop
from embedded.locks import START, USERS, holding, is_unused, open_lock
from embedded.programs import find_program, major_minor
from embedded.server import GRACE_SECONDS, base_of, lease, leave_to_exec, redis_cli_argv
from embedded.wire import SOCKET, Connection, running_version
from errors import HostTrouble

USAGE_EXIT, NOT_RUNNING_EXIT = 2, 3


def main(argv: list[str]) -> int:
    """`python -m embedded start | status | stop [--force] | cli [WORD ...]`; the exit code."""
    match argv:
        case ["start"]:
            held = lease()
            print(f"Redis {held.version} on {base_of(None) / SOCKET}, until {GRACE_SECONDS:g} s after its last user")
        case ["status"]:
            return status(base_of(None))
        case ["stop", *rest] if rest in ([], ["--force"]):
            return stop_command(base_of(None), force=bool(rest))
        case ["cli", *words]:
            return _prompt(words)
        case _:
            print(main.__doc__, file=sys.stderr)
            return USAGE_EXIT
    return 0


def status(base: Path) -> int:
    """Say whether the server runs; 0 when it does, 3 otherwise, as init scripts answer."""
    try:
        folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        folder = -1
    version = running_version(folder) if folder >= 0 else None
    if version is None:
        print(f"not running ({base})")
        return NOT_RUNNING_EXIT
    used = "has no user now" if is_unused(open_lock(folder, USERS)) else "in use"
    print(f"Redis {version} on {base / SOCKET}, {used}; data in {base / major_minor(version)}")
    return 0


def stop_command(base: Path, *, force: bool) -> int:
    """Stop the server; 1 when somebody uses it and nobody said --force."""
    try:
        folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return 0
    with holding(open_lock(folder, START)):
        if not force and not is_unused(open_lock(folder, USERS)):
            print("the embedded Redis is in use: stop its users, or say --force", file=sys.stderr)
            return 1
        with suppress(ConnectionError, FileNotFoundError), Connection(folder) as connection:
            stop(folder, connection)
    return 0


def _prompt(words: list[str]) -> int:
    """Become redis-cli, or a plain prompt where the wheel brings none."""
    from settings import get_settings

    if get_settings().redis_url is not None:
        print("REDIS_URL is set, so the embedded Redis is not in use: redis-cli -u <that URL>", file=sys.stderr)
        return USAGE_EXIT
    lease()
    folder = leave_to_exec()
    if find_program("redis-cli") is not None:
        command = redis_cli_argv()
        os.execv(command[0], [*command, *words])  # noqa: S606  takes this process's place
    with Connection(folder) as connection:
        _converse(connection, words)
    return 0


def _converse(connection: Connection, words: list[str]) -> None:
    if words:
        print(connection.ask(*words))
        return
    print("a plain prompt (no redis-cli here); Ctrl-D leaves", file=sys.stderr)
    for line in sys.stdin:
        if asked := shlex.split(line):
            print(connection.ask(*asked))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except HostTrouble as trouble:
        print(trouble, file=sys.stderr)
        sys.exit(75)
