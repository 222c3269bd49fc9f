"""English text as it is said aloud: numbers, prices, units and URLs become words, token by token.

The tokens are the whitespace tokens of the text as shown, so that a word's time belongs to what the viewer reads.
"""

from __future__ import annotations

import re
import unicodedata

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
ORDINALS |= {"twelve": "twelfth"}
LONGEST_TOKEN = 100
CURRENCIES = {
    "$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny"), "¥": ("yen", ""), "₹": ("rupee", "paisa"),
    "usd": ("dollar", "cent"), "eur": ("euro", "cent"), "gbp": ("pound", "penny"), "jpy": ("yen", ""),
}  # fmt: skip
# Singular, plural; an empty plural is the singular's.
UNITS = {
    "h": "hour", "hr": "hour", "hrs": "hour", "min": "minute", "mins": "minute", "sec": "second", "s": "second",
    "ms": "millisecond", "g": "gram", "kg": "kilogram", "mg": "milligram", "lb": "pound", "lbs": "pound", "oz": "ounce",
    "l": "liter", "ml": "milliliter", "cl": "centiliter", "mm": "millimeter", "cm": "centimeter", "m": "meter",
    "km": "kilometer", "ft": "foot", "in": "inch", "w": "watt", "kw": "kilowatt", "wh": "watt hour",
    "v": "volt", "mah": "milliamp hour", "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz",
    "mb": "megabyte", "gb": "gigabyte", "tb": "terabyte", "mbps": "megabit per second", "gbps": "gigabit per second",
    "mp": "megapixel", "px": "pixel", "db": "decibel", "lm": "lumen", "mph": "mile per hour", "km/h": "kilometer per hour",
    "kcal": "kilocalorie", "%": "percent", "°": "degree", "°c": "degree Celsius", "°f": "degree Fahrenheit",
    "x": "time", '"': "inch", "mmhg": "millimeter of mercury", "cal": "calorie",
}  # fmt: skip
UNCOUNTED = {"hertz", "kilohertz", "megahertz", "gigahertz", "percent"}
# Units that are also words or letters: "5 in" stays "five in"; they count only when glued to their number.
GLUED_ONLY = {"in", "s", "m", "x", "v", "w", "h", "l", "g"}
SYMBOLS = {
    "&": "and",
    "+": "plus",
    "=": "equals",
    "@": "at",
    "%": "percent",
    "w/": "with",
    "w/o": "without",
    "#": "number",
}
SYMBOLS |= {
    "vs": "versus",
    "vs.": "versus",
    "approx.": "approximately",
    "incl.": "including",
    "e.g.": "for example",
    "etc.": "et cetera",
    "mr.": "mister",
    "mrs.": "missus",
    "dr.": "doctor",
}
SCALE_LETTERS = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion"}

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+"
_PRICE_BEFORE = re.compile(rf"([$€£¥₹])({_NUMBER})([km]|bn?)?", re.IGNORECASE)
_PRICE_AFTER = re.compile(rf"({_NUMBER})([€£¥₹$]|usd|eur|gbp|jpy)", re.IGNORECASE)
_URL = re.compile(
    r"(?:https?://)?(?:www\.)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?::\d+)?(/[^\s?#]*)?(?:[?#]\S*)?", re.IGNORECASE
)
_EMAIL = re.compile(r"([a-z0-9._+-]+)@((?:[a-z0-9-]+\.)+[a-z]{2,})", re.IGNORECASE)
_ORDINAL = re.compile(r"(\d+)(st|nd|rd|th)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(am|pm)?", re.IGNORECASE)
_RANGE = re.compile(rf"({_NUMBER})-({_NUMBER})(\D*)")
_SIZE = re.compile(rf"({_NUMBER})x({_NUMBER})(?:x({_NUMBER}))?(\D*)", re.IGNORECASE)
_COUNTED = re.compile(rf"([-+±~]?)({_NUMBER})([a-z°%\"/]*)", re.IGNORECASE)
_AMOUNT = re.compile(rf"(?:(?:{_NUMBER})-)?(?:{_NUMBER})")
_FRACTION = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter", "3/4": "three quarters"}
_FIXED = SYMBOLS | _FRACTION | {"24/7": "twenty four seven"}
_PIECES = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['][^\W\d_]+)*|[&+@%=]", re.UNICODE)
# Typographic signs as their plain cousins: quotes, dashes, minus, times, fraction slash, double prime.
_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u2013": "-",
        "\u2212": "-",
        "\u00d7": "x",
        "\u2044": "/",
        "\u2033": '"',
        "\u2026": "...",
    }
)
_QUIET = str.maketrans("", "", "“”„«»()[]{}<>*_`|\\^")
_DASH = re.compile("[-\u2013\u2014]+|\u2026|[.]{3}")
# Unicode categories that are never said: other symbols (emoji, ™), marks, controls, private and unassigned.
_SILENT = {"So", "Sk", "Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"}
_PAUSES = {".": ".", "!": "!", "?": "?", ",": ",", ";": ";", ":": ":", "—": ","}


