"""The payload's text made ready to be said: markup taken out, sentences told apart, each with the stop of its script."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import replace

from pipeline.providers.base import Brief
from pipeline.providers.lexicon import ABBREVIATIONS, DETERMINERS, SUBJECTS, TITLES, third_person

# -- what people paste from their shop -------------------------------------------------------------------------------

_UNSEEN = re.compile(r"<!--.*?-->|<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_BLOCK = re.compile(
    r"</?(?:p|br|hr|div|section|article|header|footer|h[1-6]|[uod]l|li|dt|dd|table|thead|tbody|tr|td|th|blockquote|pre)"
    r"\b[^<>]*>",
    re.IGNORECASE,
)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|big|center|cite|code|del|em|figure|figcaption|font|i|img|ins|kbd|label|mark|q|s|small|span|strike|"
    r"strong|sub|sup|svg|u|video|iframe|picture|source)\b[^<>]*>",
    re.IGNORECASE,
)
# Line by line: rules, heads, quotations, items of a list.
_RULE = re.compile(r"^[ \t]*(?:(?:[-*_=] ?){3,}|\|?[ :|-]*-{3,}[ :|-]*|`{3}\w*)[ \t]*$", re.MULTILINE)
_HEAD = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•·‣▪✓✔][ \t]+)+", re.MULTILINE)
_NUMBER = re.compile(r"^[ \t]*\d{1,2}[.)][ \t]+(?=\S)", re.MULTILINE)
_IMAGE, _LINK = re.compile(r"!\[[^\]\n]*\]\([^)\n]*\)"), re.compile(r"\[([^\]\n]+)\]\([^)\n]*\)")
_STRONG = re.compile(r"(\*\*\*?|__|~~)(?=\S)(.+?)(?<=\S)\1")
_SLANTED = re.compile(r"(?<![\w*_])([*_])(?=[^\s*_])([^\n]+?)(?<=[^\s*_])\1(?![\w*_])")


def plain(text: str) -> str:
    """Text without HTML and Markdown; what stood in a block or an item of its own stands in a line of its own."""
    text = re.sub(r"&(?:#\d+|#x[\da-f]+|[a-z]+\d*);", lambda found: html.unescape(found[0]), text, flags=re.IGNORECASE)
    text = _INLINE.sub("", _BLOCK.sub("\n", _UNSEEN.sub(" ", text)))
    text = _HEAD.sub("", _RULE.sub("", text))
    if "\n" in text.strip():
        text = _NUMBER.sub("", text)
    text = _LINK.sub(r"\1", _IMAGE.sub("", text))
    text = re.sub(r"`([^`\n]+)`", r"\1", text)
    return re.sub(r"\*{2,}", "", _SLANTED.sub(r"\2", _STRONG.sub(r"\2", text))).strip()


def without_markup(brief: Brief) -> Brief:
    """The brief in plain text."""
    return replace(
        brief,
        product_name=plain(brief.product_name),
        description=plain(brief.description),
        features=tuple(plain(text) for text in brief.features),
        cta_text=plain(brief.cta_text),
    )


# -- signs and capitals ----------------------------------------------------------------------------------------------


def clean(text: str) -> str:
    """Text without emoji, control signs and surplus space; capitals calmed down when it only shouts."""
    text = unicodedata.normalize("NFC", text)
    kept = "".join(
        " " if sign.isspace() else sign
        for sign in text
        if sign == "°"
        or unicodedata.category(sign) not in {"So", "Sk", "Cf", "Cc", "Cs", "Co", "Cn", "Me"}
        or sign.isspace()
    )
    # A lone sign is an ornament, but "10 - 15" is a span and "2 * 5" a product.
    kept = re.sub(r"(?<!\d) [-*•·|](?= )| [-*•·|](?= (?!\d))", " ", f" {' '.join(kept.split())} ")
    return " ".join(kept.split())


def calm(text: str) -> str:
    """A shouted phrase in sentence case; a short name such as USB or an ordinary phrase stays as it is."""
    letters = [sign for sign in text if sign.isalpha()]
    words = [word for word in text.split() if any(sign.isalpha() for sign in word)]
    if len(words) < 2 or sum(sign.isupper() for sign in letters) < 0.8 * len(letters):
        return text
    return capital(text.lower())


def capital(text: str) -> str:
    """The text with its first letter in upper case, unless its first word is a name such as iPhone."""
    first = text.split(" ", 1)[0]
    return text if re.match(r"[a-z]+[A-Z]", first) else text[:1].upper() + text[1:]


def is_latin(text: str) -> bool:
    """Whether a text is in Latin letters for the most part; figures alone are."""
    letters = [sign for sign in text if sign.isalpha()]
    latin = sum(unicodedata.name(sign, "").startswith("LATIN") for sign in letters)
    return 2 * latin >= len(letters)


# -- stops -----------------------------------------------------------------------------------------------------------

STOPS = ".!?…。！？｡।॥۔؟"  # noqa: RUF001
_COMMAS = " ,;:-、，；：،؛"  # noqa: RUF001
# Behind a phrase that is told in a frame, or stands on the screen.
CLOSING = ".!,;: 。！।۔"  # noqa: RUF001
_EAST = re.compile(r"[\u3005-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_HINDI = re.compile(r"[\u0900-\u097f]")
_ARABIC = re.compile(r"[\u0600-\u06ff]")
_URDU = re.compile(r"[ٹڈڑںےۓہھ]")


def ended(text: str, mark: str = ".") -> str:
    """The text with one closing mark: its own, or that of its script."""
    text = text.rstrip(_COMMAS)
    if text.rstrip("\"'”’»)]」』")[-1:] in tuple(STOPS):  # noqa: RUF001
        return text
    return text + _stop(text, mark)


def _stop(text: str, mark: str) -> str:
    if is_latin(text):
        return mark
    if _EAST.search(text):
        return "！" if mark == "!" else "。"  # noqa: RUF001
    if _HINDI.search(text):
        return "।"
    return "۔" if _URDU.search(text) else mark  # noqa: RUF001


def listed(texts: list[str], last: str) -> str:
    """Several phrases in one: "a, b, and c" with last="and", else with commas of their script only."""
    if last and len(texts) > 1:
        return ", ".join(texts[:-1]) + ("," if len(texts) > 2 else "") + f" {last} {texts[-1]}"
    whole = "".join(texts)
    if is_latin(whole):
        return ", ".join(texts)
    return ("、" if _EAST.search(whole) else "، " if _ARABIC.search(whole) else ", ").join(texts)


# -- sentences -------------------------------------------------------------------------------------------------------

LONGEST_WORDS, PART_WORDS, LEAST_WORDS = 45, 25, 5
_ENDS = re.compile(
    r"(?<=[.!?…])[\"')\]]*\s+|(?<=[a-z]{2}[.!?])(?=[A-Z][a-z]* )|(?<=[。！？｡।॥۔؟])[」』\"')\]]*\s*|\s*[\n\r;；]+\s*|\s+[—–]\s+"  # noqa: RUF001
)


def sentences(text: str) -> list[str]:
    """The sentences of a description, each with its closing mark; one without end is cut where its clauses meet."""
    found = []
    for part in _parts(text):
        sentence = calm(clean(part)).strip(" -,;:")
        if re.search(r"[^\W_]", sentence):
            found += _clauses(sentence)
    return found


def _parts(text: str) -> list[str]:
    """The text cut at its stops, but not behind "Dr." or "e.g."."""
    parts, start = [], 0
    for end in _ENDS.finditer(text):
        if not _goes_on(text[start : end.start()], text[end.end() :]):
            parts.append(text[start : end.start()])
            start = end.end()
    return [*parts, text[start:]]


def _goes_on(before: str, after: str) -> bool:
    """Whether a stop is part of an abbreviation, and the sentence goes on behind it."""
    word = before.rsplit(maxsplit=1)[-1].lower().lstrip("\"'([") if before.strip() else ""
    if not word.endswith(".") or not after or word.endswith(".."):
        return False
    bare, following = word[:-1], re.match(r"[\"'(\[]*(\w[\w']*)?", after)
    after_word = (following[1] or "") if following else ""
    if bare in TITLES or ("." in bare.rstrip(".") and not after_word[:1].isupper()):
        return True
    if bare in {"e.g", "i.e"}:
        return True
    if bare in {"no", "nr", "fig", "p", "art"}:
        return after_word[:1].isdigit()
    if bare in ABBREVIATIONS:
        # "Nova Inc. makes ...", but "Made by Nova Inc. It is light."
        return not (after_word[:1].isupper() and after_word.lower() in SUBJECTS | DETERMINERS | {"with", "in", "for"})
    return len(bare) == 1 and bare.isalpha() and after_word[:1].isupper() and bare != "i"


def _clauses(sentence: str) -> list[str]:
    """A sentence, or the clauses of one that would never end."""
    words = sentence.split()
    found: list[str] = []
    while len(words) > (PART_WORDS if found else LONGEST_WORDS):
        places = [(at, _cut(words, at)) for at in range(LEAST_WORDS, len(words) - 1)]
        places = [(at, worth) for at, worth in places if worth]
        near = [(worth, at) for at, worth in places if at <= PART_WORDS]
        if not places:
            break
        at = max(near)[1] if near else places[0][0]
        found.append(" ".join(words[:at]).rstrip(_COMMAS))
        words = words[at:]
        if words[0].lower() in {"and", "but"}:
            words = words[1:]
    return [*found, " ".join(words)] if not found else [ended(capital(one)) for one in (*found, " ".join(words))]


def _cut(words: list[str], at: int) -> int:
    """How well a sentence could end before a word: best behind a comma, where somebody does something next."""
    comma, joined = words[at - 1][-1] in ",;:", words[at].lower() in {"and", "but"}
    following = words[at + joined].lower().strip(",") if at + joined < len(words) else ""
    clause = following in SUBJECTS or third_person(following) or (comma and following in DETERMINERS)
    return (comma or joined) * (1 + comma + 2 * clause)
