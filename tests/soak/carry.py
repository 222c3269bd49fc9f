"""The one loop of a row: it feeds jobs, strikes when a blow is due, looks, and ends when everything has ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import RedisError

from errors import HostTrouble
from tests.soak.house import House
from tests.support.agree import disagreements

TICK_SECONDS = 0.02
LOOK_SECONDS = 0.25
REST_SECONDS = 45.0


@dataclass
class Every:
    """Something that happens again and again, at most `times`; the first time after one interval."""

    seconds: float
    strike: Callable[[], None]
    times: int = 1_000_000
    due: float = 0.0


@dataclass
class End:
    """How a row ended: in time, and at rest."""

    seconds: float
    in_time: bool
    unrest: list[str]
    codes: dict[str, int]


def carry(
    house: House,
    blows: Sequence[Every] = (),
    *,
    deadline: float,
    watch: Callable[[], None] = lambda: None,
    until: Callable[[], bool] | None = None,
    replace: Sequence[str] | None = None,
) -> float:
    """Go on until every job has ended (and `until` says so); the seconds it took. At the deadline it just ends.

    `replace`: the arguments of the workers that take the place of those that end by themselves.
    """
    began = now = time.monotonic()
    looked = fed = began
    for blow in blows:
        blow.due = began + blow.seconds
    while now - began < deadline:
        house.look()
        watch()
        for blow in blows:
            if blow.times > 0 and now >= blow.due:
                blow.times -= 1
                blow.strike()
                # From its end on: a blow that lasts leaves the jobs some time to themselves.
                blow.due = time.monotonic() + blow.seconds * house.dice.uniform(0.8, 1.2)
        if now - fed > 0.1:
            fed = now
            house.feed()
            if replace is not None:
                house.raise_the_dead(*replace)
        if now - looked > LOOK_SECONDS:
            looked = now
            if house.is_done() and (until is None or until()):
                break
        time.sleep(TICK_SECONDS)
        now = time.monotonic()
    return time.monotonic() - began


def come_to_rest(house: House, seconds: float, deadline: float) -> End:
    """No more blows: Redis is put right, every index is empty, the workers stop in order."""
    for one in house.workers:
        one.signal(signal.SIGCONT)
    until = time.monotonic() + REST_SECONDS
    unrest = ["not looked at"]
    while unrest and time.monotonic() < until:
        house.look()
        with suppress(HostTrouble, RedisError):
            unrest = standing(house)
        time.sleep(LOOK_SECONDS)
    for one in house.workers:
        one.signal(signal.SIGTERM)
    codes = {}
    for one in house.workers:
        one.wait()
        code = house.parent.exit_code(one)
        # One that was told to stop before it could listen has claimed nothing.
        is_unborn = code == -signal.SIGTERM and b'"worker_started"' not in one.log_file.read_bytes()
        codes[one.name] = 0 if is_unborn else code
    return End(seconds, seconds < deadline, unrest, codes)


def standing(house: House) -> list[str]:
    """What still stands in Redis though every job has ended, and what does not agree with SQL."""
    server, prefix = house.server.client(), house.client.queue.prefix
    wrong = []
    for key in server.scan_iter(match=f"{prefix}*", count=1000):
        kind = key.removeprefix(prefix).partition(":")[0]
        if kind in {"ready", "delayed", "leases", "parked", "lane", "inbox", "bad", "slots"}:
            wrong.append(f"{key} is not empty")
    return wrong or disagreements(house.client)
