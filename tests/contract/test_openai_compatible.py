"""Chat-completions servers sit the exam too; their answers are kept, though nobody sends a bill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from errors import BadReply, Permanent, Refused
from pipeline.providers.base import Brief, Question, no_check
from pipeline.providers.openai_compatible import CompatibleAuthor, CompatibleWriter
from tests.contract import exam
from tests.contract.exam import SECRET, Subject, Till
from tests.contract.test_anthropic import Slogan
from tests.stub.server import Stub

pytest_plugins = ("tests.stub.fixtures",)

Setting = Callable[[str, object], None]
ASKED = Question("copy", "Write a slogan.", '{"product_name": "Nova Flask"}', Slogan, most_tokens=500)


@pytest.fixture
def author(stub: Stub, setting: Setting) -> Iterator[CompatibleAuthor]:
    setting("LLM_BASE_URL", stub.openai_url)
    setting("LLM_API_KEY", SECRET)
    setting("LLM_MODEL", "llama")
    author = CompatibleAuthor()
    yield author
    author.close()


@pytest.fixture
def subject(author: CompatibleAuthor, stub: Stub) -> Subject:
    return Subject(stub, "openai", "/v1/chat/completions$", lambda till: author.ask(ASKED, no_check, till))


@pytest.mark.parametrize(("status", "error"), exam.STATUSES)
def test_a_status_says_what_to_do_next(subject: Subject, status: int, error: Any) -> None:
    exam.sit_status(subject, status, error)


def test_the_wait_that_it_asks_for_is_kept(subject: Subject) -> None:
    exam.sit_retry_after(subject, 503)


def test_a_page_of_a_proxy_is_an_answer(subject: Subject) -> None:
    exam.sit_page(subject)


@pytest.mark.parametrize(("kind", "options"), exam.DOUBTS)
def test_what_cannot_be_read_leaves_doubt(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_doubt(subject, kind, options)


@pytest.mark.parametrize(("kind", "options"), exam.DELAYS)
def test_no_answer_passes_the_deadline(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_delay(subject, kind, options)


def test_nobody_there_is_no_doubt(author: CompatibleAuthor, stub: Stub, setting: Setting) -> None:
    setting("LLM_BASE_URL", exam.closed_port())
    exam.sit_unreachable(stub, lambda till: author.ask(ASKED, no_check, till))


@pytest.mark.parametrize(
    ("canned", "error"),
    [
        ({"stop_reason": "content_filter"}, Refused),
        ({"stop_reason": "length"}, BadReply),
        ({"body": "no JSON"}, BadReply),
        ({"body": '```json\n{"text": "A flask."}\n```'}, None),
    ],
)
def test_what_an_answer_comes_to(subject: Subject, canned: dict[str, Any], error: Any) -> None:
    subject.stub.answer("openai", **canned)
    if error is None:
        assert subject.pay(Till(subject.stub)).text == "A flask."
        return
    with pytest.raises(error):
        subject.pay(Till(subject.stub))


def test_it_writes_scripts(author: CompatibleAuthor, stub: Stub) -> None:
    till = Till(stub)
    script = CompatibleWriter().write(Brief("Nova Flask", cta_text="Order now"), no_check, till)
    assert script.provider == "openai_compatible"
    assert (till.calls[0].most_usd, till.answers[0].cost_usd) == (0, 0)


def test_without_a_model_it_is_not_there(author: CompatibleAuthor, setting: Setting, stub: Stub) -> None:
    setting("LLM_MODEL", "")
    assert author.available() == "LLM_MODEL is not set."
    with pytest.raises(Permanent, match="LLM_MODEL"):
        author.ask(ASKED, no_check, Till(stub))
