"""What a feature is by its shape (a sentence, a verb, an adjective or a noun phrase), and how it becomes a sentence.

Word lists and endings, no model: a phrase that is not clearly one of them is said as it stands.
"""

from __future__ import annotations

import re
from enum import StrEnum

from pipeline.providers.lexicon import (
    ABSTRACT,
    ADJECTIVES,
    ADVERBS,
    AFTER,
    AUXILIARIES,
    BREAKS,
    CALLS,
    COMPOUNDS,
    CONJUNCTIONS,
    DETERMINERS,
    ENDINGS,
    FRAGMENTS,
    HOW,
    IDENTITIES,
    IRREGULAR,
    LINKS,
    LOOSE,
    MASS,
    MEASURE,
    MODELS,
    NOUN_ENDINGS,
    NOUNS,
    NOUNS_LIKE_ADJECTIVES,
    OBJECTS,
    ONE,
    ONE_NAMES,
    OPENERS,
    ORDERS,
    PLURALS,
    PREPOSITIONS,
    PROPER,
    RELATIVES,
    SERVICES,
    SETS,
    STAYS,
    SUBJECTS,
    UNITS,
    VERBS,
    WANTING,
    base_form,
    both,
    singular,
    third_person,
)
from pipeline.providers.prose import CLOSING, capital, is_latin

# A headline is cut to the first; to spare a cut it may have the second, and the third where it can end nowhere.
HEADLINE, UNCUT_HEADLINE, LONGEST_HEADLINE = 32, 42, 60


class Shape(StrEnum):
    """What a phrase is."""

    SENTENCE = "sentence"
    FRAGMENT = "fragment"  # said as it stands: "750ml", "with carry bag", and whatever is none of the others
    VERB = "verb"  # third person: "keeps drinks cold"
    ADJECTIVE = "adjective"
    IDENTITY = "identity"  # what the product is, not what it has: "set of 3", "perfect gift"
    STAYS = "stays"  # "24h cold"
    NOUN = "noun"


def shape(phrase: str) -> Shape:
    """What a cleaned phrase without its closing mark is."""
    words = phrase.lower().replace("\u2019", "'").replace(",", " ").split()
    if not words or not is_latin(phrase):
        return Shape.FRAGMENT
    first, last = words[0], words[-1]
    if _says(words):
        return Shape.VERB
    if last in STAYS and MEASURE.fullmatch(" ".join(words[:-1])):
        return Shape.STAYS
    if is_order(words):
        return Shape.SENTENCE
    if is_adjective(words):
        return Shape.ADJECTIVE
    if first not in FRAGMENTS and _is_sentence(words):
        return Shape.SENTENCE
    return Shape.FRAGMENT if _is_bare(phrase, words) else _thing(phrase, words)


def _thing(phrase: str, words: list[str]) -> Shape:
    """What the product is or has, if the phrase names it."""
    if head_of(phrase) in IDENTITIES or (words[0] in SETS and words[1:2] == ["of"]):
        return Shape.IDENTITY
    return Shape.NOUN if _is_noun(phrase, words) else Shape.FRAGMENT


def _is_bare(phrase: str, words: list[str]) -> bool:
    """Whether a phrase could be anything and stands alone best: "750ml", "With carry bag", "Battery: 10 hours"."""
    return bool(
        re.fullmatch(r"\d\S*(?: ?[a-z]{1,3})?", phrase.lower())
        or re.match(r"\S*\d ?%", phrase)
        or words[0] in FRAGMENTS
        or (words[0] in DETERMINERS and words[1:2] and words[1] in LINKS)
        or re.search(r"[:?!/=|]|[,.;] ", phrase)
        or {"or", "vs", "vs."} & set(words)
        or words[-1] in {"included", "required", "inside", "away"}
        or words[-1] in FRAGMENTS
    )


def _says(words: list[str]) -> bool:
    """Whether the words begin with a verb: "keeps drinks cold", but not "lights for night rides"."""
    first, rest = words[0], words[1:]
    if first in AUXILIARIES - {"are", "were", "have", "do", "don't", "it's"} and rest:
        return True
    if not third_person(first) or not rest:
        return False
    if not both(first):
        return True
    amount = len(rest) > 1 and rest[1][0].isdigit()
    return amount or not (rest[0] in PREPOSITIONS | LINKS | RELATIVES | AUXILIARIES or _acts(rest[0]))


