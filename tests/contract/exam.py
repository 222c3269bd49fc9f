"""The exam that every hosted provider sits: what a status, a broken answer and a broken line must come to, with one request each."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from errors import Overloaded, Permanent, RateLimited, StagecrewError, Transient, Unanswered, Unreachable
from pipeline.providers.paid import Answer, Ledger, PaidCall, Submitted
from tests.stub.server import Stub

# What a paid call comes to by the status of its answer; a subclass will do.
STATUSES: list[tuple[int, type[StagecrewError]]] = [
    (400, Permanent),
    (401, Permanent),
    (402, Permanent),
    (403, Permanent),
    (404, Permanent),
    (408, Overloaded),
    (409, Overloaded),
    (413, Permanent),
    (422, Permanent),
    (429, RateLimited),
    (500, Overloaded),
    (502, Overloaded),
    (503, Overloaded),
    (504, Unanswered),
    (524, Unanswered),
    (529, Overloaded),
]
# What the line, or a body behind a good status, does to a paid call that has left: nobody knows whether it was taken.
DOUBTS: list[tuple[str, dict[str, Any]]] = [
    ("reset_before", {}),
    ("reset_after", {}),
    ("reset_during", {}),
    ("truncated", {}),
    ("malformed", {}),
    ("wrong_shape", {}),
    ("wrong_shape", {"body": []}),
    ("wrong_shape", {"body": "words"}),
    ("html", {"status": 200, "taken": True}),
]
# Answers that come too late for a deadline of DEADLINE_SECONDS, whatever each single read may take.
DEADLINE_SECONDS, GRACE_SECONDS = 0.5, 3.0
DELAYS: list[tuple[str, dict[str, Any]]] = [
    ("slow", {"seconds": 5}),
    ("drip", {"seconds": 0.2, "pieces": 25}),
]
SECRET = "kx-exam-4711-secret"
SIGNED = "https://files.test/out?X-Signature=abcdef123456"


@dataclass
class Till(Ledger):
    """A ledger without a database: makes each call, keeps what it brought; `pause` lets time pass at the vendor."""

    stub: Stub
    answers: list[Answer] = field(default_factory=list)
    calls: list[PaidCall] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    deadline_seconds: float | None = None
    submitted: list[str] = field(default_factory=list)
    speed: float = 1.0

    def charge(self, call: PaidCall) -> Any:
        self.calls.append(call)
        if self.deadline_seconds is not None:
            call.deadline_seconds = self.deadline_seconds
        sent = call.send("our-key")
        if isinstance(sent, Submitted):
            self.submitted.append(sent.external_id)
            sent = call.collect(sent.external_id, self.pause)
        return self.book(call, sent)

    def book(self, call: PaidCall, answer: Answer) -> Any:
        self.answers.append(answer)
        return call.accept(answer.result, {name: one.path for name, one in answer.files.items()})

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.stub.advance(seconds * self.speed)


@dataclass(frozen=True)
class Subject:
    """A provider under examination: `pay` makes one paid call through a ledger; `path` is a regex of its address."""

    stub: Stub
    vendor: str
    path: str
    pay: Callable[[Till], Any]

    def posts(self) -> int:
        return len(self.stub.requests(self.vendor, method="POST", path=self.path))

    def fails(self, error: type[BaseException], till: Till | None = None) -> BaseException:
        """One call that must fail so, with one request and without a secret in what it says."""
        with pytest.raises(error) as caught:
            self.pay(till or Till(self.stub))
        assert self.posts() == 1
        text = f"{caught.value} {caught.value!r}"
        assert SECRET not in text
        assert "X-Signature" not in text
        assert len(str(caught.value)) < 500
        return caught.value


def sit_status(subject: Subject, status: int, error: type[StagecrewError]) -> None:
    said = f"no: key {SECRET}, see {SIGNED} " + "x" * 2000
    subject.stub.faults("status", vendor=subject.vendor, path=subject.path, method="POST", status=status, message=said)
    found = subject.fails(error)
    assert isinstance(found, Unreachable) == (error is Unanswered), (
        "a status is an answer, but for a gateway's time-out"
    )
    assert issubclass(error, Transient) == isinstance(found, Transient)


def sit_page(subject: Subject) -> None:
    """A proxy's page with an error of its own."""
    subject.stub.faults("html", vendor=subject.vendor, path=subject.path, method="POST", status=502)
    found = subject.fails(Overloaded)
    assert "<html" not in str(found)


def sit_retry_after(subject: Subject, status: int) -> None:
    subject.stub.faults(
        "status", vendor=subject.vendor, path=subject.path, method="POST", status=status, retry_after=17
    )
    found = subject.fails(Transient)
    assert isinstance(found, Transient)
    assert found.retry_after == 17


def sit_retry_date(subject: Subject) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    subject.stub.faults("status", vendor=subject.vendor, path=subject.path, method="POST", status=429, retry_after=date)
    found = subject.fails(RateLimited)
    assert isinstance(found, RateLimited)
    assert found.retry_after is not None
    assert 30 < found.retry_after <= 40


def sit_doubt(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    subject.stub.faults(kind, vendor=subject.vendor, path=subject.path, method="POST", **options)
    subject.fails(Unanswered)


def sit_delay(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    subject.stub.faults(kind, vendor=subject.vendor, path=subject.path, method="POST", **options)
    began = time.monotonic()
    subject.fails(Unanswered, Till(subject.stub, deadline_seconds=DEADLINE_SECONDS))
    assert time.monotonic() - began < DEADLINE_SECONDS + GRACE_SECONDS


@contextmanager
def dripping_port() -> Iterator[str]:
    """An address that takes a request and sends a byte of its headers now and then, for seconds."""
    done = threading.Event()

    def drip(server: socket.socket) -> None:
        with suppress(OSError):
            line, _ = server.accept()
            with line:
                line.recv(65536)
                line.sendall(b"HTTP/1.1 200 OK\r\nx-slow: ")
                for _ in range(100):
                    if done.wait(0.05):
                        break
                    line.sendall(b"z")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            server.close()
            thread.join(5)


def sit_dripping_headers(stub: Stub, pay: Callable[[Till], Any]) -> None:
    """Not a single read is late, and the answer never comes."""
    began = time.monotonic()
    with pytest.raises(Unanswered):
        pay(Till(stub, deadline_seconds=DEADLINE_SECONDS))
    assert time.monotonic() - began < DEADLINE_SECONDS + GRACE_SECONDS


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def sit_unreachable(stub: Stub, pay: Callable[[Till], Any]) -> None:
    """Nothing has left: that is no doubt."""
    with pytest.raises(Unreachable) as caught:
        pay(Till(stub))
    assert not isinstance(caught.value, Unanswered)


def picture(path: Path, *, side: int = 64, noise: bool = False) -> Path:
    """A PNG; with noise one that does not get small."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels if noise else pixels // 255).save(path, format="PNG")
    return path
