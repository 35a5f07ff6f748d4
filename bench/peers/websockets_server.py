"""A server on `websockets`: echoes what it is sent, without compression, on uvloop."""

import asyncio

import console
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

connected: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Echo until the peer goes."""
    connected.add(connection)
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        pass
    finally:
        connected.discard(connection)


def send_all(payload: bytes) -> int:
    """Send `payload` as text to everybody."""
    broadcast(connected, payload.decode())
    return len(connected)


async def main() -> None:
    """Serve until the input ends."""
    bound = console.listener()
    async with serve(handle, sock=bound, compression=None, ping_interval=25, backlog=4096) as server:
        console.attach(asyncio.get_running_loop(), bound.getsockname()[1], send_all)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
