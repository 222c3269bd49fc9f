"""How many processes one film may keep busy at once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": two cores' worth; "max 100000": no limit
FROM_CORES, MOST = 3, 8  # one process and its encoder keep two cores busy; each more costs up to 340 MB
MOST_CHILDREN = 4  # that prepare pictures or sound side by side, of up to 260 MB each


def processes(films: int = 1) -> int:
    """How many, when that many films may be made at once: one for each two cores, from three cores up."""
    return processes_for(share_of(films))


def children_at_once(slots: int) -> int:
    """How many small children each of so many slots may run side by side: one for each core of its share."""
    return min(MOST_CHILDREN, share_of(slots))


def share_of(slots: int) -> int:
    """The cores that each of so many slots may use."""
    return max(1, cores() // max(1, slots))


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
