"""Mails on their way out, with a post that does what a test wants."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.house import SECRET, START

from core.clock import ManualClock
from core.errors import StorageUnavailable
from core.jobs import Mailing
from core.jobs.mail import BATCH, LEASE, RETRY_BASE, RETRY_CAP
from core.jobs.post import FolderPost, NotNow, Send, Undeliverable
from services.mail import Kind, Letters, Rendered, Renderer
from services.sealing import Sealer
from storage.memory import MemoryDatabase, MemoryOutbox

DAY = timedelta(days=1)


class ObedientPost:
    """Keeps what it takes; `faults` are what happens instead, one after the other."""

    def __init__(self) -> None:
        self.taken: list[Rendered] = []
        self.faults: list[Exception | None] = []
        self.away: Exception | None = None
        self.collected = 0

    @asynccontextmanager
    async def collect(self) -> AsyncIterator[Send]:
        self.collected += 1
        if self.away:
            raise self.away
        yield self._send

    async def _send(self, mail: Rendered) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if fault:
            raise fault
        self.taken.append(mail)


class Desk:
    """An outbox, a clock and the duty."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.database = MemoryDatabase()
        self.outbox = MemoryOutbox(self.database)
        sealer = Sealer(SECRET)
        self.letters = Letters(sealer, self.clock)
        self.post = ObedientPost()
        self.renderer = Renderer(sealer, "https://pulse.example.com", "post@pulse.example.com")
        self.mailing = Mailing(self.outbox, self.renderer, self.post, self.clock, random.Random(1))

    async def queue(self, number: int = 1, ttl: timedelta = DAY) -> None:
        for each in range(number):
            await self.outbox.add(
                self.letters.write(Kind.VERIFY, f"somebody{each}@example.com", ttl, token=f"t{each}")
            )

    @property
    def counts(self) -> tuple[int, int, int, int]:
        metrics = self.mailing.metrics()
        return tuple(
            metrics[f"mails_{name}"] for name in ("sent_total", "postponed_total", "dropped_total", "waiting")
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_what_is_due_leaves_over_one_connection(desk: Desk) -> None:
    await desk.queue(3)
    await desk.mailing.step()
    assert [mail.recipient for mail in desk.post.taken] == [
        f"somebody{each}@example.com" for each in range(3)
    ]
    assert desk.post.collected == 1
    assert desk.counts == (3, 0, 0, 0)
    await desk.mailing.step()
    assert desk.post.collected == 1


async def test_a_long_queue_is_worked_off_in_one_step(desk: Desk) -> None:
    await desk.queue(2 * BATCH + 1)
    await desk.mailing.step()
    assert desk.counts == (2 * BATCH + 1, 0, 0, 0)


async def test_a_server_that_is_away_gets_them_later_and_ever_less_often(desk: Desk) -> None:
    await desk.queue(2)
    desk.post.away = NotNow("connection refused", gone=True)
    waits = []
    for _ in range(12):
        await desk.mailing.step()
        due = max(mail.next_at for mail in desk.database.mails.values())
        waits.append(due - desk.clock.now())
        collected = desk.post.collected
        await desk.mailing.step()
        assert desk.post.collected == collected
        desk.clock.advance(waits[-1])
    assert RETRY_BASE * 0.8 <= waits[0] <= RETRY_BASE * 1.2
    assert waits[1] > waits[0]
    assert waits[5] > waits[2]
    assert max(waits) <= RETRY_CAP * 1.2
    desk.post.away = None
    await desk.mailing.step()
    assert desk.counts[0] == 2
    assert desk.counts[3] == 0


async def test_a_mail_that_is_never_taken_expires(desk: Desk) -> None:
    await desk.queue(ttl=timedelta(hours=1))
    desk.post.away = NotNow("connection refused", gone=True)
    await desk.mailing.step()
    desk.clock.advance(timedelta(hours=1))
    desk.post.away = None
    await desk.mailing.step()
    assert desk.post.taken == []
    assert desk.counts == (0, 1, 0, 0)


async def test_one_that_is_refused_for_good_is_given_up_and_the_others_leave(desk: Desk) -> None:
    await desk.queue(3)
    desk.post.faults = [None, Undeliverable("550"), None]
    with capture_logs() as logs:
        await desk.mailing.step()
    assert desk.counts == (2, 0, 1, 0)
    assert "somebody" not in repr(logs)


async def test_one_that_is_refused_for_now_is_tried_again_and_the_others_leave(desk: Desk) -> None:
    await desk.queue(3)
    desk.post.faults = [NotNow("451", gone=False)]
    await desk.mailing.step()
    assert desk.counts == (2, 1, 0, 1)
    desk.clock.advance(RETRY_BASE * 1.2)
    await desk.mailing.step()
    assert desk.counts == (3, 1, 0, 0)


async def test_a_connection_that_breaks_keeps_the_rest_for_later(desk: Desk) -> None:
    await desk.queue(3)
    desk.post.faults = [None, NotNow("disconnected", gone=True)]
    await desk.mailing.step()
    assert desk.counts == (1, 2, 0, 2)


async def test_what_nobody_can_read_is_given_up(desk: Desk) -> None:
    await desk.queue(2)
    (first, second) = desk.database.mails.values()
    desk.database.mails[first.mail_id] = replace(first, body=second.body)
    await desk.mailing.step()
    assert desk.counts == (1, 0, 1, 0)


async def test_a_decoy_never_leaves(desk: Desk) -> None:
    await desk.outbox.add(desk.letters.decoy("somebody@example.com"))
    await desk.mailing.step()
    assert desk.post.collected == 0
    assert desk.counts == (0, 0, 0, 0)


async def test_a_process_that_dies_while_sending_leaves_it_to_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.queue(1)

    async def gone(*_: object) -> None:
        raise StorageUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(desk.outbox, "sent", gone)
        with pytest.raises(StorageUnavailable):
            await desk.mailing.step()
    await desk.mailing.step()
    assert len(desk.post.taken) == 1
    desk.clock.advance(LEASE)
    await desk.mailing.step()
    first, second = desk.post.taken
    assert first.message["Message-ID"] == second.message["Message-ID"]


async def test_without_a_server_mails_land_in_a_folder_and_the_link_in_the_log(desk: Desk, tmp_path) -> None:
    folder = tmp_path / "data" / "mail"
    mailing = Mailing(desk.outbox, desk.renderer, FolderPost(folder), desk.clock)
    await desk.queue(2)
    with capture_logs() as logs:
        await mailing.step()
    files = sorted(folder.iterdir())
    assert [file.suffix for file in files] == [".eml", ".eml"]
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    # To be copied as it stands, in the text and in the HTML.
    assert files[0].read_bytes().count(b"https://pulse.example.com/#/verify?token=t0") == 3
    assert [(line["log_level"], line["link"]) for line in logs] == [
        ("info", f"https://pulse.example.com/#/verify?token=t{each}") for each in range(2)
    ]


async def test_a_mail_in_the_folder_says_what_the_one_that_is_sent_says(desk: Desk, tmp_path) -> None:
    await desk.queue(1)
    await desk.mailing.step()
    (sent,) = desk.post.taken
    async with FolderPost(tmp_path).collect() as send:
        await send(sent)
    (file,) = tmp_path.iterdir()
    written = message_from_bytes(file.read_bytes(), policy=SMTP)
    assert written.items()[:6] == sent.message.items()[:6]
    for kind in ("plain", "html"):
        bodies = [mail.get_body((kind,)) for mail in (written, sent.message)]
        assert bodies[0].get_content().splitlines() == bodies[1].get_content().splitlines()
        assert bodies[0]["Content-Transfer-Encoding"] == "8bit"


async def test_the_folder_does_not_grow_without_end(
    desk: Desk, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.jobs.post.KEPT", 3)
    mailing = Mailing(desk.outbox, desk.renderer, FolderPost(tmp_path), desk.clock)
    await desk.queue(5)
    await mailing.step()
    assert len(list(tmp_path.iterdir())) == 3


async def test_a_folder_that_cannot_be_written_keeps_them_for_later(desk: Desk, tmp_path) -> None:
    (tmp_path / "mail").write_text("a file")
    mailing = Mailing(desk.outbox, desk.renderer, FolderPost(tmp_path / "mail"), desk.clock)
    await desk.queue(2)
    await mailing.step()
    assert (mailing.metrics()["mails_postponed_total"], mailing.metrics()["mails_waiting"]) == (2, 2)
