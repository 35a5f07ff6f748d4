"""A server on aiohttp: echoes what it is sent, without compression, on uvloop."""

import asyncio

import console
import uvloop
from aiohttp import WSMsgType, web

connected: set[web.WebSocketResponse] = set()


async def handle(request: web.Request) -> web.WebSocketResponse:
    """Echo until the peer goes."""
    response = web.WebSocketResponse(compress=False, heartbeat=25)
    await response.prepare(request)
    connected.add(response)
    try:
        async for message in response:
            if message.type is WSMsgType.TEXT:
                await response.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await response.send_bytes(message.data)
    finally:
        connected.discard(response)
    return response


def send_all(payload: bytes) -> int:
    """Send `payload` as text to everybody, in one go: sending waits for nobody while buffers have room."""
    text = payload.decode()
    for response in connected:
        sending = response.send_str(text)
        try:
            sending.send(None)
        except StopIteration:
            continue
        raise RuntimeError("a socket's buffer is full")
    return len(connected)


async def main() -> None:
    """Serve until the input ends."""
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    bound = console.listener()
    await web.SockSite(runner, bound, backlog=4096).start()
    console.attach(asyncio.get_running_loop(), bound.getsockname()[1], send_all)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
