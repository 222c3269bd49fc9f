"""`product_video`: a product's name and a few facts -> a vertical film with voice, captions and music."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from artifacts import Artifact
from pipeline.catalog.base import HttpsUrl, PaidPayload, Payload, Pipeline, like
from pipeline.catalog.language import Language
from pipeline.catalog.pronounce import Pronounce
from pipeline.film.script import Aspect, FilmVersion, Quote, Sayable, SceneKind, Stat, Style

Address = Annotated[str, like(r"(https?://)?[^\s:/]+(:\d+)?([/?#]\S*)?", "an address such as nova.com/shop")]
Color = Annotated[str, like(r"#[0-9A-Fa-f]{6}", "a colour such as #1C6B67")]


class OwnScene(Payload):
    """A scene in the user's own words; what is not given is made of what is."""

    narration: Sayable = Field(min_length=1, max_length=600)
    kind: SceneKind | None = None
    headline: str = Field("", max_length=180)
    kicker: str = Field("", max_length=45)
    lines: tuple[Annotated[str, Field(min_length=1, max_length=90)], ...] = Field((), max_length=4)
    stars: int = Field(0, ge=0, le=5, description="of five; 0 shows none")
    subtitle: str = Field("", max_length=600, description="what the captions show in the place of the narration")


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
    url: Address = Field("", max_length=120)
    price: str = Field("", max_length=32)
    brand_color: Color = Field("", description="#RRGGBB for buttons, captions and marks; empty: the style's own")
    logo: Artifact | HttpsUrl | None = Field(
        None, description="of the brand, best a PNG with alpha; by path or address"
    )
    aspect: Aspect = "9:16"
    aspects: tuple[Aspect, ...] = Field(
        (), max_length=3, description="several: a film in each, of one script, voice and set of pictures"
    )
    variants: int = Field(1, ge=1, le=3, description="so many films that begin with other words")
    quality: Literal["full", "preview"] = Field(
        "full", description="preview: 720p and 15 pictures a second, in about a third of the time"
    )
    duration_seconds: int = Field(20, ge=8, le=90)
    language: Language = Field("en", min_length=2)
    subtitle_language: Language = Field(
        "",
        description="of the captions, when it is not the voice's: scenes without a `subtitle` are translated by a hosted writer",
    )
    voice: str = Field("", max_length=64, description="a voice of the provider; empty: its default")
    voice_file: Artifact | HttpsUrl | None = Field(
        None, description="your own recording of your own `script`, with a pause after each scene; by path or address"
    )
    mute: bool = Field(False, description="nobody speaks: the captions run at a reader's pace")
    pronounce: Pronounce = Field(
        default_factory=dict, description='how words sound: {"Nova": "no-va"}; what is shown stays as it is'
    )
    music: bool = True
    music_file: Artifact | HttpsUrl | None = Field(None, description="your own, by path or https address")
    seed: int = Field(0, ge=0, le=2**31)
    stop_after: Literal["script_gen", "voice_gen", "video_gen", "compositing"] = Field(
        "compositing", description="to look before it goes on: this stage, and what it needs"
    )

    @field_validator("aspects")
    @classmethod
    def _once(cls, value: tuple[Aspect, ...]) -> tuple[Aspect, ...]:
        if len(set(value)) < len(value):
            raise ValueError("should name each aspect once")
        return value

    @field_validator("variants")
    @classmethod
    def _own_words_open_once(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("script"):
            raise ValueError("should be 1 with a script of your own, which opens in one way")
        return value

    @field_validator("voice_file")
    @classmethod
    def _of_a_script(cls, value: Artifact | str | None, info: ValidationInfo) -> Artifact | str | None:
        if value is not None and not info.data.get("script"):
            raise ValueError("should come with the `script` that is read in it, scene by scene")
        return value

    @field_validator("mute")
    @classmethod
    def _not_both(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("voice_file") is not None:
            raise ValueError("should be false with a voice_file")
        return value

    @property
    def read_aloud(self) -> tuple[str, ...]:
        """The texts of a recording, one after the other: each of them says where the others end."""
        return tuple(scene.narration for scene in self.script) if self.voice_file is not None else ()

    @property
    def shapes(self) -> tuple[Aspect, ...]:
        """The aspects of its films; pictures are made for the first."""
        return self.aspects or (self.aspect,)

    @property
    def films(self) -> tuple[FilmVersion, ...] | int:
        """One film of several each; 0 where there is one only, which is then the job's whole result."""
        found = tuple(
            FilmVersion(aspect=aspect, opening=opening) for opening in range(self.variants) for aspect in self.shapes
        )
        return found if len(found) > 1 else 0


def shown_texts(payload: ProductVideoPayload) -> dict[str, str]:
    """What the film may show of a payload's words, by field."""
    fields = {name: getattr(payload, name) for name in ("product_name", "description", "cta_text", "url", "price")}
    fields |= {f"features.{number}": feature for number, feature in enumerate(payload.features)}
    fields |= {f"stats.{number}": f"{stat.value} {stat.label}" for number, stat in enumerate(payload.stats)}
    fields |= {f"quotes.{number}": f"{quote.text} {quote.author}" for number, quote in enumerate(payload.quotes)}
    for number, scene in enumerate(payload.script):
        parts = {"narration": scene.narration, "headline": scene.headline, "kicker": scene.kicker}
        parts |= {"subtitle": scene.subtitle}
        parts |= {f"lines.{row}": line for row, line in enumerate(scene.lines)}
        fields |= {f"script.{number}.{name}": text for name, text in parts.items()}
    return {name: text for name, text in fields.items() if text}


def _has_fonts(payload: ProductVideoPayload) -> None:
    from pipeline.film.font_files import require  # and with it all that measures text: an idle worker need not

    # Without words of the user's own a writer uses the language's.
    require(shown_texts(payload), payload.language, written=not payload.script)
    if payload.subtitle_language:
        require({}, payload.subtitle_language, written=True)


PIPELINES = (
    Pipeline(
        name="product_video",
        title="a product video with voice, captions and music",
        payload=ProductVideoPayload,
        stages=("script_gen", "voice_gen", "video_gen", "compositing"),
        file_fields=("images",),
        still_fields=("logo",),
        sound_fields=("voice_file", "music_file"),
        check=_has_fonts,
    ),
)
