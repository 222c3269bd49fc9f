"""Every writer sits this exam; the local one also proves that it brings no word of its own."""

from __future__ import annotations

import re
import string
from dataclasses import fields, replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import Interrupted, InvalidInput
from pipeline.film.script import Quote, Script, Stat, Style
from pipeline.providers import grammar, lexicon, prose, registry
from pipeline.providers.base import Brief, no_check
from pipeline.providers.closing import short_url
from pipeline.providers.local_writer import LocalWriter, film_seconds
from pipeline.providers.paid import NoLedger
from pipeline.providers.phrases import GLUE, STYLES, Phrases

FLASK = Brief(
    product_name="Nova Flask",
    description=(
        "A vacuum insulated steel bottle made for long days outside. The double wall keeps coffee hot on the way to "
        "work and water cold on the way home. It fits in every cup holder and slips into every bag. The lid opens with "
        "one hand, so the other one stays on the handlebar. Each bottle is pressed from a single sheet of steel. "
        "When you come home, the whole thing goes into the dishwasher."
    ),
    features=(
        "Keeps drinks cold for 24 hours",
        "Leakproof lid",
        "Dishwasher safe",
        "Made of recycled steel",
        "Easy-carry handle",
        "Fits in every cup holder",
        "Wide mouth for ice cubes",
        "750ml",
        "24h cold",
        "No plastic taste",
    ),
    cta_text="Buy Now",
    url="https://www.novaflask.com/shop?ref=film",
    price="$29.99",
    images=3,
)
STYLE_NAMES: tuple[Style, ...] = ("minimal", "bold", "elegant", "playful")
FORBIDDEN = {
    "best", "award", "awarded", "winning", "loved", "thousands", "millions", "free", "guaranteed", "guarantee", "new",
    "leading", "favorite", "rated", "stars", "reviews", "customers", "sale", "discount", "save", "cheap", "premium",
    "revolutionary", "perfect", "amazing", "trusted", "proven", "exclusive", "only", "limited", "first", "one",
}  # fmt: skip


def write(brief: Brief) -> Script:
    return registry.get("write", "local").write(brief, no_check, NoLedger())


def narration(script: Script) -> str:
    return " ".join(scene.narration for scene in script.scenes)


def words_of(text: str) -> set[str]:
    return {word.strip("'") for word in re.findall(r"[\w']+", text.casefold().replace("\u2019", "'"))}


def phrase_words() -> set[str]:
    found = set(GLUE)
    for style in STYLES.values():
        for field in fields(Phrases):
            value = getattr(style, field.name)
            for frame in (value,) if isinstance(value, str) else value:
                found |= words_of(re.sub(r"\{\w+\}('s)?", " ", frame))
    # The verbs of frames that begin with {it} also come in the form for several things.
    return found | {lexicon.base_form(word) for word in found} - {""}


def payload_words(brief: Brief) -> set[str]:
    return set().union(*(words_of(prose.clean(text)) for text in payload_text(brief)))


def test_the_phrases_claim_nothing() -> None:
    assert not phrase_words() & FORBIDDEN
    assert not any(any(sign.isdigit() for sign in word) for word in phrase_words())


