"""Closes epochs as the jobs process does, when it is told to; a child process of `bench.earnings`.

Run as `python -m bench.closing` with the settings in the environment. A line on its input is "close", upon
which the oldest open epoch is closed by the chore itself, or "measure"; the answer is a JSON object with the
seconds and the peak of the process's resident memory in bytes.
"""

import asyncio
import resource
import sys
import time
from datetime import timedelta

import msgspec
import uvloop

from bench.program import Answer
from core.bootstrap import Stores, earning_terms, make_services, open_stores, uptime_rules
from core.clock import SystemClock
from core.config import load
from core.jobs import Epochs, Overviews, Settling
from core.logs import configure
from services.earnings import epoch_closed
from storage.base import Epoch


def peak() -> int:
    """The most bytes that this process ever had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def close(stores: Stores, chore: Epochs, settling: Settling, grace: timedelta) -> Answer:
    """Let everything up to the open epoch's end be settled, and wait until it is closed."""
    epoch = await stores.epochs.open()
    assert epoch is not None
    settling.judge([], epoch.ends_at + grace)
    closed = chore.metrics()["epochs_closed_total"]
    while chore.metrics()["epochs_closed_total"] == closed:
        await chore.step()
    settling.forget()
    return {"event": "closed", "seconds": chore.metrics()["epoch_close_seconds"]}


async def measure(stores: Stores) -> Answer:
    """Sum up the open epoch."""
    began = time.perf_counter()
    await stores.epochs.measure(SystemClock().now())
    return {"event": "measured", "seconds": time.perf_counter() - began}


async def main() -> None:
    """Obey until the input ends."""
    config = load()
    configure(config.log.level, config.log.format)
    async with open_stores(config) as stores:
        services = make_services(config, stores)
        settling = Settling(stores.uptime, stores.streams, SystemClock())
        overviews = Overviews(services.earnings, services.events, stores.presence, 1.0)
        rules = uptime_rules(config)
        grace = timedelta(seconds=rules.settling)

        async def tell(epoch: Epoch) -> None:
            await services.events.publish("epoch", epoch.number, epoch_closed(epoch))

        chore = Epochs(
            store=stores.epochs,
            settling=settling,
            overviews=overviews,
            tell=tell,
            clock=SystemClock(),
            terms=earning_terms(config),
            seconds=config.earnings.epoch_seconds,
            grace=grace,
            patience=timedelta(days=1),
        )
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        async for line in reader:
            if line == b"close\n":
                answer = await close(stores, chore, settling, grace)
            else:
                answer = await measure(stores)
            print(msgspec.json.encode({**answer, "peak": peak()}).decode(), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
