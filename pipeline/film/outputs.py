"""What comes with a film: its captions as SubRip and WebVTT, a poster of each scene, a sheet of stills.

The captions are those of the picture, page by page. The child's program is `python -m pipeline.film.outputs FILM SHEET`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from errors import HostTrouble
from pipeline.film.child import answer
from pipeline.film.timeline import CaptionPage, Shot, Timeline

STILL_QUALITY, SHEET_QUALITY = 90, 88
# Between these shares of a scene everything has come in, and nothing leaves yet.
CALM, CALM_SHARE = (0.45, 0.85), 0.62
SLACK_SECONDS = 0.001
SHEET_COLUMNS, SHEET_STILLS, STILL_WIDTH, GUTTER = 6, 18, 300, 6


def srt(pages: Sequence[CaptionPage]) -> str:
    """SubRip: numbered blocks, commas in the times."""
    blocks = [
        f"{number}\n{_clock(page.start, ',')} --> {_clock(page.end, ',')}\n{_text(page)}\n"
        for number, page in enumerate(pages, 1)
    ]
    return "\n".join(blocks)


def vtt(pages: Sequence[CaptionPage]) -> str:
    """WebVTT, with the time of each word after the first."""
    blocks = ["WEBVTT\n"]
    for page in pages:
        first, *rest = page.words
        words = _escaped(first.text)
        for word in rest:
            words += f"{'' if word.glued else ' '}<{_clock(word.start, '.')}>{_escaped(word.text)}"
        blocks.append(f"{_clock(page.start, '.')} --> {_clock(page.end, '.')}\n{words}\n")
    return "\n".join(blocks)


def posters(film: Path, timeline: Timeline, folder: Path) -> list[Path]:
    """A JPEG of each scene, in their order."""
    made, keys = [], _key_times(film)
    for number, shot in enumerate(timeline.shots, 1):
        made.append(folder / f"poster-{number}.jpg")
        still = _stills(film, [_calm_moment(shot, timeline.fps, keys)])[0]
        still.save(made[-1], format="JPEG", quality=STILL_QUALITY)
    return made


def _calm_moment(shot: Shot, fps: int, keys: Sequence[float]) -> float:
    """When to look at a scene: at a key frame if it has one at a calm time, since that one is decoded by itself."""
    early, late, middle = ((shot.first + (shot.last - shot.first) * share) / fps for share in (*CALM, CALM_SHARE))
    return min((key for key in keys if early <= key <= late), key=lambda key: abs(key - middle), default=middle)


def _key_times(film: Path) -> list[float]:
    """The seconds at which a film can be entered, read without decoding."""
    import av

    with av.open(str(film)) as container:
        packets = container.demux(container.streams.video[0])
        return [float(one.pts * one.time_base) for one in packets if one.is_keyframe and one.pts is not None]


def sheet(film: Path, output: Path, *, stills: int = SHEET_STILLS) -> int:
    """A contact sheet of evenly spread stills, as PNG or JPEG by its name; how many it shows."""
    from PIL import Image

    seconds = _seconds(film)
    shown = _stills(film, [seconds * (number + 0.5) / stills for number in range(stills)])
    height = round(shown[0].height * STILL_WIDTH / shown[0].width)
    columns = min(SHEET_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    size = (columns * (STILL_WIDTH + GUTTER) - GUTTER, rows * (height + GUTTER) - GUTTER)
    whole = Image.new("RGB", size, "#111111")
    for number, still in enumerate(shown):
        place = (number % columns * (STILL_WIDTH + GUTTER), number // columns * (height + GUTTER))
        whole.paste(still.resize((STILL_WIDTH, height), Image.Resampling.LANCZOS), place)
    try:
        whole.save(output, quality=SHEET_QUALITY)
    except (OSError, ValueError) as error:
        raise HostTrouble(f"{output.name} cannot be written: {error}") from error
    return len(shown)


def _stills(film: Path, moments: Sequence[float]) -> list[Any]:
    """These frames as RGB pictures."""
    return [frame.to_image() for frame in _frames(film, moments)]


def _frames(film: Path, moments: Sequence[float]) -> list[Any]:
    """The frames that are seen about these seconds, which rise; the last frame for those beyond it."""
    import av

    wanted, found = list(moments), []
    last: Any = None
    with av.open(str(film)) as container:
        # Two of three are needed by no other; a still may as well be a frame or two later.
        container.streams.video[0].codec_context.skip_frame = "NONREF"
        # To the key frame before it, or the one that it is: rounded down it would be missed.
        container.seek(round((wanted[0] + SLACK_SECONDS) * av.time_base))
        frame: Any
        for frame in container.decode(container.streams.video[0]):
            last = frame
            while wanted and float(frame.time or 0.0) >= wanted[0] - SLACK_SECONDS:
                found.append(frame)
                wanted.pop(0)
            if not wanted:
                break
    if last is None:
        raise HostTrouble(f"{film.name} has no picture")
    return found + [last for _ in wanted]


def _seconds(film: Path) -> float:
    import av

    with av.open(str(film)) as container:
        return float(container.duration or 0) / av.time_base


def _text(page: CaptionPage) -> str:
    return "".join(word.text if word.glued or not at else f" {word.text}" for at, word in enumerate(page.words))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    whole = max(0, round(seconds * 1000))
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def main(arguments: list[str]) -> int:
    """Make a sheet; 0 when done, 1 with the error as JSON."""
    film, output = map(Path, arguments)
    return answer(lambda: {"stills": sheet(film, output)}, what="the sheet")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
