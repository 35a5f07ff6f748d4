"""Puts the reports of many nodes into the ingest stream, as workers do; a child process of `bench.ingest`.

Run as `python -m bench.reports PLAN`, where PLAN is a JSON file with a `Plan`. Every node reports once a
round, and a round stands for a minute. Says "round" on its output after each, and ends after the last.
"""

import asyncio
import random
import sys
from pathlib import Path
from uuid import UUID

import msgspec
import redis.asyncio
from msgspec import Struct

from services.events import INGEST_STREAM
from storage.base import Batch, Record, Report
from storage.redis import RedisStreams
from storage.rtt import BUCKETS, bucket

BATCH = 1000
MINUTES = 60
RTT_US, JITTER_US = 31_000, 900

encode = msgspec.msgpack.Encoder().encode
RTT = bytes(int(index == bucket(RTT_US)) for index in range(BUCKETS))


class Plan(Struct, frozen=True, kw_only=True):
    """What to send, and how much may wait: `most` entries. `hour` is that of the first minute."""

    redis_url: str
    prefix: str
    nodes: int
    workers: int
    rounds: int
    hour: int
    most: int
    seed: int


def node_id(number: int) -> UUID:
    """The id that `bench.day` gives to its node of that number, from 1."""
    return UUID(int=(0x0199 << 112) | (2 << 96) | (0x7000 << 64) | (0x8000 << 48) | number)


def connection_id(number: int) -> UUID:
    """The id of its connection."""
    return UUID(int=node_id(number).int + (1 << 96))


def report(number: int, node: UUID, connection: UUID, hour: int, minute: int) -> Report:
    """What a steady node reports of a minute."""
    start = minute * 60
    return Report(
        node_id=node,
        connection_id=connection,
        hour=hour,
        start=start,
        end=start + 60,
        at_s=hour * 3600 + start + 60,
        bytes_up=40_000 + number % 1000,
        bytes_down=500_000 + number % 1000,
        answered=3,
        rtt=RTT,
        rtt_us=RTT_US + number % 1000,
        jitter_us=JITTER_US,
    )


async def send(plan: Plan) -> None:
    """Fill the stream, never with more than may wait."""
    client = redis.asyncio.Redis.from_url(plan.redis_url)
    streams = RedisStreams(client, plan.prefix)
    # The order in which nodes report has nothing to do with that in which they were enrolled.
    order = list(range(1, plan.nodes + 1))
    random.Random(plan.seed).shuffle(order)
    nodes = [(number, node_id(number), connection_id(number)) for number in order]
    sequences = [0] * plan.workers
    for number in range(plan.rounds):
        hour, minute = plan.hour + number // MINUTES, number % MINUTES
        for index, first in enumerate(range(0, plan.nodes, BATCH)):
            worker = index % plan.workers
            sequences[worker] += 1
            records: list[Record] = [report(*node, hour, minute) for node in nodes[first : first + BATCH]]
            batch = Batch(f"bench-{worker}", sequences[worker], records)
            await streams.append(INGEST_STREAM, encode(batch))
            if index % 10 == 0:
                while await client.xlen(f"{plan.prefix}:{INGEST_STREAM}") > plan.most:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.02)
        sys.stdout.buffer.write(msgspec.json.encode({"event": "round", "round": number + 1}) + b"\n")
        sys.stdout.flush()
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(send(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)))
