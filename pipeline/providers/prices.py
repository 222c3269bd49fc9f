"""What vendors charge, as read on one day. Stored with every cost, so that an old bill can be understood.

Sources: the vendors' price pages and model cards as of READ_ON; where a vendor publishes no price per call, a careful
guess above what was seen, and the cost is marked as an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

READ_ON = date(2026, 11, 21)
TABLE = f"prices-{READ_ON.isoformat()}"
OLD_AFTER_DAYS = 60


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """USD for a million tokens."""

    input: float
    output: float
    cache_write: float
    cache_read: float


# Anthropic: https://claude.com/pricing and the models page.
TOKENS = {
    "claude-opus-5-5": TokenPrice(4, 20, 5, 0.20),
    "claude-sonnet-5-5": TokenPrice(2, 10, 2.5, 0.10),
    "claude-haiku-5-5": TokenPrice(0.5, 2.5, 0.625, 0.05),  # as above a prompt of 100,000 tokens; below it a fifth
    "claude-opus-5": TokenPrice(5, 25, 6.25, 0.50),
    "claude-sonnet-5": TokenPrice(2, 10, 2.5, 0.20),
    "claude-haiku-4-5": TokenPrice(1, 5, 1.25, 0.10),
}
DEAREST_TOKENS = TokenPrice(10, 50, 12.5, 1.0)  # for a model that this table does not know
BATCH_SHARE = 0.5

# ElevenLabs: USD for a thousand characters of speech; effects and music by the piece, transcription by the minute.
CHARACTERS = {"eleven_multilingual_v2": 0.10, "eleven_v3": 0.10, "eleven_v4": 0.10}
CHARACTERS |= {"eleven_flash_v2_5": 0.05, "eleven_turbo_v2_5": 0.05, "eleven_v4_turbo": 0.05}
DEAREST_CHARACTERS = 0.15
SOUND_EFFECT_USD = 0.08
MUSIC_MINUTE_USD = 0.50
TRANSCRIBE_MINUTE_USD = 0.01


def tokens_of(model: str) -> TokenPrice:
    """The price of a model; of a dated name that of its family, of an unknown one the dearest."""
    if model in TOKENS:
        return TOKENS[model]
    family = next((name for name in sorted(TOKENS, key=len, reverse=True) if model.startswith(name)), None)
    return TOKENS[family] if family else DEAREST_TOKENS


def characters_of(model: str) -> float:
    """USD for a thousand characters."""
    return CHARACTERS.get(model, DEAREST_CHARACTERS)


def age_days(today: date | None = None) -> int:
    """How old the table is."""
    return ((today or datetime.now(UTC).date()) - READ_ON).days


def warning(today: date | None = None) -> str | None:
    """One sentence when the table is too old to be trusted."""
    days = age_days(today)
    if days <= OLD_AFTER_DAYS:
        return None
    return f"the price table of {READ_ON.isoformat()} is {days} days old: costs may be wrong; read the vendors' pages again"