SOME_TEXT = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [*FLASK.features, "KEEPS DRINKS HOT!!", "Works with Alexa", "Soft ear cushions", "BPA-free 🎉", "5 GB"]
    ),
    st.lists(
        st.sampled_from(
            [
                "keeps",
                "a",
                "lid",
                "cold",
                "24h",
                "and",
                "for",
                "it's",
                "Bluetooth",
                "5.3",
                "with",
                "steel",
                "no",
                "the",
                "safe",
            ]
        ),
        max_size=9,
    ).map(" ".join),
)
STATS = (
    Stat(value="10,000+", label="hikers"),
    Stat(value="4.8", label="of 5, by our customers", stars=5),
    Stat(value="30 %", label="less plastic!"),
)
QUOTES = (
    Quote(text="Best bottle I own", author="Mara K."),
    Quote(text="\u201cSimply brilliant.\u201d", stars=4),
    Quote(text="x" * 180),
)
BRIEFS = st.builds(
    Brief,
    product_name=st.one_of(
        st.sampled_from(["Nova Flask", "Sound Headphones", "x" * 75, "ÉCLAT 3"]),
        st.text(string.ascii_letters + string.digits + " .!-'", min_size=1, max_size=75).filter(
            lambda name: re.search(r"[A-Za-z0-9]", name)
        ),
    ),
    description=st.one_of(SOME_TEXT, st.lists(SOME_TEXT, max_size=6).map(". ".join)),
    features=st.lists(SOME_TEXT, max_size=14).map(tuple),
    stats=st.lists(st.sampled_from(STATS), max_size=2, unique=True).map(tuple),
    quotes=st.lists(st.sampled_from(QUOTES), max_size=2, unique=True).map(tuple),
    style=st.sampled_from(STYLE_NAMES),
    cta_text=st.one_of(st.sampled_from(["Buy Now", "SHOP THE SALE!", "Ready to go?", ""]), st.text(max_size=20)),
    url=st.sampled_from(["", "https://novaflask.com", "www.nova-flask.co.uk/a/b?c=1", "novaflask.com"]),
    price=st.sampled_from(["", "$29.99", "29,99 €", "from $9", "ask us"]),
    duration_seconds=st.floats(8, 90),
    language=st.sampled_from(["en", "en", "de"]),
    images=st.integers(0, 8),
    seed=st.integers(0, 10_000),
)


@settings(max_examples=150, deadline=None)
@given(BRIEFS)
def test_every_word_and_digit_comes_from_the_payload_or_the_phrases(brief: Brief) -> None:
    script = write(brief)
    payload = payload_words(prose.without_markup(brief))
    # "They keep ..." is the payload's "keeps" for a product that is several things.
    payload |= {grammar.plural_verb(word) for word in payload}
    spoken = words_of(narration(script))
    assert spoken <= payload | phrase_words()
    assert {word for word in spoken if any(sign.isdigit() for sign in word)} <= payload
    for scene in script.scenes:
        shown = words_of(" ".join([scene.headline, scene.kicker, *scene.lines]))
        assert shown <= payload | phrase_words()


@settings(max_examples=60, deadline=None)
@given(BRIEFS)
def test_every_scene_can_be_spoken_and_shown(brief: Brief) -> None:
    script = write(brief)
    kinds = [scene.kind for scene in script.scenes]
    assert (kinds[0], kinds[-1]) == ("hero", "cta")
    assert [scene.index for scene in script.scenes] == list(range(len(kinds)))
    for scene in script.scenes:
        assert re.search(r"\w", scene.narration), scene
        assert scene.narration == " ".join(scene.narration.split())
        assert scene.narration.rstrip("\u201d")[-1] in prose.STOPS, scene.narration
        assert "{" not in scene.narration or "{" in "".join(payload_text(brief))
        assert (scene.image is None) == (brief.images == 0 or scene.kind in {"stat", "quote"})
        assert scene.image is None or scene.image < brief.images
        if scene.kind == "benefit" and " " in scene.headline:
            assert len(scene.headline) <= grammar.LONGEST_HEADLINE


def payload_text(brief: Brief) -> tuple[str, ...]:
    given = [(stat.value, stat.label) for stat in brief.stats] + [(one.text, one.author) for one in brief.quotes]
    proofs = [text for pair in given for text in pair]
    return (brief.product_name, brief.description, *brief.features, *proofs, brief.cta_text, brief.url, brief.price)


@pytest.mark.parametrize("style", STYLE_NAMES)
@pytest.mark.parametrize("seconds", [15, 30, 60])
def test_a_film_with_enough_to_say_meets_its_duration(style: Style, seconds: float) -> None:
    for seed in range(5):
        script = write(replace(FLASK, style=style, duration_seconds=seconds, seed=seed))
        assert film_seconds(script) == pytest.approx(seconds, rel=0.15), narration(script)


