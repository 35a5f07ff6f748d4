"""The whole system under `pulseboard up`: servers, processes, agents, and their orderly end."""

import os
import signal
import socket
import stat
import time
import tomllib

import httpx
import pytest


@pytest.fixture
def client():
    with httpx.Client(trust_env=False, timeout=10) as made:
        yield made


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def nodes_online(client, up):
    return client.get(f"{up.url}/api/v1/network/summary").json()["nodes_online"]


def wait_for(ask, wanted, timeout=20.0):
    deadline = time.monotonic() + timeout
    while (answer := ask()) != wanted:
        assert time.monotonic() < deadline, f"{answer} is not {wanted} after {timeout} s"
        time.sleep(0.05)


def test_it_comes_up_lives_through_a_killed_worker_and_goes_down_without_a_trace(up, gone, client):
    system = up("--demo", "3").ready()
    assert client.get(f"{system.url}/readyz").status_code == 200
    wait_for(lambda: nodes_online(client, system), 3)

    # Private, and no secret where other users can read it.
    kept = tomllib.loads((system.data / "secrets.toml").read_text())
    assert mode(system.data) & 0o066 == 0
    assert mode(system.data / "secrets.toml") == 0o600
    assert system.password == kept["demo_password"]
    lines = " ".join(system.processes().values())
    assert not [secret for secret in kept.values() if secret in lines]
    assert mode(system.data / "agent" / "demo-1.json") == 0o600

    # A second one on the same folder keeps away and says why.
    assert up().wait() == (
        1,
        f"pulseboard: error: {system.data} is in use by another `pulseboard up` "
        f"(pid {system.process.pid}): stop it, or set PULSEBOARD_DATA to another folder\n",
    )

    # A killed worker is started again, and its nodes come back by themselves.
    workers = [pid for pid, line in system.processes().items() if " worker " in line]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    system.read_until(r"worker-\d ended \(signal 9\): starting again")
    wait_for(lambda: nodes_online(client, system), 3)
    wait_for(lambda: sum(" worker " in line for line in system.processes().values()), 2)

    pids = list(system.processes())
    assert system.stop() == (0, "")
    assert system.output.endswith("Stopping …\nStopped.\n")
    gone(pids, timeout=1)
    assert system.processes() == {}


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_recovers(up, gone, client):
    first = up().ready()
    pids = list(first.processes())
    assert len(pids) > 6
    first.process.kill()
    gone(pids)
    assert first.processes() == {}
    second = up().ready()
    assert second.took < 10
    assert second.password == first.password
    account = {"email": "demo@pulseboard.example", "password": second.password}
    assert client.post(f"{second.url}/api/v1/auth/login", json=account).status_code == 200
    assert second.stop(signal.SIGTERM) == (0, "")


def test_a_killed_database_is_started_again(up, client):
    system = up().ready()
    [postgres] = [pid for pid, line in system.processes().items() if "/postgres -D" in line]
    os.kill(postgres, signal.SIGKILL)
    system.read_until("PostgreSQL ended")
    wait_for(lambda: client.get(f"{system.url}/readyz").status_code, 200, timeout=30)
    assert system.stop() == (0, "")


@pytest.mark.parametrize(("option", "remedy"), [("--http-port", "HTTP_PORT"), ("--ws-port", "WS_PORT")])
def test_a_port_in_use_is_refused_before_anything_starts(up, option, remedy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        system = up(option, str(port))
        code, errors = system.wait()
    assert code == 1
    assert errors.startswith(f"pulseboard: error: port {port} on 127.0.0.1 is in use: set {remedy}=")
    assert errors.count("\n") == 1
    assert system.output == ""
    assert not (system.data / "postgres").exists()


def test_a_server_out_of_reach_is_named_and_nothing_is_left_running(up):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        system = up(PULSEBOARD_REDIS_URL=f"redis://:topsecret@127.0.0.1:{port}/0")
        code, errors = system.wait()
    assert code == 1
    assert errors.count("\n") == 1
    assert f"127.0.0.1:{port}" in errors
    assert "topsecret" not in system.output + errors
    assert system.processes() == {}


def test_a_folder_that_cannot_be_had_is_named_with_the_user(up, tmp_path):
    (tmp_path / "file").write_text("")
    system = up(data=tmp_path / "file" / "data")
    code, errors = system.wait()
    assert code == 1
    assert errors.startswith(f"pulseboard: error: {tmp_path / 'file' / 'data'}: Not a directory (as user ")


def test_demo_agents_need_the_embedded_database(up):
    system = up("--demo", "1", PULSEBOARD_DATABASE_DSN="postgresql://127.0.0.1:1/x")
    code, errors = system.wait()
    assert code == 78
    assert "--demo" in errors


def test_a_second_ctrl_c_hastens(up):
    system = up().ready()
    # Stopped, the workers would be waited for until their time is over.
    for pid, line in system.processes().items():
        if " worker " in line:
            os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    system.process.send_signal(signal.SIGINT)
    system.read_until("Stopping")
    assert system.stop() == (0, "")
    assert time.monotonic() - begun < 10
    assert system.processes() == {}


def test_ctrl_c_while_it_starts_leaves_nothing_running(up, gone):
    system = up()
    system.read_until("Starting PostgreSQL")
    pids = list(system.processes())
    assert system.stop() == (0, "")
    gone(pids, timeout=1)
    assert system.processes() == {}
