"""Colours as #RRGGBB: how light they are, whether one is read on another (WCAG), and their mixtures."""

from __future__ import annotations


def luminance(color: str) -> float:
    """WCAG relative luminance of #RRGGBB, 0 to 1."""
    linear = []
    for at in (1, 3, 5):
        value = int(color[at : at + 2], 16) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""
    return contrast_of(luminance(one), luminance(other))


def contrast_of(one: float, other: float) -> float:
    """The same of two luminances."""
    light, dark = sorted((one, other), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def distance(one: str, other: str) -> float:
    """How far apart two colours are in the channel in which they differ most, 0 to 1."""
    return max(abs(int(one[at : at + 2], 16) - int(other[at : at + 2], 16)) for at in (1, 3, 5)) / 255


def on(background: str, *, ink: str = "#15191D") -> str:
    """The text colour for a coloured ground: white or ink, whichever reads better."""
    return max(("#FFFFFF", ink), key=lambda color: contrast(color, background))


def mix(one: str, other: str, share: float) -> str:
    """`share` of the other colour in the first, channel by channel."""
    channels = (
        round(int(one[at : at + 2], 16) * (1 - share) + int(other[at : at + 2], 16) * share) for at in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02X}" for channel in channels)
