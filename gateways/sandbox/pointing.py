"""Pointing an unmodified exchange client at a sandbox: real host names, answered by 127.0.0.1.

The client keeps its URLs, which matters: ccxt chooses Binance's error table, and signs HTX's paths, by them. What
changes is where the names lead, and whose certificates are believed::

    session = pointed_session(port, ca_file.read_bytes(), BINANCE_HOSTS)
    exchange = ccxt.pro.binanceusdm({"apiKey": key, "secret": secret, "session": session})
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

LOOPBACK = "127.0.0.1"


class SandboxResolver(AbstractResolver):
    """Answers the sandbox's address for its hosts, and for no other: nothing goes to the internet by mistake.

    Parameters
    ----------
    port
        Where the sandbox listens on 127.0.0.1, whatever port the client's URL names.
    hosts
        The exchange's host names that it stands for.
    """

    def __init__(self, port: int, hosts: Collection[str]) -> None:
        self._port = port
        self._hosts = frozenset(hosts)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Where ``host`` is; raises ``OSError`` for one that the sandbox does not stand for."""
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


def pointed_session(port: int, ca_pem: bytes, hosts: Collection[str]) -> aiohttp.ClientSession:
    """A session whose requests to ``hosts`` reach the sandbox on ``port``; to be closed by its user.

    Parameters
    ----------
    port
        Where the sandbox listens on 127.0.0.1.
    ca_pem
        The sandbox's authority, the only one that is believed.
    hosts
        The exchange's host names.
    """
    context = ssl.create_default_context(cadata=ca_pem.decode())
    connector = aiohttp.TCPConnector(resolver=SandboxResolver(port, hosts), ssl=context, family=socket.AF_INET)
    return aiohttp.ClientSession(connector=connector)
