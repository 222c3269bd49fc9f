"""How text and boxes come, stand and go: frame by frame, for those who draw them."""

from __future__ import annotations

from collections.abc import Callable

ENTER_SECONDS, LEAVE_SECONDS = 0.5, 0.2
RISE_PIXELS = 44.0
PULSE_SECONDS, PULSE_SCALE = 1.3, 0.035


def frame_of(seconds: float, fps: int) -> int:
    """The first frame at or after a time, on the half-frame grid."""
    return max(0, round(seconds * fps))


def motion(enter: str, first: int, last: int, fps: int) -> Callable[[int], tuple[float, float, float]]:
    """(offset down in pixels, scale, share of visibility) at a frame."""
    coming, leaving = max(1, round(ENTER_SECONDS * fps)), max(1, round(LEAVE_SECONDS * fps))

    def at(frame: int) -> tuple[float, float, float]:
        u = 1.0 if enter == "none" else min(1.0, (frame - first + 1) / coming)
        seen = min(1.0, (last - frame) / leaving)
        eased = 1 - (1 - u) ** 4
        down, scale = 0.0, 1.0
        if enter == "rise":
            down = round(RISE_PIXELS * (1 - eased), 1)
        elif enter in ("pop", "button"):
            back = 1 + 2.2 * (u - 1) ** 3 + 1.2 * (u - 1) ** 2
            scale = 0.6 + 0.4 * back
        if enter == "button":
            beat = ((frame - first) / fps - ENTER_SECONDS) % PULSE_SECONDS
            if (frame - first) / fps > ENTER_SECONDS and beat < 0.55:
                scale *= 1 + PULSE_SCALE * _hump(beat / 0.55)
        return down, round(scale, 4), round(seen * min(1.0, eased * 1.2), 3)

    return at


def _hump(u: float) -> float:
    # Quick up, slow down.
    return float(4.7 * u * (1 - u) ** 2 * (1.45 if u < 1 else 0))
