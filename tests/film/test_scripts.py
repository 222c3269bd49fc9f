"""Other writing systems: refused without a font, and with one shaped, ordered, broken and placed rightly, never as boxes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import Unsupported
from pipeline.film import ass, breaks, captions, encode, font_files, fonts, scripts, tailor
from pipeline.film.directions import as_placed, visual_order
from pipeline.film.layout import STAGES, Rect, clean
from pipeline.film.plan import plan
from pipeline.film.render_job import RenderJob, SceneInput
from pipeline.film.script import Scene, Word
from pipeline.film.themes import THEMES, dressed
from pipeline.film.timeline import Timeline
from redis_client.client import RedisClient
from tests.film.test_film import by_the_child, speech

TEXTS = {
    "ar": ("قارورة نوفا تحافظ", "تعرّف على فجأة Nova Flask الجديدة، تحافظ على البرودة 24 ساعة!"),
    "he": ("בקבוק נובה", "הכירו את בקבוק Nova Flask החדש, שומר על קור 24 שעות!"),
    "hi": ("नोवा फ्लास्क", "नया नोवा फ्लास्क, जो चौबीस घंटे ठंडा रखता है। आज ही खरीदें!"),
    "ja": ("二十四時間、つめたさが続く", "毎日を変える、新しいノヴァフラスコ。二十四時間つめたさが続きます。"),
    "ko": ("노바 플라스크", "새로운 노바 플라스크를 만나보세요. 24시간 시원함이 지속됩니다!"),
    "zh": ("保冷二十四小时", "全新诺瓦保温瓶，保冷二十四小时，每天陪伴你。立即购买！"),
    "th": ("เย็นนานยี่สิบสี่ชั่วโมง", "พบกับกระติกน้ำโนวาใหม่ เก็บความเย็นได้ยี่สิบสี่ชั่วโมง"),
    "mixed": (
        "Nova فلاسك ノヴァ नोवा Ω",
        "Nova meets फ्लास्क and ノヴァ and قارورة نوفا and Привет 😀 ✔ today {\\an9\\fs300}",
    ),
}
# Letters of every kind that a text may hold, in any order: what the property tests draw from.
ALPHABET = (
    "abcdefgWM ß ıİ 0123456789 .,!?-(){}\\%&' \u200f\u200d\u202e 😀🇩🇪 "
    "قارورةنوفاتحافظعلى١٩٩، בקבוקנובה नोवाफ्लास्कचौबीसघंटेठंडा। ノヴァフラスコ二十四時間続く、。（）ー 플라스크 เย็นนานยี่สิบ"
)


def words(text: str, seconds: float = 5.6) -> tuple[Word, ...]:
    parts = text.split() or ["x"]
    step = seconds / len(parts)
    return tuple(Word(text=part, start=at * step, end=(at + 1) * step - 0.02) for at, part in enumerate(parts))


def job(folder: Path, title: str, said: str, **changes: Any) -> RenderJob:
    kinds = (("hero", ()), ("benefit", ()), ("features", (title, said[:60] or "x")), ("price", ()), ("cta", ()))
    scenes = tuple(
        SceneInput(
            scene=Scene(index=at, kind=kind, narration="-", headline=title, kicker=title[:12], lines=lines),
            audio_path=Path("/voice.wav"),
            duration_seconds=6.0,
            words=words(said),
        )
        for at, (kind, lines) in enumerate(kinds)
    )
    values: dict[str, Any] = {"product_name": title or "x", "cta_text": title[:30], "price": "19 " + title[:6]}
    values |= {"scenes": scenes, "output": folder / "film.mp4", "work_dir": folder}
    return RenderJob.model_validate(values | changes)


def planned(folder: Path, title: str, said: str, **changes: Any) -> Timeline:
    order = job(folder, title, said, **changes)
    return plan(order, {}, tailor.prepare(order, folder / "fonts"))


@pytest.fixture(scope="module")
def wardrobe(tmp_path_factory: pytest.TempPathFactory) -> fonts.Wardrobe:
    folder = tmp_path_factory.mktemp("faces")
    return tailor.prepare(job(folder, ALPHABET, ALPHABET, style="elegant", product_name="x"), folder / "fonts")


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nobody has run `make fonts`, and whose system has none either."""
    monkeypatch.setattr(font_files, "PACKAGES", ())
    monkeypatch.setattr(font_files, "SYSTEM", ())


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (
            {"product_name": "قارورة نوفا"},
            r"product_name='قارورة نوفا': there is no font for Arabic .*make fonts.*fonts-noto-core",
        ),
        ({"features": ["Cold", "ठंडा"]}, r"features\.1='ठंडा': there is no font for Devanagari"),
        ({"cta_text": "今すぐ"}, r"cta_text='今すぐ': there is no font for Japanese .*fonts-noto-cjk"),
        ({"script": [{"narration": "Look: 保冷"}]}, r"script\.0\.narration='Look: 保冷': there is no font for Chinese"),
        ({"language": "he"}, r"language='he': there is no font for Hebrew"),
        ({"price": "١٩٩"}, r"price='١٩٩': there is no font for Arabic"),
        ({"description": "ᏣᎳᎩ"}, r"description='ᏣᎳᎩ': there is no font for Cherokee"),
    ],
)
def test_without_a_font_the_door_refuses_and_says_what_to_install(
    no_fonts: None, client: RedisClient, payload: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Unsupported, match=sentence):
        client.prepare("job-1", {"product_name": "Nova Flask"} | payload)


