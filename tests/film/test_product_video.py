"""`product_video` through the real worker: the produced file is measured, not just present."""

from __future__ import annotations

import json
import platform
import signal
import sys
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pytest
from typer.testing import CliRunner

import jobs
from artifacts import Artifact, open_store
from errors import InvalidInput, Unsupported
from pipeline.film import probe
from pipeline.replay import replay
from redis_client.client import RedisClient
from tests.film.test_promises import LINES, aligned_sound
from tests.support.agree import assert_agree
from tests.support.workers import WorkerProcess, wait_for

FILM_SECONDS = 240.0
HALF_LINE = 0.02  # of a caption's box, in shares of the height
FACTS = {
    "product_name": "Nova Flask",
    "features": ["Keeps drinks cold for 24 hours", "Leakproof lid"],
    "cta_text": "Buy now",
    "url": "novaflask.example",
    "duration_seconds": 8,
    "seed": 7,
}
Start = Callable[..., WorkerProcess]


def picture(path: Path, size: tuple[int, int] = (1200, 900)) -> Path:
    """A photo of sorts: something to see, different in every corner."""
    from PIL import Image, ImageDraw

    image = Image.radial_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(image).rectangle((size[0] // 3, size[1] // 4, size[0] // 2, size[1] // 2), fill=(200, 80, 30))
    image.save(path, quality=90)
    return path


def clip(path: Path, *, seconds: float = 2.0, rate: int = 10) -> Path:
    """A film of a green field that becomes brighter."""
    import av
    import numpy as np

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(round(seconds * rate)):
            pixels = np.zeros((180, 320, 3), np.uint8)
            pixels[..., 1] = 120 + 5 * number
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    return path


def image_of(frame: Any) -> Any:
    return frame.to_image()


def film_of(client: RedisClient, job_id: str) -> tuple[Path, dict[str, Any]]:
    result = client.get_job_status(job_id)["result"]
    return open_store().path(Artifact.model_validate(result["video"])), result


def enqueue(client: RedisClient, job_id: str, *, tmp_path: Path | None = None, **changes: Any) -> None:
    job = client.prepare(job_id, FACTS | changes, roots=[tmp_path] if tmp_path else None)
    client.enqueue_many([job])


def executions(client: RedisClient, job_id: str) -> dict[tuple[str, str], int]:
    stages = client.get_job(job_id)["stages"]
    return {(row["stage"], row["item"]): row["executions"] for row in stages}


def read_captions(path: Path, result: dict[str, Any]) -> float:
    """The share of spoken words that OCR reads in the caption band while they are said."""
    import av
    import tesserocr

    words = result["captions"]
    pages = json.loads(open_store().path(Artifact.model_validate(result["timeline"])).read_text())["pages"]
    heights = [page["y"] / 1920 for page in pages for _ in page["words"]]
    seen: set[str] = set()
    data = str(Path(sys.prefix) / "share" / "tessdata")
    with av.open(str(path)) as film, tesserocr.PyTessBaseAPI(path=data, psm=tesserocr.PSM.SINGLE_LINE) as reader:
        wanted = iter(zip(words, heights, strict=True))
        word, height = next(wanted)
        for frame in film.decode(film.streams.video[0]):
            if frame.time is None or frame.time < (word["start"] + word["end"]) / 2:
                continue
            for image in plain_lines(image_of(frame), height):
                reader.SetImage(image)
                seen.update(reader.GetUTF8Text().lower().split())
            word, height = next(wanted, (None, 0.0))
            if word is None:
                break
    found = [any(SequenceMatcher(None, one["text"].lower(), other).ratio() >= 0.7 for other in seen) for one in words]
    return sum(found) / len(found)


def plain_lines(frame: Any, middle: float) -> list[Any]:
    """The caption line as OCR wants it: the words around the coloured chip of the spoken one, and the chip inverted."""
    import numpy as np
    from PIL import Image

    top, bottom = (round((middle + side * HALF_LINE) * frame.height) for side in (-1, 1))
    band = np.asarray(frame)[top:bottom].astype(int)
    chip = band.max(axis=2) - band.min(axis=2) > 50
    gray = np.asarray(frame.convert("L"))[top:bottom].copy()
    columns = np.flatnonzero(chip.mean(axis=0) > 0.2)
    if not columns.size:
        return [Image.fromarray(gray)]
    left, right = int(columns[0]), int(columns[-1]) + 1
    spoken = 255 - gray[:, left:right]
    gray[:, left:right] = 255
    return [Image.fromarray(gray), Image.fromarray(np.pad(spoken, 12, constant_values=255))]


def check_what_comes_with_it(job_id: str, result: dict[str, Any], folder: Path) -> None:
    """Through the commands: captions, posters and timeline as files; and a sheet of stills."""
    from PIL import Image

    run_cli = CliRunner()
    done = run_cli.invoke(jobs.app, ["files", job_id, "--out", str(folder / "out"), "--json"])
    assert done.exit_code == 0, done.output
    found = {path.name: path for path in (folder / "out").iterdir()}
    # The first of them is the thumbnail, under the film's own name.
    posters = [f"nova-flask-poster-{number}.jpg" for number in range(2, len(result["posters"]) + 1)]
    ends = ("-script.json", "-timeline.json", ".jpg", ".mp4", ".srt", ".vtt")
    assert sorted(found) == sorted([*posters, *(f"nova-flask{end}" for end in ends)])
    for name in ("nova-flask.jpg", *posters):
        with Image.open(found[name]) as still:
            assert still.size == (1080, 1920)
    stills = [found[name].read_bytes() for name in ("nova-flask.jpg", *posters)]
    assert len(set(stills)) == len(stills) >= 2  # each of another scene
    said = [word["text"] for word in result["captions"]]
    lines = found["nova-flask.srt"].read_text().splitlines()
    assert " ".join(line for line in lines if line and not line.isdigit() and "-->" not in line).split() == said
    assert found["nova-flask.vtt"].read_text().startswith("WEBVTT\n\n00:00:0")
    assert json.loads(found["nova-flask-timeline.json"].read_text())["fps"] == 30
    script = json.loads(found["nova-flask-script.json"].read_text())
    assert " ".join(scene["narration"] for scene in script["scenes"]).split() == said
    sheet = folder / "sheet.png"
    assert run_cli.invoke(jobs.app, ["frames", job_id, "--out", str(sheet)]).exit_code == 0
    with Image.open(sheet) as whole:
        assert whole.width == 6 * 300 + 5 * 6


def test_a_film_is_made_and_measured(client: RedisClient, start_worker: Start, tmp_path: Path) -> None:
    photo = picture(tmp_path / "flask.jpg")
    enqueue(client, "film", tmp_path=tmp_path, images=[str(photo)])
    worker = start_worker("worker-1", "--drain")
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    status = client.get_job_status("film")
    assert status["status"] == "completed", status
    assert status["cost_usd"] == 0
    path, result = film_of(client, "film")

    seen = probe.streams(path)
    assert (seen.video, seen.profile, seen.pixels) == ("h264", "High", "yuv420p")
    assert (seen.width, seen.height, seen.fps) == (1080, 1920, 30.0)
    assert (seen.audio, seen.rate, seen.channels) == ("aac", 48000, 2)
    assert abs(seen.audio_seconds - seen.video_seconds) <= 0.05
    assert seen.frames == round(result["duration_seconds"] * 30)
    assert seen.faststart
    faults = probe.measure(path)
    assert -15 <= faults.lufs <= -13
    assert faults.peak <= -1.0
    assert (faults.black, faults.frozen, faults.silent, faults.complaints) == ((), (), (), "")
    assert read_captions(path, result) >= 0.95
    check_what_comes_with_it("film", result, tmp_path)

    # A second film that differs in its last words alone speaks only those anew, and prepares only their pictures.
    enqueue(client, "again", tmp_path=tmp_path, images=[str(photo)], cta_text="Order today")
    second = start_worker("worker-2", "--drain")
    assert second.wait(FILM_SECONDS) == 0, second.text()
    assert client.get_job_status("again")["status"] == "completed"
    done = executions(client, "again")
    assert done["compositing", ""] == 1
    assert any(count == 0 for (stage, _), count in done.items() if stage == "voice_gen"), done
    assert second.events("stage_reused")
    assert_agree(client, workers=0)


def test_a_broken_picture_is_refused_at_the_door(client: RedisClient, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(picture(tmp_path / "whole.jpg").read_bytes()[:3000])
    with pytest.raises(InvalidInput, match=r"torn\.jpg"):
        enqueue(client, "torn", tmp_path=tmp_path, images=[str(torn)])
    playlist = tmp_path / "clip.jpg"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    with pytest.raises(Unsupported, match=r"clip\.jpg"):
        enqueue(client, "playlist", tmp_path=tmp_path, images=[str(playlist)])
    with pytest.raises(InvalidInput, match="INPUT_ROOTS"):
        client.prepare("outside", FACTS | {"images": [str(tmp_path / "whole.jpg")]})
    assert client.list_jobs() == []


def test_a_picture_that_turns_bad_later_is_a_permanent_error(
    client: RedisClient, start_worker: Start, tmp_path: Path
) -> None:
    enqueue(client, "bad", tmp_path=tmp_path, images=[str(picture(tmp_path / "photo.jpg"))])
    image = Artifact.model_validate(client.get_job("bad")["payload"]["images"][0])
    open_store().path(image).write_bytes(b"\xff\xd8\xff" + b"rubbish" * 100)
    worker = start_worker("worker-1", "--drain")
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    status = client.get_job_status("bad")
    assert (status["status"], status["error_stage"], status["attempt"]) == ("failed", "video_gen", 1)
    assert "photo.jpg" in status["error"]
    assert not worker.events("job_retry_scheduled")
    assert_agree(client, workers=0)


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        pytest.param("compositing", signal.SIGTERM),
        pytest.param("voice_gen", signal.SIGKILL),
        pytest.param("video_gen", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("voice_gen", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("video_gen", signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("compositing", signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_goes_in_mid_film_repeats_no_finished_part(
    client: RedisClient, start_worker: Start, stage: str, number: signal.Signals
) -> None:
    lease = {"LEASE_SECONDS": "3", "BEAT_SECONDS": "1", "SWEEP_SECONDS": "0.5"}
    enqueue(client, "film")
    first = start_worker("worker-1", **lease)
    first.wait_for_event("stage_started", FILM_SECONDS, stage=stage)
    first.signal(number)
    first.wait(FILM_SECONDS)
    kept = {(event["stage"], event["item"]) for event in first.events("stage_completed")}
    wait_for(lambda: children_of_our_state(first.pid) == [], what="the end of the worker's children")
    # A draining worker leaves another's live lease alone.
    wait_for(lambda: not client.queue.lease_alive("film"), what="the end of the lease")
    second = start_worker("worker-2", "--drain", **lease)
    assert second.wait(FILM_SECONDS) == 0, second.text()
    status = client.get_job_status("film")
    assert (status["status"], status["attempt"]) == ("completed", 0)
    assert status["crashes"] == (1 if number == signal.SIGKILL else 0)
    assert set(executions(client, "film").values()) == {1}
    assert not kept & {(event["stage"], event["item"]) for event in second.events("stage_started")}
    assert_agree(client, workers=0)


def children_of_our_state(_pid: int) -> list[str]:
    """Command lines of film and voice engines that are still alive and belong to this test's STATE_DIR."""
    from settings import get_settings

    state, found = str(get_settings().state_dir), []
    for folder in Path("/proc").iterdir():
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state in line and "redis" not in line:
            found.append(line)
    return found


def test_a_job_may_stop_to_be_looked_at_and_go_on(client: RedisClient, start_worker: Start) -> None:
    enqueue(client, "look", stop_after="script_gen")
    first = start_worker("worker-1", "--drain")
    assert first.wait(FILM_SECONDS) == 0, first.text()
    status = client.get_job_status("look")
    assert (status["status"], status["progress"]) == ("completed", 100)
    assert status["result"]["scenes"][0]["kind"] == "hero"
    assert {stage for stage, _ in executions(client, "look")} == {"script_gen"}

    voiced = replay(client, "look", from_stage="voice_gen", changes={"stop_after": "voice_gen"}, new_id="voiced")
    assert (voiced.kept, voiced.outdated) == (("script_gen",), ())
    second = start_worker("worker-2", "--drain")
    assert second.wait(FILM_SECONDS) == 0, second.text()
    assert client.get_job_status("voiced")["status"] == "completed", client.get_job_status("voiced")["error"]
    result = client.get_job_status("voiced")["result"]
    assert [one["index"] for one in result] == list(range(len(status["result"]["scenes"])))
    done = executions(client, "voiced")
    assert {stage for stage, _ in done} == {"script_gen", "voice_gen"}
    assert done["script_gen", ""] == 0
    assert_agree(client, workers=0)


def test_a_stage_that_is_none_is_refused(client: RedisClient) -> None:
    with pytest.raises(InvalidInput, match=r"stop_after='voice'.*did you mean 'voice_gen'"):
        enqueue(client, "wrong", stop_after="voice")


def test_a_users_film_may_be_a_scene(client: RedisClient, start_worker: Start, tmp_path: Path) -> None:
    """Checked at the door, and kept as it is; a photo beside it stays a photo."""
    images = [str(clip(tmp_path / "field.mp4")), str(picture(tmp_path / "flask.jpg"))]
    enqueue(client, "mixed", tmp_path=tmp_path, images=images, stop_after="video_gen")
    worker = start_worker("worker-1", "--drain")
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    plates = client.get_job_status("mixed")["result"]
    assert [plate["source"] for plate in plates][:2] == ["clip", "photo"]
    assert plates[0]["picture"]["media_type"] == "video/mp4"
    given = client.get_job("mixed")["payload"]["images"][0]
    assert plates[0]["picture"]["sha256"] == given["sha256"]


@pytest.mark.slow
def test_a_film_with_a_users_film_in_it(client: RedisClient, start_worker: Start, tmp_path: Path) -> None:
    enqueue(client, "film", tmp_path=tmp_path, images=[str(clip(tmp_path / "field.mp4", seconds=1.2))])
    worker = start_worker("worker-1", "--drain")
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    path, result = film_of(client, "film")
    assert result["providers"]["film"] == "clip"
    faults = probe.measure(path)
    assert (faults.black, faults.complaints) == ((), "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\0\0\0\x18ftypmp42" + b"\0" * 400, "the clip cannot be read"),
        (b"\x1aE\xdf\xa3" + b"\0" * 400, "the clip cannot be read"),
        (b"#EXTM3U\nfile:///etc/passwd\n" * 20, "is not a JPEG"),
    ],
)
def test_a_broken_film_is_refused_at_the_door(client: RedisClient, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "field.mp4"
    path.write_bytes(content)
    with pytest.raises((InvalidInput, Unsupported), match=f"images.0=.*field.mp4.*{said}"):
        enqueue(client, "broken", tmp_path=tmp_path, images=[str(path)])


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the aligner has no wheel for this processor")
def test_captions_follow_the_voice_in_the_finished_film(client: RedisClient, start_worker: Start) -> None:
    """With its music, after the encoder, each scene at its own place: what an aligner hears, against what is shown."""
    script = [{"narration": line} for line in LINES]
    enqueue(client, "film", script=script, style="bold", quality="preview")
    worker = start_worker("worker-1", "--drain")
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    path, result = film_of(client, "film")
    timeline = json.loads(open_store().path(Artifact.model_validate(result["timeline"])).read_text())
    sound = probe.decoded(path).mean(axis=1)
    late: list[float] = []
    for line, voice in zip(LINES, timeline["voices"], strict=True):
        begin, end = voice["start"] - 0.15, voice["start"] + voice["seconds"] + 0.15
        heard = aligned_sound(sound[round(begin * 48_000) : round(end * 48_000)], 48_000, line)
        assert heard is not None, line
        shown = [word["start"] for word in result["captions"] if begin <= word["start"] <= end]
        assert len(shown) == len(heard)
        late += [abs(a - begin - b) for a, b in zip(shown, heard, strict=True)]
    assert median(late) <= 0.06, sorted(late)
    assert quantiles(late, n=10)[8] <= 0.15, sorted(late)
