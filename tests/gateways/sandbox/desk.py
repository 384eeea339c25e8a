"""A sandbox and an unmodified ccxt that trades on it, for one test each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ccxt.pro
import msgspec

from gateways.sandbox.binance.venue import Venue
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.server import Sandbox
from gateways.sandbox.stand_ins import traded_on
from gateways.sidecar import open_recording
from gateways.venues import VENUES
from oms.commands.demo import demo_recording
from oms.config import Settings, load_settings
from oms.instruments import Instrument

SYMBOL: Final = "BTC/USDT:USDT"
DEADLINE_S: Final = 60.0
RECORDING: Final = demo_recording()


def shipped_instrument(recording: Path = RECORDING) -> Instrument:
    """The definition of what is recorded: of the settings, or of the sandbox."""
    settings = load_settings(None, {"replay": {"file": str(recording)}})
    facts = open_recording(recording)
    return traded_on(facts, VENUES[facts.venue].family, settings)


def defined(settings: Settings, instrument: Instrument) -> tuple[Settings, Instrument]:
    """The settings, which now define an instrument, and it as they number it."""
    known = [
        each for each in settings.instruments if (each.symbol, each.venue) == (instrument.symbol, instrument.venue)
    ]
    if known:
        return settings, known[0]
    numbered = msgspec.structs.replace(instrument, id=len(settings.instruments))
    return msgspec.structs.replace(settings, instruments=(*settings.instruments, numbered)), numbered


class Desk:
    """One sandbox, one ccxt, and every message that ccxt was sent.

    Attributes
    ----------
    messages : list of pair
        Of each stream message the address it came from and its content.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        venue = sandbox.venue
        assert isinstance(venue, Venue)
        self.venue: Venue = venue
        self.messages: list[tuple[str, Any]] = []
        self._came = asyncio.Event()
        self._opened: list[tuple[Any, Any]] = []
        self.exchange = self.new_exchange(sandbox.login)

    def new_exchange(self, login: dict[str, str]) -> Any:
        """A ccxt exchange; only its message handler is watched."""
        options = {"fetchCurrencies": False}
        session = self.sandbox.session()
        exchange = ccxt.pro.binanceusdm({**login, "session": session, "enableRateLimit": False, "options": options})
        self._opened.append((exchange, session))
        handle = exchange.handle_message

        def note(client: Any, message: Any) -> Any:
            self.messages.append((client.url, message))
            self._came.set()
            return handle(client, message)

        exchange.handle_message = note
        return exchange

    async def close(self) -> None:
        """End each ccxt and its session, which ccxt leaves to whoever gave it."""
        for exchange, session in self._opened:
            await exchange.close()
            await session.close()

    def events(self, name: str) -> list[Any]:
        """The events of one kind that have come."""
        return [message for _, message in self.messages if isinstance(message, dict) and message.get("e") == name]

    async def until(self, reached: Callable[[], Any]) -> Any:
        """Wait for messages until ``reached()`` is true, and return it; fails at the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while not (found := reached()):
                self._came.clear()
                await self._came.wait()
            return found

    async def subscribed(self, *names: str, entry: str = "public") -> None:
        """Wait until the sandbox has these streams on a connection of an entry."""
        async with asyncio.timeout(DEADLINE_S):
            while not any(
                set(names) <= set(connection.names)
                for connection in self.venue.streams.connections
                if connection.entry == entry
            ):
                await asyncio.sleep(0)

    async def watch_private(self) -> Any:
        """Have ccxt listen to the account's stream."""
        watching = asyncio.ensure_future(self.exchange.watch_orders(SYMBOL))
        watching.add_done_callback(_retrieve)
        async with asyncio.timeout(DEADLINE_S):
            while not any(each.entry == "private" for each in self.venue.streams.connections):
                await asyncio.sleep(0)
        return watching

    async def buy(self, amount: float, price: float | None = None, **more: Any) -> Any:
        """An order of ccxt's."""
        return await self.order("buy", amount, price, **more)

    async def order(self, side: str, amount: float, price: float | None = None, **more: Any) -> Any:
        """An order of ccxt's: at a limit, or at the market."""
        kind = "market" if price is None else "limit"
        return await self.exchange.create_order(SYMBOL, kind, side, amount, price, more)


class Wire:
    """A bare client: whatever request, whatever connection."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.session = sandbox.session()

    async def get(self, path: str, **more: Any) -> tuple[int, Any, Any]:
        """Status, headers and content of an answer."""
        async with self.session.request(more.pop("method", "GET"), f"https://fapi.binance.com{path}", **more) as answer:
            return answer.status, answer.headers, msgspec.json.decode(await answer.read())

    def connect(self, path: str) -> Any:
        """A WebSocket connection."""
        return self.session.ws_connect(f"wss://fstream.binance.com{path}")

    async def close(self) -> None:
        """End it."""
        await self.session.close()


def on_sandbox(**options: Any) -> Callable[[Callable[[Desk], Awaitable[None]]], Callable[[], None]]:
    """Turn a coroutine over a ``Desk`` into a test; the options are the sandbox's."""

    def decorate(body: Callable[[Desk], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            asyncio.run(_run(body, options))

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        return test

    return decorate


async def _run(body: Callable[[Desk], Awaitable[None]], options: dict[str, Any]) -> None:
    options = dict(options)
    recording = open_recording(options.pop("file", RECORDING))
    instrument = options.pop("instrument", None) or shipped_instrument()
    faults = options.pop("faults", None)
    plan = FaultPlan(*faults) if faults is not None else None
    async with Sandbox(recording, instrument, faults=plan, **options) as sandbox:
        desk = Desk(sandbox)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await body(desk)
        finally:
            await desk.close()


def _retrieve(future: asyncio.Future[Any]) -> None:
    with suppress(Exception, asyncio.CancelledError):
        future.exception()