@pytest.mark.parametrize("name", ["Nova Flask", "Фляга Нова", "Φλασκ Ω", "Đặc biệt 🇻🇳 ✔ 100 ₹ ™", "𝗕𝗼𝗹𝗱 Ｗｉｄｅ ①"])
def test_what_the_vendored_faces_write_needs_no_font(no_fonts: None, client: RedisClient, name: str) -> None:
    assert client.prepare("job-1", {"product_name": name}).payload["product_name"] == name


def test_a_film_without_its_font_fails_for_good(no_fonts: None, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"no font for Arabic on this machine; run `make fonts`"):
        tailor.prepare(job(tmp_path, *TEXTS["ar"]), tmp_path / "fonts")


def test_a_font_that_lacks_a_letter_is_named_with_it(
    no_fonts: None, setting: Callable[[str, object], None], tmp_path: Path
) -> None:
    real = next(folder for folder in font_files_of_package() if (folder / "NotoSansHebrew[wght].ttf").exists())
    (tmp_path / "NotoSansArabic-Bold.ttf").symlink_to(real / "NotoSansHebrew[wght].ttf")
    setting("FONT_DIRS", tmp_path)
    with pytest.raises(Unsupported, match=r"NotoSansArabic-Bold\.ttf for Arabic lacks 'ق' \(ARABIC LETTER QAF\)"):
        tailor.prepare(job(tmp_path, *TEXTS["ar"]), tmp_path / "fonts")


def test_a_file_that_is_no_font_is_named(
    no_fonts: None, setting: Callable[[str, object], None], tmp_path: Path
) -> None:
    (tmp_path / "NotoSansArabic-Bold.ttf").write_bytes(b"no font")
    setting("FONT_DIRS", tmp_path)
    with pytest.raises(Unsupported, match=r"the font NotoSansArabic-Bold\.ttf cannot be used"):
        tailor.prepare(job(tmp_path, *TEXTS["ar"]), tmp_path / "fonts")


def font_files_of_package() -> Iterator[Path]:
    from importlib.util import find_spec

    for name in ("manimgx_fonts", "manimgx_fonts_cjk"):
        spec = find_spec(name)
        assert spec is not None, f"{name} belongs to the dev group"
        yield from map(Path, spec.submodule_search_locations or ())


