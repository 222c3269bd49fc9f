"""Starts the stub on loopback, in a thread for tests; `Stub` is how a test speaks to one."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.stub.app import make_app
from tests.stub.ledger import Charge
from tests.stub.wire import PREFIXES

START_SECONDS = 20.0


class Protocol(H11Protocol):
    """Hands its transport to the app, which may want to reset it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the stub has seen; names of headers are lower case, `path` is without the vendor's prefix."""

    number: int
    at: float
    vendor: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any
    size: int
    sha256: str
    status: int | None
    fault: str | None
    taken: bool
    delivered: bool


class Stub:
    """A running stub, in this process or in another one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=f"{url}/_ctl", trust_env=False, timeout=30)
        prefixes = {vendor: f"{url}/{prefix}" for prefix, vendor in PREFIXES.items()}
        self.anthropic_url = prefixes["anthropic"]
        self.replicate_url = prefixes["replicate"]
        self.elevenlabs_url = prefixes["elevenlabs"]
        self.openai_url = f"{prefixes['openai']}/v1"

    def faults(
        self,
        kind: str,
        *,
        vendor: str | None = None,
        method: str | None = None,
        path: str | None = None,
        contains: str | None = None,
        **options: Any,
    ) -> None:
        """Let the next `n` (1) requests that match go wrong; kinds and options are those of `faults.Fault`."""
        match = {"vendor": vendor, "method": method, "path": path, "contains": contains}
        if "retry_after" in options:
            options["retry_after"] = str(options["retry_after"])
        self._post("/fault", {"kind": kind, "match": match, **options})

    def waiting_faults(self) -> list[dict[str, Any]]:
        """The faults that no request has used up yet."""
        return list(self._get("/faults"))

    def forgive(self) -> None:
        """Let nothing go wrong any more."""
        self._http.delete("/faults").raise_for_status()

    def answer(self, vendor: str, match: str = "", body: Any = None, **options: Any) -> None:
        """Prepare an answer; see `answers.Canned`."""
        self._post("/answers", {"vendor": vendor, "match": match, "body": body, **options})

    def set(self, **rules: Any) -> None:
        """Change what can be set; see `world.Rules`."""
        self._post("/settings", rules)

    def advance(self, seconds: float) -> None:
        """Let time pass at the vendors."""
        self._post("/clock", {"advance": seconds})

    def now(self) -> float:
        """The vendors' time."""
        return float(self._get("/clock")["now"])

    def requests(
        self, vendor: str | None = None, *, method: str | None = None, path: str | None = None
    ) -> list[Request]:
        """What was asked, oldest first; `path` is a regex."""
        found = [Request(**one) for one in self._get("/requests")]
        return [
            one
            for one in found
            if vendor in {None, one.vendor}
            and method in {None, one.method}
            and (path is None or re.search(path, one.path))
        ]

    def charges(self, vendor: str | None = None, *, kind: str | None = None) -> list[Charge]:
        """What was billed until now, oldest first."""
        found = [Charge(**one) for one in self._get("/charges")]
        return [one for one in found if vendor in {None, one.vendor} and kind in {None, one.kind}]

    def cost(self, vendor: str | None = None) -> float:
        """The sum of the bill, USD."""
        return sum(one.amount_usd for one in self.charges(vendor))

    def reset(self) -> None:
        """Forget everything: requests, charges, faults, answers, settings, the clock, what the vendors stored."""
        self._post("/reset", {})

    def close(self) -> None:
        """Let go of the connection to the control routes."""
        self._http.close()

    def _get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def _post(self, path: str, body: Any) -> None:
        answer = self._http.post(path, json=body)
        if answer.is_error:
            raise ValueError(answer.text)


@contextmanager
def stub_server(port: int = 0) -> Iterator[Stub]:
    """A stub in a thread of this process, on a free port unless one is given."""
    with socket.create_server(("127.0.0.1", port), backlog=128) as sock:
        config = uvicorn.Config(
            make_app(),
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([sock],), name="stub", daemon=True)
        thread.start()
        stub = Stub(f"http://127.0.0.1:{sock.getsockname()[1]}")
        try:
            _wait_until_started(server, thread)
            yield stub
        finally:
            stub.close()
            server.should_exit = server.force_exit = True
            thread.join(START_SECONDS)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the stub did not start")
        time.sleep(0.005)
