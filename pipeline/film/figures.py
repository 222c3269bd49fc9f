"""A figure that counts up: "10,000+" at a share of its way, written the way its owner writes it."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\d+(?:([.,\u00a0\u202f '])\d{3}(?:\1\d{3})*(?!\d))?(?:[.,]\d+)?")


def counted(text: str, share: float) -> str:
    """The text with its first number at `share` (0 to 1) of its value; signs, grouping and decimals stay as they are."""
    found = _NUMBER.search(text)
    if found is None or share >= 1:
        return text
    number, group = found.group(), found.group(1) or ""
    whole = number.replace(group, "") if group else number
    point = next((sign for sign in ",." if sign in whole), "")
    decimals = len(whole.partition(point)[2]) if point else 0
    value = float(whole.replace(point, ".") if point else whole) * max(share, 0.0)
    return text[: found.start()] + _written(value, decimals, point, group) + text[found.end() :]


def _written(value: float, decimals: int, point: str, group: str) -> str:
    whole, _, rest = f"{value:.{decimals}f}".partition(".")
    if group:
        whole = f"{int(whole):,}".replace(",", group)
    return whole + (point + rest if decimals else "")