def test_files_are_known_by_their_names_and_the_users_come_first(
    no_fonts: None, setting: Callable[[str, object], None], tmp_path: Path
) -> None:
    for name in (
        "NotoSansThai-Regular.ttf",
        "NotoSansThai-Bold.ttf",
        "NotoSansThaiLooped-Black.ttf",
        "NotoSansCJK-Bold.ttc",
    ):
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "NotoSansKR[wght].ttf").touch()
    setting("FONT_DIRS", f"/nowhere:{tmp_path}")

    def found(script: str, *, bold: bool) -> str:
        file = font_files.find(script, bold=bold)
        return file.path.name if file else ""

    assert found("Thai", bold=True) == "NotoSansThai-Bold.ttf"
    assert found("Thai", bold=False) == "NotoSansThai-Regular.ttf"
    assert found("KR", bold=True) == "NotoSansKR[wght].ttf"
    assert found("JP", bold=False) == "NotoSansCJK-Bold.ttc"
    assert found("Arabic", bold=True) == ""


def test_the_ideographs_of_a_text_are_those_of_its_language() -> None:
    assert list(scripts.needed(["骨 Bones"], "zh-TW")) == ["TC"]
    assert list(scripts.needed(["骨 Bones"], "ja")) == ["JP"]
    assert list(scripts.needed(["骨 Bones"])) == ["SC"]
    assert list(scripts.needed(["骨", "のり"])) == ["JP"]
    assert list(scripts.needed(["漢 한글"])) == ["KR"]
    assert scripts.needed(["है।", "٪"]) == {"Devanagari": "है।", "Arabic": "٪"}


def test_a_cut_face_has_every_letter_in_some_kilobytes_and_a_name_of_ours(wardrobe: fonts.Wardrobe) -> None:
    from fontTools.ttLib import TTFont

    cut = {face.family for face in wardrobe.bold}
    assert cut == {f"Film {script} Bold" for script in ("Arabic", "Hebrew", "Devanagari", "JP", "KR", "Thai")}
    for face in (*wardrobe.bold, *wardrobe.plain):
        assert Path(face.file).stat().st_size < 60_000
        with TTFont(face.file) as font:
            assert "fvar" not in font
            assert font["name"].getDebugName(1) == face.family
    shown = clean(ALPHABET.replace("{", "").replace("}", "").replace("\\", ""))
    assert "".join(part for _, part in fonts.runs(shown, wardrobe.dress(fonts.BEBAS))) == shown


def render(timeline: Timeline, document: str, folder: Path, *, seconds: int) -> tuple[Any, str]:
    """The brightest of each pixel of one frame a second, on black, and what libass said of fonts."""
    (folder / "film.ass").write_text(document, encoding="utf-8")
    faces = folder / "fonts" if (folder / "fonts").exists() else fonts.FONTS
    size = f"{timeline.width}x{timeline.height}"
    done = subprocess.run(
        [
            encode.ffmpeg(), "-v", "verbose", "-nostdin", "-f", "lavfi", "-i", f"color=black:s={size}:r=1:d={seconds}",
            "-vf", f"setpts=PTS+0.9/TB,ass=filename={folder / 'film.ass'}:fontsdir={faces},format=gray", "-f", "rawvideo", "-",
        ],
        capture_output=True,
        check=True,
        timeout=120,
    )  # fmt: skip
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, timeline.height, timeline.width)
    assert len(frames) == seconds
    chosen = [line for line in done.stderr.decode().splitlines() if "fontselect" in line or "allback" in line]
    return frames.max(axis=0), "\n".join(chosen)


def box_of_ink(picture: Any) -> Rect:
    rows, columns = np.nonzero(picture.max(axis=1) > 90)[0], np.nonzero(picture.max(axis=0) > 90)[0]
    return Rect(columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0])


def text_only(document: str) -> str:
    """The file without boxes, and every letter white: what is lit is text."""
    kept = [line for line in document.splitlines() if not line.startswith("Dialogue:") or "\\p3}" not in line]
    return re.sub(r"\\1c&H[0-9A-F]{6}&", r"\\1c&HFFFFFF&", "\n".join(kept)) + "\n"


