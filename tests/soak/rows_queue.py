"""Rows about the queue itself: emptied, spoken to through a bad line, unfair, and full."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from database.tables import Event, Job
from tests.soak import ledger
from tests.soak.carry import Every, carry, come_to_rest
from tests.soak.forks import ROOT, ForkServer
from tests.soak.hooks import short_head_starts
from tests.soak.house import House, open_house
from tests.soak.jobs import Spec, mixed, plain
from tests.soak.measure import Result, measure
from tests.soak.plan import Plan
from tests.support.workers import wait_for

FLEET, SLOTS = 4, ("--concurrency", "4")
HEAD_START = 4.0  # seconds, instead of ten minutes
MAIN, READY = "video_generation_queue", 64
GROUP, LIMIT = "narrow", 2
# Where the group stands, looked at in one step: how many run, how many are held back, how many of it may be claimed.
AT_ONCE = """
local ready = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1] .. 'ready:' .. ARGV[2], 0, -1)) do
  if string.find(redis.call('HGET', KEYS[1] .. 'job:' .. id, 'groups') or '', ARGV[1], 1, true) then ready = ready + 1 end
end
return {redis.call('ZCARD', KEYS[1] .. 'group:' .. ARGV[1]),
  redis.call('ZCARD', KEYS[1] .. 'parked:' .. ARGV[1] .. ':' .. ARGV[2]), ready}
"""


def c5_flush(parent: ForkServer, plan: Plan) -> Result:
    """FLUSHALL in the middle: the same results as without, and nobody's crash."""
    with open_house(parent, seed=plan.seed) as house:
        house.ask_for(mixed(plan.jobs, plan.dice()))
        house.crew(FLEET, *SLOTS)

        def flush() -> None:
            house.server.client().flushall()
            house.redis_broke("flush")

        seconds = carry(house, [Every(8.0 if plan.jobs > 1000 else 2.0, flush)], deadline=plan.deadline)
        found = measure(house, "C5", come_to_rest(house, seconds, plan.deadline))
        found.blows = f"{len(house.blows)} times FLUSHALL"
        found.notes = f"right again in {max(house.healed, default=0):.1f} s at most"
        if not house.blows:
            found.faults.append("it was over before the first flush")
        return found


def c11_proxy(parent: ForkServer, plan: Plan) -> Result:
    """A line that drops 1 % of the replies, falls silent, or is 2 s late."""
    with open_house(parent, seed=plan.seed, LEASE_SECONDS="8", BEAT_SECONDS="1") as house, _bad_line(house) as said:
        house.ask_for(mixed(plan.jobs, plan.dice()))
        house.crew(FLEET, *SLOTS)
        seconds = carry(house, deadline=plan.deadline * 2)
        end = come_to_rest(house, seconds, plan.deadline * 2)
        found = measure(house, "C11", end)
        counts = said()
        found.blows = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        if not counts.get("replies dropped"):
            found.faults.append("the line dropped nothing")
        return found


@contextmanager
def _bad_line(house: House) -> Iterator[Any]:
    """The workers of this house speak to Redis through tests/soak/proxy.py; what it did, when asked."""
    socket, notes = house.folder / "line", house.folder / "line.notes"
    argv = [
        sys.executable,
        "-m",
        "tests.soak.proxy",
        str(socket),
        house.server.socket,
        str(house.dice.random()),
        str(notes),
    ]
    proxy = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True)
    try:
        wait_for(socket.exists, what="the proxy")
        house.env["REDIS_URL"] = f"unix://{socket}"
        yield lambda: Counter(notes.read_text().splitlines())
    finally:
        proxy.kill()
        proxy.communicate()


