"""Receivers of webhooks: one whose answers a test chooses, and those of the guide."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"


@dataclass
class Receiver:
    """What has come, and what is answered: the next of `answers`, then always 204."""

    port: int
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.place}/hook"

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.got]

    def told(self) -> list[dict[str, Any]]:
        return [orjson.loads(body) for _, body in self.got]


@contextmanager
def receive(port: int = 0, *, waits: bool = False) -> Iterator[Receiver]:
    """A receiver on a port of its own; one that `waits` answers nothing until its gate is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            made.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = made.answers.pop(0) if made.answers else 204
            if waits and not made.gate.wait(60):
                return
            self.send_response(status)
            if status in {301, 302}:
                self.send_header("location", "http://169.254.169.254/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    made = Receiver(server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield made
    finally:
        made.gate.set()
        server.shutdown()
        server.server_close()


def example(language: str) -> str:
    """The receiver that the guide shows in this language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"the guide shows {len(found)} receivers in {language}"
    return str(found[0])


def free_port() -> int:
    """A port that nobody has, a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
