"""Every script on a cluster-enabled node: all keys share one hash tag, so no script reaches into another slot."""

from collections.abc import Iterator
from typing import Any

import pytest

from database.controls import set_control
from database.engine import Database
from redis_client.answers import Grant
from redis_client.connection import Connections
from redis_client.controls import copy_controls
from redis_client.gates import breaker, hold, release
from redis_client.gates import take as take_rate
from redis_client.queue import Queue
from tests.queue.test_headers import SCRIPTS
from tests.support.moves import (
    MAIN,
    SECOND,
    end_pause,
    job,
    ready,
    rebuild,
    run_out,
    set_limit,
    slot,
    sweep,
    take,
    whole,
)
from tests.support.servers import redis_server
from tests.support.workers import wait_for

SLOTS = 16384


@pytest.fixture(scope="module")
def node() -> Iterator[Queue]:
    with redis_server("--cluster-enabled", "yes", "--port", "0", "--cluster-announce-ip", "127.0.0.1") as url:
        connections = Connections(url)
        server: Any = connections.commands()
        server.execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS))  # ADDSLOTSRANGE came with Redis 7
        wait_for(lambda: "cluster_state:ok" in str(server.execute_command("CLUSTER", "INFO")).replace("'", ""))
        yield Queue(connections)
        connections.close()


def test_every_script_runs_on_a_cluster_node(node: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: set[str] = set()
    real = node.run

    def run(name: str, **values: Any) -> Any:
        ran.add(name)
        return real(name, **values)

    monkeypatch.setattr(node, "run", run)
    server: Any = node.connections.commands()
    both = slot("w1", "0", MAIN, SECOND)
    server.hset(node.key("swept"), "healing", "me")
    assert node.look_at_canary(0) == (False, "")
    assert node.run("compared", healer="me", mark="0 this start", after="a") == "noted"
    assert node.look_at_canary(0, healer="me") == (True, "me")
    for name in ("a", "b", "c"):
        node.enqueue(job(name, queue=SECOND if name == "b" else MAIN))
    node.enqueue(job("later", wait_ms=60_000))
    node.enqueue(job("last", priority="low"))
    node.enqueue_many([job("d"), job("e")])
    grant = take(node, both)
    assert node.beat(server, worker="w1", lease_seconds=30, record={}, jobs=[(grant.job_id, grant.token)]) == ["ok"]
    assert node.progress(grant.job_id, grant.token, 1, progress=5, stage="s", active=[], label="w1")
    again = node.requeue(both, grant, queue=SECOND, nonce="r")
    assert isinstance(again, Grant)
    following = node.finish(both, again, status="completed", nonce="f")
    assert isinstance(following, Grant)
    sweep(node)
    run_out(node, following.job_id)
    assert sweep(node)["expired"] == 1
    assert node.adopt(job(following.job_id), token=following.token, lease_seconds=30, slot=both)
    node.cancel("later")
    server.hset(node.key("paused"), MAIN, "1")
    end_pause(node, MAIN)
    assert node.inspect("last").state == "ready"
    server.zrem(node.key(f"ready:{MAIN}"), "last")
    assert rebuild(node, job("last")) == "rebuilt"
    assert "last" in ready(node)
    set_limit(node, "tenant:default", 1)
    set_limit(node, "tenant:default", None)
    assert take_rate(node, "vendor", per_second=1, burst=1) == 0
    assert hold(node, "vendor", "me", slots=1, lease_seconds=30)
    assert release(node, "vendor", "me")
    assert breaker(node, "vendor", "me", "ask") == 0
    # beat, progress and take are sent past `run`, on purpose: once.
    assert ran | {"beat", "progress", "take"} == set(SCRIPTS)


def test_the_controls_are_copied_to_a_cluster_node(node: Queue, sqlite_database: Database) -> None:
    server: Any = node.connections.commands()
    for kind, name, value in (("pause", SECOND, "1"), ("limit", "vendor", "2"), ("weight", "acme", "3")):
        set_control(sqlite_database, kind, name, value)
    copy_controls(node, sqlite_database)
    assert [server.hgetall(node.key(name)) for name in ("paused", "limits", "weights")] == [
        {SECOND: "1"},
        {"vendor": "2"},
        {"acme": "3"},
    ]
    for kind, name in (("pause", SECOND), ("limit", "vendor"), ("weight", "acme")):
        set_control(sqlite_database, kind, name, None)
    copy_controls(node, sqlite_database)
    assert not server.exists(*(node.key(name) for name in ("paused", "limits", "weights")))


def test_all_keys_hash_to_one_slot(node: Queue) -> None:
    server: Any = node.connections.commands()
    node.enqueue(job("z", queue=SECOND))
    take(node, slot("w9", "0", SECOND))
    names = list(whole(node))
    assert len({server.execute_command("CLUSTER", "KEYSLOT", name) for name in names}) == 1
