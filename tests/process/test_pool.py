"""The pool of workers: when it grows and shrinks, what it replaces, and that it leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import pool
from api.app import create_app
from database.engine import Database
from pool import Bounds, Load, wanted
from redis_client.client import RedisClient
from redis_client.pools import find_pools
from settings import child_environment
from tests.support.crews import enqueue, enqueue_many, wait_for_all
from tests.support.workers import ROOT, WorkerProcess, wait_for

Start = Callable[..., WorkerProcess]
FEW = Bounds(1, 3)


@pytest.mark.parametrize(
    ("now", "load", "number"),
    [
        (1, Load(0, 0, 0), 1),
        (1, Load(1, 1, 1), 1),
        (1, Load(2, 1, 1), 2),
        (1, Load(1, 1, 31), 2),
        (3, Load(50, 3, 100), 3),
        (3, Load(0, 3, 0), 3),
        (3, Load(0, 2, 0), 2),
        (1, Load(0, 1, 0), 1),
        (0, Load(0, 0, 0), 1),
    ],
)
def test_how_many_workers_are_wanted(now: int, load: Load, number: int) -> None:
    assert wanted(now, load, FEW, slots=1) == number


class Quiet(pool.Pool):
    """A pool whose workers are none."""

    _now = 100.0

    def run_for(self, seconds: int, load: Load) -> int:
        """How many it aims at after so long under this load."""
        for _ in range(seconds):
            self._now += 1.0
            self._scale(load, self._now)
        return self.target


def test_a_pool_may_rest_by_itself_and_by_order() -> None:
    lazy = Quiet(Bounds(0, 4))
    assert lazy.run_for(100, Load(0, 0, 0)) == 0
    assert lazy.run_for(100, Load(50, 0, 60)) == 4
    assert lazy.run_for(600, Load(0, 0, 0)) == 0
    assert lazy.run_for(100, Load(1, 0, 0)) == 1
    told = Quiet(Bounds(2, 4), target=2)
    told._aim(1, 0.0)
    assert told.run_for(100, Load(50, 0, 60)) == 1
    told._aim(2, 0.0)
    assert told.run_for(100, Load(50, 0, 60)) == 4


def test_only_what_its_workers_can_take_counts(client: RedisClient, redis_url: str, sqlite_database: Database) -> None:
    enqueue_many(client, 5)
    main, other = "video_generation_queue", "selftest-queue"
    assert pool._load((main,)).pending == 5
    assert pool._load((other,)).pending == 0
    client.pause(main)
    assert pool._load((main, other)).pending == 0


@pytest.fixture
def start_pool(client: RedisClient, redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """`start_pool("--max", "2")`: a real pool; gone with its workers at the end of the test."""
    started: list[WorkerProcess] = []

    def start(*arguments: str, **env: str) -> WorkerProcess:
        said = tmp_path / f"pool-{len(started)}.log"
        with said.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "pool.py", *arguments],
                cwd=ROOT,
                env=child_environment(REDIS_URL=redis_url, LOG_FORMAT="json", BEAT_SECONDS="0.5", **env),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        started.append(WorkerProcess("pool", process, said))
        return started[-1]

    yield start
    for one in started:
        pids = workers_of(one)
        one.kill()
        for pid in pids:
            wait_for(partial(is_gone, pid), what=f"the end of worker {pid}")


def workers_of(started: WorkerProcess) -> list[int]:
    """The pids of the workers that a pool has and had."""
    return [event["pid"] for event in started.events("worker_begun")]


def is_gone(pid: int) -> bool:
    """Whether nobody has this pid any more, or only until its parent has looked."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def ready(started: WorkerProcess, count: int = 1) -> list[int]:
    """Wait until so many workers have started."""
    wait_for(lambda: len(started.events("worker_started")) >= count, what=started.text)
    return workers_of(started)


def test_a_worker_that_is_killed_is_replaced_and_no_job_is_lost(start_pool: Start, client: RedisClient) -> None:
    started = start_pool("--min", "1", "--max", "1", LEASE_SECONDS="2", SWEEP_SECONDS="0.3")
    first = ready(started)[0]
    enqueue(client, "one", stages=3, seconds=0.3)
    wait_for(lambda: client.get_job_status("one")["status"] == "processing", what=started.text)
    os.kill(first, signal.SIGKILL)
    wait_for_all(client, "completed")
    assert len(workers_of(started)) == 2
    started.process.terminate()
    assert started.wait() == 0
    assert all(is_gone(pid) for pid in workers_of(started))


