"""What every `ScoreStore` guarantees."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec.structs import replace
from support.stores import Stores, make_node

from core.clock import new_id
from storage.base import Batch, NodeScore, Opened, Place, Record, Report
from storage.rtt import BUCKETS, bucket
from storage.scores import FIRST_FORMULA
from storage.uptime import HOUR_S

AT = datetime(2026, 3, 4, 5, 26, 47, tzinfo=UTC)
AT_S = int(AT.timestamp())
THIS_HOUR = AT_S // HOUR_S
ENROLLED = AT - timedelta(days=10)
ADDRESS = "198.51.100.7"
PLACE = Place(country="DE", latitude=52.5, longitude=13.4, subnet="198.51.100.0/24")


async def add_node(stores: Stores, user_id: UUID, enrolled: datetime = ENROLLED) -> UUID:
    node = make_node(user_id, created_at=enrolled)
    assert await stores.nodes.enrol(node)
    return node.node_id


def round_trips(milliseconds: int, count: int) -> bytes:
    counts = [0] * BUCKETS
    counts[bucket(milliseconds * 1000)] = count
    return bytes(counts)


async def observe(
    stores: Stores, node_id: UUID, reports: list[dict[str, object]], place: Place = PLACE
) -> None:
    """One connection with these reports; a report lacks what is the same in all."""
    connection = new_id()
    first = min((int(str(report["hour"])) for report in reports), default=THIS_HOUR)
    records: list[Record] = [Opened(node_id, connection, first * HOUR_S * 1000, ADDRESS)]
    for report in reports:
        facts = {"start": 0, "end": 0, "at_s": int(str(report["hour"])) * HOUR_S + 3599} | report
        records.append(Report(node_id=node_id, connection_id=connection, **facts))  # type: ignore[arg-type]
    await stores.uptime.apply([Batch(str(new_id()), 1, records)], {ADDRESS: place})


async def computed(stores: Stores, user_id: UUID, node_id: UUID, at: datetime = AT) -> NodeScore:
    await stores.scores.recompute(at, FIRST_FORMULA)
    score = await stores.scores.of_node(user_id, node_id)
    assert score is not None
    return score


async def test_the_first_formula_is_there_from_the_beginning(stores: Stores) -> None:
    assert await stores.scores.formulas() == [FIRST_FORMULA]


async def test_before_the_first_computation_there_is_no_score(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    assert await stores.scores.of_node(user_id, node_id) is None
    assert await stores.scores.recompute(AT, FIRST_FORMULA) == 1
    assert await stores.scores.of_node(user_id, node_id) is not None
    later = await add_node(stores, user_id)
    assert await stores.scores.of_node(user_id, later) is None


async def test_a_score_is_its_owners_alone(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    await stores.scores.recompute(AT, FIRST_FORMULA)
    assert await stores.scores.of_node(await stores.add_user(), node_id) is None


async def test_a_node_that_was_always_there_has_every_point(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    whole = [
        {
            "hour": hour,
            "end": HOUR_S if hour < THIS_HOUR else AT_S % HOUR_S,
            "bytes_up": 1 << 30,
            "answered": 180,
            "rtt": round_trips(30, 9),
        }
        for hour in range(THIS_HOUR - 24, THIS_HOUR + 1)
    ]
    await observe(stores, node_id, whole)
    score = await computed(stores, user_id, node_id)
    assert score == NodeScore(
        formula=1,
        computed_at=AT,
        score=10_000,
        base=10_000,
        gate=4,
        uptime=10_000,
        latency=10_000,
        challenges=10_000,
        contribution=10_000,
        confirmed_seconds=24 * HOUR_S + AT_S % HOUR_S,
        window_seconds=24 * HOUR_S + AT_S % HOUR_S - 120,
        samples=25 * 9,
        median_ms=40,
        answered=25 * 180,
        missed=0,
        refused=0,
        bytes=25 << 30,
        target_bytes=(24 * HOUR_S + AT_S % HOUR_S - 120) * (1 << 30) // 86_400,
        public=True,
        located=True,
        gates=[],
    )


async def test_the_hours_of_a_node_add_up_and_older_ones_do_not_count(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    counted = [
        {
            "hour": hour,
            "end": 1800,
            "bytes_up": 1000,
            "bytes_down": 500,
            "answered": 30,
            "missed": 6,
            "refused": 4,
            "rtt": round_trips(milliseconds, 5),
        }
        for hour, milliseconds in (
            (THIS_HOUR - 26, 5000),
            (THIS_HOUR - 25, 5000),
            (THIS_HOUR - 24, 30),
            (THIS_HOUR - 7, 100),
            (THIS_HOUR, 250),
        )
    ]
    await observe(stores, node_id, counted)
    score = await computed(stores, user_id, node_id)
    assert (score.confirmed_seconds, score.bytes) == (3 * 1800, 3 * 1500)
    assert (score.answered, score.missed, score.refused) == (90, 18, 12)
    assert (score.samples, score.median_ms) == (15, 135)
    window = 24 * HOUR_S + AT_S % HOUR_S - 120
    uptime = 5400 * 10_000 // window
    assert (score.uptime, score.latency, score.challenges, score.contribution) == (uptime, 6500, 7500, 0)
    assert score.base == score.score == (uptime * 3500 + 6500 * 2500 + 7500 * 2500) // 10_000


async def test_the_score_moves_on_with_time(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    await observe(stores, node_id, [{"hour": THIS_HOUR, "end": 600}])
    for hours, seconds in ((0, 600), (24, 600), (25, 0)):
        score = await computed(stores, user_id, node_id, AT + timedelta(hours=hours))
        assert score.confirmed_seconds == seconds


async def test_a_new_node_is_measured_from_its_enrolment_on(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id, AT - timedelta(seconds=120 + 3599))
    await observe(
        stores, node_id, [{"hour": THIS_HOUR, "end": 1000, "answered": 99, "rtt": round_trips(9, 99)}]
    )
    score = await computed(stores, user_id, node_id)
    assert (score.window_seconds, score.uptime, score.score) == (3599, None, None)
    assert (score.latency, score.challenges) == (10_000, 10_000)
    score = await computed(stores, user_id, node_id, AT + timedelta(seconds=1))
    assert (score.window_seconds, score.uptime) == (3600, 1000 * 10_000 // 3600)
    assert score.score is not None


async def test_what_is_not_measured_is_not_nothing(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    score = await computed(stores, user_id, node_id)
    assert (score.score, score.base, score.latency, score.median_ms, score.challenges) == (None,) * 5
    assert (score.uptime, score.contribution, score.gate) == (0, 0, 4)
    assert not score.public
    assert not score.located
    few = {"hour": THIS_HOUR, "answered": 9, "rtt": round_trips(9, 9)}
    await observe(stores, node_id, [few], Place())
    score = await computed(stores, user_id, node_id)
    assert (score.samples, score.median_ms, score.latency, score.challenges) == (9, 12, None, None)
    assert not score.public
    await observe(stores, node_id, [{**few, "answered": 0, "missed": 1, "rtt": round_trips(9, 1)}])
    score = await computed(stores, user_id, node_id)
    assert (score.samples, score.latency, score.challenges, score.score) == (10, 10_000, 9000, 4750)


async def test_absurd_claims_of_bytes_are_worth_no_more_than_the_target(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    most = (1 << 62) - 1
    claims = [
        {"hour": hour, "bytes_up": most, "bytes_down": most} for hour in range(THIS_HOUR - 24, THIS_HOUR + 1)
    ]
    await observe(stores, node_id, claims)
    score = await computed(stores, user_id, node_id)
    assert score.contribution == 10_000
    assert score.bytes == 25 << 58


async def test_a_retired_node_has_no_score_after_the_next_computation(stores: Stores) -> None:
    user_id = await stores.add_user()
    retired, kept = await add_node(stores, user_id), await add_node(stores, user_id)
    assert await stores.scores.recompute(AT, FIRST_FORMULA) == 2
    await stores.nodes.retire(user_id, retired, AT)
    assert await stores.scores.recompute(AT, FIRST_FORMULA) == 1
    assert await stores.scores.of_node(user_id, retired) is None
    assert await stores.scores.of_node(user_id, kept) is not None


async def test_the_nodes_of_an_erased_account_have_no_score_any_more(stores: Stores) -> None:
    user_id, other = await stores.add_user(), await stores.add_user()
    erased, kept = await add_node(stores, user_id), await add_node(stores, other)
    assert await stores.scores.recompute(AT, FIRST_FORMULA) == 2
    assert await stores.users.erase(user_id, AT)
    assert await stores.scores.of_node(user_id, erased) is None
    assert await stores.scores.of_node(other, kept) is not None
    assert await stores.scores.recompute(AT, FIRST_FORMULA) == 1


async def test_another_formula_computes_otherwise(stores: Stores) -> None:
    user_id = await stores.add_user()
    node_id = await add_node(stores, user_id)
    await observe(stores, node_id, [{"hour": THIS_HOUR - 3, "end": 1800, "answered": 5}])
    lenient = replace(FIRST_FORMULA.parameters, window_hours=2, required=["challenges"], least_challenges=5)
    await stores.scores.recompute(AT, replace(FIRST_FORMULA, parameters=lenient))
    score = await stores.scores.of_node(user_id, node_id)
    assert score is not None
    assert (score.confirmed_seconds, score.challenges, score.score) == (0, None, None)
    wider = replace(lenient, window_hours=3)
    await stores.scores.recompute(AT, replace(FIRST_FORMULA, parameters=wider))
    score = await stores.scores.of_node(user_id, node_id)
    assert score is not None
    # The latency, which is not required, was not measured and counts as nothing.
    uptime = 1800 * 10_000 // (3 * HOUR_S + AT_S % HOUR_S - 120)
    assert score.score == (uptime * 3500 + 10_000 * 2500) // 10_000
