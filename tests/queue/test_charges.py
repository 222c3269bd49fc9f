"""Paid calls: made once, found again, kept with their cost; budgets hold; the fence stops work and not book-keeping."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from artifacts import LocalStore
from database import charges
from database.budgets import budgets, set_budget
from database.fenced import FencedWrites
from database.jobs import find_job
from database.outbox import Letter
from database.records import Begun, Holder, JobRecord
from errors import (
    BadReply,
    BudgetSpent,
    DatabaseUnavailable,
    Fenced,
    HostTrouble,
    Interrupted,
    NeedsPerson,
    NotNow,
    Overloaded,
    Permanent,
    RateLimited,
    Unanswered,
    Unreachable,
)
from pipeline.calls import cancel_calls
from pipeline.charges import StageLedger
from pipeline.gates import Gates
from pipeline.providers import registry
from pipeline.providers.paid import Answer, Gate, PaidCall, Pause, Submitted
from pipeline.stop import StopSignal
from redis_client.client import RedisClient
from settings import get_settings
from tests.support.vendor import Async, Keyed, Sync, Vendor

Setting = Callable[[str, object], None]


class Bench:
    """One job under one claim after the other, and its ledger."""

    def __init__(self, client: RedisClient, folder: Path) -> None:
        self.client, self.database = client, client.database
        self.store = LocalStore(folder / "artifacts")
        self.vendor = Vendor(folder)
        self.token = 0
        self.stop = StopSignal()

    def begin(self, job_id: str = "a", **options: Any) -> StageLedger:
        """A new claim; the one before is fenced."""
        self.token += 1
        self.stop = StopSignal()
        holder = Holder(job_id, self.token, f"w{self.token}")
        begun = FencedWrites(self.database).begin(holder, expired=0, known=self.token)
        assert isinstance(begun, Begun)
        return self.ledger(holder, begun.job, **options)

    def ledger(self, holder: Holder, job: JobRecord, stage: str = "s", item: str = "") -> StageLedger:
        gates = Gates(self.client.queue, self.stop, 30)
        return StageLedger(self.database, self.store, get_settings(), holder, job, stage, item, self.stop, gates)

    def rows(self) -> list[tuple[str, str | None, float | None]]:
        return [(one.state, one.doubt, one.cost_usd) for one in charges.find_charges(self.database, "a")]

    def age(self, seconds: float) -> None:
        with self.database.write() as connection:
            connection.execute(text("UPDATE charges SET intent_ms = intent_ms - :ms"), {"ms": int(seconds * 1000)})

    def spent(self, scope: str) -> tuple[float, float]:
        found = budgets(self.database, prefix=scope)[0]
        return round(found.reserved_usd, 6), round(found.spent_usd, 6)


@pytest.fixture
def bench(any_client: RedisClient, tmp_path: Path) -> Bench:
    any_client.enqueue_job("a", {}, pipeline="selftest")
    return Bench(any_client, tmp_path)


def raising(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


# --- a call and its answer


@pytest.mark.parametrize("kind", [Sync, Async])
def test_an_answer_is_paid_once_and_found_by_every_later_try(bench: Bench, kind: type[Sync]) -> None:
    first = bench.begin().charge(kind(bench.vendor))
    assert bench.begin().charge(kind(bench.vendor)) == first
    assert bench.vendor.taken == ["v1"]
    assert bench.rows() == [("settled", None, 1.0)]
    assert find_job(bench.database, "a")["cost_usd"] == 1.0
    assert bench.spent("job:a") == (0.0, 1.0)


def test_other_requests_stages_and_items_are_other_calls(bench: Bench) -> None:
    ledger = bench.begin()
    for one in (
        ledger,
        bench.ledger(ledger.holder, ledger.job, "t"),
        bench.ledger(ledger.holder, ledger.job, "s", "1"),
    ):
        one.charge(Sync(bench.vendor))
    ledger.charge(Sync(bench.vendor, "bye"))
    assert len(bench.vendor.taken) == 4
    assert charges.stage_cost(bench.database, "a", "s", "") == 2.0


def test_five_paid_answers_survive_the_failure_of_the_sixth(bench: Bench) -> None:
    def stage(ledger: StageLedger) -> None:
        for number in range(6):
            if number == 5 and len(bench.vendor.taken) == 5 and bench.token == 1:
                bench.vendor.fault = raising(Overloaded("busy"))
            ledger.charge(Sync(bench.vendor, number))

    with pytest.raises(Overloaded):
        stage(bench.begin())
    bench.vendor.fault = None
    stage(bench.begin())
    assert len(bench.vendor.taken) == 6
    assert [row[0] for row in bench.rows()].count("settled") == 6


def test_a_file_that_is_gone_is_fetched_again_and_not_bought(bench: Bench) -> None:
    first = bench.begin().charge(Async(bench.vendor))
    for path in bench.store.root.glob("??/*"):
        path.unlink()
    assert bench.begin().charge(Async(bench.vendor)) == first
    assert bench.vendor.taken == ["v1"]


# --- failures


@pytest.mark.parametrize("error", [RateLimited("slow"), Overloaded("busy"), Unreachable("no way"), Permanent("never")])
def test_a_definite_failure_is_void_and_the_next_try_is_another_call(bench: Bench, error: Exception) -> None:
    bench.vendor.fault = raising(error)
    with pytest.raises(type(error)):
        bench.begin().charge(Sync(bench.vendor))
    assert bench.rows() == [("void", None, None)]
    assert bench.spent("job:a") == (0.0, 0.0)
    bench.vendor.fault = None
    bench.begin().charge(Sync(bench.vendor))
    assert [row[0] for row in bench.rows()] == ["void", "settled"]


def test_a_useless_answer_stays_paid_and_is_asked_for_anew_a_few_times(bench: Bench) -> None:
    call = Sync(bench.vendor)
    call.useless = 1
    with pytest.raises(BadReply):
        bench.begin().charge(call)
    assert bench.begin().charge(call)["number"] == "v2"
    assert bench.rows() == [("settled", None, 1.0), ("settled", None, 1.0)]
    other = Sync(bench.vendor, "other")
    other.useless = 100
    for _ in range(3):
        with pytest.raises(BadReply):
            bench.begin().charge(other)
    with pytest.raises(Permanent, match="3 paid answers"):
        bench.begin().charge(other)
    assert len(bench.vendor.taken) == 5


def test_a_lease_that_runs_out_before_the_call_leaves_it_unmade(bench: Bench) -> None:
    ledger = bench.begin()
    bench.stop.lease_until = 0
    with pytest.raises(HostTrouble):
        ledger.charge(Sync(bench.vendor))
    assert (bench.vendor.taken, bench.rows()) == ([], [("void", None, None)])


# --- calls of which nobody knows


def lose(bench: Bench, call: PaidCall) -> None:
    """It is taken, and its answer never comes."""
    bench.vendor.lost = raising(Unanswered("reset"))
    with pytest.raises(Unanswered):
        bench.begin().charge(call)
    bench.vendor.lost = None


def test_a_lost_answer_is_not_judged_at_once(bench: Bench) -> None:
    lose(bench, Async(bench.vendor))
    assert bench.rows() == [("intent", "lost", None)]
    with pytest.raises(NotNow) as found:
        bench.begin().charge(Async(bench.vendor))
    assert 30 < found.value.retry_after <= 36
    assert bench.vendor.looks == 0


def test_a_lost_call_is_found_at_the_vendor_and_not_made_again(bench: Bench) -> None:
    lose(bench, Async(bench.vendor))
    bench.age(60)
    assert bench.begin().charge(Async(bench.vendor))[0] == "v1"
    assert bench.vendor.taken == ["v1"]
    assert bench.rows() == [("settled", None, 1.0)]


def test_a_lost_call_that_the_vendor_does_not_know_was_not_made(bench: Bench) -> None:
    bench.vendor.fault = raising(Unanswered("reset before it was taken"))
    with pytest.raises(Unanswered):
        bench.begin().charge(Async(bench.vendor))
    bench.vendor.fault = None
    bench.age(60)
    assert bench.begin().charge(Async(bench.vendor))[0] == "v1"
    assert bench.rows() == [("void", None, None), ("settled", None, 1.0)]


def test_two_candidates_are_a_persons_choice(bench: Bench) -> None:
    lose(bench, Async(bench.vendor))
    bench.vendor.taken.append("v2")
    bench.age(60)
    for _ in range(2):
        with pytest.raises(NeedsPerson):
            bench.begin().charge(Async(bench.vendor))
    assert bench.rows() == [("intent", "parked", None)]


def test_a_candidate_that_another_charge_has_is_none(bench: Bench) -> None:
    bench.begin().charge(Async(bench.vendor, "other"))
    lose(bench, Async(bench.vendor))
    bench.age(60)
    assert bench.begin().charge(Async(bench.vendor))[0] == "v2"
    assert bench.vendor.taken == ["v1", "v2"]


def test_a_keyed_call_is_sent_again_under_its_key(bench: Bench) -> None:
    call = Keyed(bench.vendor)
    lose(bench, call)
    bench.age(60)
    bench.begin().charge(call)
    assert (len(call.keys), bench.rows()) == (1, [("settled", None, 1.0)])


@pytest.mark.parametrize(("most_usd", "policy"), [(0.04, "repay"), (0.06, "park")])
def test_the_sum_decides_where_nobody_can_be_asked(bench: Bench, most_usd: float, policy: str) -> None:
    lose(bench, Sync(bench.vendor, most_usd=most_usd))
    bench.age(60)
    if policy == "park":
        with pytest.raises(NeedsPerson):
            bench.begin().charge(Sync(bench.vendor, most_usd=most_usd))
        assert bench.rows() == [("intent", "parked", None)]
    else:
        bench.begin().charge(Sync(bench.vendor, most_usd=most_usd))
        assert bench.rows() == [("void", "repaid", None), ("settled", None, 1.0)]


def test_a_strangers_intent_is_waited_for_until_its_worker_cannot_be_calling(bench: Bench) -> None:
    """Killed between intent and call, or still calling: nobody can tell before its deadline and a margin."""
    bench.vendor.fault = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        bench.begin().charge(Async(bench.vendor))
    bench.vendor.fault = None
    bench.age(20)
    with pytest.raises(NotNow):
        bench.begin().charge(Async(bench.vendor))
    bench.age(20)
    assert bench.begin().charge(Async(bench.vendor))[0] == "v1"
    assert bench.vendor.looks == 1


def test_a_submitted_call_is_collected_by_the_next_worker(bench: Bench) -> None:
    ledger = bench.begin()
    ledger.stop.request("shutdown")
    bench.stop.reason = None

    class Stopped(Async):
        def collect(self, external_id: str, pause: Any) -> Any:
            raise Interrupted("shutdown")

    with pytest.raises(Interrupted):
        ledger.charge(Stopped(bench.vendor))
    assert bench.rows() == [("submitted", None, None)]
    assert bench.begin().charge(Async(bench.vendor))[0] == "v1"
    assert bench.vendor.taken == ["v1"]


# --- the fence


def test_a_fenced_worker_gets_no_new_intent(bench: Bench) -> None:
    stale = bench.begin()
    bench.begin()
    with pytest.raises(Fenced):
        stale.charge(Sync(bench.vendor))
    assert (bench.vendor.taken, bench.rows()) == ([], [])


def test_a_fenced_worker_still_records_the_id_of_its_own_call(bench: Bench) -> None:
    """Its POST was on the way when the lease ended: refusing to note the id is what causes the second bill."""
    stale = bench.begin()
    stop = bench.stop

    def overtaken() -> None:
        bench.begin()
        stop.fence()

    bench.vendor.lost = overtaken
    with pytest.raises(Fenced):
        stale.charge(Async(bench.vendor))
    bench.vendor.lost = None
    assert bench.rows() == [("submitted", None, None)]
    assert bench.begin().charge(Async(bench.vendor))[0] == "v1"
    assert bench.vendor.taken == ["v1"]


def test_an_answer_that_nobody_waits_for_is_an_orphan_and_counted_once(bench: Bench) -> None:
    stale = bench.begin()
    call = Sync(bench.vendor, most_usd=0.01)

    def written_off() -> None:
        row = charges.find_charges(bench.database, "a")[0]
        charges.void(bench.database, row.key, "given up", doubt="repaid")

    bench.vendor.lost = written_off
    stale.charge(call)
    assert sorted(row[:2] for row in bench.rows()) == [("settled", "orphan"), ("void", "repaid")]
    key = charges.find_charges(bench.database, "a")[0].key
    void = next(one for one in charges.find_charges(bench.database, "a") if one.state == "void")
    assert key
    assert not charges.settle(bench.database, void.key, result=None, cost_usd=1.0, is_estimate=False)
    assert bench.spent("job:a") == (0.0, 1.0)


# --- budgets


def test_a_hundred_at_once_never_pass_a_budget_for_ten(bench: Bench) -> None:
    set_budget(bench.database, "tenant:default", 10.0)
    for number in range(100):
        bench.client.enqueue_job(f"j{number}", {}, pipeline="selftest")
    ledgers = [bench.begin(f"j{number}") for number in range(100)]
    passed: list[str] = []
    over: list[float] = []
    gate = threading.Barrier(10)

    def spend(mine: list[StageLedger]) -> None:
        gate.wait()
        for ledger in mine:
            try:
                ledger.charge(Sync(bench.vendor, ledger.job.id, most_usd=1.0))
                passed.append(ledger.job.id)
            except (BudgetSpent, NotNow):
                pass
            found = budgets(bench.database, prefix="tenant:default")[0]
            over.append(found.reserved_usd + found.spent_usd)

    threads = [threading.Thread(target=spend, args=(ledgers[start::10],)) for start in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == len(bench.vendor.taken) == 10
    assert max(over) <= 10.0
    assert bench.spent("tenant:default") == (0.0, 10.0)


def test_what_a_call_does_not_use_comes_back(bench: Bench) -> None:
    set_budget(bench.database, "job:a", 2.5)
    bench.begin().charge(Sync(bench.vendor, 1, most_usd=2.0))
    with pytest.raises(BudgetSpent, match=r"budget job:a of 2\.50 USD has 1\.5000 left, the call may cost 2\.0000"):
        bench.begin().charge(Sync(bench.vendor, 2, most_usd=2.0))
    bench.begin().charge(Sync(bench.vendor, 3, most_usd=1.5))
    assert bench.spent("job:a") == (0.0, 2.0)


@pytest.mark.parametrize(
    ("name", "kind"), [("BUDGET_JOB_USD", "job"), ("BUDGET_DAY_USD", "day"), ("BUDGET_TENANT_USD", "tenant")]
)
def test_settings_cap_what_nobody_has_set_otherwise(bench: Bench, setting: Setting, name: str, kind: str) -> None:
    setting(name, 1.5)
    with pytest.raises(BudgetSpent, match=f"budget {kind}:"):
        bench.begin().charge(Sync(bench.vendor, most_usd=2.0))
    assert bench.rows() == []


def test_a_job_may_wait_for_the_next_day_or_for_a_person(bench: Bench, setting: Setting) -> None:
    setting("BUDGET_DAY_USD", 0.5)
    with bench.database.write() as connection:
        connection.execute(text('UPDATE jobs SET options = \'{"over_budget":"wait"}\''))
    with pytest.raises(NotNow) as found:
        bench.begin().charge(Sync(bench.vendor))
    assert 0 < found.value.retry_after <= 24 * 3600 + 1
    setting("BUDGET_DAY_USD", "")
    set_budget(bench.database, "tenant:default", 0.5)
    with bench.database.write() as connection:
        connection.execute(text("DELETE FROM budgets WHERE scope LIKE 'day:%'"))
    with pytest.raises(NeedsPerson, match="budget tenant:default"):
        bench.begin().charge(Sync(bench.vendor))


def test_money_is_not_lost_in_rounding(bench: Bench) -> None:
    bench.vendor.cost_usd = 0.000_1
    set_budget(bench.database, "tenant:default", 0.03)
    for number in range(200):
        bench.begin().charge(Sync(bench.vendor, number, most_usd=0.000_3))
    assert bench.spent("tenant:default") == (0.0, 0.02)


# --- the vendor's gates


GATE = Gate("vendor", per_second=1000, burst=1000, slots=1)


def test_a_vendor_that_is_down_is_left_alone_and_costs_no_attempt(bench: Bench) -> None:
    bench.vendor.fault = raising(Overloaded("down"))
    for number in range(2):
        with pytest.raises(Overloaded):
            bench.begin().charge(Sync(bench.vendor, number, gate=GATE))
    for request in ("third", "later"):
        with pytest.raises(NotNow, match="vendor is out of order"):
            bench.begin().charge(Sync(bench.vendor, request, gate=GATE))
    assert len(bench.rows()) == 3


def test_a_retry_after_holds_for_the_whole_fleet(bench: Bench) -> None:
    bench.vendor.fault = raising(RateLimited("slow down", retry_after=20))
    with pytest.raises(RateLimited):
        bench.begin().charge(Sync(bench.vendor, gate=GATE))
    with pytest.raises(NotNow) as found:
        bench.begin().charge(Sync(bench.vendor, "other", gate=GATE))
    assert 15 < found.value.retry_after <= 20


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.gates.LONGEST_WAIT_SECONDS", 0.1)


def test_slots_are_held_while_a_call_is_made_and_given_back(bench: Bench, short_waits: None) -> None:
    ledger = bench.begin()
    inside: list[Any] = []

    def look() -> None:
        inside.append((set(ledger.stop.holds), ledger.stop.paid_calls))
        with pytest.raises(NotNow, match="all 1 slots"):
            bench.ledger(ledger.holder, ledger.job, "other").charge(Sync(bench.vendor, "second", gate=GATE))

    bench.vendor.fault = look
    ledger.charge(Sync(bench.vendor, gate=GATE))
    assert [(len(holds), calls) for holds, calls in inside] == [(1, 1)]
    bench.vendor.fault = None
    assert (ledger.stop.holds, ledger.stop.paid_calls) == (set(), 0)
    ledger.charge(Sync(bench.vendor, "third", gate=GATE))


def test_an_answer_is_booked_although_the_database_was_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real, away = charges.settle, [True, True]

    def settle(*arguments: Any, **options: Any) -> bool:
        if away:
            away.pop()
            raise DatabaseUnavailable("away")
        return real(*arguments, **options)

    monkeypatch.setattr("pipeline.charges.BOOK_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("database.charges.settle", settle)
    bench.begin().charge(Sync(bench.vendor))
    assert bench.rows() == [("settled", None, 1.0)]


# --- what a reader found


def test_a_fault_on_our_side_after_the_answer_is_no_proof_that_it_was_not_made(bench: Bench) -> None:
    bench.vendor.lost = raising(OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space"):
        bench.begin().charge(Async(bench.vendor))
    bench.vendor.lost = None
    assert bench.rows() == [("intent", "lost", None)]
    bench.age(60)
    assert bench.begin().charge(Async(bench.vendor))[0] == "v1"
    assert bench.vendor.taken == ["v1"]


def test_money_that_is_only_reserved_is_waited_for(bench: Bench) -> None:
    set_budget(bench.database, "job:a", 3.0)
    lose(bench, Sync(bench.vendor, 1, most_usd=2.0))
    with pytest.raises(NotNow, match=r"1\.0000 left"):
        bench.begin().charge(Sync(bench.vendor, 2, most_usd=2.0))
    with pytest.raises(BudgetSpent):
        bench.begin().charge(Sync(bench.vendor, 3, most_usd=3.5))


def test_a_cap_of_the_settings_holds_for_those_who_have_spent_before(bench: Bench, setting: Setting) -> None:
    bench.begin().charge(Sync(bench.vendor, 1))
    setting("BUDGET_TENANT_USD", 2.5)
    with pytest.raises(BudgetSpent, match=r"tenant:default of 2\.50"):
        bench.begin().charge(Sync(bench.vendor, 2, most_usd=2.0))
    set_budget(bench.database, "tenant:default", 100.0)
    bench.begin().charge(Sync(bench.vendor, 2, most_usd=2.0))


def test_calls_of_a_job_that_was_asked_for_again_are_its_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(registry, "vendor", lambda _name: SimpleNamespace(cancel_call=told.append))
    with pytest.raises(Interrupted):
        bench.begin().charge(Stuck(bench.vendor))
    letter = Letter("x", "cancel_calls", "a", {}, 0)
    cancel_calls(bench.database, letter)
    assert told == [], "its job is open"
    with bench.database.write() as connection:
        connection.execute(text("UPDATE jobs SET status = 'cancelled', finished_ms = created_ms"))
    cancel_calls(bench.database, letter)
    assert told == ["v1"]
    assert bench.rows() == [("settled", None, 0.0)]
    assert bench.spent("job:a")[0] == 0


@pytest.mark.parametrize(("status", "seconds"), [("completed", 200), ("cancelled", 200), ("failed", 4000)])
def test_calls_that_a_job_leaves_open_are_found(bench: Bench, status: str, seconds: int) -> None:
    with pytest.raises(Interrupted):
        bench.begin().charge(Stuck(bench.vendor))
    assert stray(bench) == []
    for age, found in ((60, []), (seconds - 150, []), (seconds, ["a"])):
        end(bench, status, age)
        assert stray(bench) == found


def stray(bench: Bench) -> list[str]:
    return charges.stray_calls(bench.database, cancelled_seconds=120, dead_seconds=3900)


def end(bench: Bench, status: str, seconds_ago: int) -> None:
    with bench.database.write() as connection:
        now = connection.execute(text("SELECT max(intent_ms) FROM charges")).scalar_one()
        connection.execute(
            text("UPDATE jobs SET status = :status, finished_ms = :at"),
            {"status": status, "at": now - seconds_ago * 1000},
        )


def test_an_answer_that_cannot_be_fetched_is_paid_and_asked_for_anew(bench: Bench) -> None:
    lose(bench, Sync(bench.vendor, 1, most_usd=2.0))
    bench.age(60)
    with pytest.raises(NeedsPerson):
        bench.begin().charge(Sync(bench.vendor, 1, most_usd=2.0))
    key = charges.find_charges(bench.database, "a")[0].key
    bench.client.decide_call(key[:12], "v1", made=True)
    with pytest.raises(BadReply, match="cannot be fetched"):
        bench.begin().charge(Sync(bench.vendor, 1, most_usd=2.0))
    assert bench.begin().charge(Sync(bench.vendor, 1, most_usd=2.0))["number"] == "v2"
    assert bench.rows() == [("settled", None, 2.0), ("settled", None, 1.0)]


def test_a_paid_file_that_is_lost_for_good_can_be_given_up(bench: Bench) -> None:
    class Unnamed(Async):
        def send(self, key: str) -> Submitted | Answer:
            return replace(self.collect(self.vendor.take(), lambda _seconds: None), external_id=None)

    bench.begin().charge(Unnamed(bench.vendor))
    for path in bench.store.root.glob("??/*"):
        path.unlink()
    with pytest.raises(NeedsPerson, match="its file is gone") as found:
        bench.begin().charge(Unnamed(bench.vendor))
    assert str(found.value).split()[1].rstrip(":") == charges.find_charges(bench.database, "a")[0].key[:12]
    bench.client.decide_call(charges.find_charges(bench.database, "a")[0].key[:12], None, made=False)
    assert bench.begin().charge(Unnamed(bench.vendor))[0] == "v2"


class Stuck(Async):
    """The worker is told to stop while it waits."""

    def collect(self, external_id: str, pause: Pause) -> Answer:
        raise Interrupted("shutdown")
