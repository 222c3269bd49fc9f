"""What Redis holds, read in one trip: as a Model, and the invariants of PROTOCOL section 7 that it breaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson

from redis_client.queue import Queue
from tests.support.edits import Clock
from tests.support.model import NOBODY, OPEN, Line, Model, Task

_ALL = """
local held = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind, body = redis.call('TYPE', key).ok, nil
  if kind == 'hash' then body = redis.call('HGETALL', key)
  elseif kind == 'list' then body = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'zset' then body = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'set' then body = redis.call('SMEMBERS', key)
  elseif kind == 'string' then body = redis.call('GET', key)
  else body = redis.call('XRANGE', key, '-', '+') end
  held[#held + 1] = {key, kind, body, redis.call('PTTL', key)}
end
return held
"""


@dataclass
class Held:
    """Every key, without the prefix; the default queue's list under "queue:<its name>"."""

    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    zsets: dict[str, dict[str, float]] = field(default_factory=dict)
    sets: dict[str, set[str]] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    streams: dict[str, list[Any]] = field(default_factory=dict)
    expiring: set[str] = field(default_factory=set)

    def of(self, prefix: str) -> dict[str, dict[str, float]]:
        """The sorted sets whose name begins so, by the rest of it."""
        return {key.removeprefix(prefix): ids for key, ids in self.zsets.items() if key.startswith(prefix)}

    def pushed(self) -> set[str]:
        """What other programs pushed, wherever it is kept."""
        return {value for values in self.lists.values() for value in values if is_foreign(value)}

    def silent(self, queue: str) -> bool:
        """Whether there are fewer bells than jobs: somebody took them, and a claim is due within the block time."""
        return len(self.lists.get(f"queue:{queue}", ())) < len(self.zsets.get(f"ready:{queue}", ()))

    def surplus(self, queue: str) -> list[str]:
        """Bells that hang for no job."""
        bells = [bell for bell in self.lists.get(f"queue:{queue}", ()) if not is_foreign(bell)]
        return bells[len(self.zsets.get(f"ready:{queue}", ())) :]

    def changes(self, after: Held) -> dict[str, tuple[Any, Any]]:
        """What is another thing afterwards, by key."""
        found: dict[str, tuple[Any, Any]] = {}
        for kind in ("hashes", "lists", "zsets", "sets", "strings", "streams"):
            mine, theirs = getattr(self, kind), getattr(after, kind)
            found |= {
                k: (mine.get(k), theirs.get(k)) for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k)
            }
        return found

    def jobs(self) -> dict[str, dict[str, str]]:
        return {key.removeprefix("job:"): fields for key, fields in self.hashes.items() if key.startswith("job:")}


def is_foreign(value: str) -> bool:
    return value.startswith("{")


def read(queue: Queue) -> Held:
    """All of Redis."""
    held = Held()
    answer: Any = queue.connections.commands().eval(_ALL, 0)
    for key, kind, body, ttl in answer:
        name = f"queue:{key}" if key == queue.namespace else key.removeprefix(queue.prefix)
        if ttl >= 0:
            held.expiring.add(name)
        if kind == "hash":
            held.hashes[name] = dict(zip(body[::2], body[1::2], strict=True))
        elif kind == "zset":
            held.zsets[name] = {one: float(score) for one, score in zip(body[::2], body[1::2], strict=True)}
        elif kind == "list":
            held.lists[name] = body
        elif kind == "set":
            held.sets[name] = set(body)
        elif kind == "stream":
            held.streams[name] = body
        else:
            held.strings[name] = body
    return held


def as_model(held: Held, clock: Clock) -> Model:
    """What the job records, and the keys that are no index, say; fields that mean nothing in a state are left out."""
    model = Model(clock)
    for name, fields in held.jobs().items():
        model.tasks[name] = _task(name, fields, held)
    model.slots = dict(held.hashes.get("slots", {}))
    model.limits = {group: int(most) for group, most in held.hashes.get("limits", {}).items()}
    model.paused = set(held.hashes.get("paused", {}))
    model.weights = {tenant: float(weight) for tenant, weight in held.hashes.get("weights", {}).items()}
    for queue, tags in held.of("lanes:").items():
        shares = held.hashes.get(f"fair:{queue}", {})
        paid = {who.removeprefix("tenant:"): float(tag) for who, tag in shares.items() if who != "served"}
        model.lines[queue] = Line(tags, paid, float(shares.get("served", 0)))
    swept = held.hashes.get("swept", {})
    model.swept_at, model.grace_until = int(swept.get("at", 0)), int(swept.get("grace_until", 0))
    return model


def _task(name: str, fields: dict[str, str], held: Held) -> Task:
    task = Task(
        queue=fields.get("queue", ""),
        tenant=fields.get("tenant", ""),
        pipeline=fields.get("pipeline", ""),
        groups=tuple(part for part in fields.get("groups", "").split(",") if part),
        score=float(fields.get("score", "nan")),
        state=fields.get("state", ""),
        floor=int(fields.get("floor", 0)),
        token=int(fields.get("token", 0)),
        progress=float(fields.get("progress", 0)),
        heard=fields.get("heard", ""),
    )
    if task.state in OPEN:
        task.expired = int(fields.get("expired", 0))
        task.cancel, task.again = "cancel" in fields, "again" in fields
    if task.state == "delayed":
        task.due = int(held.zsets.get("delayed", {}).get(name, 0))
    if task.state == "parked":
        task.parked = fields.get("parked", "")
    if task.state == "running":
        task.seat, task.nonce = fields.get("slot", ""), fields.get("nonce", "")
        task.known = int(fields.get("known", 0)) if task.nonce else 0
        task.lease = int(held.zsets.get("leases", {}).get(name, 0))
    return task


