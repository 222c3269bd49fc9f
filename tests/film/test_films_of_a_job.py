"""What a job may ask for besides its facts: several films, a preview, its own voice, none, a logo."""

from __future__ import annotations

import wave
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest

from artifacts import Artifact, open_store
from errors import InvalidInput
from pipeline.catalog.base import find_pipeline, validate_payload
from pipeline.film import probe
from pipeline.film.script import Script, Word
from pipeline.film.subtitles import subtitle_words
from pipeline.film.voice_over import VoiceOverJob, cut_scene
from pipeline.providers.speech import tokens_of
from redis_client.client import RedisClient
from tests.film.test_product_video import FACTS, FILM_SECONDS, enqueue, executions, film_of, picture
from tests.support.agree import assert_agree
from tests.support.workers import WorkerProcess

Start = Callable[..., WorkerProcess]
PREVIEW: dict[str, Any] = {"quality": "preview", "duration_seconds": 8}


def logo(path: Path) -> Path:
    from PIL import Image, ImageDraw

    image = Image.new("RGBA", (600, 240))
    ImageDraw.Draw(image).ellipse((120, 60, 480, 180), fill=(200, 30, 60, 255))
    image.save(path)
    return path


def run(start_worker: Start, name: str = "worker-1") -> WorkerProcess:
    worker = start_worker(name, "--drain")
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    return worker


def test_several_films_share_script_voice_and_pictures(
    client: RedisClient, start_worker: Start, tmp_path: Path
) -> None:
    given = {"aspects": ["9:16", "16:9"], "variants": 2, "logo": str(logo(tmp_path / "logo.png"))}
    images = [str(picture(tmp_path / "flask.jpg"))]
    enqueue(client, "films", tmp_path=tmp_path, images=images, **given, **PREVIEW)
    run(start_worker)
    status = client.get_job_status("films")
    assert status["status"] == "completed", status
    films = status["result"]
    assert [(one["aspect"], one["opening"]) for one in films] == [("9:16", 0), ("16:9", 0), ("9:16", 1), ("16:9", 1)]
    assert [(one["width"], one["height"], one["fps"]) for one in films[:2]] == [(720, 1280, 15), (1280, 720, 15)]
    assert len({one["video"]["name"] for one in films}) == 4
    openings = [" ".join(word["text"] for word in one["captions"]) for one in films]
    assert openings[0] == openings[1] != openings[2] == openings[3]
    done = executions(client, "films")
    scenes = sum(stage == "video_gen" for stage, _ in done)
    assert sum(stage == "voice_gen" for stage, _ in done) == scenes + 1
    assert sum(stage == "compositing" for stage, _ in done) == 4
    assert set(done.values()) == {1}
    for one in films:
        path = open_store().path(Artifact.model_validate(one["video"]))
        faults = probe.measure(path)
        assert (faults.black, faults.frozen, faults.complaints) == ((), (), "")
        assert abs(faults.lufs + 14) <= 1
    assert_agree(client, workers=0)


def test_music_and_captions_of_another_kind_make_neither_voice_nor_pictures_anew(
    client: RedisClient, start_worker: Start
) -> None:
    enqueue(client, "first", stop_after="video_gen")
    run(start_worker)
    enqueue(client, "again", stop_after="video_gen", music=False, quality="preview")
    again = run(start_worker, "worker-2")
    done = executions(client, "again")
    assert {count for (stage, _), count in done.items() if stage in {"voice_gen", "video_gen"}} == {0}
    assert {event["stage"] for event in again.events("stage_started")} == {"script_gen"}


@pytest.mark.slow
def test_a_silent_film_has_its_words_at_a_readers_pace(client: RedisClient, start_worker: Start) -> None:
    enqueue(client, "mute", mute=True, music=False, **PREVIEW)
    run(start_worker)
    path, result = film_of(client, "mute")
    assert result["providers"]["speak"] == "silence"
    assert probe.measure(path).lufs < -60
    starts = [word["start"] for word in result["captions"]]
    assert starts == sorted(starts)
    assert result["duration_seconds"] == pytest.approx(8, rel=0.3)


