"""Work side by side in one run: threads that always say what they came to, and the items of a step, some at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeVar

from pipeline.outcome import HandBack, Outcome, gravest

T = TypeVar("T")


def begin(name: str, work: Callable[[], Outcome | None], ended: Callable[[Outcome | None], None]) -> None:
    """Work in a thread of its own, in this one's context; `ended` hears what it came to, however it ends."""
    context = copy_context()

    def body() -> None:
        outcome: Outcome | None = HandBack("the branch's thread died")
        try:
            outcome = context.run(work)
        finally:
            ended(outcome)

    threading.Thread(target=body, name=name, daemon=True).start()


def work_off(
    items: Sequence[T], at_once: int, work: Callable[[T], Outcome | None], is_over: Callable[[], bool]
) -> Outcome | None:
    """Work on the items, in their order, so many at once; None when all are done or the run is over.

    Else the gravest of what ended it: nothing new begins then, and what runs is let finish, for it may be paid. An item
    that is turned away (a vendor's slots are taken, its rate used up) waits while others run, and from then on one
    fewer runs at once: so side by side never comes to less than one after the other.
    """
    if at_once == 1 or len(items) == 1:
        return next((outcome for item in items if not is_over() and (outcome := work(item)) is not None), None)
    waiting, ended, running = deque(items), SimpleQueue[tuple[T, Outcome | None]](), 0
    outcomes: list[Outcome] = []
    while True:
        while waiting and running < at_once and not outcomes and not is_over():
            running += 1
            _begin_item(waiting.popleft(), work, ended)
        if not running:
            return gravest(outcomes) if outcomes else None
        item, outcome = ended.get()
        running -= 1
        if outcome is None:
            continue
        if _is_turned_away(outcome) and (running or outcomes):
            waiting.append(item)
            at_once = max(1, running)
        else:
            outcomes.append(outcome)


def _begin_item(item: T, work: Callable[[T], Outcome | None], ended: SimpleQueue[tuple[T, Outcome | None]]) -> None:
    begin("item", lambda: work(item), lambda outcome: ended.put((item, outcome)))


def _is_turned_away(outcome: Outcome) -> bool:
    return isinstance(outcome, HandBack) and outcome.seconds > 0 and not outcome.host_trouble
