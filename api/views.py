"""Records as pages show them: times, sizes, waterfalls and bars as numbers that a template only writes down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from artifacts import Artifact, find_artifacts
from states import DEAD, JobStatus

WIDTH, LEAST_WIDTH = 1000.0, 3.0
CHART_WIDTH, CHART_HEIGHT, HOURS = 480.0, 96.0, 24
HOUR_MS = 3600 * 1000
MOST_ROWS = 60
SIZES = ("B", "kB", "MB", "GB")


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage, or an item of it, on the time line of its job; x and width of WIDTH."""

    label: str
    kind: str
    x: float
    width: float
    told: str


def moment(epoch_ms: int | None) -> str:
    """A time, UTC, as the `datetime` of a <time>; the script shows it in the reader's own zone."""
    return "" if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="seconds")


def seconds(span: float | None) -> str:
    """A length of time in the two words that matter."""
    if span is None:
        return "-"
    if span < 1:
        return f"{span * 1000:.0f} ms"
    if span < 60:
        return f"{span:.1f} s"
    minutes, rest = divmod(int(span), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: int) -> str:
    """Bytes as people say them."""
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(SIZES) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {SIZES[unit]}" if unit == 0 else f"{amount:.1f} {SIZES[unit]}"


def usd(amount: float | None) -> str:
    """Money; small sums keep the digits that make them one."""
    value = float(amount or 0)
    return f"${value:.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def pretty(value: Any) -> str:
    """JSON to read."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode()


def waterfall(job: dict[str, Any], now_ms: int) -> list[Bar]:
    """The stages of a job as bars between its begin and its end (or now)."""
    rows = [row for row in job["stages"] if row["started_ms"] or row["reused_from"]][:MOST_ROWS]
    starts = [row["started_ms"] for row in rows if row["started_ms"] and not row["reused_from"]]
    begin = min([job["started_ms"] or job["created_ms"], *starts])
    end = max(job["finished_ms"] or now_ms, begin + 1)
    scale = WIDTH / (end - begin)
    bars = []
    for row in rows:
        is_reused = bool(row["reused_from"])
        started = begin if is_reused else max(begin, row["started_ms"])
        finished = started if is_reused else max(started, row["finished_ms"] or end)
        width = max(LEAST_WIDTH, (finished - started) * scale)
        took = f"reused from {row['reused_from']}" if is_reused else seconds((finished - started) / 1000)
        label = f"{row['stage']}/{row['item']}" if row["item"] else row["stage"]
        kind = "reused" if is_reused else row["status"]
        x = min((started - begin) * scale, WIDTH - width)
        bars.append(Bar(label, kind, round(x, 2), round(width, 2), took))
    return bars


def files_of(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a job, the result's first: where each comes from, what it is, how it can be shown."""
    sources = [("result", job["result"]), ("payload", job["payload"])]
    sources += [(row["stage"] + (f"/{row['item']}" if row["item"] else ""), row["result"]) for row in job["stages"]]
    found: dict[str, dict[str, Any]] = {}
    for source, value in sources:
        for artifact in find_artifacts(value):
            found.setdefault(artifact.sha256, {"source": source, **artifact.model_dump(), "shown": _shown(artifact)})
    return list(found.values())


def words_of(job: dict[str, Any]) -> list[str]:
    """The spoken text of a script that one of its stages wrote, scene by scene."""
    for row in job["stages"]:
        scenes = row["result"].get("scenes") if isinstance(row["result"], dict) else None
        if isinstance(scenes, list) and scenes and all(isinstance(one, dict) and "narration" in one for one in scenes):
            return [str(one["narration"]) for one in scenes]
    return []


def chart(hours: Sequence[dict[str, Any]], now_ms: int) -> list[dict[str, Any]]:
    """Of each of the last hours how many jobs ended well and badly, as heights of CHART_HEIGHT."""
    by_hour = {int(row["from_ms"]): row for row in hours}
    first = now_ms // HOUR_MS - HOURS + 1
    counts = []
    for number in range(HOURS):
        row = by_hour.get((first + number) * HOUR_MS, {})
        bad = sum(int(row.get(status, 0)) for status in DEAD)
        counts.append((int(row.get(JobStatus.COMPLETED, 0)), bad))
    most = max(1, *(good + bad for good, bad in counts))
    step = CHART_WIDTH / HOURS
    return [
        {
            "x": round(number * step + 1, 1),
            "width": round(step - 2, 1),
            "good": round(good / most * CHART_HEIGHT, 1),
            "bad": round(bad / most * CHART_HEIGHT, 1),
            "told": f"{good} completed, {bad} failed",
            "from_ms": (first + number) * HOUR_MS,
        }
        for number, (good, bad) in enumerate(counts)
    ]


def _shown(artifact: Artifact) -> str:
    kind = artifact.media_type.partition("/")[0]
    return kind if kind in {"video", "audio", "image"} else ""
