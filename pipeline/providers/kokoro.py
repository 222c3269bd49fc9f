"""Kokoro-82M, a neural English voice with many speakers that runs here, when its weights are configured.

The weights are no package: `make voices` puts them together, KOKORO_MODEL and KOKORO_VOICES say where they are. espeak-ng
gives it its phonemes and is GPL-3, so all of it is a program of its own behind pipes.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import process
from errors import HostTrouble, InvalidInput, Unsupported
from pipeline.providers.base import Check
from pipeline.providers.kokoro_voice import REVISION, voices_in
from pipeline.providers.local_speaker import LocalSpeaker, Times, Wish
from pipeline.providers.speech import is_english
from pipeline.providers.warm import UNLOADABLE, WarmVoice
from settings import get_settings

# Loading takes 3 to 5 s of one core, and speaking a little more than a word's own time; the rest is a busy host.
START_SECONDS, TOKEN_SECONDS = 120.0, 3.0
IDLE_SECONDS = 120.0
MEMORY_MB = 3072
NEEDED = ("onnxruntime", "espeakng_loader", "numpy")
# The factor that makes it as quick as Piper, by which the writer fits a script to its film.
SPEED = 0.95


class KokoroSpeaker(LocalSpeaker):
    """Speaks English with any of its voices; any number of threads may call it, one is served at a time."""

    name: ClassVar[str] = "kokoro"

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        """The child ends after `idle_seconds` of silence."""
        self._warm = WarmVoice(self.name, memory_mb=MEMORY_MB, idle_seconds=idle_seconds)

    @property
    def version(self) -> str:
        """Other weights, or another voice of its own choice, speak otherwise."""
        settings = get_settings()
        digest = _digest(settings.kokoro_model) if settings.kokoro_model else ""
        return f"r{REVISION}-{digest[:12]}-{settings.kokoro_voice}"

    def available(self) -> str | None:
        """None, or what is missing: a setting, a file, a package."""
        settings = get_settings()
        model, voices = settings.kokoro_model, settings.kokoro_voices
        if model is None or voices is None:
            return f"{'KOKORO_MODEL' if model is None else 'KOKORO_VOICES'} is not set; `make voices` says what to set."
        if not model.is_file():
            return f"KOKORO_MODEL={str(model)!r} is not there; `make voices` makes it."
        known = voices_in(voices)
        if settings.kokoro_voice not in known:
            has = f"has {', '.join(known)}" if known else "has no English voices; `make voices` brings them"
            return f"KOKORO_VOICE={settings.kokoro_voice!r}: KOKORO_VOICES={str(voices)!r} {has}."
        missing = [name for name in NEEDED if find_spec(name) is None]
        return f"{', '.join(missing)} cannot be imported." if missing else None

    def speaks(self, language: str) -> bool:
        """English only, American and British."""
        return is_english(language)

    def accept(self, language: str, voice: str) -> None:
        """`voice` is a name such as "am_michael", or "" for KOKORO_VOICE."""
        if not self.speaks(language):
            raise Unsupported(f"language {language!r}: kokoro speaks English only; espeak reads others")
        self.require()
        folder = get_settings().kokoro_voices
        known = voices_in(folder) if folder else []
        if voice and voice not in known:
            raise InvalidInput(f"voice {voice!r}: kokoro has {', '.join(known)}")

    def say(self, wish: Wish, check: Check) -> Times:
        """See LocalSpeaker."""
        request = {
            "tokens": wish.tokens,
            "output": str(wish.output),
            "voice": wish.voice or get_settings().kokoro_voice,
            "speed": round(SPEED / wish.pace.length, 3),
            "pause": wish.pace.pause_seconds,
        }
        return self._ask(request, START_SECONDS + TOKEN_SECONDS * len(wish.tokens), check)

    def close(self) -> None:
        """End the child; the next `speak` starts another."""
        self._warm.close()

    def _ask(self, request: dict[str, Any], timeout_seconds: float, check: Check) -> list[tuple[int, int]]:
        settings = get_settings()
        model, voices = Path(settings.kokoro_model or ""), Path(settings.kokoro_voices or "")
        argv = "pipeline.providers.kokoro_child", str(model.resolve()), str(voices.resolve())
        try:
            return self._warm.ask(lambda: argv, request, timeout_seconds, check)
        except process.ChildFailed as failure:
            if failure.returncode != UNLOADABLE:
                raise
            said = f"KOKORO_MODEL={str(model)!r} cannot be loaded; `make voices` makes it anew: {failure}"
            raise HostTrouble(f"kokoro: {said}", retry_after=60) from failure


def _digest(model: Path) -> str:
    try:
        found = model.stat()
    except OSError:
        return ""
    return _digest_of(model, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4)
def _digest_of(model: Path, size: int, changed_ns: int) -> str:
    """The SHA-256 of a file, read again when its size or time is another (0.1 s)."""
    del size, changed_ns
    with model.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()
