"""The field `language` of a payload: a tag whose language there is, alone or with a region or script behind it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from pipeline.catalog.base import like

# ISO 639-1. Which of them are read aloud depends on the provider of the voice, which the worker chooses.
_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es"
    " et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki"
    " kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no"
    " nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te"
    " tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
# What people write for a language: the code of a country where it is spoken.
_COUNTRIES = {
    "cn": "zh",
    "cz": "cs",
    "dk": "da",
    "gb": "en",
    "gr": "el",
    "jp": "ja",
    "kz": "kk",
    "ua": "uk",
    "us": "en",
}


def _known(tag: str) -> str:
    """The tag; ValueError with what may have been meant where there is no such language."""
    code = tag[:2]
    if not tag or code in _CODES.split():
        return tag
    hint = f"; did you mean {_COUNTRIES[code]!r}?" if code in _COUNTRIES else ", such as en or pt-BR"
    raise ValueError(f"should begin with the ISO 639-1 code of a language{hint}")


Language = Annotated[
    str, like(r"[a-z]{2}(-([A-Za-z]{2,4}|\d{3}))?", "a language tag such as en or pt-BR"), AfterValidator(_known)
]
