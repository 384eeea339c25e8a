"""Clients that are pointed at a sandbox: one that is started again has another authority, and is reached again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from gateways.live.route import route_of
from gateways.sandbox.certificates import Authority
from gateways.sandbox.pointing import LOOPBACK, pointed_session
from oms.config import SandboxSettings

pytestmark = pytest.mark.pure

HOST = "exchange.example"


async def _answer(_request: web.Request) -> web.Response:
    return web.Response(text="there")


@asynccontextmanager
async def sandbox_of_one_run(ca: Path, port: int = 0) -> AsyncIterator[int]:
    """A server with an authority of its own, which it writes to ``ca``; where it listens."""
    authority = Authority()
    app = web.Application()
    app.router.add_get("/", _answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port, ssl_context=authority.server_context([HOST])).start()
        ca.write_bytes(authority.pem)
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def of_orders(port: int, ca: Path) -> aiohttp.ClientSession:
    return pointed_session(port, ca, [HOST])


def of_market_data(port: int, ca: Path) -> aiohttp.ClientSession:
    return route_of(SandboxSettings(port=port, ca=str(ca)), [HOST]).session()


@pytest.mark.parametrize("session_to", [of_orders, of_market_data])
def test_a_sandbox_that_is_started_again_is_reached_again(
    session_to: Callable[[int, Path], aiohttp.ClientSession], tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"

    async def text(session: aiohttp.ClientSession) -> str:
        async with session.get(f"https://{HOST}/") as answer:
            return await answer.text()

    async def body() -> None:
        async with sandbox_of_one_run(ca) as port:
            session = session_to(port, ca)
            assert await text(session) == "there"
        try:
            with pytest.raises(aiohttp.ClientConnectionError):
                await text(session)
            async with sandbox_of_one_run(ca, port):
                assert await text(session) == "there"
        finally:
            await session.close()

    asyncio.run(body())
