"""A hosted product film over the vendors' stub, cut down to what is paid: script, voices, clips; and what its books must say."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from httpx2._config import create_ssl_context
from pydantic import TypeAdapter
from sqlalchemy import func, select

from database import charges
from database.budgets import budgets
from database.charges import ChargeRecord
from database.engine import now_ms
from database.tables import Charge
from errors import UnknownJob
from pipeline.charges import STRANGERS_MARGIN_SECONDS
from pipeline.context import Context
from pipeline.providers.vendor_wire import Wire
from pipeline.stage import stages
from redis_client.client import RedisClient
from tests.stub import speech
from tests.stub.ledger import Charge as Billed
from tests.stub.media import SoundFormat
from tests.stub.server import Stub
from tests.support.points import (
    AFTER,
    BEFORE,
    OPEN,
    Act,
    Killed,
    Life,
    Points,
    empty_servers,
    standing,
    time_passes,
)

KEYS = {
    "ANTHROPIC_API_KEY": "sk-ant-marker-5d1c7fa0b2",
    "ELEVENLABS_API_KEY": "sk_marker_11e7c0ffee42",
    "REPLICATE_API_TOKEN": "r8_marker0replicate0token77",
}
FACTS = {"product_name": "Nova Flask", "cta_text": "Buy now", "duration_seconds": 8, "seed": 7}
SENTENCES = (
    "Meet the Nova Flask.",
    "Take it to work.",
    "Fill it up.",
    "Close the lid.",
    "Drink slowly.",
    "Get yours now.",
)
CLAUDE, VOICE, CLIPS = "anthropic", "elevenlabs", "replicate"
# The rules for the words before and after, and the script.
CLAUDE_CALLS = 3
T = TypeVar("T")
Setting = Callable[[str, object], None]


def host_everything(setting: Setting, stub: Stub) -> None:
    """Keys, and the stub's addresses in place of the vendors'."""
    for name, value in KEYS.items():
        setting(name, value)
    setting("ANTHROPIC_BASE_URL", stub.anthropic_url)
    setting("ELEVENLABS_BASE_URL", stub.elevenlabs_url)
    setting("REPLICATE_BASE_URL", stub.replicate_url)
    for name in ("SCRIPT_PROVIDER", "MODERATION_PROVIDER"):
        setting(name, CLAUDE)
    setting("VOICE_PROVIDER", VOICE)
    setting("VIDEO_PROVIDER", CLIPS)


def script_of(scenes: int) -> dict[str, Any]:
    """A script as Claude writes it."""
    kinds = ["hero", *["benefit"] * (scenes - 2), "cta"]
    sentences = (*SENTENCES[: scenes - 1], SENTENCES[-1])
    said: list[dict[str, Any]] = [
        {"kind": kind, "narration": sentence, "headline": sentence, "kicker": "", "lines": []}
        for kind, sentence in zip(kinds, sentences, strict=True)
    ]
    if scenes == 2:
        said[0]["narration"] += " It keeps your coffee warm on the way to work."
    return {"scenes": said}


def prepare_answers(stub: Stub, scenes: int, *, clip_side: int = 64) -> None:
    """A short script, and clips that are ready at once and small."""
    stub.answer(CLAUDE, "You write the script", script_of(scenes))
    stub.set(start_seconds=0, prediction_seconds=0, clip_side=clip_side)


def join(context: Context) -> dict[str, Any]:
    """In place of the film: what it would be made of."""
    return {name: len(context.result(name)) for name in ("voice_gen", "video_gen")}


def cut_short(patch: pytest.MonkeyPatch, *, in_line: bool = False) -> None:
    """Nothing is rendered; `in_line`: stages and items one after the other, so that every run has the same steps."""
    known = stages()
    if in_line:
        patch.setitem(known, "voice_gen", replace(known["voice_gen"], at_once=None))
        patch.setitem(known, "video_gen", replace(known["video_gen"], needs=("script_gen", "voice_gen"), at_once=None))
    anything: TypeAdapter[Any] = TypeAdapter(dict[str, Any])
    patch.setitem(known, "compositing", replace(known["compositing"], function=join, result=anything))
    patch.setattr("pipeline.providers.replicate_call.look_at", lambda _kind, _path: None)  # a child of 0.5 s each
    patch.setattr("pipeline.providers.replicate_api.CREATES_PER_SECOND", 1000.0)


def once(make: Callable[..., T], name: Callable[..., Hashable]) -> Callable[..., T]:
    """The same, made once for each name."""
    known: dict[Hashable, T] = {}

    def kept(*arguments: Any, **options: Any) -> T:
        key = name(*arguments, **options)
        if key not in known:
            known[key] = make(*arguments, **options)
        return known[key]

    return kept


def quick_stub(patch: pytest.MonkeyPatch) -> None:
    """A text is spoken once for all runs, and certificates, which nobody needs on loopback, are read once."""
    spoken = once(speech.spoken, lambda said, rate, **how: (str(said), rate, *how.values()))
    patch.setattr("tests.stub.elevenlabs_speech.spoken", spoken)
    patch.setattr(SoundFormat, "encode", once(SoundFormat.encode, lambda form, samples: (form, samples.tobytes())))
    patch.setattr("httpx2._transports.default.create_ssl_context", once(create_ssl_context, lambda **how: str(how)))


# --- the points of a paid call


def watch_calls(points: Points, patch: pytest.MonkeyPatch) -> None:
    """A paid request is a durable step too: before it is sent, when the vendor has answered, when its answer was read."""
    enter, leave, trace = Wire.__enter__, Wire.__exit__, Wire.trace
    reached: dict[Wire, Callable[[str], None]] = {}

    def watched_enter(wire: Wire) -> Wire:
        if points.dead:
            raise Killed
        if wire.paid:
            with points.step(f"call {wire.vendor.lower()}") as reach:
                reach(OPEN)
                reached[wire] = reach
        return enter(wire)

    def watched_trace(wire: Wire, event: str, info: Mapping[str, Any]) -> None:
        trace(wire, event, info)
        if event.endswith("receive_response_headers.complete") and wire in reached:
            reached[wire](BEFORE)

    def watched_leave(wire: Wire, kind: Any, error: Any, where: Any) -> None:
        reach = reached.pop(wire, None)
        leave(wire, kind, error, where)
        if reach and error is None:
            reach(AFTER)

    patch.setattr(Wire, "__enter__", watched_enter)
    patch.setattr(Wire, "__exit__", watched_leave)
    patch.setattr(Wire, "trace", watched_trace)


# --- time


def age_intents(client: RedisClient) -> None:
    """Calls in doubt are old enough to be judged, and no older: what the vendor has made since then is still theirs."""
    old = (Charge.deadline_seconds + STRANGERS_MARGIN_SECONDS + 1) * 1000
    with client.database.write() as connection:
        connection.execute(
            Charge.__table__.update().where(Charge.state == "intent").values(intent_ms=now_ms() - old)  # type: ignore[attr-defined]
        )


def wait_for_nothing(client: RedisClient) -> None:
    """`time_passes`, also for calls in doubt, breakers and the slots of the dead."""
    time_passes(client)
    age_intents(client)
    server, key = client.get_client(), client.queue.key
    for name in server.scan_iter(match=key("breaker:*")):
        server.hset(name, mapping={"open_until": 1, "probe_until": 1})
    for name in server.scan_iter(match=key("sem:*")):
        server.delete(name)


# --- the books


@dataclass(frozen=True)
class Books:
    """What the ledger and the vendors say of one job."""

    rows: list[ChargeRecord]
    billed: list[Billed]
    answers: list[int]  # of each logical call
    reserved: float
    spent: dict[str, float]

    def of(self, provider: str, state: str = "settled") -> list[ChargeRecord]:
        return [one for one in self.rows if one.provider == provider and one.state == state]

    def bills(self, vendor: str) -> set[str]:
        return {one.id for one in self.billed if one.vendor == vendor}

    def repaid(self) -> int:
        return sum(one.doubt == "repaid" for one in self.rows)

    def lost(self) -> list[Billed]:
        """Paid, and nobody has the answer."""
        known = {one.external_id for one in self.rows}
        return [one for one in self.billed if one.id not in known]

    def paid(self) -> float:
        return sum(one.cost_usd or 0 for one in self.rows if one.state == "settled")


def books(client: RedisClient, stub: Stub, job_id: str = "a") -> Books:
    found = budgets(client.database)
    logical = (Charge.stage, Charge.item, Charge.call, Charge.request_digest)
    query = select(func.count()).where(Charge.job_id == job_id, Charge.state == "settled").group_by(*logical)
    with client.database.read() as connection:
        answers = list(connection.execute(query).scalars())
    return Books(
        charges.find_charges(client.database, job_id),
        stub.charges(),
        answers,
        sum(one.reserved_usd for one in found),
        {one.scope: one.spent_usd for one in found},
    )


def assert_books(found: Books, *, scenes: int) -> None:
    """Every logical call has one answer; where a vendor can be asked it has billed each once; the rest is counted."""
    wanted = {CLAUDE: CLAUDE_CALLS, VOICE: scenes, CLIPS: scenes}
    assert {name: len(found.of(name)) for name in wanted} == wanted
    assert set(found.answers) == {1}, "a settled answer was bought again"
    for name in (VOICE, CLIPS):
        assert found.bills(name) == {one.external_id for one in found.of(name)}
    lost = found.lost()
    assert {one.vendor for one in lost} <= {CLAUDE}
    assert len(lost) <= found.repaid()
    assert {one.provider for one in found.rows if one.doubt is not None} <= {CLAUDE}
    assert {one.state for one in found.rows} <= {"settled", "void"}
    known = sum(one.amount_usd for one in found.billed) - sum(one.amount_usd for one in lost)
    assert found.paid() == pytest.approx(known, abs=1e-5)
    assert found.reserved == pytest.approx(0, abs=1e-9)
    assert all(value == pytest.approx(found.paid(), abs=1e-5) for value in found.spent.values())


# --- one hosted job, run again and again


@dataclass
class HostedTrial:
    """One hosted film, run again and again over the same servers; its workers die at some of their points."""

    client: RedisClient
    points: Points
    stub: Stub
    scenes: int = 2
    names: list[str] = field(default_factory=list)
    lives: int = 0

    def clean(self) -> None:
        empty_servers(self.client)
        self.stub.reset()
        prepare_answers(self.stub, self.scenes, clip_side=16)  # nobody looks at them
        self.lives = 0

    def live(self, acts: Mapping[int, Act], *, rounds: int = 60) -> bool:
        """A worker lives until its job is done, or until it dies; whether it outlived the job."""
        self.points.arm({})
        self.lives += 1
        with self.points.unseen():
            wait_for_nothing(self.client)
            life = Life(self.client, f"life-{self.lives}", aside=self.points.unseen, pass_time=wait_for_nothing)
            life.start()
        self.points.arm(acts)
        try:
            with suppress(Killed):
                self.ask()
                life.work_off(rounds=rounds)
                life.end()
            return not self.points.dead
        finally:
            self.names = list(self.points.names)
            self.points.watching = self.points.dead = False

    def ask(self) -> None:
        """Whoever wants the film asks until it has heard that it was stored."""
        try:
            self.client.get_job("a")
        except UnknownJob:
            self.client.enqueue_job("a", FACTS)

    def run(self, *plans: Mapping[int, Act]) -> Books:
        """One life after the other, each with its own plan; the last one ends the job."""
        self.clean()
        for acts in plans:
            if self.live(acts):
                break
        else:
            assert self.live({})
        return self.check()

    def check(self) -> Books:
        status = self.client.get_job("a")
        assert status["status"] == "completed", status["error"]
        assert standing(self.client) == {}
        found = books(self.client, self.stub)
        assert_books(found, scenes=self.scenes)
        return found


def dying(points: Points, where: str) -> Act:
    """The worker's death at a point; a command has no moment between "about to be sent" and "sent"."""

    def die(position: str, name: str) -> None:
        if position == where or (where == BEFORE and position == OPEN and name.startswith("redis")):
            points.kill()

    return die
