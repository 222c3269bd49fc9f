"""Files of voices, each whole or not there: what is half written has another name."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file durably beside its place and give it its name; several processes may do so at once."""
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(writer.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
