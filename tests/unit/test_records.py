"""Pure parts of the records: URLs, JSON, words of trouble, the gravest of several outcomes."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from database.engine import database_url, from_json, to_json
from errors import InvalidInput
from pipeline.outcome import Cancelled, Dead, Done, HandBack, HandOver, Lost, Outcome, RetryIn, gravest
from redis_client.queue import PRIORITY_NUMBERS, priority_name
from settings import ID_PATTERN, get_settings
from states import DEAD, ENDED, OPEN, JobStatus
from tests.support.moves import failure


def test_without_a_setting_the_records_are_in_the_state_folder() -> None:
    assert database_url() == f"sqlite:///{get_settings().state_dir}/stagecrew.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_gets_our_driver(setting: Callable[[str, object], None], scheme: str) -> None:
    setting("DATABASE_URL", f"{scheme}://user:pass%40word@host/name")
    assert database_url() == "postgresql+psycopg://user:pass%40word@host/name"


@pytest.mark.parametrize("url", ["mysql://host/x", "no url", "oracle://x"])
def test_another_database_is_refused_without_showing_its_url(setting: Callable[[str, object], None], url: str) -> None:
    setting("DATABASE_URL", url.replace("://", "://user:marker@"))
    with pytest.raises(InvalidInput, match="DATABASE_URL") as caught:
        database_url()
    assert "marker" not in str(caught.value)


@pytest.mark.parametrize("value", [{}, [], "text", 0, 1.5, True, {"a": [None]}])
def test_json_comes_back(value: Any) -> None:
    assert from_json(to_json(value)) == value


def test_a_bare_number_of_sqlite_is_taken_as_it_is() -> None:
    assert from_json(7) == 7


def test_every_status_is_open_or_ended() -> None:
    assert set(JobStatus) == OPEN | ENDED
    assert not OPEN & ENDED
    assert DEAD < ENDED


def test_priorities_have_words_and_numbers() -> None:
    assert [priority_name(number) for number in PRIORITY_NUMBERS] == ["low", "low", "normal", "high", "high"]
    assert priority_name("high") == "high"
    for wrong in ("", "HIGH", 0, 6, True, None, 2.5, ["high"]):
        with pytest.raises(InvalidInput, match="priority="):
            priority_name(wrong)  # type: ignore[arg-type]


OUTCOMES: list[Outcome] = [
    Lost(),
    Cancelled(),
    Dead(failure()),
    HandBack("x"),
    RetryIn(1, failure()),
    HandOver("q"),
    Done(None),
]


@pytest.mark.parametrize("pair", list(itertools.permutations(range(len(OUTCOMES)), 2)))
def test_the_gravest_of_two_branches_decides_whichever_ends_first(pair: tuple[int, int]) -> None:
    assert gravest([OUTCOMES[place] for place in pair]) == OUTCOMES[min(pair)]


def test_the_pattern_of_ids_is_the_documented_one() -> None:
    assert ID_PATTERN == r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
