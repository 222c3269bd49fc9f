"""How many processes render one film at once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": two cores' worth; "max 100000": no limit
FROM_CORES, MOST = 3, 8  # one process and its encoder keep two cores busy; each more costs 230 MB


def processes(films: int = 1) -> int:
    """How many, when that many films may be made at once: one for each two cores, from three cores up."""
    return processes_for(cores() // max(1, films))


def processes_for(cores: int) -> int:
    """How many on that many cores."""
    return 1 if cores < FROM_CORES else min(MOST, max(2, cores // 2))


def cores() -> int:
    """The cores that this process may use: by its affinity, and by its container's share."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, quota(QUOTA) or allowed))


def quota(path: Path) -> int:
    """The whole cores in a cgroup's `cpu.max`; 0 where there is no limit, or no such file."""
    with suppress(OSError, ValueError):
        share, period = path.read_text().split()[:2]
        if share != "max":
            return max(1, int(share) // int(period))
    return 0
