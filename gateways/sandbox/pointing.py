"""Pointing an unmodified exchange client at a sandbox: real host names, answered by 127.0.0.1.

The client keeps its URLs, which matters: ccxt chooses Binance's error table, and signs HTX's paths, by them. What
changes is where the names lead, and whose certificates are believed::

    session = pointed_session(port, ca_file.read_bytes(), BINANCE_HOSTS)
    exchange = ccxt.pro.binanceusdm({"apiKey": key, "secret": secret, "session": session})
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

LOOPBACK = "127.0.0.1"


class AuthorityFile:
    """A sandbox's authority as a file has it. Each run of a sandbox has another one: it is looked for before each new
    connection.

    Attributes
    ----------
    tls : SSLContext
        Believes it, those that were there before, and nobody else.

    Raises
    ------
    OSError, ssl.SSLError, UnicodeDecodeError
        When the file has none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pem = path.read_bytes()
        self.tls = ssl.create_default_context(cadata=self._pem.decode())

    def look(self) -> None:
        """Believe what the file has now, if that is another authority; a file that is being written has it later."""
        with suppress(OSError, ssl.SSLError, UnicodeDecodeError):
            pem = self._path.read_bytes()
            if pem != self._pem:
                self.tls.load_verify_locations(cadata=pem.decode())
                self._pem = pem


class SandboxResolver(AbstractResolver):
    """Answers the sandbox's address for its hosts, and for no other: nothing goes to the internet by mistake.

    Parameters
    ----------
    port
        Where the sandbox listens on 127.0.0.1, whatever port the client's URL names.
    hosts
        The exchange's host names that it stands for.
    before
        Called before each connection.
    """

    def __init__(self, port: int, hosts: Collection[str], before: Callable[[], None] = lambda: None) -> None:
        self._port = port
        self._hosts = frozenset(hosts)
        self._before = before

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Where ``host`` is; raises ``OSError`` for one that the sandbox does not stand for."""
        self._before()
        if host not in self._hosts:
            raise OSError(
                None, f"the sandbox does not stand for {host}: it stands for {', '.join(sorted(self._hosts))}"
            )
        return [
            ResolveResult(
                hostname=host,
                host=LOOPBACK,
                port=self._port,
                family=socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Nothing is held."""


def pointed_session(port: int, authority: bytes | Path, hosts: Collection[str]) -> aiohttp.ClientSession:
    """A session whose requests to ``hosts`` reach the sandbox on ``port``; to be closed by its user.

    Parameters
    ----------
    port
        Where the sandbox listens on 127.0.0.1.
    authority
        The sandbox's, the only one that is believed; of a file, whatever that comes to have.
    hosts
        The exchange's host names.

    Raises
    ------
    OSError, ssl.SSLError, UnicodeDecodeError
        When it is none.
    """
    if isinstance(authority, Path):
        file = AuthorityFile(authority)
        tls, resolver = file.tls, SandboxResolver(port, hosts, file.look)
    else:
        tls, resolver = ssl.create_default_context(cadata=authority.decode()), SandboxResolver(port, hosts)
    connector = aiohttp.TCPConnector(resolver=resolver, ssl=tls, family=socket.AF_INET, use_dns_cache=False)
    return aiohttp.ClientSession(connector=connector)
