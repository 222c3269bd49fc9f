"""The child process that holds the Piper voice: one JSON request a line on stdin, one JSON answer a line on stdout.

    python -m pipeline.providers.piper_child VOICE.onnx

A request is {"tokens": [spoken words], "output": path, "length_scale", "pause": seconds between sentences}; the answer
{"sample_rate", "samples", "times": [[start, end]] in samples}, or {"error", "host": whether the host is to blame}. It
ends when stdin does, and with exit code 3 when the voice cannot be loaded.
"""

from __future__ import annotations

import json
import os
import sys
import wave
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.providers.piper_align import token_spans
from pipeline.providers.piper_voice import DURATION_NOISE, SOUND_NOISE

Sound = npt.NDArray[np.float32]

# Longer sentences cost memory and drift in tone; they are cut at a comma, or at LONGEST tokens.
LONG_SENTENCE, LONGEST = 28, 45
# Frames of sound a phoneme id may take: 256 samples each; on average below 8, slow styles and long pauses included.
FRAMES_PER_ID = 32
PEAK = 0.89
EDGE_SECONDS = 0.06
LOUD = 0.012
UNLOADABLE = 3


@dataclass
class Voice:
    """The loaded engine: `piper` turns text into phoneme ids, `session` turns them into sound."""

    piper: Any
    session: Any
    sample_rate: int
    hop: int

    @classmethod
    def load(cls, path: Path) -> Voice:
        """Load the changed voice (2 to 4 s)."""
        import onnxruntime  # type: ignore[import-untyped]
        from piper import PiperVoice
        from piper.config import PiperConfig

        options = onnxruntime.SessionOptions()
        # One thread: sums in the same order give the same bits, and the film's other work needs the second core.
        options.intra_op_num_threads = 1
        # An arena never gives back what the longest sentence took: 530 MB at rest instead of 200, for a sixth of the time.
        options.enable_cpu_mem_arena = False
        session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
        config = PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_text(encoding="utf-8")))
        voice = PiperVoice(config=config, session=session)
        return cls(voice, session, config.sample_rate, config.hop_length)

    def signs(self, text: str) -> list[list[str]]:
        """The phonemes of a text, sentence by sentence, without those that the voice has not learned."""
        known = self.piper.config.phoneme_id_map
        return [[sign for sign in signs if sign in known] for signs in self.piper.phonemize(text)]

    def sound(self, signs: list[str], length_scale: float) -> tuple[Sound, list[int]]:
        """The sound of some phonemes, and the samples that each takes: first the start mark, last the end mark."""
        ids = self.piper.phonemes_to_ids(signs)
        config = self.piper.config
        noise = np.random.default_rng(zlib.crc32(" ".join(signs).encode()))
        scales = np.array([config.noise_scale, length_scale, config.noise_w_scale], dtype=np.float32)
        duration_noise = noise.standard_normal((1, 2, len(ids)), dtype=np.float32)
        frames = int(len(ids) * FRAMES_PER_ID * max(1.0, length_scale))
        result = self.session.run(
            None,
            {
                "input": np.array([ids], dtype=np.int64),
                "input_lengths": np.array([len(ids)], dtype=np.int64),
                "scales": scales,
                DURATION_NOISE: duration_noise,
                SOUND_NOISE: noise.standard_normal((1, 192, frames), dtype=np.float32),
            },
        )
        lengths = (result[1].squeeze() * self.hop).astype(np.int64)
        return result[0].squeeze().astype(np.float32), self._by_sign(signs, ids, lengths)

    def _by_sign(self, signs: list[str], ids: list[int], lengths: npt.NDArray[np.int64]) -> list[int]:
        # Each sign is its own ids followed by a pad; the end mark has no pad.
        known = self.piper.config.phoneme_id_map
        counts = [len(known[sign]) + 1 for sign in ["^", *signs]] + [len(known["$"])]
        if sum(counts) != len(ids) or len(ids) != len(lengths):
            raise ValueError(f"{len(ids)} phoneme ids, {len(lengths)} lengths, {sum(counts)} expected")
        ends = np.cumsum(counts)
        return [int(lengths[end - count : end].sum()) for count, end in zip(counts, ends, strict=True)]


