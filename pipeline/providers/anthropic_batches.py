"""Questions to Claude that may wait a day, at half the price: a batch of one, found again by its id or its contents."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from errors import BadReply, NotNow
from pipeline.providers import prices
from pipeline.providers.anthropic import AnthropicAuthor, AskedQuestion, answer_of
from pipeline.providers.anthropic_client import VENDOR
from pipeline.providers.base import Question
from pipeline.providers.paid import Answer, Candidate, Pause, Submitted

LOOKS, LOOK_SECONDS, AGAIN_SECONDS = 6, 5.0, 120.0
MARGIN_MS = 120_000  # between the vendor's clock and the database's


class BatchedQuestion(AskedQuestion):
    """One message in a batch of its own."""

    searchable = True

    def __init__(self, vendor: AnthropicAuthor, question: Question[Any]) -> None:
        super().__init__(vendor, question)
        self.request = {"batch": self.params}
        self.most_usd *= prices.BATCH_SHARE
        self.custom_id = "sc-" + hashlib.sha256(orjson.dumps(self.params)).hexdigest()[:40]

    def send(self, key: str) -> Submitted | Answer:
        """Hand it in."""
        del key
        order: Any = [{"custom_id": self.custom_id, "params": self.params}]
        made = self.vendor.api().paid(
            self.deadline_seconds, lambda claude: _known(claude.messages.batches.create(requests=order))
        )
        return Submitted(made.id)

    def collect(self, external_id: str, pause: Pause) -> Answer:
        """Its answer; NotNow while the vendor takes its time, so that nobody's slot waits for it."""
        for look in range(LOOKS):
            if look:
                pause(LOOK_SECONDS)
            batch = self.vendor.api().free(lambda claude: claude.messages.batches.retrieve(external_id))
            if batch.processing_status == "ended":
                return self._answer(external_id)
        raise NotNow(f"anthropic has not come to the batch {external_id} yet", retry_after=AGAIN_SECONDS)

    def search(self, since_ms: int) -> Sequence[Candidate]:
        """Batches that hold this very question. One that is still under way cannot be looked into: NotNow until it ends."""
        found = []
        for batch in self.vendor.api().free(lambda claude: _since(claude, since_ms - MARGIN_MS)):
            counts = batch.request_counts
            if counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired != 1:
                continue
            if batch.processing_status != "ended":
                raise NotNow(f"the batch {batch.id} may be the lost one", retry_after=AGAIN_SECONDS)
            if self._find(batch.id) is not None:
                found.append(Candidate(batch.id, _ms(batch)))
        return found

    def _answer(self, external_id: str) -> Answer:
        result = self._find(external_id)
        if result is None:
            raise BadReply(f"anthropic: the batch {external_id} does not hold what was asked")
        if result["type"] != "succeeded":
            # Free, and it will not come any more: the next try hands in another one.
            failed = {"text": "", "ending": result["type"], "reason": ""}
            return Answer(failed, 0.0, external_id=external_id)
        found = answer_of(result["message"], self.vendor.model, share=prices.BATCH_SHARE)
        return Answer(found.result, found.cost_usd, external_id=external_id)

    def _find(self, external_id: str) -> dict[str, Any] | None:
        def look(claude: Any) -> dict[str, Any] | None:
            for one in claude.messages.batches.results(external_id):
                if one.custom_id == self.custom_id:
                    found: dict[str, Any] = one.result.model_dump()
                    return found
            return None

        return self.vendor.api().free(look)

    def accept(self, result: Any, files: Any) -> Any:
        """The answer as its type; BadReply for one that has ended without."""
        if result["ending"] in {"errored", "canceled", "expired"}:
            raise BadReply(f"{VENDOR}: the batch ended as {result['ending']}")
        return super().accept(result, files)


def _ms(batch: Any) -> int:
    return int(batch.created_at.timestamp() * 1000)


def _since(claude: Any, since_ms: int) -> list[Any]:
    """Batches made since then; the newest come first."""
    found = []
    for batch in claude.messages.batches.list(limit=100):
        if _ms(batch) < since_ms:
            break
        found.append(batch)
    return found


def _known(batch: Any) -> Any:
    """A good status with something else in it says nothing of what was done."""
    if not getattr(batch, "id", None):
        raise ValueError("no batch")
    return batch
