"""What every provider behind a vendor's key does the same way: its key, its API opened at the first use, its end."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, Protocol, TypeVar

from settings import Settings, get_settings


class Closing(Protocol):
    """What holds connections."""

    def close(self) -> None:
        """Let go of them."""


A = TypeVar("A", bound=Closing)


class Hosted(ABC, Generic[A]):
    """Any number of threads may use it; `key` is the field of Settings without which it cannot be asked."""

    version: ClassVar[str] = "1"
    hosted: ClassVar[bool] = True
    key: ClassVar[str]

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: tuple[Settings, A] | None = None

    @abstractmethod
    def open_api(self, settings: Settings) -> A:
        """The vendor's API as these settings say; Permanent when they do not say enough."""

    def api(self) -> A:
        """The API, opened at its first use and when the settings have changed."""
        settings = get_settings()
        with self._lock:
            if self._opened is None or self._opened[0] is not settings:
                self._shut()
                self._opened = settings, self.open_api(settings)
            return self._opened[1]

    def available(self) -> str | None:
        """None when the key is set."""
        return None if getattr(get_settings(), self.key) else f"{self.key.upper()} is not set."

    def close(self) -> None:
        """Let go of connections; a later call opens them again."""
        with self._lock:
            self._shut()

    def _shut(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened[1].close()
