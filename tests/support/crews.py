"""Short words for tests with real workers: jobs of `selftest`, what SQL says of them, and servers that go away."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import func, select

from database.tables import Event, Job, Stage
from embedded.programs import find_program
from redis_client.client import RedisClient
from states import ENDED
from tests.support.agree import disagreements
from tests.support.servers import answers
from tests.support.workers import PATIENCE_SECONDS, WorkerProcess, wait_for

MAIN, SECOND = "video_generation_queue", "selftest-queue"
StartWorker = Callable[..., WorkerProcess]
Setting = Callable[[str, object], None]
# A lease that runs out while the test looks; only for tests that kill a worker.
SHORT_LEASE = {"LEASE_SECONDS": "2", "BEAT_SECONDS": "0.5", "SWEEP_SECONDS": "0.3"}


def enqueue(client: RedisClient, job_id: str, *, priority: str = "normal", delay: float = 0, **payload: Any) -> str:
    """A job of `selftest`."""
    assert client.enqueue_job(job_id, payload, pipeline="selftest", priority=priority, delay=delay)
    return job_id


def enqueue_many(client: RedisClient, count: int, *, prefix: str = "job", **payload: Any) -> list[str]:
    """Many jobs of `selftest`, in one commit."""
    ids = [f"{prefix}-{number:03}" for number in range(count)]
    assert client.enqueue_many(client.prepare(one, payload, pipeline="selftest") for one in ids) == count
    return ids


def row(client: RedisClient, job_id: str) -> dict[str, Any]:
    """What SQL says of a job."""
    with client.database.read() as connection:
        return dict(connection.execute(select(*Job.__table__.columns).where(Job.id == job_id)).mappings().one())


def wait_for_status(
    client: RedisClient, job_id: str, *wanted: str, deadline: float = PATIENCE_SECONDS
) -> dict[str, Any]:
    """Wait until SQL says one of these states; the row."""
    wait_for(
        lambda: row(client, job_id)["status"] in wanted,
        deadline,
        what=lambda: f"{job_id} {' or '.join(wanted)} (it is {row(client, job_id)})",
    )
    return row(client, job_id)


def wait_for_all(client: RedisClient, status: str, deadline: float = 60.0) -> None:
    """Wait until every job has this status."""
    wait_for(
        lambda: set(statuses(client)) == {status}, deadline, what=lambda: f"only {status} jobs (now {statuses(client)})"
    )


def statuses(client: RedisClient) -> dict[str, int]:
    """How many jobs have each status."""
    query = select(Job.status, func.count()).group_by(Job.status)
    with client.database.read() as connection:
        return {one[0]: one[1] for one in connection.execute(query)}


def executions(client: RedisClient, job_id: str | None = None) -> dict[str, int]:
    """How often the work of each stage and item was done: `step_1` or `step_1/3` -> times."""
    query = select(Stage.job_id, Stage.stage, Stage.item, Stage.executions)
    if job_id is not None:
        query = query.where(Stage.job_id == job_id)
    with client.database.read() as connection:
        return {
            ("" if job_id else f"{job}/") + (f"{stage}/{item}" if item else stage): times
            for job, stage, item, times in connection.execute(query)
        }


def events(client: RedisClient, job_id: str, kind: str) -> list[dict[str, Any]]:
    """The events of one kind of a job, oldest first."""
    return [one for one in client.get_job(job_id)["events"] if one["kind"] == kind]


def begins(client: RedisClient) -> dict[str, int]:
    """How often each job was begun."""
    query = select(Event.job_id, func.count()).where(Event.kind == "processing").group_by(Event.job_id)
    with client.database.read() as connection:
        return {one[0]: one[1] for one in connection.execute(query)}


def wait_for_agreement(client: RedisClient, *, workers: int | None = None) -> None:
    """Wait until SQL and Redis agree: a job's last move in Redis follows its commit in SQL."""
    wait_for(
        lambda: not disagreements(client, workers=workers),
        what=lambda: "\n".join(["agreement", *disagreements(client, workers=workers)]),
    )


def assert_completed_once(client: RedisClient, *, crashes: int = 0) -> None:
    """Every job is completed, burnt no attempt, and did each stage and item once."""
    columns = (Job.id, Job.status, Job.attempt, Job.in_flight, Job.crashes)
    with client.database.read() as connection:
        rows = connection.execute(select(*columns)).all()
    wrong = [tuple(one) for one in rows if tuple(one)[1:] != ("completed", 0, False, crashes)]
    assert not wrong, wrong
    again = {name: times for name, times in executions(client).items() if times != 1}
    assert not again, again
    query = select(Event.job_id, func.count()).where(Event.status.in_(ENDED)).group_by(Event.job_id)
    with client.database.read() as connection:
        ends = {one[0]: one[1] for one in connection.execute(query)}
    assert ends == {one.id: 1 for one in rows}


class RedisServer:
    """A redis-server of a test's own, with an append-only file, that may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "s")
        self.url = f"unix://{self.socket}"
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        program = find_program("redis-server")
        assert program is not None
        argv = [program, "--port", "0", "--unixsocket", self.socket, "--dir", str(self.folder), "--save", ""]
        argv += ["--appendonly", "yes", "--maxmemory-policy", "noeviction"]
        with (self.folder / "log").open("ab") as out:
            self._server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        with redis.Redis(unix_socket_path=self.socket) as probe:
            wait_for(lambda: answers(probe), what=lambda: f"redis-server: {(self.folder / 'log').read_text()}")

    def kill(self) -> None:
        assert self._server is not None
        with suppress(ProcessLookupError):
            os.kill(self._server.pid, signal.SIGCONT)
        self._server.kill()
        self._server.wait()


@contextmanager
def mortal_redis() -> Iterator[RedisServer]:
    """A running RedisServer."""
    with tempfile.TemporaryDirectory(prefix="sc-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


def family(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(entry.name))
    return found


def hold(seconds: float) -> None:
    """Let an outage last; what is waited for is that time passes."""
    time.sleep(seconds)
