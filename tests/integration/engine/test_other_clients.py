"""Clients that others wrote talk to a raw echo worker in a process of its own."""

import asyncio
import json
from contextlib import suppress

import aiohttp
import pytest
from support.system import Command
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

LARGEST = 16 << 20
SIZES = (0, 1, 125, 126, 127, 4096, 65_535, 65_536, 1 << 20)
# What a compressor finds again near and far, so that a window which is too small would show.
TEXT = json.dumps(
    [{"node": n, "name": "naïve ✓ 𝄞", "far": "x" * (n % 700)} for n in range(300)], ensure_ascii=False
)
CODES = (1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)


@pytest.fixture(scope="module")
async def worker():
    """The host and port of the echo worker of this module, which finds nothing to complain about."""
    command = await Command.start("worker", "--echo", "--host", "127.0.0.1", "--port", "0")
    try:
        await command.printed('"ready"')
        events = map(json.loads, command.lines)
        yield next(f"127.0.0.1:{event['port']}" for event in events if event["event"] == "listening")
    finally:
        code = await command.stop()
    assert code == 0, command.lines
    assert {json.loads(line)["level"] for line in command.lines} == {"info"}, command.lines


async def _refusal(socket, fragments, **kind):
    """The code with which the worker ends the connection on a message."""
    with suppress(ConnectionClosedError):
        await socket.send(fragments, **kind)
        await socket.recv()
    await socket.wait_closed()
    return socket.close_code


