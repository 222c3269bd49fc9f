"""Any chat-completions server by its address (vLLM, Ollama, llama.cpp): for people with models of their own.

Calls cost nothing that we know of, but they take minutes: they go through the ledger all the same, so that an answer is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel

from errors import Permanent, StagecrewError
from pipeline.providers.asked import AskedWriter
from pipeline.providers.base import Capability, Check, Estimate, Question
from pipeline.providers.hosted import Hosted
from pipeline.providers.paid import Answer, Gate, Ledger, PaidCall, Submitted
from pipeline.providers.questions import CUT_OFF, ENDED, REFUSED, read_answer, schema_of, system_of
from pipeline.providers.vendor_http import Reply, VendorHttp, clean, error_of, object_of, retry_after_of, unreadable
from pipeline.providers.vendor_key import gate_name
from settings import Settings, get_settings

VENDOR = "openai_compatible"
WHOLE_SECONDS = 900.0
T = TypeVar("T", bound=BaseModel)


class CompatibleAuthor(Hosted[VendorHttp]):
    """Answers questions (capability `text`)."""

    name: ClassVar[str] = VENDOR
    capability: ClassVar[Capability] = "text"
    key: ClassVar[str] = "llm_base_url"

    def open_api(self, settings: Settings) -> VendorHttp:
        """The server that is set."""
        if reason := self.available():
            raise Permanent(f"{VENDOR}: {reason}")
        key = settings.llm_api_key.get_secret_value() if settings.llm_api_key else ""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return VendorHttp(VENDOR, str(settings.llm_base_url), headers, _explain)

    @property
    def gate(self) -> Gate:
        """The server's breaker; how many calls it takes at a time is its own business."""
        return Gate(gate_name(VENDOR, get_settings().llm_api_key))

    def available(self) -> str | None:
        """None when an address and a model are set."""
        return super().available() or (None if get_settings().llm_model else "LLM_MODEL is not set.")

    def ask(self, question: Question[T], check: Check, ledger: Ledger) -> T:
        """The answer; Refused, or BadReply when it is no use."""
        check()
        answer: T = ledger.charge(Completion(self, question))
        return answer

    def estimate(self, question: Question[Any]) -> Estimate:
        """Nothing that we know of."""
        del question
        return Estimate()

    def cancel_call(self, external_id: str) -> float | None:
        """It has no calls that go on by themselves."""
        del external_id
        return None


class CompatibleWriter(AskedWriter):
    """Writes scripts (capability `write`)."""

    name: ClassVar[str] = VENDOR

    def __init__(self) -> None:
        super().__init__(CompatibleAuthor())


class Completion(PaidCall):
    """One completion. Lost ones are asked for again: it is our own machine that works twice."""

    provider = VENDOR
    deadline_seconds = WHOLE_SECONDS
    most_usd = 0.0
    when_in_doubt = "repay"

    def __init__(self, vendor: CompatibleAuthor, question: Question[Any]) -> None:
        self.vendor, self.question, self.name, self.gate = vendor, question, question.name, vendor.gate
        schema = {"name": question.name, "strict": True, "schema": schema_of(question.answer)}
        self.request = {
            "model": get_settings().llm_model,
            "max_tokens": question.most_tokens,
            "messages": [
                {"role": "system", "content": system_of(question)},
                {"role": "user", "content": question.content},
            ],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }

    def send(self, key: str) -> Submitted | Answer:
        """Ask, and read the whole answer."""
        del key
        reply = self.vendor.api().ask(
            "POST", "/chat/completions", seconds=self.deadline_seconds, paid=True, json=self.request
        )
        found = object_of(reply, VENDOR, paid=True)
        try:
            choice = found["choices"][0]
            message, reason = choice["message"], choice.get("finish_reason")
            text = str(message.get("content") or "")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise unreadable(VENDOR, "an object without choices", paid=True) from None
        refusal = message.get("refusal")
        ending = REFUSED if refusal or reason == "content_filter" else CUT_OFF if reason == "length" else ENDED
        kept = {"text": text, "ending": ending, "reason": clean(str(refusal or ""))}
        return Answer(kept, 0.0, is_estimate=True, external_id=str(found.get("id") or "") or None)

    def accept(self, result: Any, files: Mapping[str, Path]) -> Any:
        """The answer as its type."""
        del files
        return read_answer(self.question, result, VENDOR)


def _explain(reply: Reply) -> StagecrewError:
    """Servers of this kind say {"error": {"message": ...}}, or {"error": "..."}, or {"detail": ...}."""
    found = reply.json()
    error = found.get("error", found.get("detail")) if isinstance(found, dict) else None
    said = str(error.get("message") if isinstance(error, dict) else error or "")
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    return error_of(
        reply.status,
        vendor=VENDOR,
        said=said,
        retry_after=retry_after_of(reply.headers),
        quota=code == "insufficient_quota",
    )
