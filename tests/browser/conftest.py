"""The dashboard in Debian's Chromium: a real server, real workers, and a page that must not complain."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_client.client import RedisClient
from tests.support.receivers import receive
from tests.support.web import Server, serve
from tests.support.workers import ROOT

WAIT_MS = 20_000
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")
# Kept after the run, to be looked at.
SCREENS = ROOT / "build" / "screens"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    from playwright.sync_api import sync_playwright

    program = next(
        (found for name in ("chromium", "chromium-browser") if (found := shutil.which(name, path="/usr/bin"))), None
    )
    assert program, "there is no Chromium: make test-browser installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET), chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def server(client: RedisClient, redis_url: str, tmp_path: Path) -> Iterator[Server]:
    """A real one, on a port of its own, and a receiver that it may tell."""
    with receive() as receiver, serve(tmp_path, redis_url, WEBHOOK_OWN_HOSTS=receiver.place) as made:
        made.receiver = receiver
        yield made


@pytest.fixture
def open_page(chromium: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """`open_page(width=390, dark=True)`: a new window; it may neither throw nor complain, but of what is expected."""
    complaints: list[str] = []
    contexts = []

    def note(said: Any, expected: str) -> None:
        if said.type in {"error", "warning"} and expected not in said.text:
            complaints.append(said.text)

    def make(*, width: int = 1440, dark: bool = False, expected: str = "in no complaint") -> Any:
        context = chromium.new_context(
            base_url=server.url,
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: note(said, expected))
        return page

    yield make
    for context in contexts:
        context.close()
    assert not complaints, complaints


def keep_screen(page: Any, name: str) -> Path:
    """A picture of the whole page."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    path = SCREENS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path