def recording(scenes: list[dict[str, Any]], path: Path, pause: float) -> list[float]:
    """The scenes' sounds one after the other, with pauses; where each begins, in seconds."""
    begins, frames, rate = [], b"", 1
    for scene in scenes:
        with wave.open(str(open_store().path(Artifact.model_validate(scene["audio"])))) as file:
            rate = file.getframerate()
            begins.append(len(frames) / 2 / rate)
            frames += file.readframes(file.getnframes()) + bytes(2 * round(pause * rate))
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(frames)
    return begins


def test_a_recording_is_cut_at_the_scenes_and_its_words_are_found(
    client: RedisClient, start_worker: Start, tmp_path: Path
) -> None:
    """Piper's own times of the same sound are the truth."""
    enqueue(client, "spoken", stop_after="voice_gen", duration_seconds=20)
    run(start_worker)
    scenes = client.get_job_status("spoken")["result"]
    texts = tuple(tuple(tokens_of(" ".join(word["text"] for word in scene["words"]), "en")) for scene in scenes)
    path = tmp_path / "mine.wav"
    recording(scenes, path, pause=0.5)
    late: list[float] = []
    for scene in scenes:
        output = tmp_path / f"{scene['index']}.wav"
        found = cut_scene(VoiceOverJob(recording=path, scenes=texts, index=scene["index"], output=output))
        assert found["duration_seconds"] == pytest.approx(scene["duration_seconds"], abs=0.35)
        own = [word["start"] - scene["words"][0]["start"] for word in scene["words"]]
        late += [abs(a["start"] - found["words"][0]["start"] - b) for a, b in zip(found["words"], own, strict=True)]
    assert median(late) < 0.08
    assert quantiles(late, n=10)[8] < 0.25


@pytest.mark.slow
def test_a_film_with_its_owners_voice(client: RedisClient, start_worker: Start, tmp_path: Path) -> None:
    script = [{"narration": "This is Nova Flask."}, {"narration": "It keeps drinks cold all day, and it never leaks."}]
    enqueue(client, "spoken", script=script, stop_after="voice_gen")
    run(start_worker)
    recording(client.get_job_status("spoken")["result"], tmp_path / "mine.wav", pause=0.6)
    enqueue(client, "own", tmp_path=tmp_path, script=script, voice_file=str(tmp_path / "mine.wav"), **PREVIEW)
    run(start_worker, "worker-2")
    path, result = film_of(client, "own")
    assert result["providers"]["speak"] == "own"
    assert abs(probe.measure(path).lufs + 14) <= 1


