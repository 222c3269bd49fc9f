"""The house's arrows: who may import whom, and what nobody imports. Read from the source, so nothing has to run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Rooms that are not the program: they may import whatever they want to look at.
OUTSIDE = {"tests", "bench"}

GROUND = {"errors", "states", "settings"}
FLOOR = GROUND | {"log", "artifacts", "process", "counters", "addresses"}
RECORDS = FLOOR | {"database"}
QUEUE = RECORDS | {"redis_client", "pipeline.catalog"}
LINE = QUEUE | {"pipeline", "pipeline.providers"}

# Each room, and what it may import. Read it upwards: a room imports only rooms that stand above it here.
TABLE: dict[str, set[str]] = {
    "errors": set(),
    "states": set(),
    "settings": {"errors"},
    "counters": set(),
    "addresses": {"errors"},  # of the internet, that users give
    "log": GROUND | {"counters"},
    "artifacts": GROUND,
    "process": GROUND,
    "embedded": GROUND,  # its server outlives the process that started it, so it does not go through process
    "database": GROUND | {"artifacts"},
    "migrations": {"database"},
    "pipeline.film": FLOOR,  # knows no jobs, no queue, no records
    "pipeline.catalog": GROUND | {"artifacts", "pipeline.film"},  # payloads; film to look at pictures at the door
    "redis_client": RECORDS | {"embedded", "pipeline.catalog"},
    "pipeline.providers": FLOOR | {"pipeline.film"},  # knows no jobs, no queue, no records
    "pipeline": QUEUE | {"pipeline.providers"},  # the orchestrator and what a stage sees
    "pipeline.stages": FLOOR | {"pipeline", "pipeline.catalog", "pipeline.film", "pipeline.providers"},
    "daemon": LINE,
    "cli": LINE | {"pipeline.film"},  # a sheet of stills is made by the child of the film
    "api": LINE | {"pipeline.film"},  # the kinds of files that are brought
    "worker": LINE | {"daemon"},
    "pool": LINE,
    "jobs": LINE | {"cli"},
}

# Big libraries are imported inside the function that needs them; at the top only of modules that belong to a child
# process or are themselves imported late, which the test of the doors proves.
HEAVY = {
    "av",
    "cv2",
    "fontTools",
    "httpcore",
    "httpx",
    "imageio_ffmpeg",
    "numpy",
    "onnx",
    "onnxruntime",
    "PIL",
    "piper",
    "torch",
}
LOADED_LATE = {
    "pipeline.bounded",
    "pipeline.film.art",
    "pipeline.film.boxes",
    "pipeline.film.clips",
    "pipeline.film.compositor",
    "pipeline.film.loudness",
    "pipeline.film.marks",
    "pipeline.film.music",
    "pipeline.film.own_music",
    "pipeline.film.pictures",
    "pipeline.film.planes",
    "pipeline.film.sound",
    "pipeline.film.voice_over",
    "pipeline.film.warp",
    "pipeline.providers.kokoro_child",
    "pipeline.providers.piper_child",
    "pipeline.providers.speech_child",
}
# process starts every child; the others say in their own words why they cannot go through it.
STARTS_CHILDREN = {"process.launcher", "embedded.server", "embedded.programs", "database.migrate", "pool"}
NEVER = {"pickle", "marshal", "shelve", "dill", "yaml", "multiprocessing"}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "os.fork", "os.forkpty", "yaml.load", "pickle.loads"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the program, parsed."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0].startswith(".") or parts[0] in OUTSIDE | {"var", "build"}:
            continue
        name = ".".join(parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(), str(path))
    return found


def room_of(name: str) -> str:
    """The room a module stands in: its first word, or two of pipeline's."""
    first, _, rest = name.partition(".")
    inner = f"{first}.{rest.partition('.')[0]}"
    return inner if inner in TABLE else first


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def nodes(tree: ast.AST, *, into_functions: bool = True) -> Iterator[ast.AST]:
    """Everything in a module that can run; what stands there for the type checker alone is no arrow."""
    for child in ast.iter_child_nodes(tree):
        if is_for_types_only(child):
            continue
        yield child
        if into_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from nodes(child, into_functions=into_functions)


