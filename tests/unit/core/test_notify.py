"""Telling the service manager."""

import os
import socket

import pytest

from core.notify import Notifier


@pytest.fixture
def manager():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0pulseboard-test-{os.urandom(8).hex()}")
        sock.settimeout(5)
        yield sock


def address_of(sock):
    return "@" + sock.getsockname()[1:].decode()


def test_a_process_reports_ready_alive_and_stopping(manager):
    notifier = Notifier({"NOTIFY_SOCKET": address_of(manager), "WATCHDOG_USEC": "2500000"})
    assert notifier.watchdog == 2.5
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    assert [manager.recv(64) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_path_works_as_well(tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(5)
        Notifier({"NOTIFY_SOCKET": path}).ready()
        assert sock.recv(64) == b"READY=1"


def test_the_watchdog_of_another_process_is_not_ours(manager):
    environ = {"NOTIFY_SOCKET": address_of(manager), "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    notifier = Notifier(environ)
    assert notifier.watchdog is None
    notifier.alive()
    notifier.ready()
    assert manager.recv(64) == b"READY=1"


def test_without_a_manager_nothing_happens():
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": "/nonexistent/socket", "WATCHDOG_USEC": "junk"}).alive()
    Notifier({"NOTIFY_SOCKET": "/nonexistent/socket"}).ready()