def test_it_grows_with_the_queue_and_shrinks_when_it_is_idle(
    start_pool: Start, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_many(client, 8, seconds=1.5)
    started = start_pool("--min", "1", "--max", "2", "--cool-down", "0.5")
    wait_for(lambda: started.events("pool_grows"), what=started.text)
    wait_for(
        lambda: len({event["worker_id"] for event in started.events("job_processing_started")}) == 2, what=started.text
    )
    wait_for_all(client, "completed")
    wait_for(lambda: started.events("pool_shrinks"), what=started.text)
    wait_for(lambda: started.events("worker_ended", reason="not needed"), what=started.text)


def test_a_worker_that_has_done_its_jobs_or_grown_too_large_is_replaced(start_pool: Start, client: RedisClient) -> None:
    started = start_pool("--min", "1", "--max", "1", "--max-jobs", "2")
    enqueue_many(client, 5)
    wait_for_all(client, "completed")
    assert len(workers_of(started)) >= 3
    assert {event["code"] for event in started.events("worker_ended")} == {0}
    started.process.terminate()
    assert started.wait() == 0
    large = start_pool("--min", "1", "--max", "1", "--max-memory-mb", "1")
    wait_for(lambda: [event for event in large.events("worker_ended") if "memory" in event["reason"]], what=large.text)


def test_a_second_pool_and_a_wrong_setting_are_refused(start_pool: Start) -> None:
    first = start_pool("--min", "1", "--max", "1")
    ready(first)
    second = start_pool("--min", "1", "--max", "1")
    assert second.wait() == 75
    assert f"another pool runs here already (pid {first.pid})" in second.text()
    first.process.terminate()
    assert first.wait() == 0
    wrong = start_pool("--queues", "nowhere-queue=0")
    assert wrong.wait() in {2, 78}, wrong.text()


def test_when_the_pool_is_killed_its_workers_hand_their_jobs_back(start_pool: Start, client: RedisClient) -> None:
    started = start_pool("--min", "1", "--max", "1")
    pid = ready(started)[0]
    enqueue(client, "one", stages=2, seconds=30)
    wait_for(lambda: client.get_job_status("one")["status"] == "processing", what=started.text)
    started.kill()
    wait_for(lambda: is_gone(pid), what=started.text)
    assert client.get_job_status("one")["status"] == "pending"
    assert client.get_job_status("one")["crashes"] == 0


def test_it_obeys_orders_of_the_http_interface(start_pool: Start, client: RedisClient) -> None:
    with TestClient(create_app(), base_url="http://localhost", client=("127.0.0.1", 50000)) as web:

        def ask(what: str, **body: Any) -> Any:
            return web.post(f"/workers/{what}", json=body)

        none = ask("start")
        assert (none.status_code, none.json()["type"]) == (409, "urn:stagecrew:no-pool")
        started = start_pool("--min", "1", "--max", "3", "--cool-down", "600")
        ready(started)
        host = wait_for(lambda: find_pools(client.queue))[0]["host"]
        assert ask("start", host="elsewhere").status_code == 422
        assert ask("start").json()["host"] == host
        ready(started, 2)
        name = started.events("worker_begun")[0]["worker"]
        assert ask("stop", worker_id=name).status_code == 202
        wait_for(lambda: started.events("worker_ended", worker=name, code=0), what=started.text)
        enqueue_many(client, 3, seconds=2)
        assert ask("process-all-pending").status_code == 202
        wait_for(lambda: any(one["drains"] for one in find_pools(client.queue)[0]["workers"]), what=started.text)
        assert ask("process-all-pending").status_code == 409
        wait_for_all(client, "completed")


def test_wrong_arguments_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--min", "3", "--max", "2"], ["--max", "0"], ["--min", "-1"], ["--cool-down", "-1"]):
        with pytest.raises(SystemExit) as ended:
            pool.main(wrong)
        assert ended.value.code == 2
        assert "use numbers from 0 on" in capsys.readouterr().err
