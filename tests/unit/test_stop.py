"""How a stage learns that it must stop: reasons, fences, limits, leases."""

import threading

import pytest

from errors import Fenced, Interrupted
from pipeline import stop as module
from pipeline.stop import StopSignal


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "clock", made)
    return made


def test_nothing_to_stop_for() -> None:
    stop = StopSignal()
    stop.check()
    stop.wait(0)
    assert stop.lease_alive()


def test_the_first_reason_stays() -> None:
    stop = StopSignal()
    stop.request("cancelled")
    stop.request("shutdown")
    with pytest.raises(Interrupted) as caught:
        stop.check()
    assert caught.value.reason == "cancelled"


def test_a_fence_is_graver_than_any_reason() -> None:
    stop = StopSignal()
    stop.request("shutdown")
    stop.fence()
    with pytest.raises(Fenced):
        stop.check()
    assert not stop.lease_alive()


def test_what_stops_a_stage_is_not_swallowed_by_except_exception() -> None:
    assert not issubclass(Interrupted, Exception)
    assert not issubclass(Fenced, Exception)


def test_a_waiting_stage_is_woken_at_once() -> None:
    stop, caught = StopSignal(), []
    entered = threading.Event()

    def stage() -> None:
        entered.set()
        try:
            stop.wait(3600)
        except Interrupted as error:
            caught.append(error.reason)

    thread = threading.Thread(target=stage)
    thread.start()
    entered.wait(10)
    stop.request("shutdown")
    thread.join(10)
    assert caught == ["shutdown"]


def test_a_stage_past_its_soft_limit_is_stopped_and_others_are_not(clock: Clock) -> None:
    stop = StopSignal()
    heard: list[str] = []

    def another_stage() -> None:
        stop.check()
        heard.append("goes on")

    with stop.stage("slow", soft_seconds=10, hard_seconds=20) as limit:
        clock.now += 9
        stop.check()
        clock.now += 2
        assert limit.passed_soft()
        assert not limit.passed_hard()
        with pytest.raises(Interrupted, match="time_limit"):
            stop.check()
        other = threading.Thread(target=another_stage)
        other.start()
        other.join(10)
        assert heard == ["goes on"]
        clock.now += 10
        assert limit.passed_hard()
        assert stop.limits() == [limit, stop.job_limit]
    stop.check()
    assert str(stop.timed_out("slow", 10)) == "stage slow passed its limit of 10 s"


def test_a_job_past_its_limit_is_stopped_in_any_stage(clock: Clock) -> None:
    stop = StopSignal(soft_seconds=100, hard_seconds=200)
    with stop.stage("late", soft_seconds=1000, hard_seconds=1000):
        clock.now += 101
        with pytest.raises(Interrupted, match="time_limit"):
            stop.check()
    assert "the job passed its limit of 100 s, in stage late" in str(stop.timed_out("late", 1000))


def test_a_lease_ends_by_the_clock_that_also_runs_asleep(clock: Clock) -> None:
    stop = StopSignal()
    stop.lease_until = clock.now + 25
    assert stop.lease_alive()
    clock.now += 25
    assert not stop.lease_alive()


def test_the_clock_counts_time_asleep() -> None:
    import time

    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= module.clock() <= time.clock_gettime(time.CLOCK_BOOTTIME)