def number_words(number: int) -> str:
    """A whole number in words, without "and": 129 -> "one hundred twenty nine"."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return TENS[tens - 2] + (f" {ONES[rest]}" if rest else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{ONES[hundreds]} hundred" + (f" {number_words(rest)}" if rest else "")
    for size, name in SCALES:
        if size <= number < size * 1000:
            head, rest = divmod(number, size)
            return f"{number_words(head)} {name}" + (f" {number_words(rest)}" if rest else "")
    return _digits(str(number))


def spoken_tokens(text: str) -> list[tuple[str, str]]:
    """(shown, spoken) for each whitespace token; spoken is "" when nothing is said for it.

    The end of `spoken` keeps the punctuation that makes a pause: one of . , ; : ! ?
    """
    shown = text.split()
    pairs: list[tuple[str, str]] = []
    for index, token in enumerate(shown):
        before = shown[index - 1] if index else ""
        after = shown[index + 1] if index + 1 < len(shown) else ""
        pairs.append((token, _speak_token(token, before, after)))
        # A dash that stands alone says nothing, but it is heard: as a pause of the word ahead of it.
        if _DASH.fullmatch(token) and index and pairs[-2][1] and pairs[-2][1][-1].isalnum():
            pairs[-2] = (before, pairs[-2][1] + ",")
    return pairs


def spoken_text(text: str) -> str:
    """The whole text as it is said, in one line."""
    return " ".join(spoken for _, spoken in spoken_tokens(text) if spoken)


def _speak_token(token: str, before: str, after: str) -> str:
    token = unicodedata.normalize("NFKC", token.translate(_PLAIN)).translate(_PLAIN)
    core = "".join(sign for sign in token if sign == "°" or unicodedata.category(sign) not in _SILENT).translate(_QUIET)
    # Nobody says a longer token; the cap also keeps every pattern and number below it cheap.
    core, pause = _split_pause(core[:LONGEST_TOKEN].strip("'"))
    words = _say(core, before, after) if core else ""
    if not words:
        return ""
    return words + pause


def _split_pause(token: str) -> tuple[str, str]:
    """The token without its closing punctuation, and the one mark that stands for its pause."""
    core = token.rstrip(".,;:!?—-'\"") if not token.endswith(("w/o", '"')) else token.rstrip(".,;:!?—")
    if token.lower() in SYMBOLS:
        return token, ""
    if core.endswith('"') and not re.fullmatch(r"[\d.,]+\"", core):
        core = core.rstrip('".,!?')
    tail = token[len(core) :]
    if "..." in tail:
        return core.lstrip("-—.,\"'"), ","
    marks = [_PAUSES[mark] for mark in tail if mark in _PAUSES]
    # The strongest mark wins: "?!" asks, "," before a closing quote still pauses.
    pause = next((mark for mark in "?!.;:," if mark in marks), "")
    core = core if re.match(r"[-.]\d", core) else core.lstrip("-—.,\"'!?¡¿;:")
    return core, pause


def _say(core: str, before: str, after: str) -> str:
    """One token without its closing punctuation, in words."""
    low = core.lower()
    if low in _FIXED:
        return _FIXED[low]
    if low in UNITS and (low not in GLUED_ONLY or low in {"h", "l", "g"}) and _AMOUNT.fullmatch(before):
        return _unit(low, one=before == "1")
    if low in CURRENCIES and len(low) == 3 and (_AMOUNT.fullmatch(before) or _AMOUNT.fullmatch(after.rstrip(".,!?"))):
        return _plural(CURRENCIES[low][0], one=before == "1") if _AMOUNT.fullmatch(before) else ""
    if before.lower() in {"usd", "eur", "gbp", "jpy"} and _AMOUNT.fullmatch(core):
        return _say_price(core + before)
    if re.fullmatch(r"#\d+", core):
        return f"number {_say_number(core[1:])}"
    if not any(sign.isdigit() for sign in core):
        return _say_word(core)
    return _say_price(core) or _say_pattern(core, before, after) or _say_rate(core, after) or _say_mixed(core)


def _say_rate(core: str, after: str) -> str:
    """An amount for each of something: "$29/month", "10km/day"; "" for anything else."""
    amount, slash, rest = core.partition("/")
    if not slash or not amount or not rest.isalpha():
        return ""
    per = {"mo": "month", "yr": "year", "wk": "week"}.get(rest.lower(), UNITS.get(rest.lower(), rest))
    return f"{_say_price(amount) or _say_pattern(amount, '', after) or _say_mixed(amount)} per {per}"


def _say_word(core: str) -> str:
    if address := _say_address(core):
        return address
    if re.fullmatch(r"[^\W\d_]+(?:['-][^\W\d_]+)*", core):
        return core.replace("-", " ")
    return _say_mixed(core)


def _say_address(core: str) -> str:
    """An email address or URL as a person says it; "" for anything else."""
    if match := _EMAIL.fullmatch(core):
        return f"{_say_host(match[1])} at {_say_host(match[2])}"
    if _looks_like_url(core) and (match := _URL.fullmatch(core)):
        return _say_url(match)
    return ""


def _looks_like_url(core: str) -> bool:
    return (
        "://" in core
        or core.lower().startswith("www.")
        or bool(re.fullmatch(r"[\w-]+(\.[\w-]{2,})*\.[a-z]{2,}(/\S*)?", core, re.IGNORECASE))
    )


def _say_url(match: re.Match[str]) -> str:
    path = [part for part in (match[2] or "").split("/") if part]
    # The first step of a path is still something a person can type; the rest is left to the screen.
    return _say_host(match[1]) + (f" slash {_say_host(path[0])}" if path else "")


def _say_host(host: str) -> str:
    words = host.replace(".", " dot ").replace("-", " dash ").replace("_", " underscore ").replace("+", " plus ")
    return " ".join(_say_mixed(word) for word in words.split())


def _say_price(core: str) -> str:
    if match := _PRICE_BEFORE.fullmatch(core):
        currency, number, scale = match.groups()
    elif match := _PRICE_AFTER.fullmatch(core):
        number, currency, scale = match[1], match[2], None
    else:
        return ""
    name, cent = CURRENCIES[currency.lower()]
    whole, cents = _split_number(number)
    if scale:
        return f"{_say_number(number)} {SCALE_LETTERS[scale.lower()]} {_plural(name, one=False)}"
    amount = f"{number_words(whole)} {_plural(name, one=whole == 1)}"
    if not cents or int(cents) == 0:
        return amount
    small = int((cents + "0")[:2])
    if whole == 0 and cent:
        return f"{number_words(small)} {_plural(cent, one=small == 1)}"
    return f"{amount} {number_words(small)}"


def _say_pattern(core: str, before: str, after: str) -> str:
    """Numbers with a shape of their own; "" when the token has none of them."""
    if address := _say_address(core):
        return address
    if match := _ORDINAL.fullmatch(core):
        return _ordinal(int(match[1]))
    if match := _CLOCK.fullmatch(core):
        minutes = int(match[2])
        tail = f" {' '.join(match[3].lower())}" if match[3] else ""
        spoken = "" if minutes == 0 else f" oh {ONES[minutes]}" if minutes < 10 else f" {number_words(minutes)}"
        return number_words(int(match[1])) + (spoken or ("" if tail else " o'clock")) + tail
    if match := _SIZE.fullmatch(core):
        numbers = [_say_number(part) for part in match.groups()[:3] if part]
        unit = match[4].strip().lower()
        return " by ".join(numbers) + (f" {_unit(unit, one=False)}" if unit in UNITS else f" {unit}" if unit else "")
    if (match := _RANGE.fullmatch(core)) and (match[3].lower() in UNITS or not match[3]):
        if len(match[1]) == 3 and len(match[2]) == 4 and not match[3]:
            return f"{_digits(match[1])}, {_digits(match[2])}"
        unit = f" {_unit(match[3].lower(), one=False)}" if match[3] else ""
        return f"{_say_number(match[1])} to {_say_number(match[2])}{unit}"
    if match := _COUNTED.fullmatch(core):
        return _say_counted(match[1], match[2], match[3], before, after)
    return ""


def _say_counted(sign: str, number: str, unit: str, before: str, after: str) -> str:
    prefix = {"-": "minus ", "+": "plus ", "±": "plus or minus ", "~": "about "}.get(sign, "")
    low = unit.lower()
    # "a 24h battery" is a twenty four hour one.
    one = _number_value(number) == 1 or (before.lower() in {"a", "an"} and after[:1].isalpha())
    if not unit:
        year = re.fullmatch(r"(?:19|20)\d\d", number) and after.lower() not in UNITS and after != "%"
        return prefix + (_year(int(number)) if year else _say_number(number))
    if low in UNITS and unit not in {"M", "B", "G"}:
        return f"{prefix}{_say_number(number)} {_unit(low, one)}"
    if low in SCALE_LETTERS and (unit != "m"):
        return (
            f"{prefix}{_say_number(number)} {SCALE_LETTERS[low]}"
            if low != "k" or number not in {"4", "8"}
            else f"{_say_number(number)} K"
        )
    if unit == "/":
        return prefix + _say_number(number)
    return ""


def _say_mixed(core: str) -> str:
    """Whatever is left: runs of letters as they are, numbers in words, a few symbols by name."""
    pieces: list[str] = []
    for piece in _PIECES.findall(core):
        if piece[0].isdigit():
            pieces.append(_say_number(piece) if piece.isascii() else "")
        else:
            pieces.append(SYMBOLS.get(piece, piece))
    return " ".join(piece for piece in pieces if piece)


def _split_number(number: str) -> tuple[int, str]:
    """(whole part, digits after the point); a comma before exactly three digits groups, else it is a point."""
    if re.fullmatch(r"\d+,\d{1,2}", number):
        number = number.replace(",", ".")
    whole, _, rest = number.replace(",", "").partition(".")
    return int(whole or 0), rest


def _number_value(number: str) -> float:
    whole, rest = _split_number(number)
    return float(f"{whole}.{rest or 0}")


def _say_number(number: str) -> str:
    if number.count(".") > 1:
        return " point ".join(_say_number(part) for part in number.split("."))
    if len(number) > 1 and number.isdigit() and number.startswith("0"):
        return _digits(number)
    whole, rest = _split_number(number)
    return number_words(whole) + (f" point {_digits(rest)}" if rest else "")


def _digits(number: str) -> str:
    return " ".join(ONES[int(digit)] for digit in number)


def _year(year: int) -> str:
    century, rest = divmod(year, 100)
    if year % 1000 < 10:
        return number_words(year)
    if rest == 0:
        return f"{number_words(century)} hundred"
    return f"{number_words(century)} {'oh ' if rest < 10 else ''}{number_words(rest)}"


def _ordinal(number: int) -> str:
    words = number_words(number).split()
    last = words[-1]
    words[-1] = ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return " ".join(words)


def _unit(unit: str, one: bool) -> str:
    name = UNITS[unit]
    return _plural(name, one=one)


def _plural(name: str, *, one: bool) -> str:
    if one or name in UNCOUNTED or name in {"yen", "paisa"}:
        return name
    irregular = {"foot": "feet", "inch": "inches", "penny": "pence"}
    first, space, rest = name.partition(" ")
    if rest.startswith(("per ", "of ", "Celsius", "Fahrenheit")):
        return f"{irregular.get(first, first + 's')}{space}{rest}"
    return irregular.get(name, name + "s")
