"""Running one or many nodes in one process, from the command line."""

import asyncio
import signal
import socket
import ssl
from urllib.parse import quote, urlsplit

import httpx

from core import logs
from core.agent.agent import Agent, AgentStopped
from core.agent.api import Api
from core.clock import SystemClock
from core.config import Config
from core.errors import ConfigError
from core.logs import get_logger
from core.notify import Notifier

# Nodes started per second, so that neither side meets them all at once.
STARTS_PER_SECOND = 20
REQUEST_TIMEOUT = 15.0
# Seconds for which a sign-in's access token is used; it lives for minutes.
TOKEN_USE = 30.0

_log = get_logger("agent")


class SignIn:
    """A person's sign-in, made when a node has to be enrolled and kept for a moment for the next one."""

    def __init__(self, api: Api, email: str, password: str) -> None:
        self._api = api
        self._email = email
        self._password = password
        self._token = ""
        self._made_at = 0.0
        self._busy = asyncio.Lock()

    async def token(self) -> str:
        """An access token.

        Raises:
            Denied: the address or the password is wrong.
            Unreachable: the server does not answer.
        """
        async with self._busy:
            now = asyncio.get_running_loop().time()
            if not self._token or now - self._made_at > TOKEN_USE:
                self._token = await self._api.sign_in(self._email, self._password)
                self._made_at = now
            return self._token


async def run_agents(
    config: Config,
    *,
    server: str,
    name: str | None = None,
    count: int = 1,
    enrol_token: str | None = None,
    sign_in: tuple[str, str] | None = None,
) -> None:
    """Run `count` nodes of the Pulseboard at `server` until a signal ends them.

    One node is called `name` (default: this machine's); several get a number behind it. Their
    identities are kept in ``<data>/agent/``. New ones enrol with `enrol_token`, or as the person whose
    address and password `sign_in` holds.

    Raises:
        ConfigError: the address is none, or an identity cannot be used.
        AgentStopped: the server refuses all of them for good.
    """
    logs.configure(config.log.level, config.log.format, process="agent")
    address = urlsplit(server)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ConfigError(f"--server: {server}: must be http(s)://host[:port]")
    name = name or socket.gethostname()
    names = [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]
    tls = ssl.create_default_context()
    # Both the requests and the WebSocket go the direct way, whatever proxies the environment names.
    async with httpx.AsyncClient(verify=tls, timeout=REQUEST_TIMEOUT, trust_env=False) as http:
        signed_in = SignIn(Api(http, server, SystemClock()), *sign_in) if sign_in else None

        async def token() -> str:
            return enrol_token or (await signed_in.token() if signed_in else "")

        folder = config.data_dir / "agent"
        agents = [
            Agent(
                server,
                folder / f"{quote(name, safe=' ')}.json",
                name=name,
                http=http,
                enrol_token=token if enrol_token or signed_in else None,
                tls=tls,
            )
            for name in names
        ]
        await _run(agents)


async def _run(agents: list[Agent]) -> None:
    loop = asyncio.get_running_loop()
    notifier = Notifier()
    tasks = [asyncio.create_task(_start(agent, n / STARTS_PER_SECOND)) for n, agent in enumerate(agents)]
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping:
            for task in tasks:
                task.cancel()
        stopping = True
        notifier.stopping()
        for agent in agents:
            agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    alive = asyncio.create_task(notifier.keep_alive())
    notifier.ready()
    try:
        results = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        alive.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    failures = [result for result in results if isinstance(result, Exception)]
    if failures and len(failures) == len(agents):
        raise failures[0]


async def _start(agent: Agent, delay: float) -> None:
    try:
        await agent.run(delay)
    except AgentStopped as error:
        _log.error("node given up", reason=str(error))
        raise
