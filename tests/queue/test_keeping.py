"""What nobody keeps goes, page by page; what somebody needs stays, also when he is just about to use it."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from artifacts import Artifact, LocalStore
from daemon.collector import UNKNOWN_SECONDS, Collector, keep_seconds
from database.engine import now_ms
from database.jobs import NewJob, find_stages, insert_jobs
from database.keeping import PAGE, delete_ended, forget_marked, mark_unused
from database.tables import ArtifactUse, Charge, Event, Job, StoredArtifact
from database.uses import keep_artifact
from redis_client.client import RedisClient
from tests.queue.test_family import Crew
from tests.support.moves import MAIN

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def store(state_dir: Path) -> LocalStore:
    return LocalStore(state_dir / "artifacts")


@pytest.fixture
def crew(any_client: RedisClient, store: LocalStore) -> Crew:
    return Crew(any_client, store)


def finish(crew: Crew, job_id: str = "a", **payload: Any) -> None:
    crew.client.enqueue_job(job_id, payload, pipeline="selftest")
    crew.work_off()


def age(crew: Crew, days: float, job_id: str = "a") -> None:
    with crew.client.database.write() as connection:
        connection.execute(
            text("UPDATE jobs SET finished_ms = finished_ms - :ago WHERE id = :id"),
            {"ago": int(days * DAY_MS), "id": job_id},
        )


def collector(crew: Crew) -> Collector:
    crew.client.get_client().delete(crew.client.queue.key("collector"))
    return Collector(crew.client.queue, crew.client.database, crew.store, crew.store.root.parent / "work")


def jobs(crew: Crew) -> list[str]:
    with crew.client.database.read() as connection:
        return sorted(connection.execute(select(Job.id)).scalars())


def count(crew: Crew, table: Any) -> int:
    with crew.client.database.read() as connection:
        return len(connection.execute(select(table)).all())


def files(store: LocalStore) -> list[str]:
    return sorted(path.name for path in store.root.glob("??/*"))


@pytest.mark.parametrize(
    ("payload", "kept_days", "gone_days"), [({}, 0.9, 1.1), ({"fail_at": 1, "fail_kind": "permanent"}, 6.9, 7.1)]
)
def test_completed_jobs_stay_a_day_and_failed_ones_a_week(
    crew: Crew, payload: dict[str, Any], kept_days: float, gone_days: float
) -> None:
    finish(crew, **payload)
    age(crew, kept_days)
    collector(crew).collect()
    assert jobs(crew) == ["a"]
    age(crew, gone_days - kept_days)
    collector(crew).collect()
    assert jobs(crew) == []
    assert (find_stages(crew.client.database, "a"), count(crew, Event), count(crew, ArtifactUse)) == ([], 0, 0)


def test_open_jobs_stay_however_old(crew: Crew) -> None:
    crew.client.enqueue_job("a", {}, pipeline="selftest")
    with crew.client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET created_ms = 1, updated_ms = 1"))
    delete_ended(crew.client.database, lambda _pipeline, _status: -1)
    assert jobs(crew) == ["a"]


def test_a_child_stays_as_long_as_its_parent(crew: Crew) -> None:
    crew.client.enqueue_job("p", {"children": 1}, pipeline="selftest")
    crew.work_off()
    age(crew, 30, "p.step_1.0")
    collector(crew).collect()
    assert jobs(crew) == ["p", "p.step_1.0"]
    age(crew, 30, "p")
    collector(crew).collect()
    assert jobs(crew) == []


def test_a_job_whose_letters_are_not_delivered_stays(crew: Crew) -> None:
    crew.client.enqueue_job("a", {}, pipeline="selftest", then={"pipeline": "selftest", "id": "b"})
    crew.work_off(deliver=False)
    age(crew, 30)
    collector(crew).collect()
    assert jobs(crew) == ["a"]
    crew.work_off()
    collector(crew).collect()
    assert jobs(crew) == ["b"]


def test_charges_are_never_deleted(crew: Crew) -> None:
    finish(crew)
    facts = {"call": "c", "provider": "p", "state": "settled", "request_digest": "d", "intent_ms": 1}
    with crew.client.database.write() as connection:
        connection.execute(insert(Charge).values(idem_key="k", job_id="a", stage="s", **facts))
    age(crew, 30)
    collector(crew).collect()
    assert (jobs(crew), count(crew, Charge)) == ([], 1)


def test_many_jobs_go_page_by_page(crew: Crew) -> None:
    insert_jobs(
        crew.client.database, [NewJob(f"j{number:05}", "selftest", MAIN, {}, "d") for number in range(PAGE + 7)]
    )
    with crew.client.database.write() as connection:
        connection.execute(text("UPDATE jobs SET status = 'completed', finished_ms = 1"))
    page = delete_ended(crew.client.database, keep_seconds)
    assert page.deleted == PAGE
    assert delete_ended(crew.client.database, keep_seconds, after=page.after or (0, "")).deleted == 7
    assert jobs(crew) == []


def test_a_pipeline_that_this_version_does_not_know_is_kept_as_always() -> None:
    assert keep_seconds("of tomorrow", "completed") == 24 * 3600
    assert keep_seconds("of tomorrow", "failed") == 7 * 24 * 3600


# --- files


def test_a_file_goes_an_hour_after_its_last_user(crew: Crew) -> None:
    finish(crew, bytes=100)
    age(crew, 30)
    one = collector(crew)
    one.collect()
    assert len(files(crew.store)) == 1
    with crew.client.database.write() as connection:
        connection.execute(text("UPDATE artifacts SET created_ms = created_ms - 100000"))
    mark_unused(crew.client.database)
    assert forget_marked(crew.client.database) == []
    make_old(crew, marked_hours=2)
    crew.client.get_client().delete(crew.client.queue.key("collector"))
    one.collect()
    assert (files(crew.store), count(crew, StoredArtifact)) == ([], 0)


def make_old(crew: Crew, *, marked_hours: float) -> None:
    with crew.client.database.write() as connection:
        connection.execute(
            text("UPDATE artifacts SET marked_ms = marked_ms - :ago"), {"ago": int(marked_hours * 3600 * 1000)}
        )
    for path in crew.store.root.glob("??/*"):
        os.utime(path, (1, 1))


def test_a_job_that_reuses_a_marked_file_takes_the_mark_away(crew: Crew) -> None:
    artifact = crew.store.put_bytes(b"x", media_type="text/plain", name="x")
    database = crew.client.database
    with database.write() as connection:
        keep_artifact(database, connection, artifact, tenant="t", job_id="old")
        connection.execute(text("DELETE FROM artifact_uses"))
        connection.execute(text("UPDATE artifacts SET created_ms = 1, marked_ms = 1"))
    with database.write() as connection:
        keep_artifact(database, connection, artifact, tenant="t", job_id="new")
    assert forget_marked(database) == []
    assert crew.store.holds(artifact)


def test_a_file_that_is_put_again_at_the_moment_of_its_deletion_stays(store: LocalStore) -> None:
    """Many times against each other: whoever has put a file finds it."""
    content = os.urandom(1 << 12)
    artifact = store.put_bytes(content, media_type="text/plain", name="x")
    lost: list[Artifact] = []

    def delete() -> None:
        for _ in range(200):
            store.remove(artifact.sha256, untouched_seconds=3600)

    thread = threading.Thread(target=delete)
    os.utime(store.path(artifact), (1, 1))
    thread.start()
    while thread.is_alive():
        again = store.put_bytes(content, media_type="text/plain", name="x")
        if not _comes_back(store, again):
            lost.append(again)
        os.utime(store.path(again), (1, 1))
    thread.join()
    assert not lost


def _comes_back(store: LocalStore, artifact: Artifact) -> bool:
    """It may be aside for the moment of a look."""
    until = time.monotonic() + 20
    while not store.holds(artifact) and time.monotonic() < until:
        pass
    return store.holds(artifact)


def test_a_file_without_a_row_goes_after_a_day(crew: Crew) -> None:
    artifact = crew.store.put_bytes(b"orphan", media_type="text/plain", name="x")
    one = collector(crew)
    one._part = int(artifact.sha256[:2], 16)
    one.collect()
    assert crew.store.holds(artifact)
    old = time.time() - UNKNOWN_SECONDS - 60
    os.utime(crew.store.path(artifact), (old, old))
    one = collector(crew)
    one._part = int(artifact.sha256[:2], 16)
    one.collect()
    assert not crew.store.holds(artifact)


def test_leftovers_of_the_dead_go_and_fresh_ones_stay(crew: Crew) -> None:
    work, root = crew.store.root.parent / "work", crew.store.root
    old = time.time() - UNKNOWN_SECONDS - 60
    for name in ("old", "fresh"):
        (work / name).mkdir(parents=True)
        root.mkdir(exist_ok=True)
        (root / f".{name}.part").touch()
    for path in (work / "old", root / ".old.part"):
        os.utime(path, (old, old))
    collector(crew).collect()
    assert [path.name for path in work.iterdir()] == ["fresh"]
    assert [path.name for path in root.glob(".*.part")] == [".fresh.part"]


def test_one_worker_of_the_fleet_collects_in_a_minute(crew: Crew) -> None:
    finish(crew)
    age(crew, 30)
    crew.client.get_client().set(crew.client.queue.key("collector"), "1", px=60_000)
    Collector(crew.client.queue, crew.client.database, crew.store, Path("/nowhere")).collect()
    assert jobs(crew) == ["a"]


def test_the_clock_of_the_database_decides(crew: Crew) -> None:
    with crew.client.database.read() as connection:
        assert connection.execute(select(now_ms())).scalar_one() > DAY_MS
