"""`product_video`: a product's name and a few facts -> a vertical film with voice, captions and music."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from artifacts import Artifact
from pipeline.catalog.base import HttpsUrl, PaidPayload, Payload, Pipeline
from pipeline.film.script import Quote, Sayable, SceneKind, Stat, Style


def _color(value: str) -> str:
    if value and not re.fullmatch(r"#[0-9A-Fa-f]{6}", value):
        raise ValueError("should be a colour such as #1C6B67")
    return value.upper()


class OwnScene(Payload):
    """A scene in the user's own words; what is not given is made of what is."""

    narration: Sayable = Field(min_length=1, max_length=600)
    kind: SceneKind | None = None
    headline: str = Field("", max_length=180)
    kicker: str = Field("", max_length=45)
    lines: tuple[Annotated[str, Field(min_length=1, max_length=90)], ...] = Field((), max_length=4)
    stars: int = Field(0, ge=0, le=5, description="of five; 0 shows none")


class ProductVideoPayload(PaidPayload):
    """What the film is about and how it looks; it says only what stands here."""

    product_name: Sayable = Field(min_length=1, max_length=75)
    description: str = Field("", max_length=2000)
    features: tuple[Annotated[Sayable, Field(min_length=1, max_length=200)], ...] = Field((), max_length=12)
    stats: tuple[Stat, ...] = Field((), max_length=3, description="figures of yours, each in a scene of its own")
    quotes: tuple[Quote, ...] = Field((), max_length=3, description="what people said, each in a scene of its own")
    images: tuple[Artifact | HttpsUrl, ...] = Field(
        (), max_length=12, description="pictures or films, by path or https address"
    )
    script: tuple[OwnScene, ...] = Field((), max_length=20, description="your own words, scene by scene")
    style: Style = "minimal"
    cta_text: str = Field("Learn more", min_length=1, max_length=32)
    url: str = Field("", max_length=120)
    price: str = Field("", max_length=32)
    brand_color: str = Field(
        "",
        pattern=r"^(#[0-9A-Fa-f]{6})?$",
        description="#RRGGBB for buttons, captions and marks; empty: the style's own",
    )
    aspect: Literal["9:16", "1:1", "16:9"] = "9:16"
    duration_seconds: int = Field(20, ge=8, le=90)
    language: str = Field("en", pattern=r"^[a-z]{2}(-[A-Za-z]{2,4})?$")
    voice: str = Field("", max_length=64, description="a voice of the provider; empty: its default")
    music: bool = True
    music_file: Artifact | HttpsUrl | None = Field(None, description="your own, by path or https address")
    seed: int = Field(0, ge=0, le=2**31)
    stop_after: Literal["script_gen", "voice_gen", "video_gen", "compositing"] = Field(
        "compositing", description="to look before it goes on: this stage, and what it needs"
    )


PIPELINES = (
    Pipeline(
        name="product_video",
        title="a product video with voice, captions and music",
        payload=ProductVideoPayload,
        stages=("script_gen", "voice_gen", "video_gen", "compositing"),
        file_fields=("images",),
        sound_fields=("music_file",),
    ),
)
