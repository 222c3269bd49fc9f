"""The film's scenes made with moviepy 2, as its users make them: `python bench/moviepy_film.py ORDER.json`.

Runs in moviepy's own environment and knows nothing of the program but the order: the timeline as `Timeline.to_json` writes
it, one finished still a shot, the font files, the sound, and the encoder's settings. The same stills, zoom, cross-fades, titles
and captions with the spoken word in another colour; without what is dear to write there (rising cards, blurred shadows,
rounded boxes), so it draws rather less than we do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from moviepy import AudioFileClip, ColorClip, CompositeVideoClip, ImageClip, TextClip, vfx

ENTER_SECONDS = 0.5
BOX_ALPHA = 0.97


def film(order: dict[str, Any]) -> Any:
    """The whole composition."""
    timeline = order["timeline"]
    size = timeline["width"], timeline["height"]
    layers = [*_shots(order, size)]
    for label in timeline["labels"]:
        layers += _label(label, order["fonts"])
    for page in timeline["pages"]:
        layers += _page(page, order)
    clip = CompositeVideoClip(layers, size=size).with_duration(timeline["frames"] / timeline["fps"])
    return clip.with_audio(AudioFileClip(order["sound"])) if order.get("sound") else clip


def _shots(order: dict[str, Any], size: tuple[int, int]) -> list[Any]:
    timeline, fps = order["timeline"], order["timeline"]["fps"]
    before = [0, *(cut["frames"] for cut in timeline["cuts"])]
    after = [*(cut["frames"] for cut in timeline["cuts"]), 0]
    clips = []
    for shot, still, ahead, behind in zip(timeline["shots"], order["stills"], before, after, strict=True):
        first, last = shot["first"] - ahead // 2, shot["last"] + behind // 2
        seconds = (last - first) / fps
        begin, end = shot["plate"]["zoom"]
        fit = size[1] / ImageClip(still).h

        def zoomed(
            at: float, begin: float = begin, end: float = end, seconds: float = seconds, fit: float = fit
        ) -> float:
            return float(fit * (begin + (end - begin) * at / seconds))

        clip = ImageClip(still).with_duration(seconds).with_start(first / fps)
        clip = clip.resized(zoomed).with_position("center")
        clips.append(clip.with_effects([vfx.CrossFadeIn(ahead / fps)]) if ahead else clip)
    return clips


def _text(text: str, face: dict[str, Any], px: float, color: str, fonts: str) -> Any:
    # The margin keeps moviepy from cutting descenders off.
    return TextClip(
        font=str(Path(fonts) / face["file"]), text=text, font_size=round(px), color=color, margin=(6, round(px * 0.3))
    )


def _put(clip: Any, x: float, y: float, start: float, end: float, *, left: bool = False) -> Any:
    place = (x if left else x - clip.w / 2, y - clip.h / 2)
    return clip.with_start(start).with_duration(max(0.02, end - start)).with_position(place)


def _label(label: dict[str, Any], fonts: str) -> list[Any]:
    if not label["text"]:
        return []
    clip = _text(label["text"], label["face"], label["px"], label["color"], fonts)
    clip = _put(clip, label["x"], label["y"], label["start"], label["end"], left=label["left"])
    return [clip if label["enter"] == "none" else clip.with_effects([vfx.CrossFadeIn(ENTER_SECONDS)])]


def _page(page: dict[str, Any], order: dict[str, Any]) -> list[Any]:
    look, fonts = order["caption"], order["fonts"]
    layers: list[Any] = []
    if look["mode"] in ("box", "veil"):
        left = min(word["x"] - word["width"] / 2 for word in page["words"])
        right = max(word["x"] + word["width"] / 2 for word in page["words"])
        wide = (round(right - left + page["px"] * 0.86), round(page["px"] * 1.58))
        ground = ColorClip(wide, color=_rgb(look["box"])).with_opacity(BOX_ALPHA)
        layers.append(_put(ground, page["x"], page["y"], page["start"], page["end"]))
    for word in page["words"]:
        plain = _text(word["text"], look["face"], page["px"], look["color"], fonts)
        layers.append(_put(plain, word["x"], page["y"], page["start"], page["end"]))
    for word in page["words"]:
        start, end = max(word["start"], page["start"]), min(word["end"], page["end"])
        if end <= start:
            continue
        if look["chip"]:
            chip = (round(word["width"] + page["px"] * 0.3), round(page["px"] * 1.18))
            layers.append(_put(ColorClip(chip, color=_rgb(look["chip"])), word["x"], page["y"], start, end))
        active = _text(word["text"], look["face"], page["px"], look["active"], fonts)
        layers.append(_put(active, word["x"], page["y"], start, end))
    return layers


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def main() -> None:
    """Make the film of an order."""
    order = json.loads(Path(sys.argv[1]).read_text())
    film(order).write_videofile(
        order["output"],
        fps=order["timeline"]["fps"],
        codec="libx264",
        preset=order["preset"],
        threads=order["threads"],
        audio_codec="aac",
        audio_bitrate="192k",
        audio_fps=48000,
        pixel_format="yuv420p",
        ffmpeg_params=order["encoder"],
        temp_audiofile_path=str(Path(order["output"]).parent),
        logger=None,
    )


if __name__ == "__main__":
    main()
