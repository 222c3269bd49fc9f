"""Text: escaping, fitting, paging, and where the plan puts it. No pictures are made here."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.film import ass, captions, fonts
from pipeline.film.layout import STAGES, Rect, clean, fit
from pipeline.film.plan import plan, schedule
from pipeline.film.render_job import RenderJob, SceneInput
from pipeline.film.script import Scene, Word
from pipeline.film.themes import THEMES

HERO_NAME = "The Extraordinarily Long Product Name With Seventy Five Letters In It, Yes!"


def words(text: str, seconds: float = 3.0) -> tuple[Word, ...]:
    parts = text.split()
    step = seconds / len(parts)
    return tuple(Word(text=part, start=at * step, end=(at + 1) * step - 0.02) for at, part in enumerate(parts))


def job(**changes: object) -> RenderJob:
    kinds = (("hero", "Nova Flask", ()), ("features", "Every day", ("Steel", "Leak-proof")), ("cta", "Nova Flask", ()))
    scenes = tuple(
        SceneInput(
            scene=Scene(index=at, kind=kind, narration="One two three.", headline=head, lines=lines),
            audio_path=Path(f"/voice{at}.wav"),
            duration_seconds=3.0,
            words=words("Meet the new flask, today."),
        )
        for at, (kind, head, lines) in enumerate(kinds)
    )
    values: dict[str, object] = {
        "product_name": "Nova Flask",
        "cta_text": "Buy Now",
        "url": "nova.example",
        "scenes": scenes,
        "output": Path("/out.mp4"),
        "work_dir": Path("/work"),
    }
    return RenderJob.model_validate(values | changes)


@given(st.text())
def test_escaped_text_holds_no_command_of_ass(text: str) -> None:
    safe = ass.esc(text)
    assert not set(safe) & set("\\{}\n\r\u2028\u2029\x00")
    safe.encode("utf-8")


def test_user_text_makes_no_line_or_override_of_its_own() -> None:
    nasty = "Bob's {\\an9\\fs300}\\N 50%\nDialogue: 0,x"
    film = plan(job(product_name=nasty, cta_text=nasty), {})
    for line in ass.document(film).splitlines():
        assert "\\fs300" not in line
        assert not line.startswith("Dialogue: 0,x")


@settings(deadline=None, max_examples=60)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=90))
def test_fitted_lines_are_never_wider_than_their_area(text: str) -> None:
    area = Rect(120, 160, 840, 340)
    fitted = fit(clean(text), fonts.DISPLAY, area, px=150, floor=40, lines=3)
    assert len(fitted.lines) <= 3
    assert all(fonts.width(line, fonts.DISPLAY, fitted.px) <= area.width + 0.5 for line in fitted.lines)


def test_emoji_are_stripped_and_words_kept() -> None:
    assert clean("So  good 😀🚀 \n yes") == "So good yes"


def test_pages_hold_at_most_four_words_and_break_at_the_sentence() -> None:
    look = THEMES["minimal"].caption
    spoken = words("Double-wall steel. Leak-proof cap. Fits every cup holder.")
    pages = captions.split(captions.shown_words(spoken, look, look.px, 820), look, look.px, 820)
    assert [" ".join(word.text for word in page) for page in pages] == [
        "Double-wall steel.",
        "Leak-proof cap.",
        "Fits every cup holder.",
    ]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text("abcdefg,.", min_size=1, max_size=30), min_size=1, max_size=30))
def test_no_spoken_word_is_lost_or_overlaps_another_page(parts: list[str]) -> None:
    look = THEMES["bold"].caption
    spoken = words(" ".join(parts), seconds=10)
    band, span = captions.Band(540, 1425, 820, 1.0), captions.Span(0.4, 0.0, 11.5)
    pages = captions.place(spoken, look, band, span)
    assert [word.text for page in pages for word in page.words] == [word.text.upper() for word in spoken]
    for before, after in pairwise(pages):
        assert before.end <= after.start + 1e-6


def test_the_schedule_of_three_scenes() -> None:
    beats, frames = schedule(job())
    assert frames == round((0.4 + 3 * 3.0 + 2 * 0.3 + 0.8) * 30)
    assert [(round(beat.sound, 3), beat.first, beat.last) for beat in beats] == [
        (0.4, 0, 106),
        (3.7, 106, 206),
        (7.0, 206, 324),
    ]


def test_a_target_stretches_gaps_and_tail_but_never_cuts_speech() -> None:
    assert schedule(job(target_seconds=11.4))[1] == round(11.4 * 30)
    assert schedule(job(target_seconds=2.0))[1] == round((0.4 + 9.0 + 0.5 + 0.8) * 30)


def test_the_plan_is_pure_and_shows_what_was_given_only() -> None:
    film = plan(job(), {})
    assert film.to_json() == plan(job(), {}).to_json()
    shown = [label.text for label in film.labels]
    assert shown == ["Nova", "Flask", "Every", "day", "Steel", "Leak-proof", "Nova", "Flask", "Buy Now", "nova.example"]
    assert [(shot.plate.picture.treatment, shot.sprite is not None) for shot in film.shots] == [
        ("mesh", True),
        ("mesh", False),
        ("mesh", True),
    ]
    assert not re.search(r"\d", " ".join(shown))


def test_long_names_stay_in_the_safe_area_in_every_style_and_aspect() -> None:
    for style in THEMES:
        for aspect, stage in STAGES.items():
            given_job = job(style=style, aspect=aspect, product_name=HERO_NAME, cta_text=HERO_NAME, url="x" * 120)
            scenes = tuple(
                scene.model_copy(update={"scene": scene.scene.model_copy(update={"headline": HERO_NAME})})
                for scene in given_job.scenes
            )
            for label in plan(given_job.model_copy(update={"scenes": scenes}), {}).labels:
                width = fonts.width(label.text, label.face, label.px, tracking=label.tracking)
                left = label.x if label.left else label.x - width / 2
                box = Rect(left, label.y - label.px * 0.36, width, label.px * 0.72)
                assert stage.safe.holds(box, slack=2), (style, aspect, label)
