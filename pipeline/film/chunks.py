"""A film in chunks, each rendered by a child of its own, and the chunks joined without encoding anything twice.

A frame depends on its number alone, so the film may be cut anywhere; it is cut where a key frame stands in any case. The
child's program is `python -m pipeline.film.chunks TIMELINE.json SUBTITLES FONTS FIRST LAST OUTPUT`, for frames [FIRST, LAST).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import process
from errors import Interrupted, Transient
from pipeline.film import encode
from pipeline.film.child import REPORT_SECONDS, answer, say, stoppable, throttled
from pipeline.film.engine import run_engine
from pipeline.film.timeline import Timeline

Span = tuple[int, int]

CHUNK_MEMORY_MB = 1500
STALL_SECONDS = 90.0
JOIN_SECONDS = 120.0


def spans(frames: int, workers: int, apart: int) -> list[Span]:
    """[first, last) of at most `workers` chunks of about the same length; cuts are multiples of `apart` frames."""
    cuts = {round(frames * at / workers / apart) * apart for at in range(1, workers)}
    return list(pairwise([0, *sorted(cut for cut in cuts if 0 < cut < frames), frames]))


class Chunks:
    """The children that render a film's chunks; `finished` waits for them, leaving the context ends them."""

    def __init__(self, timeline: Timeline, subtitles: Path, fonts: Path, folder: Path, pieces: Sequence[Span]) -> None:
        self._timeline, self._subtitles, self._fonts, self._pieces = timeline, subtitles, fonts, pieces
        self._order = folder / "chunks.json"
        self._order.write_text(timeline.to_json(), encoding="utf-8")
        self._parts = [folder / f"chunk-{at}.mp4" for at in range(len(pieces))]
        self._list = folder / "chunks.txt"
        self._done = [0.0] * len(pieces)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(len(pieces), "chunk")
        self._running: list[Future[None]] = []

    @classmethod
    @contextmanager
    def started(
        cls, timeline: Timeline, subtitles: Path, fonts: Path, folder: Path, pieces: Sequence[Span]
    ) -> Iterator[Chunks]:
        """Begin with all of them; whatever happens, no child and no file of theirs is left afterwards."""
        chunks = cls(timeline, subtitles, fonts, folder, pieces)
        try:
            chunks._running = [chunks._pool.submit(chunks._render, at) for at in range(len(pieces))]
            yield chunks
        finally:
            chunks._stop.set()
            chunks._pool.shutdown(wait=True)
            for leftover in (chunks._order, chunks._list, *chunks._parts):
                leftover.unlink(missing_ok=True)

    def finished(self, on_frame: Callable[[int], None]) -> None:
        """Wait for all of them, or raise what the first that failed says; `on_frame` gets the frames done so far."""
        waiting = set(self._running)
        while waiting:
            ended, waiting = wait(waiting, timeout=REPORT_SECONDS, return_when=FIRST_EXCEPTION)
            for one in ended:
                one.result()
            on_frame(round(sum(self._done)))

    def join(self, sound: Path, output: Path) -> None:
        """The chunks as one film with its sound, durably at `output`; Transient when ffmpeg fails."""
        lines = [
            f"file '{str(part).replace(chr(39), chr(39) + chr(92) + chr(39) * 2)}'\nduration {(last - first) / self._timeline.fps:.9f}\n"
            for part, (first, last) in zip(self._parts, self._pieces, strict=True)
        ]
        self._list.write_text("ffconcat version 1.0\n" + "".join(lines), encoding="utf-8")
        with encode.published(output) as part:
            encode.run(encode.join_command(self._list, sound, part), timeout_seconds=JOIN_SECONDS)

    def _render(self, at: int) -> None:
        first, last = self._pieces[at]

        def heard(share: float, _step: str) -> None:
            self._done[at] = share * (last - first)

        try:
            run_engine(
                "pipeline.film.chunks",
                self._order,
                self._subtitles,
                self._fonts,
                str(first),
                str(last),
                self._parts[at],
                timeout_seconds=encode.longest_seconds(self._timeline),
                stall_seconds=STALL_SECONDS,
                memory_mb=CHUNK_MEMORY_MB,
                check=self._check,
                report=heard,
            )
        except process.ChildFailed as error:
            raise Transient(f"a part of the film could not be rendered: {error}") from error

    def _check(self) -> None:
        if self._stop.is_set():
            raise Interrupted("shutdown")


def _render(timeline: Timeline, subtitles: Path, fonts: Path, piece: Span, output: Path) -> None:
    from pipeline.film.compositor import Compositor

    first, last = piece
    compositor = Compositor(timeline)
    encode.encode(
        timeline,
        subtitles=subtitles,
        sound=None,
        output=output,
        frame=lambda number: compositor.render(number).data,
        on_frame=throttled(last, lambda number: say({"progress": (number - first) / (last - first)})),
        fonts=fonts,
        piece=piece,
    )


def main(arguments: list[str]) -> int:
    """Render one chunk; 0 when done, 1 with the error as JSON, 143 when stopped."""

    def work() -> dict[str, Any]:
        order, subtitles, fonts, first, last, output = arguments
        timeline = TypeAdapter(Timeline).validate_json(Path(order).read_bytes())
        _render(timeline, Path(subtitles), Path(fonts), (int(first), int(last)), Path(output))
        return {}

    stoppable()
    return answer(work, what="the chunk")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
