"""The child process that holds the Piper voice; it answers as speech_child.py says.

    python -m pipeline.providers.piper_child VOICE.onnx

A request is {"tokens": [spoken words], "output": path, "length_scale", "pause": seconds between sentences}.
"""

from __future__ import annotations

import json
import sys
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.providers.piper_align import token_spans
from pipeline.providers.piper_voice import DURATION_NOISE, SOUND_NOISE
from pipeline.providers.speech_child import Sound, reply, sentences, serve

# Longer sentences cost memory and drift in tone; they are cut at a comma, or at LONGEST tokens.
LONG_SENTENCE, LONGEST = 28, 45
# Frames of sound a phoneme id may take: 256 samples each; on average below 8, slow styles and long pauses included.
FRAMES_PER_ID = 32


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


def speak(voice: Voice, tokens: list[str], length_scale: float, pause: float) -> tuple[Sound, list[tuple[int, int]]]:
    """The sound of all tokens, and the samples where each starts and ends."""
    parts: list[Sound] = []
    times: list[tuple[int, int]] = []
    offset = 0
    for number, group in enumerate(sentences(tokens, long=LONG_SENTENCE, longest=LONGEST)):
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


def answer(voice: Voice, request: dict[str, Any]) -> dict[str, Any]:
    """Serve one request."""
    sound, times = speak(voice, request["tokens"], request["length_scale"], request["pause"])
    return reply(sound, times, voice.sample_rate, request["output"])


if __name__ == "__main__":
    serve(lambda: partial(answer, Voice.load(Path(sys.argv[1]))))
