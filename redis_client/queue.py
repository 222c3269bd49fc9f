"""The moves of the queue protocol, one function a Lua file, and the grants they answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from database.open_jobs import OpenJob
from errors import InvalidInput
from redis_client.answers import Claim, Grant, Slot, Standing, read_grant
from redis_client.connection import Connections, ResponseError, queue_errors, raw, repeat
from redis_client.scripts import call_script, load_script
from settings import get_settings

HEAD_START_SECONDS = {"high": 600, "normal": 0, "low": -600}
PRIORITY_NUMBERS = {1: "low", 2: "low", 3: "normal", 4: "high", 5: "high"}
SWEEP_LIMIT = 500


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
        """Place an open job; False when it stands somewhere already. Modes: new, wake, reopen (see lua/enqueue.lua)."""
        return bool(self.run("enqueue", **self._placement(job, mode))[0])

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
        return read_grant(
            self.run(
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
        answer = self.run(
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
        return read_grant(answer[1]) if answer[1] else None

    def requeue(
        self,
        slot: Slot,
        grant: Grant,
        *,
        queue: str | None = None,
        delay_seconds: float = 0.0,
        waits: bool = False,
        floor: int = 0,
        message: str = "",
        nonce: str = "",
    ) -> Claim | None:
        """Give a running job back; with a nonce also claim the next one for the slot.

        `waits`: it stands in no index until somebody wakes it.
        """
        answer = self.run(
            "requeue",
            **self._slot(slot, nonce),
            stamp=now_iso(),
            id=grant.job_id,
            token=str(grant.token),
            queue=queue or grant.queue,
            delay_ms=-1 if waits else int(delay_seconds * 1000),
            floor=str(floor),
            message=message,
        )
        return read_grant(answer[1]) if answer[1] else None

    def beat(
        self,
        client: Any,
        *,
        worker: str,
        lease_seconds: float,
        record: dict[str, Any],
        jobs: Sequence[tuple[str, int]],
        holds: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """Renew the leases of these (job id, token); one word each: ok, cancel, lost. Uses the beat's own client.

        `holds`: (resource, holder) of the fleet-wide slots that its jobs hold (see redis_client/gates.py).
        """
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
                holds=orjson.dumps([list(pair) for pair in holds]),
            )
        return [str(word) for word in answer]

    def sweep(self, *, lease_seconds: float, sweep_seconds: float) -> dict[str, int]:
        """Promote due jobs, take back those whose lease ran out, wake groups with room; counts of each."""
        gap = max(3 * sweep_seconds, lease_seconds / 2)
        expired, promoted, bad, woken = self.run(
            "sweep",
            lease_ms=int(lease_seconds * 1000),
            gap_ms=int(gap * 1000),
            limit=SWEEP_LIMIT,
            stamp=now_iso(),
        )
        return {"expired": expired, "promoted": promoted, "bad": bad, "woken": woken}

    def cancel(self, job_id: str, *, in_flight: bool = False) -> str:
        """Take a job out of every index, or flag it when it runs or SQL has it in flight; what it was."""
        return str(self.run("cancel", id=job_id, stamp=now_iso(), in_flight=int(in_flight)))

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

    def adopt(self, job: OpenJob, *, token: int, lease_seconds: float, slot: Slot | None = None, held: int = 0) -> bool:
        """Put a job back as running for its owner in SQL; False when a newer token holds it, or it was settled.

        `held` is a token of the caller's own, which it gives up for the owner's sake.
        """
        return bool(
            self.run(
                "adopt",
                worker=slot.worker if slot else "",
                label=slot.label if slot else "",
                slot=slot.name if slot else "",
                id=job.id,
                token=str(token),
                **_facts(job),
                lease_ms=int(lease_seconds * 1000),
                progress=job.progress,
                stage=job.stage or "",
                score=_score(job),
                held=str(held),
            )
        )

    def reconcile(self, job: OpenJob, *, lease_seconds: float, sure: bool = False) -> str:
        """Compare one open job with what SQL says of it and repair it: fine, adopted, rebuilt, or ended or unsure.

        "ended", "unsure": Redis has it ended, or waiting after a newer claim; read SQL again, and come back with `sure`
        when it is still open there.
        """
        return str(
            self.run(
                "reconcile",
                id=job.id,
                **_facts(job),
                score=_score(job),
                wait_ms=max(0, job.wait_ms),
                fence=str(job.fence),
                in_flight=int(job.in_flight),
                waits=int(job.waits),
                progress=job.progress,
                stage=job.stage or "",
                lease_ms=int(lease_seconds * 1000),
                sure=int(sure),
            )
        )

    def look_at_canary(self, number: int, *, healer: str = "") -> tuple[bool, str]:
        """(whether Redis holds all it ever did, who healed it last); `number` is the canary of SQL (lua/canary.lua)."""
        verdict, healed = self.run("canary", number=number, healer=healer)
        return verdict == "ok", str(healed)

    def bind(self, database_id: str) -> None:
        """Tie this namespace to the database whose jobs it holds; InvalidInput when they belong to another one."""
        key = self.key("database")

        def tied() -> Any:
            client = self.connections.commands()
            return database_id if client.set(key, database_id, nx=True) else client.get(key)

        known = repeat(tied)
        if known not in {database_id, None}:
            raise InvalidInput(
                f"DATABASE_URL and REDIS_URL do not belong together: the namespace {self.namespace} of this Redis holds "
                "the jobs of another database. Use that database everywhere, or another QUEUE_NAMESPACE"
            )

    def run_id(self) -> str:
        """Which start of which server this is; "" where an ACL forbids to ask."""
        try:
            with queue_errors():
                found: Any = self.connections.commands().info("server")
        except ResponseError:
            return ""
        return str(found.get("run_id", ""))

    def inspect(self, job_id: str) -> Standing:
        """Where Redis thinks a job is."""
        state, token, queue, parked, worker, left_ms, ahead = self.run("inspect", id=job_id)
        return Standing(str(state), int(token), str(queue), str(parked), str(worker), int(left_ms) / 1000, int(ahead))

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

    def run(self, name: str, **values: Any) -> Any:
        """Run a script that may be sent twice, and send it again when its reply may have been lost."""
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
            **_facts(job),
            "head_start_ms": HEAD_START_SECONDS[job.priority] * 1000,
            "delay_ms": max(0, job.wait_ms),
            "floor": str(job.fence),
            "progress": job.progress,
            "stamp": now_iso(),
            "stage": job.stage or "",
        }


def _facts(job: OpenJob) -> dict[str, str]:
    return {"queue": job.queue, "pipeline": job.pipeline, "tenant": job.tenant, "groups": ",".join(job.groups)}


def _score(job: OpenJob) -> str:
    """Its place in its queue, as SQL remembers it."""
    return str(job.created_ms - HEAD_START_SECONDS[job.priority] * 1000)
