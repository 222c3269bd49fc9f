"""A job followed to its end, and what is told of it then."""

from __future__ import annotations

import threading
import time
from typing import Any

from cli.door import EXIT_FAILED, EXIT_OK, Output, complain, console, print_json
from cli.show import end_sentence, print_files, result_text
from cli.watching import follow, reporter_for
from errors import StagecrewError, UnknownJob
from redis_client import RedisClient
from states import JobStatus

JOIN_SECONDS = 5.0
LOOK_SECONDS = 0.05


def follow_to_the_end(client: RedisClient, job_id: str, timeout: float, output: Output) -> int:
    """Show a job's progress until it has ended, then its result; the exit code. A program gets the end alone."""
    if output.is_json():
        for _event in follow(client, job_id, timeout=timeout):
            pass
    else:
        with reporter_for(console(), output, job_id, client.get_job(job_id)) as reporter:
            for event in follow(client, job_id, timeout=timeout):
                reporter.show(event)
    return tell_end(client, job_id, output)


def tell_end(client: RedisClient, job_id: str, output: Output) -> int:
    """Print how a job ended, and its result; the exit code."""
    status = client.get_job_status(job_id)
    if output.is_json():
        print_json(status)
    if status["status"] != JobStatus.COMPLETED:
        complain(end_sentence(status))
        return EXIT_FAILED
    if not output.is_json():
        shown = console()
        print(end_sentence(status))
        shown.print(result_text(status["result"]))
        print_files(shown, client.get_job(job_id))
    return EXIT_OK


class _OverError(Exception):
    """The run that was looked at is over."""


class Spectator:
    """Shows people the progress of a job that this very process runs, from a thread of its own."""

    def __init__(self, client: RedisClient, job_id: str, output: Output) -> None:
        self._client = client
        self._job_id = job_id
        self._over = threading.Event()
        self._thread = None if output.is_json() else threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=JOIN_SECONDS)

    def _look(self) -> None:
        try:
            with reporter_for(console(), Output.TEXT, self._job_id, self._job()) as reporter:
                for event in follow(self._client, self._job_id, on_quiet=self._leave_when_over):
                    reporter.show(event)
        except (StagecrewError, _OverError):
            return  # what happened is told by the thread that runs the job

    def _job(self) -> dict[str, Any]:
        while True:
            try:
                return self._client.get_job(self._job_id)
            except UnknownJob:
                self._leave_when_over()
                time.sleep(LOOK_SECONDS)  # it is being stored

    def _leave_when_over(self) -> None:
        if self._over.is_set():
            raise _OverError