def _acts(word: str) -> bool:
    """Whether a word is a verb and nothing else."""
    return word in VERBS and word not in NOUNS | MASS | ADJECTIVES


def _is_sentence(words: list[str]) -> bool:
    """Whether somebody does something in it: "your drinks stay cold", "lid opens with one hand", "children love it"."""
    first = words[0]
    if first in SUBJECTS:
        return True
    words = words[: _relative(words)]
    rest = words[1:]
    if AUXILIARIES & set(rest):
        return True
    if first in DETERMINERS:
        # One thing does not "start", it "starts": "a calm start" is a noun.
        return any((word in VERBS and first not in ONE) or _does(words, at) for at, word in enumerate(words[1:4], 1))
    return _does_together(words) or any(_does(words, at) for at in range(1, min(4, len(words))))


def _does(words: list[str], at: int) -> bool:
    """Whether a word tells what the one before it does: "lid opens", but not "free returns"."""
    before = words[at - 1]
    modifier = before in DETERMINERS | LINKS | PREPOSITIONS | OPENERS or before[:1].isdigit() or _adjective(before)
    return third_person(words[at]) and not both(words[at]) and (not modifier or (at > 1 and at == len(words) - 2))


def _does_together(words: list[str]) -> bool:
    """Whether several do something: "children love it", "dogs go wild"."""
    several = words[0] in IRREGULAR or (is_plural(words[0]) and not third_person(words[0]))
    return len(words) > 2 and several and words[1] in VERBS and words[1] not in NOUNS | MASS


def _is_noun(phrase: str, words: list[str]) -> bool:
    """Whether a phrase names a thing that a product can have; when in doubt it does not."""
    own = words[: _relative(words)]
    if (len(own) == len(words) and OBJECTS & set(words)) or (ADVERBS | CONJUNCTIONS - {"and", "as"}) & set(own):
        return False
    head = head_of(phrase)
    if head in UNITS or words[0] in OBJECTS:
        return False
    at = own.index(head) if head in own else len(own) - 1
    if words[0] in DETERMINERS:
        return len(words) > 1 or head in {"everything", "anything"}
    if {"and", "&", "+"} & set(own[: at + 1]):
        ends = [own[where - 1] for where in range(1, at + 1) if own[where] in {"and", "&", "+"}] + [head]
        return all(_is_mass(one) or is_plural(one) for one in ends)
    if at == 0:
        # "Pockets for keys", but perhaps "Morphs into a chair" and "Sign in with one tap".
        return (head in PLURALS or bool(singular(head)) or (_is_mass(head) and len(words) == 1)) and not both(head)
    if _numbered(own[at - 1 : at + 1]):
        return True
    return is_plural(head) or _is_mass(head) or _names_a_thing(head)


def _numbered(words: list[str]) -> bool:
    return len(words) == 2 and _is_mass(words[0]) and bool(re.fullmatch(r"[\d.]+", words[1]))


def _names_a_thing(word: str) -> bool:
    tail = word.rpartition("-")[2]
    return (
        word in NOUNS | SERVICES | {"fit", "feel"}
        or tail in NOUNS
        or tail in IDENTITIES
        or (word.endswith(NOUN_ENDINGS) and len(word) > 6)
    )


def _relative(words: list[str]) -> int:
    """Where a clause begins that tells more of the noun before it; the end of the words when none does."""
    return next((at for at, word in enumerate(words) if at and word in RELATIVES), len(words))


def is_order(words: list[str]) -> bool:
    """Whether the words tell the viewer to do something: "keep drinks cold", "never lose a key"."""
    first, rest = words[0], words[1:]
    if first == "no" or not rest:
        return False
    if first in {"never", "don't"} or (first in CALLS and rest[0] == "and" and len(rest) > 1 and rest[1] in CALLS):
        return True
    return (
        first in ORDERS and rest[0] not in LINKS - {"to", "for", "on", "with", "without"} and not third_person(rest[0])
    )


def is_adjective(words: list[str]) -> bool:
    """Whether the words describe: "leakproof", "dishwasher safe", "GDPR compliant", "light and durable"."""
    first, last = words[0], words[-1]
    if first == "for" and len(words) > 1:
        return True
    if len(words) > 1 and _comparative(first) and words[1] in {"than", "and"}:
        return True
    if len(words) > 1 and (_adjective(first) or first in OPENERS) and words[1] in LINKS:
        if first == "built" and _names_a_thing(last):  # "built in microphone"
            return False
        return first not in {"light", "cool", "power"} or words[1] in {"and", "enough", "as"}
    if first in DETERMINERS | FRAGMENTS - ADVERBS or OBJECTS & set(words) or _is_sentence(words):
        return False
    return _describes(words)


