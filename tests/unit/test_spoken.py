"""What is said for what is shown: numbers, prices, units and addresses in words, token by token."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.providers.spoken import said_together, spoken_text, spoken_tokens
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
        ("+1 555 0100.", "plus one, five five five, zero one zero zero."),
        ("5'10\" and 100k+", "five foot ten and one hundred thousand plus"),
    ],
)
def test_numbers_prices_and_addresses_are_said_in_words(shown: str, spoken: str) -> None:
    assert spoken_text(shown) == spoken


@pytest.mark.parametrize(
    ("shown", "spoken"),
    [
        # signs ahead
        ("R$29,90 R$1", "twenty nine reais ninety one real"),
        ("R$ 1.299,90", "one thousand two hundred ninety nine reais ninety"),
        ("C$20 or CA$1", "twenty Canadian dollars or one Canadian dollar"),
        ("A$20 or AU$20", "twenty Australian dollars or twenty Australian dollars"),
        ("NZ$20", "twenty New Zealand dollars"),
        ("HK$20", "twenty Hong Kong dollars"),
        ("~$20 or <20€", "about twenty dollars or less than twenty euros"),
        ("S$20.50", "twenty Singapore dollars fifty"),
        ("US$1,299.00", "one thousand two hundred ninety nine US dollars"),
        ("MX$20-30", "twenty to thirty Mexican pesos"),
        ("C$1.2M", "one point two million Canadian dollars"),
        ("₩29,000", "twenty nine thousand won"),
        ("฿299", "two hundred ninety nine baht"),
        ("₺49 ₪1 ₪49", "forty nine lira one shekel forty nine shekels"),
        ("₫150.000", "one hundred fifty thousand dong"),
        ("₱499 ₴99", "four hundred ninety nine pesos ninety nine hryvnias"),
        ("₦5,000 ₽499", "five thousand naira four hundred ninety nine rubles"),
        ("₹1,49,999", "one hundred forty nine thousand nine hundred ninety nine rupees"),
        # signs and words behind
        ("29,99 zł, 1 zł", "twenty nine zlotys ninety nine, one zloty"),
        ("0,99 zł", "ninety nine groszy"),
        ("49 Kč", "forty nine korunas"),
        ("299 kr. per month", "two hundred ninety nine kronor per month"),
        ("20 EUR. 30 more", "twenty euros. thirty more"),
        ("99 kr/month", "ninety nine kronor per month"),
        ("150.000 ₫", "one hundred fifty thousand dong"),
        ("29.990 Ft", "twenty nine thousand nine hundred ninety forints"),
        ("a 10 Ft Cable", "a ten foot Cable"),
        # codes and words ahead
        ("AED 199", "one hundred ninety nine dirhams"),
        ("SAR 1", "one riyal"),
        (
            "Rs. 499/- or Rs 1 or Rs.499",
            "four hundred ninety nine rupees or one rupee or four hundred ninety nine rupees",
        ),
        ("Rp 150.000", "one hundred fifty thousand rupiah"),
        ("CHF 1'299.50", "one thousand two hundred ninety nine Swiss francs fifty"),
        ("EUR 29,90/month", "twenty nine euros ninety per month"),
        ("(EUR 20)", "twenty euros"),
        ("PHP 499, PHP 8.3", "four hundred ninety nine pesos, PHP eight point three"),
        (
            "TRY 1.299,00 or TRY 499 or 5 TRY",
            "one thousand two hundred ninety nine lira or four hundred ninety nine lira or five lira",
        ),
        ("TRY 30 days or TRY 100 DAYS", "TRY thirty days or TRY one hundred DAYS"),
        ("Now 20. EUR 30 more", "Now twenty. thirty euros more"),
        # thousands after a blank
        ("SEK 1 299", "one thousand two hundred ninety nine kronor"),
        ("SEK 10 000,50.", "ten thousand kronor fifty."),
        ("1 299,90 kr!", "one thousand two hundred ninety nine kronor ninety!"),
        ("1\N{NARROW NO-BREAK SPACE}299 €", "one thousand two hundred ninety nine euros"),
        ("1 000 000 kr", "one million kronor"),
        ("2 500 ml, EUR 5 100 ml", "two five hundred milliliters, five euros one hundred milliliters"),
    ],
)
def test_prices_of_many_countries(shown: str, spoken: str) -> None:
    assert spoken_text(shown) == spoken


@pytest.mark.parametrize(
    ("code", "one", "two"),
    [
        ("SEK", "krona", "kronor"),
        ("NOK", "krone", "kroner"),
        ("DKK", "krone", "kroner"),
        ("PLN", "zloty", "zlotys"),
        ("CZK", "koruna", "korunas"),
        ("HUF", "forint", "forints"),
        ("CAD", "Canadian dollar", "Canadian dollars"),
        ("AUD", "Australian dollar", "Australian dollars"),
        ("NZD", "New Zealand dollar", "New Zealand dollars"),
        ("SGD", "Singapore dollar", "Singapore dollars"),
        ("HKD", "Hong Kong dollar", "Hong Kong dollars"),
        ("INR", "rupee", "rupees"),
        ("BRL", "real", "reais"),
        ("MXN", "Mexican peso", "Mexican pesos"),
        ("ZAR", "rand", "rand"),
        ("ILS", "shekel", "shekels"),
        ("KRW", "won", "won"),
        ("CNY", "yuan", "yuan"),
        ("JPY", "yen", "yen"),
        ("IDR", "rupiah", "rupiah"),
        ("THB", "baht", "baht"),
        ("CHF", "Swiss franc", "Swiss francs"),
        ("AED", "dirham", "dirhams"),
        ("SAR", "riyal", "riyals"),
    ],
)
def test_a_code_stands_ahead_of_its_number_or_behind(code: str, one: str, two: str) -> None:
    assert spoken_text(f"for {code} 1 or {code} 20.") == f"for one {one} or twenty {two}."
    assert spoken_text(f"for 1 {code} or 20 {code}.") == f"for one {one} or twenty {two}."
    assert (
        spoken_text(f"{code} 1.299,00") == spoken_text(f"1 299 {code}") == f"one thousand two hundred ninety nine {two}"
    )


@pytest.mark.parametrize(
    ("shown", "spoken"),
    [
        ("1-800-555-0199", "one, eight zero zero, five five five, zero one nine nine"),
        ("+1 (555) 010-0199!", "plus one, five five five, zero one zero, zero one nine nine!"),
        ("+1-555-010-0199", "plus one, five five five, zero one zero, zero one nine nine"),
        ("1 (800) 555-0199", "one, eight zero zero, five five five, zero one nine nine"),
        ("555.010.0199", "five five five, zero one zero, zero one nine nine"),
        ("555-0199", "five five five, zero one nine nine"),
        ("500-1000 ml, 2020-2024", "five hundred to one thousand milliliters, twenty twenty to twenty twenty four"),
    ],
)
def test_a_telephone_number_is_said_in_groups(shown: str, spoken: str) -> None:
    assert spoken_text(shown) == spoken


@pytest.mark.parametrize(
    ("shown", "spoken"),
    [
        ("5 ft 10 in tall", "five feet ten inches tall"),
        ("5'10\"", "five foot ten"),
        ("30 fl oz, 1 fl. oz.", "thirty fluid ounces, one fluid ounce."),
        ("a 30 fl oz bottle", "a thirty fluid ounce bottle"),
        ("12 oz 3 lb", "twelve ounces three pounds"),
        ("2 m long", "two meters long"),
        ("a 65 W charger, 24 W Main Street", "a sixty five watt charger, twenty four W Main Street"),
        ("only 6 in.", "only six inches."),
        ("6 in x 8 in", "six inches by eight inches"),
        ("a 6 in screen", "a six inch screen"),
        ("in 5 in 1 or 5 in stock", "in five in one or five in stock"),
        ("best of 2026 in one", "best of twenty twenty six in one"),
        ("10 cm x 5 cm", "ten centimeters by five centimeters"),
        ("10cm x 5cm", "ten centimeters by five centimeters"),
        ("99.9%", "ninety nine point nine percent"),
    ],
)
def test_measures_with_a_blank(shown: str, spoken: str) -> None:
    assert spoken_text(shown) == spoken


def test_what_is_said_together_is_one_pair() -> None:
    pairs = said_together(spoken_tokens("from EUR 1 299 now, $5 off 🎉 EUR"))
    assert pairs == [
        ("from", "from"),
        ("EUR 1 299", "one thousand two hundred ninety nine euros"),
        ("now,", "now,"),
        ("$5", "five dollars"),
        ("off", "off"),
        ("🎉", ""),
        ("EUR", "EUR"),
    ]
    assert said_together([("$", "")]) == [("$", "")]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.text("0123456789.,$€%/-:x°kgh@ ab\"'#+½²<~★() 0 kr Rs flozin", max_size=24)))
def test_any_text_has_a_spoken_form_without_digits(text: str) -> None:
    pairs = spoken_tokens(text)
    assert [shown for shown, _ in pairs] == text.split()
    assert " ".join(shown for shown, _ in said_together(pairs)).split() == text.split()
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
