"""What a vendor is told to film for one scene."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.film.script import Aspect, Scene, Style
from pipeline.providers.base import ClipOrder
from pipeline.providers.drafts import GAP_SECONDS
from pipeline.providers.speech import speech_seconds

MOODS: dict[Style, str] = {
    "minimal": "calm, clean, soft daylight, muted colours, slow push in",
    "bold": "high contrast, saturated colours, hard light, fast confident camera move",
    "elegant": "warm low light, shallow focus, slow glide, rich textures",
    "playful": "bright colours, sunny, bouncy handheld camera, light mood",
}
SHOTS = {
    "hero": "the product alone in the middle of the picture, an establishing shot",
    "benefit": "the product in use, a close shot",
    "quote": "a calm view of the place where the product is used, out of focus",
    "stat": "a slow abstract view of the product's materials",
    "features": "a slow pan over details of the product",
    "price": "the product on a plain surface with empty space around it",
    "cta": "the product in its place in everyday life, a closing shot",
}
# The film brings its own words, and a vendor's letters are seldom right.
NEVER = "No text, no captions, no logos, no watermarks, nobody speaks to the camera."


def clip_order(
    scene: Scene, *, product_name: str, style: Style, aspect: Aspect, seed: int, still: Path | None
) -> ClipOrder:
    """The order for a scene's clip; `still` is the picture it should begin with."""
    view, mood = SHOTS.get(scene.kind, SHOTS["benefit"]), MOODS.get(style, MOODS["minimal"])
    prompt = (
        f"{view.capitalize()}. The product: {product_name}. What is said meanwhile: {scene.narration} "
        f"Mood: {mood}. {NEVER}"
    )
    digest = hashlib.sha256(still.read_bytes()).hexdigest() if still else ""
    seconds = speech_seconds(scene.narration, style) + GAP_SECONDS
    return ClipOrder(prompt, aspect, seconds, still, digest, seed * 31 + scene.index)
