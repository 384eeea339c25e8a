"""What HTX's markets have in common for orders: the clock, the streams' requests and pings, and no amends."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import ccxt

from gateways.credentials import Credentials
from gateways.orders.clock import Clock
from gateways.orders.htx_words import PUBLIC, RECEIVE_WINDOW_S
from gateways.orders.known import Order
from gateways.orders.limiter import Limit, Limiter, Priority
from gateways.orders.venue import CommandError, Send
from gateways.orders.views import OrderView
from gateways.venues import VENUES
from oms.instruments import Instrument
from oms.records import Reason


def new_ccxt(credentials: Credentials, session: Any, venue: str) -> Any:
    """An unmodified ccxt.pro exchange: its own rate limiter off, nothing sent twice."""
    import ccxt.pro

    settings: dict[str, Any] = {
        "apiKey": credentials.key,
        "secret": credentials.secret,
        "enableRateLimit": False,
        "options": {"adjustForTimeDifference": False, **VENUES[venue].options},
    }
    if session is not None:
        settings["session"] = session
    return ccxt.pro.htx(settings)


class HtxOrders:
    """What is the same at each market; see ``gateways.orders.venue.Venue``.

    Parameters
    ----------
    name
        Of the venue.
    exchange
        As ``new_ccxt`` makes it; its session is its maker's to close.
    instruments
        The session's of this venue.
    limits
        How often the market is asked.
    clock
        For the rate limits.
    patience_s
        How long a new order waits for its turn before it is refused.
    """

    def __init__(
        self,
        name: str,
        exchange: Any,
        instruments: tuple[Instrument, ...],
        limits: tuple[Limit, ...],
        clock: Clock,
        patience_s: float | None,
    ) -> None:
        self.name = name
        self.exchange = exchange
        self.patience_s = patience_s
        self.limiter = Limiter(limits, clock)
        self.by_symbol = {each.symbol: each for each in instruments}
        self._send: Send | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._awaited: dict[str, asyncio.Future[None]] = {}
        """What the exchange is still to say on a stream that has just been opened, by request."""
        exchange.on_rest_response = self._observe

    @property
    def receive_window_s(self) -> float:
        """By the time that a request carries."""
        return RECEIVE_WINDOW_S

    async def close(self) -> None:
        """End the streams and, where ccxt made it, the session."""
        self.limiter.close()
        for task in self._sending:
            task.cancel()
        await self.exchange.close()

    async def set_clock(self) -> None:
        """Learn the difference to the exchange's clock, by which requests are then dated."""
        await self.limiter.turn({PUBLIC: 1}, Priority.KEEP)
        await self.exchange.load_time_difference()

    def check_amend(self, order: Order, px: int, qty: int) -> None:
        """No order can be given other terms: another one in its place would be another order."""
        raise CommandError(
            f"order {order.order_id}: {self.name} does not amend orders; cancel it and place another one",
            Reason.NO_AMEND,
        )

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """Never asked for: ``check_amend``."""
        raise ccxt.NotSupported(f"{self.name} does not amend orders")

    async def keep_stream(self) -> None:
        """It lasts as long as its pings are answered."""

    @abstractmethod
    async def greet(self, send: Send) -> None:
        """See ``Venue``."""

    def pong(self, message: Mapping[str, Any]) -> None:
        """Answer a ping, as nobody else reads the stream."""
        if self._send is not None:
            task = asyncio.ensure_future(_sent(self._send, message))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def said(self, send: Send, name: str, request: Mapping[str, Any]) -> None:
        """Send a request on a stream, and wait for what it is answered with."""
        self._send = send
        answered = self._awaited[name] = asyncio.get_running_loop().create_future()
        try:
            await send(dict(request))
            await answered
        finally:
            del self._awaited[name]

    def note_answer(self, name: str, code: Any, success: int, text: Any) -> None:
        """An answer to a request on a stream."""
        waiting = self._awaited.get(name)
        if waiting is None or waiting.done():
            return
        if str(code) == str(success):
            waiting.set_result(None)
        else:
            waiting.set_exception(ccxt.AuthenticationError(f"htx {code} {text}"))

    def _observe(
        self,
        status: int,
        _reason: str,
        _url: str,
        _method: str,
        headers: Mapping[str, str],
        body: str,
        _sent_headers: Any,
        _sent_body: Any,
    ) -> str:
        """ccxt's hook for each answer."""
        self.limiter.observe(status, headers)
        return body.strip()


async def _sent(send: Send, message: Any) -> None:
    """Send a message; a stream that cannot carry it any more is noticed otherwise."""
    try:
        await send(message)
    except (ccxt.BaseError, OSError):
        return
