"""The content-addressed store: a file made by a stage, kept once under its own sha256."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from errors import HostTrouble, Permanent
from settings import ROOT, get_settings

COPY_CHUNK = 1 << 20
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Artifact(BaseModel):
    """A stored file as a result or payload names it: digest, size in bytes, media type, a name for people."""

    model_config = ConfigDict(frozen=True)

    sha256: Digest
    size: int = Field(ge=0)
    media_type: str
    name: str = ""


class LocalStore:
    """A folder of files named by digest; writes are temp + fsync + rename, so a name is never half a file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, artifact: Artifact | str) -> Path:
        """Where the file is, or would be; built from the digest alone, so no name from outside can leave the root."""
        digest = artifact if isinstance(artifact, str) else artifact.sha256
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise Permanent(f"artifact digest {digest!r} is not 64 hexadecimal digits")
        return self.root / digest[:2] / digest

    def put(self, source: Path, *, media_type: str, name: str = "") -> Artifact:
        """Copy a finished file into the store, durably; the same content twice is one file."""
        digest, size = hashlib.sha256(), 0
        temporary = self.root / f".{os.getpid()}-{secrets.token_hex(6)}.part"
        # Outside of the try: a file that was never made is its maker's fault, not the store's.
        reader = source.open("rb")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with reader, temporary.open("xb") as writer:
                while chunk := reader.read(COPY_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    writer.write(chunk)
                writer.flush()
                os.fsync(writer.fileno())
            artifact = Artifact(sha256=digest.hexdigest(), size=size, media_type=media_type, name=name or source.name)
            self._adopt(temporary, self.path(artifact))
        except OSError as error:
            raise HostTrouble(f"the artifact store {self.root} cannot be written: {error.strerror or error}") from error
        finally:
            reader.close()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return artifact

    def put_bytes(self, content: bytes, *, media_type: str, name: str) -> Artifact:
        """Store bytes that are already in memory (an upload, a small JSON)."""
        staged = self.root / f".{os.getpid()}-{secrets.token_hex(6)}.bytes"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            staged.write_bytes(content)
            return self.put(staged, media_type=media_type, name=name)
        except OSError as error:
            raise HostTrouble(f"the artifact store {self.root} cannot be written: {error.strerror or error}") from error
        finally:
            with suppress(OSError):
                staged.unlink(missing_ok=True)

    def holds(self, artifact: Artifact, *, verify: bool = True) -> bool:
        """Whether the file is there whole: its size, and its sha256 when `verify`."""
        path = self.path(artifact)
        try:
            if path.is_symlink() or path.stat().st_size != artifact.size:
                return False
            if not verify:
                return True
            with path.open("rb") as reader:
                return hashlib.file_digest(reader, "sha256").hexdigest() == artifact.sha256
        except OSError:
            return False

    def remove(self, digest: str, *, untouched_seconds: float) -> bool:
        """Delete a file that nobody has put here for so long; False when it is fresh, or not there.

        It is taken aside first and looked at there, so that somebody who puts it here at this moment keeps it.
        """
        path = self.path(digest)
        aside = self.root / f".{os.getpid()}-{secrets.token_hex(6)}.gone"
        horizon = time.time() - untouched_seconds
        try:
            if path.stat().st_mtime > horizon:
                return False
            path.rename(aside)
            if aside.stat().st_mtime > horizon and not path.exists():
                aside.rename(path)
                return False
            aside.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise HostTrouble(f"the artifact store {self.root} cannot be written: {error.strerror or error}") from error
        return True

    def old_files(self, part: int, *, untouched_seconds: float) -> list[str]:
        """The digests of the files in part 0 to 255 of the store that nobody has touched for so long."""
        folder, horizon = self.root / f"{part:02x}", time.time() - untouched_seconds
        with suppress(OSError):
            return [one.name for one in os.scandir(folder) if len(one.name) == 64 and one.stat().st_mtime < horizon]
        return []

    def sweep_aside(self, *, untouched_seconds: float) -> None:
        """Delete what writers left behind that died in the middle."""
        horizon = time.time() - untouched_seconds
        with suppress(OSError):
            for one in os.scandir(self.root):
                if one.name.endswith((".part", ".bytes", ".gone")) and one.stat().st_mtime < horizon:
                    Path(one.path).unlink(missing_ok=True)

    def identity(self) -> str:
        """The id of this store, made with it: a database refuses another folder than the one its artifacts are in."""
        path = self.root / ".store-id"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                fresh = self.root / f".{secrets.token_hex(6)}.part"
                fresh.write_text(secrets.token_hex(16))
                try:
                    path.hardlink_to(fresh)  # the first of several processes wins; the others read its id
                except FileExistsError:
                    pass
                finally:
                    fresh.unlink(missing_ok=True)
            return path.read_text().strip()
        except OSError as error:
            raise HostTrouble(f"the artifact store {self.root} cannot be used: {error.strerror or error}") from error

    def free_mb(self) -> float:
        """Free space on the store's disk, in MiB."""
        self.root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free / (1 << 20)

    def _adopt(self, temporary: Path, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o644)
        temporary.replace(final)
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def open_store(location: str | None = None) -> LocalStore:
    """The store that `ARTIFACT_STORE` names (a folder, or file:// URL), else STATE_DIR/artifacts."""
    location = location or get_settings().artifact_store
    if location is None:
        return LocalStore(get_settings().state_dir / "artifacts")
    if "://" in location and not location.startswith("file://"):
        raise Permanent(f"ARTIFACT_STORE={location!r}: only a folder is served so far")
    return LocalStore((ROOT / location.removeprefix("file://")).resolve())


def artifacts_in(value: object) -> list[Artifact]:
    """Every Artifact inside a result, at any depth."""
    if isinstance(value, Artifact):
        return [value]
    if isinstance(value, BaseModel):
        return [found for name in type(value).model_fields for found in artifacts_in(getattr(value, name))]
    if isinstance(value, dict):
        return [found for part in value.values() for found in artifacts_in(part)]
    if isinstance(value, list | tuple):
        return [found for part in value for found in artifacts_in(part)]
    return []


def find_artifacts(value: Any) -> list[Artifact]:
    """Every artifact named in stored JSON, at any depth, each digest once."""
    found: dict[str, Artifact] = {}
    waiting = [value]
    while waiting:
        part = waiting.pop(0)
        if isinstance(part, dict):
            if {"sha256", "size", "media_type"} <= part.keys():
                artifact = Artifact.model_validate({name: part[name] for name in Artifact.model_fields if name in part})
                found.setdefault(artifact.sha256, artifact)
            else:
                waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return list(found.values())
