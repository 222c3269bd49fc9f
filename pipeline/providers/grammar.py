"""What a feature is by its shape (a sentence, a verb, an adjective or a noun phrase), and how it becomes a sentence.

Word lists and endings, no model: when in doubt a phrase counts as a noun, because "You get ..." is never wrong.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS = _words("""
absorb adapt add adjust allow attach automate balance bend block blend boost brew bring build calm capture carry catch
charge clean clip close collapse combine come comfort connect control convert cook cool cost cover cut deliver detect dim display
do drain dry ease eliminate enable enhance expand extend feature feed feel fight fill filter find fit fix float fold
follow freshen fuel fully get give glide glow go grip grow handle hang have heat help hide hold hydrate improve include
install juggle keep kill last learn leave let lift light lock look make maintain measure melt mix monitor mount move
neutralize nourish offer open organize pack pair pass pause perform play plug pour power preserve prevent produce protect
provide purify put rain reach read recharge record recycle reduce refresh regulate relax release relieve remain remember
remind remove repair repel replace resist resist respond rest restore ride ring rinse roll rotate run save scan seal sense
separate serve set shape sharpen ship show shut simplify sing sit sleep slice slide slip smell smooth soften soothe sound
spin spray stack stand start stay step stick stop store stream strengthen stretch suit support survive sweep swing switch
sync take taste tell thank tilt top track train transform translate travel treat trim tune turn unlock update use vibrate
wake warm wash watch wear weigh whisk wipe withstand work wrap write zip
""")
# Verbs that no product's feature would use as a noun in the first place: "Keep drinks cold" is an order.
ORDERS = _words("""
add adjust attach bring carry choose connect convert create customize discover enjoy explore feel find get give
go grab have hide hold improve keep learn let listen make mix never organize prepare protect put reduce relax remove save
see send share sleep start stay stop store take taste transform try turn use wear work
""")
CALLS = ORDERS | _words("""
book browse buy call claim come download join order pick pre-order preorder request reserve see shop sign subscribe
visit watch
""")
ADJECTIVES = _words("""
adjustable aromatic beautiful big biodegradable breathable bright calm clean cold comfortable compact compatible compostable
cool cordless cozy crisp crunchy dry durable eco-friendly elegant ergonomic fast firm flat flexible foldable fragrant
fresh gentle gluten-free handmade handcrafted handy hard heavy hot hypoallergenic insulated juicy leakproof light
lightweight long-lasting loud machine-washable moist natural odorless odourless organic packable plush portable powerful
pure quick quiet ready rechargeable recyclable reliable removable reusable rich rugged safe scented silent simple slim
slippery small smart smooth soft solid spacious spicy spill-proof stackable stainless stretchy strong sturdy stylish sweet
tasty thick thin tiny tough unscented vegan versatile warm washable waterproof water-resistant resistant friendly weatherproof windproof
wireless
""")
# First words of an adjective phrase: "made of steel", "easy to clean", "ideal for camping".
OPENERS = _words("""
approved assembled available backed built certified compatible crafted cut designed dressed easy engineered finished free
gentle good great grown handcrafted handmade hand-made ideal inspired lined loaded made packed perfect powered printed
ready roasted safe sewn shaped sized soft suitable tested treated woven
""")
LINKS = _words("to for of in from with by on and or at as enough on when without under over through")
ENDINGS = ("proof", "-free", "less", "-friendly", "-resistant", "-safe", "-ready", "able", "ible", "ous", "-certified")
NOUNS_LIKE_ADJECTIVES = _words("table cable timetable vegetable wellness stainless fable syllable variable consumable")
# Plural nouns that are also verbs: "Lights for the bike" lights nothing, "Works with Alexa" works.
BOTH = _words("""
blends boosts charges clips controls covers cuts displays features feeds filters grips handles heats hides holds lights
locks looks measures mixes mounts moves packs pairs plugs powers rings rinses rolls scans seals sets shapes shows slices
slips sounds sprays stacks stands sticks stores streams supports sweeps switches tops tracks travels treats turns washes
watches wipes wraps zips
""")
# Words that keep their capital inside a sentence.
PROPER = _words("""
Alexa American Android Apple Australian Belgian Bluetooth British Canadian Chinese Danish Dutch Egyptian English European
French German Google Icelandic Indian Irish Italian Japanese Korean Mexican Nordic Norwegian Portuguese Scandinavian
Scottish Spanish Swedish Swiss Turkish Type Wi-Fi Windows
""")
STAYS = frozenset({"cold", "hot", "warm", "cool", "fresh", "dry"})
MASS = _words("""
access aluminum aluminium assistance audio bamboo brass bluetooth canvas care ceramic charging cleaning comfort copper
cotton coffee control cushioning delivery denim durability energy fabric fleece foam glass gold grip hair installation
insulation leather light lighting linen memory mesh metal music navigation noise nylon oak packaging paper performance plastic
polyester power privacy protection quality rubber safety security setup shipping silicone silk silver skin life sound space
steel storage suede support tea technology titanium tracking ventilation video walnut water waterproofing wax wi-fi wifi
wood wool wiring
""")
PLURALS = _words("""
batteries blinds boots bottles bowls boxes brushes candles cards chairs chips cleats clogs cookies cups curtains dumbbells
earbuds earphones earrings flats flowers frames glasses gloves goggles gummies headphones heels jeans joggers knives
leggings lights loafers mats mittens mugs overalls pajamas pans pants pearls pencils pens pillows plates pods pots
sandals scissors sheets shoes shorts skates skis slippers snacks sneakers socks speakers stickers sunglasses supplements
tights tiles tires tools towels toys trainers trousers tweezers underpants vitamins weights wipes
""")
DETERMINERS = _words(
    "up less more fewer over a an the your our their its his her this that these those every each all no one both "
    "everything anything something nothing"
)
ONE = _words("a an another each every one")
# What comes after these tells more of the noun before them: "a dripper that pours itself", "straps you can adjust".
RELATIVES = _words("that which who whose you we they")
QUESTIONS = _words("what how when where why who whatever whenever wherever")
SUBJECTS = _words("it this these they we you i there that")
AUXILIARIES = _words("is are was were has have had can will won't can't does do don't doesn't isn't aren't it's")
MEASURE = re.compile(r"\d[\d.,]*\s?-?(?:h|hrs?|hours?|min|mins|minutes?|days?|weeks?)", re.IGNORECASE)


BREAKS = _words("that which who with for and to in from of on by when while so at or through")
LOOSE = BREAKS | DETERMINERS | AUXILIARIES | _words("it you they")
HEADLINE = 32
FRAGMENTS = _words("with without from in on by no plus great it's you'll they're we're")
IDENTITIES = _words("addition alternative choice companion gift partner present solution")
# What a seller does, and no product has: "You get free shipping".
SERVICES = _words("delivery guarantee installation refund refunds returns setup shipping support trial warranty")
SETS = _words("bundle collection kit pack pair set")


class Shape(StrEnum):
    """What a phrase is."""

    SENTENCE = "sentence"
    VERB = "verb"  # third person: "keeps drinks cold"
    ADJECTIVE = "adjective"
    IDENTITY = "identity"  # what the product is, not what it has: "set of 3", "perfect gift"
    STAYS = "stays"  # "24h cold"
    NOUN = "noun"


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
    return " ".join(word for word in kept.split() if word not in {"-", "*", "•", "·", "|"})


def calm(text: str) -> str:
    """A shouted phrase in sentence case; a short name such as USB or an ordinary phrase stays as it is."""
    letters = [sign for sign in text if sign.isalpha()]
    words = [word for word in text.split() if any(sign.isalpha() for sign in word)]
    if len(words) < 2 or sum(sign.isupper() for sign in letters) < 0.8 * len(letters):
        return text
    return capital(text.lower())


def capital(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def small(text: str) -> str:
    """The text with its first letter in lower case, unless the first word is a name or an abbreviation."""
    first = text.split(" ", 1)[0]
    plain = all(part.islower() or (len(part) > 1 and part[1:].islower()) for part in re.split(r"[-/']", first) if part)
    if first in PROPER or (not plain and first != "A"):
        return text
    return text[:1].lower() + text[1:]


def sentences(text: str) -> list[str]:
    """The sentences of a description, each with its closing mark; none is cut inside."""
    found = []
    for part in re.split(r"(?<=[.!?…])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9À-Þ])|\s*[\n\r;]+\s*|\s+[—–]\s+", text):  # noqa: RUF001
        sentence = calm(clean(part)).strip(" -,;:")
        if re.search(r"[^\W_]", sentence):
            found.append(sentence)
    return found


def ended(text: str, mark: str = ".") -> str:
    """The text with one closing mark."""
    text = text.rstrip(" ,;:-")
    return text if text[-1:] in {".", "!", "?"} else text + mark


def shape(phrase: str) -> Shape:
    """What a cleaned phrase without its closing mark is."""
    words = phrase.lower().replace(",", " ").split()
    if not words:
        return Shape.NOUN
    first, last = words[0], words[-1]
    if first in AUXILIARIES or _says(words):
        return Shape.VERB
    if last in STAYS and MEASURE.fullmatch(" ".join(words[:-1])):
        return Shape.STAYS
    order = is_order(words)
    if not order and is_adjective(words):
        return Shape.ADJECTIVE
    # What is neither is said as it stands when it could be anything: "750ml", "With carry bag", "Battery: 10 hours".
    bare = (
        re.fullmatch(r"\d\S*(?: ?[a-z]{1,3})?", phrase.lower())
        or first in FRAGMENTS
        or ":" in phrase
        or "," in phrase
        or "or" in words
        or last in {"included", "required", "inside"}
    )
    if bare or order or _is_sentence(words):
        return Shape.SENTENCE
    if head_of(phrase) in IDENTITIES or (first in SETS and words[1:2] == ["of"]):
        return Shape.IDENTITY
    return Shape.NOUN


def _says(words: list[str]) -> bool:
    """Whether the words begin with a verb: "keeps drinks cold", but not "lights for night rides"."""
    first, rest = words[0], words[1:]
    if not third_person(first) or not rest:
        return False
    amount = len(rest) > 1 and rest[1][0].isdigit()
    return amount or first not in BOTH or rest[0] not in {"and", "of", "for", "with", "in", "to"}


def _is_sentence(words: list[str]) -> bool:
    """Whether somebody does something in it: "your drinks stay cold", "lid opens with one hand"."""
    first = words[0]
    if first in SUBJECTS | QUESTIONS:
        return True
    words = words[: _relative(words)]
    rest = words[1:]
    if AUXILIARIES & set(rest):
        return True
    if first in DETERMINERS:
        # One thing does not "start", it "starts": "a calm start" is a noun.
        return any((word in VERBS and first not in ONE) or third_person(word) for word in rest[1:3])
    return len(words) > 2 and third_person(rest[0]) and rest[0] not in BOTH


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


def third_person(word: str) -> bool:
    """Whether a word is a known verb in its third person: keeps, carries, washes."""
    return word not in VERBS and base_form(word) in VERBS


def base_form(word: str) -> str:
    """The verb itself: keeps -> keep, carries -> carry, washes -> wash, has -> have, does -> do."""
    if word == "has":
        return "have"
    if not word.endswith("s") or word.endswith("ss"):
        return ""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith("es") and word[:-2] in VERBS:
        return word[:-2]
    return word[:-1]


def is_adjective(words: list[str]) -> bool:
    """Whether the words describe: "leakproof", "dishwasher safe", "easy to clean", "light and durable"."""
    first, last = words[0], words[-1]
    if first == "for" and len(words) > 1:
        return True
    if len(words) > 1 and (_adjective(first) or first in OPENERS) and words[1] in LINKS:
        return first not in {"light", "cool", "power"} or words[1] in {"and", "enough", "as"}
    if first in DETERMINERS:
        return False
    return len(words) <= 4 and _adjective(last) and (len(words) == 1 or last not in {"light", "hard", "natural", "big"})


def _adjective(word: str) -> bool:
    _, dash, tail = word.rpartition("-")
    if word in ADJECTIVES or (dash and (tail in ADJECTIVES or tail.endswith("ed"))):
        return True
    return word.endswith(ENDINGS) and word not in NOUNS_LIKE_ADJECTIVES and len(word) > 5


def with_article(phrase: str) -> str:
    """A noun phrase with a or an when it needs one: "a leakproof lid", "steel walls", "USB-C charging"."""
    words = phrase.split()
    low = [word.lower().strip(",") for word in words]
    head = head_of(phrase)
    if low[0] in DETERMINERS or "&" in low or "and" in low or "+" in low or "," in phrase:
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
    ends = LINKS - {"and", "or", "as"}
    return next((low[at - 1] for at, word in enumerate(low) if at and (word in ends or _tells(low, at))), low[-1])


def _tells(words: list[str], at: int) -> bool:
    """Whether a participle tells what was done to the noun before it: "beans roasted", but not "extra padded straps"."""
    return words[at].endswith("ed") and (is_plural(words[at - 1]) or _is_mass(words[at - 1]))


def _is_mass(word: str) -> bool:
    return word in MASS or (word.endswith("ware") and word != "ware")


def is_plural(word: str) -> bool:
    """Whether a common noun is a plural by its ending."""
    return (
        word.endswith("s")
        and not word.endswith(("ss", "us", "is", "ous"))
        and word not in {"lens", "canvas", "gas", "series"}
    )


def plural_name(name: str) -> bool:
    """Whether a product's name speaks of several things (Nova Headphones), so that it is They."""
    words = re.findall(r"[a-z]+", name.lower().split(" with ")[0].split(" for ")[0])
    return bool(words) and words[-1] in PLURALS


