"""The film's sound: voices in their places, the bed ducked under them, and the whole at -14 LUFS.

A film's worth of samples is a few megabytes, so all of it is done in memory. Runs in the child only.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errors import InvalidInput
from pipeline.film import loudness, music
from pipeline.film.loudness import BLOCK, RATE, Biquad, Sound
from pipeline.film.own_music import own_bed
from pipeline.film.timeline import Timeline, Voice

# Of the peaks 1 dB is left for what AAC adds; where it adds more, they are held lower.
TARGET_LUFS, CEILING_DBTP, MOST_PEAK = -14.0, -2.0, -1.0
SPARE_DB, MOST_MASTERS = 0.2, 4
VOICE_LUFS, BED_BELOW = -17.0, 4.5
VOICE_THRESHOLD_DB, VOICE_RATIO, VOICE_ATTACK, VOICE_RELEASE = -20.0, 3.0, 0.008, 0.12
DUCK_THRESHOLD_DB, DUCK_RATIO, DUCK_ATTACK, DUCK_RELEASE, DUCK_MOST_DB = -28.0, 4.0, 0.025, 0.42, 11.0
QUIET = -60.0


def mix(timeline: Timeline, output: Path, encoded_peak: Callable[[], float] = lambda: MOST_PEAK) -> float:
    """Write the film's sound (16 bit stereo WAV, 48 kHz, exactly as long as the picture); returns its LUFS.

    `encoded_peak` has the file encoded and tells the true peak of that, in dBTP: what is too much is taken off before.
    """
    samples = round(timeline.frames * RATE / timeline.fps)
    voice = _leveled(_polished(_voices(timeline.voices, samples)), VOICE_LUFS)
    sound = np.repeat(voice[:, None], 2, axis=1)
    if timeline.music:
        own = Path(timeline.music_path) if timeline.music_path else None
        bed = own_bed(own, samples) if own else _bed(timeline, samples)
        bed = _leveled(bed, VOICE_LUFS - BED_BELOW)
        sound += bed * _ducking(voice)[:, None]
    ceiling, level = CEILING_DBTP, loudness.SILENCE
    for _ in range(MOST_MASTERS):
        made, level = mastered(sound, ceiling)
        _write(made, output)
        over = encoded_peak() - MOST_PEAK
        if over <= 0:
            break
        ceiling -= over + SPARE_DB
    return level


def mastered(sound: Sound, ceiling_dbtp: float = CEILING_DBTP) -> tuple[Sound, float]:
    """The sound at -14 LUFS with its true peak under a ceiling, and the LUFS reached; silence stays silence."""
    level = loudness.integrated(sound)
    if level < QUIET:
        return sound, level
    ceiling = 10 ** (ceiling_dbtp / 20)
    gain = TARGET_LUFS - level
    out, peaks = sound, loudness.block_peaks(sound)
    for _ in range(3):
        factor = np.float32(10 ** (gain / 20))
        out = loudness.limited(sound * factor, ceiling, peaks * factor)
        level = loudness.integrated(out)
        if abs(TARGET_LUFS - level) < 0.3:
            break
        gain += TARGET_LUFS - level
    return out, level


def read_wav(path: Path) -> tuple[Sound, int]:
    """(mono samples -1..1, rate) of a PCM WAV of 16, 24 or 32 bits."""
    try:
        with wave.open(str(path), "rb") as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise InvalidInput(f"the sound {path.name} is not a readable WAV: {error}") from error
    if width not in (2, 3, 4):
        raise InvalidInput(f"the sound {path.name} has {8 * width} bits a sample; 16, 24 or 32 are read")
    raw = raw[: len(raw) // (width * channels) * width * channels]
    if width == 2:
        line = np.frombuffer(raw, "<i2").astype(np.float32) / 32768
    elif width == 4:
        line = np.frombuffer(raw, "<i4").astype(np.float32) / 2147483648
    else:
        parts = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
        line = ((parts[:, 0] << 8 | parts[:, 1] << 16 | parts[:, 2] << 24) / 2147483648).astype(np.float32)
    return np.asarray(line.reshape(-1, channels).mean(axis=1), np.float32), rate


def resampled(sound: Sound, rate: int, target: int) -> Sound:
    """The sound at another rate, by its spectrum."""
    if rate == target or not len(sound):
        return sound
    unit = rate // math.gcd(rate, target)
    size = -(-(len(sound) + rate // 20) // unit) * unit
    out = size * target // rate
    spectrum = np.fft.rfft(sound, size, axis=0)
    wide = np.zeros((out // 2 + 1, *sound.shape[1:]), spectrum.dtype)
    shared = min(len(spectrum), len(wide))
    wide[:shared] = spectrum[:shared]
    whole = np.fft.irfft(wide, out, axis=0)[: round(len(sound) * target / rate)]
    return (whole * (target / rate)).astype(np.float32)


def _voices(voices: tuple[Voice, ...], samples: int) -> Sound:
    track = np.zeros(samples, np.float32)
    for voice in voices:
        line, rate = read_wav(Path(voice.path))
        line = resampled(line, rate, RATE)
        start = round(voice.start * RATE)
        part = track[start : start + min(len(line), round(voice.seconds * RATE) + RATE // 10)]
        part += line[: len(part)]
    return track


def _polished(voice: Sound) -> Sound:
    """High-pass, a little less boom, a little more presence, and gentle compression."""
    chain = (_highpass(90.0), _bell(3200.0, 1.0, 2.5), _bell(250.0, 1.0, -2.0))
    voice = _leveled(loudness.filtered(voice, chain), VOICE_LUFS)
    over = np.maximum(_levels(voice) - VOICE_THRESHOLD_DB, 0.0)
    reduction = _follow(over * (1 - 1 / VOICE_RATIO), VOICE_ATTACK, VOICE_RELEASE)
    return voice * loudness.by_sample(10 ** (-reduction / 20), len(voice))


def _bed(timeline: Timeline, samples: int) -> Sound:
    # The last scene is the call to action.
    lift = timeline.shots[-1].first / timeline.fps if len(timeline.shots) > 1 else None
    bed = resampled(music.compose(timeline.music or "", timeline.seconds, timeline.seed, lift), music.RATE, RATE)
    out = np.zeros((samples, 2), np.float32)
    count = min(samples, len(bed))
    out[:count] = bed[:count]
    return out


def _ducking(voice: Sound) -> Sound:
    """The bed's gain for each sample: down within 25 ms of a word, back within half a second of silence."""
    over = np.maximum(_levels(voice) - DUCK_THRESHOLD_DB, 0.0)
    wanted = np.minimum(over * (1 - 1 / DUCK_RATIO), DUCK_MOST_DB)
    return loudness.by_sample(10 ** (-_follow(wanted, DUCK_ATTACK, DUCK_RELEASE) / 20), len(voice))


