"""Children: what they say, how they end, and that none outlives its owner. All of them are real processes."""

import contextvars
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import process
from errors import BadReply, HostTrouble, Interrupted, TimedOut
from process import Child, ChildFailed, Limits, Write, current_tag, kill_children, kill_tag, run, running
from process.launcher import registry

ROOT = Path(process.__file__).resolve().parents[1]
FOREVER = ["sleep", "600"]
# A leader with a grandchild in its group; neither cares for TERM. Says both process ids.
STUBBORN = [
    "sh",
    "-c",
    "trap '' TERM; sleep 600 & echo $$ $!; wait",
]
ECHO = "import sys\nfor line in sys.stdin:\n    print(line.strip()[::-1], flush=True)\n"


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-S", "-c", code, *words]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a state; the deadline is for a broken program, not for a slow one."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited state never came"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class InThread:
    """A call in a thread of its own, in a context where `tag` is the current one."""

    def __init__(self, call: Callable[[], object], tag: str | None = None) -> None:
        self.result: object = None
        self.error: BaseException | None = None
        self._call = call
        context = contextvars.copy_context()
        context.run(current_tag.set, tag)
        self._thread = threading.Thread(target=context.run, args=(self._work,), daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001  the test looks at it
            self.error = error

    def join(self) -> "InThread":
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self


class Pids:
    """Collects the process ids a child prints."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, line: str) -> None:
        self.seen += [int(word) for word in line.split()]


# -- run: what comes back ---------------------------------------------------------------------------------------------


def test_output_errors_and_usage_come_back() -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sum(range(3_000_000))"
    done = run(python(code), timeout_seconds=20)
    assert (done.returncode, done.stdout, done.stderr_tail) == (0, b"out\n", "err\n")
    assert not done.stdout_truncated
    assert done.cpu_seconds > 0


def test_input_reaches_the_child_and_no_input_is_an_end_of_file() -> None:
    assert run(["cat"], stdin=b"a\nb", timeout_seconds=20).stdout == b"a\nb"
    assert run(["cat"], stdin=b"", timeout_seconds=20).stdout == b""
    assert run(["cat"], timeout_seconds=20).stdout == b""


def test_more_than_every_pipe_holds_flows_both_ways_at_once() -> None:
    block = os.urandom(256 * 1024)
    code = (
        "import sys, os\n"
        "while data := os.read(0, 65536):\n"
        "    sys.stdout.buffer.write(data); sys.stderr.buffer.write(data[:8000])\n"
    )

    def feed(write: Write) -> None:
        for _ in range(40):
            write(memoryview(block))

    done = run(python(code), feed=feed, timeout_seconds=20)
    assert done.stdout == block * 40
    assert len(done.stderr_tail) <= 8 * 1024


def test_only_the_end_of_a_flood_is_kept() -> None:
    done = run(["sh", "-c", "head -c 3000000 /dev/zero; printf end"], stdout_cap=1000, timeout_seconds=20)
    assert done.stdout == b"\0" * 997 + b"end"
    assert done.stdout_truncated


def test_lines_are_handed_on_in_the_callers_thread_while_the_child_runs(tmp_path: Path) -> None:
    lines: list[str] = []
    threads: set[int] = set()

    def on_line(line: str) -> None:
        lines.append(line)
        threads.add(threading.get_ident())
        (tmp_path / "heard").touch()

    script = "echo one; while [ ! -e heard ]; do sleep 0.02; done; printf 'tw'; printf 'o\\r\\n\\303\\244'"
    run(["sh", "-c", script], cwd=tmp_path, on_line=on_line, timeout_seconds=20)
    assert lines == ["one", "two", "ä"]
    assert threads == {threading.get_ident()}


def test_the_peak_of_memory_is_the_childs_own(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import os, time; x = bytearray(90_000_000); print('big', flush=True)\nwhile not os.path.exists('seen'): time.sleep(0.02)"
    seen = tmp_path / "seen"
    done = run(
        python(code),
        cwd=tmp_path,
        on_line=lines.append,
        check=lambda: seen.touch() if lines else None,
        timeout_seconds=20,
    )
    assert 85 < done.peak_memory_mb < 130
    assert run(["sleep", "0"], timeout_seconds=20).peak_memory_mb < 40


def test_an_endless_line_is_cut() -> None:
    lines: list[str] = []
    run(
        python("print('x' * 1_000_000); print('short')"),
        on_line=lines.append,
        timeout_seconds=20,
    )
    assert [len(line) for line in lines] == [process.LINE_BYTES, 5]


def test_a_child_may_stop_reading_and_still_succeed() -> None:
    assert run(["head", "-c", "2"], stdin=b"x" * 5_000_000, timeout_seconds=20).stdout == b"xx"


def test_folder_and_environment_are_the_callers_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "hidden-value")
    done = run(["sh", "-c", "pwd; env"], cwd=tmp_path, env={"EXTRA": "given"}, timeout_seconds=20)
    said = done.stdout.decode().splitlines()
    assert said[0] == str(tmp_path)
    assert "EXTRA=given" in said
    assert "hidden-value" not in done.stdout.decode()


# -- run: how it ends --------------------------------------------------------------------------------------------------


def test_a_failure_carries_its_exit_code_and_last_words() -> None:
    with pytest.raises(ChildFailed, match=r"^sh failed with exit code 3: no such codec$") as failed:
        run(["sh", "-c", "echo noise >&2; echo no such codec >&2; exit 3"], timeout_seconds=20)
    assert (failed.value.program, failed.value.returncode, failed.value.signal_name) == ("sh", 3, None)
    assert failed.value.stderr_tail == "noise\nno such codec\n"


def test_a_child_killed_by_a_stranger_probably_met_the_memory_killer() -> None:
    with pytest.raises(ChildFailed, match="probably out of memory") as failed:
        run(["sh", "-c", "kill -9 $$"], timeout_seconds=20)
    assert failed.value.signal_name == "SIGKILL"


def test_a_missing_program_is_host_trouble() -> None:
    with pytest.raises(HostTrouble, match="no-such-program is not installed"):
        run(["no-such-program"], timeout_seconds=20)
    with pytest.raises(HostTrouble, match="cannot start"):
        run(["true"], cwd="/no/such/folder", timeout_seconds=20)


def test_a_program_that_cannot_be_executed_is_host_trouble(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF not really")
    broken.chmod(0o755)
    with pytest.raises(HostTrouble, match=r"could not start .*broken"):
        run([str(broken)], timeout_seconds=20)


@pytest.mark.parametrize("sort", ["timeout", "stall"])
def test_out_of_time_kills_the_whole_group(sort: str) -> None:
    pids = Pids()
    with pytest.raises(TimedOut, match=r"^sh was killed: "):
        run(
            STUBBORN,
            on_line=pids,
            timeout_seconds=1.0 if sort == "timeout" else 60,
            stall_seconds=1.0 if sort == "stall" else None,
        )
    assert len(pids.seen) == 2
    until(lambda: not any(runs(pid) for pid in pids.seen))


def test_a_child_that_keeps_talking_does_not_stall() -> None:
    code = "import time\nfor _ in range(8):\n    print('.', flush=True); time.sleep(0.1)\n"
    assert run(python(code), timeout_seconds=20, stall_seconds=0.6).stdout.count(b".") == 8


def test_a_time_limit_bites_while_the_child_takes_no_input() -> None:
    with pytest.raises(TimedOut):
        run(FOREVER, stdin=b"x" * 5_000_000, timeout_seconds=0.5)


@pytest.mark.parametrize("fed", [False, True])
def test_check_may_leave_and_the_child_goes_first(fed: bool) -> None:
    pids = Pids()

    def check() -> None:
        if pids.seen:
            raise Interrupted("cancelled")

    with pytest.raises(Interrupted, match="cancelled"):
        run(
            ["sh", "-c", "echo $$; exec sleep 600"],
            stdin=b"x" * 5_000_000 if fed else None,
            on_line=pids,
            check=check,
            timeout_seconds=60,
        )
    assert not runs(pids.seen[0])


def test_term_comes_before_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TERM_SECONDS", 10.0)
    pids = Pids()

    def check() -> None:
        if pids.seen:
            raise Interrupted("shutdown")

    tidy = ["sh", "-c", f"trap 'echo tidy > {tmp_path}/tidy; exit' TERM; echo $$; while :; do sleep 0.05; done"]
    with pytest.raises(Interrupted):
        run(tidy, on_line=pids, check=check, timeout_seconds=60)
    assert (tmp_path / "tidy").read_text() == "tidy\n"

    monkeypatch.setattr(running, "TERM_SECONDS", 0.2)
    pids.seen.clear()
    with pytest.raises(Interrupted):
        run(STUBBORN, on_line=pids, check=check, timeout_seconds=60)
    until(lambda: not any(runs(pid) for pid in pids.seen))


@pytest.mark.parametrize("where", ["feed", "on_line"])
def test_an_error_of_the_caller_ends_the_child(where: str) -> None:
    def fail(_: object) -> None:
        raise KeyError(where)

    talk = ["sh", "-c", "echo x; sleep 600"]
    with pytest.raises(KeyError, match=where):
        run(
            talk,
            feed=fail if where == "feed" else None,
            on_line=fail if where == "on_line" else None,
            timeout_seconds=60,
        )
    assert not registry


def test_what_a_child_leaves_in_its_group_ends_with_it() -> None:
    done = run(["sh", "-c", "sleep 600 & echo $!"], timeout_seconds=20)
    until(lambda: not runs(int(done.stdout)))


def test_nothing_is_left_open() -> None:
    def descriptors() -> set[tuple[str, str]]:
        found = set()
        for path in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # the folder's own, while it is read
                found.add((path.name, str(path.readlink())))
        return found

    run(["true"], timeout_seconds=20)
    before = descriptors()
    for _ in range(3):
        run(["cat"], stdin=b"x", timeout_seconds=20)
        with pytest.raises(TimedOut):
            run(FOREVER, timeout_seconds=0.05)
        with Child(["cat"]) as child:
            child.request(b"x", 20)
    # What others have left may be closed meanwhile.
    assert not descriptors() - before
    assert not registry


# -- the launcher ------------------------------------------------------------------------------------------------------


def test_a_child_has_its_own_session_default_signals_and_its_limits() -> None:
    code = (
        "import json, os, resource, signal\n"
        "print(json.dumps([os.getsid(0) == os.getpid(), open('/proc/self/oom_score_adj').read().strip(),\n"
        "  resource.getrlimit(resource.RLIMIT_NOFILE)[0], resource.getrlimit(resource.RLIMIT_CORE)[0],\n"
        "  [l.split()[1] for l in open('/proc/self/status') if l.startswith(('SigBlk', 'SigIgn'))],\n"
        "  sorted(os.listdir('/proc/self/fd'))]))\n"
    )
    # sh does not ignore SIGPIPE again, as Python does
    told = run(["sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status"], timeout_seconds=20).stdout.decode()
    ours = 0xFFFF_FFFF_7FFF_FFFF & ~(1 << 32)  # all but the two that the C library keeps for itself
    assert [int(line.split()[1], 16) & ours for line in told.splitlines()] == [0, 0]
    done = run(python(code), limits=Limits(open_files=64, oom_score_adj=700), timeout_seconds=20)
    own_session, adjust, files, core, _, descriptors = json.loads(done.stdout)
    assert (own_session, adjust, files, core) == (True, "700", 64, 0)
    assert descriptors == ["0", "1", "2", "3"]  # 3 is the listing itself


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        (Limits(memory_mb=100), "x = bytearray(400_000_000)", "MemoryError"),
        (Limits(cpu_seconds=1), "while True: pass", "processor time"),
        (Limits(file_mb=1), "open('big', 'wb').write(bytes(3_000_000))", "File too large"),
    ],
)
def test_a_limit_bites(tmp_path: Path, limits: Limits, code: str, says: str) -> None:
    with pytest.raises(ChildFailed, match=says):
        run(python(code), limits=limits, cwd=tmp_path, timeout_seconds=20)


OWNER = """
import sys, threading, process
warm = process.Child(["cat"])
warm.request(b"x", 20)
print(warm._running.group.pid, flush=True)
threading.Thread(target=lambda: process.run(["sleep", "600"], timeout_seconds=600), daemon=True).start()
def say(line):
    print(line, flush=True)
process.run(["sh", "-c", "trap '' TERM HUP; echo $$; read never < /dev/zero; while :; do sleep 600; done"], on_line=say, timeout_seconds=600)
"""


def test_no_child_outlives_a_killed_owner() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    try:
        pids = [int(owner.stdout.readline()) for _ in range(2)]
        assert all(runs(pid) for pid in pids)
    finally:
        owner.kill()
        owner.communicate()
    until(lambda: not any(runs(pid) for pid in pids))


def test_a_child_outlives_the_thread_that_asked_for_it() -> None:
    child = Child(["cat"])
    InThread(lambda: child.request(b"x", 20)).join()
    assert child.alive
    assert child.request(b"again", 20) == b"again"
    child.close()


def test_a_forked_copy_starts_children_of_its_own() -> None:
    run(["true"], timeout_seconds=20)
    code = (
        "import os, process\n"
        "process.run(['true'], timeout_seconds=20)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    process.run(['true'], timeout_seconds=20); os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=20)
    assert done.stdout == b"7\n"


# -- killing from elsewhere --------------------------------------------------------------------------------------------


def test_a_tag_kills_its_own_children_only() -> None:
    release = threading.Event()

    def feed(write: Write) -> None:
        write(b"x")
        release.wait(20)

    victims = [InThread(lambda: run(FOREVER, timeout_seconds=60), "job-1") for _ in range(2)]
    other = InThread(lambda: run(["cat"], feed=feed, timeout_seconds=60), "job-2")
    until(lambda: len(registry) == 3)
    assert kill_tag("job-1") == 2
    for victim in victims:
        assert isinstance(victim.join().error, Interrupted)
        assert str(victim.error) == "time_limit"
    assert len(registry) == 1
    release.set()
    assert other.join().error is None


def test_all_children_are_killed_at_once() -> None:
    threads = [InThread(lambda: run(STUBBORN, timeout_seconds=60)) for _ in range(3)]
    until(lambda: len(registry) == 3)
    assert kill_children() == 3
    assert [str(thread.join().error) for thread in threads] == ["shutdown"] * 3
    assert kill_children() == 0


def test_many_threads_run_children_at_once() -> None:
    def work(number: int) -> Callable[[], object]:
        return lambda: run(["cat"], stdin=str(number).encode(), timeout_seconds=30).stdout

    threads = [InThread(work(number)) for number in range(12)]
    assert [thread.join().result for thread in threads] == [str(number).encode() for number in range(12)]


# -- Child -------------------------------------------------------------------------------------------------------------


def test_a_warm_child_starts_late_and_answers_line_by_line() -> None:
    with Child(python(ECHO)) as child:
        assert not child.alive
        assert child.request(b"abc", 20) == b"cba"
        first = child._running
        assert child.request(b"x" * 300_000 + b"y", 20) == b"y" + b"x" * 300_000
        assert child._running is first
    assert not child.alive
    assert not registry


def test_requests_of_many_threads_get_their_own_answers() -> None:
    def ask(number: int) -> Callable[[], object]:
        return lambda: child.request(f"{number}x".encode(), 20)

    with Child(python(ECHO)) as child:
        threads = [InThread(ask(number)) for number in range(10)]
        assert [thread.join().result for thread in threads] == [f"x{number}".encode() for number in range(10)]


def test_a_request_out_of_time_kills_the_child_and_the_next_one_starts_another() -> None:
    code = "import sys, time\nfor line in sys.stdin:\n    line == 'slow\\n' and time.sleep(600)\n    print(line, end='', flush=True)\n"
    with Child(python(code)) as child:
        child.request(b"quick", 20)
        assert child._running is not None
        pid = child._running.group.pid
        with pytest.raises(TimedOut):
            child.request(b"slow", 0.3)
        assert not runs(pid)
        assert not child.alive
        assert child.request(b"quick", 20) == b"quick"


def test_a_request_that_is_left_leaves_no_answer_for_the_next() -> None:
    asked = threading.Event()

    def check() -> None:
        asked.set()
        raise Interrupted("cancelled")

    with Child(
        python("import sys, time\nfor line in sys.stdin:\n    time.sleep(0.5)\n    print(line, end='', flush=True)\n")
    ) as child:
        with pytest.raises(Interrupted):
            child.request(b"first", 20, check)
        assert asked.is_set()
        assert child.request(b"second", 20) == b"second"


def test_waiting_for_a_busy_child_has_its_own_limit() -> None:
    with Child(FOREVER) as child:
        busy = InThread(lambda: child.request(b"x", 60), "job-1")
        until(lambda: child.alive)
        with pytest.raises(TimedOut, match="busy"):
            child.request(b"x", 0.3)
        until(lambda: kill_tag("job-1"))
        assert isinstance(busy.join().error, Interrupted)


def test_an_idle_warm_child_belongs_to_no_job() -> None:
    token = current_tag.set("job-1")
    try:
        with Child(["cat"]) as child:
            child.request(b"x", 20)
            assert kill_tag("job-1") == 0
            assert child.alive
    finally:
        current_tag.reset(token)


def test_a_child_that_dies_over_a_request_says_so() -> None:
    with Child(["sh", "-c", "read line; echo model is broken >&2; exit 4"]) as child:
        with pytest.raises(ChildFailed, match="ended with exit code 4 before it answered: model is broken"):
            child.request(b"x", 20)
        assert not child.alive


def test_a_child_that_died_between_requests_is_replaced() -> None:
    with Child(["cat"]) as child:
        child.request(b"x", 20)
        assert child._running is not None
        os.kill(child._running.group.pid, signal.SIGKILL)
        until(lambda: not child.alive)
        assert child.request(b"y", 20) == b"y"


def test_a_second_line_is_not_the_answer_to_the_next_request() -> None:
    chatty = "import sys\nfor line in sys.stdin:\n    sys.stdout.write(line + 'unasked\\n'); sys.stdout.flush()\n"
    with Child(python(chatty)) as child:
        assert [child.request(word, 20) for word in (b"one", b"two", b"three")] == [b"one", b"two", b"three"]


def test_an_endless_answer_is_a_bad_reply() -> None:
    with Child(["sh", "-c", "read line; cat /dev/zero"], reply_cap=100_000) as child, pytest.raises(BadReply):
        child.request(b"x", 20)


def test_an_idle_child_goes_by_itself() -> None:
    with Child(["cat"], idle_seconds=0.1) as child:
        child.request(b"x", 20)
        until(lambda: not child.alive)
        until(lambda: not registry)
        assert child.request(b"y", 20) == b"y"