class TestWebsockets:
    """The library `websockets`."""

    @pytest.fixture
    def join(self, worker):
        """Opens connections; without `offer` nothing is compressed."""

        def join(offer=None):
            return connect(
                f"ws://{worker}/echo",
                compression=None,
                extensions=[offer] if offer else None,
                max_size=2 * LARGEST,
                proxy=None,
            )

        return join

    @pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
    async def test_texts_and_bytes_of_all_sizes_come_back(self, join, compressed):
        async with join(ClientPerMessageDeflateFactory() if compressed else None) as socket:
            assert bool(socket.protocol.extensions) == compressed
            for size in SIZES:
                data = bytes(n * n % 256 for n in range(min(size, 5000))) * (size // 5000 + 1)
                text = (TEXT * (size // len(TEXT) + 1))[:size]
                for message in (data[:size], text):
                    await socket.send(message)
                    assert await socket.recv() == message

    @pytest.mark.parametrize("server_bits", [None, *range(8, 16)])
    @pytest.mark.parametrize("client_bits", [None, True, 9, 12, 15])
    async def test_every_offer_of_windows_is_agreed_to_and_kept(self, join, server_bits, client_bits):
        offer = ClientPerMessageDeflateFactory(
            server_max_window_bits=server_bits, client_max_window_bits=client_bits
        )
        async with join(offer) as socket:
            [agreed] = socket.protocol.extensions
            assert agreed.remote_max_window_bits == (server_bits or 15)
            assert agreed.remote_no_context_takeover
            assert agreed.local_no_context_takeover
            # The same again: nobody may remember the message before.
            for message in (TEXT, TEXT, TEXT.encode()):
                await socket.send(message)
                assert await socket.recv() == message

    @pytest.mark.parametrize("server", [False, True])
    @pytest.mark.parametrize("client", [False, True])
    async def test_no_context_is_kept_whether_that_was_offered_or_not(self, join, server, client):
        offer = ClientPerMessageDeflateFactory(
            server_no_context_takeover=server, client_no_context_takeover=client
        )
        async with join(offer) as socket:
            [agreed] = socket.protocol.extensions
            assert (agreed.remote_no_context_takeover, agreed.local_no_context_takeover) == (True, True)
            await socket.send(TEXT)
            assert await socket.recv() == TEXT

    @pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
    @pytest.mark.parametrize("length", [1, 2, 7, 1000])
    async def test_fragments_come_back_as_one_message(self, join, compressed, length):
        async with join(ClientPerMessageDeflateFactory() if compressed else None) as socket:
            text = TEXT[: length * 2000]
            await socket.send(text[at : at + length] for at in range(0, len(text), length))
            assert await socket.recv() == text
            # Bytes are cut within characters, too.
            data = text.encode()
            pieces = [data[at : at + length] for at in range(0, len(data), length)]
            await socket.send(pieces, text=True)
            assert await socket.recv() == text
            await socket.send(pieces)
            assert await socket.recv() == data

    @pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
    @pytest.mark.parametrize("length", [4096, 1_000_003])
    async def test_sixteen_mebibytes_in_fragments_come_back(self, join, compressed, length):
        message = (TEXT.encode() * (LARGEST // len(TEXT) + 1))[:LARGEST]
        async with join(ClientPerMessageDeflateFactory() if compressed else None) as socket:
            await socket.send(message[at : at + length] for at in range(0, LARGEST, length))
            assert await socket.recv() == message

    @pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
    async def test_a_byte_more_is_too_big(self, join, compressed):
        async with join(ClientPerMessageDeflateFactory() if compressed else None) as socket:
            assert await _refusal(socket, [bytes(LARGEST), b"x"]) == 1009

    async def test_pings_are_answered_between_the_fragments_of_a_message(self, join):
        async with join() as socket, asyncio.timeout(10):

            async def fragments():
                for number in range(5):
                    yield f"{number} "
                    await (await socket.ping(f"ping {number}"))

            await socket.pong("nobody asked")
            await socket.send(fragments())
            assert await socket.recv() == "0 1 2 3 4 "

    @pytest.mark.parametrize("code", CODES)
    async def test_a_close_is_answered_with_its_code(self, join, code):
        async with join() as socket:
            await socket.close(code, "naïve ✓")
        assert socket.protocol.close_rcvd is not None
        assert socket.protocol.close_rcvd.code == code
        assert socket.protocol.close_rcvd_then_sent is False

    async def test_what_is_no_text_is_refused(self, join):
        async with join() as socket:
            pieces = [b"fine so far ", b"\xed\xa0\x80", b"too late"]
            assert await _refusal(socket, pieces, text=True) == 1007

    async def test_many_talk_at_once(self, join):
        async def talk(number: int) -> None:
            async with join(ClientPerMessageDeflateFactory()) as socket:
                for turn in range(5):
                    message = f"{number} {turn} " * 1000
                    await socket.send(message)
                    assert await socket.recv() == message

        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(talk(number))


class TestAiohttp:
    """The library `aiohttp`."""

    @pytest.fixture
    async def join(self, worker):
        """Opens connections; `bits` is the window of what comes back, 0 for no compression."""
        async with aiohttp.ClientSession() as session:

            def join(bits=0, **options):
                url = f"http://{worker}/echo"
                return session.ws_connect(url, compress=bits, max_msg_size=2 * LARGEST, **options)

            yield join

    @pytest.mark.parametrize("bits", [0, *range(9, 16)])
    async def test_texts_and_bytes_of_all_sizes_come_back(self, join, bits):
        async with join(bits) as socket:
            # It tells the window of what it sends, and was asked for none.
            assert socket.compress == (15 if bits else 0)
            for size in SIZES:
                text = (TEXT * (size // len(TEXT) + 1))[:size]
                await socket.send_str(text)
                assert await socket.receive_str() == text
                await socket.send_bytes(text.encode())
                assert await socket.receive_bytes() == text.encode()

    @pytest.mark.parametrize("bits", [0, 15])
    async def test_sixteen_mebibytes_come_back(self, join, bits):
        message = (TEXT.encode() * (LARGEST // len(TEXT) + 1))[:LARGEST]
        async with join(bits) as socket:
            await socket.send_bytes(message)
            assert await socket.receive_bytes() == message

    @pytest.mark.parametrize("payload", [b"", b"x", b"y" * 125])
    async def test_a_ping_is_answered_with_its_payload(self, join, payload):
        async with join(autoping=False) as socket:
            await socket.pong(b"nobody asked")
            await socket.ping(payload)
            answer = await socket.receive(10)
            assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, payload)

    @pytest.mark.parametrize("code", CODES)
    async def test_a_close_is_answered_with_its_code(self, join, code):
        async with join(autoclose=False) as socket:
            assert await socket.close(code=code, message=b"bye")
            assert socket.close_code == code

    @pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535])
    async def test_a_code_that_nobody_may_send_is_refused(self, join, code):
        async with join() as socket:
            await socket.close(code=code)
            assert socket.close_code == 1002
