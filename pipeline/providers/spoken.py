"""English text as it is said aloud: numbers, prices, units and URLs become words, token by token.

The tokens are the whitespace tokens of the text as shown, so that a word's time belongs to what the viewer reads.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from pipeline.providers.spoken_numbers import NUMBER, digits, number_words, ordinal, say_number
from pipeline.providers.spoken_shapes import Place, decade, is_attribute, say_amount, say_shape
from pipeline.providers.spoken_tables import (
    ALONE,
    BEFORE_NUMBER,
    CURRENCY_CODES,
    CURRENCY_SIGNS,
    GLUED_ONLY,
    MONTHS,
    SHORT_MONTHS,
    STOPLESS,
    SYMBOLS,
    TITLES,
    UNITS,
    plural,
    unit,
)

LONGEST_TOKEN = 100
_URL = re.compile(
    r"(?:https?://)?(?:www\.)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?::\d+)?(/[^\s?#]*)?(?:[?#]\S*)?", re.IGNORECASE
)
_EMAIL = re.compile(r"([a-z0-9._+-]+)@((?:[a-z0-9-]+\.)+[a-z]{2,})", re.IGNORECASE)
_AMOUNT = re.compile(rf"[-+±~≈<>≤≥]?(?:(?:{NUMBER})[-x])*(?:{NUMBER})")
_MONEY = re.compile(rf"[-+±~≈<>≤≥]?(?:(?:{NUMBER})-)?(?:{NUMBER})")
_PHONE_PART = re.compile(r"[+(]?[\d()-]+[.,!?]?")
_PIECES = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['][^\W\d_]+)*|[&+@%=]", re.UNICODE)
# Typographic signs as their plain cousins: quotes, dashes, minus, times, fraction slash, double prime, stars.
_PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u2013": "-",
        "\u2212": "-",
        "\u00d7": "x",
        "\u2044": "/",
        "\u2032": "'",
        "\u2033": '"',
        "\u2026": "...",
        "\u2b50": "\u2605",
        "\u00ba": "°",
        "\u2116": "No.",
        "\u2122": "",  # its plain cousin would be the letters TM
        "\u2120": "",
    }
)
_QUIET = str.maketrans("", "", "“”„«»()[]{}*`|\\^")
_DASH = re.compile("[-\u2013\u2014]+|\u2026|[.]{3}")
# 1½ is one and a half, not 11/2.
_VULGAR = re.compile("(?<=\\d)(?=[\u00bc-\u00be\u2150-\u215e])")
# Unicode categories that are never said: other symbols (emoji, ©), marks, controls, private and unassigned.
_SILENT = {"So", "Sk", "Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"}
_SAID_SYMBOLS = {"°", "★"}
_PAUSES = {".": ".", "!": "!", "?": "?", ",": ",", ";": ";", ":": ":", "—": ","}


def spoken_tokens(text: str) -> list[tuple[str, str]]:
    """(shown, spoken) for each whitespace token; spoken is "" when nothing is said for it.

    The end of `spoken` keeps the punctuation that makes a pause: one of . , ; : ! ?
    """
    shown = text.split()
    plain = [_plain(token) for token in shown]
    phone = _phone_tokens(plain)
    pairs: list[tuple[str, str]] = []
    for index, token in enumerate(shown):
        earlier, before = (plain[index - back] if index >= back else "" for back in (2, 1))
        place = Place(earlier, before, plain[index + 1] if index + 1 < len(shown) else "")
        spoken = _speak_digits(plain[index]) if index in phone else _speak_token(plain[index], place)
        grouped = _grouped(plain, index)
        pairs.append((token, spoken if grouped is None else grouped))
        # A dash that stands alone says nothing, but it is heard: as a pause of the word ahead of it.
        if not pairs[-1][1] and _DASH.fullmatch(token) and index and pairs[-2][1][-1:].isalnum():
            pairs[-2] = (pairs[-2][0], pairs[-2][1] + ",")
    return pairs


def spoken_text(text: str) -> str:
    """The whole text as it is said, in one line."""
    return " ".join(spoken for _, spoken in spoken_tokens(text) if spoken)


def _plain(token: str) -> str:
    """A token with plain signs only, and no longer than anybody says; the cap keeps every pattern below cheap."""
    token = unicodedata.normalize("NFKC", _VULGAR.sub("+", token.translate(_PLAIN))).translate(_PLAIN)
    kept = "".join(sign for sign in token if sign in _SAID_SYMBOLS or unicodedata.category(sign) not in _SILENT)
    return re.sub(r"(?<=\d)[.,]-+$", "", kept[:LONGEST_TOKEN])  # 20,- is a price


def _phone_tokens(tokens: Sequence[str]) -> set[int]:
    """Which tokens are parts of a telephone number: two or more together, from a +, ( or 0 on, with seven digits."""
    found: set[int] = set()
    start = 0
    while start < len(tokens):
        end = start
        while end < len(tokens) and _PHONE_PART.fullmatch(tokens[end]) and (end == start or tokens[end][0] not in "+-"):
            end += 1
        long = sum(map(str.isdigit, "".join(tokens[start:end]))) >= 7
        if end - start > 1 and long and re.match(r"\+?[(]?\d", tokens[start]) and tokens[start][0] in "+(0":
            found.update(range(start, end))
        start = max(end, start + 1)
    return found


def _speak_digits(token: str) -> str:
    plus = "plus " if token.startswith("+") else ""
    return plus + digits(token) + (token[-1] if token[-1] in ".,!?" else "")


def _grouped(tokens: Sequence[str], index: int) -> str | None:
    """Thousands after a blank: "10 000" is "ten" and "thousand"; None for anything else."""
    if re.fullmatch(r"000[.,!?]?", tokens[index]) and index:
        first = index - 1
        while first and tokens[first] == "000":
            first -= 1
        is_last = index + 1 == len(tokens) or not re.fullmatch(r"000[.,!?]?", tokens[index + 1])
        scale = {1: "thousand", 2: "million", 3: "billion"}.get(index - first)
        if scale and re.fullmatch(r"[1-9]\d{0,2}", tokens[first]):
            return scale + tokens[index][3:] if is_last else ""
    return None


def _speak_token(token: str, place: Place) -> str:
    if (said := _say_ahead(token, place)) is not None:
        return said
    core, pause = _split_pause(token.translate(_QUIET).strip("_"))
    if re.fullmatch(r"'[2-9]0s", core):
        return decade(int(core[1:3])) + pause
    core = core.strip("'")
    words = _say(core, place) if core else ""
    if not words:
        return ""
    is_inside = token.lower() in STOPLESS or core.lower() in UNITS or core in SHORT_MONTHS
    if pause == "." and (token in TITLES or (is_inside and re.match(r"[^\W_A-Z]", place.after))):
        return words
    return words + pause


def _say_ahead(token: str, place: Place) -> str | None:
    """What stands between or ahead of numbers: "No. 5", "~ 20", "USD 20", "10 x 15", "1 - 2"; None for anything else."""
    if token.lower() in BEFORE_NUMBER and place.after[:1].isdigit():
        return BEFORE_NUMBER[token.lower()]
    leads = _MONEY.fullmatch(place.after.rstrip(".,!?"))
    if leads and not _is_amount(place.before) and _is_coin(token):
        return ""  # said with the number
    if token.lower() in {"x", "-"} and re.search(r"\d\W*$", place.before) and re.match(r"\W?\d", place.after):
        return "by" if token.lower() == "x" else "to"
    return None


def _is_amount(token: str) -> bool:
    return bool(_AMOUNT.fullmatch(token.rstrip(".,!?")))


def _is_coin(token: str) -> bool:
    return token.lower() in CURRENCY_CODES or token in set(CURRENCY_SIGNS)


def _split_pause(token: str) -> tuple[str, str]:
    """The token without its closing punctuation, and the one mark that stands for its pause."""
    core = token.rstrip(".,;:!?—-'\"") if not token.endswith(("w/o", '"')) else token.rstrip(".,;:!?—")
    if token.lower() in SYMBOLS:
        return token, ""
    if core.endswith('"') and not re.fullmatch(r"[\d.,']+\"", core):
        core = core.rstrip('".,!?')
    tail = token[len(core) :]
    if "..." in tail:
        return core.lstrip("-—.,\"'"), ","
    marks = [_PAUSES[mark] for mark in tail if mark in _PAUSES]
    # The strongest mark wins: "?!" asks, "," before a closing quote still pauses.
    pause = next((mark for mark in "?!.;:," if mark in marks), "")
    core = core if re.match(r"[-.]\d|'\d0s|\.[A-Za-z]", core) else core.lstrip("-—.,\"'!?¡¿;:")
    return core, pause


def _say(core: str, place: Place) -> str:
    """One token without its closing punctuation, in words."""
    low = core.lower()
    if said := _say_beside_number(core, low, place):
        return said
    if low in SYMBOLS:
        # "1 1/2 cups"
        return "and a half" if low == "1/2" and place.before.isdigit() else SYMBOLS[low]
    if low in ALONE:
        return unit(low, one=False)
    if match := re.fullmatch(r"(?:#|no[.]|n°)(\d+)", low):
        return f"number {say_number(match[1])}"
    if re.fullmatch(r"★+", core):
        return f"{number_words(len(core))} {plural('star', one=len(core) == 1)}"
    if not any(sign.isdigit() for sign in core):
        return _say_word(core)
    if core.endswith("+"):
        return f"{_say(core[:-1], place)} plus"
    return (
        _say_address(core) or say_shape(core, place) or _say_rate(core, place) or _say_parts(core) or _say_mixed(core)
    )


def _say_beside_number(core: str, low: str, place: Place) -> str:
    """What a token is called because a number stands beside it: "10 kg", "20 €", "9 am", "Dec. 25"."""
    after = place.after.rstrip(".,!?")
    if _is_amount(place.before):
        if low in UNITS and low not in GLUED_ONLY and core not in {"G", "M2", "M3"}:
            return unit(low, one=place.before == "1" or is_attribute(place.earlier, place.after))
        if low in {"am", "pm"}:
            return low.upper()
    if _is_coin(core) and _MONEY.fullmatch(place.before):
        return say_amount(place.before, low)[1]
    if _MONEY.fullmatch(core) and _is_coin(place.before) and not _is_amount(place.earlier):
        return " ".join(say_amount(core, place.before.lower()))
    if _MONEY.fullmatch(core) and _is_coin(after):
        return say_amount(core, after.lower())[0]
    return _say_day(core, place) if core.isdigit() or _is_amount(after) else ""


def _say_day(core: str, place: Place) -> str:
    """A month ahead of its day, and a day beside its month."""
    if core in SHORT_MONTHS:
        return SHORT_MONTHS[core]
    months = {*MONTHS, *SHORT_MONTHS}
    beside = {place.before.rstrip("."), place.after.rstrip(".,!?")}
    return ordinal(int(core)) if core.isdigit() and 1 <= int(core) <= 31 and beside & months else ""


def _say_rate(core: str, place: Place) -> str:
    """An amount for each of something: "$29/month", "10km/day"; "" for anything else."""
    amount, slash, rest = core.partition("/")
    if not slash or not amount or not rest.isalpha():
        return ""
    per = {"mo": "month", "yr": "year", "wk": "week"}.get(rest.lower(), UNITS.get(rest.lower(), rest))
    return f"{say_shape(amount, Place('', '', place.after)) or _say_mixed(amount)} per {per}"


def _say_parts(core: str) -> str:
    """The parts of a compound with numbers, each on its own: "1st-class", "5V/2A", "1-800-FLOWERS"."""
    parts = [part for part in re.split(r"[-/]", core) if part]
    alone = Place("", "", "")
    return " ".join(filter(None, (_say(part, alone) for part in parts))) if len(parts) > 1 else ""


def _say_word(core: str) -> str:
    if address := _say_address(core):
        return address
    if re.fullmatch(r"[^\W\d_]+(?:['-][^\W\d_]+)*", core):
        return say_shape(core, Place("", "", "")) or _letters(core.split("-"))
    if re.fullmatch(r"#[^\W\d]\w*", core):
        return f"hashtag {_say_mixed(core)}"
    if re.fullmatch(r"\.[A-Za-z]{2,}", core):
        return f"dot {core[1:]}"
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


def _say_mixed(core: str) -> str:
    """Whatever is left: runs of letters as they are, numbers in words, a few symbols by name."""
    pieces: list[str] = []
    for piece in _PIECES.findall(core):
        if piece[0].isdigit():
            pieces.append(say_number(piece) if piece.isascii() else "")
        else:
            pieces.append(SYMBOLS.get(piece, piece))
    return _letters([piece for piece in pieces if piece])


def _letters(pieces: Sequence[str]) -> str:
    """The parts of a compound; its letter A is no article: "USB-A", "A4", "A+"."""
    return " ".join("eh" if piece == "A" and len(pieces) > 1 else piece for piece in pieces)
