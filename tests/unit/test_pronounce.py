"""The user's pronunciations: whole words and phrases, in the voice alone; wrong ones are refused at the door."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.records import JobRecord
from errors import InvalidInput
from pipeline.catalog.base import find_pipeline, validate_payload
from pipeline.checkpoints import Known, cache_key
from pipeline.film.script import Scene, Word
from pipeline.providers.pronounce import LONGEST, entries_in, find, respelled, sent
from pipeline.providers.speech import apart, share, tokens_of
from pipeline.stage import find_stage, plan_steps

SOUNDS = {
    "Nova": "no-va",
    "Nova Flask Pro": "no-va flask",
    "US": "you ess",
    "box": "boks",
    "C++": "see plus plus",
    "Inc.": "incorporated",
}


def said(text: str, language: str = "en", sounds: dict[str, str] = SOUNDS) -> str:
    return " ".join(spoken for _, spoken in tokens_of(text, language, sounds) if spoken)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Meet Nova.", "Meet no-va."),
        ("(Nova), “Nova” *nova*!", "no-va, no-va no-va!"),
        ("Nova's lid, Nova\u2019s cap, two Novas", "no-va's lid, no-va's cap, two no-va's"),
        ("boxes or box's", "boks's or boks's"),
        ("Novartis innovates at nova.com", "Novartis innovates at nova dot com"),
        ("NOVA-branded, pre-Nova", "no-va branded, pre no-va"),
        ("Tell us about the US", "Tell us about the you ess"),
        ("The Nova Flask Pro's lid. Nova Flask is.", "The no-va flask's lid. no-va Flask is."),
        ("Nova Flask, Pro", "no-va Flask, Pro"),
        ("Nova — now, Nova™", "no-va, now, no-va"),
        ("It speaks C++. Lee Inc. is here", "It speaks see plus plus. Lee incorporated is here"),
        ("Nova for $29.99", "no-va for twenty nine dollars ninety nine"),
    ],
)
def test_an_entry_stands_for_whole_words(text: str, spoken: str) -> None:
    assert said(text) == spoken


def test_other_languages_have_it_too() -> None:
    assert said("Das ist „Nova“, neu.", "de") == "Das ist no-va, neu."
    assert said("नोवा है", "hi", {"नोवा": "नोव्हा"}) == "नोव्हा है"


def test_what_is_shown_stays_and_a_phrase_is_one_piece() -> None:
    text = "The Nova Flask Pro, by Nova."
    pairs = tokens_of(text, "en", SOUNDS)
    assert pairs[1] == ("Nova Flask Pro,", "no-va flask,")
    assert " ".join(shown for shown, _ in pairs) == text
    assert share(100, 220, ["Nova", "Flask", "Pro"]) == [(100, 140), (140, 190), (190, 220)]


def test_a_price_of_several_words_is_one_piece_unless_an_entry_is_in_it() -> None:
    text = "from EUR 1.299,00 on"
    assert tokens_of(text, "en")[1] == ("EUR 1.299,00", "one thousand two hundred ninety nine euros")
    assert tokens_of(text, "en", {"EUR": "yoo-ro"})[1:3] == [
        ("EUR", "yoo-ro"),
        ("1.299,00", "one thousand two hundred ninety nine euros"),
    ]


@pytest.mark.parametrize(
    ("tokens", "least", "edges"),
    [
        (["EUR", "1.299,00"], 0, [0, 300, 900]),
        (["€", "1.299,00"], 150, [0, 150, 900]),
        (["1", "299", "4"], 200, [0, 200, 700, 900]),
        (["a", "b", "abcdefgh"], 500, [0, 300, 600, 900]),
        (["—", "!"], 0, [0, 450, 900]),
    ],
)
def test_time_is_shared_by_letters_and_none_is_too_short(tokens: list[str], least: int, edges: list[int]) -> None:
    assert share(0, 900, tokens, least) == list(pairwise(edges))
    assert share(900, 900, tokens, least) == [(900, 900) for _ in tokens]


def test_the_words_of_a_phrase_come_apart() -> None:
    words = apart(Word(text="EUR 1.299,00", start=1.0, end=2.5))
    assert [(word.text, word.start, word.end) for word in words] == [("EUR", 1.0, 1.5), ("1.299,00", 1.5, 2.5)]
    one = Word(text="off", start=1.00004, end=2.0)
    assert apart(one) == (one,)


def test_a_vendor_is_sent_the_sounds_and_the_rest_as_it_is() -> None:
    assert sent("Meet  “Nova\u2019s”\nlid!", SOUNDS) == "Meet “no-va's” lid!"
    untouched = "No  such\nword, $5."
    assert sent(untouched, SOUNDS) is untouched
    assert respelled("The Nova Flask Pro.", SOUNDS) == [("The", "The"), ("Nova Flask Pro.", "no-va flask.")]


@given(st.text(), st.dictionaries(st.text("aAbB .'-", min_size=1, max_size=5).filter(str.strip), st.just("x")))
def test_nothing_shown_is_lost(text: str, sounds: dict[str, str]) -> None:
    tokens = text.split()
    pairs = respelled(text, sounds)
    assert [token for shown, _ in pairs for token in shown.split()] == tokens
    places = find(tokens, sounds)
    assert all(one.first + one.count <= two.first for one, two in pairwise(places))


def test_endless_tokens_cost_nothing() -> None:
    assert find(["-" * 20_000, "a." * 10_000, "Nova" + "-a" * LONGEST], SOUNDS) == []


# -- the door --------------------------------------------------------------------------------------------------------


def payload(**fields: Any) -> Any:
    return validate_payload(find_pipeline("product_video"), {"product_name": "Nova Flask"} | fields)


@pytest.mark.parametrize(
    ("sounds", "parts"),
    [
        ("no-va", ("pronounce='no-va'", "should be an object")),
        ([1], ("should be an object",)),
        ({"Nova": "n0va"}, ("'Nova' sounds like 'n0va'", "in letters", "'no-va'")),
        ({"Nova": "<b>"}, ("'<b>'",)),
        ({"Nova": ""}, ("''",)),
        ({"Nova": 5}, ("sounds like 5",)),
        ({"Nova": "a" * 81}, ("'Nova' sounds like",)),
        ({"—": "dash"}, ("the word '—'", "letter or digit")),
        ({"x" * 81: "long"}, ("1 to 80 signs",)),
        ({"Nova": "a", "NOVA": "b"}, ("'Nova' and 'NOVA' are the same word",)),
        ({str(number): "one" for number in range(51)}, ("51 entries", "at most 50")),
    ],
)
def test_a_wrong_entry_is_refused_in_one_sentence(sounds: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        payload(pronounce=sounds)
    sentence = str(caught.value)
    assert sentence.startswith("pronounce=")
    assert all(part in sentence for part in parts), sentence
    assert "\n" not in sentence
    assert len(sentence) < 300


def test_blanks_are_made_plain() -> None:
    assert payload(pronounce={"  Nova   Flask ": " no-va  flask "}).pronounce == {"Nova Flask": "no-va flask"}
    assert payload().pronounce == {}


# -- what is spoken anew ---------------------------------------------------------------------------------------------


def key_of(narration: str, sounds: dict[str, str]) -> str | None:
    stage, given = find_stage("voice_gen"), payload(pronounce=sounds)
    step = next(one for one in plan_steps(find_pipeline("product_video"), given) if one.name == "voice_gen")
    scene = Scene(index=0, kind="hero", narration=narration, headline="x")
    job = JobRecord("film", "product_video", "q", "acme", {}, {}, None, 1, 1, 0, 1, 0.0, "normal")
    return cache_key(job, given, stage, "1", "piper", scene, Known(), step)


def test_a_scene_is_spoken_anew_only_for_its_own_words() -> None:
    plain = key_of("Meet Nova.", {})
    assert plain is not None
    assert key_of("Meet Nova.", {"Flask": "flahsk"}) == plain
    assert key_of("Meet Nova.", {"Nova": "no-va", "Flask": "flahsk"}) == key_of("Meet Nova.", {"Nova": "no-va"})
    assert len({plain, key_of("Meet Nova.", {"Nova": "no-va"}), key_of("Meet Nova.", {"Nova": "noh-va"})}) == 3
    assert entries_in("Meet Nova Flask Pro.", SOUNDS) == {"Nova Flask Pro": "no-va flask"}
