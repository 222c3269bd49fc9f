"""`python -m api` in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from fastapi import FastAPI

from settings import child_environment
from tests.support.receivers import Receiver
from tests.support.workers import ROOT, wait_for


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path that programs use, from the program itself."""
    for path, methods in app.openapi()["paths"].items():
        for method in methods:
            yield method.upper(), path


@dataclass
class Server:
    """Where it answers, and its process."""

    url: str
    process: subprocess.Popen[bytes]
    receiver: Receiver = field(default_factory=lambda: Receiver(0))  # of webhooks, where a test has one

    def answers(self) -> bool:
        """Whether it does yet."""
        try:
            return httpx.get(f"{self.url}/healthz", timeout=1).is_success
        except httpx.HTTPError:
            assert self.process.poll() is None, "the server ended"
            return False


@contextmanager
def serve(folder: Path, redis_url: str, **env: str) -> Iterator[Server]:
    """A server on a port of its own, gone at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = folder / "api.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"],
            cwd=ROOT,
            env=child_environment(API_PORT=str(port), REDIS_URL=redis_url, **env),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        made = Server(f"http://127.0.0.1:{port}", process)
        try:
            wait_for(made.answers, what=said.read_text)
            yield made
        finally:
            process.terminate()
            process.wait(10)
