"""Job -> Timeline: when every shot, cut, word and label is seen. Pure: the same job gives the same film."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from pipeline.film import captions
from pipeline.film.clearing import caption_shift
from pipeline.film.draw import draw
from pipeline.film.fonts import NOTHING, Wardrobe
from pipeline.film.layout import STAGES
from pipeline.film.motion import LEAVE_SECONDS
from pipeline.film.render_job import RenderJob
from pipeline.film.script import Scene
from pipeline.film.themes import dressed, theme_of
from pipeline.film.timeline import CaptionPage, Cut, Label, Shape, Shot, Timeline, Voice
from pipeline.film.views import Extract, Logo, SceneView

LEAD_SECONDS, TAIL_SECONDS, LONGEST_TAIL = 0.4, 0.8, 1.6
GAP_SECONDS, SHORTEST_GAP, LONGEST_GAP = 0.3, 0.25, 0.4
READ_SECONDS, WORD_SECONDS = 1.0, 0.18  # what a reader needs of a scene's text, and of each of its words more


@dataclass(frozen=True)
class Beat:
    """One scene on the film's clock: its sound's start in seconds, its shot in frames [first, last)."""

    sound: float
    first: int
    last: int


def plan(
    job: RenderJob, extracts: Mapping[int, Extract], wardrobe: Wardrobe = NOTHING, *, logo: Logo | None = None
) -> Timeline:
    """The timeline of a job; `extracts` are the facts of each scene's picture by place in `job.scenes`.

    `wardrobe`: faces for the writing systems that the theme's faces lack; a letter without a face is not shown.
    """
    theme, stage = dressed(theme_of(job.style, job.brand_color), wardrobe), STAGES[job.aspect]
    beats, frames = schedule(job)
    cuts = _cuts(job, beats, theme.transition_seconds)
    shots: list[Shot] = []
    labels: list[Label] = []
    shapes: list[Shape] = []
    pages: list[CaptionPage] = []
    voices: list[Voice] = []
    seen: dict[str, int] = {}
    for at, (given, beat) in enumerate(zip(job.scenes, beats, strict=True)):
        extract = extracts.get(at)
        repeat = seen.get(extract.digest, 0) if extract else 0
        if extract:
            seen[extract.digest] = repeat + 1
        opens = beat.first / job.fps
        closes = beat.last / job.fps
        view = SceneView(
            job=job,
            theme=theme,
            stage=stage,
            at=at,
            scene=given.scene,
            extract=extract,
            repeat=repeat,
            opens=opens + (0.1 if at == 0 else 0.06),
            # The last picture is the one on which players stop: nothing leaves it.
            closes=closes + LEAVE_SECONDS if at + 1 == len(beats) else closes - 0.04,
            frames=(beat.first, beat.last),
            logo=logo,
        )
        drawn = draw(view)
        shots.append(drawn.shot)
        labels += drawn.labels
        shapes += drawn.shapes
        _, tall = captions.ground_of(theme.caption, 0.0, theme.caption.px * stage.caption_scale)
        band = captions.Band(
            stage.width / 2 if not drawn.caption_x else drawn.caption_x,
            stage.caption_y + caption_shift(extract, drawn, stage, tall),
            stage.caption_width,
            stage.caption_scale,
        )
        pages += captions.place(given.words, theme.caption, band, captions.Span(beat.sound, opens, closes))
        voices.append(Voice(str(given.audio_path), beat.sound, given.duration_seconds))
    return Timeline(
        width=job.width,
        height=job.height,
        fps=job.fps,
        frames=frames,
        style=job.style,
        shots=tuple(shots),
        cuts=cuts,
        labels=tuple(labels),
        shapes=tuple(shapes),
        pages=tuple(pages),
        voices=tuple(voices),
        music=job.music_style,
        seed=job.seed,
        brand_color=job.brand_color,
        wardrobe=wardrobe,
        music_path=str(job.music_path or ""),
    )


def schedule(job: RenderJob) -> tuple[tuple[Beat, ...], int]:
    """When each scene speaks and is seen, and the film's length in frames.

    The gaps between scenes and the tail stretch a little towards `target_seconds`; the speech is never cut.
    """
    lengths = [max(given.duration_seconds, reading_seconds(given.scene)) for given in job.scenes]
    speech = sum(lengths)
    between = len(job.scenes) - 1
    gap, tail = GAP_SECONDS, TAIL_SECONDS
    if job.target_seconds is not None:
        spare = job.target_seconds - speech - LEAD_SECONDS - tail
        if between:
            gap = min(max(spare / between, SHORTEST_GAP), LONGEST_GAP)
        tail = min(max(job.target_seconds - speech - LEAD_SECONDS - gap * between, TAIL_SECONDS), LONGEST_TAIL)
    starts, clock = [], LEAD_SECONDS
    for seconds in lengths:
        starts.append(clock)
        clock += seconds + gap
    frames = round((clock - gap + tail) * job.fps)
    edges = [0, *(round((start - gap / 2) * job.fps) for start in starts[1:]), frames]
    return tuple(Beat(start, edges[at], edges[at + 1]) for at, start in enumerate(starts)), frames


def reading_seconds(scene: Scene) -> float:
    """How long a scene must be seen, however little is said in it."""
    return READ_SECONDS + WORD_SECONDS * len(" ".join((scene.headline, *scene.lines)).split())


def _cuts(job: RenderJob, beats: tuple[Beat, ...], seconds: float) -> tuple[Cut, ...]:
    # A transition never takes more than half of the shorter of its two shots, so that two cannot overlap.
    kind = theme_of(job.style).transition
    cuts = []
    for before, after in pairwise(beats):
        room = min(before.last - before.first, after.last - after.first) // 2
        frames = min(round(seconds * job.fps), room) // 2 * 2
        cuts.append(Cut(after.first, frames, kind))
    return tuple(cuts)
