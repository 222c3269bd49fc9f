"""What a stage sees: its payload, earlier results, files, providers, progress, and when to stop."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Unpack

import structlog
from sqlalchemy import Connection

import process
from artifacts import Artifact, LocalStore
from database.engine import Database
from errors import HostTrouble, Permanent
from pipeline.family import Child, ChildOptions, Children
from pipeline.fetch import fetch
from pipeline.providers.paid import Ledger, PaidCall
from pipeline.stop import StopSignal
from settings import Settings

T = TypeVar("T")


class Reads:
    """The payload as a stage declared to read it; anything else is not there."""

    def __init__(self, payload: Any, fields: Sequence[str] | None) -> None:
        self._payload, self._fields = payload, fields

    def __getattr__(self, name: str) -> Any:
        if self._fields is not None and name not in self._fields:
            raise AttributeError(f"this stage does not declare that it reads {name!r}: add it to reads=(...)")
        return getattr(self._payload, name)


@dataclass
class Context:
    """One stage of one job, or one item of it. Talks to Redis and SQL only through its methods."""

    job_id: str
    tenant: str
    pipeline: str
    stage: str
    item: str
    attempt: int
    payload: Any
    options: dict[str, Any]
    results: dict[str, Any]
    stop: StopSignal
    store: LocalStore
    database: Database
    settings: Settings
    report: Callable[[float, str], None]
    find_provider: Callable[[str], Any]
    family: Children
    ledger: Ledger
    made: list[Artifact] = field(default_factory=list)
    _workdir: Path | None = None

    @property
    def log(self) -> Any:
        """The job's logger."""
        return structlog.get_logger()

    def result(self, stage: str) -> Any:
        """The result of an earlier stage; a list of results, in order, for a stage with items."""
        return self.results[stage]

    def check(self) -> None:
        """Raise Interrupted or Fenced when the stage must stop."""
        self.stop.check()

    def progress(self, share: float, message: str = "") -> None:
        """Say how far this stage, or item, is (0..1); also the place where it learns that it must stop."""
        self.stop.check()
        self.report(share, message)

    def sleep(self, seconds: float) -> None:
        """Wait, unless the stage must stop first."""
        self.stop.wait(seconds)

    def provider(self, capability: str) -> Any:
        """The provider that this job uses for a capability; chosen once a job."""
        return self.find_provider(capability)

    def charge(self, call: PaidCall) -> Any:
        """Make a paid call of the stage's own, once: its answer is kept, and found again by every later try."""
        return self.ledger.charge(call)

    def spawn(
        self,
        pipeline: str,
        payload: dict[str, Any],
        *,
        key: str = "",
        on_failure: str = "fail",
        **options: Unpack[ChildOptions],
    ) -> str:
        """Start another job as a child of this one; its id. The same call of a later try finds the same child.

        `key` names the child among those of this stage; without it the calls are numbered, so their order must not
        change. `on_failure`, when the child fails in the end: "fail" this job too, "skip" it, or "wait" for a person.
        """
        return self.family.spawn(pipeline, payload, key=key, on_failure=on_failure, options=options)

    def join(self, *job_ids: str) -> list[Child]:
        """How the children ended (those of `job_ids`; all that this stage has started unless given), in that order.

        While one is open the job gives its slot back; the stage begins anew when the last one has ended. Errors:
        ChildFailed when a child of the edge "fail" failed.
        """
        return self.family.join(job_ids)

    @property
    def workdir(self) -> Path:
        """A folder of this try's own; gone when the try ends."""
        if self._workdir is None:
            root = self.settings.state_dir / "work"
            try:
                root.mkdir(parents=True, exist_ok=True)
                self._workdir = Path(tempfile.mkdtemp(prefix=f"{self.stage}-", dir=root))
            except OSError as error:
                raise HostTrouble(f"no work folder under {root}: {error.strerror}") from error
        return self._workdir

    def keep(self, path: Path, *, media_type: str, name: str = "") -> Artifact:
        """Put a finished file into the store, durably."""
        artifact = self.store.put(path, media_type=media_type, name=name)
        self.made.append(artifact)
        return artifact

    def path(self, artifact: Artifact) -> Path:
        """Where a stored file is."""
        path = self.store.path(artifact)
        if not path.is_file():
            raise Permanent(f"the file {artifact.name or artifact.sha256[:12]} is no longer in the artifact store")
        return path

    def file(self, given: Artifact | str, name: str, *, most_bytes: int) -> Path:
        """A file of the user's: where it is stored, or fetched from its address into the work folder under a name."""
        if isinstance(given, Artifact):
            return self.path(given)
        path = self.workdir / name
        fetch(given, path, most_bytes=most_bytes, check=self.check)
        return path

    def child(self, argv: Sequence[str], *, timeout_seconds: float, **options: Any) -> process.Completed:
        """Run a child process that stops when the stage must, and dies with the worker."""
        return process.run(argv, timeout_seconds=timeout_seconds, check=self.stop.check, **options)

    def read(self, query: Callable[[Connection], T]) -> T:
        """Ask the tables of the stage's own family."""
        with self.database.read() as connection:
            return query(connection)


@contextmanager
def tidy(context: Context) -> Iterator[Context]:
    """Remove the try's work folder at its end, however it ends."""
    try:
        yield context
    finally:
        if context._workdir is not None:  # noqa: SLF001 - the context's own housekeeping
            shutil.rmtree(context._workdir, ignore_errors=True)  # noqa: SLF001
