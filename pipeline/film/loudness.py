"""How loud sound is (ITU-R BS.1770) and keeping its true peak down. Arrays are float32, samples x channels, 48 kHz.

Done with numpy instead of three more ffmpeg passes: a third of their time, and the same on every build of ffmpeg.
Runs in the child only.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.float32]

RATE = 48_000
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0
BLOCK = 48  # one millisecond: the grid of all gains
OVERSAMPLING, TAPS = 4, 16
LOOKAHEAD_BLOCKS, RELEASE_BLOCKS = 5, 60
SILENCE = -120.0

# The two filters of the K weighting at 48 kHz, from the recommendation.
SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
HIGHPASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))

Biquad = tuple[tuple[float, float, float], tuple[float, float, float]]


def padded(samples: int) -> int:
    """A length at or above `samples` that transforms fast (whole tenths of a second have small factors)."""
    return -(-(samples + RATE // 10) // 4800) * 4800


def filtered(sound: Sound, biquads: tuple[Biquad, ...]) -> Sound:
    """The sound through second-order filters, by its spectrum."""
    size = padded(len(sound))
    response = _response(size, biquads)
    if sound.ndim > 1:
        response = response[:, None]
    spectrum = np.fft.rfft(sound, size, axis=0) * response
    return np.fft.irfft(spectrum, size, axis=0)[: len(sound)].astype(np.float32)


@cache
def _response(size: int, biquads: tuple[Biquad, ...]) -> NDArray[np.complex64]:
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    total = np.ones(len(z), np.complex128)
    for (b0, b1, b2), (a0, a1, a2) in biquads:
        total *= (b0 + b1 * z + b2 * z * z) / (a0 + a1 * z + a2 * z * z)
    return total.astype(np.complex64)


def integrated(sound: Sound) -> float:
    """Integrated loudness in LUFS (mono counts as played on both sides); -120 for silence or less than 0.4 s."""
    weighted = filtered(sound, (SHELF, HIGHPASS)).astype(np.float64)
    hop = RATE // 10
    tenths = len(weighted) // hop
    if tenths < 4:
        return SILENCE
    power = (weighted[: tenths * hop].reshape(tenths, -1) ** 2).sum(axis=1) / hop
    if sound.ndim == 1:
        power = power * 2
    blocks = np.convolve(power, np.full(4, 0.25), "valid")
    loud = blocks[_lufs(blocks) > ABSOLUTE_GATE]
    if not len(loud):
        return SILENCE
    loud = loud[_lufs(loud) > float(_lufs(loud.mean())) + RELATIVE_GATE]
    return float(_lufs(loud.mean()))


def _lufs(power: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-13))


def block_peaks(sound: Sound) -> NDArray[np.float32]:
    """The highest true peak (four times oversampled, all channels) of each millisecond."""
    count = -(-len(sound) // BLOCK)
    peaks = np.zeros(count * BLOCK, np.float32)
    top = peaks[: len(sound)]
    for channel in range(sound.shape[1]):
        line = np.ascontiguousarray(sound[:, channel])
        np.maximum(top, np.abs(line), out=top)
        for phase in _phases():
            np.maximum(top, np.abs(np.convolve(line, phase, "same")), out=top)
    return np.asarray(peaks.reshape(count, BLOCK).max(axis=1), np.float32)


@cache
def _phases() -> tuple[NDArray[np.float32], ...]:
    """Windowed-sinc taps that give the samples between the samples."""
    at = np.arange(TAPS + 1) - TAPS / 2
    window = np.kaiser(TAPS + 1, 6.0)
    return tuple((np.sinc(at - part / OVERSAMPLING) * window).astype(np.float32) for part in range(1, OVERSAMPLING))


def true_peak(sound: Sound) -> float:
    """In dBTP."""
    return float(20 * np.log10(max(float(block_peaks(sound).max()), 1e-6)))


def limited(sound: Sound, ceiling: float, peaks: NDArray[np.floating]) -> Sound:
    """The sound with its true peak held under `ceiling` (linear), by smooth gains that see 5 ms ahead.

    `peaks` are the sound's own `block_peaks`.
    """
    wanted = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
    reach = LOOKAHEAD_BLOCKS
    around = np.lib.stride_tricks.sliding_window_view(np.pad(wanted, reach + 1, mode="edge"), 2 * reach + 3)
    least = around.min(axis=1)
    held = _released(least)
    # A window no wider than the minimum's keeps every mean at or under what its block needs.
    window = np.hanning(reach + 2)[1:-1] if reach > 1 else np.ones(1)
    smooth = np.convolve(np.pad(held, len(window) // 2, mode="edge"), window / window.sum(), "valid")[: len(held)]
    return sound * by_sample(smooth, len(sound))[:, None]


def _released(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gains that fall at once and come back slowly."""
    out = np.empty_like(gains)
    current, share = 1.0, 1.0 / RELEASE_BLOCKS
    for at, gain in enumerate(gains.tolist()):
        current = min(gain, current + (1.0 - current) * share)
        out[at] = current
    return out


def by_sample(gains: NDArray[np.floating], samples: int) -> Sound:
    """Gains given for each millisecond, for each sample."""
    centers = (np.arange(len(gains)) + 0.5) * BLOCK
    return np.asarray(np.interp(np.arange(samples), centers, gains), np.float32)
