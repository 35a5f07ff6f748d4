# cython: boundscheck=False, wraparound=False
"""A bare picows server, its listener in Cython: echoes what it is sent, checks nothing."""

from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

import asyncio

import uvloop
from picows import ws_create_server

import console

cdef set connected = set()


cdef class Echo(WSListener):
    cpdef on_ws_connected(self, WSTransport transport):
        connected.add(transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type != WSMsgType.PONG:
            transport.send(frame.msg_type, frame.get_payload_as_bytes())

    cpdef on_ws_disconnected(self, WSTransport transport):
        connected.discard(transport)


def broadcast(bytes payload):
    cdef WSTransport transport
    for transport in connected:
        transport.send(WSMsgType.TEXT, payload)
    return len(connected)


async def serve():
    bound = console.listener()
    port = bound.getsockname()[1]
    server = await ws_create_server(lambda request: Echo(), sock=bound, backlog=4096, enable_auto_pong=False)
    console.attach(asyncio.get_running_loop(), port, broadcast)
    await server.serve_forever()


def main():
    uvloop.run(serve())
