"""What kind of film or sound a file is, by its first bytes: the name and the sender do not matter. Light to import."""

from __future__ import annotations

from pathlib import Path

HEAD_BYTES = 64
MOST_CLIP_BYTES = 250 * 1024 * 1024
# Of the family of MP4, but pictures.
STILL_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"})
MATROSKA = b"\x1aE\xdf\xa3"
# The one demuxer that may open each: others read playlists, and through them other files.
DEMUXERS = {"video/mp4": "mov", "video/quicktime": "mov", "video/webm": "matroska"}
ENDINGS = {"video/mp4": ".mp4", "video/quicktime": ".mov", "video/webm": ".webm"}


SOUND_DEMUXERS = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/flac": "flac", "audio/ogg": "ogg", "audio/mp4": "mov"}
MOST_SOUND_BYTES = 60 * 1024 * 1024


def clip_type(path: Path) -> str | None:
    """The media type of a film file (MP4, MOV, WebM); None for anything else."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(MATROSKA):
        return "video/webm"
    if head[4:8] != b"ftyp" or head[8:12] in STILL_BRANDS:
        return None
    return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"


def sound_type(path: Path) -> str | None:
    """The media type of a sound file (MP3, WAV, FLAC, Ogg, M4A); None for anything else."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "audio/wav"
    if head[4:8] == b"ftyp" and head[8:11] == b"M4A":
        return "audio/mp4"
    if head.startswith(b"ID3") or (head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2):
        return "audio/mpeg"
    return {b"fLaC": "audio/flac", b"OggS": "audio/ogg"}.get(head[:4])
