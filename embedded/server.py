"""The users' side: the server of a STATE_DIR, started when there is none, and this process's place among its users."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embedded.host import note_host, refuse_other_host
from embedded.locks import KEEPER, POLL_SECONDS, SERVER, START, USERS, holding, open_lock, try_lock
from embedded.programs import find_program, major_minor, program_version, refuse_newer_data
from embedded.wire import SOCKET, SOCKET_PATH_BYTES, running_version, through
from errors import HostTrouble

GRACE_SECONDS = 60.0  # how long the server stays after its last user
START_SECONDS = 30.0
LOG = "redis.log"
# -S, and the standard library alone: it should be small beside the server. -I keeps its folder off the import path.
KEEPER_CODE = "import sys; sys.path.insert(0, sys.argv[1]); from embedded.keeper import keep; keep(float(sys.argv[3]), int(sys.argv[4]))"

# Relative paths, and started inside the data folder: neither a long STATE_DIR nor odd letters in it can hurt.
SERVER_OPTIONS = {
    "--dir": ".",
    "--unixsocket": f"../{SOCKET}",
    "--unixsocketperm": "700",
    "--port": "0",
    "--logfile": f"../{LOG}",
    "--daemonize": "no",
    "--appendonly": "yes",
    "--appendfsync": "everysec",
    "--save": "",
    "--maxmemory-policy": "noeviction",
}


@dataclass(frozen=True)
class Embedded:
    """A running embedded server. `socket_path` stays good for the life of this process (and only in it)."""

    socket_path: str
    data_dir: Path
    version: str
    log_file: Path


@dataclass
class _Lease:
    """What this process holds open: the folder, and its shared lock on the users."""

    folder: int
    users: int
    embedded: Embedded


_leases: dict[Path, _Lease] = {}
_lock = threading.Lock()
_started: list[subprocess.Popen[bytes]] = []


def lease(state_dir: Path | None = None, *, grace_seconds: float = GRACE_SECONDS) -> Embedded:
    """The running server of this STATE_DIR; started at the first call, which makes this process a user until it ends.

    Later calls answer from memory, at no cost: after a broken connection call `ensure`. Raises HostTrouble with one
    sentence when there can be no server.
    """
    held = _leases.get(base_of(state_dir))
    return held.embedded if held else ensure(state_dir, grace_seconds=grace_seconds)


def ensure(state_dir: Path | None = None, *, grace_seconds: float = GRACE_SECONDS) -> Embedded:
    """Like `lease`, but asks the server, and starts it again when it is gone. `socket_path` does not change."""
    base = base_of(state_dir)
    _refuse_under_systemd()
    try:
        with _lock:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            return _ensure(base, grace_seconds)
    except OSError as error:
        raise HostTrouble(f"the embedded Redis cannot use {base}: {error.strerror or error}") from error


def release(state_dir: Path | None = None) -> None:
    """Stop being a user before the end of this process; the server follows when nobody else is one."""
    with _lock:
        held = _leases.pop(base_of(state_dir), None)
        if held:
            os.close(held.users)
            os.close(held.folder)


def leave_to_exec(state_dir: Path | None = None) -> int:
    """Let the program that takes this process's place (exec) go on as a user; the open folder of the lease."""
    held = _leases[base_of(state_dir)]
    os.set_inheritable(held.users, True)
    os.set_inheritable(held.folder, True)
    return held.folder


def redis_cli_argv(state_dir: Path | None = None) -> list[str]:
    """The command that opens a prompt on the embedded server, to be run in this process's place (exec)."""
    program = find_program("redis-cli")
    if program is None:
        raise HostTrouble("there is no redis-cli: the installed Redis wheel has none, and neither has PATH")
    return [program, "-s", lease(state_dir).socket_path]


def base_of(state_dir: Path | None) -> Path:
    """The folder of everything the embedded Redis of this STATE_DIR keeps."""
    if state_dir is None:
        from settings import get_settings

        state_dir = get_settings().state_dir
    return Path(os.path.abspath(state_dir)) / "redis"  # noqa: PTH100  resolve() would follow links


def _refuse_under_systemd() -> None:
    """A unit's processes end with it, so a server started there would be killed under other users' hands."""
    from settings import is_systemd_unit

    if is_systemd_unit():
        raise HostTrouble("a systemd service does not start the embedded Redis: set REDIS_URL to a Redis of your own")