def test_every_style_and_seed_says_it_differently() -> None:
    for brief in (FLASK, Brief(product_name="Nova Flask", cta_text="Buy Now")):
        texts = {
            narration(write(replace(brief, style=style, seed=seed))) for style, seed in product(STYLE_NAMES, (1, 2, 3))
        }
        assert len(texts) == 12


def test_proofs_are_shown_word_for_word_with_their_stars() -> None:
    brief = replace(FLASK, stats=STATS[:2], quotes=QUOTES[:1], duration_seconds=40)
    shown = {(one.kind, one.headline, one.lines, one.stars) for one in write(brief).scenes}
    assert {("stat", "10,000+", ("hikers",), 0), ("stat", "4.8", ("of 5, by our customers",), 5)} <= shown
    assert ("quote", "Best bottle I own", ("Mara K.",), 0) in shown
    assert "Mara K. says: Best bottle I own." in narration(write(brief))


def test_a_film_without_proofs_shows_none() -> None:
    assert not {"stat", "quote"} & {scene.kind for scene in write(FLASK).scenes}


def test_the_same_brief_gives_the_same_script() -> None:
    assert write(FLASK) == LocalWriter().write(FLASK, no_check)


def test_a_product_without_description_is_not_padded() -> None:
    script = write(Brief(product_name="Nova Flask", cta_text="Buy Now", duration_seconds=30))
    assert [scene.kind for scene in script.scenes] == ["hero", "cta"]
    assert film_seconds(script) < 10


def test_sentences_are_never_cut() -> None:
    for seconds in range(8, 60, 4):
        said = narration(write(replace(FLASK, duration_seconds=seconds)))
        for sentence in re.split(r"(?<=\.) ", FLASK.description):
            assert sentence in said or sentence[:25] not in said


@pytest.mark.parametrize(
    ("feature", "sentence"),
    [
        ("Keeps drinks cold for 24 hours", "It keeps drinks cold for 24 hours."),
        ("Keep drinks cold", "Keep drinks cold."),
        ("24h cold", "It stays cold for 24h."),
        ("DISHWASHER SAFE!!", "It's dishwasher safe."),
        ("Made of recycled steel 🌱", "It's made of recycled steel."),
        ("Charges in 45 minutes", "It charges in 45 minutes."),
        ("Doesn't leak", "It doesn't leak."),
        ("Set of 3", "It's a set of 3."),
        ("Your drinks stay cold.", "Your drinks stay cold."),
        ("Free shipping", "You get free shipping."),
        ("750ml", "750ml."),
        ("AAA batteries included", "AAA batteries included."),
        ("Subscribe and save 15%", "Subscribe and save 15%."),
        ("A dripper that pours itself", "It features a dripper that pours itself."),
        ("Straps you can adjust", "It features straps you can adjust."),
        ("A calm start to every day", "It features a calm start to every day."),
        ("A lid locks the steam in", "A lid locks the steam in."),
        ("What you see is what you get", "What you see is what you get."),
        ("integrates with Slack", "It integrates with Slack."),
        ("BPA free", "It's BPA free."),
        ("GDPR compliant", "It's GDPR compliant."),
        ("ISO 27001 certified", "It's ISO 27001 certified."),
        ("Water resistant to 50 m", "It's water resistant to 50 m."),
        ("cancel anytime", "Cancel anytime."),
        ("import from Excel", "Import from Excel."),
        ("if you love coffee", "If you love coffee."),
        ("children love it", "Children love it."),
        ("sole returns energy", "Sole returns energy."),
        ("under 400 g", "Under 400 g."),
        ("smiley works", "Smiley works."),
        ("really quite wide", "It's really quite wide."),
        ("USB-C", "USB-C."),
        ("SSO", "SSO."),
        ("99.9% uptime", "99.9% uptime."),
        ("zero drop", "Zero drop."),
        ("Up to 40 hours of playtime", "Up to 40 hours of playtime."),
        ("Battery lasts all day", "Battery lasts all day."),
        ("Lid is leakproof", "Lid is leakproof."),
        ("It's light", "It's light."),
        ("Have fun", "Have fun."),
        ("Built in microphone", "Built in microphone."),
        ("Lighter than steel", "It's lighter than steel."),
        ("Free returns", "You get free returns."),
        ("First month free", "First month free."),
        ("One of a kind", "One of a kind."),
        ("Two-factor authentication", "It features two-factor authentication."),
        ("20,000 mAh battery", "It features a 20,000 mAh battery."),
        ("\u064a\u062d\u0627\u0641\u0638 \u0639\u0644\u0649", "\u064a\u062d\u0627\u0641\u0638 \u0639\u0644\u0649."),
    ],
)
def test_a_feature_becomes_a_sentence_of_its_shape(feature: str, sentence: str) -> None:
    brief = Brief(product_name="Nova", features=(feature,), style="minimal", duration_seconds=15)
    assert [scene.narration for scene in write(brief).scenes if scene.kind == "benefit"] == [sentence]


