"""What is said for what is shown: numbers, prices, units and addresses in words, token by token."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.providers.spoken import spoken_text, spoken_tokens
from pipeline.providers.spoken_numbers import number_words

TEXT = "Meet the Nova Flask — one of the lightest. 🎉 It costs $29.99, and it's cold for 24h! See novaflask.com today."


@pytest.mark.parametrize(
    ("shown", "spoken"),
    [
        ("$29.99", "twenty nine dollars ninety nine"),
        ("$1,299.00.", "one thousand two hundred ninety nine dollars."),
        ("$0.99", "ninety nine cents"),
        ("€1", "one euro"),
        ("29,99€", "twenty nine euros ninety nine"),
        ("29 EUR", "twenty nine euros"),
        ("$29.99/month", "twenty nine dollars ninety nine per month"),
        ("$1.2M", "one point two million dollars"),
        ("24h", "twenty four hours"),
        ("a 24h battery", "a twenty four hour battery"),
        ("1kg 2.5 kg", "one kilogram two point five kilograms"),
        ("5-10 kg", "five to ten kilograms"),
        ("10x15cm", "ten by fifteen centimeters"),
        ("-20°C", "minus twenty degrees Celsius"),
        ("50% off & more", "fifty percent off and more"),
        ("24/7", "twenty four seven"),
        ("1st 22nd 30th", "first twenty second thirtieth"),
        ("2026, 2000mAh", "twenty twenty six, two thousand milliamp hours"),
        ("10:30am", "ten thirty AM"),
        ("novaflask.com!", "novaflask dot com!"),
        ("https://www.nova-flask.com/shop/x?y=1", "nova dash flask dot com slash shop"),
        ("hi@nova.co", "hi at nova dot co"),
        ("USB-C 5G 4K", "USB C five G four K"),
        ("½ cup", "one half cup"),
        ("Well... 'yes' (ok)?", "Well, yes ok?"),
        ("Nova — now", "Nova, now"),
        ("it\u2019s", "it's"),
        ("007", "zero zero seven"),
        ("€1.299,00 1.299 €", "one thousand two hundred ninety nine euros one thousand two hundred ninety nine euros"),
        ("29,99 €, USD 20", "twenty nine euros ninety nine, twenty dollars"),
        ("€20\u201330 or $99+", "twenty to thirty euros or ninety nine dollars plus"),
        ("50¢ and 20,-", "fifty cents and twenty"),
        ("10 000 mAh, 1 000 000.", "ten thousand milliamp hours, one million."),
        ("4.8/5 and 9/10", "four point eight out of five and nine out of ten"),
        ("1 1/2 or 1½ cups", "one and a half or one and a half cups"),
        ("9am-5pm, 17:00, 5 am", "nine AM to five PM, five PM, five AM"),
        ("Mon-Fri", "Monday to Friday"),
        ("2026-11-28, Dec. 25", "November twenty eighth, twenty twenty six, December twenty fifth"),
        ("the '90s, the 80s, 1990s", "the nineties, the eighties, nineteen nineties"),
        ("No. 5 and #1", "number five and number one"),
        ("say no. 6 ft. tall", "say number six feet tall"),
        ("10 x 15 cm, 1 - 2", "ten by fifteen centimeters, one to two"),
        ("a 500 ml bottle", "a five hundred milliliter bottle"),
        ("20 m² at 20 °C", "twenty square meters at twenty degrees Celsius"),
        ("≥ 5, <10, ~20", "at least five, less than ten, about twenty"),
        ("1080p 60fps v2.0", "ten eighty p sixty frames per second version two point zero"),
        ("RTX 4090, ISO 9001, iPhone 15 Pro", "RTX forty ninety, ISO nine thousand one, iPhone fifteen Pro"),
        ("1st-class 12V/24V", "first class twelve volts twenty four volts"),
        ("Nova™ C# .NET #nova", "Nova C sharp dot NET hashtag nova"),
        ("USB-A, A4, A+ and a A", "USB eh, eh four, eh plus and a A"),
        ("4.9★ ★★★★★", "four point nine stars five stars"),
        ("+1 555 0100.", "plus one five five five zero one zero zero."),
        ("5'10\" and 100k+", "five foot ten and one hundred thousand plus"),
    ],
)
def test_numbers_prices_and_addresses_are_said_in_words(shown: str, spoken: str) -> None:
    assert spoken_text(shown) == spoken


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.text("0123456789.,$€%/-:x°kgh@ ab\"'#+½²<~★()", max_size=24)))
def test_any_text_has_a_spoken_form_without_digits(text: str) -> None:
    pairs = spoken_tokens(text)
    assert [shown for shown, _ in pairs] == text.split()
    for _, spoken in pairs:
        assert not any(sign.isdecimal() for sign in spoken)
        assert spoken == "" or any(sign.isalnum() for sign in spoken)
        assert "  " not in spoken


def test_spoken_tokens_are_the_shown_tokens() -> None:
    assert [shown for shown, _ in spoken_tokens(TEXT)] == TEXT.split()
    assert dict(spoken_tokens(TEXT))["🎉"] == ""


def test_numbers_in_words() -> None:
    assert number_words(0) == "zero"
    assert number_words(1_000_042) == "one million forty two"
    assert number_words(999) == "nine hundred ninety nine"
