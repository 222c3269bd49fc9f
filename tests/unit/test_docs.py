"""The README's tables and .env.example against the program: everything that exists stands there, and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

import jobs
import pool
import worker
from api.app import create_app
from cli import door
from pipeline.catalog.base import pipelines
from pipeline.providers.registry import PROVIDERS, SETTING
from pipeline.stage import plan_steps, stages
from settings import Settings
from tests.support.web import routes_of

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading of the README, without its head."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no heading {heading!r}"
    lines = [line for line in found[1].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def names(heading: str) -> list[str]:
    """What stands in the first column, without its backticks."""
    return [row[0].strip("`") for row in table(heading)]


def default_of(name: str) -> object:
    return Settings.model_fields[name.lower()].get_default(call_default_factory=True)


def as_text(value: object) -> str:
    """A default as one writes it into the environment."""
    if value is None or value in ((), {}):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


SETTINGS = sorted(name.upper() for name in Settings.model_fields)


def test_every_setting_stands_in_the_readme_with_its_default() -> None:
    shown = {row[0].strip("`"): row[1] for row in table("Settings")}
    assert sorted(shown) == SETTINGS
    for name, cell in shown.items():
        value = default_of(name)
        text = as_text(value)
        assert cell == (f"`{text}`" if text else "not set" if value is None else "empty"), name


def test_every_setting_stands_in_the_example_with_its_default() -> None:
    blocks = re.findall(r"^# (.+)\n#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(name for _, name, _ in blocks) == SETTINGS
    for meaning, name, value in blocks:
        assert value == as_text(default_of(name)), name
        assert len(meaning) > 10


def test_the_example_as_it_stands_changes_nothing() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert not [line for line in lines if line and not line.startswith("#")]


def test_every_pipeline_stands_in_the_readme_with_its_title() -> None:
    assert names("Pipelines") == list(pipelines())


def test_every_stage_stands_in_the_readme_with_its_pipeline() -> None:
    shown = {row[0].strip("`"): row[1].strip("`") for row in table("Stages")}
    assert set(shown) == set(stages())
    for stage, pipeline in shown.items():
        assert stage in pipelines()[pipeline].stages


def test_the_stages_of_the_product_video_have_equal_shares() -> None:
    assert "a quarter of the progress" in README
    chosen = pipelines()["product_video"]
    weights = [step.weight for step in plan_steps(chosen, chosen.payload.model_validate({"product_name": "Cup"}))]
    assert [weight / sum(weights) for weight in weights] == [0.25] * 4


def test_every_provider_stands_in_the_readme_with_its_setting() -> None:
    shown = [(row[1], row[0].strip("`"), row[2].strip("`")) for row in table("Providers")]
    settings: dict[str, str] = dict(SETTING.items())
    assert shown == [(capability, name, settings[capability]) for capability, name in PROVIDERS]


def test_every_command_of_jobs_stands_in_the_readme() -> None:
    commands = typer.main.get_command(jobs.app).commands  # type: ignore[attr-defined]
    assert sorted(names("jobs.py")) == sorted(commands)


def test_every_option_of_the_worker_stands_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        worker.main(["--help"])
    options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)) - {"--help"}
    assert set(names("worker.py")) == options


def test_every_option_of_the_pool_stands_in_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        pool.main(["--help"])
    options = set(re.findall(r"^ +(--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    assert set(names("pool.py")) == options


def test_every_route_stands_in_the_readme() -> None:
    found = {f"{method} {path}" for method, path in routes_of(create_app())}
    assert set(names("The HTTP interface")) == found


def test_every_target_of_make_stands_in_the_readme_and_in_its_help() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)
    assert sorted(names("make")) == sorted(f"make {target}" for target in targets)
    assert sorted(re.findall(r"^([a-z][a-z-]*):.*## \S", makefile, re.MULTILINE)) == sorted(targets)
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    assert sorted(phony[1].split()) == sorted(targets)


def test_every_exit_code_stands_in_the_readme() -> None:
    def codes(module: object) -> set[str]:
        return {str(value) for name, value in vars(module).items() if name.startswith("EXIT_")}

    shown = {row[0].strip("`"): (row[1], row[2]) for row in table("Exit codes")}
    assert {code for code, (of_worker, _) in shown.items() if of_worker != "not used"} == codes(worker)
    assert {code for code, (_, of_jobs) in shown.items() if of_jobs != "not used"} == codes(door)
    assert worker.__doc__
    assert set(re.findall(r"\b(\d+) [a-zR]", worker.__doc__)) >= codes(worker)


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name
)
def test_the_files_that_the_docs_name_are_there(page: Path) -> None:
    text = page.read_text()
    written = set(re.findall(r"`((?:[\w@.-]+/)+[\w@.-]*)`", text)) | set(re.findall(r"\]\(([^)#:]+)\)", text))
    # Folders of ours only: a slash also stands in paths of the machine, and in words such as application/json.
    ours = {name for name in written if (ROOT / name.split("/")[0]).is_dir() and not name.startswith("var/")}
    assert not [name for name in ours if "NAME" not in name and not (ROOT / name).exists()]


def test_make_alone_prints_its_help() -> None:
    make = shutil.which("make", path="/usr/local/bin:/usr/bin:/bin")
    assert make
    said = subprocess.run([make], cwd=ROOT, env={"PATH": "/bin"}, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    for name in names("make"):
        assert re.search(rf"^ +{name} ", said.stdout, re.MULTILINE)


def test_no_file_of_the_set_up_names_a_registry() -> None:
    pages = [
        "Makefile",
        ".ci/run",
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-fonts.lock",
        "requirements-moviepy.lock",
        "requirements-voices.lock",
        "pyproject.toml",
        "run_worker.sh",
    ]
    assert not [name for name in pages if re.search(r"index-url|pypi\.org|https?://", (ROOT / name).read_text())]
