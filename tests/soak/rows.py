"""All rows by name."""

from __future__ import annotations

from collections.abc import Callable

from tests.soak import rows_kill, rows_points, rows_queue, rows_time
from tests.soak.forks import ForkServer
from tests.soak.measure import Result
from tests.soak.plan import Plan

ROWS: dict[str, Callable[[ForkServer, Plan], Result]] = {
    "C1": rows_kill.c1_idle,
    "C2": rows_kill.c2_kills,
    "C2X": rows_kill.c2x_whole_processes,
    "C3": rows_kill.c3_kills_and_redis,
    "C4": rows_kill.c4_cut_log,
    "C5": rows_queue.c5_flush,
    "C7": rows_time.c7_zombies,
    "C8": rows_time.c8_long,
    "C9": rows_time.c9_rolling,
    "C10": rows_points.c10_postgresql,
    "C11": rows_queue.c11_proxy,
    "C12": rows_kill.c12_killer,
    "C13": rows_queue.c13_fair,
    "C14": rows_queue.c14_limit,
    "C15": rows_time.c15_clock,
    "P": rows_points.points,
}