@pytest.mark.parametrize("style", STYLE_NAMES)
def test_a_list_that_comes_first_is_not_also_there(style: str) -> None:
    features = ("hand-glazed stoneware that keeps coffee hot", "a dripper that pours itself", "beans roasted on order")
    for seed in range(6):
        brief = Brief(product_name="Nova", features=features, style=style, seed=seed, duration_seconds=9)
        script = write(brief)
        if "benefit" not in {scene.kind for scene in script.scenes}:
            assert not {"also", "more"} & set(narration(script).lower().split())


@pytest.mark.parametrize(
    "feature", ["No flicker", "Battery: 10 hours", "With carry bag", "Coffee, tea & cocoa", "750ml"]
)
def test_what_stands_alone_gets_no_link_word(feature: str) -> None:
    for style, seed in product(STYLE_NAMES, range(4)):
        brief = Brief("Nova", features=("A lid that you can open with one hand", feature), style=style, seed=seed)
        said = narration(write(replace(brief, duration_seconds=20)))
        assert feature.lower() in said.lower()
        assert not re.search(rf"\b(?:also|plus|top of that|what is more|and), {feature}\b", said, re.IGNORECASE)


def test_a_feature_that_is_said_as_it_stands_is_shown_too() -> None:
    shown = [scene.headline for scene in write(Brief("Nova", features=("Under 240 g",), duration_seconds=15)).scenes]
    assert "Under 240 g" in shown


def test_two_short_features_that_share_a_scene_are_both_shown() -> None:
    brief = Brief(
        "Nova Flask", features=("Vegan", "Foldable"), style="bold", duration_seconds=8, price="$9", url="nova.com"
    )
    shared = [scene for scene in write(brief).scenes if scene.kind == "features"]
    assert [scene.lines for scene in shared] == [("Vegan", "Foldable")]
    assert shared[0].headline


@pytest.mark.parametrize("seconds", [12, 20])
def test_few_features_are_told_even_if_the_film_is_a_little_longer(seconds: int) -> None:
    stats = (Stat(value="10,000+", label="hikers"),) if seconds == 12 else ()
    for style, seed in product(STYLE_NAMES, range(4)):
        features = FLASK.features[: 3 if seconds == 20 else 2]
        brief = replace(FLASK, features=features, stats=stats, style=style, seed=seed, duration_seconds=seconds)
        script = write(brief)
        shown = " ".join(f"{scene.headline} {scene.lines}" for scene in script.scenes)
        told = [feature for feature in brief.features if feature in shown]
        assert len(told) == len(features) if seconds == 20 else told, shown
        assert film_seconds(script) <= 1.15 * seconds


