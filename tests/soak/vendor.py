"""A vendor whose book is a folder: one file a call that it took, so that it outlives every death around it.

Half of the stages call it with a key, and it makes one call of two with the same key; the other half can only look
through its calls. Either way nothing may be paid twice.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from database.tables import Charge
from pipeline import charges
from pipeline.context import Context
from pipeline.providers.paid import Answer, Candidate, PaidCall, Pause, Submitted
from pipeline.stage import find_stage, stages
from tests.soak.ledger import STAGE

CALL_SECONDS = 0.005
COST_USD = 0.01
DEADLINE_SECONDS = 0.5
# A call is in doubt when its deadline and this have passed: half a minute would make every kill a wait of as long.
MARGIN_SECONDS = 1.0


class Call(PaidCall):
    """One call of one stage or item."""

    name, provider, deadline_seconds, most_usd = "soak", "vendor", DEADLINE_SECONDS, 2 * COST_USD

    def __init__(self, book: Path, what: str) -> None:
        self.book, self.request = book, {"what": what}
        self.digest = hashlib.sha256(what.encode()).hexdigest()[:24]
        self.keyed = self.digest[0] in "02468ace"
        self.searchable = not self.keyed

    def send(self, key: str) -> Submitted | Answer:
        """The vendor takes the call in the middle of it: whoever dies before or after does not know."""
        time.sleep(CALL_SECONDS / 2)
        name = f"{self.digest}.{key if self.keyed else secrets.token_hex(8)}"
        (self.book / name).touch()
        time.sleep(CALL_SECONDS / 2)
        return self._answer(name) if self.keyed else Submitted(name)

    def collect(self, external_id: str, pause: Pause) -> Answer:
        return self._answer(external_id)

    def search(self, since_ms: int) -> Sequence[Candidate]:
        return [Candidate(path.name) for path in self.book.glob(f"{self.digest}.*")]

    def _answer(self, external_id: str) -> Answer:
        return Answer({"call": external_id}, COST_USD, external_id=external_id)


def install(book: Path) -> None:
    """From now on the work of `selftest` is paid for, in this process."""
    charges.STRANGERS_MARGIN_SECONDS = charges.OWN_SECONDS = MARGIN_SECONDS
    bare = find_stage(STAGE)

    @functools.wraps(bare.function)
    def paid(context: Context, *arguments: Any) -> Any:
        context.charge(Call(book, f"{context.job_id}/{context.stage}/{context.item}"))
        return bare.function(context, *arguments)

    stages()[STAGE] = replace(bare, function=paid)


def paid_twice(book: Path) -> list[str]:
    """Work that the vendor took more than once."""
    taken = Counter(path.name.partition(".")[0] for path in book.iterdir())
    return [f"{digest} was paid {times} times" for digest, times in taken.items() if times > 1]


def unsettled(connection: Any, book: Path) -> list[str]:
    """Calls that the vendor took and the records do not know as settled, or the other way round."""
    settled = connection.execute(select(func.count()).where(Charge.state == "settled")).scalar_one()
    taken = sum(1 for _ in book.iterdir())
    return [] if settled == taken else [f"the vendor took {taken} calls, {settled} are settled"]