def sentences(tokens: list[str]) -> Iterator[list[str]]:
    """The tokens in groups that are spoken in one breath: up to . ! ? or, when long, a comma."""
    group: list[str] = []
    for token in tokens:
        group.append(token)
        long = len(group) >= LONG_SENTENCE and token[-1] in ",;:"
        if token[-1] in ".!?" or long or len(group) >= LONGEST:
            yield group
            group = []
    if group:
        yield group


def speak(voice: Voice, tokens: list[str], length_scale: float, pause: float) -> tuple[Sound, list[tuple[int, int]]]:
    """The sound of all tokens, and the samples where each starts and ends."""
    parts: list[Sound] = []
    times: list[tuple[int, int]] = []
    offset = 0
    for number, group in enumerate(sentences(tokens)):
        if number:
            parts.append(np.zeros(int(pause * voice.sample_rate), dtype=np.float32))
            offset += len(parts[-1])
        signs: list[str] = []
        edges: list[tuple[int, int]] = []
        for clause in voice.signs(" ".join(group)):
            if not clause:
                continue
            sound, lengths = voice.sound(clause, length_scale)
            parts.append(sound)
            ends = np.cumsum(lengths) + offset
            edges += [(int(end) - length, int(end)) for end, length in zip(ends, lengths, strict=True)]
            signs += ["^", *clause, "$"]
            offset += len(sound)
        alone = [" ".join("".join(part) for part in voice.signs(token)) for token in group]
        start = edges[0][0] if edges else offset
        for span in token_spans(signs, alone):
            begin, end = (edges[span[0]][0], edges[span[1] - 1][1]) if span else (start, start)
            times.append((begin, end))
            start = end
    return (np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)), times


def trim(sound: Sound, times: list[tuple[int, int]], rate: int) -> tuple[Sound, list[tuple[int, int]]]:
    """The sound at full level with little silence around it, and its times moved with it."""
    peak = float(np.abs(sound).max(initial=0.0))
    if peak < 1e-4:
        return sound[:0], times
    sound *= PEAK / peak
    loud = np.flatnonzero(np.abs(sound) > LOUD)
    edge = int(EDGE_SECONDS * rate)
    first, last = max(0, int(loud[0]) - edge), min(len(sound), int(loud[-1]) + edge)
    moved = [(max(0, start - first), max(0, min(end, last) - first)) for start, end in times]
    return sound[first:last], moved


def write_wav(path: Path, sound: Sound, rate: int) -> None:
    """A mono 16-bit WAV; the caller gives it its final name."""
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((np.clip(sound, -1.0, 1.0) * 32767).astype("<i2").tobytes())


def answer(voice: Voice, request: dict[str, Any]) -> dict[str, Any]:
    """Serve one request."""
    sound, times = speak(voice, request["tokens"], request["length_scale"], request["pause"])
    sound, times = trim(sound, times, voice.sample_rate)
    write_wav(Path(request["output"]), sound, voice.sample_rate)
    return {"sample_rate": voice.sample_rate, "samples": len(sound), "times": times}


def main() -> None:
    """Load the voice, then serve until stdin ends."""
    # Engines print warnings where they like; the answers go to the real stdout, everything else to stderr.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    try:
        voice = Voice.load(Path(sys.argv[1]))
    except Exception as error:  # noqa: BLE001  a damaged file fails in many ways
        print(f"the voice cannot be loaded: {error}", file=sys.stderr)
        sys.exit(UNLOADABLE)
    for line in sys.stdin:
        try:
            reply = answer(voice, json.loads(line))
        except Exception as error:  # noqa: BLE001  whatever it is, it is the answer to this request
            reply = {"error": f"{type(error).__name__}: {error}", "host": isinstance(error, OSError | MemoryError)}
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
