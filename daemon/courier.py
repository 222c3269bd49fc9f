"""The thread that sends webhooks: a few hosts at a time, so that a slow one holds up nobody else's."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from database.deliveries import Message, keep_try, put_back, take_messages
from database.engine import Database
from database.webhooks import disable_webhook, secrets_of
from errors import HostTrouble
from pipeline.webhooks import Tried, pause_after, send

LOOK_SECONDS = 1.0
AT_ONCE, HOSTS = 20, 4
GROUP_SECONDS, HANGS_SECONDS = 20.0, 35.0  # a host that answers a byte at a time is left behind
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
    _left_behind: list[threading.Thread] = field(default_factory=list)

    def run(self) -> None:
        """The thread's loop."""
        dice = random.Random(self.label)
        while not self._stop.wait(LOOK_SECONDS * dice.uniform(0.7, 1.0)):
            try:
                while self.deliver() and not self._stop.is_set():
                    pass
            except HostTrouble as error:
                log.warning("webhooks_wait", error=str(error))

    def stop(self) -> None:
        """End the loop; what is on its way and not heard of is sent again by another worker."""
        self._stop.set()

    def deliver(self) -> int:
        """Send what is due, each host's one after the other; how many were taken."""
        self._left_behind = [one for one in self._left_behind if one.is_alive()]
        if len(self._left_behind) >= HOSTS:
            return 0
        messages = take_messages(self.database, limit=AT_ONCE)
        by_host: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_host[message.host].append(message)
        groups = list(by_host.values())
        for first in range(0, len(groups), HOSTS):
            self._send_side_by_side(groups[first : first + HOSTS])
        return len(messages)

    def _send_side_by_side(self, groups: list[list[Message]]) -> None:
        threads = [
            threading.Thread(target=self._send_group, args=(group,), name="webhook", daemon=True) for group in groups
        ]
        for thread in threads:
            thread.start()
        until = time.monotonic() + HANGS_SECONDS
        for thread, group in zip(threads, groups, strict=True):
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                log.warning("webhook_receiver_hangs", host=group[0].host)
                self._left_behind.append(thread)

    def _send_group(self, group: list[Message]) -> None:
        began = time.monotonic()
        try:
            for number, message in enumerate(group, 1):
                tried = self.send(message, secrets_of(self.database, message.tenant), own=self.own)
                pause = self._keep(message, tried)
                # The others of a silent host would only wait for it too; those of a slow one are soon nobody's any more.
                if tried.is_silent or time.monotonic() - began > GROUP_SECONDS:
                    put_back(self.database, group[number:], pause_seconds=pause if tried.is_silent else 0.0)
                    return
        except HostTrouble as error:
            log.warning("webhooks_wait", error=str(error))  # they are due again when nobody's any more
        except Exception:
            log.exception("webhook_not_sent", job_id=group[0].job_id)

    def _keep(self, message: Message, tried: Tried) -> float:
        """Note how it went; the seconds until the next try."""
        pause = pause_after(message.attempts)
        facts = {"delivery": message.id, "kind": message.event, "job_id": message.job_id, "status": tried.status}
        if tried.is_delivered:
            keep_try(self.database, message, tried.record(), status="delivered")
            log.info("webhook_delivered", seconds=round(tried.seconds, 3), **facts)
            return 0.0
        if tried.is_gone:
            disable_webhook(self.database, message.webhook_id)
        if tried.is_gone or pause is None:
            keep_try(self.database, message, tried.record(), status="failed")
            log.error("webhook_given_up", host=message.host, error=tried.error, **facts)
            return LOOK_SECONDS
        pause *= random.uniform(*SPREAD)
        keep_try(self.database, message, tried.record(), status="pending", pause_seconds=pause)
        log.warning("webhook_deferred", error=tried.error, again_seconds=round(pause), **facts)
        return pause