@pytest.mark.parametrize(
    ("pause", "texts", "said"),
    [
        (0.0, (tuple((word, word) for word in ("one", "two", "three")),) * 6, "pauses, and 6 scenes need 5"),
        (0.5, ((("word", "word"),) * 200,) * 2, "the script takes about"),
    ],
)
def test_a_recording_of_something_else_is_refused(tmp_path: Path, pause: float, texts: Any, said: str) -> None:
    import numpy as np

    rate, path = 16_000, tmp_path / "hum.wav"
    hum = (np.sin(np.arange(rate * 4) * 0.1) * 9000).astype("<i2")
    hum[rate : rate + round(pause * rate)] = 0
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(hum.tobytes())
    with pytest.raises(InvalidInput, match=said):
        cut_scene(VoiceOverJob(recording=path, scenes=texts, index=0, output=tmp_path / "x.wav"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"aspects": ["9:16", "9:16"]}, "aspects=.*: should name each aspect once"),
        ({"aspects": ["4:3"]}, "aspects.0='4:3': should be '9:16'"),
        ({"variants": 4}, "variants=4: should be less than or equal to 3"),
        ({"variants": 2, "script": [{"narration": "Hello."}]}, "variants=2: should be 1 with a script of your own"),
        ({"subtitle_language": "deutsch"}, "subtitle_language='deutsch': should be a language tag such as en or pt-BR"),
        ({"language": "xx"}, "language='xx': should begin with the ISO 639-1 code of a language, such as en"),
        ({"language": "jp"}, "language='jp': should begin with the ISO 639-1 code of a language; did you mean 'ja'?"),
        ({"language": ""}, "language='': should have at least 2 characters"),
        ({"brand_color": "teal"}, "brand_color='teal': should be a colour such as #1C6B67"),
        ({"quality": "draft"}, "quality='draft': should be 'full' or 'preview'"),
        ({"voice_file": "https://example.com/a.mp3"}, "voice_file=.*should come with the `script`"),
        (
            {"voice_file": "https://example.com/a.mp3", "script": [{"narration": "Hello."}], "mute": True},
            "mute=True: should be false with a voice_file",
        ),
    ],
)
def test_what_does_not_go_together_is_named(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        validate_payload(find_pipeline("product_video"), {"product_name": "Nova", **given})


@pytest.mark.parametrize("language", ["en", "pt-BR", "es-419", "zh-Hant"])
def test_a_language_may_have_a_region_or_a_script(language: str) -> None:
    payload = validate_payload(
        find_pipeline("product_video"), {"product_name": "Nova", "language": language, "mute": True}
    )
    assert payload.language == language  # type: ignore[attr-defined]


def test_another_language_has_one_opening_only() -> None:
    from pipeline.providers.base import Brief, no_check
    from pipeline.providers.local_writer import LocalWriter

    english = LocalWriter().write(Brief("Nova", openings=3), no_check)
    assert len({scene.narration for scene in (english.scenes[0], *english.openings)}) == 3
    assert isinstance(english, Script)
    assert [scene.index for scene in english.openings] == [len(english.scenes), len(english.scenes) + 1]
    with pytest.raises(InvalidInput, match=r"variants=2: the local writer knows 1 opening in 'de'"):
        LocalWriter().write(Brief("Nova", openings=2, language="de"), no_check)


def test_a_logo_that_is_none_is_refused_at_the_door(client: RedisClient, tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"<svg></svg>")
    with pytest.raises(Exception, match=r"logo=.*logo\.png.*is not a JPEG"):
        client.prepare("x", FACTS | {"logo": str(tmp_path / "logo.png")}, roots=[tmp_path])


def test_a_subtitle_takes_the_time_of_what_is_said() -> None:
    spoken = (Word(text="It's", start=0.2, end=0.4), Word(text="cold.", start=0.5, end=1.4))
    shown = subtitle_words("Es ist sehr kalt.", spoken)
    assert [word.text for word in shown] == ["Es", "ist", "sehr", "kalt."]
    assert (shown[0].start, round(shown[-1].end, 6)) == (0.2, 1.4)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(shown))
    assert subtitle_words("Kalt", ()) == ()


def test_captions_in_another_language_than_the_voice(client: RedisClient, start_worker: Start) -> None:
    script = [
        {"narration": "This is Nova Flask.", "subtitle": "Das ist Nova Flask."},
        {"narration": "Order today.", "subtitle": "Bestelle noch heute."},
    ]
    enqueue(client, "own", script=script, subtitle_language="de", **PREVIEW)
    enqueue(client, "none", subtitle_language="de", stop_after="script_gen")
    run(start_worker)
    _, result = film_of(client, "own")
    assert " ".join(word["text"] for word in result["captions"]) == "Das ist Nova Flask. Bestelle noch heute."
    subtitles = open_store().path(Artifact.model_validate(result["subtitles_srt"])).read_text()
    assert "Bestelle noch heute." in subtitles
    status = client.get_job_status("none")
    assert status["status"] == "failed"
    assert "subtitle_language='de': nothing here translates" in status["error"]
