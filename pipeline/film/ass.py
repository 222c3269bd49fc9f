"""Timeline -> one ASS file: every text, and what is drawn like text. The only place where text of users meets the renderer.

Motion is baked: an event covers a run of frames that look the same. All times lie half a frame before a frame, so that
libass never switches two parts of one picture on different frames.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator
from typing import TypeVar

from pipeline.film import fonts
from pipeline.film.directions import RIGHT_TO_LEFT_MARK, as_placed, has_right_to_left, is_right_to_left
from pipeline.film.figures import counted
from pipeline.film.motion import ENTER_SECONDS, frame_of, motion
from pipeline.film.theme import CaptionLook
from pipeline.film.themes import dressed, theme_of
from pipeline.film.timeline import CaptionPage, CaptionWord, Label, Shape, Timeline

CIRCLE = 0.4477  # share of the radius that a Bezier handle leaves over when it draws a quarter of a circle
ESCAPES = {"\\": "/", "{": "(", "}": ")"}  # what every face has
DRAWN_BEFORE = ("box", "line")  # by boxes.py, on the frames
RIM = 0.045  # of the captions' size, around the spoken word's chip
PEN = 4  # drawings are written in quarter pixels (\\p3)

T = TypeVar("T")


def esc(text: str) -> str:
    """Text that libass shows as it is: no command, override block or line break can come out of it."""
    safe = []
    for letter in text:
        category = unicodedata.category(letter)
        if category in ("Cc", "Zl", "Zp"):
            safe.append(" ")
        elif category != "Cs":
            safe.append(ESCAPES.get(letter, letter))
    return "".join(safe)


def document(timeline: Timeline) -> str:
    """The whole ASS file of a film."""
    look = dressed(theme_of(timeline.style, timeline.brand_color), timeline.wardrobe).caption
    width, height = timeline.canvas or (timeline.width, timeline.height)
    header = (
        "[Script Info]\nScriptType: v4.00+\n"
        f"PlayResX: {width}\nPlayResY: {height}\n"
        "WrapStyle: 2\nScaledBorderAndShadow: yes\nYCbCr Matrix: TV.709\n\n"
        "[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, "
        "Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, "
        "MarginR, MarginV, Encoding\n"
        "Style: D,Inter,60,&H00FFFFFF,&H00FFFFFF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,0,0,5,0,0,0,-1\n\n"
        "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    )
    lines: list[str] = []
    for shape in timeline.shapes:
        if shape.kind not in DRAWN_BEFORE:
            lines += _shape(shape, timeline.fps)
    for label in timeline.labels:
        lines += _label(label, timeline.fps)
    for page in timeline.pages:
        lines += _page(page, look, timeline.fps)
    return header + "\n".join(lines) + "\n"


def color_tag(color: str, which: int = 1) -> str:
    r"""`\1c` (fill) or `\3c` (outline) of #RRGGBB."""
    return f"\\{which}c&H{color[5:7]}{color[3:5]}{color[1:3]}&"


def alpha_tag(alpha: float) -> str:
    r"""`\alpha` of 0 (opaque) to 1 (invisible)."""
    return f"\\alpha&H{round(255 * min(max(alpha, 0.0), 1.0)):02X}&"


def rounded_box(width: float, height: float, radius: float) -> str:
    r"""A rounded rectangle as a `\p3` drawing."""
    w, h = round(width * PEN), round(height * PEN)
    r = round(min(radius, width / 2, height / 2) * PEN)
    if r <= 0:
        return f"m 0 0 l {w} 0 {w} {h} 0 {h}"
    k = round(r * CIRCLE)
    return (
        f"m {r} 0 l {w - r} 0 b {w - k} 0 {w} {k} {w} {r} l {w} {h - r} b {w} {h - k} {w - k} {h} {w - r} {h} "
        f"l {r} {h} b {k} {h} 0 {h - k} 0 {h - r} l 0 {r} b 0 {k} {k} 0 {r} 0"
    )


def check_mark(width: float, height: float) -> str:
    r"""A tick as a `\p3` polygon."""
    points = [(0.0, 0.54), (0.13, 0.41), (0.37, 0.65), (0.86, 0.13), (1.0, 0.26), (0.37, 0.92)]
    spots = [f"{round(x * width * PEN)} {round(y * height * PEN)}" for x, y in points]
    return f"m {spots[0]} l " + " ".join(spots[1:])


