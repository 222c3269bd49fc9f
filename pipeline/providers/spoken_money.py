"""Amounts of money in English words, and what is written for a coin: a sign, a code, a word."""

from __future__ import annotations

import re

from pipeline.providers.spoken_numbers import NUMBER, number_value, number_words, say_number, split_number
from pipeline.providers.spoken_tables import SCALE_LETTERS, SIGNS, is_unit, plural

# The name of the whole and of its hundredth part ("" where nobody counts it), and how both are written.
_NAMES = {
    ("dollar", "cent"): "$ USD", ("US dollar", "cent"): "US$", ("Canadian dollar", "cent"): "C$ CA$ CAD",
    ("Australian dollar", "cent"): "A$ AU$ AUD", ("New Zealand dollar", "cent"): "NZ$ NZD",
    ("Hong Kong dollar", "cent"): "HK$ HKD", ("Singapore dollar", "cent"): "S$ SGD", ("cent", ""): "¢",
    ("euro", "cent"): "€ EUR", ("pound", "penny"): "£ GBP", ("Swiss franc", "centime"): "CHF",
    ("real", "centavo"): "R$ BRL", ("Mexican peso", "centavo"): "MX$ MXN", ("peso", "centavo"): "₱ PHP",
    ("yen", ""): "¥ JPY", ("yuan", ""): "CNY", ("won", ""): "₩ KRW", ("baht", "satang"): "฿ THB", ("dong", ""): "₫ VND",
    ("rupee", "paisa"): "₹ INR Rs rs", ("rupiah", ""): "Rp IDR", ("lira", "kurus"): "₺ TRY", ("shekel", "agora"): "₪ ILS",
    ("ruble", "kopeck"): "₽ RUB", ("hryvnia", ""): "₴ UAH", ("naira", ""): "₦ NGN", ("rand", "cent"): "ZAR",
    ("krona", ""): "kr Kr SEK", ("krone", ""): "NOK DKK", ("koruna", ""): "Kč kč CZK", ("zloty", "grosz"): "zł PLN",
    ("forint", ""): "Ft HUF", ("dirham", ""): "AED", ("riyal", "halala"): "SAR",
}  # fmt: skip
COINS = {written: names for names, all_written in _NAMES.items() for written in all_written.split()}
# Known in any case, as in "20 eur"; the others are also words and names: "try", "php".
_ANY_CASE = {"USD", "EUR", "GBP", "JPY", "CHF", "US$"}
# Coins only where nothing says otherwise: "TRY 30 days", "PHP 8.3", "a 10 Ft cable".
_DOUBTFUL = {"TRY", "PHP", "Ft"}
_FEET_UP_TO = 100
SHORTENED, _MARKS = {"Rs.", "rs.", "kr.", "Kr."}, set(".,;:!?")

_WRITTEN = "|".join(re.escape(one) for one in sorted({*COINS} - _DOUBTFUL, key=len, reverse=True))
_COIN = rf"(?:[Rr]s\.|{_WRITTEN}|(?i:{'|'.join(map(re.escape, sorted(_ANY_CASE)))}))"
_PRICE_BEFORE = re.compile(rf"({_COIN})({NUMBER})((?i:[km]|bn?))?")
_PRICE_AFTER = re.compile(rf"({NUMBER})({_COIN})")
_PRICES_BEFORE = re.compile(rf"({_COIN})({NUMBER})-(?:{_COIN})?({NUMBER})")
_PRICES_AFTER = re.compile(rf"({NUMBER})-({NUMBER})({_COIN})")
_MONEY = re.compile(rf"[-+±~≈<>≤≥]?(?:(?:{NUMBER})-)?(?:{NUMBER})")
_PER = re.compile(r"([^/]+)/[^\W\d_]+")
# "1 299,90", also with its coin on it: "$1 299", "1 299kr"; and the parts of it.
_HEAD = re.compile(rf"[(]?(?:{_COIN})?[1-9]\d{{0,2}}")
_MIDDLE, _TAIL = re.compile(r"\d{3}"), re.compile(rf"\d{{3}}(?:[.,]\d{{1,2}})?({_COIN})?[)]?(?:/[^\W\d_]+)?[.,;:!?]*")


def coin(token: str) -> str:
    """The name in COINS of a token that is a coin, "" for any other: "Rs." -> "Rs", "(usd" -> "USD"."""
    token = token.strip("()[]").rstrip(".,;:!?)")
    return token if token in COINS else token.upper() if token.upper() in _ANY_CASE else ""