def _describes(words: list[str]) -> bool:
    """Whether the last words tell how something is: "machine washable", "super soft", "water resistant to 50 m"."""
    last = words[-1]
    if len(words) > 2 and words[2] in LINKS and _stands_behind(words[:2]):
        return True
    if len(words) > 4 or (len(words) > 1 and _acts(words[0])):
        return False
    if _stands_behind(words) or (_comparative(last) and last not in NOUNS):
        return True
    return _adjective(last) and (len(words) == 1 or last not in {"light", "hard", "natural", "big"})


def _stands_behind(words: list[str]) -> bool:
    """Whether the last word tells what the rest is about: "BPA free", "ISO 27001 certified"; not "delivery free"."""
    *about, last = words
    if len(about) == 1 and last.endswith("ing") and (about[-1] == "self" or (about[-1] in HOW and last not in MASS)):
        return True
    if about and last.endswith("ed") and about[-1].endswith("ly"):
        return True
    if last not in AFTER or not about or {"and", "or"} & set(about[:1]):
        return False
    if last == "free":
        return (
            (len(about) == 1 or about[-2] == "and") and about[-1] not in SERVICES | UNITS and about[-1] not in IRREGULAR
        )
    return not (is_plural(about[-1]) and about[-1] not in {"kids", "pets"} and last in {"approved", "tested", "ready"})


def _comparative(word: str) -> bool:
    """Whether a word compares: lighter, safer, thinner, easier."""
    if not word.endswith("er") or len(word) < 5:
        return False
    forms = {word[:-2], word[:-1], word[:-3], word[:-3] + "y"}
    return bool(forms & (ADJECTIVES | {"easy", "safe", "close", "loud", "long", "low", "high"}))


def _adjective(word: str) -> bool:
    _, dash, tail = word.rpartition("-")
    if word in ADJECTIVES or (dash and (tail in ADJECTIVES or tail in AFTER or tail.endswith("ed"))):
        return True
    return word.endswith(ENDINGS) and word not in NOUNS_LIKE_ADJECTIVES and len(word) > 5


def with_article(phrase: str) -> str:
    """A noun phrase with a or an when it needs one: "a leakproof lid", "steel walls", "USB-C charging"."""
    words = phrase.split()
    low = [word.lower().strip(",") for word in words]
    head = head_of(phrase)
    if low[0] in DETERMINERS | {"no", "zero", "up", "less", "fewer", "over"}:
        return phrase
    if "&" in low or "and" in low or "+" in low or ", " in phrase:
        return phrase
    if is_plural(head) or _is_mass(head) or (head.endswith("ing") and len(head) > 5) or not head[-1].isalpha():
        return phrase
    if re.fullmatch(r"\d[\d.,]*", low[0]) and len(low) == 1:
        return phrase
    return f"{'an' if _vowel(words[0]) else 'a'} {phrase}"


def head_of(phrase: str) -> str:
    """The noun a phrase is about: "lid with straw" -> lid, "beans roasted in Rome" -> beans."""
    low = [word.strip(",") for word in phrase.lower().split()]
    low = low[: _relative(low)]
    ends = (LINKS | PREPOSITIONS) - {"and", "or", "as", "up", "down", "off", "out", "inside", "outside", "less"}
    return next((low[at - 1] for at, word in enumerate(low) if at and (word in ends or _tells(low, at))), low[-1])


def _tells(words: list[str], at: int) -> bool:
    """Whether a participle tells what was done to the noun before it: "beans roasted", but not "extra padded straps"."""
    return words[at].endswith("ed") and (is_plural(words[at - 1]) or _is_mass(words[at - 1]))


def _is_mass(word: str) -> bool:
    abstract = word.endswith(ABSTRACT) and len(word) > 7 and word not in NOUNS | SERVICES
    return word in MASS or abstract or (word.endswith("ware") and word != "ware")


def is_plural(word: str) -> bool:
    """Whether a common noun is a plural by its ending."""
    return (
        word.endswith("s")
        and not word.endswith(("ss", "us", "is", "ous", "'s"))
        and word not in {"lens", "canvas", "gas", "series", "gps", "plus", "always", "yes", "atlas"}
        and len(word) > 3
    )