def star(width: float, height: float) -> str:
    r"""A star of five points as a `\p3` polygon that fills its box."""
    points = []
    for corner in range(10):
        reach, turn = (1.0 if corner % 2 == 0 else 0.42), math.pi * corner / 5
        # A five-pointed star is wider than high: its lower points lie at cos 36 degrees.
        points.append((0.5 + reach * math.sin(turn) / 1.902, (1 - reach * math.cos(turn)) / 1.809))
    spots = [f"{round(x * width * PEN)} {round(y * height * PEN)}" for x, y in points]
    return f"m {spots[0]} l " + " ".join(spots[1:])


def _stamp(frame: int, fps: int) -> str:
    centiseconds = max(0, round((frame - 0.5) / fps * 100))
    minutes, rest = divmod(centiseconds, 6000)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"


def _event(layer: int, first: int, last: int, fps: int, tags: str, body: str) -> str:
    return f"Dialogue: {layer},{_stamp(first, fps)},{_stamp(last, fps)},D,,0,0,0,,{{{tags}}}{body}"


def _runs(first: int, last: int, look: Callable[[int], T]) -> Iterator[tuple[int, int, T]]:
    """Runs of frames [from, to) that look the same."""
    begin, current = first, look(first)
    for frame in range(first + 1, last):
        here = look(frame)
        if here != current:
            yield begin, frame, current
            begin, current = frame, here
    yield begin, last, current


def _label(label: Label, fps: int) -> list[str]:
    first, last = frame_of(label.start, fps), frame_of(label.end, fps)
    if last <= first or not label.text:
        return []
    moved = motion(label.enter, first, last, fps)
    y = label.y + fonts.cap_shift(label.face, label.px, label.text)
    width = fonts.width(label.text, label.face, label.px, tracking=label.tracking)
    whole = _body(label.text, label.face, label.px)

    def body(frame: int) -> str:
        if not label.count:
            return whole
        share = min(1.0, (frame - first + 1) / (label.count * fps))
        return _body(counted(label.text, 1 - (1 - share) ** 3), label.face, label.px)

    def tags(frame: int, *, shade: bool = False) -> str:
        down, scale, seen = moved(frame)
        drop = max(2.0, label.px * 0.03) if shade else 0.0
        if label.left:
            text = f"\\an4\\pos({label.x:.2f},{y + down + drop:.2f})"
        else:
            text = _middle(label.text, label.x, y + down + drop, width * scale)
        text += _font(label.face, label.px)
        if label.tracking:
            text += f"\\fsp{label.tracking * label.px:.2f}"
        if scale != 1.0:
            text += f"\\fscx{scale * 100:.2f}\\fscy{scale * 100:.2f}"
        if shade:
            return text + color_tag("#000000") + f"\\blur{label.px * 0.12:.1f}" + alpha_tag(1 - seen * label.shadow)
        return text + color_tag(label.color) + alpha_tag(1 - seen)

    lines = []
    if label.shadow:
        # The blurred shade appears when the text has come to rest: blurring every frame of a motion is dear.
        rest = min(first + round(max(ENTER_SECONDS, label.count) * fps), last - 1)
        lines += [
            _event(label.layer - 1, a, b, fps, *seen)
            for a, b, seen in _runs(rest, last, lambda f: (tags(f, shade=True), body(f)))
        ]
    return lines + [
        _event(label.layer, a, b, fps, *seen) for a, b, seen in _runs(first, last, lambda f: (tags(f), body(f)))
    ]


def _body(text: str, face: fonts.Face, px: float) -> str:
    """The text, each piece in the face that has its letters; the event's own tags name the first face already.

    Libass takes the left end of a line from where its first glyph is drawn. In Arabic that may be a dot, which stands in the
    middle of its letter; a mark without ink or width behind the text gives the line its true end.
    """
    body, current = "", face
    for one, part in fonts.runs(text + RIGHT_TO_LEFT_MARK if is_right_to_left(text) else text, face):
        if not fonts.same(one, current):
            body += "{" + _font(one, px) + "}"
            current = one
        body += esc(part)
    return body


def _middle(text: str, x: float, y: float, width: float) -> str:
    """Place a line's middle at (x, y): by its left end when that is the only one libass knows rightly (see _body)."""
    if has_right_to_left(text):
        return f"\\an4\\pos({x - width / 2:.2f},{y:.2f})"
    return f"\\an5\\pos({x:.2f},{y:.2f})"


def _font(face: fonts.Face, px: float) -> str:
    return f"\\fn{face.family}\\b{int(face.bold)}\\fs{fonts.ass_size(face, px):.2f}"


