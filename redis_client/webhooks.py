"""Receivers of webhooks at the door: an address that may be told, and events that there are."""

from __future__ import annotations

from typing import Any

from addresses import read_address
from database.webhooks import Receiver
from errors import InvalidInput, Refused
from pipeline.catalog.complaints import nearest
from settings import get_settings
from states import TELLABLE, TOLD_UNASKED

OWN = "; what is in your own network must be named in WEBHOOK_OWN_HOSTS (host:port)"


def as_receiver(field: str, given: Any) -> Receiver:
    """A receiver from {"url": ..., "events": [...]}; `events` may be left out.

    Errors: InvalidInput, in a sentence that names the field. What its name leads to is looked at when it is sent to.
    """
    if not isinstance(given, dict) or not isinstance(given.get("url"), str) or given.keys() - {"url", "events"}:
        raise InvalidInput(f"{field}={given!r}: use an object with url, and events if you like")
    events = TOLD_UNASKED if given.get("events") is None else given["events"]
    if not isinstance(events, list | tuple) or not events:
        raise InvalidInput(f"{field}.events={events!r}: use a list of some of {', '.join(TELLABLE)}")
    for one in events:
        if one not in TELLABLE:
            raise InvalidInput(f"{field}.events: {one!r} is no event{nearest(str(one), TELLABLE)}")
    try:
        address = read_address(given["url"], own=get_settings().webhook_own_hosts)
    except (InvalidInput, Refused) as error:
        raise InvalidInput(f"{field}.url: {error}{OWN}") from None
    return Receiver(given["url"], address.place, tuple(dict.fromkeys(events)))