def _ensure(base: Path, grace_seconds: float) -> Embedded:
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    opened = [folder]
    try:
        os.fchmod(folder, 0o700)
        start, users = open_lock(folder, START), open_lock(folder, USERS)
        opened += [start, users]
        with holding(start):
            fcntl.flock(users, fcntl.LOCK_SH)
            os.utime(users)  # tells the keeper of a user who came and went between two of its looks
            version = running_version(folder)
            if version is None:
                refuse_other_host(folder)
                version = _start(folder, base)
                note_host(folder)
            _start_keeper(folder, base, grace_seconds)
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    os.close(start)
    return _remember(base, folder, users, version).embedded


def _remember(base: Path, folder: int, users: int, version: str) -> _Lease:
    """Keep the descriptors, under the numbers handed out before: `socket_path` may hold one of them.

    The older ones are replaced and not kept, because they may belong to a folder that somebody deleted.
    """
    old = _leases.get(base)
    if old:
        os.dup2(folder, old.folder, inheritable=False)
        os.dup2(users, old.users, inheritable=False)
        os.close(folder)
        os.close(users)
        folder, users = old.folder, old.users
    path = str(base / SOCKET)
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        path = through(folder)
    embedded = Embedded(path, base / major_minor(version), version, base / LOG)
    _leases[base] = _Lease(folder, users, embedded)
    return _leases[base]


def _start(folder: int, base: Path) -> str:
    """Start the server and wait until it answers; its version. The caller holds the start lock."""
    deadline = time.monotonic() + START_SECONDS
    server: subprocess.Popen[bytes] | None = None
    while time.monotonic() < deadline:
        if server is None:
            server = _spawn_server(folder, base)  # None: an older one is still loading, or not quite dead
        elif server.poll() is not None:
            raise HostTrouble(f"the embedded Redis ended at its start: {_last_words(base)} (see {base / LOG})")
        if version := running_version(folder):
            return version
        time.sleep(POLL_SECONDS)
    raise HostTrouble(f"the embedded Redis did not answer within {START_SECONDS:g} seconds: see {base / LOG}")


def _spawn_server(folder: int, base: Path) -> subprocess.Popen[bytes] | None:
    """Start a server, unless one is alive (holds its lock)."""
    lock = try_lock(folder, SERVER)
    if lock is None:
        return None
    try:
        program = find_program("redis-server")
        if program is None:
            raise HostTrouble("there is no redis-server: install the requirements again, or set REDIS_URL")
        data_dir = base / major_minor(program_version(program))
        refuse_newer_data(base, data_dir.name)
        data_dir.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(SOCKET, dir_fd=folder)
        options = [part for option in SERVER_OPTIONS.items() for part in option]
        return _spawn([program, *options], folder, keep=lock, cwd=data_dir)
    finally:
        os.close(lock)


def _start_keeper(folder: int, base: Path, grace_seconds: float) -> None:
    """Start a keeper unless there is one. It gets the lock from us, so that no second one can come between."""
    lock = try_lock(folder, KEEPER)
    if lock is None:
        return
    try:
        root = str(Path(__file__).absolute().parents[1])
        argv = [sys.executable, "-S", "-I", "-c", KEEPER_CODE, root, "keeper", str(grace_seconds), str(lock)]
        _spawn(argv, folder, keep=lock, cwd=base)
    finally:
        os.close(lock)


def _spawn(argv: list[str], folder: int, *, keep: int, cwd: Path) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one and holds the lock `keep`.

    The one exception to "process.py starts every child": those die with their parent, and that is what the server of
    many processes must not do. A session of its own keeps Ctrl-C away from it.
    """
    from settings import child_environment

    # Redis 7 refuses to start under a locale that is not installed.
    environment = child_environment(LC_ALL="C")
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(keep,),
        )
    finally:
        os.close(log)
    # Kept so that a dead one is collected (poll) by the next start, and not reported as forgotten.
    _started[:] = [other for other in _started if other.poll() is None] + [child]
    return child


def _last_words(base: Path) -> str:
    with suppress(OSError):
        lines = (base / LOG).read_text(errors="replace").splitlines()[-1:]
        return lines[0].strip() if lines else "it said nothing"
    return "it said nothing"
