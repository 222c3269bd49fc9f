"""A bed of music, synthesised: pad, pluck, bass and drums by style, exactly as long as the film, ending with it.

The same style, seed and length give the same samples. Runs in the child only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

RATE = 24_000  # a bed has nothing to say above 8 kHz; it is resampled once at the end
ENDING_SECONDS, REVERB_SECONDS = 2.0, 1.5
HIGH, SWELL = 0.45, 0.22  # the octave above, and the noise before the lift, beside the pluck


@dataclass(frozen=True)
class Score:
    """A style's music: tempo, chords as semitones above the key, and which instruments play how loud."""

    bpm: float
    key: float
    chords: tuple[tuple[int, ...], ...]
    arp: tuple[int, ...]
    steps: int
    pad: float
    pluck: float
    bass: float
    kick: float = 0.0
    hat: float = 0.0
    clap: float = 0.0
    reverb: float = 0.3


SCORES: dict[str, Score] = {
    "minimal": Score(
        96, 196.0, ((0, 4, 7, 11), (-3, 0, 4, 7), (5, 9, 12, 16), (-5, -1, 2, 7)), (0, 2, 1, 3), 8,
        pad=0.8, pluck=0.55, bass=0.5, kick=0.35, hat=0.12,
    ),
    "bold": Score(
        118, 174.6, ((0, 3, 7, 10), (-4, 0, 3, 8), (3, 7, 10, 15), (-2, 2, 5, 10)), (0, 3, 1, 2), 8,
        pad=0.6, pluck=0.6, bass=0.8, kick=0.9, hat=0.3, clap=0.35, reverb=0.2,
    ),
    "elegant": Score(
        72, 220.0, ((0, 3, 7, 14), (-4, 3, 8, 12), (5, 8, 12, 15), (-2, 2, 5, 14)), (0, 1, 2, 3), 8,
        pad=1.0, pluck=0.4, bass=0.4, reverb=0.5,
    ),
    "playful": Score(
        112, 261.6, ((0, 4, 7, 12), (5, 9, 12, 16), (-3, 0, 4, 9), (-5, -1, 2, 7)), (0, 2, 3, 1), 8,
        pad=0.45, pluck=0.9, bass=0.6, kick=0.5, hat=0.25, clap=0.25, reverb=0.2,
    ),
}  # fmt: skip


def compose(style: str, seconds: float, seed: int, lift: float | None = None) -> Wave:
    """Stereo samples at 24 kHz: round(seconds * 24000) x 2, silent at its last sample.

    It begins with the pad alone, gathers its instruments bar by bar, and from the bar nearest to `lift` (the call to action, in
    seconds) plays an octave higher as well, after a swell that leads there.
    """
    score = SCORES.get(style, SCORES["minimal"])
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    key = score.key * 2 ** (int(rng.integers(-2, 3)) / 12)
    bar, bars, ending = _measure(score, seconds)
    dry = np.zeros((samples, 2), np.float32)
    wet = np.zeros((samples, 2), np.float32)
    chords = [[key * 2 ** (step / 12) for step in chord] for chord in score.chords]
    pads = {at: _pad(chord, bar * 1.25) for at, chord in enumerate(chords[: max(bars, 1)])}
    plucks: dict[float, Wave] = {}
    lifted = bars if lift is None else min(max(round(lift / bar), 1), bars)
    if lifted < bars:
        _add(wet, _swell(bar, rng) * np.float32(SWELL), (lifted - 1) * bar)
    for number in range(bars):
        at, chord = number * bar, number % len(chords)
        _add(wet, pads[chord] * np.float32(score.pad), at)
        if number >= 1 or bars < 3:
            _arpeggio(wet, score, chords[chord], at, bar, plucks)
        if number >= lifted:
            _arpeggio(wet, replace(score, pluck=score.pluck * HIGH), [2 * n for n in chords[chord]], at, bar, plucks)
        _add(dry, _bass(chords[chord][0] / 2, bar) * np.float32(score.bass), at)
        if number >= 2:
            _drums(dry, score if number < lifted else _louder(score), at, bar, rng)
    # The last chord is the key's own; it rings out until the film's last frame.
    tonic = [*chords[0], chords[0][0] * 2]
    _add(wet, _pad(tonic, seconds - ending, attack=0.03) * np.float32(score.pad * 1.1), ending)
    _add(dry, _bass(chords[0][0] / 2, seconds - ending) * np.float32(score.bass), ending)
    _add(wet, _pluck(chords[0][0] * 2) * np.float32(score.pluck), ending)
    mixed = dry + wet * np.float32(1 - score.reverb * 0.5) + _reverb(wet, rng) * np.float32(score.reverb)
    peak = max(float(np.abs(mixed).max()), 1e-6)
    return _faded(np.tanh(mixed / np.float32(peak) * np.float32(1.6)).astype(np.float32), ending)


def _louder(score: Score) -> Score:
    """The drums of the last part: a hat also where the style has none."""
    return replace(score, hat=max(score.hat * 1.4, 0.08), kick=score.kick * 1.1)


def _swell(seconds: float, rng: np.random.Generator) -> Wave:
    """Noise that rises out of nothing and is cut off."""
    t = _times(seconds)
    noise = np.diff(rng.standard_normal(len(t)).astype(np.float32), prepend=0)
    return np.asarray(noise * (t / seconds) ** 3 * np.minimum(1, (t[-1] - t) / 0.03), np.float32)


def _measure(score: Score, seconds: float) -> tuple[float, int, float]:
    """(seconds of a bar, bars, start of the ending): the tempo bends a little so that whole bars fill the film."""
    ending = min(ENDING_SECONDS, seconds * 0.4)
    bar = 4 * 60 / score.bpm
    bars = max(1, round((seconds - ending) / bar))
    return (seconds - ending) / bars, bars, seconds - ending


