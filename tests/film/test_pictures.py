"""Pictures: what is refused at the door, what is loaded, and that a frame depends on its number alone."""

from __future__ import annotations

import base64
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from errors import InvalidInput, TooLarge, Unsupported
from pipeline.film import images, music
from pipeline.film.compositor import Compositor
from pipeline.film.engine import run_engine
from pipeline.film.plan import plan
from pipeline.film.render_job import PlateJob, PlateReport
from pipeline.film.warp import OpenCv, Pillow
from tests.film.test_text import job


def encoded(kind: str = "PNG", size: tuple[int, int] = (120, 90), mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(out, format=kind, **options)
    return out.getvalue()


# 96 x 64 pixels, red at the left and blue at the right, as a phone would write it.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABegABAAAAAAAAAIMAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA1mlwcnAAAAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xy"
    "bmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAAItt"
    "ZGF0AAAAfygBrwng4wucuq///jSf//39B5D9gmOkglP/6adp38Bvv/9VgrpbTP6HCzNZ13oXr6EcEL3dK5WQdytgNQQpM0/RFCS8"
    "wZr9PNXM7GfaLAAmLc/+BXvBV/mHMbOboRQ0cTUqqFGdc2xiJ+/JmOFfm2dnyHr+/Xkfnon03XTzk+A="
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_four_formats_are_taken(kind: str) -> None:
    facts = images.inspect_image(encoded(kind), "a.x")
    assert (facts.format, facts.width, facts.height) == (kind, 120, 90)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", InvalidInput),
        (b"#EXTM3U\nhttp://x/", Unsupported),
        (encoded("BMP"), Unsupported),
        (encoded(size=(40, 400)), InvalidInput),
        (encoded(size=(1, 1)), InvalidInput),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", Unsupported),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", Unsupported),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Unsupported),
        (encoded("JPEG", (600, 600))[:9000], InvalidInput),
        (encoded("PNG", (600, 600))[:9000], InvalidInput),
        (b"\x00" * (images.MOST_BYTES + 1), TooLarge),
    ],
)
def test_bad_pictures_are_refused_by_name(content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error, match="bottle"):
        images.inspect_image(content, "bottle.jpg")


def test_a_bomb_is_refused_before_its_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 5000)
    with pytest.raises(TooLarge, match="megapixels"):
        images.inspect_image(encoded(), "bomb.png")


def test_a_name_may_lie_about_its_format() -> None:
    facts = images.inspect_image(encoded("PNG"), "bottle.jpg")
    assert (facts.format, facts.width) == ("PNG", 120)


def test_what_is_transparent_all_over_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "logo.png"
    Image.new("RGBA", (200, 100), (255, 0, 0, 0)).save(path)
    for look in (images.inspect_image, images.load_image):
        with pytest.raises(InvalidInput, match=r"logo\.png is transparent all over"):
            look(path)
    Image.new("RGBA", (200, 100), (255, 0, 0, 40)).save(path)
    assert images.load_image(path).mode == "RGBA"


@pytest.mark.slow
def test_a_photo_of_108_megapixels_is_loaded_in_little_memory(tmp_path: Path) -> None:
    """In the child that holds its limit: decoded whole it alone would take 324 MB."""
    path, order = tmp_path / "phone.jpg", tmp_path / "job.json"
    Image.linear_gradient("L").resize((12000, 9000)).convert("RGB").save(path, quality=60)
    job = PlateJob(aspect="9:16", style="minimal", image_path=path, image_name="phone.jpg", output=tmp_path / "p.png")
    order.write_text(job.model_dump_json())
    answer = run_engine("pipeline.film.plates", order, timeout_seconds=120, memory_mb=330, check=lambda: None)
    report = PlateReport.model_validate(answer)
    assert report.source == "photo"
    assert 1900 < max(report.width, report.height) < 2600


def test_a_turned_photo_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded("JPEG", (200, 100), exif=exif)
    assert images.inspect_image(content).height == 200
    assert images.load_image(content).size == (100, 200)


def test_cmyk_and_sixteen_bits_become_rgb(tmp_path: Path) -> None:
    assert images.load_image(encoded("JPEG", mode="CMYK")).mode == "RGB"
    deep = Image.fromarray(np.linspace(0, 65535, 128 * 128).astype(np.uint16).reshape(128, 128))
    deep.save(tmp_path / "deep.png")
    loaded = np.asarray(images.load_image(tmp_path / "deep.png"))
    assert loaded.shape == (128, 128, 3)
    assert 120 < loaded.mean() < 135


def test_a_phones_picture_is_taken_and_shown() -> None:
    facts = images.inspect_image(HEIC, "IMG_1.HEIC")
    assert (facts.format, facts.width, facts.height, facts.alpha) == ("HEIF", 96, 64, False)
    shown = images.load_image(HEIC, "IMG_1.HEIC")
    assert shown.getpixel((20, 30))[0] > 150 > shown.getpixel((20, 30))[2]
    assert shown.getpixel((80, 30))[2] > 150 > shown.getpixel((80, 30))[0]


