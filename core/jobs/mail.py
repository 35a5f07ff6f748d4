"""The mails that wait in the outbox, sent."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

from core.clock import Clock
from core.jobs.post import NotNow, Post, Send, Undeliverable
from core.logs import get_logger
from core.metrics import Metrics
from services.mail import Renderer, Unmailable
from storage.base import Mail, Outbox

# Mails of one round, and how long they are ours: nobody else sends them meanwhile.
BATCH = 50
LEASE = timedelta(minutes=10)
# The wait after the first failure, and the longest.
RETRY_BASE = timedelta(seconds=15)
RETRY_CAP = timedelta(hours=1)

log = get_logger("mail")


class Mailing:
    """Sends what is due, again and ever less often until it succeeds or has expired.

    At least once: a process that dies after the server took a mail and before it was noted sends it again,
    under the same Message-ID.
    """

    name = "mail"
    interval = 1.0

    def __init__(
        self, outbox: Outbox, renderer: Renderer, post: Post, clock: Clock, rng: random.Random | None = None
    ) -> None:
        self._outbox = outbox
        self._renderer = renderer
        self._post = post
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._waiting = 0
        self._sent = 0
        self._postponed = 0
        self._dropped = 0

    async def step(self) -> None:
        """Send what is due now.

        Raises:
            StorageUnavailable: what was not noted as sent is sent again when its lease is over.
        """
        while mails := await self._due():
            # What is left when the time is up is due again after the lease.
            try:
                async with asyncio.timeout(LEASE.total_seconds() / 2):
                    await self._send(mails)
            except TimeoutError:
                log.warning("sending mails takes too long: the rest later")
                break
        self._waiting = await self._outbox.waiting()

    def metrics(self) -> Metrics:
        """What left, what will be tried again, what was given up, and what waits."""
        return {
            "mails_sent_total": self._sent,
            "mails_postponed_total": self._postponed,
            "mails_dropped_total": self._dropped,
            "mails_waiting": self._waiting,
        }

    async def _due(self) -> list[Mail]:
        now = self._clock.now()
        return await self._outbox.take(now, now + LEASE, BATCH)

    async def _send(self, mails: Sequence[Mail]) -> None:
        left = list(mails)
        try:
            async with self._post.collect() as send:
                while left:
                    await self._deliver(left[0], send)
                    left.pop(0)
        except NotNow as error:
            log.warning("mail server takes nothing now", mails=len(left), reason=str(error))
            for mail in left:
                await self._postpone(mail)

    async def _deliver(self, mail: Mail, send: Send) -> None:
        """Send one.

        Raises:
            NotNow: nor will the next one leave.
        """
        try:
            await send(self._renderer.render(mail))
        except (Undeliverable, Unmailable) as error:
            self._dropped += 1
            log.warning("mail given up", mail=str(mail.mail_id), letter=mail.template, reason=str(error))
        except NotNow as error:
            if error.gone:
                raise
            log.info("mail not taken", mail=str(mail.mail_id), attempt=mail.attempts, reason=str(error))
            await self._postpone(mail)
            return
        else:
            self._sent += 1
        await self._outbox.sent(mail.mail_id)

    async def _postpone(self, mail: Mail) -> None:
        self._postponed += 1
        wait = min(RETRY_BASE * 2 ** min(mail.attempts - 1, 20), RETRY_CAP)
        # Not all at the same moment, when a server comes back.
        wait *= self._rng.uniform(0.8, 1.2)
        await self._outbox.postpone(mail.mail_id, self._clock.now() + wait)
