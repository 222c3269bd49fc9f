"""A film at a share of its size: the same cut, text and motion, drawn on fewer pixels."""

from __future__ import annotations

from dataclasses import replace

from pipeline.film.layout import even
from pipeline.film.timeline import Mark, Picture, Shot, Sprite, Timeline


def shrunk(timeline: Timeline, share: float) -> Timeline:
    """The film with its pictures at `share` of their size; text keeps its places, on a canvas of the full size."""
    if share == 1.0:
        return timeline
    return replace(
        timeline,
        width=even(timeline.width * share),
        height=even(timeline.height * share),
        canvas=timeline.canvas or (timeline.width, timeline.height),
        shots=tuple(_shot(shot, share) for shot in timeline.shots),
    )


def _shot(shot: Shot, share: float) -> Shot:
    plate = replace(shot.plate, picture=_picture(shot.plate.picture, share))
    sprite = _sprite(shot.sprite, share) if shot.sprite else None
    return replace(shot, plate=plate, sprite=sprite, marks=tuple(_mark(mark, share) for mark in shot.marks))


def _mark(mark: Mark, share: float) -> Mark:
    x, y = mark.at
    return Mark(_picture(mark.picture, share), (even(x * share), even(y * share)))


def _sprite(sprite: Sprite, share: float) -> Sprite:
    x, y = sprite.center
    return Sprite(_picture(sprite.picture, share), (x * share, y * share), sprite.rise * share)


def _picture(picture: Picture, share: float) -> Picture:
    width, height = even(picture.width * share), even(picture.height * share)
    return replace(picture, width=width, height=height, radius=picture.radius * share)
