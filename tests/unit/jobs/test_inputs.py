"""What epochs were computed from is dropped once a day."""

from datetime import UTC, date, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from core.clock import ManualClock
from core.errors import StorageUnavailable
from core.jobs import InputsUpkeep
from storage.base import PrunedEpochs

NOW = datetime(2026, 3, 1, 4, tzinfo=UTC)


class Store:
    """Stands for an `EpochStore`: answers as it is told, and knows what it was asked."""

    def __init__(self, *answers: PrunedEpochs | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[datetime, date]] = []

    async def prune(self, ended_before: datetime, days_from: date) -> PrunedEpochs:
        self.asked.append((ended_before, days_from))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def upkeep(store: Store, clock: ManualClock) -> InputsUpkeep:
    return InputsUpkeep(store, clock, inputs_days=35, day_days=1100)


async def test_inputs_are_dropped_once_a_day() -> None:
    done = PrunedEpochs(epochs=24, months=1, complete=True)
    store, clock = Store(done, done), ManualClock(NOW)
    chore = upkeep(store, clock)
    for _ in range(3):
        await chore.step()
    assert store.asked == [(NOW - timedelta(days=35), (NOW - timedelta(days=1100)).date())]
    clock.advance(timedelta(days=1))
    await chore.step()
    assert len(store.asked) == 2
    assert chore.metrics() == {"pruned_epoch_inputs_total": 48, "pruned_earned_months_total": 2}


async def test_what_was_in_use_is_tried_again() -> None:
    busy = PrunedEpochs(epochs=24, months=0, complete=False)
    store = Store(busy, StorageUnavailable("away"), PrunedEpochs(epochs=0, months=0, complete=True))
    chore = upkeep(store, ManualClock(NOW))
    with capture_logs() as logs:
        await chore.step()
    assert [each["event"] for each in logs] == ["old inputs of epochs not dropped: they are in use"]
    with pytest.raises(StorageUnavailable):
        await chore.step()
    for _ in range(2):
        await chore.step()
    assert len(store.asked) == 3
