"""The vendors' own SDKs, unmodified, cannot tell the stub from the vendors; what it bills and logs is what happened."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from typing import Any

import anthropic
import av
import httpx
import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from PIL import Image
from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.prediction import Prediction
from replicate.webhook import Webhooks, WebhookSigningSecret

from tests.stub.media import picture
from tests.stub.server import Stub
from tests.support.workers import wait_for

pytest_plugins = ("tests.stub.fixtures",)

HTTP = httpx.Client(trust_env=False, timeout=10)
CLAUDE, VOICE, VEO, BANANA = "claude-sonnet-5-5", "JBFqnCBsd6RMkjVDRZzb", "google/veo-3-fast", "google/nano-banana"
ASKED: list[anthropic.types.MessageParam] = [{"role": "user", "content": "Write a slogan for the Nova Flask."}]
SCHEMA = {
    "type": "object",
    "properties": {"headline": {"type": "string"}, "seconds": {"type": "number"}},
    "required": ["headline", "seconds"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def clients(stub_of_session: Stub) -> Iterator[tuple[anthropic.Anthropic, ElevenLabs, Client]]:
    """One of each for all tests: reading the certificates that loopback needs not takes a client most of its time."""
    urls = stub_of_session
    of_replicate = Client(api_token="token", base_url=urls.replicate_url)
    with anthropic.Anthropic(api_key="key", base_url=urls.anthropic_url, max_retries=0, timeout=10) as of_anthropic:
        yield of_anthropic, ElevenLabs(api_key="key", base_url=urls.elevenlabs_url, httpx_client=HTTP), of_replicate
    of_replicate._client.close()


@pytest.fixture
def claude(stub: Stub, clients: tuple[anthropic.Anthropic, ElevenLabs, Client]) -> anthropic.Anthropic:
    return clients[0]


@pytest.fixture
def eleven(stub: Stub, clients: tuple[anthropic.Anthropic, ElevenLabs, Client]) -> ElevenLabs:
    return clients[1]


@pytest.fixture
def clips(stub: Stub, clients: tuple[anthropic.Anthropic, ElevenLabs, Client]) -> Client:
    stub.set(clip_side=90)
    return clients[2]


def ask(client: anthropic.Anthropic, **more: Any) -> anthropic.types.Message:
    message = client.messages.create(model=CLAUDE, max_tokens=500, messages=ASKED, **more)
    assert isinstance(message, anthropic.types.Message)
    return message


def order(client: Client, model: str = BANANA, *, wait: int = 10, **given: Any) -> Prediction:
    made = client.models.predictions.create(model, input={"prompt": "a flask"} | given, wait=wait)
    assert isinstance(made, Prediction)
    return made


def fetched(url: Any) -> bytes:
    return HTTP.get(url).raise_for_status().content


def drawn(url: Any) -> Image.Image:
    return Image.open(io.BytesIO(fetched(url)))


def seconds_of(sound: bytes) -> float:
    with av.open(io.BytesIO(sound), "r") as file:
        stream = file.streams.audio[0]
        return float(sum(frame.samples for frame in file.decode(stream)) / stream.rate)


def post(
    stub: Stub, path: str = f"/v1/models/{BANANA}/predictions", body: Any = None, **headers: str
) -> httpx.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"input": {"prompt": "a flask"}} if body is None else body
    return HTTP.post(stub.replicate_url + path, json=body, headers={"authorization": "Bearer token"} | headers)


def shown(stub: Stub, prediction: str) -> dict[str, Any]:
    address = f"{stub.replicate_url}/v1/predictions/{prediction}"
    return dict(HTTP.get(address, headers={"authorization": "Bearer token"}).raise_for_status().json())


def await_requests(stub: Stub, count: int) -> None:
    """Until the vendors have so many requests, answered or not."""
    wait_for(lambda: len(stub.requests()) >= count, what=f"{count} requests")


# --- Anthropic


def test_a_message_is_billed_by_its_usage(stub: Stub, claude: anthropic.Anthropic) -> None:
    message = ask(claude)
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0
    [charge] = stub.charges("anthropic")
    assert charge.id == message.id
    assert charge.amount_usd == pytest.approx((message.usage.input_tokens * 2 + message.usage.output_tokens * 10) / 1e6)
    assert charge.delivered


def test_structured_output_has_the_shape_of_its_schema(claude: anthropic.Anthropic) -> None:
    message = ask(claude, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    [block] = message.content
    assert isinstance(block, anthropic.types.TextBlock)
    assert set(json.loads(block.text)) == {"headline", "seconds"}


def test_a_forced_tool_is_used(claude: anthropic.Anthropic) -> None:
    tool = {"name": "tell", "input_schema": SCHEMA}
    message = ask(claude, tools=[tool], tool_choice={"type": "tool", "name": "tell"})
    assert message.stop_reason == "tool_use"
    assert isinstance(message.content[-1], anthropic.types.ToolUseBlock)
    assert set(message.content[-1].input) == {"headline", "seconds"}


def test_a_stream_ends_with_the_message_and_a_cut_one_with_none(stub: Stub, claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model=CLAUDE, max_tokens=500, messages=ASKED) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"
    stub.faults("cut", vendor="anthropic", events=4)
    with claude.messages.stream(model=CLAUDE, max_tokens=500, messages=ASKED) as stream:
        assert stream.get_final_message().stop_reason is None
    stub.faults("error_event", vendor="anthropic")
    with (
        pytest.raises(anthropic.APIStatusError) as raised,
        claude.messages.stream(model=CLAUDE, max_tokens=500, messages=ASKED) as stream,
    ):
        stream.get_final_message()
    assert raised.value.type == "overloaded_error"


def test_sampling_knobs_and_bad_keys_are_refused(stub: Stub, claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        ask(claude, extra_body={"temperature": 0.5})
    with (
        anthropic.Anthropic(api_key="invalid", base_url=stub.anthropic_url, max_retries=0) as stranger,
        pytest.raises(anthropic.AuthenticationError),
    ):
        ask(stranger)
    assert stub.charges() == []


def test_a_prepared_answer_is_given_once(stub: Stub, claude: anthropic.Anthropic) -> None:
    stub.answer("anthropic", "Nova", "Stay cold.", n=1, stop_reason="refusal")
    assert ask(claude).stop_reason == "refusal"
    assert ask(claude).stop_reason == "end_turn"


def test_tokens_are_counted_and_models_listed_for_nothing(stub: Stub, claude: anthropic.Anthropic) -> None:
    assert claude.messages.count_tokens(model=CLAUDE, messages=ASKED).input_tokens > 0
    assert CLAUDE in {one.id for one in claude.models.list()}
    assert stub.cost() == 0


def test_a_batch_is_done_in_time_at_half_the_price(stub: Stub, claude: anthropic.Anthropic) -> None:
    stub.set(batch_seconds=600)
    params: Any = {"model": CLAUDE, "max_tokens": 500, "messages": ASKED}
    batch = claude.messages.batches.create(requests=[{"custom_id": name, "params": params} for name in ("one", "two")])
    assert batch.processing_status == "in_progress"
    stub.advance(601)
    assert claude.messages.batches.retrieve(batch.id).processing_status == "ended"
    results = {one.custom_id: one.result.type for one in claude.messages.batches.results(batch.id)}
    assert results == {"one": "succeeded", "two": "succeeded"}
    whole = ask(claude)
    charges = {one.kind: one.amount_usd for one in stub.charges("anthropic")}
    assert whole.usage.service_tier == "standard"
    assert charges["batch"] == pytest.approx(charges["message"] / 2)


# --- faults, the same for all


@pytest.mark.parametrize(
    ("kind", "options", "error", "is_billed"),
    [
        ("status", {"status": 529}, anthropic.OverloadedError, False),
        ("status", {"status": 429, "retry_after": 7}, anthropic.RateLimitError, False),
        ("html", {}, anthropic.InternalServerError, False),
        ("truncated", {}, anthropic.APIConnectionError, True),
        ("malformed", {}, json.JSONDecodeError, True),
        ("reset_before", {}, anthropic.APIConnectionError, False),
        ("reset_after", {}, anthropic.APIConnectionError, True),
        ("reset_during", {}, anthropic.APIConnectionError, True),
    ],
)
def test_a_fault_hits_one_request_and_is_billed_as_at_a_vendor(
    stub: Stub,
    claude: anthropic.Anthropic,
    kind: str,
    options: dict[str, Any],
    error: type[Exception],
    is_billed: bool,
) -> None:
    stub.faults(kind, vendor="anthropic", path="^/v1/messages$", **options)
    with pytest.raises(error) as raised:
        ask(claude)
    if isinstance(raised.value, anthropic.RateLimitError):
        assert raised.value.response.headers["retry-after"] == "7"
    charges = stub.charges()
    assert [one.delivered for one in charges] == [False] * is_billed
    assert ask(claude).stop_reason == "end_turn"
    assert [one.fault for one in stub.requests("anthropic")] == [kind, None]
    assert stub.waiting_faults() == []


def test_a_slow_answer_outlasts_a_client_and_is_billed(stub: Stub, claude: anthropic.Anthropic) -> None:
    stub.faults("slow", vendor="anthropic", seconds=2)
    with pytest.raises(anthropic.APITimeoutError):
        ask(claude.with_options(timeout=0.2))
    [charge] = stub.charges()
    assert not charge.delivered


def test_the_requests_of_a_client_are_counted_one_by_one(stub: Stub, claude: anthropic.Anthropic) -> None:
    stub.faults("status", vendor="anthropic", status=503, n=2, headers={"retry-after-ms": "1"})
    assert ask(claude.with_options(max_retries=2)).stop_reason == "end_turn"
    assert [one.status for one in stub.requests("anthropic")] == [503, 503, 200]
    assert len(stub.charges()) == 1


def test_an_unknown_fault_is_a_mistake_of_the_test(stub: Stub) -> None:
    with pytest.raises(ValueError, match="kind"):
        stub.faults("earthquake")
    with pytest.raises(ValueError, match="weather"):
        stub.set(weather="fine")


# --- ElevenLabs


@pytest.mark.parametrize("output_format", ["mp3_44100_128", "wav_24000", "opus_48000_64"])
def test_speech_can_be_decoded(stub: Stub, eleven: ElevenLabs, output_format: Any) -> None:
    text = "Meet the Nova Flask. It is cold for a day."
    sound = b"".join(eleven.text_to_speech.convert(VOICE, text=text, output_format=output_format))
    assert 1.5 < seconds_of(sound) < 8
    [charge] = stub.charges("elevenlabs")
    assert charge.amount_usd == pytest.approx(len(text) * 0.10 / 1000)


def test_every_character_of_speech_has_its_time(eleven: ElevenLabs) -> None:
    said = eleven.text_to_speech.convert_with_timestamps(VOICE, text="Stay cold.", request_options={"max_retries": 0})
    assert said.alignment is not None
    assert "".join(said.alignment.characters) == "Stay cold."
    ends = said.alignment.character_end_times_seconds
    assert ends == sorted(ends)
    assert ends[-1] <= seconds_of(base64.b64decode(said.audio_base_64)) + 0.1


def test_speech_that_was_paid_for_is_in_the_history(stub: Stub, eleven: ElevenLabs) -> None:
    b"".join(eleven.text_to_speech.convert(VOICE, text="Stay cold."))
    [item] = eleven.history.list().history
    assert item.text == "Stay cold."
    assert seconds_of(b"".join(eleven.history.get_audio(item.history_item_id))) > 0.3
    assert len(stub.charges()) == 1


def test_a_transcript_says_what_was_spoken(eleven: ElevenLabs) -> None:
    sound = b"".join(eleven.text_to_speech.convert(VOICE, text="Stay cold all day."))
    heard = eleven.speech_to_text.convert(model_id="scribe_v2", file=sound, request_options={"max_retries": 0})
    assert "cold" in str(heard.text)  # type: ignore[union-attr]


def test_effects_and_music_last_as_long_as_ordered(eleven: ElevenLabs) -> None:
    effect = b"".join(eleven.text_to_sound_effects.convert(text="a splash", duration_seconds=1.5))
    assert seconds_of(effect) == pytest.approx(1.5, abs=0.2)
    music = b"".join(eleven.music.compose(prompt="calm", music_length_ms=3000))
    assert seconds_of(music) == pytest.approx(3, abs=0.2)


def test_voices_models_and_the_plan_are_told(eleven: ElevenLabs) -> None:
    assert VOICE in {one.voice_id for one in eleven.voices.get_all().voices}
    assert eleven.voices.search(page_size=2).has_more
    assert {"eleven_v4", "eleven_flash_v2_5"} <= {one.model_id for one in eleven.models.list()}
    assert eleven.user.subscription.get().character_limit == 1_000_000


def test_more_than_the_plan_allows_at_once_is_refused(stub: Stub, eleven: ElevenLabs) -> None:
    stub.set(concurrency=2, speech_seconds=60)

    def speak() -> bytes:
        return b"".join(eleven.text_to_speech.convert(VOICE, text="Stay cold."))

    with ThreadPoolExecutor(2) as pool:
        speaking = [pool.submit(speak) for _ in range(2)]
        await_requests(stub, 2)
        with pytest.raises(ApiError) as raised:
            speak()
        stub.advance(60)
        assert all(one.result() for one in speaking)
    assert raised.value.status_code == 429
    assert raised.value.body["detail"]["status"] == "too_many_concurrent_requests"
    assert len(stub.charges()) == 2


def test_a_used_up_quota_and_a_bad_key_are_two_kinds_of_401(stub: Stub, eleven: ElevenLabs) -> None:
    stub.set(character_limit=5)
    stranger = ElevenLabs(api_key="invalid", base_url=stub.elevenlabs_url, httpx_client=HTTP)
    for client, status in ((eleven, "quota_exceeded"), (stranger, "invalid_api_key")):
        with pytest.raises(ApiError) as raised:
            b"".join(client.text_to_speech.convert(VOICE, text="Stay cold."))
        assert raised.value.status_code == 401
        assert raised.value.body["detail"]["status"] == status


# --- Replicate


@pytest.mark.parametrize(("aspect", "size"), [("16:9", (160, 90)), ("9:16", (90, 160)), ("1:1", (90, 90))])
def test_a_clip_has_the_ordered_length_and_aspect(
    stub: Stub, clips: Client, aspect: str, size: tuple[int, int]
) -> None:
    made = order(clips, VEO, duration=4, aspect_ratio=aspect, generate_audio=False)
    assert made.status == "succeeded"
    with av.open(io.BytesIO(fetched(made.output)), "r") as file:
        [video] = file.streams.video
        assert (video.width, video.height) == size
        assert sum(1 for _ in file.decode(video)) == 4 * 24
    [charge] = stub.charges("replicate")
    assert (charge.id, charge.amount_usd, charge.delivered) == (made.id, 0.4, True)


def test_pictures_are_made_enlarged_and_cut_out(clips: Client) -> None:
    made = order(clips, aspect_ratio="4:5")
    assert drawn(made.output).size == (1024, 1280)
    small = clips.files.create(io.BytesIO(picture(64, 80, "png", seed="small")), filename="a.png")
    larger = clips.predictions.create(
        version="nightmareai/real-esrgan:abc", input={"image": small.urls["get"], "scale": 2}
    )
    larger.wait()
    assert drawn(larger.output).size == (128, 160)
    cut = order(clips, "851-labs/background-remover", image=small.urls["get"])
    alpha = drawn(cut.output).getchannel("A")
    assert alpha.size == (64, 80)
    assert alpha.getextrema() == (0, 255)


def test_a_prediction_lives_by_the_clock(stub: Stub, clips: Client) -> None:
    stub.set(start_seconds=10, prediction_seconds=20)
    made = order(clips, wait=0)
    seen = []
    for _ in range(3):
        made.reload()
        seen.append((made.status, made.output is not None, len(stub.charges())))
        stub.advance(15)
    assert seen == [("starting", False, 0), ("processing", False, 0), ("succeeded", True, 1)]
    assert made.metrics is not None
    assert made.metrics["predict_time"] == pytest.approx(20)


def test_outputs_are_gone_after_an_hour(stub: Stub, clips: Client) -> None:
    made = order(clips)
    fetched(made.output)
    stub.advance(3601)
    assert HTTP.get(str(made.output)).status_code == 404
    assert shown(stub, made.id) | {"output": None, "input": {}, "data_removed": True} == shown(stub, made.id)
    assert len(stub.charges()) == 1


def test_an_output_needs_no_token_and_tells_of_one_that_leaks(stub: Stub, clips: Client) -> None:
    made = order(clips)
    fetched(made.output)
    HTTP.get(str(made.output), headers={"authorization": "Bearer token"}).raise_for_status()
    tokens = [one.headers.get("authorization") for one in stub.requests("replicate", path="^/out/")]
    assert tokens == [None, "Bearer token"]


def test_a_deadline_cancels_what_runs_and_aborts_what_waits(stub: Stub) -> None:
    stub.set(start_seconds=60, prediction_seconds=60)
    running = post(stub, cancel_after="90s").json()["id"]
    stub.set(start_seconds=120)
    waiting = post(stub, cancel_after="1m").json()["id"]
    stub.advance(100)
    assert shown(stub, running)["status"] == "canceled"
    assert shown(stub, waiting)["status"] == "aborted"
    charges = {one.id: one.amount_usd for one in stub.charges()}
    assert charges[running] == pytest.approx(0.039 / 2, rel=0.01)
    assert waiting not in charges


def test_a_cancelled_prediction_costs_what_it_has_done(stub: Stub, clips: Client) -> None:
    stub.set(start_seconds=0, prediction_seconds=100)
    made, early = order(clips, wait=0), order(clips, wait=0)
    stub.advance(25)
    made.cancel()
    assert made.status == "canceled"
    assert [one.id for one in stub.charges()] == [made.id]
    assert stub.cost() == pytest.approx(0.039 / 4, rel=0.05)
    stub.advance(100)
    early.cancel()
    early.reload()
    assert early.status == "succeeded"


def test_a_wait_that_runs_out_answers_what_there_is(stub: Stub) -> None:
    assert post(stub, prefer="wait=5").status_code == 201
    stub.set(prediction_seconds=3000)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(post, stub, prefer="wait=9")
        await_requests(stub, 2)
        stub.advance(9)
        answer = asked.result()
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")


def test_sensitive_and_prepared_failures_cost_nothing(stub: Stub, clips: Client) -> None:
    made = order(clips, prompt="a forbidden flask")
    assert made.status == "failed"
    assert "E005" in str(made.error)
    stub.answer("replicate", "flask", error="CUDA out of memory", n=1)
    assert order(clips).error == "CUDA out of memory"
    assert order(clips).status == "succeeded"
    assert len(stub.charges()) == 1


def test_a_lost_answer_is_found_in_the_list(stub: Stub, clips: Client) -> None:
    stub.faults("reset_after", vendor="replicate", method="POST")
    with pytest.raises(httpx.TransportError):
        order(clips, wait=0, seed=7)
    stub.set(page_size=2)
    order(clips, wait=0)
    order(clips, wait=0)
    page = clips.predictions.list()
    assert len(page.results) == 2
    assert page.next is not None
    [lost] = clips.predictions.list(page.next).results
    assert lost.input == {"prompt": "a flask", "seed": 7}
    assert lost.model == BANANA


def test_a_token_a_version_and_an_input_are_wanted(stub: Stub, clips: Client) -> None:
    assert post(stub, authorization="").json() == {
        "title": "Unauthenticated",
        "detail": "You did not pass an authentication token",
        "status": 401,
    }
    answer = post(stub, "/v1/predictions", {"input": "a flask"})
    assert answer.status_code == 422
    assert "version is required" in answer.json()["detail"]
    assert "input must be an object" in answer.json()["detail"]
    with pytest.raises(ReplicateError, match="prompt is required"):
        clips.models.predictions.create(BANANA, input={})
    assert post(stub, cancel_after="soon").status_code == 422
    assert stub.charges() == []


def test_files_are_kept_for_a_day(stub: Stub, clips: Client) -> None:
    kept = clips.files.create(io.BytesIO(b"hello"), filename="hello.txt", metadata={"job": "1"})
    assert clips.files.get(kept.id).metadata == {"job": "1"}
    assert [one.size for one in clips.files.list()] == [5]
    gone = clips.files.create(io.BytesIO(b"bye"))
    assert clips.files.delete(gone.id)
    stub.advance(86_401)
    with pytest.raises(ReplicateError):
        clips.files.get(kept.id)


def test_webhooks_are_signed_and_only_those_wanted_come(stub: Stub, clips: Client) -> None:
    secret = WebhookSigningSecret(key=clips.webhooks.default.secret().key)
    with listener() as (address, calls):
        body = {"input": {"prompt": "a flask"}, "webhook": address, "webhook_events_filter": ["start", "completed"]}
        made = post(stub, body=body).json()["id"]
        told = [calls.get(timeout=10) for _ in range(2)]
    for headers, content in told:
        Webhooks.validate(headers=headers, body=content, secret=secret, tolerance=300)
    assert [(one["id"], one["status"]) for one in (json.loads(content) for _, content in told)] == [
        (made, "processing"),
        (made, "succeeded"),
    ]
    assert calls.empty()


@contextmanager
def listener() -> Iterator[tuple[str, Queue[tuple[dict[str, str], str]]]]:
    """An address on loopback, and what is posted to it."""
    calls: Queue[tuple[dict[str, str], str]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self.send_response(204)
            self.end_headers()
            calls.put((dict(self.headers.items()), body))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named so in the base class
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", calls
        finally:
            server.shutdown()
            thread.join()


# --- a server of the OpenAI kind


def test_chat_completions_follow_a_schema_and_cost_nothing(stub: Stub) -> None:
    asked = {
        "model": "stub",
        "messages": [{"role": "user", "content": "A slogan, please."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "slogan", "schema": SCHEMA}},
    }
    answer = HTTP.post(f"{stub.openai_url}/chat/completions", json=asked).raise_for_status().json()
    assert set(json.loads(answer["choices"][0]["message"]["content"])) == {"headline", "seconds"}
    assert answer["usage"]["completion_tokens"] > 0
    assert [one.amount_usd for one in stub.charges("openai")] == [0]
