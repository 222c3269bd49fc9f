"""Cuts the faces that one film needs from the fonts of this host: only its letters, in one weight, under a name of ours.

Noto comes as variable fonts, of which libass draws the default weight only, and as collections of 33 MB. A cut font has
some kilobytes, and its name is nobody else's, so libass cannot mistake it for one of the system's. Runs in the child.
"""

from __future__ import annotations

import io
import logging
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from errors import HostTrouble, Unsupported
from pipeline.film import font_files, fonts, scripts
from pipeline.film.font_files import FontFile
from pipeline.film.fonts import FONTS, Face, Wardrobe, metrics
from pipeline.film.layout import clean
from pipeline.film.render_job import RenderJob
from pipeline.film.themes import THEMES

BOLD, PLAIN = 700, 500
ALWAYS = " \u00a0\u200c\u200d\u200e\u200f"  # joiners and marks of direction that a text, or the captions, may hold
DROPPED = ("DSIG", "VORG", "VVAR", "vhea", "vmtx", "BASE", "STAT", "MVAR")


def prepare(job: RenderJob, folder: Path) -> Wardrobe:
    """The faces for the writing systems of a job that no vendored face has, made in `folder` with links to the vendored.

    The folder is made only when one is needed; it is libass' fontsdir then. Errors: Unsupported when a font or a letter is
    missing.
    """
    texts = [clean(text) for text in texts_of(job)]
    needs = scripts.needed((*texts, *(text.upper() for text in texts)), job.language)
    if not needs:
        return fonts.NOTHING
    theme = THEMES[job.style]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for face in fonts.VENDORED:
            (folder / face.file).symlink_to(FONTS / face.file)
    except OSError as error:
        raise HostTrouble(f"{error.filename} cannot be made: {error.strerror}") from error
    plain = any(fonts.same(face, fonts.CARDO) for face in (theme.display, theme.text, theme.caption.face))
    return Wardrobe(
        bold=tuple(_faces(needs, bold=True, folder=folder)),
        plain=tuple(_faces(needs, bold=False, folder=folder)) if plain else (),
    )


def texts_of(job: RenderJob) -> Iterable[str]:
    """Every text that the film of a job can show."""
    yield from (job.product_name, job.cta_text, job.url, job.price)
    for given in job.scenes:
        yield from (given.scene.headline, given.scene.kicker, *given.scene.lines)
        yield from (word.text for word in given.words)


def _faces(needs: dict[str, str], *, bold: bool, folder: Path) -> Iterable[Face]:
    for script, letters in needs.items():
        file = font_files.find(script, bold=bold)
        if file is None:
            raise Unsupported(f"a text of this film cannot be drawn: {font_files.advice(script)}")
        yield _cut(file, script, letters, bold=bold, folder=folder)


def _cut(file: FontFile, script: str, letters: str, *, bold: bool, folder: Path) -> Face:
    name = f"Film {script} {'Bold' if bold else 'Plain'}"
    path = folder / f"{name.replace(' ', '-')}{'.otf' if file.path.suffix.lower() == '.otf' else '.ttf'}"
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    try:
        font = _subset(file, script, letters)
        _set_weight(font, BOLD if bold else PLAIN)
        _rename(font, name)
        font.save(path)
    except OSError as error:
        raise HostTrouble(f"{error.filename or path.name}: {error.strerror or error}") from error
    except Exception as error:  # a broken font raises whatever its bytes lead to
        raise Unsupported(f"the font {file.path.name} cannot be used: {type(error).__name__}: {error}") from error
    habit = scripts.habit(script)
    face = Face(str(path), name, scale=habit.scale, leading=habit.leading, rise=habit.rise, joined=habit.joined)
    _check(face, file, script, letters)
    return face


def _check(face: Face, file: FontFile, script: str, letters: str) -> None:
    known = metrics(face).advances
    for letter in letters:
        if ord(letter) not in known and unicodedata.category(letter)[0] in "LMN":
            raise Unsupported(
                f"the font {file.path.name} for {scripts.shown(script)} lacks {letter!r} ({unicodedata.name(letter, '')})"
            )


def _subset(file: FontFile, script: str, letters: str) -> Any:
    from fontTools import subset
    from fontTools.ttLib import TTFont

    options = subset.Options()
    options.hinting = False
    options.name_IDs = [1, 2, 4, 6]
    options.drop_tables += list(DROPPED)
    number = _number(file, script) if file.path.suffix.lower() == ".ttc" else -1
    font = TTFont(file.path, fontNumber=number, lazy=True)
    cutter = subset.Subsetter(options)
    cutter.populate(text=letters + ALWAYS)
    cutter.subset(font)
    # Read anew: the instancer does not take what a lazy CFF2 table has become under the cutter.
    kept = io.BytesIO()
    font.save(kept)
    font.close()
    kept.seek(0)
    return TTFont(kept)


def _number(file: FontFile, script: str) -> int:
    """Which font of a collection writes a region's ideographs."""
    from fontTools.ttLib import TTCollection

    with TTCollection(file.path, lazy=True) as collection:
        names = [font["name"].getDebugName(16) or font["name"].getDebugName(1) or "" for font in collection]
    ending = script if script in scripts.REGIONS else ""
    return next((at for at, name in enumerate(names) if name.endswith(ending) and "Mono" not in name), 0)


def _set_weight(font: Any, weight: int) -> None:
    if "fvar" not in font:
        return
    from fontTools.varLib import instancer

    axes = {axis.axisTag: axis.defaultValue for axis in font["fvar"].axes}
    for axis in font["fvar"].axes:
        if axis.axisTag == "wght":
            axes["wght"] = min(max(weight, axis.minValue), axis.maxValue)
    instancer.instantiateVariableFont(font, axes, inplace=True)


def _rename(font: Any, name: str) -> None:
    """One name, upright and of normal weight: libass then neither thickens nor slants what it finds.

    One line's box, too: which of the three in a font is taken differs between libraries.
    """
    names = font["name"]
    names.names = []
    for number, text in ((1, name), (2, "Regular"), (4, name), (6, name.replace(" ", "-"))):
        names.setName(text, number, 3, 1, 0x409)
    os2, hhea = font["OS/2"], font["hhea"]
    os2.usWeightClass, os2.fsSelection, font["head"].macStyle = 400, 0x40, 0
    os2.sTypoAscender, os2.sTypoDescender, os2.sTypoLineGap = os2.usWinAscent, -os2.usWinDescent, 0
    hhea.ascent, hhea.descent, hhea.lineGap = os2.usWinAscent, -os2.usWinDescent, 0
