"""SIGTERM and SIGINT as a number that rises; the handler does nothing else."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress


class Signals:
    """How often this process was told to stop. A lock taken in a handler could be held by the code it interrupts."""

    def __init__(self) -> None:
        self.count = 0
        self._reader: int | None = None

    def listen(self) -> None:
        """Take the signals over, where that is possible: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self, seconds: float) -> None:
        """Sleep, until a signal comes."""
        if self._reader is None:
            time.sleep(seconds)
        elif select.select([self._reader], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                os.read(self._reader, 512)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.count += 1
