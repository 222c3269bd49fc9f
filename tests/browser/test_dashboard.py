"""What people do on the dashboard, in a real browser; the server, the worker and the film are real too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from database.webhooks import Receiver, add_webhook
from redis_client.client import RedisClient
from tests.browser.conftest import keep_screen
from tests.support.crews import enqueue
from tests.support.web import Server
from tests.support.workers import WorkerProcess, wait_for

pytestmark = pytest.mark.browser

Start = Callable[..., WorkerProcess]
Open = Callable[..., Any]
FILM_MS = 240_000
PLAY = """async () => {
  const film = document.querySelector('video');
  film.muted = true;
  await film.play();
  while (film.currentTime < 0.2) await new Promise((go) => setTimeout(go, 20));
  film.pause();
}"""
PAGES = {
    "overview": "/",
    "jobs": "/ui/jobs",
    "job": "/ui/jobs/good",
    "failed": "/ui/jobs/bad",
    "dead": "/ui/dead",
    "workers": "/ui/workers",
    "costs": "/ui/costs",
    "webhooks": "/ui/webhooks",
    "new": "/ui/new",
}


def status(page: Any) -> str:
    return str(page.locator("#line .status").inner_text())


def test_a_film_is_asked_for_by_the_form_and_watched(
    open_page: Open, client: RedisClient, start_worker: Start, tmp_path: Path
) -> None:
    from PIL import Image

    Image.effect_mandelbrot((900, 1200), (-2, -1.5, 1, 1.5), 60).convert("RGB").save(tmp_path / "flask.jpg")
    page = open_page()
    page.goto("/ui/new")
    page.get_by_label("product name").fill("Nova Flask")
    page.get_by_label("images").set_input_files(tmp_path / "flask.jpg")
    page.get_by_text("More (").click()
    page.get_by_label("quality").select_option("preview")
    page.get_by_label("duration seconds").fill("8")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/ui/jobs/product_video-*")
    assert status(page) == "pending"
    page.evaluate("window.sameWindow = true; window.seen = []")
    page.evaluate(
        "new MutationObserver(() => window.seen.push(document.querySelector('#progress').value))"
        ".observe(document.querySelector('#percent'), {childList: true, characterData: true, subtree: true})"
    )
    start_worker("worker-1")
    page.wait_for_selector("#line .status.completed", timeout=FILM_MS)
    seen = page.evaluate("window.seen")
    assert page.evaluate("window.sameWindow"), "the page was loaded anew"
    assert len(set(seen)) >= 4
    assert seen == sorted(seen)
    video = page.locator("figure.film video")
    video.wait_for()
    page.evaluate(PLAY)
    page.locator("ol.words li").nth(1).wait_for()
    assert page.locator("#progress").count() == 0
    keep_screen(page, "film")
    assert page.locator("ul.falls li").count() >= 4


def test_a_running_job_is_cancelled(open_page: Open, client: RedisClient, start_worker: Start) -> None:
    enqueue(client, "long", stages=2, seconds=120)
    start_worker("worker-1", BEAT_SECONDS="0.5")
    page = open_page()
    page.goto("/ui/jobs/long")
    page.wait_for_selector("#line .status.processing")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_selector("#line .status.cancelled")
    assert page.get_by_role("button", name="Cancel").count() == 0


def test_a_dead_job_is_retried(open_page: Open, client: RedisClient, start_worker: Start) -> None:
    enqueue(client, "bad", stages=2, fail_at=2, fail_kind="permanent")
    assert start_worker("worker-1", "--drain").wait() == 0
    page = open_page()
    page.goto("/ui/dead")
    assert page.get_by_text("step 2 was asked to fail").count() == 1
    page.get_by_role("row", name="bad").get_by_role("button", name="Retry").click()
    page.wait_for_selector("text=Nothing is dead.")
    page.goto("/ui/jobs/bad")
    assert status(page) == "pending"
    assert client.get_job_status("bad")["run"] == 2


def test_a_queue_is_paused_and_resumed(open_page: Open, client: RedisClient) -> None:
    page = open_page()
    page.goto("/ui/workers")
    row = page.get_by_role("row", name="video_generation_queue")
    row.get_by_role("button", name="Pause").click()
    row.get_by_role("button", name="Resume").wait_for()
    assert client.queues()[-1]["paused"] or any(one["paused"] for one in client.queues())
    row.get_by_role("button", name="Resume").click()
    row.get_by_role("button", name="Pause").wait_for()
    assert not any(one["paused"] for one in client.queues())


def test_a_job_is_replayed_with_another_field(open_page: Open, client: RedisClient, start_worker: Start) -> None:
    enqueue(client, "old", stages=3)
    worker = start_worker("worker-1", BEAT_SECONDS="0.5")
    wait_for(lambda: client.get_job_status("old")["status"] == "completed", what=worker.text)
    page = open_page()
    page.goto("/ui/jobs/old")
    page.get_by_role("button", name="Replay from a stage").click()
    page.get_by_label("From stage").select_option("step_3")
    page.get_by_label("Fields that are different").fill('{"label": "new"}')
    page.get_by_role("button", name="Replay", exact=True).click()
    page.wait_for_url("**/ui/jobs/old.*")
    page.wait_for_selector("#line .status.completed")
    assert page.get_by_text("from step_3").count() == 1


def test_an_address_is_added_tried_and_told_again(
    open_page: Open, server: Server, client: RedisClient, start_worker: Start
) -> None:
    page = open_page(expected="422")
    page.goto("/ui/webhooks")
    page.get_by_role("button", name="Add an address").click()
    page.get_by_role("textbox", name="Address").fill("http://127.0.0.1:1/hook")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("give an https address").wait_for()
    page.get_by_role("textbox", name="Address").fill(f"http://{server.receiver.place}/hook")
    page.get_by_label("stage_completed").check()
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("cell", name=f"http://{server.receiver.place}/hook").wait_for()
    start_worker("worker-1", WEBHOOK_OWN_HOSTS=server.receiver.place)
    page.get_by_role("button", name="Try it").click()
    page.wait_for_selector("#deliveries .status:has-text('delivered')")
    page.get_by_role("button", name="Send again").click()
    wait_for(lambda: len(server.receiver.got) == 2, what="the message again")
    assert len(set(server.receiver.ids())) == 1
    enqueue(client, "told", stages=2)
    page.get_by_role("link", name="told").first.wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    page.get_by_text("Nobody is told of all jobs").wait_for()


def test_lists_show_new_jobs_by_themselves(open_page: Open, client: RedisClient) -> None:
    page = open_page()
    page.goto("/ui/jobs")
    assert page.get_by_text("No job matches.").count() == 1
    enqueue(client, "fresh")
    page.get_by_role("link", name="fresh").wait_for()


def test_what_the_door_refuses_is_said_on_the_page(open_page: Open) -> None:
    page = open_page(expected="422")
    page.goto("/ui/new")
    page.get_by_label("product name").fill("Cup")
    page.get_by_text("More (").click()
    page.get_by_label("brand color").fill("mauve")
    page.get_by_role("button", name="Start").click()
    told = page.locator("#told")
    told.wait_for(state="visible")
    assert "brand_color" in told.inner_text()
    assert page.url.endswith("/ui/new")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_is_fit_for_everybody(
    open_page: Open, server: Server, client: RedisClient, start_worker: Start, width: int, dark: bool
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for url, host in (
        ("https://shop.example/stagecrew", "shop.example:443"),
        (f"http://{server.receiver.place}/hook", server.receiver.place),
    ):
        add_webhook(client.database, Receiver(url, host, ("completed", "failed")), tenant="default")
    enqueue(client, "good", stages=4, items=3, bytes=64, seconds=0.01)
    enqueue(client, "bad", stages=2, fail_at=2, fail_kind="permanent")
    worker = start_worker("worker-1", BEAT_SECONDS="0.5", WEBHOOK_OWN_HOSTS=server.receiver.place)
    wait_for(
        lambda: {client.get_job_status(one)["status"] for one in ("good", "bad")} == {"completed", "failed"},
        what=worker.text,
    )
    page = open_page(width=width, dark=dark)
    for name, path in PAGES.items():
        page.goto(path)
        page.wait_for_load_state("load")
        keep_screen(page, f"{name}-{width}-{'dark' if dark else 'light'}")
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{name} is {overflow} px wider than its window"
        serious = [one for one in Axe().run(page).response["violations"] if one["impact"] in {"serious", "critical"}]
        assert not serious, (name, [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious])
