"""What a worker is told on its command line, checked before it starts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from daemon.crew import parse_lanes
from errors import Permanent
from settings import ID_PATTERN

WORKER_ID = "use letters, digits and . _ : @ -, at most 128"


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; exits with 2 and one sentence when it is wrong."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Claims jobs and runs their stages.")
    parser.add_argument(
        "worker_id", nargs="?", type=_worker_id, help="a name of its own, such as worker-1; made up when missing"
    )
    parser.add_argument(
        "--queues", type=_queues, help="queues to serve, a,b=2: b has 2 slots of its own (WORKER_QUEUES)"
    )
    parser.add_argument("--concurrency", type=_number, help="slots shared by the other queues (WORKER_CONCURRENCY)")
    parser.add_argument("--drain", action="store_true", help="exit 0 when nothing is left to do")
    parser.add_argument("--max-jobs", type=_number, help="exit 0 after so many jobs (WORKER_MAX_TASKS_PER_CHILD)")
    return parser.parse_args(argv)


def is_worker_id(value: str) -> bool:
    """Whether a worker may be called so."""
    return re.fullmatch(ID_PATTERN, value) is not None


def _worker_id(value: str) -> str:
    if not is_worker_id(value):
        raise argparse.ArgumentTypeError(f"{value!r}: {WORKER_ID}")
    return value


def _queues(value: str) -> str:
    try:
        parse_lanes(value, 1)
    except Permanent as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return value


def _number(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number from 1 on")
    return int(value)
