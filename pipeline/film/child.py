"""How the film's child programs end: lines of JSON on stdout, and exit code 0, 1 or 143; engine.py reads them."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

from errors import Interrupted, StagecrewError

REPORT_SECONDS = 0.25
STOPPED = 143


def say(record: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(record, ensure_ascii=False), flush=True)


def answer(work: Callable[[], dict[str, Any]], *, what: str) -> int:
    """Do the work and say what it gave, or {"error": class, "message": sentence}; the exit code.

    0 when done, 1 for an error, 143 when it was stopped (see `stoppable`). `what` is worked on, for errors that name no file.
    """
    try:
        said = work()
    except Interrupted as stop:
        say({"error": "Interrupted", "message": stop.reason})
        return STOPPED
    except StagecrewError as error:
        say({"error": type(error).__name__, "message": str(error)})
        return 1
    except OSError as error:
        say({"error": "HostTrouble", "message": f"{error.filename or what}: {error.strerror or error}"})
        return 1
    say(said)
    return 0


def stoppable() -> None:
    """From now on SIGTERM raises Interrupted."""
    signal.signal(signal.SIGTERM, _stop)


def _stop(_number: int, _frame: object) -> None:
    # Raised where Python is just now: every `finally` on the way removes its files and ends its child.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Interrupted("shutdown")


def throttled(last: int, report: Callable[[int], None]) -> Callable[[int], None]:
    """`report` a few times a second, and for the number `last`."""
    told = 0.0

    def on_frame(number: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= REPORT_SECONDS or number == last:
            told = now
            report(number)

    return on_frame
