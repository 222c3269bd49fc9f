"""Real files: sound in ElevenLabs' formats, clips made by ffmpeg, pictures; all in memory, clips cached by shape."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import tempfile
import threading
import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw

from pipeline.film.encode import ffmpeg
from tests.stub.speech import Samples

FPS = 24
FORMAT = re.compile(
    r"mp3_(?:22050_32|24000_48|44100_(?:32|64|96|128|192))|opus_48000_(?:32|64|96|128|192)"
    r"|(?:pcm|wav)_(?:8000|16000|22050|24000|32000|44100|48000)|(?:ulaw|alaw)_8000"
)
MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "ulaw": "audio/basic",
    "alaw": "audio/basic",
}
CODECS = {
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "ulaw": ("mulaw", "pcm_mulaw"),
    "alaw": ("alaw", "pcm_alaw"),
}


@dataclass(frozen=True)
class SoundFormat:
    """One of ElevenLabs' output formats."""

    kind: str
    rate: int
    kbps: int = 0

    @classmethod
    def of(cls, name: str) -> SoundFormat | None:
        """`mp3_44100_128` and its like; None for a name that is none."""
        if not FORMAT.fullmatch(name):
            return None
        kind, *numbers = name.split("_")
        return cls(kind, *map(int, numbers))

    @property
    def media_type(self) -> str:
        """What stands in the content-type."""
        return MEDIA_TYPES[self.kind]

    def encode(self, samples: Samples) -> bytes:
        """Mono samples of this rate as a file."""
        if self.kind == "pcm":
            return samples.astype("<i2").tobytes()
        if self.kind == "wav":
            return wav(samples, self.rate)
        container, codec = CODECS[self.kind]
        return _encoded(samples, self.rate, container, codec, self.kbps)


def wav(samples: Samples, rate: int) -> bytes:
    """A mono WAV."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def _encoded(samples: Samples, rate: int, container: str, codec: str, kbps: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        if kbps:
            stream.bit_rate = kbps * 1000
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.codec_context.frame_size or None)
        for one in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(one))
        out.mux(stream.encode(None))
    return file.getvalue()


def sound_seconds(body: bytes) -> float | None:
    """How long a recording is; None when it is none."""
    try:
        with av.open(io.BytesIO(body), "r") as file:
            stream = file.streams.audio[0]
            return sum(frame.samples for frame in file.decode(stream)) / stream.rate
    except (av.FFmpegError, IndexError):
        return None


@dataclass(frozen=True)
class ClipShape:
    """What makes one clip differ from another."""

    width: int
    height: int
    seconds: float
    has_sound: bool = False


_clips: dict[ClipShape, bytes] = {}
_clips_lock = threading.Lock()


def clip(shape: ClipShape, name: str) -> bytes:
    """An MP4 of this shape; the name stands in a box of its own at the end, so that no two clips are the same file."""
    with _clips_lock:
        if shape not in _clips:
            _clips[shape] = _made(shape)
    box = b"free" + name.encode()
    return _clips[shape] + (len(box) + 4).to_bytes(4, "big") + box


def _made(shape: ClipShape) -> bytes:
    with tempfile.TemporaryDirectory(prefix="sc-stub-") as folder:
        path = Path(folder) / "clip.mp4"
        picture = f"testsrc2=size={shape.width}x{shape.height}:rate={FPS}:duration={shape.seconds}"
        sound = ["-f", "lavfi", "-i", f"sine=frequency=220:sample_rate=48000:duration={shape.seconds}"]
        argv = [
            ffmpeg(), "-v", "error", "-nostdin", "-f", "lavfi", "-i", picture, *(sound if shape.has_sound else []),
            "-c:v", "libx264", "-preset", "ultrafast", "-crf", "32", "-pix_fmt", "yuv420p", "-threads", "1",
            *(["-c:a", "aac", "-b:a", "64k"] if shape.has_sound else []),
            "-movflags", "+faststart", str(path),
        ]  # fmt: skip
        subprocess.run(argv, check=True, capture_output=True, timeout=120)
        return path.read_bytes()


def picture(width: int, height: int, kind: str, *, seed: str) -> bytes:
    """A PNG, WebP or JPEG of this size."""
    digest = hashlib.sha256(seed.encode()).digest()
    light, dark = (tuple(int(40 + one * 0.8) for one in digest[start : start + 3]) for start in (0, 3))
    mixed = np.linspace(0, 1, height)[:, None, None] * np.array(light) + np.linspace(1, 0, height)[
        :, None, None
    ] * np.array(dark)
    drawn = Image.fromarray(np.broadcast_to(mixed, (height, width, 3)).astype(np.uint8))
    ImageDraw.Draw(drawn).ellipse(_middle(drawn), fill=(240, 240, 240))
    return _saved(drawn, kind)


def cut_out(body: bytes) -> bytes:
    """The middle of a picture before nothing, as PNG."""
    with Image.open(io.BytesIO(body)) as opened:
        drawn = opened.convert("RGB")
    mask = Image.new("L", drawn.size)
    ImageDraw.Draw(mask).ellipse(_middle(drawn), fill=255)
    drawn.putalpha(mask)
    return _saved(drawn, "png")


def enlarged(body: bytes, scale: float, kind: str, *, most: int) -> bytes:
    """A picture so many times as large, its longer side no longer than `most`."""
    with Image.open(io.BytesIO(body)) as opened:
        drawn = opened.convert("RGB")
    scale = min(scale, most / max(drawn.size))
    width, height = (max(1, round(side * scale)) for side in drawn.size)
    return _saved(drawn.resize((width, height)), kind)


def _middle(drawn: Image.Image) -> tuple[int, int, int, int]:
    width, height = drawn.size
    return width // 4, height // 4, 3 * width // 4, 3 * height // 4


def _saved(drawn: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    drawn.save(file, format={"jpg": "JPEG"}.get(kind, kind.upper()))
    return file.getvalue()


def picture_size(body: bytes) -> tuple[int, int] | None:
    """The size of a picture; None when it is none."""
    try:
        with Image.open(io.BytesIO(body)) as opened:
            return opened.size
    except OSError:
        return None
