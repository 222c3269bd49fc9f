"""`python -m bench [part ...]`: measure against the bare limits, and print one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from bench.rows import Row, show

PARTS = {
    "queue": "queue",
    "latency": "latency",
    "idle": "idle",
    "redis": "redis_memory",
    "film": "film",
    "pages": "pages",
    "readers": "readers",
    "browser": "browser",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ratios against the bare limits.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)}; all when none is named")
    chosen = parser.parse_args(argv).parts or list(PARTS)
    if unknown := [part for part in chosen if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; there is {', '.join(PARTS)}")
    rows: list[Row] = []
    try:
        for part in chosen:
            rows.extend(import_module(f"bench.{PARTS[part]}").measure())
    finally:
        if rows:
            show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