def _leveled(sound: Sound, target: float) -> Sound:
    level = loudness.integrated(sound)
    return sound if level < QUIET else sound * np.float32(10 ** ((target - level) / 20))


def _levels(sound: Sound) -> NDArray[np.float64]:
    """Level of each millisecond in dB, over ten milliseconds."""
    count = -(-len(sound) // BLOCK)
    power = np.zeros(count * BLOCK, np.float64)
    power[: len(sound)] = sound.astype(np.float64) ** 2
    mean = np.convolve(power.reshape(count, BLOCK).mean(axis=1), np.full(10, 0.1), "same")
    return np.asarray(10 * np.log10(np.maximum(mean, 1e-12)))


def _follow(wanted: NDArray[np.float64], attack: float, release: float) -> NDArray[np.float64]:
    """One-pole smoothing on the grid of milliseconds, faster up than down."""
    rise, fall = (1 - math.exp(-0.001 / seconds) for seconds in (attack, release))
    out = np.empty_like(wanted)
    current = 0.0
    for at, value in enumerate(wanted.tolist()):
        current += (value - current) * (rise if value > current else fall)
        out[at] = current
    return out


def _highpass(hertz: float) -> Biquad:
    w = 2 * math.pi * hertz / RATE
    alpha, cos = math.sin(w) / math.sqrt(2), math.cos(w)
    return ((1 + cos) / 2, -(1 + cos), (1 + cos) / 2), (1 + alpha, -2 * cos, 1 - alpha)


def _bell(hertz: float, q: float, decibels: float) -> Biquad:
    w, a = 2 * math.pi * hertz / RATE, 10 ** (decibels / 40)
    alpha, cos = math.sin(w) / (2 * q), math.cos(w)
    return (1 + alpha * a, -2 * cos, 1 - alpha * a), (1 + alpha / a, -2 * cos, 1 - alpha / a)


def _write(sound: Sound, output: Path) -> None:
    with wave.open(str(output), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
