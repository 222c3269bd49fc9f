"""A bad line to Redis: `python -m tests.soak.proxy LISTEN UPSTREAM SEED NOTES`; it ends when its standard input does.

What a client sends always arrives. Of what comes back, some is dropped with the connection (the command was done, and
nobody hears of it), some is late, and some connections fall silent without being closed.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import suppress
from pathlib import Path

DROPPED, SILENT, LATE = 0.01, 0.0005, 0.001
LATE_SECONDS = 2.0
CHUNK = 1 << 16


class Line:
    """All connections through it share one dice."""

    def __init__(self, upstream: str, seed: str, notes: Path) -> None:
        self.upstream, self.dice, self.notes = upstream, random.Random(seed), notes

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        try:
            from_server, to_server = await asyncio.open_unix_connection(self.upstream)
        except OSError:
            writer.close()
            return
        asking = asyncio.create_task(self._ask(reader, to_server))
        answering = asyncio.create_task(self._answer(from_server, writer))
        try:
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in (asking, answering):
                one.cancel()
            for end in (writer, to_server):
                end.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                writer.write(chunk)
                await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                fate = self.dice.random()
                if fate < DROPPED:
                    self._note("replies dropped")
                    return
                if fate < DROPPED + SILENT:
                    self._note("links fell silent")
                    await asyncio.Event().wait()  # until the client gives up
                if fate < DROPPED + SILENT + LATE:
                    self._note("replies 2 s late")
                    await asyncio.sleep(LATE_SECONDS)
                writer.write(chunk)
                await writer.drain()

    def _note(self, what: str) -> None:
        with self.notes.open("a") as out:
            out.write(what + "\n")


async def serve(listen: str, upstream: str, seed: str, notes: str) -> None:
    """Until nobody needs it any more."""
    line = Line(upstream, seed, Path(notes))
    server = await asyncio.start_unix_server(line.accept, listen)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(0, over.set)  # its end can be read
    async with server:
        await over.wait()


if __name__ == "__main__":
    Path(sys.argv[4]).touch()
    asyncio.run(serve(*sys.argv[1:5]))
