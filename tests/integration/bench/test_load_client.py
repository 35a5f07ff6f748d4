"""The raw client of the benches, against the least a server can be."""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Compiled = Callable[[str], Path]


class Talk:
    """A program that answers lines with JSON."""

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(
            [*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def say(self, line: str) -> None:
        """Give a command."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        assert self.process.stdout
        return dict(json.loads(self.process.stdout.readline()))

    def ask(self, line: str) -> dict[str, Any]:
        """Give a command and return its answer."""
        self.say(line)
        return self.hear()

    def end(self) -> int:
        """Close the program's input and wait for its end; again does nothing."""
        if self.process.returncode is None:
            self.process.communicate(timeout=10)
        return self.process.returncode


@contextmanager
def running(*command: str | Path) -> Iterator[Talk]:
    """A program for the length of the block."""
    talk = Talk(*command)
    try:
        yield talk
    finally:
        talk.end()


@pytest.fixture
def server(compiled: Compiled) -> Iterator[tuple[Talk, int]]:
    """The C server, and its port."""
    with running(compiled("peers/epoll_server.c")) as talk:
        yield talk, talk.hear()["port"]


@pytest.fixture
def client(compiled: Compiled, server: tuple[Talk, int]) -> Iterator[Talk]:
    """A client for up to fifty connections to the C server."""
    with running(
        compiled("load/load.c"), "--port", str(server[1]), "--path", "/", "--connections", "50"
    ) as talk:
        assert talk.hear()["event"] == "ready"
        yield talk


@pytest.mark.parametrize("address", ["10.0.0.1", "192.0.2.1", "128.0.0.1", "localhost"])
@pytest.mark.parametrize("option", ["--host", "--source"])
def test_it_speaks_to_loopback_addresses_only(compiled: Compiled, option: str, address: str) -> None:
    with running(compiled("load/load.c"), option, address, "--port", "9") as talk:
        answer = talk.hear()
        assert answer["event"] == "error"
        assert "not a loopback address" in answer["reason"]
        assert talk.end() == 1


def test_it_ends_when_its_time_is_over(compiled: Compiled) -> None:
    with running(compiled("load/load.c"), "--port", "9", "--seconds", "0.01") as talk:
        assert talk.hear()["event"] == "ready"
        assert talk.hear()["reason"] == "the time is over"
        assert talk.end() == 1


def test_it_ends_with_its_input(client: Talk) -> None:
    assert client.end() == 0


def test_connections_that_nobody_takes_are_given_up(compiled: Compiled) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with running(compiled("load/load.c"), "--port", str(port)) as talk:
            talk.hear()
            answer = talk.ask("open 5")
    assert (answer["open"], answer["given_up"]) == (0, 5)
    assert answer["refusals"]["-111"] == 5 + answer["retries"]


def test_it_opens_echoes_and_drops(client: Talk) -> None:
    assert client.ask("open 50")["open"] == 50
    answer = client.ask("echo 100 64")
    assert answer["event"] == "echoed"
    assert answer["done"] > 0
    assert answer["done"] == answer["latency_us"]["count"]
    assert answer["latency_us"]["p50"] <= answer["latency_us"]["p99"] <= answer["latency_us"]["max"] * 1.02
    assert answer["unanswered"] == answer["lost"] == 0
    client.ask("drop")
    assert client.ask("stats")["open"] == 0


@pytest.mark.parametrize("size", [1, 125, 126, 40_000])
def test_messages_of_every_length_come_back(client: Talk, size: int) -> None:
    client.ask("open 3")
    answer = client.ask(f"echo 50 {size}")
    assert answer["done"] > 0
    assert answer["unanswered"] == answer["lost"] == 0


def test_it_counts_a_broadcast_and_tells_when_all_have_it(client: Talk, server: tuple[Talk, int]) -> None:
    client.ask("open 50")
    client.ask("mark")
    client.say("watch 50")
    sent = server[0].ask("broadcast 512")
    reached = client.hear()
    assert (sent["reached"], reached["event"], reached["messages"]) == (50, "reached", 50)
    assert sent["at_ns"] < reached["last_ns"]
    stats = client.ask("stats")
    assert (stats["messages"], stats["bytes"]) == (50, 50 * 512)


def test_connections_come_and_go_in_any_number(client: Talk) -> None:
    answer = client.ask("churn 500")
    assert (answer["event"], answer["connections"], answer["given_up"]) == ("churned", 500, 0)


def test_the_end_of_a_server_is_counted_as_loss(client: Talk, server: tuple[Talk, int]) -> None:
    client.ask("open 20")
    client.ask("mark")
    server[0].end()
    lost = 0
    while lost < 20:
        lost = client.ask("stats")["lost"]
    assert client.ask("stats")["open"] == 0
