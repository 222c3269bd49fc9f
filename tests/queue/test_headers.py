"""A Lua file's header is its signature: names, numbers and body agree, and calls go by keyword."""

import re

import pytest

from redis_client.queue import Queue
from redis_client.scripts import LUA, SHARED, load_script, read_header

LIBRARIES = sorted(path.stem for path in SHARED.glob("*.lua"))
SCRIPTS = sorted(path.stem for path in LUA.glob("*.lua"))
# Libraries in the order in which they are sent: each may call those before it.
ORDER = ["common", "standing", "groups", "running", "grant"]
_FUNCTION = re.compile(r"^local function (\w+)", re.MULTILINE)


def body_of(name: str) -> str:
    lines = ((SHARED if name in LIBRARIES else LUA) / f"{name}.lua").read_text().splitlines()
    return "\n".join(line.split("--")[0] for line in lines)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_header_names_keys_arguments_and_answer(name: str) -> None:
    header = read_header(LUA / f"{name}.lua")
    assert header["KEYS"] == ("prefix",)
    assert header["RETURNS"]
    assert len(set(header["ARGV"])) == len(header["ARGV"])
    assert all(re.fullmatch(r"[a-z_]+", argument) for argument in header["ARGV"])


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_argument_is_used_and_none_is_unnamed(name: str) -> None:
    names = read_header(LUA / f"{name}.lua")["ARGV"]
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body_of(name))}
    assert used == set(range(1, len(names) + 1))


def calls(name: str) -> set[str]:
    """The libraries whose functions a file calls."""
    body = body_of(name)
    return {
        library
        for library in LIBRARIES
        if library != name and any(re.search(rf"\b{one}\(", body) for one in _FUNCTION.findall(body_of(library)))
    }


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_includes_what_it_calls_and_no_more(name: str) -> None:
    included = read_header(LUA / f"{name}.lua").get("INCLUDE", ())
    wanted = calls(name) | {"common"}
    for _ in ORDER:
        wanted |= {needed for library in wanted for needed in calls(library)}
    assert list(included) == [library for library in ORDER if library in wanted]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_calls_only_those_before_it(name: str) -> None:
    assert calls(name) <= set(ORDER[: ORDER.index(name)])


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_reads_no_arguments_of_its_own(name: str) -> None:
    assert "ARGV" not in body_of(name)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_a_caller_in_redis_client(name: str) -> None:
    source = "\n".join(path.read_text() for path in (LUA.parent / "redis_client").glob("*.py"))
    assert f'"{name}"' in source


def test_a_missing_and_an_unknown_argument_are_named() -> None:
    script = load_script("cancel")
    with pytest.raises(TypeError, match=r"lua/cancel\.lua takes id, stamp, in_flight; check colour, in_flight, stamp"):
        script.arrange({"id": "a", "colour": "red"})
    assert script.arrange({"stamp": "now", "in_flight": 0, "id": "a"}) == ["a", "now", 0]


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_turns_a_large_number_into_text_by_itself(name: str) -> None:
    """`1.7e15 .. ""` is "1.7e+15" in Lua: tokens and times go through text()."""
    for line in body_of(name).splitlines():
        assert not re.search(r"\.\.\s*(now_us|now_ms|token)\b", line), line


def test_the_namespace_is_also_the_literal_name_of_the_default_list() -> None:
    queue = Queue.__new__(Queue)
    queue._namespace = "my_queue"
    assert queue.list_key("my_queue") == "my_queue"
    assert queue.list_key("other") == "{my_queue}:queue:other"
    for name in ("my_queue", "other"):
        assert queue.queue_of_list(queue.list_key(name)) == name
