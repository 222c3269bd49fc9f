"""Every kind of scene, look and aspect, under any text: nothing leaves the safe area, nothing lies on anything else."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.film import fonts
from pipeline.film.art import RING, monogram_side
from pipeline.film.captions import ground_of
from pipeline.film.layout import STAGES, Rect
from pipeline.film.plan import plan
from pipeline.film.render_job import RenderJob, SceneInput
from pipeline.film.scenes.quote import MARK
from pipeline.film.script import SCENE_KINDS, STYLES, Scene, Word
from pipeline.film.themes import theme_of
from pipeline.film.timeline import Label, Timeline
from pipeline.film.views import Extract

SLACK = 2.0
GROWN = 1.06  # a card at the end of its scene
LONG = "Donaudampfschifffahrtselektrizit\u00e4tenhauptbetriebswerk"
TEXTS = st.one_of(
    st.text("abcdefghij klmnop ABCDEFGH 0123456789 ,.", min_size=1, max_size=90).filter(str.strip),
    st.sampled_from(
        (LONG, "A", "10,000+", "W" * 42, "The Extraordinarily Long Product Name With Seventy Five Letters In It, Yes!")
    ),
)
SCENES: st.SearchStrategy[dict[str, object]] = st.builds(
    dict,
    kind=st.sampled_from(SCENE_KINDS),
    headline=TEXTS,
    kicker=st.one_of(st.just(""), TEXTS.map(lambda text: text[:45])),
    lines=st.lists(TEXTS, max_size=4),
    stars=st.integers(0, 5),
)


def film(
    scene: dict[str, object],
    style: str,
    aspect: str,
    source: str,
    busy: tuple[float, ...] = (),
    size: tuple[int, int] = (900, 1200),
) -> Timeline:
    text = "Look at all of this, it is quite something."
    words = tuple(Word(text=word, start=at * 0.3, end=at * 0.3 + 0.25) for at, word in enumerate(text.split()))
    given_scene = Scene.model_validate(scene | {"index": 0, "narration": text})
    spoken = SceneInput(scene=given_scene, audio_path=Path("a.wav"), duration_seconds=3, words=words)
    job = RenderJob(
        style=style, aspect=aspect, product_name="Nova Flask", cta_text="Order yours now", url="nova.example/shop",
        price="$29.99", scenes=(spoken,), output=Path("f.mp4"), work_dir=Path("w"),
    )  # fmt: skip
    extracts = {} if source == "none" else {0: Extract("p.png", *size, source, "d", busy)}
    return plan(job, extracts)


def ink(label: Label) -> Rect:
    """The area of a label's capitals when it is at rest."""
    wide = fonts.width(label.text, label.face, label.px, tracking=label.tracking)
    tall = fonts.metrics(label.face).cap_height * label.px
    left = label.x if label.left else label.x - wide / 2
    # A quotation mark hangs in the upper part of its line.
    return Rect(left, label.y - tall / 2, wide, tall * (0.4 if label.text == MARK else 1))


def apart(one: Rect, other: Rect) -> bool:
    return (
        one.right <= other.x + SLACK
        or other.right <= one.x + SLACK
        or one.bottom <= other.y + SLACK
        or other.bottom <= one.y + SLACK
    )


@settings(deadline=None, max_examples=250)
@given(
    SCENES,
    st.sampled_from(STYLES),
    st.sampled_from(sorted(STAGES)),
    st.sampled_from(("none", "photo", "cutout", "art", "clip")),
    st.lists(st.integers(0, 40).map(float), min_size=48, max_size=48).map(tuple),
)
@example({"kind": "quote", "headline": "x" * 180, "lines": ["W" * 60], "stars": 5}, "bold", "1:1", "none", ())
@example(
    {"kind": "stat", "headline": "999,999,999,999+", "lines": ["W" * 60], "stars": 5}, "elegant", "1:1", "clip", ()
)
def test_all_text_is_safe_and_free(
    scene: dict[str, object], style: str, aspect: str, source: str, busy: tuple[float, ...]
) -> None:
    timeline, stage = film(scene, style, aspect, source, busy), STAGES[aspect]
    inks = [ink(label) for label in timeline.labels]
    for label, area in zip(timeline.labels, inks, strict=True):
        assert stage.safe.holds(area, slack=SLACK), (label.text, area)
    for (one, a), (other, b) in combinations(zip(timeline.labels, inks, strict=True), 2):
        assert apart(a, b), (one.text, a, other.text, b)
    look = theme_of(style).caption
    for page in timeline.pages:
        width, height = ground_of(look, page.width, page.px)
        box = Rect(page.x - width / 2, page.y - height / 2, width, height)
        assert stage.safe.holds(box, slack=SLACK), page
        for label, area in zip(timeline.labels, inks, strict=True):
            assert apart(area, box), (label.text, area, box)


