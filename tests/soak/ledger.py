"""What was really done: one line at the start and one at the end of each stage's work, by the worker that does it.

The line at the start says whether the work's own checkpoint was committed already: finished work that is done again
shows here whatever the records say of it later. It also says whether the claim was overtaken by then: a worker that was
stopped between the commit that begins a stage and its work does begin it, in vain, when it wakes; its writes are refused.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select

from database.tables import Job, Stage
from pipeline.context import Context
from pipeline.stage import find_stage, stages
from states import ENDED, StageStatus

STAGE = "selftest_step"
DIED = "died"  # the last line of a worker that was to die at a point, which `job` names


class Line(NamedTuple):
    """One line; `what` is start, done, or the name of the error that ended the work. `at` is on CLOCK_MONOTONIC."""

    what: str
    job: str
    stage: str
    item: str
    token: int
    owner: str
    at: float
    finished: bool = False  # at the start: this very work had its checkpoint already
    ended: bool = False  # at the start: the job had ended
    stale: bool = False  # at the start: the job had been claimed again since

    @property
    def work(self) -> tuple[str, str, str]:
        """Which work it is about."""
        return self.job, self.stage, self.item


Write = Callable[[Line], None]


def install(write: Write) -> Callable[[], None]:
    """Wrap the work of `selftest` in this process; what it returns takes the wrapper off again."""
    bare = find_stage(STAGE)

    @functools.wraps(bare.function)
    def noted(context: Context, *arguments: Any) -> Any:
        holder = context.family._family.holder
        finished, ended, stale = _look_up(context)

        def note(what: str, *facts: bool) -> None:
            work = context.job_id, context.stage, context.item
            write(Line(what, *work, holder.token, holder.owner, time.monotonic(), *facts))

        note("start", finished, ended, stale)
        try:
            result = bare.function(context, *arguments)
        except BaseException as error:
            note(type(error).__name__)
            raise
        note("done")
        return result

    stages()[STAGE] = replace(bare, function=noted)

    def take_off() -> None:
        stages()[STAGE] = bare

    return take_off


def _look_up(context: Context) -> tuple[bool, bool, bool]:
    """Whether this work's checkpoint is committed, whether its job has ended, and whether it was claimed again."""
    key = (Stage.job_id == context.job_id, Stage.stage == context.stage, Stage.item == context.item)
    with context.database.read() as connection:
        done = connection.execute(select(Stage.status).where(*key)).scalar()
        job = connection.execute(select(Job.status, Job.fence).where(Job.id == context.job_id)).one()
    return done == StageStatus.COMPLETED, job.status in ENDED, job.fence > context.family._family.holder.token


class Book:
    """The ledger of one process: appended line by line, so that a kill takes at most the line being written."""

    def __init__(self, path: Path) -> None:
        self._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, line: Line) -> None:
        os.write(self._out, orjson.dumps(list(line)) + b"\n")


def read(folder: Path) -> Iterator[Line]:
    """Every line of every ledger of a folder."""
    for path in sorted(folder.glob("*.ledger")):
        for text in path.read_bytes().splitlines():
            try:
                yield Line(*orjson.loads(text))
            except orjson.JSONDecodeError:
                continue  # its worker was killed while it wrote this


@dataclass
class Work:
    """What the ledgers say of a whole run."""

    starts: int = 0
    works: int = 0
    repeated: int = 0  # starts of work that was finished
    after_end: int = 0  # starts of work of a job that had ended
    in_vain: int = 0  # starts of such work under a claim that was overtaken
    two_owners: int = 0  # tokens under which two workers worked
    most_at_once: int = 0

    @property
    def again(self) -> int:
        """Starts of work that was begun before and cut off."""
        return self.starts - self.works


def weigh(lines: Iterable[Line]) -> Work:
    """Count what must not be, and what it cost."""
    works: set[tuple[str, str, str]] = set()
    owners: dict[tuple[str, int], set[str]] = {}
    found = Work()
    at_once: list[tuple[float, int]] = []
    for line in lines:
        if line.what == DIED:
            continue
        at_once.append((line.at, 1 if line.what == "start" else -1))
        if line.what != "start":
            continue
        found.starts += 1
        works.add(line.work)
        if line.stale:
            found.in_vain += line.finished or line.ended
        else:
            found.repeated += line.finished
            found.after_end += line.ended
        owners.setdefault((line.job, line.token), set()).add(line.owner)
    found.works = len(works)
    found.two_owners = sum(len(names) > 1 for names in owners.values())
    now = 0
    for _, step in sorted(at_once):
        now += step
        found.most_at_once = max(found.most_at_once, now)
    return found