def coin_ahead(token: str, number: str, after: str) -> str:
    """The coin that a token is, ahead of a number and what follows that; "" when it is none."""
    name, amount = coin(token), amount_of(number)
    is_closed = token[-1:] in _MARKS and token not in SHORTENED
    if not name or not amount or is_closed or name == "Ft":
        return ""
    value = number_value(_last(amount))
    if name == "PHP":
        return name if value >= 10 else ""
    is_said = after[:1].isupper() or (after[:1].isalpha() and value < 100 and not re.search(r"[.,]\d\d$", amount))
    return "" if name == "TRY" and is_said else name


def coin_behind(number: str, token: str, after: str) -> str:
    """The coin that a token is, behind a number and ahead of what follows; "" when it is none."""
    name, amount = coin(part_of(token)), amount_of(number)
    if not name or not amount or number[-1] in _MARKS or (name in _DOUBTFUL and after[:1].isupper()):
        return ""
    return name if name != "Ft" or number_value(_last(amount)) > _FEET_UP_TO else ""


def amount_of(token: str) -> str:
    """The amount of a token, without brackets, marks and what it is for: "(1.299,00/month" -> "1.299,00"; else ""."""
    token = part_of(token.lstrip("([")).rstrip(".,;:!?)]")
    return token if _MONEY.fullmatch(token) else ""


def part_of(token: str) -> str:
    """The price of a rate: "kr" of "kr/month"; any other token as it is."""
    match = _PER.fullmatch(token.rstrip(".,;:!?)"))
    return match[1] if match else token


def joined_price(tokens: list[str]) -> int:
    """How many tokens from the first on are one price whose thousands stand after blanks; 0 for none.

    `tokens` begin with the one before it: "SEK 1 299", "for 1 299 kr", "$1 299".
    """
    before, *rest = tokens
    if not rest or not _HEAD.fullmatch(rest[0]):
        return 0
    count, last = 1, None
    while count < len(rest) and (count == 1 or _MIDDLE.fullmatch(rest[count - 1])):
        if not (match := _TAIL.fullmatch(rest[count])):
            break
        count, last = count + 1, match
    after = rest[count] if count < len(rest) else ""
    if last is None or is_unit(after, ""):
        return 0
    is_price = coin(before) or not rest[0].lstrip("(")[0].isdigit() or last[1] or coin_behind("1000", after, "")
    return count if is_price else 0


def say_price(core: str) -> str:
    """An amount of money, or two: $29.99, 29,99€, $10k, $20-30, ~$20."""
    if core[:1] in SIGNS:
        price = say_price(core[1:])
        return f"{SIGNS[core[0]]} {price}" if price else ""
    if match := _PRICES_BEFORE.fullmatch(core):
        return _price_range(match[1], match[2], match[3])
    if match := _PRICES_AFTER.fullmatch(core):
        return _price_range(match[3], match[1], match[2])
    if match := _PRICE_BEFORE.fullmatch(core):
        return _amount(match[1], match[2], match[3])
    if match := _PRICE_AFTER.fullmatch(core):
        return _amount(match[2], match[1], None)
    return ""


def _price_range(written: str, low: str, high: str) -> str:
    if low.isdigit() and high.isdigit():
        return f"{say_number(low)} to {_amount(written, high, None)}"
    return f"{_amount(written, low, None)} to {_amount(written, high, None)}"


def _amount(written: str, number: str, scale: str | None) -> str:
    if scale:
        name = plural(COINS[coin(written)][0], one=False)
        return f"{say_number(number)} {SCALE_LETTERS[scale.lower()]} {name}"
    return " ".join(say_amount(number, coin(written)))


def say_amount(number: str, name: str) -> tuple[str, str]:
    """The number and the coin of an amount: 29,99 and € -> "twenty nine", "euros ninety nine"."""
    whole_name, cent = COINS[name]
    sign, number = (f"{SIGNS[number[0]]} ", number[1:]) if number[0] in SIGNS else ("", number)
    if "-" in number:
        low, _, high = number.partition("-")
        return f"{sign}{say_number(_whole(low))} to {say_number(_whole(high))}", plural(whole_name, one=False)
    whole, cents = split_number(_whole(number))
    small = int((cents + "0")[:2]) if cents else 0
    if whole == 0 and small and cent:
        return sign + number_words(small), plural(cent, one=small == 1)
    tail = f" {number_words(small)}" if small else ""
    return sign + number_words(whole), plural(whole_name, one=whole == 1) + tail


def _whole(number: str) -> str:
    """No price has three digits after its point: €1.299 is in thousands."""
    return number.replace(".", "") if re.fullmatch(r"\d{1,3}\.\d{3}", number) else number


def _last(amount: str) -> str:
    """The number of an amount, or the upper one of two."""
    return _whole(amount.lstrip("".join(SIGNS)).rpartition("-")[2])
