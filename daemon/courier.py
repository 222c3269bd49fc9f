"""The thread that sends webhooks: a few hosts at a time, so that a slow or silent one holds up nobody else's."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from database.deliveries import (
    Host,
    Message,
    give_up_old,
    has_due,
    keep_try,
    leave_host,
    next_message,
    take_host,
)
from database.engine import Database
from database.webhooks import disable_webhook, secrets_of
from errors import HostTrouble
from pipeline.webhooks import Tried, pause_after, rest_after, send

LOOK_SECONDS = 1.0
HOSTS, OF_A_TENANT = 4, 2  # at once: the most of all tenants, and of one
# A host is ours for so long, and is given back earlier: after the message that was under way at TURN_SECONDS.
TAKEN_SECONDS, TURN_SECONDS = 60.0, 20.0
SPREAD = (0.9, 1.1)  # of a pause, so that what failed together does not come back together
log = structlog.get_logger()
Send = Callable[..., Tried]


@dataclass
class Courier:
    """Looks once a second for messages that are due. Every worker does; a message may arrive twice, under one id."""

    database: Database
    label: str
    own: Collection[str] = ()
    send: Send = send
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _serving: Counter[str] = field(default_factory=Counter)  # hosts, by tenant

    def run(self) -> None:
        """The thread's loop."""
        dice = random.Random(self.label)
        while not self._stop.wait(LOOK_SECONDS * dice.uniform(0.7, 1.0)):
            try:
                self.deliver()
            except HostTrouble as error:
                log.warning("webhooks_wait", error=str(error))

    def stop(self) -> None:
        """End the loop; what is on its way and not heard of is sent again by another worker."""
        self._stop.set()

    def finish(self, seconds: float) -> None:
        """Wait until nothing is due, or so long: for a worker that leaves and may be the last one."""
        until = time.monotonic() + seconds
        try:
            while (has_due(self.database) or self._serving) and time.monotonic() < until:
                time.sleep(0.05)
        except HostTrouble as error:
            log.warning("webhooks_wait", error=str(error))

    def deliver(self) -> list[threading.Thread]:
        """Begin to serve hosts with messages that are due, as many as may be at once; the threads that do."""
        begun = []
        while not self._stop.is_set() and (host := self._take()) is not None:
            thread = threading.Thread(target=self._serve, args=(host,), name="webhooks", daemon=True)
            begun.append(thread)
            thread.start()
        return begun

    def _take(self) -> Host | None:
        """The next host, when there is room for one more."""
        with self._lock:
            if self._serving.total() >= HOSTS:
                return None
            full = [tenant for tenant, count in self._serving.items() if count >= OF_A_TENANT]
        host = take_host(self.database, seconds=TAKEN_SECONDS, without=full)
        if host is not None:
            with self._lock:
                self._serving[host.tenant] += 1
        return host

    def _serve(self, host: Host) -> None:
        """Send a host's messages one after the other until its turn is over, or it is silent."""
        silent, pause = None, 0.0
        try:
            if count := give_up_old(self.database, host):
                log.error("webhook_given_up", host=host.host, count=count)
            until = time.monotonic() + TURN_SECONDS
            while time.monotonic() < until and not self._stop.is_set():
                message = next_message(self.database, host)
                if message is None:
                    break
                tried = self._try(message)
                self._keep(message, tried)
                if tried.is_silent:
                    silent, pause = tried.error, rest_after(host.silences + 1) * random.uniform(*SPREAD)
                    break
            leave_host(self.database, host, silent=silent, pause_seconds=pause)
        except HostTrouble as error:
            log.warning("webhooks_wait", error=str(error))  # the host is anybody's again in a minute
        except Exception:
            log.exception("webhooks_broken", host=host.host)
        finally:
            with self._lock:
                self._serving[host.tenant] -= 1
                self._serving += Counter()  # forget those that have none

    def _try(self, message: Message) -> Tried:
        try:
            return self.send(message, secrets_of(self.database, message.tenant), own=self.own)
        except HostTrouble:
            raise
        except Exception as error:
            log.exception("webhook_not_sent", delivery=message.id)
            return Tried(None, 0.0, f"a fault of this program: {type(error).__name__}")

    def _keep(self, message: Message, tried: Tried) -> None:
        """Note how it went."""
        facts = {"delivery": message.id, "kind": message.event, "job_id": message.job_id, "status": tried.status}
        if tried.is_delivered:
            keep_try(self.database, message, tried.record(), status="delivered")
            log.info("webhook_delivered", seconds=round(tried.seconds, 3), **facts)
            return
        pause = pause_after(message.attempts + 1)
        if tried.is_gone or pause is None:
            keep_try(self.database, message, tried.record(), status="failed")
            log.error("webhook_given_up", host=message.host, error=tried.error, count=1, **facts)
            if tried.is_gone:
                disable_webhook(self.database, message.tenant, message.host, message.webhook_id)
            return
        pause *= random.uniform(*SPREAD)
        keep_try(self.database, message, tried.record(), status="pending", pause_seconds=pause)
        log.warning("webhook_deferred", error=tried.error, again_seconds=round(pause), **facts)
