"""The few numbers of a font file that a film needs, read straight from its tables.

That takes milliseconds; a library that also reads names and outlines takes a tenth of a second for each face.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Numbers:
    """In font units: the em, the Windows box, the height of capitals (None: not said), the advance of each code point."""

    units_per_em: int
    win_ascent: int
    win_descent: int
    cap_height: int | None
    advances: dict[int, int]


def read(path: Path) -> Numbers:
    """The numbers of a TrueType or OpenType file with one font; ValueError when it is none."""
    data = path.read_bytes()
    if data[:4] not in (b"\0\1\0\0", b"OTTO", b"true"):
        raise ValueError(f"{path.name} is no font with one face")
    tables = {}
    for at in range(struct.unpack_from(">H", data, 4)[0]):
        tag, _, offset, length = struct.unpack_from(">4sLLL", data, 12 + 16 * at)
        tables[tag] = data[offset : offset + length]
    os2 = tables[b"OS/2"]
    ascent, descent = struct.unpack_from(">HH", os2, 74)
    has_capitals = struct.unpack_from(">H", os2)[0] >= 2
    widths = _advances(tables)
    return Numbers(
        units_per_em=struct.unpack_from(">H", tables[b"head"], 18)[0],
        win_ascent=ascent,
        win_descent=descent,
        cap_height=struct.unpack_from(">h", os2, 88)[0] if has_capitals else None,
        advances={code: widths[min(glyph, len(widths) - 1)] for code, glyph in _glyphs(tables[b"cmap"]).items()},
    )


def _advances(tables: dict[bytes, bytes]) -> list[int]:
    """By glyph; the last stands for all that follow."""
    count = struct.unpack_from(">H", tables[b"hhea"], 34)[0]
    return list(struct.unpack_from(f">{2 * count}H", tables[b"hmtx"])[::2])


def _glyphs(cmap: bytes) -> dict[int, int]:
    """Code point -> glyph, from the table's best part: all of Unicode, or its first 65,536."""
    places = {}
    for at in range(struct.unpack_from(">H", cmap, 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHL", cmap, 4 + 8 * at)
        places[platform, encoding] = offset
    for which in ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3), (0, 2), (0, 1), (0, 0)):
        if which in places:
            part = cmap[places[which] :]
            return {code: glyph for code, glyph in _PARTS[struct.unpack_from(">H", part)[0]](part).items() if glyph}
    raise ValueError("the font knows no Unicode")


def _segments(part: bytes) -> dict[int, int]:
    """Format 4."""
    count = struct.unpack_from(">H", part, 6)[0] // 2
    ends = struct.unpack_from(f">{count}H", part, 14)
    starts = struct.unpack_from(f">{count}H", part, 16 + 2 * count)
    deltas = struct.unpack_from(f">{count}H", part, 16 + 4 * count)
    ranges = struct.unpack_from(f">{count}H", part, 16 + 6 * count)
    found = {}
    for at, (start, end, delta, shift) in enumerate(zip(starts, ends, deltas, ranges, strict=True)):
        for code in range(start, min(end, 0xFFFE) + 1):
            if not shift:
                found[code] = (code + delta) & 0xFFFF
                continue
            place = 16 + 6 * count + 2 * at + shift + 2 * (code - start)
            glyph = struct.unpack_from(">H", part, place)[0]
            found[code] = (glyph + delta) & 0xFFFF if glyph else 0
    return found


def _groups(part: bytes) -> dict[int, int]:
    """Format 12."""
    found: dict[int, int] = {}
    for at in range(struct.unpack_from(">L", part, 12)[0]):
        start, end, glyph = struct.unpack_from(">LLL", part, 16 + 12 * at)
        found.update(zip(range(start, end + 1), range(glyph, glyph + end - start + 1), strict=True))
    return found


_PARTS = {4: _segments, 12: _groups}
