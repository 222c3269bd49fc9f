"""`jobs.py demo`: one real product video, start to end, with a worker of its own that goes when we go."""

from __future__ import annotations

import secrets
import shutil
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import process
from artifacts import LocalStore, find_artifacts, open_store
from cli.door import EXIT_FAILED, EXIT_OK, Output, complain, console
from cli.show import end_sentence, stage_seconds
from cli.watching import follow, reporter_for
from errors import HostTrouble, StagecrewError
from pipeline.catalog.base import find_pipeline, validate_payload
from pipeline.names import check_names
from pipeline.stage import plan_steps
from redis_client import RedisClient
from settings import ROOT, Settings, get_settings
from states import JobStatus

PIPELINE = "product_video"
PAYLOAD: dict[str, Any] = {
    "product_name": "Nova Flask",
    "description": "A slim steel bottle for people who are out all day.",
    "features": [
        "Keeps drinks cold for 24 hours",
        "Keeps coffee hot for 12 hours",
        "Weighs only 280 grams",
        "Leakproof lid that opens with one hand",
    ],
    "style": "minimal",
    "price": "$29",
    "url": "novaflask.example",
    "cta_text": "Buy now",
    "duration_seconds": 15,
    "seed": 7,
}
FILE_NAME = "nova-flask.mp4"
WORKER_SECONDS = 24 * 3600.0
JOIN_SECONDS = 10.0
LOG_LINES = 5


class _EnoughError(Exception):
    """The demo is over: the worker may go."""


class DemoWorker:
    """A worker process, ended with `stop`, and by the kernel when this process dies."""

    def __init__(self, worker_id: str) -> None:
        self.failure: str | None = None
        self._worker_id = worker_id
        self._over = threading.Event()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._thread = threading.Thread(target=self._run, name="demo-worker", daemon=True)

    def start(self) -> None:
        """Start it in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Tell it to stop and wait until it is gone."""
        self._over.set()
        self._thread.join(timeout=JOIN_SECONDS)

    def check(self) -> None:
        """HostTrouble when it has gone before its time."""
        if self.failure is not None:
            raise HostTrouble(self.failure)

    def _run(self) -> None:
        argv = [sys.executable, str(ROOT / "worker.py"), self._worker_id, "--queues", "", "--concurrency", "1"]
        reason = "it ended on its own"
        try:
            process.run(
                argv,
                timeout_seconds=WORKER_SECONDS,
                cwd=ROOT,
                env=_secrets(get_settings()),
                on_line=self._log.append,
                check=self._check,
            )
        except _EnoughError:
            return
        except StagecrewError as error:
            reason = str(error)
        last = f"; its last words: {self._log[-1]}" if self._log else ""
        self.failure = f"the demo's worker is gone: {reason}{last}"

    def _check(self) -> None:
        if self._over.is_set():
            raise _EnoughError


def _secrets(settings: Settings) -> dict[str, str]:
    """Children are started without secrets; a worker is ours and needs them."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return {
        name.upper(): value.get_secret_value() for name, value in values.items() if hasattr(value, "get_secret_value")
    }


def run_demo(client: RedisClient, *, fresh: bool, timeout: float) -> int:
    """Make the film, tell where it is, how long each stage took and what it cost; the exit code."""
    check_names(get_settings())
    pipeline = find_pipeline(PIPELINE)
    plan_steps(pipeline, validate_payload(pipeline, PAYLOAD))  # a stage that is missing is told now, not never
    name = f"demo-{secrets.token_hex(4)}"
    client.enqueue_job(name, PAYLOAD, pipeline=PIPELINE, priority="high", reuse=not fresh)
    worker = DemoWorker(name)
    worker.start()
    try:
        with reporter_for(console(), Output.TEXT, PAYLOAD["product_name"], client.get_job(name)) as reporter:
            for event in follow(client, name, timeout=timeout, on_quiet=worker.check):
                reporter.show(event)
    except BaseException:
        client.cancel(name)  # nobody waits for it any more
        raise
    finally:
        worker.stop()
    return _report(client, name)


def _report(client: RedisClient, job_id: str) -> int:
    status = client.get_job_status(job_id)
    if status["status"] != JobStatus.COMPLETED:
        complain(f"{end_sentence(status)}; see: jobs.py show {job_id} --debug")
        return EXIT_FAILED
    films = [one for one in find_artifacts(status["result"]) if one.media_type == "video/mp4"]
    if not films:
        complain(f"job {job_id} is completed, and its result names no film")
        return EXIT_FAILED
    path = _named_copy(open_store(), films[0].sha256)
    seconds, reused = _stage_times(client.get_job(job_id)["stages"])
    cost = float(status["cost_usd"] or 0)
    total = (status["finished_ms"] - status["started_ms"]) / 1000
    print()
    for name, spent in seconds.items():
        print(f"  {name:<14}{spent:6.1f} s{'  (reused from an earlier job)' if name in reused else ''}")
    print(f"  {'in all':<14}{total:6.1f} s")
    print(f"  {'cost':<14}{cost:6.2f} USD")
    print(f"\nThe film: {path}", flush=True)
    return EXIT_OK


def _stage_times(stages: list[dict[str, Any]]) -> tuple[dict[str, float], set[str]]:
    seconds: dict[str, float] = {}
    for stage in stages:
        seconds[stage["stage"]] = round(seconds.get(stage["stage"], 0.0) + (stage_seconds(stage) or 0.0), 2)
    return seconds, {stage["stage"] for stage in stages if stage["reused_from"]}


def _named_copy(store: LocalStore, sha256: str) -> Path:
    """A copy under a name for people: what they do to it leaves the store alone."""
    folder = get_settings().state_dir / "demo"
    path = folder / FILE_NAME
    part = folder / f".{FILE_NAME}.{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.path(sha256), part)
        part.replace(path)
    except OSError as error:
        raise HostTrouble(f"the film cannot be copied to {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return path
