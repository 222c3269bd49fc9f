"""The plan of one film in all looks and aspects, line by line: nothing moves without being seen in a diff.

`python -m tests.film.test_golden` writes them anew, for a change that is meant: look at its stills first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from pipeline.film.layout import STAGES
from pipeline.film.plan import plan
from pipeline.film.render_job import RenderJob, SceneInput
from pipeline.film.script import STYLES, Scene
from pipeline.film.timeline import Timeline
from pipeline.film.views import Extract
from tests.film.test_text import words

FOLDER = Path(__file__).parent / "golden"
ALL = list(product(STYLES, sorted(STAGES)))
# Each scene's kind, headline, kicker, lines and stars, and what is said.
SCENES = (
    ("hero", "Nova Flask", "", (), 0, "Meet Nova Flask."),
    ("benefit", "A leakproof lid", "Up close", (), 0, "It has a leakproof lid."),
    ("benefit", "Keeps drinks cold for 24 hours", "Good to know", (), 0, "It keeps drinks cold for 24 hours."),
    ("features", "What you get", "", ("Steel walls", "A lid with straw", "Dishwasher safe"), 0, "You get steel walls."),
    ("stat", "10,000+", "", ("hikers",), 5, "10,000+ hikers."),
    ("quote", "Best bottle I own", "", ("Mara K.",), 0, "Mara K. says: Best bottle I own."),
    ("price", "$29.99", "Price", (), 0, "It's $29.99."),
    ("cta", "Buy Now", "Nova Flask", (), 0, "Buy now at nova.example."),
)
# A portrait, a landscape, a cut-out; the others have none.
PICTURES = {
    0: Extract("a.png", 1200, 800, "photo", "a"),
    1: Extract("b.png", 700, 1500, "cutout", "b"),
    2: Extract("c.png", 1200, 1600, "photo", "c"),
    6: Extract("a.png", 1200, 800, "photo", "a"),
}


def film(style: str, aspect: str) -> Timeline:
    scenes = tuple(
        SceneInput(
            scene=Scene.model_validate(
                {"index": at, "kind": kind, "headline": head, "kicker": kicker, "lines": lines, "stars": stars}
                | {"narration": said}
            ),
            audio_path=Path(f"/voice{at}.wav"),
            duration_seconds=2.5,
            words=words(said, 2.4),
        )
        for at, (kind, head, kicker, lines, stars, said) in enumerate(SCENES)
    )
    job = RenderJob(
        style=style,
        aspect=aspect,
        product_name="Nova Flask",
        cta_text="Buy Now",
        url="nova.example/shop",
        price="$29.99",
        seed=3,
        scenes=scenes,
        output=Path("/out.mp4"),
        work_dir=Path("/work"),
    )
    return plan(job, PICTURES)


def told(timeline: Timeline) -> Iterator[str]:
    """What is seen and when: frames of pictures, seconds of text, places in pixels."""
    yield f"{timeline.width}x{timeline.height} {timeline.fps} fps {timeline.frames} frames"
    for shot in timeline.shots:
        plate = shot.plate
        line = f"shot {shot.first}-{shot.last} {plate.picture.treatment} zoom {plate.zoom[0]:g}-{plate.zoom[1]:g}"
        if shot.sprite:
            card, (x, y) = shot.sprite.picture, shot.sprite.center
            line += f" card {card.width}x{card.height} at {x:.0f},{y:.0f}"
        yield line
    yield from (f"cut {cut.at} {cut.frames} {cut.kind}" for cut in timeline.cuts)
    for label in timeline.labels:
        yield (
            f"label {label.start:.2f}-{label.end:.2f} {label.enter} {label.x:.0f},{label.y:.0f} {label.px:.0f} px "
            f"{label.face.family} {label.color} {label.text}"
        )
    for one in timeline.shapes:
        yield (
            f"{one.kind} {one.start:.2f}-{one.end:.2f} {one.enter} {one.x:.0f},{one.y:.0f} "
            f"{one.width:.0f}x{one.height:.0f} {one.color} {one.alpha:g}"
        )
    for page in timeline.pages:
        said = " ".join(f"{word.text}@{word.x:.0f}/{word.start:.2f}-{word.end:.2f}" for word in page.words)
        yield f"page {page.start:.2f}-{page.end:.2f} {page.x:.0f},{page.y:.0f} {said}"


def path_of(style: str, aspect: str) -> Path:
    return FOLDER / f"{style}-{aspect.replace(':', 'x')}.txt"


@pytest.mark.parametrize(("style", "aspect"), ALL)
def test_the_plan_is_the_one_that_was_looked_at(style: str, aspect: str) -> None:
    assert list(told(film(style, aspect))) == path_of(style, aspect).read_text().splitlines()


if __name__ == "__main__":
    for one in ALL:
        path_of(*one).write_text("\n".join(told(film(*one))) + "\n")