@pytest.mark.parametrize("kept", [100, 200, 420, 500])
def test_a_cut_off_phones_picture_is_refused_at_the_door_or_by_the_child(kept: int) -> None:
    def taken() -> None:
        images.inspect_image(HEIC[:kept], "bottle")
        images.load_image(HEIC[:kept], "bottle")

    with pytest.raises((InvalidInput, Unsupported), match="bottle"):
        taken()


def swapped_profile() -> bytes:
    """A colour profile whose red is sRGB's blue and whose blue is its red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB")])
def test_colours_of_another_profile_become_those_of_a_screen(kind: str, mode: str) -> None:
    red = Image.new(mode, (80, 80), (255, 0, 0) if mode == "RGB" else (255, 0, 0, 120))
    out = io.BytesIO()
    red.save(out, format=kind, icc_profile=swapped_profile())
    shown = images.load_image(out.getvalue())
    assert shown.getpixel((40, 40))[2] > 240
    assert shown.getpixel((40, 40))[0] < 20
    assert mode == "RGB" or shown.getpixel((40, 40))[3] == 120


def test_a_broken_profile_changes_nothing() -> None:
    out = io.BytesIO()
    Image.new("RGB", (80, 80), (250, 10, 10)).save(out, format="PNG", icc_profile=b"rubbish")
    assert images.load_image(out.getvalue()).getpixel((40, 40)) == (250, 10, 10)


def test_a_frame_is_the_same_alone_and_in_a_run() -> None:
    film = plan(job(style="playful", aspect="1:1"), {})
    numbers = [10, 60, film.cuts[0].at - 3, film.cuts[0].at, film.cuts[0].at + 20]
    run = Compositor(film)
    in_order = {number: bytes(run.render(number)) for number in range(film.cuts[0].at + 21) if number in numbers}
    assert all(bytes(run.render(number)) == in_order[number] for number in reversed(numbers))
    alone = Compositor(film)
    assert bytes(alone.render(numbers[-1])) == in_order[numbers[-1]]


def test_zooming_by_quarters_equals_the_sub_pixel_warp() -> None:
    source = np.asarray(Image.effect_noise((60, 80), 90).resize((600, 800), Image.Resampling.BICUBIC)).copy()
    ours, theirs = np.zeros((640, 480), np.uint8), np.zeros((640, 480), np.uint8)
    for k in (1.0, 1.0371, 1.12):
        OpenCv().zoom(source, ours, k, (300, 520), (240, 416))
        OpenCv().warp(source, theirs, k, 300 - 240 * k, 520 - 416 * k)
        inside = np.abs(ours.astype(int) - theirs)[2:-2, 2:-2]
        assert inside.max() <= 2


def test_pillow_draws_what_opencv_draws() -> None:
    film = plan(job(), {})
    ours = Compositor(film, OpenCv()).render(70).astype(int).copy()
    theirs = Compositor(film, Pillow()).render(70).astype(int)
    assert np.abs(ours - theirs).mean() < 1.0


def test_every_frame_moves() -> None:
    film = plan(job(), {})
    drawn = Compositor(film)
    before = drawn.render(150).astype(int).copy()
    assert np.abs(drawn.render(180).astype(int) - before).mean() > 0.2


@pytest.mark.parametrize("style", ["minimal", "bold", "elegant", "playful"])
def test_music_is_seeded_and_ends_with_the_film(style: str) -> None:
    bed = music.compose(style, 6.5, 3)
    assert bed.shape == (round(6.5 * music.RATE), 2)
    assert np.array_equal(bed, music.compose(style, 6.5, 3))
    level = [float(np.sqrt((part**2).mean())) for part in np.array_split(bed, 13)]
    assert min(level[:-2]) > 0.02
    assert level[-1] < 0.4 * max(level)
    assert not bed[-1].any()


@pytest.mark.parametrize("style", ["minimal", "bold", "elegant", "playful"])
def test_music_lifts_at_the_call_to_action(style: str) -> None:
    """The bars after the lift are brighter than those before it, and than the same bars without one."""

    def brightness(bed: music.Wave, start: float, seconds: float) -> float:
        part = bed[round(start * music.RATE) : round((start + seconds) * music.RATE)].mean(axis=1)
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2
        hertz = np.fft.rfftfreq(len(part), 1 / music.RATE)
        return float(power[hertz > 900].sum() / power.sum())

    lifted, plain = music.compose(style, 24.0, 3, 16.0), music.compose(style, 24.0, 3)
    assert lifted.shape == plain.shape
    assert brightness(lifted, 17.0, 4.5) > 1.3 * brightness(plain, 17.0, 4.5)
    assert brightness(lifted, 17.0, 4.5) > 1.2 * brightness(lifted, 8.0, 4.5)


@pytest.mark.parametrize("style", ["minimal", "bold", "elegant", "playful"])
def test_music_keeps_its_level_until_its_ending(style: str) -> None:
    bed = music.compose(style, 24.0, 3, 16.0)
    levels = [float(np.sqrt((bed[at * music.RATE : (at + 3) * music.RATE] ** 2).mean())) for at in (6, 10, 14, 18)]
    assert max(levels) < 1.5 * min(levels), levels
