"""Claude: questions answered through the Messages API, streamed, once, under one deadline. Scripts and moderation ask here too.

Facts behind it: the SDK retries by itself unless told not to, has no deadline for the whole of a call, and sends no key that
makes two calls one; a refusal and a cut-off answer come as good ones; what a stream breaks off after is billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import orjson
from pydantic import BaseModel

from pipeline.providers import prices
from pipeline.providers.anthropic_client import VENDOR, AnthropicClient
from pipeline.providers.asked import AskedModerator, AskedWriter
from pipeline.providers.base import Capability, Check, Estimate, Question
from pipeline.providers.hosted import Hosted
from pipeline.providers.paid import Answer, Gate, Ledger, PaidCall, Submitted
from pipeline.providers.questions import CUT_OFF, ENDED, REFUSED, read_answer, schema_of, system_of
from pipeline.providers.vendor_http import clean
from pipeline.providers.vendor_key import gate_name
from settings import Settings, get_settings

WHOLE_SECONDS = 300.0
MODERATION_MODEL = "claude-haiku-5-5"
# Tokens that the vendor adds around what we send, and what an answer usually takes.
OVERHEAD_TOKENS, USUAL_ANSWER_TOKENS = 1500, 1200
ENDINGS = {"refusal": REFUSED, "max_tokens": CUT_OFF, "model_context_window_exceeded": CUT_OFF}
T = TypeVar("T", bound=BaseModel)


class AnthropicAuthor(Hosted[AnthropicClient]):
    """Answers questions (capability `text`)."""

    name: ClassVar[str] = VENDOR
    capability: ClassVar[Capability] = "text"
    key: ClassVar[str] = "anthropic_api_key"

    def __init__(self, model: str | None = None) -> None:
        """`model`: None takes ANTHROPIC_MODEL."""
        super().__init__()
        self._model = model

    def open_api(self, settings: Settings) -> AnthropicClient:
        """The SDK under the key."""
        return AnthropicClient(settings)

    @property
    def model(self) -> str:
        """Which one answers."""
        return self._model or get_settings().anthropic_model

    @property
    def gate(self) -> Gate:
        """One key's calls at a time."""
        settings = get_settings()
        return Gate(gate_name(VENDOR, settings.anthropic_api_key), slots=settings.anthropic_slots)

    def available(self) -> str | None:
        """None when the SDK and a key are there."""
        return super().available() if find_spec("anthropic") else "the package anthropic is not installed."

    def ask(self, question: Question[T], check: Check, ledger: Ledger) -> T:
        """The answer, once paid for; Refused, or BadReply when it is no use (then the next try asks again)."""
        from pipeline.providers.anthropic_batches import BatchedQuestion

        check()
        kind = BatchedQuestion if question.may_wait else AskedQuestion
        answer: T = ledger.charge(kind(self, question))
        return answer

    def estimate(self, question: Question[Any]) -> Estimate:
        """What the answer costs."""
        call = AskedQuestion(self, question)
        share = prices.BATCH_SHARE if question.may_wait else 1.0
        price = prices.tokens_of(self.model)
        likely = call.sent_bytes / 4 * price.input + min(USUAL_ANSWER_TOKENS, question.most_tokens) * price.output
        return Estimate(share * likely / 1e6, share * call.most_usd)

    def cancel_call(self, external_id: str) -> float | None:
        """Only batches can be cancelled; what was answered by then is billed, and cannot be told yet."""
        self.api().free(lambda claude: claude.messages.batches.cancel(external_id))
        return None


class AnthropicWriter(AskedWriter):
    """Writes scripts (capability `write`)."""

    name: ClassVar[str] = VENDOR

    def __init__(self) -> None:
        super().__init__(AnthropicAuthor())


class AnthropicModerator(AskedModerator):
    """Judges texts (capability `moderate`), with the small model."""

    name: ClassVar[str] = VENDOR

    def __init__(self) -> None:
        super().__init__(AnthropicAuthor(MODERATION_MODEL))


class AskedQuestion(PaidCall):
    """One message. There is no key and no list of messages: one whose answer is lost cannot be found again."""

    provider = VENDOR
    price_table = prices.TABLE
    deadline_seconds = WHOLE_SECONDS

    def __init__(self, vendor: AnthropicAuthor, question: Question[Any]) -> None:
        self.vendor, self.question, self.name = vendor, question, question.name
        self.params = {
            "model": vendor.model,
            "max_tokens": question.most_tokens,
            "system": [{"type": "text", "text": system_of(question), "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": question.content}],
            "output_config": {"format": {"type": "json_schema", "schema": schema_of(question.answer)}},
        }
        self.request, self.gate = self.params, vendor.gate
        self.sent_bytes = len(orjson.dumps(self.params)) + OVERHEAD_TOKENS
        price = prices.tokens_of(vendor.model)
        # A token is a byte at the least.
        self.most_usd = (self.sent_bytes * price.cache_write + question.most_tokens * price.output) / 1e6

    def send(self, key: str) -> Submitted | Answer:
        """Ask, and read the answer to its end."""
        del key
        heard = Heard()

        def ask(claude: Any) -> None:
            heard.listen(claude.messages.create(stream=True, **self.params))

        self.vendor.api().paid(self.deadline_seconds, ask, began=lambda: heard.began)
        return answer_of(heard.message, self.vendor.model)

    def accept(self, result: Any, files: Mapping[str, Path]) -> Any:
        """The answer as its type."""
        del files
        return read_answer(self.question, result, VENDOR)


class Heard:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"content": [], "usage": {}}
        self.began = self.ended = False

    def listen(self, stream: Any) -> None:
        """Read all events; the stream's own errors pass."""
        with stream:
            for event in stream:
                self._note(event)
        if not self.ended:
            raise EOFError("the stream ended before its answer did")

    def _note(self, event: Any) -> None:
        match event.type:
            case "message_start":
                self.began = True
                self.message["id"] = event.message.id
                self._add_usage(event.message.usage)
            case "content_block_delta" if event.delta.type == "text_delta":
                self.message["content"].append({"type": "text", "text": event.delta.text})
            case "message_delta":
                self.message["stop_reason"] = event.delta.stop_reason
                details = getattr(event.delta, "stop_details", None)
                self.message["stop_details"] = details.model_dump() if details else None
                self._add_usage(event.usage)
            case "message_stop":
                self.ended = True

    def _add_usage(self, usage: Any) -> None:
        if usage is not None:
            self.message["usage"] |= {name: one for name, one in usage.model_dump().items() if one is not None}


def answer_of(message: Mapping[str, Any], model: str, *, share: float = 1.0) -> Answer:
    """A message as the ledger keeps it: its text, how it ended, and its cost by the tokens that it says."""
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    details = message.get("stop_details") or {}
    kept = {
        "text": text,
        "ending": ENDINGS.get(str(message.get("stop_reason")), ENDED),
        "reason": clean(str(details.get("explanation") or details.get("category") or "")),
    }
    usage, price = message["usage"], prices.tokens_of(model)
    millionths = (
        usage.get("input_tokens", 0) * price.input
        + (usage.get("cache_creation_input_tokens") or 0) * price.cache_write
        + (usage.get("cache_read_input_tokens") or 0) * price.cache_read
        + usage.get("output_tokens", 0) * price.output
    )
    return Answer(kept, share * millionths / 1e6, external_id=message.get("id"))
