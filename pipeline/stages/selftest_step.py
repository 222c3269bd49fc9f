"""One stage of `selftest`: sleeps, writes bytes, fails or dies as its payload says."""

from __future__ import annotations

import os
import random
import signal
import time

from pydantic import BaseModel

from artifacts import Artifact
from errors import HostTrouble, InvalidInput, Unreachable
from pipeline.context import Context
from pipeline.stage import stage

CHUNK = 1 << 20


class SelftestResult(BaseModel):
    """What one stage, or item, did."""

    number: int
    item: int | None = None
    artifact: Artifact | None = None
    children: tuple[str, ...] = ()


@stage("selftest_step", each="items", version="1", at_once=lambda payload, *_: payload.items_at_once)
def selftest_step(context: Context, item: int | None = None) -> SelftestResult:
    """Sleep, write, and break on demand."""
    payload, number = context.payload, context.options["number"]
    if payload.crash_at == number:
        os.kill(os.getpid(), signal.SIGKILL)
    if payload.ignore_limits_at == number:
        time.sleep(payload.seconds)
    if payload.fail_at == number and context.attempt < payload.fail_times:
        _fail(payload.fail_kind, number)
    _sleep(context, payload.seconds)
    artifact = _write(context, payload.bytes, number, item) if payload.bytes else None
    children = _children(context) if payload.children and payload.children_at == number else ()
    return SelftestResult(number=number, item=item, artifact=artifact, children=children)


def _children(context: Context) -> tuple[str, ...]:
    """Start the other jobs and wait for them; how each ended, in order."""
    payload = context.payload
    for number in range(payload.children):
        child = {"seconds": payload.seconds, "fail_at": int(number < payload.child_fails), "fail_kind": "permanent"}
        context.spawn("selftest", child, on_failure=payload.child_edge)
    return tuple(child.status for child in context.join())


def _sleep(context: Context, seconds: float) -> None:
    parts = max(1, min(20, round(seconds / 0.1)))
    for part in range(parts if seconds else 0):
        context.sleep(seconds / parts)
        context.progress((part + 1) / parts)


def _write(context: Context, size: int, number: int, item: int | None) -> Artifact:
    path = context.workdir / "bytes"
    noise = random.Random(f"{context.job_id}/{number}/{item}")
    with path.open("wb") as out:
        for start in range(0, size, CHUNK):
            context.check()
            out.write(noise.randbytes(min(CHUNK, size - start)))
    return context.keep(path, media_type="application/octet-stream", name=f"step-{number}.bin")


def _fail(kind: str, number: int) -> None:
    message = f"step {number} was asked to fail"
    match kind:
        case "permanent":
            raise InvalidInput(message)
        case "bug":
            raise ZeroDivisionError(message)
        case "host":
            raise HostTrouble(message, retry_after=0.5)
    raise Unreachable(message)
