"""The embedded Redis, proved with real servers, real keepers and real kills."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import embedded
from embedded import server
from embedded.__main__ import status, stop_command
from embedded.locks import KEEPER, SERVER, try_lock
from embedded.wire import SOCKET, Connection
from errors import HostTrouble

ROOT = Path(embedded.__file__).resolve().parents[1]
USER = """
import sys
from pathlib import Path
import embedded
held = embedded.lease(Path(sys.argv[1]), grace_seconds=float(sys.argv[2]))
print(held.socket_path, flush=True)
for line in sys.stdin:
    print(embedded.ensure(Path(sys.argv[1]), grace_seconds=float(sys.argv[2])).socket_path, flush=True)
"""
LONG_GRACE = 60.0
SYSTEMD = ("INVOCATION_ID", "NOTIFY_SOCKET", "SYSTEMD_EXEC_PID")


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a state; the deadline is for a broken program, not for a slow one."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited state never came"
        time.sleep(0.01)


class House:
    """One STATE_DIR with its users, seen from outside."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.base = state_dir / "redis"
        self.users: list[subprocess.Popen[str]] = []

    def begin_user(self, grace_seconds: float = LONG_GRACE, **env: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", USER, str(self.state_dir), str(grace_seconds)]
        environment = {name: value for name, value in os.environ.items() if name not in SYSTEMD} | env
        user = subprocess.Popen(
            argv,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.users.append(user)
        return user

    def user(self, grace_seconds: float = LONG_GRACE, **env: str) -> subprocess.Popen[str]:
        """A process that has its lease."""
        user = self.begin_user(grace_seconds, **env)
        self.hear(user)
        return user

    def hear(self, user: subprocess.Popen[str]) -> str:
        assert user.stdout is not None
        line = user.stdout.readline().strip()
        if not line:
            pytest.fail(f"the user ended: {user.stderr.read() if user.stderr else ''}")
        return line

    def leave(self, user: subprocess.Popen[str]) -> None:
        user.communicate(timeout=20)

    def ask(self, *words: str) -> object:
        folder = os.open(self.base, os.O_RDONLY)
        try:
            with Connection(folder) as connection:
                return connection.ask(*words)
        finally:
            os.close(folder)

    def server_info(self, name: str) -> str:
        lines = str(self.ask("INFO")).splitlines()
        return next(line.split(":", 1)[1] for line in lines if line.startswith(f"{name}:"))

    def kill_server(self) -> None:
        os.kill(int(self.server_info("process_id")), signal.SIGKILL)
        until(lambda: self.is_free(SERVER))

    def is_free(self, lock: str) -> bool:
        """Whether nobody holds a lock of this house."""
        folder = os.open(self.base, os.O_RDONLY)
        try:
            descriptor = try_lock(folder, lock)
            if descriptor is not None:
                os.close(descriptor)
            return descriptor is not None
        finally:
            os.close(folder)

    def keepers(self) -> list[int]:
        """The processes that work in this house's folder as keepers."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                is_keeper = entry.name.isdigit() and b"\0keeper\0" in (entry / "cmdline").read_bytes()
                if is_keeper and (entry / "cwd").readlink() == self.base:
                    found.append(int(entry.name))
        return found

    def clear(self) -> None:
        for user in self.users:
            user.kill()
            user.communicate()
        embedded.release(self.state_dir)
        if self.base.exists():
            stop_command(self.base, force=True)
            until(lambda: self.is_free(KEEPER))


@pytest.fixture(autouse=True)
def _not_under_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SYSTEMD:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "state")
    yield house
    house.clear()


def test_starters_at_the_same_instant_get_one_server_and_one_keeper(house: House) -> None:
    users = [house.begin_user() for _ in range(4)]
    assert {house.hear(user) for user in users} == {str(house.base / SOCKET)}
    log = (house.base / server.LOG).read_text()
    assert log.lower().count("ready to accept connections") == 1
    until(lambda: len(house.keepers()) >= 1)
    assert len(house.keepers()) == 1
    assert not house.is_free(SERVER)


def test_a_killed_server_is_started_again_and_knows_what_it_was_told(house: House) -> None:
    user = house.user()
    house.ask("SET", "key", "kept")
    before = house.server_info("run_id")
    # everysec: what is on disk survives; wait for the write and its fsync rather than for 1.2 seconds
    until(lambda: house.server_info("aof_pending_bio_fsync") == "0" and house.server_info("aof_buffer_length") == "0")
    house.kill_server()
    assert (house.base / SOCKET).exists()  # a stale socket file is what a killed server leaves
    assert user.stdin is not None
    user.stdin.write("again\n")
    user.stdin.flush()
    house.hear(user)
    assert house.server_info("run_id") != before
    assert house.ask("GET", "key") == "kept"
    until(lambda: len(house.keepers()) == 1)


def test_the_server_stops_after_its_last_user_and_a_later_start_finds_the_data(house: House) -> None:
    first, second = house.user(0.4), house.user(0.4)
    house.ask("SET", "key", "kept")
    server = house.server_info("run_id")
    house.leave(first)
    house.leave(second)
    until(lambda: house.is_free(SERVER) and house.is_free(KEEPER))
    assert not (house.base / SOCKET).exists()
    house.user()
    assert house.server_info("run_id") != server
    assert house.ask("GET", "key") == "kept"


def test_the_grace_begins_when_the_last_user_leaves(house: House) -> None:
    grace_seconds = 0.8
    embedded.lease(house.state_dir, grace_seconds=grace_seconds)
    begun = time.monotonic()
    until(lambda: house.keepers() and time.monotonic() - begun > 1.5 * grace_seconds)
    left = time.monotonic()
    embedded.release(house.state_dir)
    until(lambda: house.is_free(SERVER))
    # The keeper looks four times a grace: it may have last seen the user a quarter before it left.
    assert time.monotonic() - left > 0.6 * grace_seconds


def test_the_server_stays_while_one_user_is_left(house: House) -> None:
    house.user(0.2)
    run_id = house.server_info("run_id")
    for _ in range(3):
        house.leave(house.user(0.2))
    # Three users have come and gone, each taking longer than the grace.
    assert house.server_info("run_id") == run_id


def test_killing_a_user_does_not_touch_the_server(house: House) -> None:
    starter, other = house.user(), house.user()
    run_id = house.server_info("run_id")
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    assert house.server_info("run_id") == run_id
    pid = int(house.server_info("process_id"))
    assert os.getsid(pid) == pid != os.getsid(0), "a session of its own keeps Ctrl-C away"
    assert os.getsid(house.keepers()[0]) != os.getsid(0)
    assert other.poll() is None


def test_a_dead_keeper_is_replaced_by_the_next_lease(house: House) -> None:
    user = house.user(0.4)
    until(house.keepers)
    os.kill(house.keepers()[0], signal.SIGKILL)
    until(lambda: house.is_free(KEEPER))
    other = house.user(0.4)
    until(lambda: len(house.keepers()) == 1)
    house.leave(user)
    house.leave(other)
    until(lambda: house.is_free(SERVER))


def test_the_keeper_follows_a_server_that_was_started_again(house: House) -> None:
    embedded.lease(house.state_dir, grace_seconds=0.4)
    until(house.keepers)
    house.kill_server()
    embedded.ensure(house.state_dir, grace_seconds=0.4)
    embedded.release(house.state_dir)
    until(lambda: house.is_free(SERVER) and house.is_free(KEEPER))


def test_the_server_of_a_deleted_state_folder_still_ends(house: House) -> None:
    held = embedded.lease(house.state_dir, grace_seconds=0.4)
    pid = int(house.server_info("process_id"))
    until(lambda: int(house.server_info("connected_clients")) == 2)  # the keeper's, and the one that asks
    shutil.rmtree(house.state_dir)
    again = embedded.ensure(house.state_dir, grace_seconds=LONG_GRACE)
    assert again == held  # the same path, a new server
    assert int(house.server_info("process_id")) != pid
    until(lambda: not runs(pid))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_very_long_state_folder_works(tmp_path: Path) -> None:
    house = House(tmp_path / ("a b'" * 30) / ("d" * 120))
    try:
        held = embedded.lease(house.state_dir)
        assert len(str(house.base)) > 240
        assert len(held.socket_path) < 108
        embedded.ensure(house.state_dir)
        assert embedded.lease(house.state_dir).socket_path == held.socket_path
        said = subprocess.run(
            [sys.executable, "-m", "embedded", "cli", "PING"],
            cwd=ROOT,
            env=os.environ | {"STATE_DIR": str(house.state_dir), "REDIS_URL": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout == "PONG\n"
    finally:
        house.clear()


def test_data_of_a_newer_redis_is_refused_and_left_alone(house: House) -> None:
    newer = house.base / "99.1" / "appendonlydir"
    newer.mkdir(parents=True)
    (newer / "appendonly.aof.1.incr.aof").write_text("data")
    with pytest.raises(HostTrouble, match=r"99\.1, and this environment has Redis \d"):
        embedded.lease(house.state_dir)
    assert [path.name for path in house.base.iterdir() if path.is_dir()] == ["99.1"]
    (newer / "appendonly.aof.1.incr.aof").write_text("")  # an empty one holds nothing that could be lost
    assert embedded.lease(house.state_dir).version.startswith(embedded.lease(house.state_dir).data_dir.name)


def test_it_needs_nothing_on_the_path(house: House) -> None:
    house.user(PATH="/nonexistent")
    assert house.ask("PING") == "PONG"


def test_the_folder_and_its_files_are_the_owners_alone(house: House) -> None:
    house.base.mkdir(parents=True, mode=0o755)
    embedded.lease(house.state_dir)
    assert house.base.stat().st_mode & 0o777 == 0o700
    assert (house.base / SOCKET).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "variables", [{"NOTIFY_SOCKET": "/run/x"}, {"INVOCATION_ID": "x", "SYSTEMD_EXEC_PID": str(os.getpid())}]
)
def test_a_systemd_unit_is_told_to_set_redis_url(
    house: House, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(HostTrouble, match="REDIS_URL"):
        embedded.lease(house.state_dir)
    assert not house.base.exists()


def test_a_shell_inside_a_desktops_unit_is_not_a_unit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOCATION_ID", "the terminal's")
    monkeypatch.setenv("SYSTEMD_EXEC_PID", "1")
    assert embedded.lease(house.state_dir).version


def test_a_server_that_cannot_start_says_why_and_where(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(server.SERVER_OPTIONS, "--appendfsync", "sometimes")
    with pytest.raises(HostTrouble, match=rf"ended at its start.*{server.LOG}"):
        embedded.lease(house.state_dir)
    assert house.is_free(SERVER)


def test_a_server_that_never_answers_is_reported_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "START_SECONDS", 0.3)
    house.base.mkdir(parents=True)
    folder = os.open(house.base, os.O_RDONLY)
    held = try_lock(folder, SERVER)  # alive by its lock, and silent
    assert held is not None
    with pytest.raises(HostTrouble, match=rf"did not answer.*{server.LOG}"):
        embedded.lease(house.state_dir)
    os.close(held)
    os.close(folder)


def test_an_unwritable_state_folder_is_host_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostTrouble, match="cannot use"):
        embedded.lease(tmp_path / "file")


def test_stop_spares_a_server_in_use(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    user = house.user()
    assert stop_command(house.base, force=False) == 1
    assert house.ask("PING") == "PONG"
    house.leave(user)
    assert stop_command(house.base, force=False) == 0
    assert house.is_free(SERVER)
    assert status(house.base) == 3


def test_importing_it_brings_no_heavy_library() -> None:
    code = "import sys, embedded; print([n for n in ('pydantic', 'redis', 'settings', 'asyncio') if n in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
