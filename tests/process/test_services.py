"""The service files, used as they are but for their paths: systemd's verifier reads one, a real supervisord runs the other."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select
from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from database.engine import Database
from database.tables import Job
from redis_client.client import RedisClient
from tests.support.agree import assert_agree
from tests.support.workers import ROOT, WorkerProcess, wait_for

UNIT = ROOT / "systemd" / "video-worker@.service"
CONF = ROOT / "supervisor" / "video-workers.conf"
JOBS = 30
VERIFIER = shutil.which("systemd-analyze", path="/usr/bin:/bin:/usr/local/bin")


def unit() -> dict[str, str]:
    """The [Service] section of the unit; a key that stands twice would be an error."""
    parser = ConfigParser(interpolation=None, comment_prefixes=("#",), delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


def program() -> dict[str, str]:
    """The section of the supervisor file."""
    parser = ConfigParser(interpolation=None)
    parser.read(CONF)
    return dict(parser["program:video-worker"])


# -- systemd -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(VERIFIER is None, reason="this machine has no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    folder = tmp_path / "opt"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)  # the verifier wants to see the program
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/stagecrew", str(folder)))
    said = subprocess.run([str(VERIFIER), "verify", str(copy)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_the_unit_keeps_its_promises() -> None:
    service = unit()
    wanted = {
        "Type": "notify",
        "NotifyAccess": "main",
        "User": "www-data",
        "Restart": "always",
        "RestartSec": "5",
        "TimeoutStopSec": "150",
        "MemoryMax": "1G",
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "StateDirectory": "stagecrew",
        "Environment": "STATE_DIR=/var/lib/stagecrew",
    }
    assert {name: service[name] for name in wanted} == wanted
    assert service["ExecStart"] == "/opt/stagecrew/.venv/bin/python worker.py worker-%i"
    assert {"78", "2"} <= set(service["RestartPreventExitStatus"].split())
    assert "MemoryDenyWriteExecute" not in service


@pytest.mark.parametrize("missing", ["REDIS_URL", "DATABASE_URL"])
def test_the_unit_refuses_to_start_without_its_two_addresses(missing: str) -> None:
    found = re.fullmatch(r"(/bin/sh) (-c) '(.*)'", unit()["ExecStartPre"])
    assert found
    addresses = {"REDIS_URL": "redis:///", "DATABASE_URL": "postgresql:///"}
    complete = subprocess.run(found.groups(), env=addresses, capture_output=True, check=False)
    assert (complete.returncode, complete.stderr) == (0, b"")
    addresses[missing] = ""
    refused = subprocess.run(found.groups(), env=addresses, capture_output=True, text=True, check=False)
    assert refused.returncode == 78
    assert missing in refused.stderr


def test_a_worker_tells_its_unit_that_it_is_ready_alive_and_leaving(
    client: RedisClient, tmp_path_factory: pytest.TempPathFactory, start_worker: Callable[..., WorkerProcess]
) -> None:
    del client
    address = tmp_path_factory.mktemp("n") / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(30)
        heard: list[str] = []

        def hear(word: str) -> None:
            while word not in heard:
                heard.append(manager.recv(4096).decode())

        worker = start_worker("worker-1", NOTIFY_SOCKET=str(address))
        hear("READY=1")
        assert heard == ["READY=1"], "nothing before it can work"
        hear("WATCHDOG=1")
        worker.signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert worker.wait() == 0


def test_a_worker_in_a_unit_without_redis_url_says_what_to_set(start_worker: Callable[..., WorkerProcess]) -> None:
    worker = start_worker("worker-1", NOTIFY_SOCKET="/nonexistent")
    assert worker.wait() == 75
    assert "set REDIS_URL" in worker.events("worker_cannot_start")[0]["error"]


def test_both_managers_wait_longer_than_a_worker_may_need() -> None:
    from settings import Settings

    longest = Settings.model_fields["shutdown_paid_seconds"].default + Settings.model_fields["shutdown_seconds"].default
    assert int(unit()["TimeoutStopSec"]) > longest
    assert int(program()["stopwaitsecs"]) > longest
    assert int(unit()["WatchdogSec"]) >= 2 * Settings.model_fields["lease_seconds"].default


# -- supervisor --------------------------------------------------------------------------------------------------------


class Supervisor:
    """A supervisord with our file included, its paths and its patience changed and nothing else."""

    def __init__(self, folder: Path, state_dir: Path) -> None:
        self.folder = folder
        self.socket = folder / "sock"
        self.output = folder / "supervisord.out"
        (folder / "log").mkdir(parents=True)
        text = CONF.read_text()
        for wanted, here in (
            ("/opt/stagecrew/.venv/bin/python", sys.executable),
            ("/opt/stagecrew", str(ROOT)),
            ("/var/lib/stagecrew", str(state_dir)),
            ("/var/log/stagecrew", str(folder / "log")),
            ("user=www-data\n", ""),
            ("startsecs=10\n", "startsecs=1\n"),
        ):
            assert wanted in text
            text = text.replace(wanted, here)
        (folder / "video-workers.conf").write_text(text)
        (folder / "supervisord.conf").write_text(
            f"[unix_http_server]\nfile={self.socket}\n"
            f"[supervisord]\nnodaemon=true\nlogfile={folder}/supervisord.log\npidfile={folder}/pid\n"
            f"childlogdir={folder}/log\n"
            "[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
            "[include]\nfiles = video-workers.conf\n"
        )

    def begin(self, **env: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.folder / "supervisord.conf")]
        with self.output.open("wb") as out:
            return subprocess.Popen(argv, cwd=self.folder, env=os.environ | env, stdout=out, stderr=out)

    def ask(self, method: str, *words: object) -> object:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        with suppress(OSError):
            # Only the transport's socket is used; the address is what xmlrpc wants to see.
            return getattr(xmlrpc.client.ServerProxy("http://unix", transport).supervisor, method)(*words)
        return None

    def workers(self) -> dict[str, tuple[str, int]]:
        """Each process of the file: its state and its id."""
        found = self.ask("getAllProcessInfo")
        assert found is None or isinstance(found, list)
        return {one["name"]: (one["statename"], one["pid"]) for one in found or []}

    def said(self) -> str:
        logs = [self.output, *sorted((self.folder / "log").iterdir())]
        return "\n".join(path.read_text(errors="replace")[-4000:] for path in logs)


@pytest.fixture
def supervisor(tmp_path_factory: pytest.TempPathFactory, state_dir: Path) -> Supervisor:
    return Supervisor(tmp_path_factory.mktemp("sv"), state_dir)


@pytest.fixture
def running(supervisor: Supervisor, client: RedisClient, state_dir: Path) -> Iterator[Supervisor]:
    """The same, started, on the Redis and the database of `client`."""
    del client
    daemon = supervisor.begin(DATABASE_URL=f"sqlite:///{state_dir / 'stagecrew.db'}")
    try:
        yield supervisor
    finally:
        pids = [pid for _, pid in supervisor.workers().values() if pid]
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def rows(database: Database) -> list[tuple[str, int, int, bool]]:
    with database.read() as connection:
        found = connection.execute(select(Job.status, Job.attempt, Job.crashes, Job.in_flight))
        return [(row.status, row.attempt, row.crashes, row.in_flight) for row in found]


def completed(database: Database) -> int:
    return sum(row[0] == "completed" for row in rows(database))


def test_supervisor_runs_three_workers_and_stopping_them_loses_no_job(
    running: Supervisor, client: RedisClient, sqlite_database: Database, start_worker: Callable[..., WorkerProcess]
) -> None:
    def all_up() -> bool:
        return [state for state, _ in running.workers().values()] == ["RUNNING"] * 3

    wait_for(all_up, what=running.said)
    workers = running.workers()
    assert set(workers) == {"worker-0", "worker-1", "worker-2"}
    jobs = [client.prepare(f"job-{number}", {"seconds": 0.5}, pipeline="selftest") for number in range(JOBS)]
    assert client.enqueue_many(jobs) == JOBS
    wait_for(lambda: completed(sqlite_database) >= 3, what=running.said)

    running.ask("stopAllProcesses")
    assert {state for state, _ in running.workers().values()} == {"STOPPED"}
    assert not [pid for _, pid in workers.values() if Path(f"/proc/{pid}").exists()]
    stopped = rows(sqlite_database)
    assert len(stopped) == JOBS
    assert {row[0] for row in stopped} == {"pending", "completed"}, "they were stopped in the middle of the work"
    assert {row[1:] for row in stopped} == {(0, 0, False)}, "being stopped costs no attempt and is no crash"
    assert_agree(client)
    log = (running.folder / "log" / "video-worker-0.log").read_text()
    assert "worker_shutdown_complete" in log

    last = start_worker("worker-9", "--drain", "--concurrency", "8")
    assert last.wait() == 0, last.text()
    assert rows(sqlite_database) == [("completed", 0, 0, False)] * JOBS
    assert_agree(client)


@pytest.mark.parametrize("missing", ["REDIS_URL", "DATABASE_URL"])
def test_supervisor_refuses_to_start_without_an_address_and_names_it(supervisor: Supervisor, missing: str) -> None:
    addresses = {"REDIS_URL": "redis:///", "DATABASE_URL": "postgresql:///"}
    del addresses[missing]
    assert supervisor.begin(**addresses).wait(30) != 0
    assert f"ENV_{missing}" in supervisor.said()


def test_an_address_with_a_percent_sign_reaches_the_worker_unchanged(
    supervisor: Supervisor, redis_url: str, state_dir: Path
) -> None:
    del redis_url
    database_url = f"sqlite:///{state_dir}/a%20b.db"
    daemon = supervisor.begin(DATABASE_URL=database_url)

    def pids() -> list[int]:
        return [pid for _, pid in supervisor.workers().values() if pid]

    def has_it(pid: int) -> bool:
        parts, given = (Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0") for name in ("cmdline", "environ"))
        return b"worker.py" in parts and f"DATABASE_URL={database_url}".encode() in given

    try:
        # All of them: one that supervisord has forked and that is not yet the worker would lose the signal below.
        wait_for(lambda: len(pids()) == 3 and all(map(has_it, pids())), what=supervisor.said)
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0


def test_the_supervisor_file_keeps_its_promises() -> None:
    section = program()
    wanted = {
        "process_name": "worker-%(process_num)s",
        "numprocs": "3",
        "autostart": "true",
        "autorestart": "true",
        "startsecs": "10",
        "startretries": "3",
        "stopwaitsecs": "150",
        "stopasgroup": "false",
        "killasgroup": "true",
        "redirect_stderr": "true",
    }
    assert {name: section[name] for name in wanted} == wanted
    assert "%(process_num)s" in section["stdout_logfile"]
    assert section["stdout_logfile_maxbytes"] != "0"
