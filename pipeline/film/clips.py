"""Clips of vendors and users in a film: read frame by frame, fitted to the frame, slowed a little or looped when they are too short.

Runs in the children only: a clip is a stranger's file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import InvalidInput, Unsupported
from pipeline.film.kinds import CLIP_DEMUXERS, clip_type
from pipeline.film.warp import Backend

Bytes = NDArray[np.uint8]
Size = tuple[int, int]

SHORTEST_SECONDS, SMALLEST_PIXELS, LARGEST_PIXELS, MOST_RATIO = 0.5, 64, 4320, 4.0
SLOWEST = 0.7  # below it a slowed clip looks slowed
FADE_SECONDS = 0.5  # a loop's end goes over into its beginning
# How dark the clip becomes at the top, where the headline stands, and at the bottom, where the captions do.
TOP_SHADE, BOTTOM_SHADE = 0.55, 0.5
BLACK_LUMA, NO_COLOR = 16, 128


@dataclass(frozen=True)
class ClipFacts:
    """What a film must know of a clip: pixels and seconds."""

    width: int
    height: int
    seconds: float


def inspect_clip(path: Path) -> ClipFacts:
    """The facts of a clip, after its first frame was decoded; InvalidInput or Unsupported when it cannot be shown."""
    with suppress(StopIteration), _opened(path) as container:
        stream = container.streams.video[0]
        first = _first(container, stream)
        seconds = _seconds(container, stream)
        width, height = first.width, first.height
        if not SMALLEST_PIXELS <= min(width, height) <= max(width, height) <= LARGEST_PIXELS:
            raise InvalidInput(
                f"the clip has {width}x{height} pixels, not {SMALLEST_PIXELS} to {LARGEST_PIXELS} a side"
            )
        if max(width, height) > MOST_RATIO * min(width, height):
            raise InvalidInput(f"the clip has {width}x{height} pixels; a side may be {MOST_RATIO:g} times the other")
        if seconds < SHORTEST_SECONDS:
            raise InvalidInput(f"the clip lasts {seconds:.2f} s, and at least {SHORTEST_SECONDS} s are needed")
        return ClipFacts(width, height, seconds)
    raise InvalidInput("the clip has no picture")


class ClipTrack:
    """A clip as the ground of one shot of `frames` frames: drawn for any frame, quickest in order."""

    def __init__(self, path: str, size: Size, fps: int, frames: int, backend: Backend, *, dim: float = 0.0) -> None:
        self._backend, self._fps = backend, fps
        self._facts = inspect_clip(Path(path))
        self._head = _Decoder(Path(path), size)
        self._tail: _Decoder | None = None
        self._shown: tuple[tuple[Bytes, Bytes, Bytes], tuple[Bytes, Bytes, Bytes]] | None = None
        self._path, self._size, self._wanted = Path(path), size, frames / fps
        self.speed = min(1.0, max(SLOWEST, self._facts.seconds * fps / max(1, frames)))
        self._shades = _shades(*size, dim)

    def draw(self, number: int, y: Bytes, u: Bytes, v: Bytes) -> None:
        """Write the frame of this number (from 0) into the planes, darkened where text stands."""
        head, tail, share = self.where(number)
        planes = self._head.at(head)
        if tail is not None:
            self._tail = self._tail or _Decoder(self._path, self._size)
            end = self._tail.at(tail)
            for one, other, out in zip(end, planes, (y, u, v), strict=True):
                self._backend.mix(one, other, share, out)
        elif self._shown is not None and self._shown[0] is planes:
            # The same picture as on the frame before, as with a clip of fewer pictures a second.
            for plane, out in zip(self._shown[1], (y, u, v), strict=True):
                out[:] = plane
            return
        else:
            for plane, out in zip(planes, (y, u, v), strict=True):
                out[:] = plane
        for out, (source, alpha) in zip((y, u, v), self._shades, strict=True):
            self._backend.over(out, source, alpha)
        self._shown = None if tail is not None else (planes, (y.copy(), u.copy(), v.copy()))

    def where(self, number: int) -> tuple[float, float | None, float]:
        """(second of the clip, second of its end that is still seen, share of the former) of a frame."""
        at, lasts = max(0, number) / self._fps, self._facts.seconds / self.speed
        fade = min(FADE_SECONDS, lasts / 3)
        rounds, at_round = divmod(at, lasts - fade)
        if self._wanted <= lasts or not rounds:
            return at * self.speed, None, 1.0
        if at_round < fade:
            return at_round * self.speed, (lasts - fade + at_round) * self.speed, at_round / fade
        return at_round * self.speed, None, 1.0

    def close(self) -> None:
        """Let go of the file."""
        self._head.close()
        if self._tail is not None:
            self._tail.close()


class _Decoder:
    """Frames of a clip by time, cut to a size that they cover; going back begins anew."""

    def __init__(self, path: Path, size: Size) -> None:
        self._path, self._size = path, size
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._now: tuple[float, Any] | None = None
        self._next: tuple[float, Any] | None = None
        self._planes: tuple[Bytes, Bytes, Bytes] | None = None

    def at(self, second: float) -> tuple[Bytes, Bytes, Bytes]:
        """Y, U and V of the last frame that begins no later; the last of all beyond the end."""
        if self._now is None or second < self._now[0]:
            self._begin()
        while self._next is not None and self._next[0] <= second + 1e-6:
            self._now, self._next, self._planes = self._next, self._read(), None
        assert self._now is not None
        if self._planes is None:
            self._planes = _cover(self._now[1], self._size)
        return self._planes

    def close(self) -> None:
        """Let go of the file."""
        if self._container is not None:
            self._container.close()
        self._container = None

    def _begin(self) -> None:
        self.close()
        self._container = _opened(self._path)
        stream = self._container.streams.video[0]
        stream.thread_count = 1
        self._frames = self._container.decode(stream)
        self._start: float | None = None
        self._now, self._planes = self._read(), None
        if self._now is None:
            raise InvalidInput("the clip has no picture")
        self._next = self._read()

    def _read(self) -> tuple[float, Any] | None:
        import av

        try:
            frame = next(self._frames)
        except StopIteration:
            return None
        except av.FFmpegError:
            return None  # cut off in the middle: what came so far is shown
        time = float(frame.time or 0.0)
        if self._start is None:
            self._start = time
        return time - self._start, frame


def _first(container: Any, stream: Any) -> Any:
    import av

    try:
        return next(container.decode(stream))
    except av.FFmpegError as error:
        raise InvalidInput(
            f"the clip is damaged: its first picture cannot be decoded ({type(error).__name__})"
        ) from None


def _opened(path: Path) -> Any:
    import av

    try:
        kind = clip_type(path)
        if kind is None:
            raise Unsupported("the clip is not an MP4, MOV or WebM film")
        container = av.open(str(path), format=CLIP_DEMUXERS[kind], options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InvalidInput(f"the clip cannot be read: {type(error).__name__}") from None
    if not container.streams.video:
        container.close()
        raise InvalidInput("the clip has no picture")
    return container


def _seconds(container: Any, stream: Any) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / 1_000_000


def _cover(frame: Any, size: Size) -> tuple[Bytes, Bytes, Bytes]:
    """The middle of a frame, as large as the size asks for, as limited-range BT.709 planes."""
    width, height = size
    scale = max(width / frame.width, height / frame.height)
    wide, high = _even_up(frame.width * scale), _even_up(frame.height * scale)
    fitted = frame.reformat(
        width=wide,
        height=high,
        format="yuv420p",
        dst_colorspace="ITU709",
        dst_color_range="MPEG",
        interpolation="BICUBIC",
    )
    flat = fitted.to_ndarray()
    luma, chroma = wide * high, wide * high // 4
    flat = flat.reshape(-1)
    x, y = (wide - width) // 4 * 2, (high - height) // 4 * 2
    planes = flat[:luma].reshape(high, wide)[y : y + height, x : x + width]
    halves = [
        flat[luma + at * chroma : luma + (at + 1) * chroma].reshape(high // 2, wide // 2)[
            y // 2 : (y + height) // 2, x // 2 : (x + width) // 2
        ]
        for at in range(2)
    ]
    return tuple(np.ascontiguousarray(one) for one in (planes, *halves))  # type: ignore[return-value]


def _even_up(value: float) -> int:
    return int(-(-value // 2) * 2)


def _shades(width: int, height: int, dim: float) -> tuple[tuple[Bytes, Bytes], ...]:
    """(premultiplied black, alpha) for each plane."""
    share = np.arange(height, dtype=np.float32) / height
    top = TOP_SHADE * np.clip(1 - share / 0.5, 0, 1) ** 1.1
    bottom = BOTTOM_SHADE * np.clip((share - 0.55) / 0.35, 0, 1)
    column = np.maximum(np.maximum(top, bottom), np.float32(dim))
    made = []
    for rows, columns, black in ((1, 1, BLACK_LUMA), (2, 2, NO_COLOR), (2, 2, NO_COLOR)):
        part = np.repeat(column[::rows, None], width // columns, axis=1)
        made.append((np.round(part * black).astype(np.uint8), np.round(part * 255).astype(np.uint8)))
    return tuple(made)