@pytest.mark.parametrize(
    ("price", "style", "sentence"),
    [
        ("from EUR 1.299,00", "bold", "The price? From EUR 1.299,00."),
        ("from $29", "minimal", "The price: from $29."),
        ("Price: $20", "minimal", "Price: $20."),
        ("50% off", "bold", "50% off."),
        ("2 for 1", "bold", "2 for 1."),
        ("now $20", "bold", "Now $20."),
        ("ask us", "playful", "Ask us!"),
    ],
)
def test_a_price_is_framed_only_when_it_is_an_amount(price: str, style: str, sentence: str) -> None:
    for seed in range(4):
        script = write(replace(FLASK, price=price, style=style, seed=seed))
        assert [scene.narration for scene in script.scenes if scene.kind == "price"] == [sentence]


@pytest.mark.parametrize("price", ["$9/month", "EUR 20", "29,99 \u20ac", "$9 per user"])
def test_an_amount_is_framed(price: str) -> None:
    said = next(scene.narration for scene in write(replace(FLASK, price=price)).scenes if scene.kind == "price")
    assert price in said
    assert said != f"{price}."


def test_a_call_with_a_number_is_a_sentence_of_its_own() -> None:
    for style, seed in product(STYLE_NAMES, range(4)):
        said = write(replace(FLASK, cta_text="Call 555 0199", style=style, seed=seed)).scenes[-1].narration
        assert re.match(r"Call 555 0199[.!]( |$)", said), said


@pytest.mark.parametrize("name", ["What is it?", "Nova!", "Nova Flask"])
def test_a_name_with_a_mark_has_no_second_one(name: str) -> None:
    for style, seed in product(STYLE_NAMES, range(8)):
        brief = Brief(name, style=style, seed=seed, cta_text="Buy now", openings=4)
        script = write(brief)
        for said in [scene.narration for scene in (*script.scenes, *script.openings)]:
            assert not re.search(r"[.!?,][.!?,]", said), said


@pytest.mark.parametrize(
    ("name", "several"),
    [
        ("AirPods", True),
        ("AirStep Running Shoes", True),
        ("Jeans", True),
        ("Kids' Bikes", True),
        ("Scissors Pro", True),
        ("Headphones Max 2", True),
        ("Shoes for Kids", True),
        ("Nova Flask", False),
        ("Nova Atlas", False),
        ("Philips Sonicare 2", False),
        ("Nova Lens Pro", False),
        ("Bike 3 Plus", False),
    ],
)
def test_a_name_says_whether_it_is_several_things(name: str, several: bool) -> None:
    assert grammar.plural_name(name) == several
    for style, seed in product(STYLE_NAMES, range(8)):
        brief = Brief(name, style=style, seed=seed, cta_text="Buy now", openings=7 if style != "minimal" else 4)
        script = write(brief)
        said = " ".join(scene.narration for scene in (*script.scenes, *script.openings))
        wrong = (
            r"\b([Tt]his is|[Tt]hat's (?!all)|[Tt]hat is|It's|Here comes|Here's)\b"
            if several
            else r"\b([Tt]hese|[Tt]hose|come) "
        )
        assert not re.search(wrong, said), said


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Loved by Dr. Smith and Mr. Jones. It is light.", ["Loved by Dr. Smith and Mr. Jones.", "It is light."]),
        ("Weighs approx. 3 kg vs. 5 kg, e.g. wet.", ["Weighs approx. 3 kg vs. 5 kg, e.g. wet."]),
        ("By Nova Inc. and Acme Ltd. It is light.", ["By Nova Inc. and Acme Ltd.", "It is light."]),
        ("The No. 1 in St. Moritz. No. It is not.", ["The No. 1 in St. Moritz.", "No.", "It is not."]),
        ("No plastic. vacuum walls.", ["No plastic.", "vacuum walls."]),
        ("A great bottle.It is light.", ["A great bottle.", "It is light."]),
        ("\u8efd\u3044\u3002\u5f37\u3044\uff01", ["\u8efd\u3044\u3002", "\u5f37\u3044\uff01"]),
    ],
)
def test_a_description_is_cut_at_its_stops(text: str, sentences: list[str]) -> None:
    assert prose.sentences(text) == sentences


