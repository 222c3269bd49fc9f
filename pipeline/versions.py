"""Which sources a stored result depends on: when they change, the stage's `version` must rise, or old results are reused.

`python -m pipeline.versions` records the sources as they are now; it refuses where a source changed and its version
did not. `--same-result` is for a change that cannot change what the stage makes (a comment, a name).
"""

from __future__ import annotations

import hashlib
import json
import sys

from pipeline.stage import find_stage
from settings import ROOT

RECORD = ROOT / "pipeline" / "versions.json"
SOURCES = {
    "voice_gen": (
        "pipeline/stages/voice_gen.py",
        "pipeline/providers/s*.py",
        "pipeline/providers/*piper*.py",
        "pipeline/providers/espeak*.py",
        "pipeline/providers/pronounce.py",
        "pipeline/providers/kokoro*.py",
        "pipeline/providers/local_speaker.py",
        "pipeline/providers/warm.py",
    ),
    "video_gen": (
        "pipeline/stages/video_gen.py",
        *(
            f"pipeline/film/{name}.py"
            for name in (
                "plates",
                "art",
                "images",
                "colors",
                "theme",
                "themes",
                "looks/*",
                "layout",
                "fonts",
                "render_job",
            )
        ),
    ),
    "compositing": ("pipeline/stages/compositing.py", "pipeline/film/*.py", "pipeline/film/*/*.py"),
}


def now() -> dict[str, dict[str, str]]:
    """Version and digest of the sources of each such stage."""
    return {name: {"version": find_stage(name).version, "sources": _digest(name)} for name in SOURCES}


def unraised() -> list[str]:
    """The stages whose sources changed since they were recorded, and whose version did not."""
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return [
        name
        for name, found in now().items()
        if (before := recorded.get(name))
        and before["sources"] != found["sources"]
        and before["version"] == found["version"]
    ]


def _digest(name: str) -> str:
    digest = hashlib.sha256()
    for pattern in SOURCES[name]:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    """Record, or refuse with the names of the stages."""
    changed = unraised()
    if changed and "--same-result" not in arguments:
        print(f"raise version= of {', '.join(changed)} in pipeline/stages, then run this again", file=sys.stderr)
        return 1
    RECORD.write_text(json.dumps(now(), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