@pytest.mark.parametrize("style", THEMES)
@pytest.mark.parametrize("language", TEXTS)
def test_a_drawn_film_uses_our_faces_only_and_its_ink_stays_in_the_safe_area(
    language: str, style: str, tmp_path: Path
) -> None:
    title, said = TEXTS[language]
    timeline = planned(tmp_path, title, said, style=style, language="en" if language == "mixed" else language)
    picture, chosen = render(timeline, text_only(ass.document(timeline)), tmp_path, seconds=30)
    ours = {face.family for face in (*fonts.VENDORED, *timeline.wardrobe.bold, *timeline.wardrobe.plain)}
    picked = [line for line in chosen.splitlines() if "->" in line]
    assert picked
    assert "allback" not in chosen
    for line in picked:
        asked = line.partition("fontselect: (")[2].partition(",")[0]
        assert asked in ours, line
        assert (
            "/fonts/" in line or "Film-" in line or any(face in line for face in ("Inter", "Spartan", "Bebas", "Cardo"))
        ), line
    assert STAGES["9:16"].safe.holds(box_of_ink(picture), slack=2), box_of_ink(picture)


@pytest.mark.parametrize("word", ["تحافظ", "فجأة", "شراب", "نوفا،", "ठंडा", "भेजी", "שומר", "ノヴァ", "ชั่วโมง"])
def test_the_ink_of_a_word_is_where_the_plan_says(word: str, tmp_path: Path) -> None:
    order = job(tmp_path, "Nova", word)
    faces = tailor.prepare(order, tmp_path / "fonts")
    timeline = plan(order, {}, faces)
    page = replace(timeline.pages[0], start=0.0, end=9.0)
    shown = replace(page.words[0], start=0.5, end=8.5)
    film = replace(timeline, labels=(), shapes=(), pages=(replace(page, words=(shown,)),))
    picture, _ = render(film, text_only(ass.document(film)), tmp_path, seconds=1)
    ink = box_of_ink(picture)
    # Side bearings of the first and last letter make up the difference.
    assert abs(ink.cx - shown.x) < 6
    assert shown.width * 0.86 < ink.width < shown.width + 5


def test_words_from_right_to_left_keep_latin_ones_in_their_order(wardrobe: fonts.Wardrobe) -> None:
    look = dressed(THEMES["minimal"], wardrobe).caption
    band, span = captions.Band(540, 1425, 1400, 1.0), captions.Span(0, 0, 9)
    (page,) = captions.place(words("على Nova Flask قارورة"), look, band, span)
    first, nova, flask, last = page.words
    assert last.x < nova.x < flask.x < first.x
    assert page.rtl
    edges = sorted((word.x - word.width / 2, word.x + word.width / 2) for word in page.words)
    for (_, right), (left, _) in pairwise(edges):
        assert left - right == pytest.approx(captions.SPACE_EM * page.px, abs=0.1)


def test_a_page_that_begins_with_latin_runs_as_its_text_does(wardrobe: fonts.Wardrobe) -> None:
    look = dressed(THEMES["minimal"], wardrobe).caption
    band, span = captions.Band(540, 1425, 500, 1.0), captions.Span(0, 0, 9)
    pages = captions.place(words("تحافظ على البرودة. Flask قارورة"), look, band, span)
    last = pages[-1].words
    assert [word.text for word in last] == ["Flask", "قارورة"]
    assert last[0].x > last[1].x


def test_numbers_and_stops_go_with_the_text_around_them() -> None:
    assert visual_order(["على", "24", "ساعة"], rtl=True) == [2, 1, 0]
    assert visual_order(["Nova", "24", "على"], rtl=True) == [2, 0, 1]
    assert visual_order(["See", "على", "ساعة", "now"], rtl=False) == [0, 2, 1, 3]
    assert as_placed(["Nova,", "على!"]) == ["\u200fNova,", "على!"]
    assert as_placed(["Nova", "Flask", "(24"]) == ["Nova", "Flask", "(24"]


def test_a_japanese_sentence_is_captioned_in_phrases_that_share_its_time(wardrobe: fonts.Wardrobe) -> None:
    sentence = "ノヴァフラスコ、二十四時間ノヴァ。フラスコノヴァ二十四時間"
    look = dressed(THEMES["minimal"], wardrobe).caption
    spoken = (Word(text=sentence, start=1.0, end=4.0),)
    shown = captions.shown_words(spoken, look, look.px, 820)
    assert "".join(word.text for word in shown) == sentence
    assert [word.text for word in shown][:2] == ["ノヴァフラスコ、", "二十四時間"]
    assert [shown[0].start, shown[-1].end] == pytest.approx([1.0, 4.0])
    assert all(before.end == after.start for before, after in pairwise(shown))
    pages = captions.place(spoken, look, captions.Band(540, 1425, 820, 1.0), captions.Span(0, 0, 9))
    assert len(pages) > 1
    assert all(page.width <= 820.5 and page.px == look.px for page in pages)


