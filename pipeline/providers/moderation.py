"""Rules of our own for texts, before any money is spent on them: a deny list, secrets and numbers of persons, and length.

They know no opinions: what needs judgement is asked of a language model, where one is configured.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

from pipeline.providers.base import Capability, Check, Verdict
from pipeline.providers.paid import Ledger
from settings import get_settings

MOST_CHARACTERS = 20_000
_CARD = re.compile(r"(?<![\d.])(?:\d[ -]?){13,19}(?!\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_SOCIAL = re.compile(r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b")
_SECRET = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|sk_[a-z0-9]{24,}|r8_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[A-Z0-9]{16})\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


class LocalModerator:
    """The rules as a provider (capability `moderate`)."""

    name: ClassVar[str] = "local"
    capability: ClassVar[Capability] = "moderate"
    version: ClassVar[str] = "1"
    hosted: ClassVar[bool] = False

    def available(self) -> str | None:
        """Always."""
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def moderate(self, texts: Mapping[str, str], check: Check, ledger: Ledger) -> Verdict:
        """The verdict by MODERATION_DENY and the rules; free."""
        del check, ledger
        return judge(texts, get_settings().moderation_deny)


def judge(texts: Mapping[str, str], denied: tuple[str, ...] = ()) -> Verdict:
    """The first rule that a text breaks."""
    for field, text in texts.items():
        for category, reason in _broken(text, denied):
            return Verdict(False, field, category, reason)
    return Verdict(True)


def _broken(text: str, denied: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if len(text) > MOST_CHARACTERS:
        yield "length", f"it has {len(text)} characters, and at most {MOST_CHARACTERS} can be used"
    plain = _folded(text)
    for word in denied:
        # Whole words: "ass" is not in "class".
        if re.search(rf"(?<!\w){re.escape(_folded(word))}(?!\w)", plain):
            yield "deny list", f"it holds {word!r}, which MODERATION_DENY does not allow"
    rules: tuple[tuple[re.Pattern[str], Callable[[str], bool], str], ...] = (
        (_SECRET, lambda _: True, "what looks like a secret key; take it out, and replace the key"),
        (_CARD, _is_card, "a payment card's number"),
        (_IBAN, _is_iban, "a bank account's number"),
        (_SOCIAL, lambda _: True, "what looks like a social security number"),
    )
    for pattern, is_real, what in rules:
        if any(is_real(found[0]) for found in pattern.finditer(text)):
            yield "personal data", f"it holds {what}"


def _folded(text: str) -> str:
    """Small letters, without the tricks of look-alike forms and invisible signs."""
    text = unicodedata.normalize("NFKC", text)
    return "".join(sign for sign in text.casefold() if unicodedata.category(sign) != "Cf")


def _is_card(text: str) -> bool:
    """The check digit of card numbers (Luhn)."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def _is_iban(text: str) -> bool:
    """The check number of ISO 13616."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1
