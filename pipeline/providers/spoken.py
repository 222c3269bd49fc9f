"""English text as it is said aloud: numbers, prices, units and URLs become words, token by token.

The tokens are the whitespace tokens of the text as shown, so that a word's time belongs to what the viewer reads.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from pipeline.providers.spoken_money import (
    SHORTENED,
    amount_of,
    coin_ahead,
    coin_behind,
    joined_price,
    part_of,
    say_amount,
)
from pipeline.providers.spoken_numbers import NUMBER, digits, number_words, ordinal, say_number
from pipeline.providers.spoken_shapes import Place, decade, is_attribute, say_shape
from pipeline.providers.spoken_tables import (
    ALONE,
    BEFORE_NUMBER,
    MONTHS,
    SHORT_MONTHS,
    STOPLESS,
    SYMBOLS,
    TITLES,
    UNITS,
    is_unit,
    plural,
    unit,
)

LONGEST_TOKEN = 100
MOST_JOINED = 6
_URL = re.compile(
    r"(?:https?://)?(?:www\.)?((?:[a-z0-9-]+\.)+[a-z]{2,})(?::\d+)?(/[^\s?#]*)?(?:[?#]\S*)?", re.IGNORECASE
)
_EMAIL = re.compile(r"([a-z0-9._+-]+)@((?:[a-z0-9-]+\.)+[a-z]{2,})", re.IGNORECASE)
_AMOUNT = re.compile(rf"[-+±~≈<>≤≥]?(?:(?:{NUMBER})[-x])*(?:{NUMBER})")
_FLUID = re.compile(rf"(?:{NUMBER})?fl[.]?", re.IGNORECASE)
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

    The end of `spoken` keeps the punctuation that makes a pause: one of . , ; : ! ? What several tokens are said
    together belongs to the last of them: "1 299" and "EUR 20" are "" and the whole.
    """
    shown = text.split()
    counts, plain = _joined([_plain(token) for token in shown])
    left = iter(shown)
    pairs: list[tuple[str, str]] = []
    for index, (count, spoken) in enumerate(zip(counts, _speak_all(plain), strict=True)):
        *silent, token = (next(left) for _ in range(count))
        # A dash that stands alone says nothing, but it is heard: as a pause of the word ahead of it.
        if not spoken and _DASH.fullmatch(token) and index and pairs[-1][1][-1:].isalnum():
            pairs[-1] = (pairs[-1][0], pairs[-1][1] + ",")
        pairs += [(one, "") for one in silent]
        pairs.append((token, spoken))
    return pairs


