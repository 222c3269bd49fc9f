"""Histories of the whole, each by its seed: workers, people, SQL and Redis, and faults at every step of any of them.

At the end nothing goes wrong any more, and everything must come to what it would have come to by itself. What happens in
a history is in tests/support/simulation.py.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from database.engine import Database
from database.tables import Job
from log import take_lines
from redis_client import scripts
from redis_client.client import RedisClient
from tests.soak.rules import watch_rows
from tests.support.actors import Stage, keep_time
from tests.support.edits import Clock, use_scripts
from tests.support.points import watching_work
from tests.support.simulation import Simulation
from tests.support.walks import more

Sim = Callable[..., list[str]]
# Seeds that once failed stay here.
KEPT_SEEDS: tuple[int, ...] = (106,)
# What a worker logs when it meets what it does not understand, and goes on.
STRANGE = frozenset({"reconcile_failed", "letter_deferred", "thread_died", "job_not_understood", "chain_refused"})


@pytest.fixture
def sim(redis_url: str, sqlite_template: Path, state_dir: Path, setting: Callable[[str, object], None]) -> Sim:
    """`sim(seed, steps)`: a history, and what SQL holds at its end; a failed assertion tells what went wrong."""
    for name, value in (("QUARANTINE_CRASHES", 0), ("MIN_FREE_MB", 0), ("MAX_RETRIES", 3)):
        setting(name, value)
    for name in ("TASK_TIME_LIMIT", "TASK_SOFT_TIME_LIMIT"):
        setting(name, 600_000)  # no stage here takes long; it may stand still while others are at it

    def history(seed: int, steps: int, *, faults: bool = True) -> list[str]:
        with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
            clock = Clock()
            use_scripts(patch, clock=clock)
            file = Path(tempfile.mkdtemp(dir=state_dir)) / "history.db"
            shutil.copy(sqlite_template, file)
            database = Database(f"sqlite:///{file}")
            keep_time(database, clock)
            watch_rows(database)
            patch.setattr("database.engine._database", database)
            client = RedisClient(url=redis_url, database=database)
            client.get_client().flushall()
            client.get_client().set(client.queue.key("canary"), 1)
            # What the process and the server keep of others would make another history of the same seed.
            take_lines()
            for path in scripts.LUA.glob("*.lua"):
                client.get_client().script_load(scripts.load_script(path.stem).source)
            stage = Stage(clock, seed)
            stage.install(patch)
            simulation = Simulation(client, stage, patch)
            try:
                with watching_work([], simulation.in_a_stage):
                    simulation.run(steps, faults=faults)
                    simulation.heal()
                    wrong = simulation.judge()
                wrong += [str(entry) for entry in logs if entry["event"] in STRANGE]
                assert not wrong, "\n".join(wrong)
                return [*stage.trace, *end_of(database)]
            except AssertionError as error:
                error.add_note(f"seed {seed}, {steps} steps; the end of it:")
                error.add_note("\n".join(stage.trace[-60:]))
                raise
            finally:
                simulation.close()
                client.close()
                database.dispose()

    return history


def end_of(database: Database) -> list[str]:
    with database.read() as connection:
        rows: list[Any] = list(connection.execute(select(*Job.__table__.columns).order_by(Job.id)))
    return [
        f"{row.id} {row.status} {row.run} {row.attempt} {row.crashes} {row.fence} {row.finished_ms}" for row in rows
    ]


def test_everything_comes_to_its_end_when_nothing_happens(sim: Sim) -> None:
    for seed in range(more(2)):
        sim(seed, 300, faults=False)


def test_everything_comes_to_its_end_whatever_happens(sim: Sim) -> None:
    for seed in (*KEPT_SEEDS, *range(110, 110 + more(17))):
        sim(seed, 400)


def test_long_histories_too(sim: Sim) -> None:
    for seed in range(1000, 1000 + more(2)):
        sim(seed, 1200)


def test_a_seed_makes_the_same_history_again(sim: Sim) -> None:
    assert sim(7, 250) == sim(7, 250)
