"""A voice that runs here refuses what it would only spell, and says what to do."""

from __future__ import annotations

import pytest

from errors import Unsupported
from pipeline.providers.readable import require_readable


@pytest.mark.parametrize(
    ("language", "word", "letters"),
    [
        ("en", "مرحبا", "Arabic"),
        ("en", "Москва", "Cyrillic"),
        ("de", "Ελλάδα", "Greek"),
        ("en", "枕", "Chinese characters"),
        ("en-GB", "नमस्ते", "Devanagari"),
        ("ja", "最高の枕プロ", "Chinese characters"),
        ("ko", "枕頭", "Chinese characters"),
        ("zh", "안녕하세요", "Hangul"),
        ("ar", "שלום", "Hebrew"),
    ],
)
def test_foreign_words_are_refused_by_name(language: str, word: str, letters: str) -> None:
    with pytest.raises(Unsupported, match=rf"'{word}' is written in {letters}.*`pronounce`"):
        require_readable(["Nova", word], language, "espeak")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Café Ångström naïve β 5 Ω 24h"),
        ("ru", "Москва Nova"),
        ("el", "Ελλάδα Nova"),
        ("ja", "さいこうのまくら、プロ。 コーヒー Nova"),
        ("zh", "你好、世界。 Nova"),
        ("zh-TW", "舒服的枕頭"),
        ("ko", "안녕하세요 Nova"),
        ("hi", "नमस्ते दुनिया। Nova"),
        ("ar", "مرحبا بالعالم"),
        ("th", "สวัสดี"),
        ("uk", "Київ"),
    ],
)
def test_own_words_are_read(language: str, text: str) -> None:
    require_readable(text.split(), language, "espeak")
