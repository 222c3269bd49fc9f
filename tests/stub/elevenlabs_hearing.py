"""What a transcript says: the words that the stub itself has spoken, those that were prepared, or made-up ones."""

from __future__ import annotations

import random
from typing import Any

from tests.stub.filler import CLOSING, MIDDLE, OPENING
from tests.stub.speech import Timing

WORD_SECONDS = 0.36
Times = list[tuple[str, float, float]]


def heard(fields: dict[str, str], seconds: float, said: Timing | None, prepared: Any) -> dict[str, Any]:
    """The answer for a recording of so many seconds."""
    if isinstance(prepared, str):
        words = _spread(prepared.split(), seconds)
    else:
        words = said.words() if said else _made_up(seconds)
    speakers = int(fields.get("num_speakers") or 2) if fields.get("diarize") == "true" else 0
    answer = {
        "language_code": fields.get("language_code") or "eng",
        "language_probability": 0.98,
        "text": " ".join(word for word, _, _ in words),
        "words": _with_spacing(words, 1 if said else speakers, named=speakers > 0),
        "channel_index": None,
        "additional_formats": None,
        "entities": None,
        "audio_duration_secs": round(seconds, 3),
    }
    return answer | (prepared if isinstance(prepared, dict) else {})


def _made_up(seconds: float) -> Times:
    """Sentences that fill the recording."""
    chance = random.Random(f"{seconds:.2f}")
    words: list[str] = []
    while len(words) < seconds / WORD_SECONDS:
        words += chance.choice((*OPENING, *MIDDLE, *CLOSING)).format(name="it").split()
    return _spread(words[: max(1, int(seconds / WORD_SECONDS))], seconds)


def _spread(words: list[str], seconds: float) -> Times:
    step = seconds / max(1, len(words))
    return [(word, number * step, number * step + step * 0.85) for number, word in enumerate(words)]


def _with_spacing(words: Times, speakers: int, *, named: bool) -> list[dict[str, Any]]:
    """Words and what lies between them; the speaker changes at the end of a sentence."""
    found: list[dict[str, Any]] = []
    turn, ended = 0, 0.0
    for word, start, end in words:
        speaker = f"speaker_{turn % max(1, speakers)}" if named else None
        if found:
            found.append(_piece(" ", ended, start, "spacing", speaker))
        found.append(_piece(word, start, end, "word", speaker))
        ended = end
        turn += word.endswith((".", "!", "?"))
    return found


def _piece(text: str, start: float, end: float, kind: str, speaker: str | None) -> dict[str, Any]:
    times = {"start": round(start, 3), "end": round(end, 3)}
    return {"text": text, **times, "type": kind, "speaker_id": speaker, "logprob": -0.05, "characters": None}
