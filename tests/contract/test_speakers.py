"""Every speaker sits this exam: a real WAV, every word in time, and no child left behind."""

from __future__ import annotations

import array
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from errors import HostTrouble, Interrupted, InvalidInput, TooLarge, Unsupported
from pipeline.providers import piper_voice, registry
from pipeline.providers.anthropic import AnthropicWriter
from pipeline.providers.base import Speaker, Speech, no_check
from pipeline.providers.espeak import EspeakSpeaker, languages, token_times
from pipeline.providers.kokoro import KokoroSpeaker
from pipeline.providers.paid import NoLedger
from pipeline.providers.piper import PiperSpeaker
from pipeline.providers.piper_align import token_spans
from pipeline.providers.speech import speech_seconds
from settings import ROOT, load_settings

TEXT = "Meet the Nova Flask — one of the lightest. 🎉 It costs $29.99, and it's cold for 24h! See novaflask.com today."
KINDS = ["piper", "espeak", pytest.param("kokoro", marks=pytest.mark.voices)]
# Where `make voices` puts the weights; read before the tests have a STATE_DIR of their own.
WEIGHTS = load_settings().state_dir / "voices" / "kokoro"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="module")
def piper(folder: Path) -> Iterator[PiperSpeaker]:
    speaker = PiperSpeaker(folder)
    yield speaker
    speaker.close()
    assert children_of(os.getpid()) == set()


@pytest.fixture(scope="module")
def kokoro() -> Iterator[KokoroSpeaker]:
    with contextlib.closing(KokoroSpeaker()) as speaker:
        yield speaker


@pytest.fixture
def speaker(
    request: pytest.FixtureRequest, piper: PiperSpeaker, kokoro: KokoroSpeaker, setting: Callable[[str, object], None]
) -> Speaker:
    if request.param == "kokoro":
        if not WEIGHTS.is_dir():
            pytest.skip("make voices brings the weights")
        setting("KOKORO_MODEL", next(WEIGHTS.glob("*.onnx")))
        setting("KOKORO_VOICES", WEIGHTS / "voices")
        return kokoro  # type: ignore[return-value]
    return piper if request.param == "piper" else EspeakSpeaker()


every_speaker = pytest.mark.parametrize("speaker", KINDS, indirect=True)


def say(
    speaker: Speaker, text: str, output: Path, *, language: str = "en", voice: str = "", style: str = "bold"
) -> Speech:
    return speaker.speak(
        text, language=language, voice=voice, style=style, output=output, check=no_check, ledger=NoLedger()
    )


def samples_of(path: Path) -> array.array[int]:
    with wave.open(str(path), "rb") as reader:
        assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
        return array.array("h", reader.readframes(reader.getnframes()))


def sounds_in(folder: Path) -> list[Path]:
    """Every sound in a folder, finished or not."""
    return sorted(path for path in folder.iterdir() if path.suffix in {".wav", ".part"})