def plural_verb(phrase: str) -> str:
    """A verb phrase for several things: "keeps drinks cold" -> "keep drinks cold", also behind an "and" in it."""
    auxiliaries = {"doesn't": "don't", "isn't": "aren't", "is": "are", "has": "have", "does": "do"}
    words = phrase.split()
    words[:1] = [auxiliaries.get(word.lower(), word) for word in words[:1]]
    for at, word in enumerate(words):
        if (at == 0 or words[at - 1].lower() == "and" or words[at - 1].endswith(",")) and third_person(word.lower()):
            words[at] = base_form(word.lower())
    return " ".join(words)


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
    """At most HEADLINE characters of a phrase, cut where it can end: before "that", "with", "for" ..."""
    text = capital(re.sub(r"^(?:it is|it's|this is) ", "", text.rstrip(".!?,;: "), flags=re.IGNORECASE))
    if len(text) <= HEADLINE:
        return text
    words = text.split()
    fitting = [count for count in range(1, len(words)) if len(" ".join(words[:count])) <= HEADLINE]
    commas = [at for at in fitting if at > 1 and words[at - 1][-1] in ",;:"]
    breaks = [at for at in fitting if at > 1 and words[at].lower() in BREAKS]
    # The first comma, since a later one may stand inside a list; else the last word that opens a side remark.
    kept = words[: commas[0] if commas else (breaks or fitting or [1])[-1]]
    while len(kept) > 1 and (kept[-1].lower().strip(",") in LOOSE or kept[-1][-1].isdigit()):
        kept.pop()
    return " ".join(kept).rstrip(",;:-")[: 2 * HEADLINE]