@settings(deadline=None, max_examples=150, derandomize=True, database=None)
@given(
    st.sampled_from(("hero", "benefit", "price", "cta")),
    TEXTS,
    st.sampled_from(STYLES),
    st.sampled_from(sorted(STAGES)),
    st.sampled_from(("photo", "cutout")),
    st.integers(300, 2400),
    st.integers(300, 2400),
)
@example("hero", "Morning Ritual Coffee Set", "playful", "1:1", "photo", 900, 900)
@example("benefit", "Nova", "bold", "9:16", "cutout", 700, 1500)
def test_a_card_stands_above_the_captions_or_goes_on_behind_them(
    kind: str, headline: str, style: str, aspect: str, source: str, width: int, height: int
) -> None:
    """Its lower edge, also when the card has grown, lies nowhere behind them; the foot of a cut-out neither."""
    scene: dict[str, object] = {"kind": kind, "headline": headline, "kicker": "Up close"}
    timeline, stage = film(scene, style, aspect, source, size=(width, height)), STAGES[aspect]
    sprite = timeline.shots[0].sprite
    if sprite is None:
        return
    look = theme_of(style).caption
    _, tall = ground_of(look, 0.0, look.px * stage.caption_scale)
    wide, high = sprite.picture.width * GROWN, sprite.picture.height * GROWN
    card = Rect(sprite.center[0] - wide / 2, sprite.center[1] - high / 2, wide, high)
    above = card.bottom <= stage.caption_y - tall / 2
    assert above or (card.bottom >= stage.caption_y + tall / 2 and not sprite.picture.contain)
    for label in timeline.labels:
        assert apart(ink(label), card), (label.text, ink(label), card)


@pytest.mark.parametrize(("style", "aspect"), list(product(STYLES, sorted(STAGES))))
def test_no_captions_stand_on_a_monogram(style: str, aspect: str) -> None:
    timeline, stage = film({"kind": "hero", "headline": "Nova Flask"}, style, aspect, "none"), STAGES[aspect]
    sprite = timeline.shots[0].sprite
    assert sprite is not None
    card = sprite.picture
    assert card.monogram
    below = (card.middle - 0.5) * card.height + RING * monogram_side(card.width, card.height, card.middle)
    look = theme_of(style).caption
    _, tall = ground_of(look, 0.0, look.px * stage.caption_scale)
    assert sprite.center[1] + below * GROWN <= stage.caption_y - tall / 2


def test_captions_leave_a_label_of_the_product_free() -> None:
    scene: dict[str, object] = {"kind": "hero", "headline": "Nova Flask"}
    plain = film(scene, "minimal", "9:16", "photo", (1.0,) * 48).pages[0].y
    # The card shows the photo from y = 560 to 1545: a label around its rows 40 to 43 lies where captions stand.
    label = tuple(30.0 if 40 <= row < 44 else 1.0 for row in range(48))
    (moved,) = {page.y for page in film(scene, "minimal", "9:16", "photo", label).pages}
    assert plain == STAGES["9:16"].caption_y
    assert abs(moved - plain) > 40
    calm = tuple(30.0 if row < 20 else 1.0 for row in range(48))
    assert film(scene, "minimal", "9:16", "photo", calm).pages[0].y == plain
