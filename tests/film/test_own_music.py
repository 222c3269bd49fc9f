"""The user's own music: as long as the film, faded out with it, looped without a click; anything else is refused."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from errors import InvalidInput, Permanent, Unsupported
from pipeline.film.kinds import sound_type
from pipeline.film.loudness import RATE
from pipeline.film.own_music import inspect_sound, own_bed
from redis_client.client import RedisClient
from tests.film.test_product_video import enqueue

CODECS = {"mp3": "libmp3lame", "flac": "flac", "ogg": "libopus", "m4a": "aac"}


@pytest.fixture
def tune(tmp_path: Path) -> Callable[..., Path]:
    """`tune(seconds, ending)`: a steady tone in both ears."""

    def make(seconds: float, ending: str = "wav") -> Path:
        path = tmp_path / f"tune.{ending}"
        time = np.arange(round(seconds * RATE)) / RATE
        tone = (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
        if ending == "wav":
            with wave.open(str(path), "wb") as out:
                out.setparams((2, 2, RATE, 0, "NONE", ""))
                out.writeframes((np.repeat(tone[:, None], 2, axis=1) * 32767).astype("<i2").tobytes())
            return path
        with av.open(str(path), "w", format="ipod" if ending == "m4a" else ending) as out:
            stream: Any = out.add_stream(CODECS[ending], rate=RATE, layout="stereo")
            frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), format="fltp", layout="stereo")
            frame.sample_rate = RATE
            resampler = av.AudioResampler(stream.format.name, "stereo", RATE, frame_size=stream.frame_size or None)
            for one in [*resampler.resample(frame), *resampler.resample(None)]:
                out.mux(stream.encode(one))
            out.mux(stream.encode())
        return path

    return make


def loud(bed: np.ndarray[Any, Any], start: float, seconds: float = 0.2) -> float:
    part = bed[round(start * RATE) : round((start + seconds) * RATE)]
    return float(np.sqrt((part**2).mean()))


def test_a_longer_piece_is_cut_and_faded_out(tune: Callable[..., Path]) -> None:
    bed = own_bed(tune(12), 8 * RATE)
    assert bed.shape == (8 * RATE, 2)
    assert loud(bed, 4) == pytest.approx(0.212, abs=0.01)
    assert loud(bed, 7.8) < 0.02
    assert np.abs(bed[:10]).max() < 0.01


def test_a_shorter_piece_is_looped_without_a_click(tune: Callable[..., Path]) -> None:
    bed = own_bed(tune(3), 11 * RATE)
    assert bed.shape == (11 * RATE, 2)
    levels = [loud(bed, at / 10) for at in range(5, 85)]
    assert min(levels) > 0.1
    assert np.abs(np.diff(bed[RATE : 8 * RATE, 0])).max() < 0.03, "220 Hz at this level steps by 0.009"


@pytest.mark.parametrize("ending", ["wav", "mp3", "flac", "ogg", "m4a"])
def test_every_kind_is_known_by_its_bytes(tune: Callable[..., Path], ending: str) -> None:
    path = tune(3, ending)
    path = path.rename(path.with_suffix(".bin"))
    assert sound_type(path) is not None
    assert inspect_sound(path)["seconds"] == pytest.approx(2.0, abs=0.1)
    assert loud(own_bed(path, 2 * RATE), 0.2) > 0.05


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", Unsupported), (b"#EXTM3U\nfile:///etc/passwd\n", Unsupported), (b"ID3" + b"\0" * 300, InvalidInput)],
)
def test_what_is_no_music_is_refused(tmp_path: Path, content: bytes, error: type[Permanent]) -> None:
    path = tmp_path / "tune.mp3"
    path.write_bytes(content)
    with pytest.raises(error):
        inspect_sound(path)


def test_the_door_takes_it_and_says_what_is_wrong(
    client: RedisClient, tune: Callable[..., Path], tmp_path: Path
) -> None:
    enqueue(client, "good", tmp_path=tmp_path, music_file=str(tune(3, "mp3")))
    given = client.get_job("good")["payload"]["music_file"]
    assert (given["media_type"], given["name"]) == ("audio/mpeg", "tune.mp3")
    with pytest.raises(InvalidInput, match=r"music_file=.*tune.wav.*lasts 1.0 s"):
        enqueue(client, "short", tmp_path=tmp_path, music_file=str(tune(1)))
    with pytest.raises(InvalidInput, match=r"music_file=.*there is no such file"):
        enqueue(client, "none", tmp_path=tmp_path, music_file=str(tmp_path / "no.mp3"))
