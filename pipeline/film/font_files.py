"""Where faces for more writing systems lie on this host: the folders of FONT_DIRS, the packages of `make fonts`, the system's.

The files are the Noto families, known by their names. Light: nothing is opened, so the door of the queue may ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from errors import Unsupported
from pipeline.film import scripts
from pipeline.film.layout import clean
from settings import get_settings

PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
SYSTEM = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("~/.local/share/fonts"), Path("~/.fonts"))
ENDINGS = frozenset({".ttf", ".otf", ".ttc"})
VARIABLE = frozenset({"VF", "Variable", "VariableFont"})
# The weights to take when the wanted one is missing, best first.
WEIGHTS = {
    True: ("Bold", "SemiBold", "ExtraBold", "Medium", "Black", "Regular", ""),
    False: ("Medium", "Regular", "", "Light", "DemiLight", "SemiBold", "Bold"),
}
LONGEST_SHOWN = 60
_NAME = re.compile(r"^(NotoSans[A-Za-z]*)(?:\[[^\]]*wght[^\]]*\]|-([A-Za-z]+)(?:_wght)?)?(?:\.otf|\.ttf)?$")


@dataclass(frozen=True)
class FontFile:
    """One file: its family as the file's name says it, its weight's name, whether it holds all weights."""

    path: Path
    family: str
    weight: str
    variable: bool


def folders() -> tuple[Path, ...]:
    """The folders that are searched, the user's own first."""
    packaged = []
    for name in PACKAGES:
        spec = find_spec(name)
        packaged += [Path(place) for place in spec.submodule_search_locations or ()] if spec else []
    return (*get_settings().font_dirs, *packaged, *(place.expanduser() for place in SYSTEM))


def find(script: str, *, bold: bool) -> FontFile | None:
    """The best file for a writing system in this weight, or None."""
    wanted = families(script)
    for folder in folders():
        found = [one for one in _files(folder) if one.family in wanted]
        if found:
            return min(found, key=lambda one: (_weight_rank(one, bold=bold), wanted.index(one.family), str(one.path)))
    return None


def families(script: str) -> tuple[str, ...]:
    """The families (as in file names) that write a writing system, best first."""
    if script in scripts.REGIONS:
        return f"NotoSans{script}", f"NotoSansCJK{script.lower()}", "NotoSansCJK"
    return (f"NotoSans{script}",)


def require(texts: Mapping[str, str], language: str = "", *, written: bool = False) -> None:
    """Unsupported with the field, the writing system and what to install, when no font for a text is found.

    `texts` by field; `written`: more text of this language will be written.
    """
    needs = [(field, text, one) for field, text in texts.items() for one in scripts.needed([clean(text)], language)]
    if written and (own := scripts.of_language(language)):
        needs.append(("language", language, own))
    found: dict[str, bool] = {}
    for field, text, one in needs:
        if one not in found:
            found[one] = find(one, bold=True) is not None
        if not found[one]:
            shown = text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
            raise Unsupported(f"{field}={shown!r}: {advice(one)}")


def advice(script: str) -> str:
    """What to do when a font is missing, as the end of a sentence."""
    package = "fonts-noto-cjk" if script in scripts.REGIONS else "fonts-noto-core"
    return (
        f"there is no font for {scripts.shown(script)} on this machine; run `make fonts`, install {package} "
        f"(Debian), or put {families(script)[0]}-Bold.ttf into a folder of FONT_DIRS"
    )


def _files(folder: Path) -> Iterator[FontFile]:
    if not folder.is_dir():
        return
    for path in folder.rglob("NotoSans*"):
        if path.suffix.lower() in ENDINGS and (name := _NAME.match(path.stem)):
            weight = name.group(2) or ""
            yield FontFile(path, name.group(1), weight, variable="[" in path.stem or weight in VARIABLE)


def _weight_rank(file: FontFile, *, bold: bool) -> int:
    if file.variable:
        return 0
    order = WEIGHTS[bold]
    return 1 + (order.index(file.weight) if file.weight in order else len(order))
