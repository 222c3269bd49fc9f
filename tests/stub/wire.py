"""Between the socket and the vendors: logs each request, does to it what the fault queue says, marks what was delivered."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.stub import shapes
from tests.stub.faults import Fault
from tests.stub.ledger import Seen
from tests.stub.world import World

PREFIXES = {"a": "anthropic", "r": "replicate", "e": "elevenlabs", "o": "openai"}
PAGE = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
# Closing with this option sends a reset in place of a proper end.
LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass
class Answer:
    """An answer of a vendor's, held back."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""


class Line:
    """The way back to the client of one request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        self.transport: asyncio.Transport = scope["state"]["transport"]
        self.receive, self.send, self.seen = receive, send, seen

    async def forward(self, message: Message) -> None:
        """Pass on one piece; the last one of an open connection delivers the answer."""
        if message["type"] == "http.response.start":
            self.seen.status = message["status"]
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last:
            await asyncio.sleep(0)  # a client that has gone away is noticed
        is_open = not self.transport.is_closing()
        await self.send(message)
        self.seen.delivered = is_last and is_open

    async def start(self, answer: Answer, *, length: int | None = None) -> None:
        """The status and headers; with a content-length of one's own when it is given."""
        headers = answer.headers
        if length is not None:
            headers = [pair for pair in headers if pair[0] != b"content-length"]
            headers = [*headers, (b"content-length", str(length).encode())]
        await self.forward({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def write(self, body: bytes, *, more: bool = False) -> None:
        """A piece of the body."""
        await self.forward({"type": "http.response.body", "body": body, "more_body": more})

    async def whole(self, answer: Answer) -> None:
        """An answer with its true length."""
        await self.start(answer, length=len(answer.body))
        await self.write(answer.body)

    async def is_left(self, seconds: float) -> bool:
        """Wait; whether the client went away meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self.receive())["type"] != "http.disconnect":
                    pass
                return True
        return self.transport.is_closing()

    async def end(self) -> None:
        """Close the connection in order, whatever is still owed."""
        self.transport.close()
        await self._closed()

    async def reset(self) -> None:
        """Close the connection hard: the client gets ECONNRESET."""
        sock: socket.socket = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.transport.abort()
        await self._closed()

    async def _closed(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


class Wire:
    """ASGI middleware around all vendors."""

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app, self.world = app, world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, well or badly."""
        prefix = scope["path"].split("/")[1] if scope["type"] == "http" else ""
        if prefix not in PREFIXES:
            await self.app(scope, receive, send)
        elif (body := await _body(receive)) is not None:
            await self._answered(PREFIXES[prefix], body, scope, receive, send)

    async def _answered(self, vendor: str, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        ledger = self.world.ledger
        seen = self._seen(scope, vendor, body)
        scope["state"]["seen"] = seen
        ledger.arrive(seen)
        line = Line(scope, receive, send, seen)
        try:
            fault = self.world.faults.take(seen)
            if fault is None:
                seen.taken = True
                await self.app(scope, _replay(body, receive), line.forward)
            else:
                await self._faulted(fault, scope, line)
        finally:
            self.world.settle()
            ledger.leave(seen)

    async def _faulted(self, fault: Fault, scope: Scope, line: Line) -> None:
        line.seen.fault, line.seen.taken = fault.kind, fault.is_taken()
        answer = await self._held(scope, line.seen.body) if fault.is_taken() else Answer()
        await ACTS[fault.kind](fault, line, answer)
        # What was sent whole may still be no answer: an error, a page, half a document.
        line.seen.delivered = line.seen.delivered and fault.kind in {"slow", "drip"}

    async def _held(self, scope: Scope, body: bytes) -> Answer:
        """The vendor's answer; it goes on although the client may leave, as a vendor would."""
        held = Answer()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.status, held.headers = message["status"], list(message.get("headers", []))
            else:
                held.body += message.get("body", b"")

        await self.app(scope, _replay(body, _never), keep)
        return held

    def _seen(self, scope: Scope, vendor: str, body: bytes) -> Seen:
        return Seen(
            number=len(self.world.ledger.requests) + 1,
            at=self.world.clock.now(),
            vendor=vendor,
            method=scope["method"],
            path=scope["path"][2:],
            query=dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            body=body,
        )


# --- what each kind of fault does


async def _status(fault: Fault, line: Line, _answer: Answer) -> None:
    response = shapes.failure(
        line.seen.vendor,
        fault.status or 500,
        fault.message,
        error=fault.error,
        code=fault.code,
        headers=fault.all_headers(),
    )
    await line.whole(_as_answer(response))


async def _slow(fault: Fault, line: Line, answer: Answer) -> None:
    if not await line.is_left(fault.seconds):
        await line.whole(answer)


async def _drip(fault: Fault, line: Line, answer: Answer) -> None:
    size = -(-len(answer.body) // fault.pieces) or 1
    await line.start(answer, length=len(answer.body))
    for start in range(0, len(answer.body), size):
        if await line.is_left(fault.seconds):
            return
        await line.write(answer.body[start : start + size], more=True)
    await line.write(b"")


async def _truncated(fault: Fault, line: Line, answer: Answer) -> None:
    await line.start(answer, length=max(1, len(answer.body)))
    await line.write(answer.body[: int(len(answer.body) * fault.share)], more=True)
    await line.end()


async def _malformed(fault: Fault, line: Line, answer: Answer) -> None:
    answer = _good(fault, answer)
    half = answer.body[: max(1, int(len(answer.body) * fault.share))]
    await line.whole(Answer(answer.status, answer.headers, half))


async def _wrong_shape(fault: Fault, line: Line, answer: Answer) -> None:
    answer = _good(fault, answer)
    body = {"ok": True} if fault.body is None else fault.body
    headers = [pair for pair in answer.headers if pair[0] != b"content-type"]
    headers.append((b"content-type", b"application/json"))
    await line.whole(Answer(answer.status, headers, json.dumps(body).encode()))


async def _html(fault: Fault, line: Line, _answer: Answer) -> None:
    response = Response(PAGE, fault.status or 502, fault.all_headers(), media_type="text/html")
    await line.whole(_as_answer(response))


async def _reset(_fault: Fault, line: Line, _answer: Answer) -> None:
    await line.reset()


async def _reset_during(fault: Fault, line: Line, answer: Answer) -> None:
    await line.start(answer, length=max(1, len(answer.body)))
    await line.write(answer.body[: int(len(answer.body) * fault.share)], more=True)
    await line.reset()


async def _cut(fault: Fault, line: Line, answer: Answer) -> None:
    await line.start(_streamed(answer))
    await line.write(_events(answer, fault.events))


async def _error_event(fault: Fault, line: Line, answer: Answer) -> None:
    error = shapes.anthropic_error(529, fault.message or "Overloaded", error=fault.error, code=fault.code)
    await line.start(_streamed(answer))
    await line.write(_events(answer, fault.events) + b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n")


ACTS: dict[str, Callable[[Fault, Line, Answer], Awaitable[None]]] = {
    "status": _status,
    "slow": _slow,
    "drip": _drip,
    "truncated": _truncated,
    "malformed": _malformed,
    "wrong_shape": _wrong_shape,
    "html": _html,
    "reset_before": _reset,
    "reset_after": _reset,
    "reset_during": _reset_during,
    "cut": _cut,
    "error_event": _error_event,
}


def _events(answer: Answer, count: int) -> bytes:
    """The first events of a stream."""
    return b"".join(event + b"\n\n" for event in answer.body.split(b"\n\n")[:count])


def _streamed(answer: Answer) -> Answer:
    """An answer whose length nobody knows beforehand."""
    return Answer(answer.status, [pair for pair in answer.headers if pair[0] != b"content-length"])


def _good(fault: Fault, answer: Answer) -> Answer:
    """An answer to spoil, also where the request was not taken."""
    if fault.is_taken():
        return answer
    return Answer(fault.status or 200, [(b"content-type", b"application/json")], b'{"id": "not taken"}')


def _as_answer(response: Response) -> Answer:
    return Answer(response.status_code, list(response.raw_headers), bytes(response.body))


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None when the client left before its end."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replay(body: bytes, after: Receive) -> Receive:
    """A `receive` that gives the body again, and then what comes after it."""
    given: list[bool] = []

    async def receive() -> Message:
        if given:
            return await after()
        given.append(True)
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