def test_a_stop_is_followed_by_a_capital_unless_the_word_is_a_name() -> None:
    said = narration(write(Brief("Nova", "No plastic. vacuum walls. iPhone fans love it.", duration_seconds=20)))
    assert "No plastic. Vacuum walls. iPhone fans love it." in said


def test_a_description_without_stops_is_told_clause_by_clause() -> None:
    clause = "the lid opens with one hand and the steel is recycled by people who like steel"
    text = f"It keeps coffee hot for the whole day, {', '.join([clause] * 8)}"
    parts = prose.sentences(text)
    assert len(text.split()) > 120
    assert parts[0].startswith("It keeps coffee hot for the whole day")
    assert all(len(part.split()) <= 25 and part.endswith(".") for part in parts)
    assert "It keeps coffee hot for the whole day" in narration(write(Brief("Nova", text, duration_seconds=20)))


@pytest.mark.parametrize(
    ("pasted", "plain"),
    [
        ("<p>Great <b>bottle</b> &amp; lid</p>", "Great bottle & lid"),
        ("<ul><li>Cold</li><li>Light</li></ul>", "Cold\n\nLight"),
        ("One<br/>two", "One\ntwo"),
        ("&lt;p&gt;Hi&lt;/p&gt;", "Hi"),
        ("<style>p {color: red}</style>Hi <!-- no -->", "Hi"),
        ("**bold**, *slanted*, __strong__, `code`", "bold, slanted, strong, code"),
        ("# head\ntext", "head\ntext"),
        ("- item\n- item", "item\nitem"),
        ("1. first\n2. second", "first\nsecond"),
        ("[text](https://nova.com/x) here", "text here"),
        ("I <3 you, 4 < 5, 2 * 3 * 4, snake_case_name, AT&T", "I <3 you, 4 < 5, 2 * 3 * 4, snake_case_name, AT&T"),
    ],
)
def test_pasted_markup_is_taken_out(pasted: str, plain: str) -> None:
    assert prose.plain(pasted) == plain


def test_no_markup_is_said_or_shown() -> None:
    script = write(
        Brief(
            "<b>Nova</b> Flask",
            "<h2>Cold</h2><p>Keeps *everything* cold.</p>",
            ("**Leakproof** lid", "<li>Dishwasher safe</li>"),
            cta_text="**Buy** now",
            url="nova.com",
        )
    )
    said = " ".join(f"{one.narration} {one.headline} {one.kicker} {one.lines}" for one in script.scenes)
    assert not re.search(r"[<>*#]|\bli\b", said)
    assert "It keeps everything cold." in narration(script)
    assert script.scenes[-1].headline == "Buy now"


@pytest.mark.parametrize(
    ("language", "name", "feature", "said"),
    [
        ("ja", "\u30ce\u30f4\u30a1", "\u8efd\u3044", "\u30ce\u30f4\u30a1\u3002 \u8efd\u3044\u3002"),
        ("zh", "\u65b0\u661f", "\u5f88\u8f7b\uff01", "\u65b0\u661f\u3002 \u5f88\u8f7b\u3002"),
        ("hi", "\u0928\u094b\u0935\u093e", "\u0939\u0932\u094d\u0915\u0940", "\u0928\u094b\u0935\u093e\u0964 \u0939\u0932\u094d\u0915\u0940\u0964"),
        ("ar", "\u0646\u0648\u0641\u0627", "\u062e\u0641\u064a\u0641", "\u0646\u0648\u0641\u0627. \u062e\u0641\u064a\u0641."),
        ("ur", "\u0679\u06cc\u0645", "\u06c1\u0644\u06a9\u06cc \u06c1\u06d2", "\u0679\u06cc\u0645\u06d4 \u06c1\u0644\u06a9\u06cc \u06c1\u06d2\u06d4"),
    ],
)  # fmt: skip
def test_a_script_has_stops_of_its_own(language: str, name: str, feature: str, said: str) -> None:
    brief = Brief(name, features=(feature,), language=language, cta_text=f"{name}\uff01" if language == "ja" else "")
    assert narration(write(brief)).startswith(said)
    assert "\uff01." not in narration(write(brief))
    assert "\uff01\u3002" not in narration(write(brief))