def plural_name(name: str) -> bool:
    """Whether a product's name speaks of several things (AirPods, Scissors Pro), so that it is They."""
    words = re.findall(r"[a-z]+(?:'s?)?|\d\S*", re.split(r" (?:with|for|by|from|in) ", name.lower())[0])
    while len(words) > 1 and (words[-1] in MODELS or words[-1][0].isdigit() or len(words[-1]) == 1):
        words.pop()
    last = words[-1] if words else ""
    compound = last.endswith(COMPOUNDS) and last != "highlights"
    return last in PLURALS or compound or (bool(singular(last)) and last not in ONE_NAMES and "'" not in last)


def plural_verb(phrase: str) -> str:
    """A verb phrase for several things: "keeps drinks cold" -> "keep drinks cold", also behind an "and" in it."""
    auxiliaries = {"doesn't": "don't", "isn't": "aren't", "is": "are", "has": "have", "does": "do", "was": "were"}
    words = phrase.split()
    words[:1] = [auxiliaries.get(word.lower(), word) for word in words[:1]]
    for at, word in enumerate(words):
        if (at == 0 or words[at - 1].lower() == "and" or words[at - 1].endswith(",")) and third_person(word.lower()):
            words[at] = base_form(word.lower())
    return " ".join(words)


def small(text: str) -> str:
    """The text with its first letter in lower case, unless the first word is a name or an abbreviation."""
    first = text.split(" ", 1)[0]
    plain = all(part.islower() or (len(part) > 1 and part[1:].islower()) for part in re.split(r"[-/']", first) if part)
    if first in PROPER or (not plain and first != "A"):
        return text
    return text[:1].lower() + text[1:]


def _vowel(word: str) -> bool:
    low = word.lower().lstrip("\"'(")
    if low[:1].isdigit():
        return bool(re.match(r"8|11(?!\d)|18(?!\d)|11,|18,", low))
    if word[:2].isupper() or (len(word) == 1 and word.isupper()) or re.match(r"[A-Z]-", word):
        return word[0] in "AEFHILMNORSX"
    if low.startswith(("uni", "use", "usa", "usb", "eu", "one", "once", "ut")) and not low.startswith("unin"):
        return False
    return low[:1] in "aeiou" or low.startswith(("hour", "honest", "heir"))


def short_headline(text: str) -> str:
    """At most HEADLINE characters of a phrase, cut where it can end: before "that", "with", "for" ...

    Where it can end nowhere: the whole of a phrase that is not much longer, else "".
    """
    text = capital(re.sub(r"^(?:it is|it's|this is) ", "", text.rstrip("?" + CLOSING), flags=re.IGNORECASE))
    if len(text) <= UNCUT_HEADLINE:
        return text
    words = text.split()
    fitting = [count for count in range(2, len(words)) if len(" ".join(words[:count])) <= HEADLINE]
    commas = [at for at in fitting if words[at - 1][-1] in ",;:"]
    breaks = [at for at in fitting if words[at].lower() in BREAKS or _is_told(words, at)]
    # The first comma, since a later one may stand inside a list; else the last word that opens a side remark.
    for at in (*commas, *reversed(breaks)):
        if _can_end(words[:at]):
            return " ".join(words[:at]).rstrip(",;:-")
    return text if len(text) <= LONGEST_HEADLINE else ""


def _is_told(words: list[str], at: int) -> bool:
    """Whether a word begins what is told of the thing before it: "bottle made for long days"."""
    before = words[at - 1].lower()
    return words[at].lower() in OPENERS and (is_plural(before) or _is_mass(before) or _names_a_thing(before))


def _can_end(words: list[str]) -> bool:
    """Whether a phrase says something by itself: not "The lid has", "One of 5" or "Smith likes"."""
    last = words[-1].lower().strip(",;:")
    if len(words) < 3 or last in {"people", "those", "everyone", "anyone"}:
        return False
    verb = (last in WANTING and not _names_a_thing(last) and last not in ADJECTIVES | MASS) or (
        third_person(last) and not both(last) and base_form(last) in WANTING
    )
    return not (verb or last in LOOSE | SUBJECTS | OBJECTS or last[-1:].isdigit() or last in CONJUNCTIONS)
