"""The local rules know secrets and numbers of persons from prices and sizes, and words from parts of words."""

import pytest

from pipeline.providers.moderation import judge


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("pay to 4111 1111 1111 1111", "personal data"),
        ("pay to 4111-1111-1111-1111 today", "personal data"),
        ("IBAN DE89 3704 0044 0532 0130 00", "personal data"),
        ("my number is 078-05-1120", "personal data"),
        ("use sk-abcdefghij0123456789", "personal data"),
        ("-----BEGIN RSA PRIVATE KEY-----", "personal data"),
        ("a Crypto coin", "deny list"),
        ("a c\u200brypto coin", "deny list"),
        ("\uff23rypto", "deny list"),
        ("x" * 20_001, "length"),
    ],
)
def test_what_breaks_a_rule(text: str, category: str) -> None:
    verdict = judge({"product_name": "Nova", "description": text}, ("crypto",))
    assert (verdict.allowed, verdict.field, verdict.category) == (False, "description", category)
    assert verdict.reason


@pytest.mark.parametrize(
    "text",
    [
        "1,299.00 or 4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "a 24h flask of 500 ml for $29.99",
        "cryptography for everyone",
        "call +49 30 1234567, or write to hello@example.com",
        "Model AB12 3456 7890",
    ],
)
def test_what_does_not(text: str) -> None:
    assert judge({"description": text}, ("crypto",)).allowed