def broken(held: Held, *, workers: int, deaf: set[str] | None = None) -> list[str]:
    """Which invariants do not hold, in sentences. `deaf`: queues whose bells somebody else took."""
    model = as_model(held, Clock())
    wrong = [f"I1: {name} is set aside" for name in held.sets.get("bad", ())]
    wrong += _places(held, model)
    wrong += _seats(held, model)
    wrong += _groups(held, model)
    wrong += _bells(held, model, workers, deaf or set())
    for name, task in model.tasks.items():
        if not 0 <= task.progress <= 100:
            wrong.append(f"I18: the progress of {name} is {task.progress}")
        if (f"job:{name}" in held.expiring) == (task.state in OPEN):
            wrong.append(f"I1: {name} is {task.state}, and its record {'goes' if task.state in OPEN else 'stays'}")
    for key, events in held.streams.items():
        wrong += _events(key, [orjson.loads(fields[1]) for _, fields in events])
    return wrong


def _places(held: Held, model: Model) -> list[str]:
    """I1: in exactly the index that its state says. Lanes are the ready jobs again, by tenant."""
    wanted: dict[str, dict[str, float]] = {}
    for name, task in model.tasks.items():
        match task.state:
            case "ready":
                wanted.setdefault(f"ready:{task.queue}", {})[name] = task.score
                wanted.setdefault(f"lane:{task.queue}:{task.tenant}", {})[name] = task.score
            case "delayed":
                wanted.setdefault("delayed", {})[name] = held.zsets.get("delayed", {}).get(name, -1)
            case "parked":
                wanted.setdefault(f"parked:{task.parked}:{task.queue}", {})[name] = task.score
            case "running":
                wanted.setdefault("leases", {})[name] = held.zsets.get("leases", {}).get(name, -1)
    indexes = ("ready:", "lane:", "delayed", "parked:", "leases")
    found = {key: ids for key, ids in held.zsets.items() if key.startswith(indexes)}
    wrong = [
        f"I1: {key} holds {found.get(key, {})}, not {wanted.get(key, {})}"
        for key in sorted(found.keys() | wanted.keys())
        if found.get(key) != wanted.get(key)
    ]
    lanes = {key.removeprefix("lane:") for key in wanted if key.startswith("lane:")}
    known = {f"{queue}:{tenant}" for queue, tags in held.of("lanes:").items() for tenant in tags}
    if lanes != known:
        wrong.append(f"I1: tenants {lanes} have jobs, {known} have a turn")
    parking = {key.removeprefix("parked:") for key in wanted if key.startswith("parked:")}
    noted = {
        f"{key.removeprefix('parking:')}:{one}"
        for key, queues in held.sets.items()
        if key.startswith("parking:")
        for one in queues
    }
    groups = {one.rpartition(":")[0] for one in parking}
    if parking != noted or groups != held.sets.get("parking", set()):
        wrong.append(f"I4: parked in {parking}, noted are {noted} of {held.sets.get('parking')}")
    return wrong


def _seats(held: Held, model: Model) -> list[str]:
    """I3: slots and running jobs, one to one; one that was put back for a worker unknown has none."""
    seats = {task.seat: name for name, task in model.tasks.items() if task.state == "running" and task.seat != NOBODY}
    return [] if seats == model.slots else [f"I3: slots are {model.slots}, running are {seats}"]


def _groups(held: Held, model: Model) -> list[str]:
    """I2: in its groups iff it runs. I4: nobody sleeps beside free room, in any queue."""
    wrong = []
    counted = {group: set(ids) for group, ids in held.of("group:").items()}
    running: dict[str, set[str]] = {}
    for name, task in model.tasks.items():
        for group in model.groups_of(name) if task.state == "running" else ():
            if model.limits[group] >= 0:
                running.setdefault(group, set()).add(name)
    if counted != running:
        wrong.append(f"I2: of the groups run {running}, counted are {counted}")
    for group, queue in {(task.parked, task.queue) for task in model.tasks.values() if task.state == "parked"}:
        if model.room(group) > 0 and not any(group in model.groups_of(one) for one in model.ready(queue)):
            wrong.append(f"I4: {model.held_back(group, queue)} sleep in {queue} for {group}, which has room")
    return wrong


def _bells(held: Held, model: Model, workers: int, deaf: set[str]) -> list[str]:
    """I5: where a job is ready a bell hangs (nobody listens to a paused queue). I16: not many more bells than jobs."""
    wrong = []
    queues = {task.queue for task in model.tasks.values()} | {key.removeprefix("queue:") for key in held.lists}
    for queue in queues:
        bells, ready = held.lists.get(f"queue:{queue}", []), model.ready(queue)
        if ready and not bells and queue not in model.paused | deaf:
            wrong.append(f"I5: {ready} are ready in {queue}, and nobody rings")
        own = [bell for bell in bells if not is_foreign(bell)]
        if len(own) > len(ready) + workers:
            wrong.append(f"I16: {len(own)} bells in {queue} for {len(ready)} jobs and {workers} workers")
    return wrong


def _events(key: str, events: list[dict[str, Any]]) -> list[str]:
    """I18, as readers see it."""
    wrong = []
    for before, after in pairwise(events):
        if after["seq"] <= before["seq"]:
            wrong.append(f"I18: {key} goes from {before['seq']} to {after['seq']}")
        if after["progress"] < before["progress"]:
            wrong.append(f"I18: {key} falls from {before['progress']} to {after['progress']}")
    return wrong
