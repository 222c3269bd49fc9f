"""Jobs that cover every write of a worker, run again and again while something happens at one of their points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from structlog.testing import capture_logs

from database.tables import Base, Event, Job, Stage
from errors import UnknownJob
from redis_client.answers import Grant
from redis_client.client import RedisClient
from states import ENDED, JobStatus
from tests.soak.ledger import Line
from tests.soak.rules import broken_rules, watch_rows
from tests.support.agree import assert_agree
from tests.support.points import (
    KEPT,
    Act,
    Killed,
    Life,
    Points,
    empty_servers,
    standing,
    time_passes,
    watching_work,
)

CANCELS = frozenset({JobStatus.CANCELLED})
# It may be too late for a cancel: Redis had forgotten it, or the worker that stops has done the work.
LATE_CANCELS = CANCELS | {JobStatus.COMPLETED}
# Steps of keeping house, which come again in every round: visited once a job.
HOUSEKEEPING = ("redis canary", "sql raise_canary", "redis sweep", "redis SET", "redis beat", "redis ZREM", "redis DEL")


@dataclass(frozen=True)
class Shape:
    """What is enqueued as job `a`, and the work (job, stage) in whose middle a person cancels it."""

    payload: dict[str, Any]
    options: dict[str, Any]
    cancel_in: tuple[str, str] | None = None


def shape(*, cancel_in: tuple[str, str] | None = None, options: dict[str, Any] | None = None, **payload: Any) -> Shape:
    return Shape(payload, options or {}, cancel_in)


NEXT = {"pipeline": "selftest", "payload": {"label": "next"}, "take": {"stages": "number"}, "id": "b"}
# Together they reach every write of a worker; a test looks.
SHAPES = {
    "items and queues": shape(stages=3, items=2, two_queues=True, bytes=20),
    "retry": shape(stages=2, fail_at=2, fail_times=1),
    "failure": shape(stages=2, fail_at=2, fail_kind="permanent"),
    "family and chain": shape(stages=2, children=2, children_at=2, options={"then": NEXT, "delay": 0.01}),
    "failing child": shape(children=2, child_fails=1),
    "cancel": shape(stages=2, cancel_in=("a", "step_2")),
    "cancel of a parent": shape(children=2, cancel_in=("a.step_1.0", "step_1")),
}
BRANCHES = shape(stages=4, branches=3)


@dataclass
class Facts:
    """What a run came to."""

    jobs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    crashes: dict[str, int] = field(default_factory=dict)
    stages: dict[tuple[str, str, str], tuple[Any, ...]] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    retries: int = 0


class Trial:
    """One shape, run again and again over the same servers; each time something else happens at some point."""

    def __init__(self, client: RedisClient, points: Points, its: Shape) -> None:
        self.client, self.points, self.its = client, points, its
        self.lines: list[Line] = []
        self.woke_at: int | None = None  # from this line on the work is a zombie's
        self.names: list[str] = []  # the steps of an undisturbed run
        self.cancelled = False
        self.life: Life | None = None
        self.other: Life | None = None
        self.log: list[Any] = []
        self.expected: dict[str, int] = {}
        self.holds = False  # whether the sleeper had a job in flight
        self.left: dict[str, Any] = {}  # what the others left in SQL

    def clean(self) -> None:
        empty_servers(self.client)
        self.lines.clear()
        self.woke_at = None
        self.cancelled = False

    def run(self, acts: dict[int, Act]) -> Life:
        """The first life, which meets what was planned for it."""
        self.clean()
        self.points.arm({})
        with self.points.unseen():
            life = self.life = Life(self.client, "first", aside=self.points.unseen)
            life.start()
            life.take_and_run()  # it blocks on the bells when the jobs come
        self.points.arm(acts)
        try:
            with suppress(Killed), watching_work(self.lines, self.in_the_middle), capture_logs() as self.log:
                self.ask()
                life.work_off()
                life.end()
        finally:
            self.points.watching = False
        return life

    def go_on(self, name: str = "second") -> None:
        """A later life ends what is left; whoever was cut off asks again."""
        self.points.dead, watching = False, self.points.watching
        self.points.watching = False
        time_passes(self.client)
        life = self.life = Life(self.client, name)
        life.start()
        was_asked = any((line.job, line.stage) == self.its.cancel_in for line in self.lines)
        with watching_work(self.lines, self.in_the_middle):
            try:
                self.client.get_job("a")
            except UnknownJob:
                self.ask()  # nobody has heard that it was stored
            if was_asked and not self.cancelled:
                self.client.cancel("a")
                self.cancelled = True
            life.work_off()
        life.end()
        self.points.watching = watching

    def bystander(self) -> Life:
        """Another worker of the fleet; it keeps house only."""
        if self.other is None:
            self.other = Life(self.client, "bystander")
            self.other.worker._open()
        return self.other

    def ask(self) -> None:
        self.client.enqueue_job("a", self.its.payload, pipeline="selftest", **self.its.options)

    def sleep(self) -> None:
        """The worker is stopped where it is, past its lease; another one does the work; then it wakes up."""
        running = self.life.state.running if self.life else None
        self.expected = self.in_flight()
        self.holds = running is not None and self.is_held(running.grant)
        if running:
            running.stop.lease_until = 0.0  # its own clock says so too
        self.go_on()
        self.left = self.whole()
        self.woke_at = len(self.lines)

    def in_the_middle(self, line: Line) -> None:
        if (line.job, line.stage) == self.its.cancel_in and not self.cancelled:
            self.client.cancel("a")
            self.cancelled = True
            assert self.life is not None
            for _ in range(2):  # the beat may have to find first that the lease is gone
                self.life.round()
            self.life.worker.beat.beat_once()

    def facts(self) -> Facts:
        found = Facts()
        with self.client.database.read() as connection:
            for row in connection.execute(select(*Job.__table__.columns)):
                found.jobs[row.id] = (row.status, row.attempt, row.result, row.in_flight, row.open_children)
                found.crashes[row.id] = row.crashes
            for row in connection.execute(select(*Stage.__table__.columns)):
                found.stages[row.job_id, row.stage, row.item] = (row.status, row.result, row.executions)
            ends = select(Event.job_id, func.count()).where(Event.status.in_(ENDED)).group_by(Event.job_id)
            found.ends = {row[0]: row[1] for row in connection.execute(ends)}
            kinds = select(func.count()).where(Event.kind == "retry_scheduled")
            found.retries = connection.execute(kinds).scalar_one()
        return found

    def is_held(self, grant: Grant) -> bool:
        """Whether SQL has this claim in flight."""
        query = select(Job.fence, Job.in_flight).where(Job.id == grant.job_id)
        with self.client.database.read() as connection:
            return tuple(connection.execute(query).one()) == (grant.token, True)

    def whole(self) -> dict[str, Any]:
        """Everything that workers write into SQL."""
        with self.client.database.read() as connection:
            return {
                table.name: connection.execute(select(table)).all()
                for table in Base.metadata.sorted_tables
                if table.name not in KEPT
            }

    def in_flight(self) -> dict[str, int]:
        with self.client.database.read() as connection:
            rows = connection.execute(select(Job.id, Job.crashes, Job.in_flight))
            return {row.id: row.crashes + row.in_flight for row in rows}

    def check(self, wanted: Facts, crashes: dict[str, int], *, cancels: frozenset[str] = CANCELS) -> None:
        """I9 (one end, no fence falls), I11, I12, I14, I15, no finished work again, and Redis agrees.

        `cancels`: how the first job may end when a person cancels it. How far it came before that is a matter of time.
        """
        found = self.facts()
        pairs: list[tuple[Any, Any]] = [(found.ends, dict.fromkeys(found.jobs, 1))]
        if self.its.cancel_in:
            pairs += [({facts[2] for facts in found.stages.values()} - {1}, set())]
            pairs += [({facts[0] for facts in found.jobs.values()} - ENDED, set())]
            pairs += [({found.jobs["a"][0]} - cancels, set())]
            # A begin that only cancels counts nothing.
            pairs += [({name for name, times in found.crashes.items() if times > crashes.get(name, 0)}, set())]
        else:
            pairs += [(found.jobs, wanted.jobs), (found.stages, wanted.stages), (found.retries, wanted.retries)]
            pairs += [(found.crashes, {name: crashes.get(name, 0) for name in found.jobs})]
        pairs += [([line for line in self.lines[: self.woke_at] if line.finished or line.ended], [])]
        pairs += [(broken_rules(self.client.database), []), (standing(self.client), {})]
        wrong = [f"{one}\n  is not {other}" for one, other in pairs if one != other]
        assert not wrong, "\n".join(wrong)
        assert_agree(self.client, workers=2)

    def starts(self) -> list[tuple[str, str, str]]:
        return sorted(line.work for line in self.lines if line.what == "start")


def undisturbed(trial: Trial) -> Facts:
    """What the job comes to by itself."""
    watch_rows(trial.client.database)
    trial.run({})
    facts, trial.names = trial.facts(), list(trial.points.names)
    trial.check(facts, {})
    assert len(trial.names) > 10
    return facts


def each_point(trial: Trial, act: Callable[[int], dict[int, Act]]) -> Iterator[tuple[int, Life]]:
    """Visit every point; how many there are may differ by a progress that was told or not."""
    number, seen = 0, Counter[str]()
    while True:
        number += 1
        name = trial.names[number - 1] if number <= len(trial.names) else ""
        seen[name] += 1
        if name in HOUSEKEEPING and seen[name] > 1:
            continue
        reached: list[str] = []
        acts = act(number)
        planned = acts[number]

        def noted(position: str, name: str, planned: Act = planned, reached: list[str] = reached) -> None:
            reached.append(name)
            planned(position, name)

        life = trial.run(acts | {number: noted})
        if not reached:
            return
        yield number, life


def visit(trial: Trial, act: Callable[[int], dict[int, Act]], check: Callable[[Life], None]) -> None:
    """Let something happen at each point in turn, and look at what it came to."""
    for number, life in each_point(trial, act):
        names = list(trial.points.names)
        try:
            check(life)
        except AssertionError as error:
            error.add_note(f"at step {number} of {names}")
            raise
