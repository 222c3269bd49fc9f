"""Vendors that say our own keys back to us: none of them is in a log, a record, an event, an artifact or in Redis."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from log import configure_logging
from redis_client.client import RedisClient
from tests.stub.server import Stub
from tests.support.hosted import (
    CLAUDE,
    CLIPS,
    FACTS,
    KEYS,
    VOICE,
    Setting,
    cut_short,
    host_everything,
    prepare_answers,
    quick_stub,
    wait_for_nothing,
)
from tests.support.moves import whole
from tests.support.points import Life

pytest_plugins = ("tests.stub.fixtures",)

KEY_OF = dict(zip((CLAUDE, VOICE, CLIPS), KEYS.values(), strict=True))
Trouble = Callable[[Stub, str], None]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    found = io.StringIO()
    configure_logging(stream=found, keep_loggers=False)
    yield found
    configure_logging(keep_loggers=False)


def says_the_key(status: int) -> Trouble:
    def trouble(stub: Stub, vendor: str) -> None:
        said = f"the key {KEY_OF[vendor]} was not liked, see https://me:{KEY_OF[vendor]}@vendor.example/?key={KEY_OF[vendor]}"
        stub.faults("status", vendor=vendor, method="POST", status=status, message=said)

    return trouble


def is_lost(stub: Stub, vendor: str) -> None:
    stub.faults("reset_after", vendor=vendor, method="POST")


def is_no_answer(stub: Stub, vendor: str) -> None:
    stub.faults("wrong_shape", vendor=vendor, method="POST", body={"error": f"key {KEY_OF[vendor]}"})


def refuses(stub: Stub, vendor: str) -> None:
    if vendor == CLAUDE:
        stub.answer(CLAUDE, "You write the script", f"I will not, for {KEY_OF[vendor]}", stop_reason="refusal", n=1)
    elif vendor == CLIPS:
        stub.answer(CLIPS, error=f"failed: Bearer {KEY_OF[vendor]} is no good", n=1)


TROUBLES: list[Trouble] = [says_the_key(401), says_the_key(500), says_the_key(429), is_lost, is_no_answer, refuses]


def kept(client: RedisClient, written: io.StringIO, state_dir: Path, jobs: list[str]) -> dict[str, str]:
    """All that is left of what has happened, by place."""
    with client.database.read() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    files = {str(path.relative_to(state_dir)): path for path in state_dir.rglob("*") if path.is_file()}
    return {
        "the log": written.getvalue(),
        "Redis": repr(whole(client.queue)),
        "the status": repr([client.get_job(job_id) for job_id in jobs]),
        **{name: path.read_bytes().decode(errors="replace") for name, path in files.items()},
    }


def test_no_key_that_a_vendor_says_back_is_kept_anywhere(
    client: RedisClient,
    stub: Stub,
    setting: Setting,
    state_dir: Path,
    written: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host_everything(setting, stub)
    for name, value in (("RETRY_BASE_SECONDS", 0.01), ("MIN_FREE_MB", 0), ("PARK_ABOVE_USD", 1)):
        setting(name, value)
    cut_short(monkeypatch)
    quick_stub(monkeypatch)
    prepare_answers(stub, 2)
    life = Life(client, "worker", pass_time=wait_for_nothing)
    life.start()
    jobs = []
    for vendor in KEY_OF:
        for number, trouble in enumerate(TROUBLES):
            jobs.append(f"{vendor}-{number}")
            trouble(stub, vendor)
            client.enqueue_job(jobs[-1], FACTS, tenant=jobs[-1])  # of its own: nothing is reused
            life.work_off()
    life.end()
    assert stub.waiting_faults() == []
    ends = {job_id: client.get_job(job_id)["status"] for job_id in jobs}
    assert {"completed", "failed"} == set(ends.values()), ends

    places = kept(client, written, state_dir, jobs)
    assert "[hidden]" in places["the log"]
    assert places["stagecrew.db"].count("[hidden]") > len(KEY_OF), "the texts that held them are there"
    assert any(name.startswith("artifacts") for name in places)
    assert [(place, key) for place, text in places.items() for key in KEYS.values() if key in text] == []
