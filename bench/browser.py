"""From a worker's event to a browser that shows it, by the clock of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from bench.place import place
from bench.rows import Row, percentile, say
from tests.support.web import serve

PART = "browser"
STAGES, STAGE_SECONDS, SHOWN_MS = 50, 0.5, 300.0
WATCH = """() => {
  window.shown = [];
  new MutationObserver(() => window.shown.push([document.querySelector("#progress").value, Date.now()]))
    .observe(document.querySelector("#percent"), { childList: true, characterData: true, subtree: true });
}"""


def measure() -> Iterator[Row]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        yield Row(PART, "event to page", "not measured: make test-browser installs what drives it")
        return
    program = shutil.which("chromium", path="/usr/bin")
    if program is None:
        yield Row(PART, "event to page", "not measured: there is no Chromium; make test-browser installs it")
        return
    say(f"browser: one job of {STAGES} stages")
    with place() as here, serve(here.folder, f"unix://{here.socket}") as server, here.worker("bench-browser") as worker:
        worker.event("worker_started")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=False)
            page = browser.new_page(base_url=server.url)
            (job,) = here.prepare(1, stages=STAGES, seconds=STAGE_SECONDS)
            here.client.store(job)
            page.goto(f"/ui/jobs/{job.id}")
            page.wait_for_selector("#percent")
            page.evaluate(WATCH)
            here.client.wait(job.id)
            page.wait_for_selector("#line .status.completed")
            shown: list[tuple[float, float]] = page.evaluate("window.shown")
            browser.close()
        told = {
            round(float(event["progress"]), 3): int(event["id"].partition("-")[0])
            for event in reversed(here.events(job.id))
        }
        late = [at - told[round(value, 3)] for value, at in shown if round(value, 3) in told]
    seen = f"p50 {percentile(late, 0.5):.0f} ms, p95 {percentile(late, 0.95):.0f} ms, longest {max(late):.0f} ms, of {len(late)}"
    yield Row(PART, "event to page", seen, f"p95 <= {SHOWN_MS:.0f} ms", percentile(late, 0.95) <= SHOWN_MS)
