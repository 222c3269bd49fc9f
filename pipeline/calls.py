"""Calls under way at vendors when their job has ended: the vendor is told, and what it costs all the same is booked."""

from __future__ import annotations

from typing import Any

import structlog

from database import charges
from database.charges import ChargeRecord
from database.engine import Database
from database.open_jobs import open_job
from database.outbox import Letter
from errors import NotNow
from pipeline.charges import STRANGERS_MARGIN_SECONDS
from pipeline.providers import registry

log = structlog.get_logger()


def cancel_calls(database: Database, letter: Letter) -> None:
    """Cancel every open call of a job that is over; NotNow while one may still be on its way to the vendor."""
    assert letter.job_id is not None
    if open_job(database, letter.job_id) is not None:
        return  # somebody asked for it again: its calls are its own again
    waits = 0.0
    for row in charges.find_charges(database, letter.job_id):
        if row.state == "submitted":
            _cancel(database, row)
        elif row.state == "intent":
            left = row.deadline_seconds + STRANGERS_MARGIN_SECONDS - row.age_seconds
            waits = max(waits, left)
            if left <= 0:
                # Nobody is left who could find it; the vendor's own limit of time ends it.
                charges.void(database, row.key, "its job ended before its answer came", doubt="cancelled")
    if waits > 0:
        raise NotNow(f"a call of the ended job {letter.job_id} may be on its way", retry_after=waits)


def _cancel(database: Database, row: ChargeRecord) -> None:
    vendor: Any = registry.vendor(row.provider)
    cost = vendor.cancel_call(row.external_id)
    charges.settle_unanswered(database, row.key, cost or 0.0, "its job ended before")
    log.info("call_cancelled", provider=row.provider, call=row.call, external_id=row.external_id, cost_usd=cost)
