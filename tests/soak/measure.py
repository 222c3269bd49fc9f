"""What a row cost: from SQL, from Redis, from the ledgers of the workers and from their logs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, select

from database.tables import Event, Job, Stage
from states import ENDED, OPEN, JobStatus
from tests.soak import ledger
from tests.soak.carry import End
from tests.soak.house import House
from tests.soak.rules import broken_rules
from tests.soak.vendor import paid_twice, unsettled

STALE = ("stale_write_refused", "job_lost")

# Nothing here is what a row does to the workers: each is a fault of the program.
ALARMS = ("thread_died", "reconcile_failed", "letter_deferred", "limits_ignored", "Traceback")


@dataclass
class Result:
    """One row of the table."""

    row: str
    blows: str = ""
    jobs: int = 0
    lost: int = 0  # enqueued and not there, or nowhere in Redis and open for ever
    stuck: int = 0  # open at the end, or still standing somewhere in Redis
    wrong: int = 0  # ended otherwise, or with another result, than it must
    repeated: int = 0  # finished stages whose work was done again
    twice: int = 0  # ended twice
    double: int = 0  # one claim in two hands
    paid_twice: int = 0
    burnt: int = 0  # attempts that no failure burnt, crashes that no death explains
    unsaid: int = 0  # stale workers of whose refusal no line tells
    again: int = 0  # unfinished stages begun again
    in_vain: int = 0  # finished stages that a worker began which had slept past its lease
    crashes: int = 0
    stale: int = 0  # lines that tell of a refused write
    heal: float | None = None
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    notes: str = ""

    MUST_BE_ZERO = ("lost", "stuck", "wrong", "repeated", "twice", "double", "paid_twice", "burnt", "unsaid")

    @property
    def is_good(self) -> bool:
        return not self.faults and not any(getattr(self, name) for name in self.MUST_BE_ZERO)


def measure(house: House, row: str, end: End, *, deaths_by_themselves: bool = False) -> Result:
    """Look at everything; `deaths_by_themselves`: crashes need no blow of ours."""
    found = Result(row, seconds=end.seconds)
    _rows(house, found, end)
    _ends(house, found)
    _works(house, found)
    _crashes(house, found, explained=deaths_by_themselves)
    _heal(house, found)
    found.faults += broken_rules(house.database)
    _money(house, found)
    found.faults += [f"{name} exited with {code}" for name, code in end.codes.items() if code]
    if not end.in_time:
        found.faults.append(f"not at its end after {end.seconds:.0f} s")
    found.faults += end.unrest[:5]
    return found


def _rows(house: House, found: Result, end: End) -> None:
    """Every job that was asked for, and every job that one of them started, is there and came to what it must."""
    columns = (Job.id, Job.status, Job.result, Job.attempt, Job.in_flight, Job.parent_id)
    with house.database.read() as connection:
        rows = {row.id: row for row in connection.execute(select(*columns))}
    placed = _placed(house)
    for spec in house.specs:
        row = rows.get(spec.id)
        if row is None:
            found.lost += 1
            continue
        started = spec.following() if row.status == "completed" else ()
        found.lost += sum(1 for one in started if one not in rows)
        if row.status in ENDED:
            found.wrong += row.status not in spec.ends
            found.wrong += row.status == "completed" and row.result != spec.result()
    found.jobs = len(rows)
    for row in rows.values():
        if row.status in OPEN:
            found.stuck += row.id in placed
            found.lost += row.id not in placed
        found.burnt += row.status == "completed" and bool(row.attempt)
    found.stuck += len(placed - rows.keys())
    if end.unrest and not found.stuck:
        found.stuck = len(end.unrest)


def _placed(house: House) -> set[str]:
    """The jobs that stand somewhere in Redis."""
    server, prefix = house.server.client(), house.client.queue.prefix
    placed: set[str] = set()
    for key in server.scan_iter(match=f"{prefix}*", count=1000):
        if key.removeprefix(prefix).partition(":")[0] in {"ready", "delayed", "leases", "parked"}:
            placed.update(server.zrange(key, 0, -1))
    return placed


def _ends(house: House, found: Result) -> None:
    with house.database.read() as connection:
        ends = select(Event.job_id).where(Event.status.in_(ENDED)).group_by(Event.job_id).having(func.count() > 1)
        found.twice = len(connection.execute(ends).all())
        found.repeated = connection.execute(select(func.count()).where(Stage.executions > 1)).scalar_one()
        found.crashes = int(connection.execute(select(func.sum(Job.crashes))).scalar_one() or 0)


def _works(house: House, found: Result) -> None:
    work = ledger.weigh(ledger.read(house.logs))
    found.repeated += work.repeated
    found.again, found.in_vain, found.double = work.again, work.in_vain, work.two_owners
    if work.after_end:
        found.faults.append(f"{work.after_end} stages of ended jobs were begun")
    for path in house.logs.glob("*.log"):
        content = path.read_bytes()
        found.stale += sum(content.count(f'"event":"{name}"'.encode()) for name in STALE)
        for name in ALARMS:
            if f'"event":"{name}"'.encode() in content or (name == "Traceback" and b"\nTraceback" in content):
                found.faults.append(f"{name} in the log of {path.stem}: {_line_with(path, name)}")


def _crashes(house: House, found: Result, *, explained: bool) -> None:
    """A crash is counted for a job in flight under a worker that died, once, and for no other job."""
    with house.database.read() as connection:
        counted = connection.execute(select(Job.id, Job.crashes).where(Job.crashes > 0)).all()
    orphaned = _orphaned(house)
    for job, crashes in counted if not explained else ():
        deaths = sum(died for _, died in orphaned[job])
        if crashes > deaths:
            found.burnt += crashes - deaths
            living = ", ".join(worker for worker, died in orphaned[job] if not died)
            found.faults.append(f"{job} counts {crashes} crashes for {deaths} deaths; taken from the living: {living}")
    deaths = sum(len(blow.jobs) for blow in house.blows if blow.kind == "kill")
    found.notes = f"{deaths} in flight at a kill" if deaths else ""


def _orphaned(house: House) -> dict[str, list[tuple[str, bool]]]:
    """Each time that somebody began a job which another one held: that one, and whether it was dead by then."""
    query = select(Event.job_id, Event.kind, Event.status, Event.worker_id, Event.at_ms).order_by(Event.id)
    holders: dict[str, str] = {}
    found: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    with house.database.read() as connection:
        for job, kind, status, worker, at_ms in connection.execute(query):
            if kind in {"processing", "quarantined"} and (holder := holders.pop(job, None)) is not None:
                found[job].append((holder, house.killed.get(holder, at_ms) < at_ms))
            if kind == "processing" and worker is not None:
                holders[job] = worker
            elif status != JobStatus.PROCESSING:
                holders.pop(job, None)
    return found


def _money(house: House, found: Result) -> None:
    """What the vendor took, where work is paid for."""
    if house.book.is_dir():
        twice = paid_twice(house.book)
        found.paid_twice = len(twice)
        with house.database.read() as connection:
            found.faults += twice[:3] + unsettled(connection, house.book)


def _heal(house: House, found: Result) -> None:
    """The longest time from a blow to the next sign of life of each job that it hit, and until Redis was right."""
    query = select(Event.job_id, Event.at_ms).where((Event.kind == "processing") | Event.status.in_(ENDED))
    signs: dict[str, list[int]] = {}
    with house.database.read() as connection:
        for job_id, at_ms in connection.execute(query.order_by(Event.id)):
            signs.setdefault(job_id, []).append(at_ms)
    times = list(house.healed)
    for blow in house.blows:
        for job_id in blow.jobs:
            after = [at_ms for at_ms in signs.get(job_id, ()) if at_ms > blow.at_ms]
            if after:
                times.append((min(after) - blow.at_ms) / 1000)
    found.heal = max(times, default=None)
    if not house.is_healed:
        found.faults.append("nobody has put Redis right")


# -- logs --------------------------------------------------------------------------------------------------------------


def log_events(path: Path, *names: str) -> Iterator[dict[str, Any]]:
    """The events of these names in a worker's log."""
    marks = [f'"event":"{name}"'.encode() for name in names]
    for line in path.read_bytes().splitlines():
        if any(mark in line for mark in marks):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # cut off by a kill


def _line_with(path: Path, word: str) -> str:
    return next((line for line in path.read_text(errors="replace").splitlines() if word in line), "")[:600]


def unsaid(house: House) -> list[str]:
    """Claims that another one has overtaken while their worker lived, and of which no line of its log tells.

    For jobs that are begun once: each claim but the last was overtaken. A worker whose clock says that its lease is over
    writes nothing more and gives the job back; that is told as well.
    """
    last: dict[str, int] = {}
    claims: set[tuple[str, int, str]] = set()
    for line in ledger.read(house.logs):
        last[line.job] = max(last.get(line.job, 0), line.token)
        claims.add((line.job, line.token, line.owner))
    told = {
        (event.get("job_id"), event.get("token"))
        for path in house.logs.glob("*.log")
        for event in log_events(path, *STALE, "job_requeued")
    }
    return [
        f"{job} under {token} by {owner}"
        for job, token, owner in sorted(claims)
        if token < last[job] and owner not in house.killed and (job, token) not in told
    ]