def children_of(pid: int) -> set[int]:
    """The living children of a process that run one of our engines."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after = stat.read_text().rpartition(")")[2].split()
            if (
                int(after[1]) == pid
                and after[0] != "Z"
                and b"pipeline.providers" in (stat.parent / "cmdline").read_bytes()
            ):
                found.add(int(stat.parent.name))
    return found


def until(condition: object, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- the exam --------------------------------------------------------------------------------------------------------


@every_speaker
def test_every_shown_word_has_its_time(speaker: Speaker, tmp_path: Path) -> None:
    output = tmp_path / "speech.wav"
    speech = say(speaker, TEXT, output)
    samples = samples_of(output)
    assert speech.path == output
    assert [word.text for word in speech.words] == TEXT.split()
    assert speech.duration_seconds == pytest.approx(len(samples) / speech.sample_rate)
    assert (speech.provider, speech.version) == (speaker.name, speaker.version)
    latest = 0.0
    for word in speech.words:
        assert latest <= word.start <= word.end <= speech.duration_seconds
        assert word.end > word.start or word.text in {"—", "🎉"}
        latest = word.end
    price = next(word for word in speech.words if word.text == "$29.99,")
    assert price.end - price.start > 0.9  # twenty nine dollars ninety nine
    assert sounds_in(tmp_path) == [output]


@every_speaker
def test_sound_starts_with_the_first_word_and_pauses_between_sentences(speaker: Speaker, tmp_path: Path) -> None:
    speech = say(speaker, TEXT, tmp_path / "a.wav")
    samples, rate = samples_of(speech.path), speech.sample_rate
    quiet = max(map(abs, samples)) / 30

    def loudest(start: float, end: float) -> int:
        return max(map(abs, samples[int(start * rate) : max(int(start * rate) + 1, int(end * rate))]))

    assert speech.words[0].start <= 0.12
    assert loudest(0, speech.words[0].start) < quiet
    assert max(map(abs, samples[-int(0.02 * rate) :])) < quiet
    lightest, it = (next(word for word in speech.words if word.text == text) for text in ("lightest.", "It"))
    assert it.start - lightest.end > 0.1
    assert loudest(lightest.end + 0.05, it.start - 0.02) < 2 * quiet
    for word in speech.words:
        if word.end - word.start > 0.15:
            assert loudest(word.start, word.end) > quiet, word


@every_speaker
def test_the_same_text_gives_the_same_bytes(speaker: Speaker, tmp_path: Path) -> None:
    digests = {
        hashlib.sha256(say(speaker, TEXT, tmp_path / f"{n}.wav").path.read_bytes()).hexdigest() for n in range(2)
    }
    assert len(digests) == 1


@every_speaker
def test_styles_differ_in_pace(speaker: Speaker, tmp_path: Path) -> None:
    slow, fast = (say(speaker, TEXT, tmp_path / f"{style}.wav", style=style) for style in ("elegant", "bold"))
    assert slow.duration_seconds > fast.duration_seconds * 1.05


@every_speaker
@pytest.mark.parametrize("text", ["", "   ", "...", "🎉 🎉", "— !?"])
def test_text_without_words_is_refused(speaker: Speaker, text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no word"):
        say(speaker, text, tmp_path / "a.wav")
    assert sounds_in(tmp_path) == []


@every_speaker
def test_one_short_word_is_enough(speaker: Speaker, tmp_path: Path) -> None:
    assert 0.2 < say(speaker, "Oh!", tmp_path / "a.wav").duration_seconds < 1.5


@every_speaker
def test_wrong_wishes_are_named(speaker: Speaker, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="voice 'bob'"):
        say(speaker, "Hello", tmp_path / "a.wav", voice="bob")
    with pytest.raises(Unsupported, match="language 'xx'"):
        say(speaker, "Hello", tmp_path / "a.wav", language="xx")
    with pytest.raises(TooLarge):
        say(speaker, "word " * 5000, tmp_path / "a.wav")
    with pytest.raises(HostTrouble):
        say(speaker, "Hello", tmp_path / "missing" / "a.wav")


@every_speaker
def test_a_stopping_worker_is_not_held_by_speech(speaker: Speaker, tmp_path: Path) -> None:
    before, asked = children_of(os.getpid()), [0.0]

    def stop() -> None:
        asked[0] = asked[0] or time.monotonic()
        raise Interrupted("shutdown")

    with pytest.raises(Interrupted):
        speaker.speak(
            "word " * 3000,
            language="en",
            voice="",
            style="bold",
            output=tmp_path / "a.wav",
            check=stop,
            ledger=NoLedger(),
        )
    assert time.monotonic() - asked[0] < 2
    assert children_of(os.getpid()) - before == set()
    assert sounds_in(tmp_path) == []
    assert say(speaker, "Hello again.", tmp_path / "b.wav").duration_seconds > 0.3


@every_speaker
def test_a_long_text_is_spoken_whole(speaker: Speaker, tmp_path: Path) -> None:
    text = " ".join(
        ["The quick brown fox jumps over the lazy dog and keeps on running"] * 24
    )  # 312 words, no full stop
    speech = say(speaker, text, tmp_path / "a.wav")
    assert [word.text for word in speech.words] == text.split()
    assert 30 < speech.duration_seconds < 150
    assert all(0.01 < word.end - word.start < 1.5 for word in speech.words)


@every_speaker
def test_a_word_is_said_as_the_user_wants_and_shown_as_it_was(speaker: Speaker, tmp_path: Path) -> None:
    text, sounds = "The Nova Flask Pro, by Xi.", {"nova flask pro": "no-va flask professional edition", "Xi": "shee"}
    plain = say(speaker, text, tmp_path / "a.wav")
    speech = speaker.speak(
        text,
        language="en",
        voice="",
        style="bold",
        output=tmp_path / "b.wav",
        check=no_check,
        ledger=NoLedger(),
        pronounce=sounds,
    )
    assert [word.text for word in speech.words] == text.split()
    assert speech.duration_seconds > plain.duration_seconds + 0.4
    the, nova, flask, pro, by, _ = speech.words
    assert the.end <= nova.start
    assert nova.end == flask.start
    assert flask.end == pro.start
    assert pro.end <= by.start
    assert pro.end - nova.start > plain.words[3].end - plain.words[1].start + 0.4
    assert nova.end - nova.start == pytest.approx((flask.end - flask.start) * 4 / 5, abs=0.01)


@every_speaker
@pytest.mark.parametrize("price", ["EUR 1.299,00", "SEK 1 299", "1 299 kr", "€ 20", "Rs. 1,49,999", "$5 off"])
def test_a_price_of_several_words_is_read_while_it_is_said(speaker: Speaker, price: str, tmp_path: Path) -> None:
    words = say(speaker, f"Get yours from {price} today.", tmp_path / "a.wav").words
    shown = words[3:-1]
    assert [word.text for word in shown] == price.split()
    for word in shown:
        assert word.end - word.start > 0.11, shown
    assert shown[0].start - words[2].end < 0.2


# -- what only one of them does --------------------------------------------------------------------------------------


def test_a_killed_child_is_replaced_and_an_idle_one_leaves(folder: Path, tmp_path: Path) -> None:
    before = children_of(os.getpid())
    with contextlib.closing(PiperSpeaker(folder, idle_seconds=1.5)) as speaker:
        say(speaker, "Hello.", tmp_path / "a.wav")
        (child,) = children_of(os.getpid()) - before
        os.kill(child, signal.SIGKILL)
        assert say(speaker, "Hello.", tmp_path / "b.wav").words[0].text == "Hello."
        until(lambda: children_of(os.getpid()) == before)


def test_a_damaged_voice_is_made_anew(folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "voices"
    damaged.mkdir()
    path = piper_voice.patched_path(damaged)
    path.write_bytes(b"no model")
    Path(f"{path}.json").write_bytes(Path(f"{piper_voice.patched_path(folder)}.json").read_bytes())
    with contextlib.closing(PiperSpeaker(damaged)) as speaker:
        with pytest.raises(HostTrouble, match="damaged"):
            say(speaker, "Hello.", tmp_path / "a.wav")
        assert not path.exists()


def test_processes_that_patch_at_once_make_one_whole_voice(piper: PiperSpeaker, folder: Path, tmp_path: Path) -> None:
    say(piper, "Hello.", tmp_path / "a.wav")
    argv = [sys.executable, "-m", "pipeline.providers.piper_voice", str(tmp_path / "voices")]
    running = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in running] == [0, 0]
    made, known = piper_voice.patched_path(tmp_path / "voices"), piper_voice.patched_path(folder)
    assert made.read_bytes() == known.read_bytes()
    assert not list((tmp_path / "voices").glob("*.part"))


@pytest.mark.parametrize("speaker", [KINDS[2]], indirect=True)
def test_kokoro_takes_as_long_as_the_writer_thinks(speaker: Speaker, tmp_path: Path) -> None:
    text = "It keeps drinks cold for 24 hours, and it has a leakproof lid. You get free shipping. See novaflask.com."
    speech = say(speaker, text, tmp_path / "a.wav", style="minimal")
    assert speech.duration_seconds == pytest.approx(speech_seconds(text, "minimal"), rel=0.12)
    assert say(speaker, text, tmp_path / "b.wav", voice="bm_george").duration_seconds > 5


def test_piper_takes_as_long_as_the_writer_thinks(piper: PiperSpeaker, tmp_path: Path) -> None:
    text = "It keeps drinks cold for 24 hours, and it has a leakproof lid. You get free shipping. See novaflask.com."
    for style in ("minimal", "elegant"):
        speech = say(piper, text, tmp_path / "a.wav", style=style)
        assert speech.duration_seconds == pytest.approx(speech_seconds(text, style), rel=0.12)


def test_espeak_reads_other_languages(tmp_path: Path) -> None:
    speech = say(
        EspeakSpeaker(), "Die Größe beträgt 20 cm. Jetzt kaufen!", tmp_path / "a.wav", language="de_AT", voice="f2"
    )
    assert [word.text for word in speech.words] == ["Die", "Größe", "beträgt", "20", "cm.", "Jetzt", "kaufen!"]
    assert {"de", "fr-fr", "pt-br", "ja", "cmn"} <= set(languages())


def test_espeak_has_a_voice_for_every_language_that_it_says_it_reads() -> None:
    code = (
        "import ctypes, espeakng_loader; from pipeline.providers.espeak import languages\n"
        "library = ctypes.CDLL(espeakng_loader.get_library_path())\n"
        "library.espeak_Initialize(1, 0, espeakng_loader.get_data_path().encode(), 0)\n"
        "print([tag for tag, voice in languages().items() if library.espeak_SetVoiceByName(voice.encode()) != 0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert (languages()["fr-fr"], languages()["en-gb"], languages()["pt-br"]) == ("fr", "en", "pt-br")


def test_words_that_espeak_joins_share_their_time() -> None:
    assert token_times(["one", "of", "the", "lot"], [(0, 0, 100), (4, 100, 200), (11, 250, 300)]) == [
        (0, 100),
        (100, 140),
        (140, 200),
        (250, 300),
    ]


def test_joined_phonemes_find_their_words() -> None:
    spans = token_spans(list("^wˈʌn ʌvðə lˈaɪɾɪst.$"), ["wˈʌn", "ʌv", "ðə", "lˈaɪtɪst."])  # noqa: RUF001  phonetic signs
    assert spans == [(1, 5), (6, 8), (8, 10), (11, 19)]


# -- the registry ----------------------------------------------------------------------------------------------------


def test_auto_takes_the_neural_voice_for_english_and_espeak_for_the_rest() -> None:
    chosen = load_settings()
    assert registry.resolve("speak", "auto", chosen) == "piper"
    assert registry.resolve("speak", "local", chosen, language="fr") == "espeak"
    assert registry.resolve("speak", "espeak", chosen) == "espeak"
    assert registry.resolve("write", "auto", chosen) == "local"
    assert registry.resolve("film", "", chosen) == "local"
    with pytest.raises(Unsupported, match="'xx'"):
        registry.resolve("speak", "auto", chosen, language="xx")


def test_an_unknown_provider_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidInput, match=r"VOICE_PROVIDER='pipr'.*'piper'"):
        registry.resolve("speak", "pipr", load_settings())
    with pytest.raises(InvalidInput, match="local"):
        registry.get("write", "claude")  # type: ignore[call-overload, unused-ignore]


def test_a_key_brings_the_hosted_provider_and_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnthropicWriter, "available", lambda _self: None)
    assert registry.resolve("write", "auto", load_settings(anthropic_api_key="k")) == "anthropic"
    assert registry.resolve("write", "local", load_settings(anthropic_api_key="k")) == "local"
    assert registry.resolve("write", "auto", load_settings(anthropic_api_key=None)) == "local"
    with pytest.raises(InvalidInput, match="ANTHROPIC_API_KEY"):
        registry.resolve("write", "anthropic", load_settings(anthropic_api_key=None))
    monkeypatch.setattr(AnthropicWriter, "available", lambda _self: "its model is unknown.")
    with pytest.raises(InvalidInput, match=r"SCRIPT_PROVIDER=anthropic: its model is unknown\."):
        registry.resolve("write", "auto", load_settings(anthropic_api_key="k"))


def test_a_host_without_piper_falls_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(PiperSpeaker, "available", lambda _self: "piper-tts is not installed.")
    assert registry.resolve("speak", "auto", load_settings()) == "espeak"
    with pytest.raises(HostTrouble, match="piper-tts"):
        say(PiperSpeaker(), "Hello", tmp_path / "a.wav")
    monkeypatch.setattr(EspeakSpeaker, "available", lambda _self: "espeakng-loader is not installed.")
    with pytest.raises(HostTrouble, match="espeakng-loader"):
        registry.resolve("speak", "auto", load_settings())


def test_a_provider_lives_until_all_are_closed() -> None:
    first = registry.get("speak", "espeak")
    assert registry.get("speak", "espeak") is first
    registry.close_all()
    assert registry.get("speak", "espeak") is not first


def test_an_idle_worker_imports_no_engine() -> None:
    code = (
        "import sys; from pipeline.providers import registry; from settings import load_settings;"
        "registry.resolve('speak', 'auto', load_settings()); registry.get('write', 'local');"
        "print({'numpy', 'onnx', 'onnxruntime', 'piper', 'espeakng_loader', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