def test_lines_of_japanese_neither_begin_with_a_stop_nor_end_with_a_bracket() -> None:
    text = "これは「ノヴァ」、二十四時間（つめたさ）が続く。ちょっとコーヒーはいかが？"
    for phrase in (breaks.pieces(text), breaks.phrases(text), breaks.phrases(text, 4)):
        assert "".join(phrase) == text
        assert not any(part[0] in breaks.NO_START or part[-1] in breaks.NO_END for part in phrase)


def test_signs_are_never_torn_from_their_marks() -> None:
    assert breaks.clusters("फ्लास्क") == ["फ्ला", "स्क"]
    assert breaks.clusters("น้ำโนวา") == ["น้", "ำ", "โน", "ว", "า"]
    assert "".join(breaks.clusters("क्\u200dष")) == "क्\u200dष"
    assert len(breaks.clusters("क्\u200dष")) == 1


def test_a_word_of_42_letters_is_divided_with_hyphens_in_latin_only(wardrobe: fonts.Wardrobe) -> None:
    look = dressed(THEMES["bold"], wardrobe).caption
    for word in ("Donaudampfschifffahrtselektrizitätenwerkes", "नोवाफ्लास्कचौबीसघंटेठंडा" * 3, "قارورةنوفاتحافظ" * 3):
        shown = captions.shown_words([Word(text=word, start=0, end=3)], look, look.px, 700)
        assert len(shown) > 1
        marks = {part.text[-1] == "-" for part in shown[:-1]}
        assert marks == {word.startswith("Donau")}
        assert "".join(part.text.removesuffix("-") for part in shown) == clean(word, upper=True)


@pytest.mark.parametrize("style", THEMES)
@settings(deadline=None, max_examples=15)
@given(title=st.text(ALPHABET, min_size=1, max_size=75), said=st.text(ALPHABET, min_size=1, max_size=160))
def test_no_text_of_any_kind_leaves_the_safe_area(style: str, wardrobe: fonts.Wardrobe, title: str, said: str) -> None:
    for aspect, stage in STAGES.items():
        timeline = plan(job(Path("/work"), title, said, style=style, aspect=aspect, url="x" * 120), {}, wardrobe)
        for label in timeline.labels:
            width = fonts.width(label.text, label.face, label.px, tracking=label.tracking)
            left = label.x if label.left else label.x - width / 2
            high = label.px * (0.36 + fonts.rise(label.text, label.face))
            box = Rect(left, label.y - high, width, high + label.px * 0.36)
            assert stage.safe.holds(box, slack=2), (aspect, label)
        for page in timeline.pages:
            for word in page.words:
                box = Rect(word.x - word.width / 2, page.y - page.px / 2, word.width, page.px)
                assert stage.safe.holds(box, slack=2), (aspect, page)
        ass.document(timeline).encode("utf-8")


@pytest.mark.film
def test_a_film_of_many_scripts_is_made_by_the_child_and_leaves_no_fonts_behind(tmp_path: Path) -> None:
    speech(tmp_path / "voice.wav", 2.8)
    title, said = TEXTS["mixed"]
    order = job(tmp_path / "work", title, said, style="bold", output=tmp_path / "film.mp4")
    scenes = tuple(
        scene.model_copy(
            update={"audio_path": tmp_path / "voice.wav", "duration_seconds": 2.8, "words": words(said, 2.7)}
        )
        for scene in order.scenes[:2]
    )
    result = by_the_child(order.model_copy(update={"scenes": scenes}))[-1]["result"]
    assert (tmp_path / "film.mp4").stat().st_size > 100_000
    assert {str(path) for path in (tmp_path / "work").iterdir()} == {*result["beside"].values(), *result["posters"]}
    assert "قارورة" in Path(result["beside"]["subtitles_srt"]).read_text(encoding="utf-8")
