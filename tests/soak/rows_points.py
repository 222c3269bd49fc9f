"""Rows at exact places: a real SIGKILL after every durable step, and a database that goes away in mid-stage."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from database.tables import Event
from tests.soak import ledger
from tests.soak.carry import Every, carry, come_to_rest
from tests.soak.forks import ForkServer
from tests.soak.house import House, open_house
from tests.soak.jobs import mixed
from tests.soak.measure import Result, measure
from tests.soak.plan import Plan
from tests.support.crews import hold
from tests.support.servers import NOBODY, postgres_server
from tests.support.workers import wait_for

FLEET, SLOTS = 4, ("--concurrency", "2")
BACK_SECONDS = 10.0


def points(parent: ForkServer, plan: Plan) -> Result:
    """SIGKILL after every durable step: the first worker dies after its first, the next one after its second."""
    with open_house(parent, seed=plan.seed) as house:
        last = plan.pick(400, 40)
        house.ask_for(mixed(plan.jobs, plan.dice(), seconds=0.0))
        number = 0

        def next_one() -> None:
            """There is always a full crew; once every number was given, of workers that live."""
            nonlocal number
            house.bury_the_dead()
            while len(house.workers) < FLEET:
                number += 1
                house.fork(*SLOTS, hooks={"die_at": number} if number <= last else {})

        next_one()
        seconds = carry(house, deadline=plan.deadline * 2, watch=next_one)
        found = measure(house, "P", come_to_rest(house, seconds, plan.deadline * 2))
        deaths = [line.job for line in ledger.read(house.logs) if line.what == ledger.DIED]
        found.blows = f"{len(deaths)} SIGKILLs after {len(set(deaths))} kinds of durable steps"
        found.notes = ", ".join(sorted(set(deaths)))
        return found


def c10_postgresql(parent: ForkServer, plan: Plan) -> Result:
    """PostgreSQL is away for a minute in mid-stage: nothing is counted, and work goes on within 10 s after."""
    with postgres_server() as url, open_house(parent, seed=plan.seed, url=url) as house:
        with house.database.write() as connection:
            # Tests that kill no server answer before the log is written; here a commit that was answered must stand.
            connection.exec_driver_sql("ALTER ROLE postgres SET synchronous_commit = on")
        house.database.dispose()
        house.ask_for(mixed(plan.jobs, plan.dice(), seconds=0.05))
        house.crew(FLEET, *SLOTS)
        server = Postmaster(house)
        back: list[float] = []

        def away() -> None:
            server.kill()
            hold(plan.pick(60, 6))
            server.start()
            wait_for(house.database.ping, 60, what="PostgreSQL")
            at_ms, began = house.database.clock_us() // 1000, time.monotonic()
            wait_for(lambda: _completed_since(house, at_ms), 60, what="a completed job")
            back.append(time.monotonic() - began)
            house.note("away")

        try:
            seconds = carry(house, [Every(3.0, away, 1)], deadline=plan.deadline * 2, replace=SLOTS)
            found = measure(house, "C10", come_to_rest(house, seconds, plan.deadline * 2))
            found.blows, found.heal = f"PostgreSQL away for {plan.pick(60, 6)} s", max(back, default=None)
            if not back or max(back) > BACK_SECONDS:
                found.faults.append(f"work went on {max(back, default=0):.1f} s after it was back")
            return found
        finally:
            house.database.dispose()
            server.kill()


def _completed_since(house: House, at_ms: int) -> bool:
    query = select(func.count()).where(Event.kind == "completed", Event.at_ms > at_ms)
    with house.database.read() as connection:
        return bool(connection.execute(query).scalar_one())


class Postmaster:
    """The packaged PostgreSQL of tests/support, killed and started again as it was."""

    def __init__(self, house: House) -> None:
        with house.database.read() as connection:
            folder = connection.exec_driver_sql("SHOW data_directory").scalar_one()
        self.pid_file = Path(folder) / "postmaster.pid"
        self.pid = int(self.pid_file.read_text().split()[0])
        self.argv = Path(f"/proc/{self.pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        self.handle = os.pidfd_open(self.pid)
        self.again: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """SIGQUIT: as a crash, but it takes its children along."""
        if self.again is not None:
            self.again.send_signal(signal.SIGQUIT)
            self.again.wait()
        else:
            signal.pidfd_send_signal(self.handle, signal.SIGQUIT)
        wait_for(lambda: not self.pid_file.exists(), what="the end of PostgreSQL")

    def start(self) -> None:
        user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        with Path(os.devnull).open("wb") as out:
            self.again = subprocess.Popen(
                self.argv,
                cwd=self.pid_file.parent,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **user,
            )
