"""Makes paid calls for a stage: intent before the call, the answer kept with its cost, a lost one looked for and not made twice."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import orjson
import structlog

from artifacts import Artifact, LocalStore
from database import charges
from database.budgets import NoRoomError, seconds_to_midnight
from database.charges import ChargeRecord, Intent, charge_key
from database.engine import Database
from database.records import Holder, JobRecord
from errors import (
    BadReply,
    BudgetSpent,
    DatabaseUnavailable,
    Fenced,
    HostTrouble,
    Interrupted,
    NeedsPerson,
    NotNow,
    Permanent,
    StagecrewError,
    Unanswered,
    Unsupported,
)
from log import redact, redact_known, without_secrets
from pipeline.gates import Gates
from pipeline.providers.paid import Answer, Ledger, PaidCall, Submitted
from pipeline.stop import StopSignal
from settings import Settings

# An intent is in doubt only when nobody can be waiting for its answer any more, and when its vendor has had time to note
# it, where it can be searched for. A lost one of which nobody can say more is judged after a moment.
STRANGERS_MARGIN_SECONDS = 30.0
OWN_SECONDS = 10.0
ROOM_SECONDS = 15.0  # until what others have reserved may be free again
MOST_REJECTED = 3
BOOK_PAUSE_SECONDS = 0.5
T = TypeVar("T")
log = structlog.get_logger()


@dataclass
class StageLedger(Ledger):
    """The ledger of one try of one stage, or of one item of it."""

    database: Database
    store: LocalStore
    settings: Settings
    holder: Holder
    job: JobRecord
    stage: str
    item: str
    stop: StopSignal
    gates: Gates
    # Another provider may do the work when this one is down: then each failure counts, and brings that nearer.
    may_switch: bool = False
    used: bool = False

    def charge(self, call: PaidCall) -> Any:
        """The answer of a call: the stored one, the one that is under way, or a new one."""
        self.used = True
        digest = hashlib.sha256(orjson.dumps(call.request, option=orjson.OPT_SORT_KEYS)).hexdigest()
        rejected = 0
        for number in count(1):
            key = charge_key(self.job.id, self.stage, self.item, call.name, digest, number)
            row = charges.find_charge(self.database, key)
            if row is None:
                return self._make(call, key, digest, number)
            if row.state == "settled":
                if row.error is None:
                    return self._stored(call, row)
                rejected += 1
                if rejected >= MOST_REJECTED:
                    raise Permanent(
                        f"{call.provider}: {rejected} paid answers to {call.name} were useless: {row.error}"
                    )
            elif row.state == "submitted":
                return self._collect(call, key, str(row.external_id))
            elif row.state == "intent" and (answer := self._in_doubt(call, row)) is not None:
                return answer[0]
        raise AssertionError("unreachable")

    def pause(self, seconds: float) -> None:
        """Sleep, unless the job must stop first."""
        self.stop.wait(seconds)

    # --- making a call

    def _make(self, call: PaidCall, key: str, digest: str, number: int) -> Any:
        self.stop.check()
        with self.gates.pass_through(call.gate, key):
            self._intend(call, key, digest, number)
            return self._send(call, key)

    def _intend(self, call: PaidCall, key: str, digest: str, number: int) -> None:
        intent = Intent(
            key,
            self.job.id,
            self.stage,
            self.item,
            call.name,
            number,
            self.job.tenant,
            call.provider,
            digest,
            call.most_usd,
            call.price_table,
            call.deadline_seconds,
        )
        options = self.job.payload | self.job.options
        caps = {
            "day": self.settings.budget_day_usd,
            "tenant": self.settings.budget_tenant_usd,
            "job": self.settings.budget_job_usd if (own := options.get("max_cost_usd")) is None else own,
        }
        try:
            charges.intend(self.database, self.holder, intent, caps)
        except NoRoomError as error:
            if error.comes_back:
                raise NotNow(f"budget: {error}", retry_after=ROOM_SECONDS) from None
            if options.get("over_budget") != "wait":
                raise BudgetSpent(str(error)) from None
            if error.scope.startswith("day:"):
                raise NotNow(f"budget: {error}", retry_after=seconds_to_midnight(self.database)) from None
            raise NeedsPerson(f"budget {error.scope}") from None

    def _send(self, call: PaidCall, key: str) -> Any:
        """Send it, once; from here to the answer nobody takes this job from us without waiting for it."""
        with self.stop.paid_call():
            if not self.stop.lease_alive():
                self._book(lambda: charges.void(self.database, key, "the lease ran out before it was sent"))
                raise HostTrouble("the lease ran out before a paid call was sent")
            began = time.monotonic()
            try:
                sent = call.send(key)
            except Unanswered as error:
                self._book(lambda: charges.doubt(self.database, key, "lost"))
                log.warning("call_unanswered", provider=call.provider, call=call.name, error=redact(str(error)))
                self._count(call, key, error)
                raise
            except (Interrupted, Fenced):
                self._book(lambda: charges.doubt(self.database, key, "lost"))
                raise
            except StagecrewError as error:
                reason = redact(str(error))
                self._book(lambda: charges.void(self.database, key, reason))
                self._count(call, key, error)
                raise
            except Exception:
                # A fault of ours, on this side: it says nothing about what the vendor did.
                self._book(lambda: charges.doubt(self.database, key, "lost"))
                raise
            self.gates.answered(call.gate, key)
            if isinstance(sent, Submitted):
                self._book(lambda: charges.submit(self.database, key, sent.external_id))
            else:
                return self._settle(call, key, sent, began)
        return self._collect(call, key, sent.external_id, began)

    def _collect(self, call: PaidCall, key: str, external_id: str, began: float | None = None) -> Any:
        """Wait for what the vendor works on; whoever comes later does the same, and makes no second call."""
        try:
            with self._free(call, key):
                answer = call.collect(external_id, self.gates.pause_for(external_id))
        except Unsupported as error:
            # A person said that it was made, and there is no way to its answer.
            reason = str(error)
            self._book(lambda: charges.settle_unanswered(self.database, key, call.most_usd, reason))
            raise BadReply(f"{call.provider}: the answer to {call.name} cannot be fetched any more") from error
        return self._settle(call, key, answer, began)

    def _count(self, call: PaidCall, key: str, error: Exception) -> None:
        """Count a failure against its vendor; NotNow in its place when that is known to be down."""
        told = self.gates.failed(call.gate, error, key)
        log.warning("call_failed", provider=call.provider, call=call.name, error_class=type(error).__name__)
        if isinstance(told, NotNow) and not self.may_switch:
            raise told from error

    @contextmanager
    def _free(self, call: PaidCall, key: str) -> Iterator[None]:
        """Traffic that costs nothing, for a call that was made: it too leaves a vendor alone that is down."""
        self.gates.ask(call.gate, key)
        try:
            yield
        except Exception as error:
            self._count(call, key, error)
            raise
        self.gates.answered(call.gate, key)

    def _settle(self, call: PaidCall, key: str, answer: Answer, began: float | None) -> Any:
        """Files first, durably; then cost and answer in one commit of their own. `began`: when it was sent, if by us."""
        files = {
            name: self.store.put(one.path, media_type=one.media_type, name=one.name)
            for name, one in answer.files.items()
        }
        kept = {
            "result": without_secrets(answer.result, redact_known),  # a vendor can say our own key back to us
            "files": {name: one.model_dump() for name, one in files.items()},
        }
        settled = self._book(
            lambda: charges.settle(
                self.database,
                key,
                result=kept,
                cost_usd=answer.cost_usd,
                is_estimate=answer.is_estimate,
                external_id=answer.external_id,
            )
        )
        seconds = None if began is None else round(time.monotonic() - began, 3)
        log.info("call_settled", provider=call.provider, call=call.name, cost_usd=answer.cost_usd, seconds=seconds)
        if not settled:
            log.error("orphan_charge", provider=call.provider, call=call.name, external_id=answer.external_id)
        return self._accept(call, key, kept)

    # --- a call that was made before

    def _stored(self, call: PaidCall, row: ChargeRecord) -> Any:
        """The answer that was paid for; its files are fetched again where they are gone, never bought again."""
        files = _artifacts(row.result["files"])
        if all(self.store.holds(one) for one in files.values()):
            return self._accept(call, row.key, row.result)
        if row.external_id is None:
            raise NeedsPerson(f"charge {row.key[:12]}: its file is gone from the artifact store")
        with self._free(call, row.key):
            answer = call.collect(row.external_id, self.gates.pause_for(row.external_id))
        for one in answer.files.values():
            self.store.put(one.path, media_type=one.media_type, name=one.name)
        if not all(self.store.holds(one) for one in files.values()):
            raise NeedsPerson(f"charge {row.key[:12]}: its file is gone, and the vendor has another one now")
        return self._accept(call, row.key, row.result)

    def _accept(self, call: PaidCall, key: str, kept: Mapping[str, Any]) -> Any:
        paths: dict[str, Path] = {name: self.store.path(one) for name, one in _artifacts(kept["files"]).items()}
        try:
            return call.accept(kept["result"], paths)
        except BadReply as error:
            reason = redact(str(error))
            self._book(lambda: charges.reject(self.database, key, reason))
            raise

    def _in_doubt(self, call: PaidCall, row: ChargeRecord) -> tuple[Any] | None:
        """Intended, and nobody knows whether it was sent. Its answer; or None when it is written off."""
        is_told = row.doubt == "lost" and not call.searchable
        wait = OWN_SECONDS if is_told else row.deadline_seconds + STRANGERS_MARGIN_SECONDS
        if row.doubt == "parked":
            raise NeedsPerson(f"charge {row.key[:12]} of {row.provider} is in doubt")
        if row.age_seconds < wait:
            raise NotNow(f"a call to {row.provider} is not answered yet", retry_after=wait - row.age_seconds + 0.5)
        found: list[str] = []
        if call.searchable:
            with self._free(call, row.key):
                found = self._candidates(call, row)
            if len(found) == 1:
                self._book(lambda: charges.submit(self.database, row.key, found[0]))
                log.info("call_found_again", provider=row.provider, call=row.call, external_id=found[0])
                return (self._collect(call, row.key, found[0]),)
        if call.keyed:
            with self.gates.pass_through(call.gate, row.key):
                return (self._send(call, row.key),)
        if found or self._parks(call, row):
            self._book(lambda: charges.doubt(self.database, row.key, "parked"))
            raise NeedsPerson(f"charge {row.key[:12]} of {row.provider} is in doubt")
        if call.searchable:
            self._book(lambda: charges.void(self.database, row.key, "the vendor does not know of it"))
            return None
        self._book(lambda: charges.void(self.database, row.key, "nobody knows whether it was made", doubt="repaid"))
        log.warning("call_repaid", provider=row.provider, call=row.call, estimate_usd=row.estimate_usd)
        return None

    def _candidates(self, call: PaidCall, row: ChargeRecord) -> list[str]:
        """Calls at the vendor that are like this one and that no other row of the ledger has."""
        found = [one.external_id for one in call.search(row.intent_ms)]
        taken = charges.known_external_ids(self.database, row.provider, found)
        return [one for one in found if one not in taken]

    def _parks(self, call: PaidCall, row: ChargeRecord) -> bool:
        if call.when_in_doubt is not None:
            return call.when_in_doubt == "park"
        # Searched through and not there: it was not made. Else the sum decides.
        return not call.searchable and row.estimate_usd > self.settings.park_above_usd

    def _book(self, write: Callable[[], T]) -> T:
        """Book-keeping of a call of our own: as long as the database is away and somebody may still wait for us."""
        until = time.monotonic() + self.settings.shutdown_paid_seconds
        while True:
            try:
                return write()
            except DatabaseUnavailable as error:
                if time.monotonic() > until:
                    raise
                log.warning("booking_deferred", error=str(error))
                time.sleep(BOOK_PAUSE_SECONDS)


def _artifacts(files: Mapping[str, Any]) -> dict[str, Artifact]:
    return {name: Artifact.model_validate(one) for name, one in files.items()}
