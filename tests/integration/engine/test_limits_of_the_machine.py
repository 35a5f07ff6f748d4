"""A worker that runs out of files, in a process of its own."""

import asyncio
import os
import resource

from support.system import Command
from support.waiting import eventually
from support.websocket import Socket

FILES = 64


async def _start() -> tuple[Command, int]:
    command = await Command.start("worker", "--echo", "--port", "0")
    port = int((await command.printed(r'"port": ?(\d+), ?"event": ?"listening"'))[1])
    await command.printed(r'"event": ?"ready"')
    return command, port


def _cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _echoes(socket: Socket) -> None:
    socket.send_frame(2, b"still here")
    assert await socket.frame() == (2, b"still here")


async def _let_in(port: int) -> Socket | int:
    """A connection that works, or the status that it was refused with; 0 for none."""
    try:
        socket = await Socket.open(port, path="/echo", subprotocols=None)
        if socket.status == 101:
            await _echoes(socket)
            return socket
    except (OSError, asyncio.IncompleteReadError):
        return 0
    return socket.status


async def test_a_worker_without_files_left_serves_those_it_has_and_recovers():
    command, port = await _start()
    try:
        resource.prlimit(command.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        living: list[Socket] = []
        answers = set()
        for _ in range(FILES + 10):
            came = await _let_in(port)
            if isinstance(came, Socket):
                living.append(came)
            else:
                answers.add(came)
        assert len(living) > FILES // 2
        assert 503 in answers
        began, start = _cpu_seconds(command.process.pid), asyncio.get_running_loop().time()
        for socket in living:
            await _echoes(socket)

        async def second_passed() -> bool:
            return asyncio.get_running_loop().time() - start > 1

        await eventually(second_passed)
        # Waiting for files must not burn a core.
        assert _cpu_seconds(command.process.pid) - began < 0.5
        for socket in living[:10]:
            await socket.leave()

        async def let_in_again() -> bool:
            return isinstance(await _let_in(port), Socket)

        await eventually(let_in_again)
        for socket in living[10:]:
            await _echoes(socket)
    finally:
        await Socket.leave_all()
        code = await command.stop()
    assert code == 0, command.lines
    assert len(command.lines) < 50, command.lines
