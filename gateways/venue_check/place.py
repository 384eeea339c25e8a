"""Where a venue is tried: on its testnet, on the sandbox exchange that stands for it, or on itself.

A testnet has keys of its own names, and whatever goes there goes through a resolver that knows no other host: neither a
wrong key nor a wrong address brings an order to the real exchange.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from gateways.credentials import PASSPHRASE, Credentials, CredentialsError, read_credentials, variable
from gateways.live.route import Route, route_of
from gateways.sandbox.pointing import pointed_session
from gateways.venues import Sandbox, Venue
from oms.checks import ConfigError
from oms.session_settings import SandboxSettings

TESTNET_KEYS: Final = "{venue}_testnet"
"""Under which name the keys of a venue's testnet are kept."""


class Where(Enum):
    """The value says it in a message."""

    TESTNET = "testnet"
    SANDBOX = "sandbox"
    REAL = "real exchange"


class HostError(OSError):
    """A host that is none of those that may be asked."""


class OnlyHosts(AbstractResolver):
    """Finds these hosts as the system does, and no others."""

    def __init__(self, hosts: Collection[str]) -> None:
        self._hosts = frozenset(hosts)
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Where a host is; raises ``HostError``."""
        if host not in self._hosts:
            raise HostError(
                None, f"{host} is not of the testnet, and is not asked: {', '.join(sorted(self._hosts))} are"
            )
        return await self._system.resolve(host, port, family)

    async def close(self) -> None:
        """Nothing is held."""


class Place(NamedTuple):
    """A venue, and where it is tried."""

    venue: Venue
    where: Where
    sandbox: Sandbox | None = None

    def credentials(self, environment: Mapping[str, str] | None = None) -> Credentials:
        """Its keys, as ``read_credentials`` finds them: a testnet's by a name of their own.

        Raises
        ------
        CredentialsError
            When there are none, or a part is missing.
        """
        name = TESTNET_KEYS.format(venue=self.venue.name) if self.where is Where.TESTNET else self.venue.name
        found = read_credentials(name, environment)
        if self.venue.has_passphrase and not found.passphrase:
            raise CredentialsError(f"the keys of {name} have a passphrase too: set {variable(name, PASSPHRASE)}")
        return found

    @property
    def proves(self) -> bool:
        """Whether what passes here says something of the venue."""
        return self.where is not Where.SANDBOX

    @property
    def title(self) -> str:
        """In words."""
        if self.sandbox is not None:
            return f"the SANDBOX on port {self.sandbox.port}"
        if self.where is Where.TESTNET:
            assert self.venue.testnet is not None
            return f"its testnet ({', '.join(self.venue.testnet.hosts.values())})"
        return "the REAL exchange"

    def session(self) -> aiohttp.ClientSession | None:
        """What ccxt goes through, to be closed by its user; None: ccxt's own."""
        if self.sandbox is not None:
            return pointed_session(self.sandbox.port, self.sandbox.ca.read_bytes(), self.venue.hosts)
        testnet = self.venue.testnet
        if self.where is Where.REAL or testnet is None:
            return None
        connector = aiohttp.TCPConnector(resolver=OnlyHosts(testnet.hosts.values()), family=socket.AF_INET)
        return aiohttp.ClientSession(connector=connector, headers=testnet.headers)

    def turn(self, exchange: Any) -> None:
        """Have a ccxt exchange ask here."""
        if self.where is Where.TESTNET:
            assert self.venue.testnet is not None
            getattr(exchange, self.venue.testnet.switch)(True)

    def route(self) -> Route:
        """The way of market data."""
        if self.sandbox is not None:
            return route_of(SandboxSettings(port=self.sandbox.port, ca=str(self.sandbox.ca)), self.venue.hosts)
        testnet = self.venue.testnet
        if self.where is Where.REAL or testnet is None:
            return Route(ssl.create_default_context())
        resolver = OnlyHosts(testnet.hosts.values())
        return Route(ssl.create_default_context(), resolver, testnet.hosts, testnet.headers)


def place_of(venue: Venue, sandbox: Sandbox | None = None, *, is_real: bool = False) -> Place:
    """Where a venue is to be tried: on the sandbox or the real exchange where that is said, else on its testnet.

    Raises
    ------
    ConfigError
        When both are said, or none and there is no testnet.
    """
    if sandbox is not None and is_real:
        raise ConfigError("the sandbox is not the real exchange: give --sandbox-port or --real, not both")
    if sandbox is not None:
        return Place(venue, Where.SANDBOX, sandbox)
    if is_real:
        return Place(venue, Where.REAL)
    if venue.testnet is None:
        raise ConfigError(
            f"{venue.name} has no testnet that zoms knows of: give --sandbox-port to try it on the sandbox exchange, "
            f"or --real to try it with real money, in the smallest sizes"
        )
    return Place(venue, Where.TESTNET)
