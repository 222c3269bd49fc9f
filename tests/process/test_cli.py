"""`python jobs.py` as people and programs use it: the real program, a real worker, a private embedded Redis."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.house import House, lines

COMMANDS = (
    *("enqueue", "run", "watch", "show", "list", "why", "cancel", "retry", "replay", "dead"),
    *("pipelines", "queues", "workers", "pause", "resume", "limit", "weight", "demo"),
    *("costs", "budget", "decide", "free", "estimate"),
)
LATER = ("--delay", "3600")  # stored, and left alone by the worker


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("cli"))
    made.start_worker("cli-worker")
    yield made
    made.close()


@pytest.fixture(scope="module")
def other_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house without a worker."""
    made = House(tmp_path_factory.mktemp("cli-other"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def done_job(house: House) -> tuple[str, list[dict[str, Any]]]:
    """A job that the worker in the background has completed, and what `enqueue --wait` said."""
    words = ("enqueue", "selftest", "--id", "done", "--set", "stages=2", "--set", "bytes=10", "--wait")
    done = house.program(*words)
    assert (done.returncode, done.stderr) == (0, "")
    return "done", lines(done.stdout)


@pytest.fixture(scope="module")
def failed_job(house: House) -> str:
    words = ("enqueue", "selftest", "--id", "broken", "--set", "fail_at=2", "--set", "stages=2")
    done = house.jobs(*words, "--set", "fail_kind=permanent", "--wait")
    assert done.returncode == 1
    assert done.stderr == "jobs.py: job broken is failed: InvalidInput in step_2: step 2 was asked to fail\n"
    assert lines(done.stdout)[-1]["status"] == "failed"
    return "broken"


def test_help_names_every_command_and_the_exit_codes(house: House) -> None:
    done = house.program("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert f" {command} " in done.stdout
    assert "Exit codes: 0 done" in done.stdout


def test_waiting_prints_the_enqueued_job_and_then_its_result(done_job: tuple[str, list[dict[str, Any]]]) -> None:
    first, last = done_job[1]
    assert first == {"job_id": "done", "created": True, "pipeline": "selftest", "queue": "video_generation_queue"}
    assert (last["status"], last["result"]["number"], last["worker_id"]) == ("completed", 2, "cli-worker")


def test_the_same_job_again_is_no_error_and_another_under_its_id_is(house: House, done_job: object) -> None:
    again = lines(house.good("enqueue", "selftest", "--id", "done", "--set", "stages=2", "--set", "bytes=10"))
    assert again[0]["created"] is False
    other = house.jobs("enqueue", "selftest", "--id", "done", "--set", "stages=3")
    assert (other.returncode, other.stdout) == (2, "")
    assert "id='done' is taken by a job with another payload" in other.stderr


def test_watch_tells_each_event_and_resumes_after_one_without_a_gap(house: House, done_job: object) -> None:
    events = lines(house.good("watch", "done"))
    assert events[-1]["status"] == "completed"
    assert [event["progress"] for event in events] == sorted(event["progress"] for event in events)
    assert {event["job_id"] for event in events} == {"done"}
    rest = lines(house.good("watch", "done", "--after", events[1]["id"]))
    assert rest == events[2:]


def test_show_tells_stages_and_where_the_files_are(house: House, done_job: object) -> None:
    record = house.record("done")
    assert [(stage["stage"], stage["status"]) for stage in record["stages"]] == [
        ("step_1", "completed"),
        ("step_2", "completed"),
    ]
    assert len(record["artifacts"]) == 2
    for artifact in record["artifacts"]:
        assert Path(artifact["path"]).stat().st_size == artifact["size"] == 10
    text = house.good("show", "done")
    assert record["artifacts"][0]["path"] in text
    assert "step_2" in text


def test_a_failed_job_shows_its_sentence_and_its_traceback_only_with_debug(house: House, failed_job: str) -> None:
    plain, debug = house.good("show", failed_job), house.good("show", failed_job, "--debug")
    assert "InvalidInput in step_2: step 2 was asked to fail" in plain
    assert "Traceback" not in plain
    assert "Traceback" in debug
    record = house.record(failed_job)
    assert "error_detail" not in record
    assert record["error_class"] == "InvalidInput"


def test_a_retried_job_runs_again_and_keeps_its_finished_stages(house: House, failed_job: str) -> None:
    before = house.record(failed_job)
    assert "stands in its queue again" in house.good("retry", failed_job)
    assert house.jobs("watch", failed_job).returncode == 1
    after = house.record(failed_job)
    assert (before["run"], after["run"]) == (1, 2)
    assert after["stages"][0] == before["stages"][0]


def test_a_job_is_cancelled_once_and_a_completed_one_never(house: House, done_job: object) -> None:
    house.good("enqueue", "selftest", "--id", "later", *LATER)
    assert house.record("later")["status"] == "waiting"
    assert house.good("cancel", "later") == "job later is cancelled\n"
    assert house.record("later")["status"] == "cancelled"
    late = house.jobs("cancel", "done")
    assert (late.returncode, late.stderr) == (1, "jobs.py: job done is completed already\n")


def test_a_paused_queue_is_shown_with_its_reason_until_it_is_resumed(house: House) -> None:
    def state() -> tuple[bool, str]:
        found = {one["queue"]: one for one in json.loads(house.good("queues", "--json"))}
        return found["selftest-queue"]["paused"], found["selftest-queue"]["reason"]

    house.good("pause", "selftest-queue", "--reason", "maintenance")
    assert state() == (True, "maintenance")
    house.good("resume", "selftest-queue")
    assert state() == (False, "")


def test_many_jobs_get_numbered_ids_and_a_second_time_none_is_new(house: House) -> None:
    words = ("enqueue", "selftest", "--id", "many", "--count", "12", "--tenant", "acme", *LATER)
    told = lines(house.good(*words))[0]
    assert (told["created"], told["first"], told["last"]) == (12, "many-01", "many-12")
    assert lines(house.good(*words))[0]["created"] == 0
    found = json.loads(house.good("list", "--tenant", "acme", "--status", "waiting", "--limit", "5", "--json"))
    assert len(found) == 5
    assert {job["pipeline"] for job in found} == {"selftest"}


def test_values_are_read_by_the_type_of_their_field(house: House, tmp_path: Path) -> None:
    Image.new("RGB", (80, 90), "teal").save(tmp_path / "photo.png")
    below = {"id": "typed", "product_name": "Overridden", "seed": 3, "features": ["overridden"]}
    words = ["enqueue", "product_video", "--json", "-", *LATER]
    for pair in ("product_name=42", "features=first", 'features=["second","third"]', "music=false", "images=photo.png"):
        words += ["--set", pair]
    house.good(*words, stdin=json.dumps(below), cwd=tmp_path)
    record = house.record("typed")
    payload = record["payload"]
    assert (payload["product_name"], payload["seed"], payload["music"]) == ("42", 3, False)
    assert payload["features"] == ["first", "second", "third"]
    assert payload["images"][0]["name"] == "photo.png"
    assert Path(record["artifacts"][0]["path"]).read_bytes() == (tmp_path / "photo.png").read_bytes()


def test_workers_and_pipelines_are_told_to_programs_and_people(house: House, done_job: object) -> None:
    assert "cli-worker" in [worker["worker_id"] for worker in json.loads(house.good("workers", "--json"))]
    found = {one["name"]: one for one in json.loads(house.good("pipelines", "--json"))}
    fields = {field["name"]: field for field in found["product_video"]["fields"]}
    assert fields["product_name"]["required"] is True
    assert fields["style"]["default"] == "minimal"
    assert found["product_video"]["stages"][0] == "script_gen"
    assert "'elegant' | 'minimal'" in house.good("pipelines", "product_video")


def test_run_works_without_a_worker_and_says_what_it_made(other_house: House) -> None:
    done = other_house.program("run", "selftest", "--set", "stages=3", "--set", "bytes=5", "--output", "text")
    assert done.returncode == 0, done.stderr
    assert "is completed" in done.stdout
    assert str(other_house.state_dir / "artifacts") in done.stdout


def test_run_exits_1_when_it_failed_and_75_when_it_may_work_later(other_house: House) -> None:
    failed = other_house.jobs("run", "selftest", "--set", "fail_at=1", "--set", "fail_kind=permanent")
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert lines(failed.stdout)[-1]["status"] == "failed"
    later = other_house.jobs("run", "selftest", "--set", "fail_at=1", "--set", "fail_times=1")
    assert (later.returncode, later.stdout) == (75, "")
    assert "is waiting: step 1 was asked to fail" in later.stderr


def test_bars_are_drawn_on_a_terminal(other_house: House) -> None:
    code, drawn = other_house.on_terminal(
        "run", "selftest", "--id", "bars", "--set", "stages=3", "--set", "seconds=0.4"
    )
    assert code == 0, drawn
    assert "━" in drawn
    assert "step_2" in drawn
    assert "100%" in drawn
    assert "job bars is completed" in drawn


def test_a_demo_that_cannot_work_says_why(other_house: House) -> None:
    done = other_house.program("demo", VIDEO_PROVIDER="nonsense")
    assert done.returncode == 2
    assert "VIDEO_PROVIDER='nonsense' is unknown; there is auto, local" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.film
def test_the_demo_makes_a_film_under_a_name_for_people(other_house: House) -> None:
    text = other_house.program("demo").stdout
    film = other_house.state_dir / "demo" / "nova-flask.mp4"
    assert f"The film: {film}" in text
    assert film.stat().st_size > 100_000
    assert "compositing" in text
    assert "0.00 USD" in text


REFUSALS: dict[str, tuple[list[str], int, list[str]]] = {
    "unknown pipeline": (["enqueue", "product_vidoe"], 2, ["'product_vidoe'", "did you mean 'product_video'"]),
    "unknown field": (["enqueue", "product_video", "--set", "sytle=bold"], 2, ["'sytle'", "did you mean 'style'"]),
    "wrong choice": (
        ["enqueue", "product_video", "--set", "product_name=x", "--set", "style=bald"],
        2,
        ["style='bald'", "did you mean 'bold'"],
    ),
    "missing field": (["run", "product_video"], 2, ["'product_name' is required by product_video"]),
    "wrong number": (["enqueue", "selftest", "--set", "stages=many"], 2, ["stages='many'", "valid integer"]),
    "twice": (["enqueue", "selftest", "--set", "stages=1", "--set", "stages=2"], 2, ["stages is set 2 times"]),
    "no equals sign": (["enqueue", "selftest", "--set", "stages"], 2, ["--set 'stages'", "field=value"]),
    "unknown queue": (["enqueue", "selftest", "--queue", "selftest-qeue"], 2, ["did you mean 'selftest-queue'"]),
    "wrong priority": (["enqueue", "selftest", "--priority", "9"], 2, ["priority=9", "high, normal or low"]),
    "wrong id": (["enqueue", "selftest", "--id", "../x"], 2, ["id='../x'"]),
    "no JSON file": (["enqueue", "selftest", "--json", "none.json"], 2, ["none.json", "No such file"]),
    "no JSON": (["enqueue", "selftest", "--json", "broken.png"], 2, ["broken.png is not JSON"]),
    "broken image": (
        ["enqueue", "product_video", "--set", "product_name=x", "--set", "images=broken.png"],
        2,
        ["broken.png"],
    ),
    "no image": (
        ["enqueue", "product_video", "--set", "product_name=x", "--set", "images=none.png"],
        2,
        ["images.0='none.png'", "no such file"],
    ),
    "unknown job": (["show", "nobody"], 1, ["no job has the id 'nobody'"]),
    "unknown job to watch": (["watch", "nobody"], 1, ["no job has the id 'nobody'"]),
    "wrong chain": (["enqueue", "selftest", "--then", '{"pipeline": "nope"}'], 2, ["pipeline='nope' is unknown"]),
    "chain that is no JSON": (["enqueue", "selftest", "--then", "{"], 2, ["--then: not JSON"]),
    "wrong group": (["enqueue", "selftest", "--group", "a b"], 2, ["group='a b'"]),
    "unknown group to limit": (["limit", "pipeline:selftset", "3"], 2, ["did you mean 'selftest'"]),
    "limit without a number": (["limit", "vendor"], 2, ["give a number"]),
    "limit that is no number": (["limit", "vendor", "few"], 2, ["limit='few'"]),
    "weight out of range": (["weight", "acme", "1000"], 2, ["weight=1000"]),
    "nothing to pause": (["pause"], 2, ["name one QUEUE"]),
    "two things to pause": (["pause", "selftest-queue", "--tenant", "acme"], 2, ["name one QUEUE"]),
    "unknown pipeline to pause": (["pause", "--pipeline", "selftset"], 2, ["did you mean 'selftest'"]),
    "unknown job to replay": (["replay", "nobody", "--from", "x"], 1, ["no job has the id 'nobody'"]),
    "unknown job to ask about": (["why", "nobody"], 1, ["no job has the id 'nobody'"]),
    "unknown queue to pause": (["pause", "selftest-qeue"], 2, ["did you mean 'selftest-queue'"]),
    "Redis away": (["workers", "REDIS_URL=redis://127.0.0.1:1"], 75, ["Redis does not answer"]),
    "wrong setting": (["list", "LEASE_SECONDS=long"], 78, ["LEASE_SECONDS='long'"]),
}


@pytest.fixture(scope="module")
def refused(other_house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each wrong request came to."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")

    def ask(words: list[str]) -> subprocess.CompletedProcess[str]:
        settings = dict(word.split("=", 1) for word in words if word.split("=")[0].isupper())
        return other_house.jobs(*(word for word in words if word.split("=")[0] not in settings), cwd=folder, **settings)

    return {name: ask(words) for name, (words, _, _) in REFUSALS.items()}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_wrong_request_is_refused_in_one_sentence(refused: dict[str, Any], name: str) -> None:
    _, code, parts = REFUSALS[name]
    done = refused[name]
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("jobs.py: ")
    assert done.stderr.count("\n") == 1
    for part in parts:
        assert part in done.stderr


def test_an_unknown_command_is_refused_with_the_usage(other_house: House) -> None:
    done = other_house.program("enqeue")
    assert done.returncode == 2
    assert "No such command 'enqeue'" in done.stderr
