import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.house import House

from core.errors import StorageUnavailable
from core.jobs import Scoring


@pytest.fixture
def house():
    house = House()
    yield house
    house.close()


async def test_a_step_computes_all_scores_as_of_now(house: House) -> None:
    user = await house.person()
    nodes = [await house.node(user, Ed25519PrivateKey.generate()) for _ in range(3)]
    scoring = Scoring(house.scores, house.clock, 300.0)
    assert scoring.metrics() == {"score_runs_total": 0, "score_nodes": 0, "score_seconds": 0.0}
    await scoring.step()
    assert (scoring.name, scoring.interval) == ("scoring", 300.0)
    assert scoring.metrics()["score_runs_total"] == 1
    assert scoring.metrics()["score_nodes"] == 3
    found = await house.stores.scores.of_node(user.user_id, nodes[0].node_id)
    assert found.computed_at == house.clock.now()


async def test_a_step_that_fails_counts_for_nothing(house: House, monkeypatch) -> None:
    async def away(at):
        raise StorageUnavailable("away")

    monkeypatch.setattr(house.scores, "recompute", away)
    scoring = Scoring(house.scores, house.clock, 300.0)
    with pytest.raises(StorageUnavailable):
        await scoring.step()
    assert scoring.metrics()["score_runs_total"] == 0
