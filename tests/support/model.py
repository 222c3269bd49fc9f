"""What Redis should hold after each move of the queue: the protocol in plain Python, without keys and bells.

tests/support/walks.py makes the same moves on a real Redis and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from redis_client.answers import Busy, Claim, Grant, Nothing
from tests.support.edits import Clock

LEASE_MS, GAP_MS = 30_000, 15_000
NOBODY = "#"
RESTS = frozenset({"ready", "delayed", "parked", "waiting"})
OPEN = RESTS | {"running"}


@dataclass
class Task:
    """A job as Redis knows it."""

    queue: str
    tenant: str
    pipeline: str
    groups: tuple[str, ...]
    score: float
    state: str = ""
    floor: int = 0
    token: int = 0
    progress: float = 0.0
    heard: str = ""
    expired: int = 0
    cancel: bool = False
    again: bool = False
    due: int = 0  # while it is delayed
    parked: str = ""  # while it is parked: for which group
    seat: str = ""  # these four while it runs
    nonce: str = ""
    known: int = 0
    lease: int = 0


@dataclass
class Line:
    """Whose turn it is in one queue: the tenant with the smallest tag; who was served pays 1 / weight."""

    tags: dict[str, float] = field(default_factory=dict)
    paid: dict[str, float] = field(default_factory=dict)
    served: float = 0.0


@dataclass
class Model:
    """All of it. Compared as a whole with what is read from Redis."""

    clock: Clock = field(compare=False)
    tasks: dict[str, Task] = field(default_factory=dict)
    slots: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    weights: dict[str, float] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    swept_at: int = 0
    grace_until: int = 0

    # --- where jobs stand

    def ready(self, queue: str) -> list[str]:
        """Best first."""
        found = [name for name, task in self.tasks.items() if task.state == "ready" and task.queue == queue]
        return sorted(found, key=self._place)

    def groups_of(self, name: str) -> list[str]:
        """Its groups that are limited, or were and still hold somebody back."""
        task = self.tasks[name]
        every = (f"queue:{task.queue}", f"pipeline:{task.pipeline}", f"tenant:{task.tenant}", *task.groups)
        return [group for group in every if group in self.limits]

    def room(self, group: str) -> float:
        most = self.limits.get(group, -1)
        running = [one for one, task in self.tasks.items() if task.state == "running" and group in self.groups_of(one)]
        return float("inf") if most < 0 else most - len(running)

    def held_back(self, group: str, queue: str) -> list[str]:
        """Who is parked for this group in this queue, best first."""
        found = [one for one, task in self.tasks.items() if (task.parked, task.queue) == (group, queue)]
        return sorted(found, key=self._place)

    def _place(self, name: str) -> tuple[float, str]:
        return self.tasks[name].score, name

    def _to_ready(self, name: str, queue: str) -> None:
        task = self.tasks[name]
        task.state, task.queue, task.due, task.parked = "ready", queue, 0, ""
        line = self.lines.setdefault(queue, Line())
        line.tags.setdefault(task.tenant, max(line.served, line.paid.get(task.tenant, 0.0)))

    def _leave_ready(self, name: str, state: str) -> None:
        task = self.tasks[name]
        task.state = state
        if not any(self.tasks[one].tenant == task.tenant for one in self.ready(task.queue)):
            del self.lines[task.queue].tags[task.tenant]
        if not self.lines[task.queue].tags:
            del self.lines[task.queue]  # shares are counted among those who wait at the same time

    def _wake_group(self, group: str, most: int = 1) -> None:
        """The best of each queue that this group holds back, as far as there is room."""
        room = min(self.room(group), most)
        for queue in {task.queue for task in self.tasks.values() if task.parked == group}:
            for name in self.held_back(group, queue)[: max(0, int(room))]:
                self._to_ready(name, queue)
        if most > 1 and self.limits.get(group, -1) < 0 and group not in {one.parked for one in self.tasks.values()}:
            self.limits.pop(group, None)

    def _leave_running(self, name: str) -> None:
        task = self.tasks[name]
        if self.slots.get(task.seat) == name:
            del self.slots[task.seat]
        task.state, task.seat, task.nonce, task.known, task.lease = "", "", "", 0, 0
        for group in self.groups_of(name):
            self._wake_group(group)

    def _promote(self) -> None:
        for name, task in self.tasks.items():
            if task.state == "delayed" and task.due <= self.clock.ms:
                self._to_ready(name, task.queue)

    # --- the moves

    def enqueue(self, mode: str, name: str, new: Task, *, head_start_ms: int, delay_ms: int) -> bool:
        task = self.tasks.get(name)
        state = task.state if task else ""
        if (mode == "new" and state) or (mode == "reopen" and state in OPEN - {"waiting"}):
            return False
        if mode == "wake" and task and state in {"running", "ready", "parked"}:
            task.again = task.again or state == "running"
            return False
        score = float(self.clock.ms - head_start_ms)
        if task and mode == "wake":
            score, delay_ms = task.score, 0
        known = task or new
        self.tasks[name] = Task(
            new.queue,
            new.tenant,
            new.pipeline,
            new.groups,
            score,
            floor=new.floor,
            token=known.token,
            heard=known.heard,
        )
        self.tasks[name].progress = max(known.progress, new.progress)
        if delay_ms > 0:
            self.tasks[name].state, self.tasks[name].due = "delayed", self.clock.ms + delay_ms
        else:
            self._to_ready(name, new.queue)
        return True

    def grant(self, seat: str, nonce: str, wanted: Sequence[str]) -> Claim:
        held = self.slots.get(seat)
        if held:
            task = self.tasks[held]
            if (task.nonce, task.state) == (nonce, "running"):
                return Grant(held, task.token, task.expired, task.queue, task.known)
            if (task.seat, task.state) == (seat, "running"):
                return Busy(held)
            del self.slots[seat]
        self._promote()
        while (found := self._head([queue for queue in wanted if queue not in self.paused])) is not None:
            name, tag = found
            groups = self.groups_of(name)
            full = next((group for group in groups if self.room(group) <= 0), None)
            if full is None:
                return self._take(name, tag, seat, nonce)
            self._leave_ready(name, "parked")
            self.tasks[name].parked = full
            for group in groups:
                self._wake_group(group)
        due = min((task.due for task in self.tasks.values() if task.state == "delayed"), default=None)
        wait = None if due is None else max(0, due - self.clock.ms) / 1000
        return Nothing(wait, again=False, paused=tuple(queue for queue in wanted if queue in self.paused))

    def _head(self, queues: Sequence[str]) -> tuple[str, float] | None:
        best: tuple[str, float] | None = None
        for queue in queues:
            line = self.lines.get(queue)
            if line is None:
                continue
            tag, tenant = min((tag, tenant) for tenant, tag in line.tags.items())
            name = next(one for one in self.ready(queue) if self.tasks[one].tenant == tenant)
            if best is None or self.tasks[name].score < self.tasks[best[0]].score:
                best = name, tag
        return best

    def _take(self, name: str, tag: float, seat: str, nonce: str) -> Grant:
        task = self.tasks[name]
        known = max(task.token, task.floor)
        self._leave_ready(name, "running")
        line = self.lines.get(task.queue)
        if line is not None:
            line.served = tag
            line.paid[task.tenant] = tag + 1 / self.weights.get(task.tenant, 1.0)
            if task.tenant in line.tags:
                line.tags[task.tenant] = line.paid[task.tenant]
        task.token, task.known = max(known + 1, self.clock.us), known
        task.seat, task.nonce, task.lease = seat, nonce, self.clock.ms + LEASE_MS
        self.slots[seat] = name
        for group in self.groups_of(name):
            self._wake_group(group)
        return Grant(name, task.token, task.expired, task.queue, known)

    def finish(self, name: str, token: int, status: str, progress: float) -> None:
        task = self._running(name, token)
        if task:
            self._leave_running(name)
            self._end(task, status)
            task.progress = max(task.progress, progress)

    def requeue(self, name: str, token: int, queue: str, *, delay_ms: int, floor: int) -> None:
        """`delay_ms` -1: it waits for somebody to wake it."""
        task = self._running(name, token)
        if not task:
            return
        self._leave_running(name)
        must_not_sleep = task.cancel or task.again
        task.floor, task.expired, task.again = max(floor, token), 0, False
        if delay_ms == 0 or must_not_sleep:
            self._to_ready(name, queue)
        elif delay_ms > 0:
            task.state, task.queue, task.due = "delayed", queue, self.clock.ms + delay_ms
        else:
            task.state, task.queue = "waiting", queue

    def _running(self, name: str, token: int) -> Task | None:
        task = self.tasks.get(name)
        return task if task and (task.token, task.state) == (token, "running") else None

    def beat(self, name: str, token: int) -> str:
        task = self._running(name, token)
        if not task:
            return "lost"
        task.lease = self.clock.ms + LEASE_MS
        return "cancel" if task.cancel else "ok"

    def sweep(self) -> int:
        """How many leases ran out."""
        grace, now = self.grace_until, self.clock.ms
        if self.swept_at and now - self.swept_at > GAP_MS:
            grace = now + LEASE_MS
        self.swept_at, self.grace_until = now, min(grace, now + LEASE_MS)
        self._promote()
        late = [name for name, task in self.tasks.items() if task.state == "running" and task.lease <= now]
        late = sorted(late, key=lambda one: (self.tasks[one].lease, one)) if now >= self.grace_until else []
        for name in late:
            self._leave_running(name)
            self.tasks[name].expired = self.tasks[name].token
            self._to_ready(name, self.tasks[name].queue)
        for group in {task.parked for task in self.tasks.values() if task.parked}:
            self._wake_group(group, most=32)
        return len(late)

    def cancel(self, name: str, *, in_flight: bool) -> str:
        task = self.tasks.get(name)
        if task is None:
            return "none"
        was = task.state
        if was == "running" or (was in RESTS and (task.expired or in_flight)):
            if was in {"delayed", "waiting"}:
                self._to_ready(name, task.queue)
            task.cancel = True
        elif was == "ready":
            self._leave_ready(name, "cancelled")
            self._end(task, "cancelled")
            for group in self.groups_of(name):
                self._wake_group(group)
        elif was in RESTS:
            self._end(task, "cancelled")
        return was

    def _end(self, task: Task, status: str) -> None:
        task.state, task.due, task.parked, task.expired, task.cancel, task.again = status, 0, "", 0, False, False

    def progress(self, name: str, token: int, number: int, value: float) -> bool:
        task = self._running(name, token)
        if not task or task.heard == f"{token}:{number}":
            return False
        task.heard, task.progress = f"{token}:{number}", min(100.0, max(task.progress, value))
        return True

    def limit(self, group: str, most: int | None) -> None:
        self.limits[group] = -1 if most is None else most
        self._wake_group(group, most=256)

    def adopt(self, name: str, token: int, *, seat: str) -> bool:
        """Its worker's beat was lost, and SQL says that it owns the job: it runs again."""
        task = self.tasks[name]
        if task.token > token or (task.token == token and task.state != "running" and task.expired != token):
            return False
        if task.state == "ready":
            self._leave_ready(name, "")
        if self.slots.get(task.seat) == name:
            del self.slots[task.seat]
        task.state, task.token, task.floor, task.seat, task.lease = (
            "running",
            token,
            token,
            seat,
            self.clock.ms + LEASE_MS,
        )
        task.nonce, task.known, task.expired, task.again, task.due, task.parked = "", 0, 0, False, 0, ""
        self.slots[seat] = name
        for group in self.groups_of(name):
            self._wake_group(group)
        return True
