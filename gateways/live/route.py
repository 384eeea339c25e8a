"""Where an exchange's host names lead, and whose certificates are believed: the internet, or a sandbox on loopback.

The names stay the exchange's own either way, so that a client does the same on both.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from gateways.sandbox.pointing import AuthorityFile, SandboxResolver
from oms.checks import ConfigError
from oms.session_settings import SandboxSettings

TOTAL_S = 10.0
"""How long a request may take in all."""


class Route:
    """How to reach an exchange.

    Parameters
    ----------
    tls
        Whose certificates are believed.
    resolver
        Where names lead; None: where the system says.
    stand_ins
        Hosts that are asked in the place of others, by those: a testnet's.
    headers
        Of each request.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        resolver: AbstractResolver | None = None,
        stand_ins: Mapping[str, str] = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.tls = tls
        self._resolver = resolver
        self._stand_ins = stand_ins
        self._headers = headers

    def address(self, url: str) -> str:
        """Where a URL of the exchange is asked for."""
        parts = urlsplit(url)
        host = self._stand_ins.get(parts.hostname or "")
        if host is None:
            return url
        return urlunsplit(parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host))

    def session(self) -> aiohttp.ClientSession:
        """A session for requests; to be closed by its user."""
        family = socket.AF_UNSPEC if self._resolver is None else socket.AF_INET
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, ssl=self.tls, family=family, use_dns_cache=self._resolver is None
        )
        timeout = aiohttp.ClientTimeout(total=TOTAL_S)
        return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=self._headers)

    async def connected(self, host: str, port: int) -> socket.socket | None:
        """A socket to where the resolver says that ``host`` is; None: whoever connects is to find it by the system.

        Raises
        ------
        OSError
            For an unknown host, or when nothing listens there.
        """
        if self._resolver is None:
            return None
        (found, *_) = await self._resolver.resolve(host, port, socket.AF_INET)
        made = socket.socket(found["family"], socket.SOCK_STREAM)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, (found["host"], found["port"]))
        except BaseException:
            made.close()
            raise
        return made


def route_of(sandbox: SandboxSettings | None, hosts: Collection[str]) -> Route:
    """The route to an exchange, or to the sandbox that stands for it.

    Parameters
    ----------
    sandbox
        None: the exchange itself, by the internet.
    hosts
        The exchange's host names.

    Raises
    ------
    ConfigError
        When the authority cannot be read.
    """
    if sandbox is None:
        return Route(ssl.create_default_context())
    try:
        authority = AuthorityFile(Path(sandbox.ca))
    except (OSError, ssl.SSLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"sandbox ca {sandbox.ca!r} is no certificate: {error}; give the file that zoms sandbox names"
        ) from None
    return Route(authority.tls, SandboxResolver(sandbox.port, hosts, authority.look))