def imports(tree: ast.Module, *, into_functions: bool = True) -> Iterator[str]:
    """The full names of what a module imports."""
    for node in nodes(tree, into_functions=into_functions):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(name: str) -> str:
    return name.partition(".")[0]


def test_the_scan_sees_the_house() -> None:
    assert {"worker", "redis_client.client", "pipeline.stages.selftest_step", "process", "embedded.server"} <= set(
        modules()
    )


def test_every_room_stands_in_the_table() -> None:
    assert {room_of(name) for name in modules()} == set(TABLE)


def test_the_table_only_points_upwards() -> None:
    above: set[str] = set()
    for room, allowed in TABLE.items():
        assert allowed <= above, f"{room} may import {allowed - above}, which stands below it"
        above.add(room)


@pytest.mark.parametrize("room", TABLE)
def test_a_room_imports_only_what_the_table_allows(room: str) -> None:
    ours = {top(name) for name in modules()}
    wrong = [
        f"{name} imports {imported}"
        for name, tree in modules().items()
        if room_of(name) == room
        for imported in imports(tree)
        if top(imported) in ours and room_of(imported) not in TABLE[room] | {room}
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("redis", {"redis_client"}),
        ("sqlalchemy", {"database", "migrations", "pipeline"}),
        ("alembic", {"database", "migrations"}),
        ("typer", {"jobs", "cli"}),
        ("rich", {"jobs", "cli"}),
    ],
)
def test_a_library_is_the_business_of_few_rooms(library: str, rooms: set[str]) -> None:
    users = {room_of(name) for name, tree in modules().items() if library in map(top, imports(tree))}
    assert users <= rooms


def test_only_the_engine_module_builds_an_engine() -> None:
    makers = {
        name
        for name, tree in modules().items()
        for node in nodes(tree)
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node).endswith("create_engine")
    }
    assert makers == {"database.engine"}


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for name, tree in modules().items():
        if {"os.environ", "os.environb", "os.getenv", "os.putenv"} & set(imports(tree)):
            readers.add(name)
        for node in nodes(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv", "unsetenv"}:
                readers.add(name)
    assert readers == {"settings"}


def test_heavy_libraries_are_imported_late() -> None:
    users = {name for name, tree in modules().items() if HEAVY & set(map(top, imports(tree, into_functions=False)))}
    assert users == LOADED_LATE


@pytest.mark.parametrize(
    "code",
    [
        "import worker; from pipeline.stage import stages; stages()",
        "from pipeline.catalog.base import pipelines; from redis_client import redis_client; pipelines()",
        "import jobs",
    ],
)
def test_importing_a_door_loads_no_heavy_library(code: str) -> None:
    look = f"import sys; {code}; print(sorted(set({sorted(HEAVY | {'alembic'})!r}) & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "[]\n", "")


def test_children_are_started_in_few_places() -> None:
    starters = {name for name, tree in modules().items() if "subprocess" in map(top, imports(tree))}
    assert starters == STARTS_CHILDREN


def test_nothing_that_runs_data_as_code() -> None:
    wrong = []
    for name, tree in modules().items():
        wrong += [f"{name} imports {imported}" for imported in imports(tree) if top(imported) in NEVER]
        for node in nodes(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            in_shell = any(
                word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
                for word in node.keywords
            )
            if called in FORBIDDEN_CALLS or in_shell:
                wrong.append(f"{name}:{node.lineno} calls {called}")
    assert not wrong


@pytest.mark.parametrize("folder", ["systemd", "supervisor"])
def test_the_folders_of_the_service_files_are_no_packages(folder: str) -> None:
    assert (ROOT / folder).is_dir()
    assert not list((ROOT / folder).rglob("*.py")), "a package of this name would hide the real one"
