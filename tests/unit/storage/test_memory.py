"""What only the adapters in memory promise."""

from core.clock import new_id
from storage.base import Process
from storage.memory import MemoryPresence, MemoryStreams


async def test_leases_and_holds_end_exactly_on_time() -> None:
    now = 0
    presence = MemoryPresence(lambda: now)
    user_id = new_id()
    worker = Process(kind="worker", process_id="w", admin_url="", metrics={})
    await presence.renew(worker, 100)
    await presence.hold("w", [user_id], 50)
    now = 49
    assert await presence.holders([user_id]) == {user_id: ["w"]}
    now = 50
    assert await presence.holders([user_id]) == {}
    now = 99
    assert await presence.processes() == [worker]
    now = 100
    assert await presence.processes() == []


async def test_the_bound_of_a_stream_is_exact() -> None:
    streams = MemoryStreams()
    for number in range(10):
        await streams.append("log", bytes([number]), 3)
    assert [payload for _, _, payload in await streams.read({"log": "0-0"}, 10, 0)] == [b"\7", b"\x08", b"\t"]