@pytest.mark.parametrize(
    ("phrase", "with_article"),
    [
        ("leakproof lid", "a leakproof lid"),
        ("adjustable strap", "an adjustable strap"),
        ("LED display", "an LED display"),
        ("USB-C port", "a USB-C port"),
        ("8-hour battery", "an 8-hour battery"),
        ("two side pockets", "two side pockets"),
        ("wireless charging", "wireless charging"),
        ("lid with straw", "a lid with straw"),
        ("hand-glazed stoneware that keeps coffee hot", "hand-glazed stoneware that keeps coffee hot"),
        ("leather that ages well", "leather that ages well"),
        ("beans roasted the week you order", "beans roasted the week you order"),
        ("extra padded strap", "an extra padded strap"),
        ("everything you need", "everything you need"),
    ],
)
def test_a_noun_gets_the_article_it_needs(phrase: str, with_article: str) -> None:
    assert grammar.with_article(phrase) == with_article


def test_several_things_are_they() -> None:
    brief = Brief(
        product_name="Nova Headphones", features=("Connects and charges fast", "Foldable"), duration_seconds=15
    )
    said = narration(write(brief))
    assert "They connect and charge fast." in said
    assert "They're foldable" in said or "they're foldable" in said


def test_shouting_is_calmed_in_speech_but_shown_as_given() -> None:
    script = write(replace(FLASK, cta_text="SHOP THE SALE!"))
    assert script.scenes[-1].headline == "SHOP THE SALE!"
    assert "Shop the sale" in script.scenes[-1].narration


def test_another_language_hears_its_own_words_only() -> None:
    brief = Brief(
        "Nova", "Hält 24 Stunden kalt.", ("Auslaufsicher",), cta_text="Jetzt kaufen", language="de", duration_seconds=15
    )
    assert narration(write(brief)) == "Nova. Hält 24 Stunden kalt. Auslaufsicher. Nova. Jetzt kaufen."


def test_headlines_end_where_a_phrase_can_end() -> None:
    assert (
        grammar.short_headline("A vacuum insulated steel bottle made for long days outside.")
        == "A vacuum insulated steel bottle"
    )
    assert grammar.short_headline("Leakproof lid") == "Leakproof lid"
    assert grammar.short_headline("Keeps every single drop where it belongs all day") == "Keeps every single drop"
    whole = "Smith likes to have it with breakfast in the morning"
    assert grammar.short_headline(whole) == whole
    assert not grammar.short_headline(f"{whole}, and in the evening his whole family drinks from it")
    assert short_url("https://www.novaflask.com/shop?x=1") == "novaflask.com"


def test_a_name_without_letters_is_refused() -> None:
    with pytest.raises(InvalidInput, match="product_name"):
        write(Brief(product_name="🎉 !!"))


def test_a_stopped_worker_stops_the_writer() -> None:
    def stop() -> None:
        raise Interrupted("shutdown")

    with pytest.raises(Interrupted):
        LocalWriter().write(FLASK, stop)


def test_what_there_is_no_time_for_is_said() -> None:
    features = tuple(f"A strap made for carrying number {number} everywhere" for number in range(8))
    short = write(Brief(product_name="Nova", features=features, duration_seconds=12))
    told = narration(short).lower()
    assert short.left_out
    assert all((feature.lower()[2:] in told) != (feature in short.left_out) for feature in features)
    assert write(Brief(product_name="Nova", features=features[:1], duration_seconds=20)).left_out == ()


def test_a_short_sentence_is_its_own_headline() -> None:
    scenes = write(Brief(product_name="Nova", description="Children love it.", duration_seconds=12)).scenes
    assert "Children love it" in {scene.headline.rstrip(".") for scene in scenes}