def c13_fair(parent: ForkServer, plan: Plan) -> Result:
    """Low jobs under a stream of high ones: none waits longer than the difference of head starts, and one job."""
    with short_head_starts(HEAD_START), open_house(parent, seed=plan.seed) as house:
        house.hooks["head_start"] = HEAD_START
        low = plain(2 * plan.jobs, prefix="low", stages=1, seconds=0.0, priority="low")
        unsent, sent, over = list(low), 0, False

        def high() -> None:
            """Some of them stand ready all the time, until the oldest low job has had its turn."""
            nonlocal sent, over
            over = over or house.has_begun(low[0].id)
            if over:
                return
            head = house.database.clock_us() / 1000 - HEAD_START * 1000
            if house.server.client().zcount(house.client.queue.key(f"ready:{MAIN}"), "-inf", head) < READY:
                batch = [Spec(f"high-{sent + one:06}", {"stages": 1}, {"priority": "high"}) for one in range(READY)]
                house.enqueue(batch)
                sent += READY

        def next_low() -> None:
            if sent and unsent:
                house.enqueue(unsent[:200])
                del unsent[:200]

        high()
        house.crew(FLEET, *SLOTS)
        blows = [Every(0.03, high), Every(0.05, next_low)]
        seconds = carry(house, blows, deadline=plan.deadline * 2, until=lambda: over and not unsent)
        found = measure(house, "C13", come_to_rest(house, seconds, plan.deadline * 2))
        waited, one_job = _wait_of(house, low[0].id), _longest_wait(house, "high-")
        found.blows = f"{len(low)} low jobs under {sent} high ones"
        found.notes = f"the oldest low job waited {waited:.1f} s, head starts differ by {2 * HEAD_START:g} s"
        # That high ones kept it waiting at all is seen in the long run; in a short one the stream of them may run dry.
        least = 0.0 if plan.small else HEAD_START
        if not least < waited <= 2 * HEAD_START + one_job + 1:
            found.faults.append(f"the oldest low job waited {waited:.1f} s, high ones at most {one_job:.1f} s")
        return found


def c14_limit(parent: ForkServer, plan: Plan) -> Result:
    """A limit of two, eight workers, storms of cancels: never more than two, and never idle with work held back."""
    with open_house(parent, seed=plan.seed) as house:
        house.client.limit(GROUP, LIMIT)
        ends = frozenset({"completed", "cancelled"})
        narrow = [replace(one, ends=ends) for one in plain(plan.jobs // 2, prefix="narrow", groups=(GROUP,), stages=2)]
        others = [replace(one, ends=ends) for one in mixed(plan.jobs - len(narrow), plan.dice())]
        specs = narrow + others
        plan.dice().shuffle(specs)
        house.ask_for(specs)
        house.crew(2 * FLEET)
        wrong: list[str] = []
        cancelled = 0

        def look() -> None:
            running, parked, ready = house.server.client().eval(AT_ONCE, 1, house.client.queue.prefix, GROUP, MAIN)
            if running > LIMIT:
                wrong.append(f"{running} of the group run")
            if running < LIMIT and parked and not ready:
                wrong.append(f"{running} of the group run, {parked} are held back and none is ready")

        def storm() -> None:
            nonlocal cancelled
            query = select(Job.id).where(Job.finished_ms.is_(None), Job.parent_id.is_(None)).limit(300)
            with house.database.read() as connection:
                open_ids = list(connection.execute(query).scalars())
            for job_id in house.dice.sample(open_ids, min(10, len(open_ids))):
                house.client.cancel(job_id)
                cancelled += 1

        seconds = carry(house, [Every(0.5, storm)], deadline=plan.deadline, watch=look)
        found = measure(house, "C14", come_to_rest(house, seconds, plan.deadline))
        most = ledger.weigh(line for line in ledger.read(house.logs) if line.job.startswith("narrow-")).most_at_once
        found.blows, found.notes = f"{cancelled} cancels", f"{most} of the group at once at most"
        if most != LIMIT:
            found.faults.append(f"{most} of the group ran at once, the limit is {LIMIT}")
        found.faults += wrong[:5]
        return found


def _wait_of(house: House, job_id: str) -> float:
    """Seconds from a job's enqueue to its first begin."""
    query = select(Event.kind, Event.at_ms).where(Event.job_id == job_id).order_by(Event.id.desc())
    with house.database.read() as connection:
        times = {row.kind: row.at_ms for row in connection.execute(query)}
    return float(times["processing"] - times["enqueued"]) / 1000


def _longest_wait(house: House, prefix: str) -> float:
    query = select(func.max(Job.started_ms - Job.created_ms)).where(Job.id.startswith(prefix))
    with house.database.read() as connection:
        return float(connection.execute(query).scalar_one() or 0) / 1000
