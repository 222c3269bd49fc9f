"""The store: a name is never half a file, never a link, and never outside its root."""

import os
import resource
import signal
import threading
from pathlib import Path

import pytest

from artifacts import Artifact, LocalStore, artifacts_in, open_store
from errors import HostTrouble, Permanent


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def a_file(folder: Path, content: bytes = b"content") -> Path:
    path = folder / "made.bin"
    path.write_bytes(content)
    return path


def files(store: LocalStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


def test_a_stored_file_is_found_by_its_digest(store: LocalStore, tmp_path: Path) -> None:
    artifact = store.put(a_file(tmp_path), media_type="text/plain")
    assert artifact.size == 7
    assert artifact.name == "made.bin"
    assert store.path(artifact).read_bytes() == b"content"
    assert store.holds(artifact)


def test_the_same_content_twice_is_one_file(store: LocalStore, tmp_path: Path) -> None:
    first = store.put(a_file(tmp_path), media_type="text/plain", name="one")
    second = store.put_bytes(b"content", media_type="text/plain", name="two")
    assert first.sha256 == second.sha256
    assert files(store) == [store.path(first)]


@pytest.mark.parametrize(
    "digest", ["", "..", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 62 + "/x", "a" * 64 + "\n", "\uff10" * 64]
)
def test_no_name_from_outside_leaves_the_root(store: LocalStore, digest: str) -> None:
    with pytest.raises(Permanent, match="64 hexadecimal digits"):
        store.path(digest)
    with pytest.raises(ValueError, match="sha256"):
        Artifact(sha256=digest, size=1, media_type="x")


def test_a_link_in_place_of_a_file_is_not_held(store: LocalStore, tmp_path: Path) -> None:
    artifact = store.put(a_file(tmp_path), media_type="text/plain")
    path = store.path(artifact)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not store.holds(artifact)
    assert not store.holds(artifact, verify=False)


@pytest.mark.parametrize("spoil", [b"", b"contenT", b"content and more"])
def test_a_file_that_is_not_whole_is_not_held(store: LocalStore, tmp_path: Path, spoil: bytes) -> None:
    artifact = store.put(a_file(tmp_path), media_type="text/plain")
    store.path(artifact).write_bytes(spoil)
    assert not store.holds(artifact)
    store.put(a_file(tmp_path), media_type="text/plain")
    assert store.holds(artifact)


def test_a_missing_file_is_not_held(store: LocalStore) -> None:
    assert not store.holds(Artifact(sha256="a" * 64, size=1, media_type="x"))


def test_a_full_disk_is_trouble_of_the_host_and_leaves_nothing_behind(store: LocalStore, tmp_path: Path) -> None:
    source = a_file(tmp_path, os.urandom(3 << 20))
    store.put_bytes(b"small", media_type="x", name="small")
    before = files(store)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        with pytest.raises(HostTrouble, match="cannot be written"):
            store.put(source, media_type="x")
        with pytest.raises(HostTrouble, match="cannot be written"):
            store.put_bytes(source.read_bytes(), media_type="x", name="big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert files(store) == before


def test_a_store_that_cannot_be_made_is_trouble_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    store = LocalStore(tmp_path / "file" / "store")
    with pytest.raises(HostTrouble):
        store.put(a_file(tmp_path), media_type="x")
    with pytest.raises(HostTrouble):
        store.put_bytes(b"x", media_type="x", name="x")


def test_a_half_written_file_is_never_seen(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append([path for path in files(store) if not path.name.startswith(".")])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    artifact = store.put(a_file(tmp_path), media_type="x")
    # The content is synced under a hidden name; then it is there, and its folder is synced.
    assert seen == [[], [store.path(artifact)]]


def test_many_who_store_the_same_at_once_agree(store: LocalStore, tmp_path: Path) -> None:
    content = os.urandom(1 << 20)
    found: list[Artifact] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.put_bytes(content, media_type="x", name="x")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len({artifact.sha256 for artifact in found}) == 1
    assert files(store) == [store.path(found[0])]
    assert store.holds(found[0])


def test_a_store_by_url_is_a_folder_or_refused(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}").root == tmp_path
    with pytest.raises(Permanent, match="only a folder"):
        open_store("s3://bucket/x")


def test_artifacts_are_found_at_any_depth() -> None:
    one = Artifact(sha256="1" * 64, size=1, media_type="x")
    two = Artifact(sha256="2" * 64, size=1, media_type="x")
    assert artifacts_in({"a": [one, {"b": (two,)}], "c": None}) == [one, two]
    assert artifacts_in("text") == []
