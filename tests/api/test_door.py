"""`python -m api` as it starts: what it cannot listen on it says in a sentence."""

import socket
import subprocess
import sys

import pytest

from api.__main__ import _listen
from settings import child_environment
from tests.support.receivers import receive
from tests.support.workers import ROOT


def start(**env: str) -> subprocess.CompletedProcess[str]:
    environment = child_environment(**env)
    return subprocess.run(
        [sys.executable, "-m", "api"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_port_that_is_taken_is_told(redis_url: str) -> None:
    with receive() as other:
        ended = start(API_PORT=str(other.port), REDIS_URL=redis_url)
    assert ended.returncode == 78
    assert ended.stderr.splitlines()[-1].startswith(f"api: API_HOST=127.0.0.1, API_PORT={other.port}: ")


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.77"])
def test_an_address_of_another_machine_is_told(redis_url: str, host: str) -> None:
    ended = start(API_HOST=host, REDIS_URL=redis_url)
    assert ended.returncode == 78, ended.stderr
    assert f"API_HOST={host}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_answer_waits_for_more_to_send(host: str) -> None:
    """asyncio sets TCP_NODELAY only on sockets that were made with the protocol's number."""
    with _listen(host, 0) as door:
        assert door.proto == socket.IPPROTO_TCP
