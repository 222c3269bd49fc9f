"""A film rendered in chunks is the film rendered in one: the same frames at the same times, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipeline.film import probe
from pipeline.film.chunks import spans
from pipeline.film.cores import MOST, processes_for, quota
from pipeline.film.plan import plan
from pipeline.film.render_job import RenderJob
from pipeline.film.timeline import Timeline
from tests.film.test_film import ROOT, short_job
from tests.support.workers import wait_for

SIZE = 1 / 3
LONGEST = 180


@given(frames=st.integers(1, 20_000), workers=st.integers(1, 64), apart=st.integers(1, 120))
def test_chunks_cover_every_frame_once_and_begin_where_key_frames_stand(frames: int, workers: int, apart: int) -> None:
    pieces = spans(frames, workers, apart)
    assert [number for first, last in pieces for number in (first, last - 1)] == sorted(
        number for first, last in pieces for number in (first, last - 1)
    )
    assert (pieces[0][0], pieces[-1][1]) == (0, frames)
    assert all(one[1] == other[0] for one, other in pairwise(pieces))
    assert all(first % apart == 0 and first < last for first, last in pieces)
    assert len(pieces) <= workers


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 2), (4, 2), (6, 3), (8, 4), (64, MOST)])
def test_one_process_for_two_cores_from_three_up(cores: int, expected: int) -> None:
    assert processes_for(cores) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000\n", 0), ("200000 100000\n", 2), ("50000 100000\n", 1), ("", 0), ("x y\n", 0)]
)
def test_a_container_has_the_cores_of_its_quota(tmp_path: Path, text: str, expected: int) -> None:
    path = tmp_path / "cpu.max"
    path.write_text(text)
    assert quota(path) == expected
    assert quota(tmp_path / "none") == 0


def test_a_timeline_comes_back_from_its_json_as_it_was(tmp_path: Path) -> None:
    timeline = plan(short_job(tmp_path), {})
    assert TypeAdapter(Timeline).validate_json(timeline.to_json()) == timeline


def ordered(folder: Path, workers: int, *, size: float = SIZE) -> RenderJob:
    folder.mkdir()
    job = short_job(folder).model_copy(update={"workers": workers, "size": size})
    (folder / "job.json").write_text(job.model_dump_json())
    return job


@contextmanager
def rendering(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pipeline.film.render", str(folder / "job.json")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def rendered(folder: Path, workers: int) -> tuple[RenderJob, list[dict[str, Any]]]:
    job = ordered(folder, workers)
    with rendering(folder) as child:
        said, complaint = child.communicate(timeout=LONGEST)
    assert child.returncode == 0, said[-1000:] + complaint[-1000:]
    return job, [json.loads(line) for line in said.splitlines()]


def decoded(path: Path) -> Iterator[tuple[int, NDArray[np.int16]]]:
    with av.open(str(path)) as film:
        for frame in film.decode(film.streams.video[0]):
            assert frame.pts is not None
            yield frame.pts, frame.to_ndarray(format="gray").astype(np.int16)


def told_of(folder: Path) -> list[int]:
    """The processes whose command line names the folder, without the renderer itself."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdigit() and int(one.name) != os.getpid():
            try:
                words = (one / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(folder) in words and b"pipeline.film.render" not in words:
                found.append(int(one.name))
    return found


def chunk_children(folder: Path) -> list[int]:
    return [pid for pid in told_of(folder) if b"\0pipeline.film.chunks\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def is_clean(job: RenderJob) -> bool:
    left = list(job.work_dir.iterdir()) if job.work_dir.exists() else []
    return not left and not job.output.exists() and not list(job.output.parent.glob(".*"))


@pytest.mark.film
def test_a_film_in_chunks_is_the_film_in_one(tmp_path: Path) -> None:
    whole, said_one = rendered(tmp_path / "one", 1)
    parts, said_two = rendered(tmp_path / "two", 2)
    one, two = said_one[-1]["result"], said_two[-1]["result"]
    assert [one[name] for name in ("frames", "seconds", "lufs", "captions")] == [
        two[name] for name in ("frames", "seconds", "lufs", "captions")
    ]
    first, second = probe.streams(whole.output), probe.streams(parts.output)
    assert (first.frames, first.first_pts, first.colors, first.audio_seconds) == (
        second.frames,
        second.first_pts,
        second.colors,
        second.audio_seconds,
    )
    pairs = list(zip(decoded(whole.output), decoded(parts.output), strict=True))
    assert [left[0] for left, _ in pairs] == [right[0] for _, right in pairs]
    times = [right[0] for _, right in pairs]
    assert len({after - before for before, after in pairwise(times)}) == 1
    # The composed frames are the same; the encoder spends its bits a little differently around the cut.
    assert max(float(np.abs(left[1] - right[1]).mean()) for left, right in pairs) < 1.5
    shares = [line["progress"] for line in said_two if "progress" in line]
    assert shares == sorted(shares)
    assert len(shares) > 5
    beside = {*two["beside"].values(), *two["posters"]}
    assert {str(path) for path in parts.work_dir.iterdir()} == beside
    assert not list(parts.output.parent.glob(".*"))


@pytest.mark.film
def test_a_chunked_film_that_is_cancelled_leaves_no_file_and_no_process(tmp_path: Path) -> None:
    job = ordered(tmp_path / "film", 2, size=1.0)  # a small one may be done before it is heard how far it is
    with rendering(tmp_path / "film") as child:
        assert child.stdout is not None
        while not (line := child.stdout.readline()) or json.loads(line).get("progress", 0) < 0.2:
            assert line, "it ended before it could be cancelled"
        assert chunk_children(tmp_path / "film")
        child.send_signal(signal.SIGTERM)
        said, _ = child.communicate(timeout=LONGEST)
    assert child.returncode == 143
    assert json.loads(said.splitlines()[-1])["error"] == "Interrupted"
    assert told_of(tmp_path / "film") == []
    assert is_clean(job)


@pytest.mark.film
def test_a_chunk_that_dies_fails_the_film_and_ends_the_others(tmp_path: Path) -> None:
    job = ordered(tmp_path / "film", 2)
    with rendering(tmp_path / "film") as child:
        wait_for(lambda: len(chunk_children(tmp_path / "film")) == 2)
        os.kill(chunk_children(tmp_path / "film")[0], signal.SIGKILL)
        said, _ = child.communicate(timeout=LONGEST)
    last = json.loads(said.splitlines()[-1])
    assert (child.returncode, last["error"]) == (1, "Transient")
    assert "part of the film" in last["message"]
    assert told_of(tmp_path / "film") == []
    assert is_clean(job)
