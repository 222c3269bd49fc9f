"""What Linux knows of a process: memory and CPU time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

LOOK_SECONDS = 0.1


def memory_mb(pid: int) -> tuple[float, float]:
    """(RSS, PSS) in MB of 1024 * 1024 bytes."""
    found = {"Rss": 0.0, "Pss": 0.0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) / 1024
    return found["Rss"], found["Pss"]


def tree_mb(pid: int) -> float:
    """PSS in MB of everything below a process: what is shared counts once."""
    total, below = 0.0, _children(pid)
    while below:
        child = below.pop()
        with suppress(OSError):
            total += memory_mb(child)[1]
        below += _children(child)
    return total


@contextmanager
def peak_of_tree(pid: int) -> Iterator[Callable[[], float]]:
    """Looks at `tree_mb` ten times a second; what is given tells the most that it has seen."""
    peak, done = 0.0, Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(LOOK_SECONDS):
            peak = max(peak, tree_mb(pid))

    watcher = Thread(target=watch, name="peak", daemon=True)
    watcher.start()
    try:
        yield lambda: peak
    finally:
        done.set()
        watcher.join()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """The CPU time of all its living threads, to the nanosecond; none of them may end between two looks."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9