def _add(track: Wave, sound: Wave, at: float) -> None:
    start = round(at * RATE)
    part = track[start : start + len(sound)]
    if sound.ndim == 1:
        part += sound[: len(part), None]
    else:
        part += sound[: len(part)]


def _times(seconds: float) -> Wave:
    return (np.arange(max(1, round(seconds * RATE)), dtype=np.float32) / RATE).astype(np.float32)


def _pad(notes: list[float], seconds: float, attack: float = 0.35) -> Wave:
    """Detuned saws of six harmonics, spread a little between the ears."""
    t = _times(seconds)
    envelope = np.minimum(1, t / attack) * np.minimum(1, (t[-1] - t) / (seconds * 0.3) + 1e-3)
    out = np.zeros((len(t), 2), np.float32)
    for note in notes:
        for detune, left in ((0.9965, 0.7), (1.0, 0.5), (1.0035, 0.3)):
            phase = 2 * np.pi * note * detune * t
            first, two_cos = np.sin(phase), 2 * np.cos(phase)
            # sin(n x) = 2 cos(x) sin((n - 1) x) - sin((n - 2) x): one sine gives all its harmonics.
            before, current = np.zeros_like(first), first
            line = first.copy()
            for harmonic in range(2, 7):
                before, current = current, two_cos * current - before
                line += current / harmonic**1.6
            out[:, 0] += line * np.float32(left)
            out[:, 1] += line * np.float32(1 - left)
    return np.asarray(out * (envelope / len(notes) / 2)[:, None], np.float32)


def _pluck(note: float) -> Wave:
    t = _times(0.9)
    body = np.exp(-t * 6) * np.sin(2 * np.pi * note * t) + 0.4 * np.exp(-t * 11) * np.sin(4 * np.pi * note * t)
    body += 0.18 * np.exp(-t * 20) * np.sin(6 * np.pi * note * t)
    return np.asarray(body * np.minimum(1, t / 0.004), np.float32)


def _arpeggio(track: Wave, score: Score, chord: list[float], at: float, bar: float, plucks: dict[float, Wave]) -> None:
    for step in range(score.steps):
        note = chord[score.arp[step % len(score.arp)] % len(chord)] * 2
        if note not in plucks:
            plucks[note] = _pluck(note)
        loud = score.pluck * (0.6 if step % 2 else 0.85)
        pan = np.array([0.6, 0.4] if step % 2 else [0.4, 0.6], np.float32)
        _add(track, plucks[note][:, None] * pan * np.float32(loud), at + step * bar / score.steps)


def _bass(note: float, seconds: float) -> Wave:
    while note > 110:
        note /= 2
    t = _times(seconds)
    envelope = np.minimum(1, t / 0.02) * np.exp(-t * 0.9) * np.minimum(1, (t[-1] - t) / 0.08)
    tone = np.sin(2 * np.pi * note * t) + 0.25 * np.sin(4 * np.pi * note * t)
    return np.asarray(tone * envelope * 0.5, np.float32)


def _drums(track: Wave, score: Score, at: float, bar: float, rng: np.random.Generator) -> None:
    beat = bar / 4
    for number in range(4):
        if score.kick and (number % 2 == 0 or score.kick > 0.6):
            t = _times(0.22)
            pitch = 46 * t + 60 / 30 * (1 - np.exp(-t * 30))
            _add(
                track, (np.sin(2 * np.pi * pitch) * np.exp(-t * 14) * score.kick).astype(np.float32), at + number * beat
            )
        if score.hat:
            _noise(track, rng, at + (number + 0.5) * beat, 0.05, 90, score.hat)
        if score.clap and number % 2:
            _noise(track, rng, at + number * beat, 0.14, 28, score.clap)


def _noise(track: Wave, rng: np.random.Generator, at: float, seconds: float, decay: float, loud: float) -> None:
    t = _times(seconds)
    noise = rng.standard_normal(len(t)).astype(np.float32)
    _add(track, (np.diff(noise, prepend=0) * np.exp(-t * decay) * loud * 0.4).astype(np.float32), at)


def _reverb(track: Wave, rng: np.random.Generator) -> Wave:
    """Convolution with a decaying noise, and the low-pass of the whole bed, in one transform."""
    tail = round(REVERB_SECONDS * RATE)
    decay = np.exp(-np.arange(tail) / RATE * 4.2)[:, None]
    room = rng.standard_normal((tail, 2)) * decay
    room /= np.sqrt((room**2).sum(axis=0))
    size = -(-(len(track) + tail) // 2400) * 2400
    hertz = np.arange(size // 2 + 1) * (RATE / size)
    low = 1 / (1 + (hertz / 3500) ** 4)
    spectrum = np.fft.rfft(track, size, axis=0) * np.fft.rfft(room, size, axis=0) * low[:, None]
    return np.fft.irfft(spectrum, size, axis=0)[: len(track)].astype(np.float32)


def _faded(track: Wave, ending: float) -> Wave:
    start = min(round(ending * RATE), len(track) - 1)
    fade = np.ones(len(track), np.float32)
    # Holds while the chord is struck, then falls to nothing on the last sample.
    share = np.linspace(0, 1, len(track) - start, dtype=np.float32)
    fade[start:] = np.cos(share**1.5 * np.float32(np.pi / 2))
    fade[-1] = 0.0
    opening = min(len(track), RATE // 4)
    fade[:opening] *= np.linspace(0, 1, opening, dtype=np.float32)
    return track * fade[:, None]
