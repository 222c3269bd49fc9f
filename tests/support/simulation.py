"""The whole of it in one process: workers, people, SQL and Redis, and everything that happens to them; by a seed.

The workers are real ones (worker.Worker), driven without their own threads: what their fetcher, slot and housekeeping
do is done by actors that take turns, and may die, stall, lose a reply, or meet an emptied or rewound Redis at any step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import case, not_, select

from database.tables import Event, Job
from database.tables import Stage as StageRow
from errors import HostTrouble, InvalidInput, QueueUnavailable, UnknownJob
from redis_client.client import RedisClient
from redis_client.queue import Queue
from redis_client.reconcile import LOCK_SECONDS
from states import DEAD, ENDED, JobStatus
from tests.soak.ledger import Line
from tests.soak.rules import broken_rules
from tests.support.actors import Actor, Stage
from tests.support.agree import assert_agree
from tests.support.held import broken, read
from tests.support.moves import MAIN, SECOND
from tests.support.points import remember, rewind, run_what_was_given, standing
from worker import Worker

TENANTS = ("acme", "beta")
GROUPS = ("vendor", f"queue:{MAIN}", f"queue:{SECOND}", "tenant:acme", "pipeline:selftest")
EDGES = ("fail", "skip", "wait")
TERMINAL = {str(status) for status in ENDED}
HEALED_WITHIN = 12_000


@dataclass
class Asked:
    """A job that a person asked for, and how it must end when nobody cancels anything near it."""

    payload: dict[str, Any]
    ends: str


class Hand:
    """One worker process of one slot."""

    def __init__(self, sim: Simulation, name: str, queues: str) -> None:
        self.sim, self.name = sim, name
        self.worker = Worker(name, client=sim.client, queues=queues, concurrency=1)
        self.state = self.worker.crew.slots[0]
        self.beaten_at = sim.now
        self.actors = [Actor(sim.stage, name, self.work), Actor(sim.stage, f"{name}/house", self.keep_house)]

    @property
    def is_gone(self) -> bool:
        return self.actors[0].ended

    @property
    def is_stalled(self) -> bool:
        return self.sim.now < self.actors[0].stalled_until

    @property
    def job(self) -> str | None:
        return self.state.running.grant.job_id if self.state.running else None

    def kill(self) -> None:
        for actor in self.actors:
            actor.kill()

    def stall(self, seconds: float) -> None:
        """SIGSTOP: no thread goes on, the beat neither."""
        for actor in self.actors:
            actor.stalled_until = self.sim.now + seconds

    def terminate(self) -> None:
        """SIGTERM: what it runs is handed back at its next safe point."""
        self.worker.stop("signal")
        self.worker.fetcher._stopped = True
        if self.state.running:
            self.state.running.stop.request("shutdown")

    def beat(self) -> None:
        self.beaten_at = self.sim.now
        self.worker.beat.beat_once()
        if self.worker.house._wake.is_set():
            self.actors[1].wakes_at = 0

    def work(self) -> None:
        """What the fetcher's thread and the slot's do."""
        self._open()
        while self.worker.stopping is None:
            if not self.worker.may_claim():
                self.sim.stage.nap(0.5)
                continue
            try:
                wait = self.worker.fetcher._fill()
                if not run_what_was_given(self.worker, self.state):
                    self.worker.fetcher._keep()
                    self._listen(wait)
            except QueueUnavailable as error:
                self.worker.fetcher._drop()
                self.worker.health.redis_healthy = False
                self.worker.health.report(str(error), 1.0)
        try:
            self.worker.fetcher._keep()
            self.worker.client.queue.forget_worker(self.worker.uuid)
        except QueueUnavailable:
            return

    def keep_house(self) -> None:
        while True:
            self.worker.house._wake.clear()
            self.worker.house.round()
            self.sim.stage.nap(0.0 if self.worker.house._wake.is_set() else self.sim.dice.uniform(3.5, 5.0))

    def _open(self) -> None:
        while True:
            try:
                self.worker._open()
            except HostTrouble:
                self.sim.stage.nap(1.0)  # whoever has started it does it again
            else:
                return

    def _listen(self, wait: float) -> None:
        queue, fetcher = self.sim.client.queue, self.worker.fetcher
        lists = [queue.list_key(name) for name in self.state.slot.queues if name not in fetcher.paused]
        # A slot that rests hears no bell: its thread would wait by the real clock.
        if wait > 0 and self.worker.crew.free_slots() and any(self.sim.redis.llen(one) for one in lists):
            fetcher._popped = fetcher._doorbell(wait)
        else:
            self.sim.stage.nap(min(2.0, wait))


class Simulation:
    """One history: `run` makes it, `heal` lets everything come to its end, `judge` says what is wrong with it."""

    def __init__(self, client: RedisClient, stage: Stage, patch: pytest.MonkeyPatch) -> None:
        self.client, self.stage, self.dice = client, stage, stage.dice
        self.redis: Any = client.get_client()
        self.hands: list[Hand] = []
        self.asked: dict[str, Asked] = {}
        self.touched: set[str] = set()  # what somebody cancelled
        self.deaths: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory = remember(client)
        self.starts, self.hired, self.turns = 1, 0, 0
        self.lock: tuple[str | None, float] = (None, 0.0)
        patch.setattr(Queue, "run_id", lambda _queue: f"start {self.starts}")
        stage.troubled = self._note_trouble
        self.people = Actor(stage, "people", self.live)

    @property
    def now(self) -> float:
        return self.stage.clock.seconds

    # --- the history

    def run(self, steps: int, *, faults: bool = True) -> None:
        stage = self.stage
        if faults:
            stage.lost_request, stage.lost_reply = 0.01, 0.015
        for _ in range(steps):
            if len([hand for hand in self.hands if not hand.is_gone]) < 3:
                self.hire(self.dice.choice((f"{MAIN},{SECOND}", f"{MAIN},{SECOND}", MAIN, SECOND)))
            if faults:
                self._fault()
            self.turn()

    def turn(self) -> None:
        """Time goes on a little, beats are sent, and somebody goes on."""
        self.stage.clock.advance(self.dice.choice((0.001, 0.001, 0.01, 0.1)))
        actors = [self.people, *(actor for hand in self.hands for actor in hand.actors)]
        if not any(actor.is_ready(self.now) for actor in actors):
            next_at = min(max(actor.wakes_at, actor.stalled_until) for actor in actors if not actor.ended)
            self.stage.clock.advance(min(next_at - self.now, 4.0) + 0.001)
        self._let_locks_run_out()
        for hand in self.hands:
            if not hand.is_gone and not hand.is_stalled and self.now - hand.beaten_at >= 5:
                hand.beat()
        for hand in [hand for hand in self.hands if hand.is_gone]:
            hand.kill()
            self.hands.remove(hand)
        ready = [actor for actor in actors if actor.is_ready(self.now)]
        if ready:
            self.dice.choice(ready).go_on()
        self._look()

    def hire(self, queues: str) -> Hand:
        self.hired += 1
        hand = Hand(self, f"w{self.hired}", queues)
        self.hands.append(hand)
        return hand

    def _look(self) -> None:
        """What the scripts keep true they keep true at every moment (a bell may be in somebody's hand)."""
        self.turns += 1
        if self.turns % 10 == 0 and not self.wrong:
            found = broken(read(self.client.queue), workers=len(self.hands), deaf={MAIN, SECOND})
            self.wrong += [f"turn {self.turns}: {one}" for one in found]
            for one in found:
                self.stage.tell(one)

    def in_a_stage(self, line: Line) -> None:
        """A stage's work begins, and takes a while."""
        self.stage.tell(f"works on {line.job}/{line.stage}/{line.item}")
        if line.finished or line.ended:
            with self.client.database.read() as connection:
                fence = connection.execute(select(Job.fence).where(Job.id == line.job)).scalar()
            if fence == line.token:  # else it is a zombie's, and its commit is refused
                self.wrong.append(f"I12: {line.owner} works on {line.work}, which is over")
        for _ in range(self.dice.randrange(3)):
            self.stage.nap(self.dice.uniform(0.01, 1.5))

    def _fault(self) -> None:
        dice, stage = self.dice, self.stage
        hand = dice.choice(self.hands)
        match dice.choices(
            ("", "kill", "stall", "terminate", "remember", "rewind", "flush"), (930, 15, 15, 5, 25, 5, 5)
        )[0]:
            case "kill":
                stage.tell(f"{hand.name} is killed, with {hand.job}")
                self.deaths[hand.job or ""] += 1
                hand.kill()
            case "stall":
                stage.tell(f"{hand.name} is stopped, with {hand.job}")
                self.deaths[hand.job or ""] += 1
                hand.stall(dice.choice((5.0, 29.0, 40.0, 70.0)))
            case "terminate":
                stage.tell(f"{hand.name} is told to stop, with {hand.job}")
                hand.terminate()
            case "remember":
                self.memory = remember(self.client)
            case "rewind":
                stage.tell("Redis is rewound")
                rewind(self.client, self.memory)
                self.starts += 1
            case "flush":
                stage.tell("Redis is emptied")
                self.redis.flushall()
                self.memory = []

    def _note_trouble(self, actor: Actor, what: str) -> None:
        """SQL may have in flight what nobody runs: with Redis emptied or rewound too, that looks like a death."""
        for hand in self.hands:
            if actor in hand.actors and hand.job and what.startswith("sql"):
                self.deaths[hand.job] += 1

    def _let_locks_run_out(self) -> None:
        """Redis counts their seconds by its own clock, which stands still beside this one."""
        key = self.client.queue.key("reconciler")
        owner = self.redis.get(key)
        if owner != self.lock[0]:
            self.lock = (owner, self.now)
        elif owner is not None and self.now - self.lock[1] > LOCK_SECONDS:
            self.redis.delete(key)

    # --- people

    def live(self) -> None:
        acts: tuple[Callable[[], None], ...] = (self.ask, self.ask, self.ask, self.cancel, self.retry, self.switch)
        while True:
            self.stage.nap(self.dice.choice((0.1, 1.0, 3.0)))
            try:
                self.dice.choice(acts)()
            except (HostTrouble, InvalidInput, UnknownJob) as error:
                self.stage.tell(f"hears {type(error).__name__}")

    def ask(self) -> None:
        dice, name = self.dice, f"j{len(self.asked)}"
        payload: dict[str, Any] = {"stages": dice.randint(1, 3)}
        options: dict[str, Any] = {
            "tenant": dice.choice(TENANTS),
            "priority": dice.choice(("high", "normal", "low")),
            "groups": dice.choice(((), ("vendor",))),
            "delay": dice.choice((0, 0, 0, 2)),
        }
        ends = "completed"
        match dice.randrange(8):
            case 0:
                payload |= {"items": 2}
            case 1:
                payload |= {"two_queues": True}
            case 2:
                payload |= {"fail_at": 1, "fail_times": 1}
            case 3:
                payload |= {"fail_at": payload["stages"], "fail_kind": "permanent"}
                ends = "failed"
            case 4:
                payload |= {"children": 2}
            case 5:
                edge = dice.choice(EDGES)
                payload |= {"children": 2, "child_fails": 1, "child_edge": edge}
                ends = "failed" if edge == "fail" else "completed"
            case 6:
                options["then"] = {"pipeline": "selftest", "payload": {"label": "next"}, "id": f"{name}.then"}
                self.asked[f"{name}.then"] = Asked({"stages": 1}, "completed")
        self.asked[name] = Asked(payload, ends)
        self.stage.tell(f"asks for {name}: {payload}")
        self.client.enqueue_job(name, payload, pipeline="selftest", **options)

    def cancel(self) -> None:
        rows = self._rows()
        if not rows:
            return
        name = self.dice.choice(sorted(rows))
        self.stage.tell(f"cancels {name}")
        self.touched.add(name.partition(".")[0])
        self.client.cancel(name)

    def retry(self) -> None:
        dead = sorted(name for name, row in self._rows().items() if row.status in ENDED - {JobStatus.COMPLETED})
        if dead:
            name = self.dice.choice(dead)
            self.stage.tell(f"retries {name}")
            self.client.retry(name)

    def switch(self) -> None:
        dice = self.dice
        kind, name = dice.choice((("queue", MAIN), ("queue", SECOND), ("tenant", "acme"), ("pipeline", "selftest")))
        match dice.randrange(6):
            case 0:
                self.client.pause(name, kind=kind)
            case 1 | 2:
                self.client.resume(name, kind=kind)
            case 3:
                self.client.weigh(dice.choice(TENANTS), dice.choice((0.5, 2.0, None)))
            case _:
                self.client.limit(dice.choice(GROUPS), dice.choice((None, None, 1, 2)))

    # --- the end of it

    def heal(self) -> None:
        """No more faults, nothing is held back, one more worker: now everything must come to its end."""
        stage = self.stage
        stage.lost_request = stage.lost_reply = 0.0
        self.people.kill()
        for hand in self.hands:
            hand.stall(0)
        for kind, name in (("queue", MAIN), ("queue", SECOND), ("tenant", "acme"), ("pipeline", "selftest")):
            self.client.resume(name, kind=kind)
        for group in GROUPS:
            self.client.limit(group, None)
        self.hire(f"{MAIN},{SECOND}")
        for number in range(HEALED_WITHIN):
            if number % 40 == 0:
                if not standing(self.client):
                    return
                self._decide()
            self.turn()
        raise AssertionError(f"stuck: {standing(self.client)}")

    def _decide(self) -> None:
        """A person gives up the dead children for which their parents wait."""
        for name, row in self._rows().items():
            if row.status in DEAD and row.on_child_failure == "wait":
                self.client.cancel(name)

    def close(self) -> None:
        self.people.kill()
        for hand in self.hands:
            hand.kill()

    def judge(self) -> list[str]:
        """What should not be, in sentences."""
        wrong, rows = [*self.wrong, *broken_rules(self.client.database)], self._rows()
        with self.client.database.read() as connection:
            once = StageRow.executions == case((StageRow.status == "completed", 1), else_=0)
            for row in connection.execute(select(StageRow.job_id, StageRow.stage, StageRow.item).where(not_(once))):
                wrong += [f"{tuple(row)} was not done once"]
            events: dict[str, list[str]] = {name: [] for name in rows}
            for event in connection.execute(select(Event.job_id, Event.kind).order_by(Event.id)):
                events[event.job_id].append(event.kind)
        for name, row in rows.items():
            if row.status not in ENDED:
                wrong.append(f"I11: {name} is {row.status}")
            wrong += _ends(name, events[name], row.run)
            if row.crashes > self.deaths[name]:
                wrong.append(f"I15: {name} has {row.crashes} crashes, and its workers died {self.deaths[name]} times")
            root = name.partition(".")[0]
            if name in self.asked and root not in self.touched:
                wrong += self._as_asked(name, row)
        assert_agree(self.client)
        return wrong

    def _as_asked(self, name: str, row: Any) -> list[str]:
        """I14, I15: whatever happened, it came to what it would have come to by itself."""
        asked = self.asked[name]
        wrong = [] if row.status == asked.ends else [f"I14: {name} is {row.status}, not {asked.ends}: {row.error}"]
        if row.attempt != (asked.ends == "failed"):
            wrong.append(f"I15: {name} has failed {row.attempt} times")
        if row.status == JobStatus.COMPLETED and asked.payload["stages"] != _last_number(row.result):
            wrong.append(f"I14: {name} came to {row.result}")
        return wrong

    def _rows(self) -> dict[str, Any]:
        with self.client.database.read() as connection:
            return {row.id: row for row in connection.execute(select(*Job.__table__.columns))}


def _ends(name: str, kinds: list[str], run: int) -> list[str]:
    """I9: each run ends once, and only a person begins the next one."""
    ends = [kind for kind in kinds if kind in TERMINAL or kind == "retried"]
    wanted = [position % 2 == 1 for position in range(len(ends))]
    if [kind == "retried" for kind in ends] != wanted or len(ends) != 2 * run - 1:
        return [f"I9: {name} in run {run} has ended so: {ends}"]
    return []


def _last_number(result: Any) -> Any:
    return result[-1]["number"] if isinstance(result, list) else result["number"]
