"""ElevenLabs sits the exam: one request a call, every word in time, what was paid found again and not bought twice."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from errors import (
    BadReply,
    InvalidInput,
    Overloaded,
    Permanent,
    RateLimited,
    Refused,
    StagecrewError,
    TooLarge,
    Transient,
    Unanswered,
    Unsupported,
)
from pipeline.providers import registry
from pipeline.providers.base import Speech, Transcript, no_check
from pipeline.providers.elevenlabs import ElevenLabsSound, ElevenLabsSpeaker, ElevenLabsTranscriber
from pipeline.providers.elevenlabs_api import cost_of
from pipeline.providers.elevenlabs_calls import BY_REQUEST, SpeechCall
from pipeline.providers.elevenlabs_words import aligned, gathered, spread
from pipeline.providers.pronounce import sent
from pipeline.providers.vendor_http import clean, retry_after_of, seconds_said
from redis_client.client import RedisClient
from settings import get_settings
from tests.contract import exam
from tests.contract.exam import SECRET, Subject, Till
from tests.queue.test_charges import Bench
from tests.stub.server import Stub
from tests.stub.speech import timing

pytest_plugins = ("tests.stub.fixtures",)

Setting = Callable[[str, object], None]
TEXT = "Meet the Nova Flask — one of the lightest. 🎉 It costs $29.99, and it's cold for 24h!"
SPEAK = r"/v1/text-to-speech/"


@pytest.fixture
def speaker(stub: Stub, setting: Setting) -> Iterator[ElevenLabsSpeaker]:
    setting("ELEVENLABS_BASE_URL", stub.elevenlabs_url)
    setting("ELEVENLABS_API_KEY", SECRET)
    speaker = ElevenLabsSpeaker()
    yield speaker
    speaker.close()


@pytest.fixture
def till(stub: Stub) -> Till:
    return Till(stub)


def say(
    speaker: ElevenLabsSpeaker, folder: Path, till: Till, text: str = TEXT, *, voice: str = "", language: str = "en"
) -> Speech:
    return speaker.speak(
        text, language=language, voice=voice, style="bold", output=folder / "v.wav", check=no_check, ledger=till
    )


def speech_call(speaker: ElevenLabsSpeaker, folder: Path, text: str = TEXT) -> SpeechCall:
    return speaker._call(text, "en", "", "bold", folder)


def subject_of(kind: str, stub: Stub, folder: Path) -> Subject:
    if kind == "speak":
        return Subject(stub, "elevenlabs", SPEAK, lambda till: say(ElevenLabsSpeaker(), folder, till, "Hello there."))
    if kind == "transcribe":
        recording = folder / "r.wav"
        write_wav(recording, 2.0)
        return Subject(stub, "elevenlabs", "/v1/speech-to-text", lambda till: hear(recording, till))
    maker = ElevenLabsSound()

    def pay(till: Till) -> Path:
        if kind == "effect":
            return maker.effect("a door", 1.0, output=folder / "e.wav", check=no_check, ledger=till)
        return maker.music("calm piano", 3.0, output=folder / "m.wav", check=no_check, ledger=till)

    return Subject(stub, "elevenlabs", "/v1/sound-generation" if kind == "effect" else "/v1/music", pay)


@pytest.fixture
def subject(request: pytest.FixtureRequest, stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path) -> Subject:
    return subject_of(getattr(request, "param", "speak"), stub, tmp_path)


every_kind = pytest.mark.parametrize("subject", ["speak", "effect", "music", "transcribe"], indirect=True)


def write_wav(path: Path, seconds: float) -> None:
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16000, 0, "NONE", ""))
        out.writeframes(b"\0\0" * int(16000 * seconds))


def hear(recording: Path, till: Till, *, speakers: int | None = 2, language: str = "en") -> Transcript:
    return ElevenLabsTranscriber().transcribe(
        recording, digest="d" * 64, language=language, speakers=speakers, check=no_check, ledger=till
    )


# --- the exam


@pytest.mark.parametrize(("status", "error"), exam.STATUSES)
def test_a_status_says_what_to_do_next(subject: Subject, status: int, error: Any) -> None:
    # Without a status word of its own a 429 says that the system is busy.
    exam.sit_status(subject, status, Overloaded if status == 429 else error)


@every_kind
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_it_asks_for_is_kept(subject: Subject, status: int) -> None:
    exam.sit_retry_after(subject, status)


@every_kind
def test_a_page_of_a_proxy_is_an_answer(subject: Subject) -> None:
    exam.sit_page(subject)


@pytest.mark.parametrize(("kind", "options"), exam.DOUBTS)
def test_what_cannot_be_read_leaves_doubt(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_doubt(subject, kind, options)


@pytest.mark.parametrize("subject", ["effect", "music", "transcribe"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "options"), [("reset_after", {}), ("truncated", {}), ("wrong_shape", {}), ("html", {"status": 200})]
)
def test_nor_do_sounds_and_transcripts(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_doubt(subject, kind, options)


@every_kind
@pytest.mark.parametrize(("kind", "options"), exam.DELAYS)
def test_no_answer_passes_the_deadline(subject: Subject, kind: str, options: dict[str, Any]) -> None:
    exam.sit_delay(subject, kind, options)


def test_headers_that_drip_end_too(stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, setting: Setting) -> None:
    with exam.dripping_port() as address:
        setting("ELEVENLABS_BASE_URL", address)
        exam.sit_dripping_headers(stub, lambda till: say(speaker, tmp_path, till))


def test_nothing_leaves_for_a_closed_port(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, setting: Setting
) -> None:
    setting("ELEVENLABS_BASE_URL", exam.closed_port())
    exam.sit_unreachable(stub, lambda till: say(speaker, tmp_path, till))


@pytest.mark.parametrize(
    ("status", "word", "error"),
    [
        (401, "invalid_api_key", Permanent),
        (401, "quota_exceeded", Permanent),
        (400, "quota_exceeded", Permanent),
        (404, "voice_not_found", InvalidInput),
        (400, "model_not_found", InvalidInput),
        (400, "max_character_limit_exceeded", TooLarge),
        (400, "content_policy_violation", Refused),
        (429, "too_many_concurrent_requests", RateLimited),
        (429, "system_busy", Overloaded),
    ],
)
def test_its_own_words_are_known(subject: Subject, status: int, word: str, error: type[StagecrewError]) -> None:
    subject.stub.faults("status", vendor="elevenlabs", path=subject.path, status=status, error=word)
    found = subject.fails(error)
    assert ("quota is used up" in str(found)) == (word == "quota_exceeded")
    assert ("accept the key" in str(found)) == (word == "invalid_api_key")


def test_the_stubs_own_refusals(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till, setting: Setting
) -> None:
    with pytest.raises(InvalidInput, match="nobody"):
        say(speaker, tmp_path, till, voice="nobody")
    stub.set(character_limit=3)
    with pytest.raises(Permanent, match="quota"):
        say(speaker, tmp_path, till)
    setting("ELEVENLABS_API_KEY", "invalid-key-4711")
    with pytest.raises(Permanent, match="does not accept the key") as caught:
        say(speaker, tmp_path, till)
    assert "invalid-key-4711" not in str(caught.value)


def test_logs_hold_no_key(stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till) -> None:
    stub.set(cost_headers=False)
    with structlog.testing.capture_logs() as events:
        say(speaker, tmp_path, till)
        till.book(call := speech_call(speaker, tmp_path), call.collect(history_id(stub), till.pause))
    assert events
    assert SECRET not in str(events)
    assert TEXT not in str(events)


def history_id(stub: Stub) -> str:
    return stub.charges("elevenlabs", kind="speech")[-1].id


# --- speech


def test_speech_is_one_request_with_every_word_in_time(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till
) -> None:
    speech = say(speaker, tmp_path, till)
    [request] = stub.requests("elevenlabs")
    assert request.path.endswith("/with-timestamps")
    assert request.headers["xi-api-key"] == SECRET
    assert [word.text for word in speech.words] == TEXT.split()
    assert all(a.end <= b.start + 1e-6 for a, b in zip(speech.words, speech.words[1:], strict=False))
    with wave.open(str(speech.path), "rb") as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, speech.sample_rate)
        assert sound.getnframes() / speech.sample_rate == pytest.approx(speech.duration_seconds)
    assert speech.duration_seconds - 1.0 < speech.words[-1].end <= speech.duration_seconds
    answer = till.answers[0]
    assert not answer.is_estimate
    assert answer.cost_usd == pytest.approx(stub.cost("elevenlabs"))
    assert answer.external_id == history_id(stub)
    assert answer.files["sound"].media_type == "audio/mpeg"
    assert not list(tmp_path.glob("*.part"))


def test_without_headers_the_cost_is_an_estimate(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till
) -> None:
    stub.set(cost_headers=False)
    say(speaker, tmp_path, till)
    assert till.answers[0].is_estimate
    assert till.answers[0].cost_usd == pytest.approx(speaker.estimate(TEXT).likely_usd)
    assert till.answers[0].external_id is None


@pytest.mark.parametrize("alignment", [None, {}, {"characters": ["a"]}, "times"])
def test_without_times_the_words_are_spread(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till, alignment: Any
) -> None:
    import base64

    say(speaker, tmp_path, till)
    sound = till.answers[0].files["sound"].path.read_bytes()
    body = {"audio_base64": base64.b64encode(sound).decode(), "alignment": alignment, "normalized_alignment": None}
    stub.faults("wrong_shape", vendor="elevenlabs", path=SPEAK, body=body)
    with structlog.testing.capture_logs() as events:
        speech = say(speaker, tmp_path, till)
    assert [one["event"] for one in events] == ["speech_without_times"]
    assert [word.text for word in speech.words] == TEXT.split()
    assert speech.words[-1].end == pytest.approx(speech.duration_seconds, abs=0.05)


def test_a_language_or_text_it_cannot_say_is_refused_unsent(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till
) -> None:
    with pytest.raises(Unsupported):
        say(speaker, tmp_path, till, language="sw")
    with pytest.raises(InvalidInput):
        say(speaker, tmp_path, till, "🎉 !")
    with pytest.raises(InvalidInput, match="voice"):
        say(speaker, tmp_path, till, voice="../v1/user")
    assert not stub.requests("elevenlabs")
    assert speaker.speaks("de-AT")


def test_another_model_is_another_version(speaker: ElevenLabsSpeaker, setting: Setting) -> None:
    before = speaker.version
    setting("ELEVENLABS_MODEL", "eleven_flash_v2_5")
    assert speaker.version != before
    assert speaker.speaks("hu")


def test_the_history_finds_it_again_for_nothing(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till
) -> None:
    say(speaker, tmp_path, till, "Another text.")
    since = int(stub.now() * 1000)
    stub.faults("reset_after", vendor="elevenlabs", path=SPEAK)
    call = speech_call(speaker, tmp_path)
    with pytest.raises(Unanswered):
        call.send("k")
    say(speaker, tmp_path, till, "A later text.")
    [found] = call.search(since)
    assert found.created_ms is not None
    bill = stub.cost("elevenlabs")
    answer = call.collect(found.external_id, till.pause)
    assert answer.cost_usd == pytest.approx(len(TEXT) * 0.0001)
    sound, times = till.book(call, answer)
    assert sound.stat().st_size > 1000
    assert times is None
    assert stub.cost("elevenlabs") == bill


def test_the_history_is_searched_in_time_and_page_by_page(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.providers.elevenlabs_api.PAGE", 1)
    call = speech_call(speaker, tmp_path)
    call.send("k")
    since = int(stub.now() * 1000)
    speech_call(speaker, tmp_path, "Else.").send("k")
    assert len(call.search(since)) == 1
    stub.advance(1000)
    assert call.search(int(stub.now() * 1000)) == []


def test_a_request_id_finds_it_too(stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till) -> None:
    call = speech_call(speaker, tmp_path)
    call.send("k")
    [item] = list(call.api.history())
    answer = call.collect(BY_REQUEST + item["request_id"], till.pause)
    assert answer.external_id == item["history_item_id"]
    with pytest.raises(BadReply):
        call.collect(BY_REQUEST + "nobody", till.pause)


def test_the_ledger_keeps_what_it_paid(
    stub: Stub, speaker: ElevenLabsSpeaker, client: RedisClient, tmp_path: Path
) -> None:
    client.enqueue_job("a", {}, pipeline="selftest")
    bench = Bench(client, tmp_path)
    stub.faults("reset_during", vendor="elevenlabs", path=SPEAK)

    def run() -> Speech:
        return speaker.speak(
            TEXT, language="en", voice="", style="bold", output=tmp_path / "v.wav", check=no_check, ledger=bench.begin()
        )

    with pytest.raises(Unanswered):
        run()
    bench.age(155)
    first = run()
    assert run().words == first.words
    assert len(stub.charges("elevenlabs")) == 1
    assert [state for state, _, _ in bench.rows()] == ["settled"]


def test_words_are_sent_as_they_sound_and_timed_as_they_are_shown(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till
) -> None:
    text, sounds = "Meet “Nova Flask Pro”, by Xi.", {"Nova Flask Pro": "no-va flask", "Xi": "the shee people"}
    speech = speaker.speak(
        text,
        language="en",
        voice="",
        style="bold",
        output=tmp_path / "v.wav",
        check=no_check,
        ledger=till,
        pronounce=sounds,
    )
    written = "Meet “no-va flask”, by the shee people."
    [call] = till.calls
    assert call.request["text"] == written
    assert [word.text for word in speech.words] == text.split()
    heard = {word: (start, end) for word, start, end in timing(written).words()}
    nova, pro, xi = speech.words[1], speech.words[3], speech.words[5]
    assert (nova.start, pro.end) == pytest.approx((heard["“no-va"][0], heard["flask”,"][1]), abs=0.02)
    assert (xi.start, xi.end) == pytest.approx((heard["the"][0], heard["people."][1]), abs=0.02)
    assert speech.words[4].start == pytest.approx(heard["by"][0], abs=0.02)


def test_words_that_nobody_timed_are_spread_as_they_sound(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till
) -> None:
    call = speaker._call(sent("Meet Xi, now.", {"Xi": "the shee people"}), "en", "", "bold", tmp_path)
    spans = gathered(spread(call.text, 4.0), [1, 3, 1])
    assert spans[1][1] - spans[1][0] > 2 * (spans[0][1] - spans[0][0])


# --- sounds and transcripts


def test_sounds_are_wav_files(stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till) -> None:
    for kind, seconds in (("effect", 1.0), ("music", 3.0)):
        path = subject_of(kind, stub, tmp_path).pay(till)
        with wave.open(str(path), "rb") as sound:
            assert sound.getnframes() / sound.getframerate() == pytest.approx(seconds, abs=0.15)
    assert len(stub.requests("elevenlabs")) == 2
    assert sum(one.cost_usd for one in till.answers) == pytest.approx(stub.cost("elevenlabs"))
    assert all(one.is_estimate for one in till.answers)


def test_a_transcript_says_who_speaks(stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till) -> None:
    recording = tmp_path / "r.wav"
    write_wav(recording, 12.0)
    found = hear(recording, till)
    [request] = stub.requests("elevenlabs")
    assert found.words
    assert len({word.speaker for word in found.words}) == 2
    assert all(word.start <= word.end for word in found.words)
    assert found.duration_seconds == pytest.approx(12, abs=0.1)
    call, answer = till.calls[0], till.answers[0]
    assert call.request["audio"] == "d" * 64
    assert str(tmp_path) not in str(call.request)
    assert answer.cost_usd == pytest.approx(stub.cost("elevenlabs"), rel=0.01)
    assert answer.cost_usd <= call.most_usd * 1.01
    again = call.collect(str(answer.external_id), till.pause)
    assert till.book(call, again) == found
    assert len(stub.requests("elevenlabs", method="POST")) == 1
    assert request.status == 200


def test_a_recording_that_is_none_is_refused(
    stub: Stub, speaker: ElevenLabsSpeaker, tmp_path: Path, till: Till
) -> None:
    (tmp_path / "r.wav").write_text("no sound")
    with pytest.raises(InvalidInput):
        hear(tmp_path / "r.wav", till)


# --- small parts


def columns(text: str, step: float = 0.1) -> dict[str, Any]:
    return {
        "characters": list(text),
        "character_start_times_seconds": [index * step for index in range(len(text))],
        "character_end_times_seconds": [(index + 1) * step for index in range(len(text))],
    }


def test_a_word_ends_with_its_last_letter() -> None:
    assert aligned("Hi  you. —", columns("Hi you. —")) == [
        (0.0, 0.2),
        (pytest.approx(0.3), pytest.approx(0.6)),
        (pytest.approx(0.8), pytest.approx(0.9)),
    ]


@pytest.mark.parametrize(
    "flaw",
    [
        {"characters": list("Hi yo")},
        {"characters": list("Hi YOU")},
        {"character_start_times_seconds": [0, 0.1, 0.2, 0.9, 0.4, 0.5]},
        {"character_end_times_seconds": [0.1, 0.2, float("nan"), 0.4, 0.5, 0.6]},
        {"character_end_times_seconds": [0.1, 0.2, None, 0.4, 0.5, 0.6]},
        {"character_start_times_seconds": [-1, 0.1, 0.2, 0.3, 0.4, 0.5]},
    ],
)
def test_times_that_cannot_be_true_are_none(flaw: dict[str, Any]) -> None:
    assert aligned("Hi you", columns("Hi you")) is not None
    assert aligned("Hi you", columns("Hi you") | flaw) is None


@given(st.text(min_size=1), st.floats(0.1, 1000))
def test_spread_words_follow_each_other_to_the_end(text: str, seconds: float) -> None:
    times = spread(text, seconds)
    assert len(times) == len(text.split())
    flat = [edge for pair in times for edge in pair]
    assert flat == sorted(flat)
    assert not times or times[-1][1] == pytest.approx(seconds)


@given(st.text())
def test_its_own_characters_always_align(text: str) -> None:
    times = aligned(text, columns(text))
    assert (times is None) == (text == "")
    assert times is None or len(times) == len(text.split())


def test_the_cost_stands_in_one_of_two_headers() -> None:
    assert cost_of({"character-cost": "500", "x-character-count": "1000"}, "eleven_flash_v2_5") == pytest.approx(0.05)
    assert cost_of({"x-character-count": "1000"}, "eleven_flash_v2_5") == pytest.approx(0.05)
    assert cost_of({"character-cost": "many"}, "eleven_flash_v2_5") is None


def test_words_of_a_vendor_are_made_fit_for_a_log() -> None:
    assert clean("a\n b https://x.test/f?sig=1#z end") == "a b https://x.test/f end"
    assert len(clean("x" * 1000)) == 300
    assert retry_after_of({"Retry-After": "-3"}) == 0
    assert retry_after_of({"retry-after": "soon"}) is None
    assert retry_after_of({"retry-after": "99999999"}) == 3600
    assert seconds_said("Your rate limit resets in ~30s.") == 30
    assert seconds_said("no") is None


def test_auto_takes_it_only_with_a_key(setting: Setting) -> None:
    assert registry.resolve("speak", "auto", get_settings()) != "elevenlabs"
    setting("ELEVENLABS_API_KEY", SECRET)
    for capability in ("speak", "sound", "transcribe"):
        assert registry.resolve(capability, "auto", get_settings()) == "elevenlabs"
    gate = registry.vendor("elevenlabs").gate
    assert gate.name.startswith("elevenlabs:")
    assert SECRET not in gate.name
    assert registry.vendor("elevenlabs").cancel_call("x") is None
    assert issubclass(RateLimited, Transient)
