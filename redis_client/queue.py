"""The moves of the queue protocol, one function a Lua file, and the grants they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from database.jobs import OpenJob
from errors import InvalidInput
from redis_client.connection import Connections, queue_errors, raw, repeat
from redis_client.scripts import call_script, load_script
from settings import get_settings

HEAD_START_SECONDS = {"high": 600, "normal": 0, "low": -600}
PRIORITY_NUMBERS = {1: "low", 2: "low", 3: "normal", 4: "high", 5: "high"}
SWEEP_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Slot:
    """Who claims: the worker's uuid and its id for people, the slot's name, the queues it serves."""

    worker: str
    label: str
    name: str
    queues: tuple[str, ...]
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to run a job: `token` is its fence, `expired` the token whose lease ran out (0: none)."""

    job_id: str
    token: int
    expired: int
    queue: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing to take; `wait_seconds` until the next delayed job (None: none), `again` when more must be examined."""

    wait_seconds: float | None
    again: bool
    paused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Busy:
    """The slot still holds this job in Redis."""

    job_id: str


Claim = Grant | Nothing | Busy


def priority_name(value: str | int) -> str:
    """`high`, `normal` or `low` from a word or a number from 1 (low) to 5 (high)."""
    if isinstance(value, int) and not isinstance(value, bool) and value in PRIORITY_NUMBERS:
        return PRIORITY_NUMBERS[value]
    if isinstance(value, str) and value in HEAD_START_SECONDS:
        return value
    raise InvalidInput(f"priority={value!r}: use high, normal or low, or a number from 1 (low) to 5 (high)")


def now_iso() -> str:
    """UTC now, as people and programs read it; it decides nothing."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Queue:
    """The moves against one namespace of one Redis."""

    def __init__(self, connections: Connections, namespace: str | None = None) -> None:
        self.connections = connections
        self._namespace = namespace

    @property
    def namespace(self) -> str:
        """Also the literal name of the default queue's list."""
        return self._namespace or get_settings().queue_namespace

    @property
    def prefix(self) -> str:
        """What every key but the default list begins with; the braces keep them in one Cluster slot."""
        return "{" + self.namespace + "}:"

    def list_key(self, queue: str) -> str:
        """The doorbell list of a queue."""
        return self.namespace if queue == self.namespace else f"{self.prefix}queue:{queue}"

    def queue_of_list(self, key: str) -> str:
        """The queue whose doorbell list this is."""
        return self.namespace if key == self.namespace else key.removeprefix(f"{self.prefix}queue:")

    def key(self, name: str) -> str:
        """A key of this namespace."""
        return self.prefix + name

    def enqueue(self, job: OpenJob, *, mode: str = "new") -> bool:
        """Place an open job; False when it stands somewhere already."""
        return bool(self._run("enqueue", **self._placement(job, mode))[0])

    def enqueue_many(self, jobs: Sequence[OpenJob]) -> None:
        """Place many new jobs in one trip."""
        script = load_script("enqueue")

        def move() -> None:
            client = self.connections.commands()
            client.script_load(script.source)
            pipe = client.pipeline(transaction=False)
            for job in jobs:
                pipe.evalsha(script.sha, 1, self.prefix, *script.arrange(self._placement(job, "new")))
            pipe.execute()

        repeat(move)

    def claim(self, slot: Slot, *, nonce: str, popped: tuple[str, str] = ("", "")) -> Claim:
        """Take the best ready job of the slot's queues. `popped` is what BLPOP brought: queue and value."""
        return _read_grant(
            self._run(
                "claim", **self._slot(slot, nonce), popped_queue=popped[0], popped_value=raw(popped[1]), stamp=now_iso()
            )
        )

    def finish(
        self,
        slot: Slot,
        grant: Grant,
        *,
        status: str,
        stage: str = "",
        progress: float = 0.0,
        message: str = "",
        nonce: str = "",
    ) -> Claim | None:
        """End a job in Redis; with a nonce also claim the next one for the slot."""
        answer = self._run(
            "finish",
            **self._slot(slot, nonce),
            stamp=now_iso(),
            id=grant.job_id,
            token=str(grant.token),
            status=status,
            stage=stage,
            progress=progress,
            message=message,
        )
        return _read_grant(answer[1]) if answer[1] else None

    def requeue(
        self,
        slot: Slot,
        grant: Grant,
        *,
        queue: str | None = None,
        delay_seconds: float = 0.0,
        floor: int = 0,
        message: str = "",
        nonce: str = "",
    ) -> Claim | None:
        """Give a running job back; with a nonce also claim the next one for the slot."""
        answer = self._run(
            "requeue",
            **self._slot(slot, nonce),
            stamp=now_iso(),
            id=grant.job_id,
            token=str(grant.token),
            queue=queue or grant.queue,
            delay_ms=int(delay_seconds * 1000),
            floor=str(floor),
            message=message,
        )
        return _read_grant(answer[1]) if answer[1] else None

    def beat(
        self,
        client: Any,
        *,
        worker: str,
        lease_seconds: float,
        record: dict[str, Any],
        jobs: Sequence[tuple[str, int]],
    ) -> list[str]:
        """Renew the leases of these (job id, token); one word each: ok, cancel, lost. Uses the beat's own client."""
        with queue_errors():
            answer = call_script(
                client,
                "beat",
                self.prefix,
                worker=worker,
                lease_ms=int(lease_seconds * 1000),
                record_ttl_seconds=int(lease_seconds * 4) + 1,
                record=orjson.dumps(record),
                jobs=orjson.dumps([[job_id, str(token)] for job_id, token in jobs]),
            )
        return [str(word) for word in answer]

    def sweep(self, *, lease_seconds: float, sweep_seconds: float) -> dict[str, int]:
        """Promote due jobs and take back those whose lease ran out; counts, and whether Redis knew of any sweep."""
        gap = max(3 * sweep_seconds, lease_seconds / 2)
        expired, promoted, bad, fresh = self._run(
            "sweep",
            lease_ms=int(lease_seconds * 1000),
            gap_ms=int(gap * 1000),
            limit=SWEEP_LIMIT,
            stamp=now_iso(),
        )
        return {"expired": expired, "promoted": promoted, "bad": bad, "fresh": fresh}

    def cancel(self, job_id: str, *, in_flight: bool = False) -> str:
        """Take a job out of every index, or flag it when it runs or SQL has it in flight; what it was."""
        return str(self._run("cancel", id=job_id, stamp=now_iso(), in_flight=int(in_flight)))

    def progress(
        self,
        job_id: str,
        token: int,
        number: int,
        *,
        progress: float,
        stage: str,
        active: Sequence[str],
        label: str,
        message: str = "",
    ) -> bool:
        """Publish progress; False when the token is stale or this number was heard."""
        with queue_errors():  # sent once: the next one says the same and more
            return bool(
                call_script(
                    self.connections.commands(),
                    "progress",
                    self.prefix,
                    id=job_id,
                    token=str(token),
                    number=number,
                    progress=round(progress, 2),
                    stage=stage,
                    active=orjson.dumps(list(active)),
                    label=label,
                    message=message,
                    stamp=now_iso(),
                )
            )

    def adopt(self, job: OpenJob, *, token: int, lease_seconds: float, slot: Slot | None = None) -> bool:
        """Put a job back as running for its owner in SQL; False when a newer token holds it."""
        return bool(
            self._run(
                "adopt",
                worker=slot.worker if slot else "",
                label=slot.label if slot else "",
                slot=slot.name if slot else "",
                id=job.id,
                token=str(token),
                queue=job.queue,
                pipeline=job.pipeline,
                tenant=job.tenant,
                lease_ms=int(lease_seconds * 1000),
                progress=job.progress,
                score=str(job.created_ms - HEAD_START_SECONDS[job.priority] * 1000),
            )
        )

    def resume(self, queue: str) -> None:
        """A queue is no longer paused: ring for what stands in it."""
        self._run("resume", queue=queue)

    def inspect(self, job_id: str) -> tuple[str, int, bool]:
        """(state, token, whether its index holds it); state is "" for an unknown job."""
        state, token, held = self._run("inspect", id=job_id)
        return str(state), int(token), bool(held)

    def lease_alive(self, job_id: str) -> bool:
        """Whether somebody's lease on this job has not run out."""
        with queue_errors():
            client = self.connections.commands()
            seconds, micros = client.time()
            deadline: Any = client.zscore(self.key("leases"), job_id)
        return deadline is not None and deadline > seconds * 1000 + micros / 1000

    def forget_worker(self, worker: str) -> None:
        """A worker that leaves in order takes its record along."""
        with queue_errors():
            client = self.connections.commands()
            client.zrem(self.key("workers"), worker)
            client.delete(self.key(f"worker:{worker}"))

    def mend(self, job_id: str, state: str) -> bool:
        """Forget the state of a job that its own index lost."""
        return bool(self._run("mend", id=job_id, state=state))

    def _run(self, name: str, **values: Any) -> Any:
        return repeat(lambda: call_script(self.connections.commands(), name, self.prefix, **values))

    def _slot(self, slot: Slot, nonce: str) -> dict[str, Any]:
        return {
            "worker": slot.worker,
            "label": slot.label,
            "slot": slot.name,
            "nonce": nonce,
            "lease_ms": int(slot.lease_seconds * 1000),
            "queues": ",".join(slot.queues) if nonce else "",
        }

    def _placement(self, job: OpenJob, mode: str) -> dict[str, Any]:
        return {
            "mode": mode,
            "id": job.id,
            "queue": job.queue,
            "pipeline": job.pipeline,
            "tenant": job.tenant,
            "head_start_ms": HEAD_START_SECONDS[job.priority] * 1000,
            "delay_ms": max(0, job.wait_ms),
            "created_ms": job.created_ms,
            "floor": str(job.fence),
            "progress": job.progress,
            "stamp": now_iso(),
            "stage": job.stage or "",
        }


def _read_grant(answer: Sequence[Any]) -> Claim:
    match answer[0]:
        case "granted":
            return Grant(str(answer[1]), int(answer[2]), int(answer[3]), str(answer[4]))
        case "busy":
            return Busy(str(answer[1]))
        case _:
            wait = int(answer[1])
            paused = tuple(part for part in str(answer[3]).split(",") if part)
            return Nothing(None if wait < 0 else wait / 1000, str(answer[2]) == "1", paused)
