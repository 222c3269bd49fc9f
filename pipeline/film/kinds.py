"""What a file of pictures, film or sound is, by its first bytes: the name and the sender do not matter. Light to import."""

from __future__ import annotations

from pathlib import Path

HEAD_BYTES = 64
MOST_PICTURE_BYTES = 40 * 1024 * 1024
MOST_CLIP_BYTES, MOST_SOUND_BYTES = 250 * 1024 * 1024, 60 * 1024 * 1024
# The one demuxer that may open each: others read playlists, and through them other files.
CLIP_DEMUXERS = {"video/mp4": "mov", "video/quicktime": "mov", "video/webm": "matroska"}
SOUND_DEMUXERS = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/flac": "flac", "audio/ogg": "ogg", "audio/mp4": "mov"}
ENDINGS = {"video/mp4": ".mp4", "video/quicktime": ".mov", "video/webm": ".webm"}
_HEADS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"\x1aE\xdf\xa3": "video/webm",
    b"ID3": "audio/mpeg",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
# Of the family of MP4; a brand that is not named here is a film.
_BRANDS: dict[bytes, str] = {b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4"}
_BRANDS |= dict.fromkeys((b"avif", b"avis"), "image/avif")
_BRANDS |= dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1"), "image/heic")


def media_type_of(head: bytes) -> str | None:
    """What kind of file begins so; None for one of no kind that is used here."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0 and head[1] != 0xFF:
        return "audio/mpeg"
    return next((kind for start, kind in _HEADS.items() if head.startswith(start)), None)


def clip_type(path: Path) -> str | None:
    """The media type of a film file (MP4, MOV, WebM); None for anything else."""
    kind = _type_of(path)
    return kind if kind in CLIP_DEMUXERS else None


def sound_type(path: Path) -> str | None:
    """The media type of a sound file (MP3, WAV, FLAC, Ogg, M4A); None for anything else."""
    kind = _type_of(path)
    return kind if kind in SOUND_DEMUXERS else None


def _type_of(path: Path) -> str | None:
    with path.open("rb") as file:
        return media_type_of(file.read(HEAD_BYTES))
