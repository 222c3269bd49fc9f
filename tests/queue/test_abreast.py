"""Items side by side, on both databases: each is done once, what fails or is turned away costs the others nothing."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import process
from database.jobs import find_stages
from errors import InvalidInput, NotNow, Unreachable
from pipeline.outcome import HandBack
from pipeline.stages import selftest_step
from pipeline.stop import StopSignal
from redis_client.client import RedisClient
from tests.queue.test_runs import Desk, desk, enqueue

__all__ = ["desk"]
WAIT_SECONDS = 30.0


class Crowd:
    """What the items of one stage do, and how many of them were at it at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[Any, int], None]) -> None:
        self.now, self.most, self.begun = 0, 0, list[str]()
        self.lock = threading.Lock()
        self.act = act
        monkeypatch.setattr(selftest_step, "_sleep", lambda context, _seconds: self.enter(context))

    def enter(self, context: Any) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.begun.append(context.item)
            others = self.now - 1
        try:
            self.act(context, others)
        finally:
            with self.lock:
                self.now -= 1


def meet(barrier: threading.Barrier) -> None:
    """Go on when all are here."""
    barrier.wait(WAIT_SECONDS)


def done(client: RedisClient) -> dict[str, int]:
    """How often each finished item was begun."""
    return {one["item"]: one["executions"] for one in find_stages(client.database, "a") if one["status"] == "completed"}


def test_as_many_as_may_run_at_once_do_and_each_is_done_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The barrier opens only when three are in it together."""
    barrier = threading.Barrier(3)
    crowd = Crowd(monkeypatch, lambda *_: meet(barrier))
    enqueue(desk, items=6, items_at_once=3, bytes=10)
    _, ended = desk.run()
    assert ended.status == "completed"
    assert (crowd.most, sorted(crowd.begun)) == (3, list("012345"))
    assert done(desk.client) == dict.fromkeys("012345", 1)
    assert [one["item"] for one in desk.row()["result"]] == [0, 1, 2, 3, 4, 5]
    assert desk.told == sorted(desk.told)
    assert desk.row()["progress"] == 100


def test_without_leave_items_come_one_after_the_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(monkeypatch, lambda *_: None)
    enqueue(desk, items=4)
    desk.run()
    assert (crowd.most, crowd.begun) == (1, list("0123"))


def test_one_fails_and_what_ran_beside_it_is_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing new begins; the next run does only what is missing."""
    both, threads = threading.Barrier(2), dict[str, threading.Thread]()

    def act(context: Any, _others: int) -> None:
        threads[context.item] = threading.current_thread()
        if context.attempt == 0 and context.item in {"0", "1"}:
            both.wait(WAIT_SECONDS)
            if context.item == "0":
                raise Unreachable("gone")
            threads["0"].join(WAIT_SECONDS)

    crowd = Crowd(monkeypatch, act)
    enqueue(desk, items=4, items_at_once=2)
    desk.run()
    assert desk.row()["status"] == "waiting"
    assert sorted(crowd.begun) == ["0", "1"]
    assert done(desk.client) == {"1": 1}
    assert desk.run()[1].status == "completed"
    assert sorted(crowd.begun) == ["0", "0", "1", "2", "3"]


def test_all_fail_and_the_job_is_tried_as_often_as_with_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(_context: Any, _others: int) -> None:
        raise Unreachable("gone")

    Crowd(monkeypatch, act)
    enqueue(desk, items=4, items_at_once=4)
    for expected in ("waiting", "waiting", "waiting", "failed"):
        desk.run()
        assert desk.row()["status"] == expected


def test_a_permanent_error_ends_it_and_keeps_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2)

    def act(context: Any, _others: int) -> None:
        both.wait(WAIT_SECONDS)
        if context.item == "1":
            raise InvalidInput("no good")

    Crowd(monkeypatch, act)
    enqueue(desk, items=4, items_at_once=2)
    assert desk.run()[1].status == "failed"
    assert done(desk.client) == {"0": 1}


@pytest.mark.parametrize("room", [1, 2])
def test_who_is_turned_away_waits_for_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """A vendor with fewer slots than we ask for: the run goes on with fewer at once, and is not handed back."""
    all_in, turned_away = threading.Barrier(4), threading.Semaphore(0)

    def act(context: Any, others: int) -> None:
        if context.item in "0123" and crowd.begun.count(context.item) == 1:
            all_in.wait(WAIT_SECONDS)
            if int(context.item) < room:
                assert all(turned_away.acquire(timeout=WAIT_SECONDS) for _ in range((4 - room) // room))
                return
            turned_away.release()
        elif others < room:
            return
        raise NotNow("all slots are taken", retry_after=15)

    crowd = Crowd(monkeypatch, act)
    enqueue(desk, items=6, items_at_once=4)
    assert desk.run()[1].status == "completed"
    assert done(desk.client) == dict.fromkeys("012345", 1)
    assert len(crowd.begun) == 6 + 4 - room


def test_when_all_are_turned_away_the_job_waits_and_burns_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(_context: Any, _others: int) -> None:
        raise NotNow("all slots are taken", retry_after=15)

    crowd = Crowd(monkeypatch, act)
    enqueue(desk, items=6, items_at_once=4)
    outcome, ended = desk.run()
    assert isinstance(outcome, HandBack)
    assert (ended.move, outcome.seconds, desk.row()["attempt"]) == ("requeue", 15, 0)
    assert len(crowd.begun) < 4 + 4


def test_a_stop_reaches_all_that_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, all_in = StopSignal(), threading.Barrier(3)

    def act(context: Any, _others: int) -> None:
        all_in.wait(WAIT_SECONDS)
        stop.request("shutdown")
        context.sleep(WAIT_SECONDS)

    crowd = Crowd(monkeypatch, act)
    enqueue(desk, items=6, items_at_once=3)
    _, ended = desk.run(stop=stop)
    assert (ended.move, ended.message, len(crowd.begun)) == ("requeue", "shutdown", 3)
    assert (desk.row()["attempt"], done(desk.client)) == (0, {})


def test_the_hard_limit_of_one_item_kills_its_children_only(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tag that its limit carries is the one that its children bear."""
    both = threading.Barrier(2)

    def act(context: Any, _others: int) -> None:
        if context.attempt:
            return
        limits = [one for one in context.stop.limits() if one.item == context.item and one.stage == context.stage]
        assert len(limits) == 1
        both.wait(WAIT_SECONDS)
        if context.item == "1":
            context.child(["sleep", "0.2"], timeout_seconds=WAIT_SECONDS)
            return
        threading.Timer(0.05, kill, (limits[0].tag,)).start()
        context.child(["sleep", str(WAIT_SECONDS)], timeout_seconds=2 * WAIT_SECONDS)

    def kill(tag: str) -> None:
        while not process.kill_tag(f"a/{tag}", "time_limit"):
            threading.Event().wait(0.01)

    Crowd(monkeypatch, act)
    enqueue(desk, items=2, items_at_once=2)
    desk.run()
    assert desk.row()["status"] == "waiting"
    assert done(desk.client) == {"1": 1}
    assert desk.run()[1].status == "completed"