def _shape(shape: Shape, fps: int) -> list[str]:
    first, last = frame_of(shape.start, fps), frame_of(shape.end, fps)
    if last <= first:
        return []
    moved = motion(shape.enter, first, last, fps)
    drawing = (check_mark if shape.kind == "check" else star)(shape.width, shape.height)

    def tags(frame: int) -> str:
        down, scale, seen = moved(frame)
        text = f"\\an5\\pos({shape.x:.2f},{shape.y + down:.2f})" + color_tag(shape.color)
        text += alpha_tag(1 - seen * (1 - shape.alpha))
        if scale != 1.0:
            text += f"\\fscx{scale * 100:.2f}\\fscy{scale * 100:.2f}"
        if shape.blur:
            text += f"\\blur{shape.blur:g}"
        return text + "\\p3"

    return [_event(shape.layer, a, b, fps, text, drawing) for a, b, text in _runs(first, last, tags)]


def _page(page: CaptionPage, look: CaptionLook, fps: int) -> list[str]:
    first, last = frame_of(page.start, fps), frame_of(page.end, fps)
    if last <= first:
        return []
    lines: list[str] = []
    texts = [word.text for word in page.words]
    for word, text in zip(page.words, as_placed(texts) if page.rtl else texts, strict=True):
        lines += _word(page, word, text, look, fps)
    return lines


def _word(page: CaptionPage, word: CaptionWord, text: str, look: CaptionLook, fps: int) -> list[str]:
    first, last = frame_of(page.start, fps), frame_of(page.end, fps)
    start = min(max(frame_of(word.start, fps), first), last)
    end = min(max(frame_of(word.end, fps), start), last)
    y = page.y + fonts.cap_shift(look.face, page.px, text)

    def place(scale: float) -> str:
        return _middle(text, word.x, y, word.width * scale) + _font(look.face, page.px)

    body = _body(text, look.face, page.px)
    lines = []
    if look.outline:
        # The soft halo is still while the page stands: libass keeps its picture.
        halo = place(1.0) + color_tag("#000000") + color_tag("#000000", 3) + f"\\bord{page.px * 0.11:.2f}\\blur7"
        lines.append(_event(19, first, last, fps, halo + alpha_tag(0.45), body))
    for begin, until, active in ((first, start, False), (start, end, True), (end, last, False)):
        if until <= begin:
            continue
        lines += _word_run(page, word, look, (begin, until), active=active, fps=fps, place=place, body=body)
    return lines


def _word_run(
    page: CaptionPage,
    word: CaptionWord,
    look: CaptionLook,
    run: tuple[int, int],
    *,
    active: bool,
    fps: int,
    place: Callable[[float], str],
    body: str,
) -> list[str]:
    begin, until = run
    text = color_tag(look.active if active else look.color)
    if look.outline:
        text += (
            color_tag(look.active_outline if active else look.outline, 3)
            + f"\\bord{page.px * (0.075 if look.upper else 0.06):.2f}"
        )
    elif look.mode == "veil":
        # A hair of its own colour around the letters makes the thin serif readable.
        text += color_tag(look.active if active else look.color, 3) + f"\\bord{page.px * 0.012:.2f}"
    lines = []
    if active and look.chip and look.outline:
        chip = rounded_box(word.width + page.px * 0.3, page.px * 1.14, page.px * 0.18)
        for step, scale in enumerate((0.9, 0.97, 1.0)):
            a, b = begin + step, until if scale == 1.0 else min(begin + step + 1, until)
            if b > a:
                tags = f"\\an5\\pos({word.x:.2f},{page.y:.2f})" + color_tag(look.chip)
                tags += color_tag(look.rim, 3) + f"\\bord{page.px * RIM:.2f}" if look.rim else ""
                tags += "" if scale == 1.0 else f"\\fscx{scale * 100:g}\\fscy{scale * 100:g}"
                lines.append(_event(22, a, b, fps, tags + "\\p3", chip))
    if active and look.pop != 1.0:
        peak = min(begin + 2, until)
        high = f"\\fscx{look.peak * 100:g}\\fscy{look.peak * 100:g}"
        rest = f"\\fscx{look.pop * 100:g}\\fscy{look.pop * 100:g}"
        lines.append(_event(24, begin, peak, fps, place(look.peak) + text + high, body))
        if until > peak:
            lines.append(_event(24, peak, until, fps, place(look.pop) + text + rest, body))
    else:
        lines.append(_event(24 if active else 23, begin, until, fps, place(1.0) + text, body))
    return lines
