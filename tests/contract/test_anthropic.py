"""Claude sits the exam: one request a question, one deadline for all of it, the cost kept also of answers that are no use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from pydantic import BaseModel, Field

from errors import BadReply, NotNow, Overloaded, Permanent, RateLimited, Refused, StagecrewError, Unanswered
from pipeline.providers.anthropic import MODERATION_MODEL, AnthropicAuthor, AnthropicModerator, AnthropicWriter
from pipeline.providers.anthropic_batches import LOOKS, BatchedQuestion
from pipeline.providers.base import Brief, Question, no_check
from redis_client.client import RedisClient
from tests.contract import exam
from tests.contract.exam import SECRET, Subject, Till
from tests.queue.test_charges import Bench
from tests.stub.server import Stub

pytest_plugins = ("tests.stub.fixtures",)

Setting = Callable[[str, object], None]
MESSAGES = "/v1/messages$"


class Slogan(BaseModel):
    """What is asked for here."""

    text: str = Field(min_length=1, max_length=200)


ASKED = Question("copy", "Write a slogan.", '{"product_name": "Nova Flask"}', Slogan, most_tokens=500)
BRIEF = Brief("Nova Flask", "Keeps drinks cold for 24 hours.", ("Leak-proof lid",), price="$29", cta_text="Order now")


@pytest.fixture
def author(stub: Stub, setting: Setting) -> Iterator[AnthropicAuthor]:
    setting("ANTHROPIC_BASE_URL", stub.anthropic_url)
    setting("ANTHROPIC_API_KEY", SECRET)
    author = AnthropicAuthor()
    yield author
    author.close()


@pytest.fixture
def subject(author: AnthropicAuthor, stub: Stub) -> Subject:
    return Subject(stub, "anthropic", MESSAGES, lambda till: author.ask(ASKED, no_check, till))


@pytest.fixture
def bench(client: RedisClient, tmp_path: Path) -> Bench:
    client.enqueue_job("a", {}, pipeline="selftest")
    return Bench(client, tmp_path)


# --- the exam


@pytest.mark.parametrize(("status", "error"), exam.STATUSES)
def test_a_status_says_what_to_do_next(subject: Subject, status: int, error: Any) -> None:
    exam.sit_status(subject, status, error)


@pytest.mark.parametrize("status", [429, 503, 529])
def test_the_wait_that_it_asks_for_is_kept(subject: Subject, status: int) -> None:
    exam.sit_retry_after(subject, status)


def test_a_wait_until_a_date(subject: Subject) -> None:
    exam.sit_retry_date(subject)


def test_a_page_of_a_proxy_is_an_answer(subject: Subject) -> None:
    exam.sit_page(subject)


@pytest.mark.parametrize(("kind", "options"), exam.DOUBTS)
def test_what_cannot_be_read_leaves_doubt(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_doubt(subject, kind, options)


@pytest.mark.parametrize("kind", ["cut", "error_event"])
def test_a_stream_that_breaks_off_leaves_doubt(subject: Subject, kind: str) -> None:
    exam.sit_doubt(subject, kind, {"events": 3})


def test_an_error_instead_of_the_first_event_is_an_answer(subject: Subject) -> None:
    subject.stub.faults("error_event", vendor="anthropic", path=MESSAGES, events=0, error="overloaded_error")
    subject.fails(Overloaded)


@pytest.mark.parametrize(("kind", "options"), exam.DELAYS)
def test_no_answer_passes_the_deadline(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_delay(subject, kind, options)


def test_not_even_headers_pass_the_deadline(author: AnthropicAuthor, stub: Stub, setting: Setting) -> None:
    with exam.dripping_port() as url:
        setting("ANTHROPIC_BASE_URL", url)
        exam.sit_dripping_headers(stub, lambda till: author.ask(ASKED, no_check, till))


def test_nobody_there_is_no_doubt(author: AnthropicAuthor, stub: Stub, setting: Setting) -> None:
    setting("ANTHROPIC_BASE_URL", exam.closed_port())
    exam.sit_unreachable(stub, lambda till: author.ask(ASKED, no_check, till))


@pytest.mark.parametrize(
    ("status", "options", "error"),
    [
        (429, {"code": "enforced_spend_limit_reached"}, Permanent),
        (429, {"code": "ramp_limit_exceeded"}, RateLimited),
        (400, {"message": "Your credit balance is too low to access the API."}, Permanent),
    ],
)
def test_no_money_is_told_from_too_fast(subject: Subject, status: int, options: Any, error: Any) -> None:
    subject.stub.faults("status", vendor="anthropic", path=MESSAGES, status=status, **options)
    found = subject.fails(error)
    if error is Permanent:
        assert "credit or quota" in str(found)


def test_no_secret_is_logged(subject: Subject) -> None:
    subject.stub.faults("status", vendor="anthropic", status=401, message=f"bad {SECRET}")
    with structlog.testing.capture_logs() as logs, pytest.raises(StagecrewError):
        subject.pay(Till(subject.stub))
    assert SECRET not in str(logs)


# --- answers


def test_the_cost_is_the_vendors_to_the_cent(subject: Subject) -> None:
    till = Till(subject.stub)
    answer = subject.pay(till)
    assert isinstance(answer, Slogan)
    assert till.answers[0].cost_usd == pytest.approx(subject.stub.cost("anthropic"))
    assert till.calls[0].most_usd >= till.answers[0].cost_usd > 0
    assert not till.answers[0].is_estimate


def test_the_prompt_is_cached_and_the_cost_says_so(subject: Subject) -> None:
    subject.stub.set(cache_min_tokens=1)
    tills = [Till(subject.stub) for _ in range(2)]
    for till in tills:
        subject.pay(till)
    first, second = (till.answers[0].cost_usd for till in tills)
    assert second < first
    assert first + second == pytest.approx(subject.stub.cost("anthropic"))


@pytest.mark.parametrize(
    ("canned", "error"),
    [
        ({"stop_reason": "refusal"}, Refused),
        ({"stop_reason": "max_tokens"}, BadReply),
        ({"body": "no JSON at all"}, BadReply),
        ({"body": {"text": ""}}, BadReply),
        ({"body": {"text": "x" * 201}}, BadReply),
        ({"body": {"text": "good", "more": 1}}, None),
    ],
)
def test_an_answer_of_no_use_is_paid_and_said(subject: Subject, canned: dict[str, Any], error: Any) -> None:
    subject.stub.answer("anthropic", **canned)
    till = Till(subject.stub)
    if error is None:
        subject.pay(till)
    else:
        with pytest.raises(error):
            subject.pay(till)
    assert till.answers[0].cost_usd == pytest.approx(subject.stub.cost("anthropic"))


def test_a_useless_answer_is_asked_for_again_and_both_are_booked(
    bench: Bench, author: AnthropicAuthor, stub: Stub
) -> None:
    stub.answer("anthropic", body="no JSON", n=1)
    with pytest.raises(BadReply):
        author.ask(ASKED, no_check, bench.begin())
    found = author.ask(ASKED, no_check, bench.begin())
    assert author.ask(ASKED, no_check, bench.begin()) == found
    assert len(stub.requests("anthropic", path=MESSAGES)) == 2
    assert sum(cost or 0 for _, _, cost in bench.rows()) == pytest.approx(stub.cost("anthropic"))


# --- scripts and verdicts


def test_a_script_is_written_and_holds_what_it_promises(author: AnthropicAuthor, stub: Stub) -> None:
    script = AnthropicWriter().write(BRIEF, no_check, Till(stub))
    assert (script.provider, script.scenes[0].kind, script.scenes[-1].kind) == ("anthropic", "hero", "cta")
    sent = stub.requests("anthropic", path=MESSAGES)[0].json
    assert "Nova Flask" in sent["messages"][0]["content"]
    assert "Nova Flask" not in sent["system"][0]["text"]


def test_a_film_may_begin_in_several_ways(author: AnthropicAuthor, stub: Stub) -> None:
    script = AnthropicWriter().write(replace(BRIEF, openings=3), no_check, Till(stub))
    assert len({scene.narration for scene in script.openings}) == 2
    assert {scene.kind for scene in script.openings} == {"hero"}


def test_subtitles_are_translated_text_by_text(author: AnthropicAuthor, stub: Stub) -> None:
    texts = ("Meet Nova Flask.", "It's cold, and it stays so.", "Order now.")
    said = AnthropicWriter().translate(texts, "en", "de", no_check, Till(stub))
    assert len(said) == 3
    sent = orjson.loads(stub.requests("anthropic", path=MESSAGES)[0].json["messages"][0]["content"])
    assert (sent["texts"], sent["into"]) == (list(texts), "de")


@pytest.mark.parametrize(
    ("translations", "reason"),
    [
        (["Eins."], "1 translations of 2 texts"),
        (["Eins.", "..."], "has no words"),
        (["Eins.", "x" * 500], "500 letters"),
    ],
)
def test_a_translation_that_does_not_fit_is_no_use(
    author: AnthropicAuthor, stub: Stub, translations: list[str], reason: str
) -> None:
    stub.answer("anthropic", body={"translations": translations})
    with pytest.raises(BadReply, match=reason):
        AnthropicWriter().translate(("One.", "Two."), "en", "de", no_check, Till(stub))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Meet Nova Flask, loved by 4711 people in every town of the land.", "says 4711"),
        ("Hi.", "takes about"),
        ("Meet Nova Flask. " * 30, "takes about"),
    ],
)
def test_a_script_that_invents_or_does_not_fit_is_no_use(
    author: AnthropicAuthor, stub: Stub, said: str, reason: str
) -> None:
    scene = {"narration": said, "headline": "Nova", "kicker": "", "lines": []}
    stub.answer("anthropic", body={"scenes": [scene | {"kind": "hero"}, scene | {"kind": "cta"}]})
    with pytest.raises(BadReply, match=reason):
        AnthropicWriter().write(BRIEF, no_check, Till(stub))


def test_the_small_model_judges(author: AnthropicAuthor, stub: Stub) -> None:
    assert AnthropicModerator().moderate({"description": "a flask"}, no_check, Till(stub)).allowed
    no = {"allowed": False, "field": "description", "category": "hate", "reason": "It insults a group."}
    stub.answer("anthropic", body=no)
    verdict = AnthropicModerator().moderate({"description": "..."}, no_check, Till(stub))
    assert (verdict.allowed, verdict.field, verdict.reason) == (False, "description", "It insults a group.")
    assert {one.json["model"] for one in stub.requests("anthropic", path=MESSAGES)} == {MODERATION_MODEL}


# --- batches

WAITS = Question("summary", "Sum it up.", "words", Slogan, most_tokens=500, may_wait=True)


def test_a_batch_costs_half_and_is_collected_by_its_id(bench: Bench, author: AnthropicAuthor, stub: Stub) -> None:
    stub.set(batch_seconds=1000)
    author_call = BatchedQuestion(author, WAITS)
    sent = author_call.send("key")
    looks: list[float] = []
    with pytest.raises(NotNow):
        author_call.collect(sent.external_id, looks.append)  # type: ignore[arg-type]
    assert len(looks) == LOOKS - 1
    stub.advance(1001)
    answer = BatchedQuestion(author, WAITS).collect(sent.external_id, looks.append)  # type: ignore[arg-type]
    assert isinstance(author_call.accept(answer.result, {}), Slogan)
    assert answer.cost_usd == pytest.approx(stub.cost("anthropic"))
    assert len(stub.requests("anthropic", method="POST")) == 1


def test_a_batch_whose_answer_was_lost_is_found_again(bench: Bench, author: AnthropicAuthor, stub: Stub) -> None:
    stub.faults("reset_after", vendor="anthropic", method="POST", path="/batches")
    with pytest.raises(Unanswered):
        author.ask(WAITS, no_check, bench.begin())
    bench.age(600)
    stub.advance(60)
    assert isinstance(author.ask(WAITS, no_check, bench.begin()), Slogan)
    assert len(stub.requests("anthropic", method="POST")) == 1
    assert [row[0] for row in bench.rows()] == ["settled"]


def test_a_batch_that_expired_is_handed_in_again(bench: Bench, author: AnthropicAuthor, stub: Stub) -> None:
    call = BatchedQuestion(author, WAITS)
    with pytest.raises(BadReply, match="expired"):
        call.accept({"text": "", "ending": "expired", "reason": ""}, {})
