"""A film made with all three vendors: clips as its scenes, their voice, captions by their times; and one whose voice is down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.film import probe
from redis_client.client import RedisClient
from tests.film.test_product_video import FILM_SECONDS, enqueue, film_of, picture, read_captions
from tests.stub.server import Stub
from tests.support.agree import assert_agree
from tests.support.workers import WorkerProcess

pytest_plugins = ("tests.stub.fixtures",)
pytestmark = pytest.mark.slow

Start = Callable[..., WorkerProcess]


@pytest.fixture
def hosted(stub: Stub) -> dict[str, str]:
    """The settings of somebody who has all three keys."""
    return {
        "ANTHROPIC_BASE_URL": stub.anthropic_url,
        "ANTHROPIC_API_KEY": "key",
        "ELEVENLABS_BASE_URL": stub.elevenlabs_url,
        "ELEVENLABS_API_KEY": "key",
        "REPLICATE_BASE_URL": stub.replicate_url,
        "REPLICATE_API_TOKEN": "key",
        "REPLICATE_VIDEO_MODEL": "bytedance/seedance-1-lite",
    }


def make(client: RedisClient, start_worker: Start, hosted: dict[str, str], **payload: Any) -> tuple[Path, Any, Any]:
    enqueue(client, "film", **payload)
    worker = start_worker("worker-1", "--drain", **hosted)
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    status = client.get_job_status("film")
    assert status["status"] == "completed", status
    assert_agree(client, workers=0)
    return *film_of(client, "film"), status


def strong_colours(path: Path) -> float:
    """The share of frames whose middle is as colourful as the vendors' clips are, and nothing of ours is."""
    import av
    import numpy as np

    seen = []
    with av.open(str(path)) as film:
        for number, frame in enumerate(film.decode(film.streams.video[0])):
            if number % 10 == 0:
                pixels: Any = frame.to_ndarray(format="rgb24")
                middle = pixels[frame.height * 2 // 5 : frame.height * 3 // 5].astype(int)
                seen.append(float((middle.max(axis=2) - middle.min(axis=2)).mean()) > 90)
    return float(np.mean(seen))


def test_scenes_are_the_vendors_clips_with_their_voice(
    client: RedisClient, start_worker: Start, stub: Stub, hosted: dict[str, str], tmp_path: Path
) -> None:
    photo = picture(tmp_path / "flask.jpg")
    path, result, status = make(
        client, start_worker, hosted, tmp_path=tmp_path, images=[str(photo)], duration_seconds=16
    )
    assert result["providers"] == {"write": "anthropic", "speak": "elevenlabs", "film": "clip"}
    assert status["cost_usd"] == pytest.approx(stub.cost(), abs=1e-5)
    assert all("image" in one.json["input"] for one in stub.requests("replicate", method="POST", path="predictions$"))
    seen = probe.streams(path)
    assert (seen.width, seen.height, seen.fps) == (1080, 1920, 30.0)
    faults = probe.measure(path)
    assert -15 <= faults.lufs <= -13
    assert (faults.black, faults.complaints) == ((), "")
    assert strong_colours(path) > 0.8
    assert read_captions(path, result) >= 0.9


def test_a_voice_that_is_down_gives_way_to_a_local_one(
    client: RedisClient, start_worker: Start, stub: Stub, hosted: dict[str, str]
) -> None:
    stub.faults("status", vendor="elevenlabs", n=None, status=503)
    only_voice = hosted | {"SCRIPT_PROVIDER": "local", "VIDEO_PROVIDER": "local", "MODERATION_PROVIDER": "local"}
    _, result, status = make(client, start_worker, only_voice | {"RETRY_BASE_SECONDS": "0.1"}, fallback=True)
    assert result["providers"] == {"write": "local", "speak": "piper", "film": "art"}
    assert status["cost_usd"] == 0


def test_a_model_that_is_down_gives_way_to_local_rules_and_words(
    client: RedisClient, start_worker: Start, stub: Stub, hosted: dict[str, str]
) -> None:
    """Also what the stage only uses, moderation, goes on without it."""
    stub.faults("status", vendor="anthropic", n=None, status=529)
    enqueue(client, "film", fallback=True, stop_after="script_gen")
    worker = start_worker("worker-1", "--drain", **hosted, RETRY_BASE_SECONDS="0.1")
    assert worker.wait(FILM_SECONDS) == 0, worker.text()
    status = client.get_job_status("film")
    assert (status["status"], status["cost_usd"]) == ("completed", 0)
    assert status["result"]["provider"] == "local"
