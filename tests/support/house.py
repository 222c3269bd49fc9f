"""`python jobs.py` for tests: the real program on a STATE_DIR of its own, forked from one process that has imported it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# Imports cost more than the commands: this process pays for them once and forks for each command, which is still
# a process of its own with its own environment, folder and streams. What starts children or threads is run for real.
FORKER = """
import json, os, sys, traceback
import jobs, cli.ending, cli.entering, cli.payload, cli.show, cli.watching, redis_client
import database.jobs, database.migrate, pipeline.orchestrator, pipeline.providers.registry
from pipeline.film import images

def command(asked):
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        os.dup2(os.open(asked["files"][number], flags), number)
    sys.stdin = open(0, closefd=False)
    sys.argv = ["jobs.py", *asked["words"]]
    try:
        jobs.main()
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        code = command(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class House:
    """One STATE_DIR and the programs that are started on it."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = kept | {"STATE_DIR": str(state_dir), "RETRY_BASE_SECONDS": "0.1", "PYTHONUTF8": "1"}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.forker: subprocess.Popen[str] | None = None

    def program(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The real program."""
        return subprocess.run(
            [sys.executable, "jobs.py", *words],
            cwd=ROOT,
            env=self.environment | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def jobs(self, *words: str, stdin: str = "", cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
        """The program without its imports: forked."""
        if self.forker is None:
            pipe, argv = subprocess.PIPE, [sys.executable, "-c", FORKER]
            self.forker = subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdin=pipe, stdout=pipe, text=True)
        assert self.forker.stdin is not None
        assert self.forker.stdout is not None
        files = [self.state_dir.with_name(f"{self.state_dir.name}.{name}") for name in ("in", "out", "err")]
        for file, content in zip(files, (stdin, "", ""), strict=True):
            file.write_text(content)
        asked = {"words": words, "cwd": str(cwd), "env": self.environment | env, "files": [str(file) for file in files]}
        self.forker.stdin.write(json.dumps(asked) + "\n")
        self.forker.stdin.flush()
        code = int(self.forker.stdout.readline())
        return subprocess.CompletedProcess(list(words), code, files[1].read_text(), files[2].read_text())

    def good(self, *words: str, **more: Any) -> str:
        done = self.jobs(*words, **more)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def record(self, job_id: str) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.good("show", job_id, "--json"))
        return record

    def on_terminal(self, *words: str) -> tuple[int, str]:
        """Run with a terminal as its output; the exit code and what it drew."""
        ours, theirs = pty.openpty()
        drawn: list[bytes] = []

        def read() -> None:
            try:
                while part := os.read(ours, 65536):
                    drawn.append(part)
            except OSError:
                return  # the other side is closed

        program = subprocess.Popen(
            [sys.executable, str(ROOT / "jobs.py"), *words],
            cwd=ROOT,
            env=self.environment | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        code = program.wait(timeout=120)
        reader.join(timeout=10)
        os.close(ours)
        return code, b"".join(drawn).decode()

    def start_worker(self, name: str) -> None:
        argv = [sys.executable, str(ROOT / "worker.py"), name]
        quiet = subprocess.DEVNULL
        self.workers.append(subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdout=quiet, stderr=quiet))

    def close(self) -> None:
        if self.forker is not None:
            self.forker.communicate(timeout=20)
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                worker.wait(timeout=20)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        argv = [sys.executable, "-m", "embedded", "stop", "--force"]
        subprocess.run(argv, cwd=ROOT, env=self.environment, capture_output=True, timeout=60, check=False)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
