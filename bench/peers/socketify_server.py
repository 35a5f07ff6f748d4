"""A server on socketify, that is on µWebSockets: echoes what it is sent, without compression."""

import console
from socketify import App, AppListenOptions, CompressOptions, OpCode

TOPIC = "everybody"

app = App()


def opened(socket) -> None:  # type: ignore[no-untyped-def]  # the package has no types
    """Let everybody hear broadcasts."""
    socket.subscribe(TOPIC)


def echo(socket, message, opcode) -> None:  # type: ignore[no-untyped-def]  # the package has no types
    """Send back what came."""
    socket.send(message, opcode)


def send_all(payload: bytes) -> int:
    """Send `payload` as text to everybody."""
    app.publish(TOPIC, payload, OpCode.TEXT)
    return int(app.num_subscribers(TOPIC))


def main() -> None:
    """Serve until the input ends."""
    bound = console.listener()
    port = bound.getsockname()[1]
    # It takes no socket of ours: the port is free again, and nobody else asks for one in between.
    bound.close()
    app.ws(
        "/*",
        {
            "compression": CompressOptions.DISABLED,
            "idle_timeout": 60,
            "max_payload_length": 65536,
            "open": opened,
            "message": echo,
        },
    )
    app.listen(
        AppListenOptions(port=port, host="127.0.0.1"),
        lambda _: console.attach(app.loop.loop, port, send_all),
    )
    app.run()


if __name__ == "__main__":
    main()
