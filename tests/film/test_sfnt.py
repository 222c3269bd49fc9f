"""The numbers of a font are those that fontTools reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from pipeline.film import fonts, sfnt

FILES = sorted(path for path in fonts.FONTS.iterdir() if path.suffix in {".otf", ".ttf"})


def test_there_are_faces_to_read() -> None:
    assert {face.file for face in fonts.VENDORED} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_vendored_face_is_read_as_by_font_tools(path: Path) -> None:
    read = sfnt.read(path)
    with TTFont(path, lazy=True) as font:
        os2, widths = font["OS/2"], font["hmtx"].metrics
        assert read.advances == {code: widths[glyph][0] for code, glyph in font.getBestCmap().items()}
        assert (read.units_per_em, read.win_ascent, read.win_descent, read.cap_height) == (
            font["head"].unitsPerEm,
            os2.usWinAscent,
            os2.usWinDescent,
            os2.sCapHeight,
        )


@pytest.mark.parametrize("kind", [4, 12])
def test_both_kinds_of_tables_of_letters_are_read(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "one.otf"
    with TTFont(fonts.FONTS / fonts.CARDO.file) as font:
        table = font["cmap"]
        table.tables = [one for one in table.tables if one.format == kind and one.isUnicode()]
        assert table.tables, "the face has such a table"
        known, widths = font.getBestCmap(), dict(font["hmtx"].metrics)
        font.save(path)
    assert sfnt.read(path).advances == {code: widths[glyph][0] for code, glyph in known.items()}


def test_what_is_no_font_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.otf"
    path.write_bytes(b"ttcf" + bytes(40))
    with pytest.raises(ValueError, match=r"none\.otf is no font with one face"):
        sfnt.read(path)
