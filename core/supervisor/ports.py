"""Finding out whether ports can be had, before anything is started."""

import errno
import socket

from core.errors import StartupError


def claim_port(host: str, port: int, remedy: str) -> int:
    """`port` if it can be listened on at `host`; a free one for 0.

    `remedy` is what to do otherwise, and ends the error's sentence.

    Raises:
        StartupError: naming the port, the address, the reason and the remedy.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise StartupError(f"{host}: is not an address of this machine: {error.strerror}") from error
    with socket.socket(family, kind, protocol) as probe:
        # As the servers do: connections that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError as error:
            raise StartupError(f"port {port} on {host} may not be used: {remedy}") from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise StartupError(f"port {port} on {host} is in use: {remedy}") from error
            raise StartupError(f"port {port} on {host} cannot be used: {error.strerror}") from error
        chosen: int = probe.getsockname()[1]
        return chosen