def said_together(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same with each word that is said in the next one ("EUR" of "EUR 20") in one pair with it."""
    found: list[tuple[str, str]] = []
    waiting = ""
    for shown, spoken in pairs:
        if not spoken and _is_read(shown):
            waiting += f"{shown} "
            continue
        found.append((waiting + shown, spoken))
        waiting = ""
    return found + [(shown, "") for shown in waiting.split()]


def spoken_text(text: str) -> str:
    """The whole text as it is said, in one line."""
    return " ".join(spoken for _, spoken in spoken_tokens(text) if spoken)


def _speak_all(plain: Sequence[str]) -> Iterator[str]:
    """What is said for each token."""
    phone = _phone_tokens(plain)
    around = ["", "", *plain, "", ""]
    for index, token in enumerate(plain):
        earlier, before, _, after, later = around[index : index + 5]
        if (grouped := _grouped(plain, index)) is not None:
            yield grouped
        elif index in phone:
            yield _speak_digits(token, is_last=index + 1 not in phone)
        else:
            yield _speak_token(token, Place(earlier, before, after, later))


def _joined(plain: Sequence[str]) -> tuple[list[int], list[str]]:
    """How many tokens each stands for, and the tokens with those joined that are one: "1 299" of "1 299 kr", "fl oz"."""
    counts: list[int] = []
    found: list[str] = []
    index = 0
    while index < len(plain):
        ahead = plain[index : index + MOST_JOINED]
        is_fluid = len(ahead) > 1 and _FLUID.fullmatch(ahead[0]) and ahead[1].lower().startswith("oz")
        count = 2 if is_fluid else joined_price([found[-1] if found else "", *ahead]) or 1
        counts.append(count)
        found.append("".join(plain[index : index + count]))
        index += count
    return counts, [re.sub(r"(?i)fl[.]?oz", "floz", token) for token in found]


def _is_read(token: str) -> bool:
    """Whether a viewer reads a token that says nothing: a word, a number, the sign of a coin."""
    return any(sign.isalnum() or unicodedata.category(sign) == "Sc" for sign in token)


def _plain(token: str) -> str:
    """A token with plain signs only, and no longer than anybody says; the cap keeps every pattern below cheap."""
    token = unicodedata.normalize("NFKC", _VULGAR.sub("+", token.translate(_PLAIN))).translate(_PLAIN)
    kept = "".join(sign for sign in token if sign in _SAID_SYMBOLS or unicodedata.category(sign) not in _SILENT)
    return re.sub(r"(?<=\d)[.,:/]-+(?=[.,!?]?$)", "", kept[:LONGEST_TOKEN])  # 20,- and 499/- are prices


def _phone_tokens(tokens: Sequence[str]) -> set[int]:
    """Which tokens are parts of a telephone number: two or more together, from a +, ( or 0 on, with seven digits."""
    found: set[int] = set()
    start = 0
    while start < len(tokens):
        end = start
        while end < len(tokens) and _PHONE_PART.fullmatch(tokens[end]) and (end == start or tokens[end][0] not in "+-"):
            end += 1
        long = sum(map(str.isdigit, "".join(tokens[start:end])))
        is_begun = tokens[start][0] in "+(0" or (tokens[start] == "1" and long == 11) if end > start else False
        if end - start > 1 and long >= 7 and is_begun and re.match(r"\+?[(]?\d", tokens[start]):
            found.update(range(start, end))
        start = max(end, start + 1)
    return found


def _speak_digits(token: str, *, is_last: bool) -> str:
    """A part of a telephone number, with a pause after each group."""
    plus = "plus " if token.startswith("+") else ""
    pause = token[-1] if token[-1] in ".,!?" else "" if is_last else ","
    return plus + ", ".join(digits(group) for group in re.findall(r"\d+", token)) + pause


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
    words = _say(core, place._replace(mark=pause)) if core else ""
    if not words:
        return ""
    is_inside = token.lower() in STOPLESS or core.lower() in UNITS or core in SHORT_MONTHS or token in SHORTENED
    if pause == "." and (token in TITLES or (is_inside and re.match(r"[^\W_A-Z]", place.after))):
        return words
    return words + pause


def _say_ahead(token: str, place: Place) -> str | None:
    """What stands between or ahead of numbers: "No. 5", "~ 20", "USD 20", "10 x 15", "1 - 2"; None for anything else."""
    if token.lower() in BEFORE_NUMBER and place.after[:1].isdigit():
        return BEFORE_NUMBER[token.lower()]
    if coin_ahead(token, place.after, place.later) and not coin_behind(place.before, token, place.after):
        return ""  # said with the number
    if token.lower() in {"x", "-"} and re.match(r"\W?\d", place.after) and _is_measure(place.earlier, place.before):
        return "by" if token.lower() == "x" else "to"
    return None


def _is_measure(before: str, token: str) -> bool:
    """Whether a token ends a number or a measure: "10", "10cm", the second one of "10 cm"."""
    if re.search(r"\d\W*$", token) or (_is_amount(before) and is_unit(token, "x")):
        return True
    match = re.fullmatch(rf"(?:{NUMBER})(\D+)", token)
    return match is not None and match[1].lower() in UNITS


def _is_amount(token: str) -> bool:
    return bool(_AMOUNT.fullmatch(token.rstrip(".,!?")))


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
    if said := _say_money(core, place):
        return said
    if _is_amount(place.before):
        if is_unit(core, place.after) or (low == "in" and _is_inches(place)):
            return unit(low, one=place.before == "1" or is_attribute(place.earlier, place.after))
        if low in {"am", "pm"}:
            return low.upper()
    return _say_day(core, place) if core.isdigit() or _is_amount(place.after.rstrip(".,!?")) else ""


def _say_money(core: str, place: Place) -> str:
    """A number beside its coin, or a coin behind its number; "" for any other."""
    price = part_of(core)
    per = _per(core[len(price) + 1 :]) if price != core else ""
    if name := coin_behind(place.before, price, place.after):
        return say_amount(amount_of(place.before), name)[1] + per
    if amount_of(price) != price:
        return ""
    is_behind = coin_behind(place.earlier, place.before, core)
    if not is_behind and (name := coin_ahead(place.before, core, place.after)):
        return " ".join(say_amount(price, name)) + per
    if not per and not place.mark and (name := coin_behind(core, place.after, place.later)):
        return say_amount(core, name)[0]
    return ""


def _is_inches(place: Place) -> bool:
    """Whether "in" behind a number is a measure: at the end, behind feet, or as in "a 6 in screen"."""
    if place.mark or not place.after or place.earlier.lower().rstrip(".") in {"ft", "feet", "foot"}:
        return True
    return is_attribute(place.earlier, place.after) and place.after.lower() not in {"a", "an", "the", "one"}


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
    return (say_shape(amount, Place("", "", place.after)) or _say_mixed(amount)) + _per(rest)


def _per(what: str) -> str:
    name = {"mo": "month", "yr": "year", "wk": "week"}.get(what.lower(), UNITS.get(what.lower(), what))
    return f" per {name}"


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
