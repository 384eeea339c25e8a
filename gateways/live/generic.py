"""Live market data of any exchange through ccxt.pro, where zoms knows no wire format of its own.

ccxt keeps the book. What it has come to is compared with what was told before, and the levels that differ are told: as
many as ccxt keeps, which is what the exchange sends. Everything goes through a decoder as other venues' messages do.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import ccxt
import msgspec

from gateways.generic import exchange_class, market_of, number_text, traded
from gateways.live.client import Backoff, Policy
from gateways.live.market import Market
from gateways.live.requests import RequestError, Requests
from gateways.live.route import Route
from gateways.live.venue import Checksums, Feed
from gateways.orders.generic_views import trade_number
from gateways.orders.outcomes import REQUEST_ERRORS, told_text
from gateways.seldom_log import SeldomLog
from gateways.venues import Venue
from oms.instruments import Instrument

Book = dict[tuple[int, float], float]
"""Quantities by side and price, as ccxt has them."""

REMEMBERED_TRADES: Final = 4_096

NOT_THERE: Final = (ccxt.NotSupported, ccxt.BadSymbol, ccxt.ArgumentsRequired)
"""What a stream that an exchange does not have after all ends in."""

_encode: Final = msgspec.json.Encoder().encode


class CrossedError(ValueError):
    """A book whose best bid is not below its best ask: ccxt has lost its place in it."""


class InstrumentStream:
    """One instrument's streams, over a ccxt of its own that is made anew with each connection.

    Parameters
    ----------
    venue
        Whose it is.
    market
        Takes the messages.
    route
        Where the exchange is.
    policy
        How patient it is.
    log
        Takes a line when the book is lost or cannot be had, and one when it is there again.

    Attributes
    ----------
    opened, failed, silent : int
        Connections made so far; tries that failed; given up because the book did not change.
    last_error : str
        Why the last one ended.
    is_up : bool
        Whether the book comes.
    """

    def __init__(self, venue: GenericMarketData, market: Market, route: Route, policy: Policy, log: SeldomLog) -> None:
        self.opened = 0
        self.failed = 0
        self.silent = 0
        self.last_error = ""
        self.is_up = False
        self._venue = venue
        self._market = market
        self._route = route
        self._policy = policy
        self._log = log
        self._down_s: float | None = None
        """Since when the book has been missing that was there before, or could not be had."""
        self._told: Book = {}
        self._id = time.time_ns() // 1_000_000
        self._book_ts = 0
        self._has_begun = False
        """Whether trades have come by this connection."""
        self._trades: deque[int] = deque(maxlen=REMEMBERED_TRADES)
        self._unnumbered = 0
        self._quotes = self._id

    async def run(self) -> None:
        """Keep the streams up until cancelled."""
        backoff = Backoff(self._policy.first_wait_s, self._policy.longest_wait_s)
        try:
            while True:
                try:
                    await self._connect_and_listen()
                except REQUEST_ERRORS as error:
                    self.last_error = told_text(error)
                    self._say_down()
                self.failed += not self.is_up
                if self.is_up:
                    backoff.reset()
                self.is_up = False
                self._market.set_up(is_up=False)
                await asyncio.sleep(backoff.next_s())
        finally:
            await self._venue.close()

    def _say_down(self) -> None:
        self._down_s = time.monotonic() if self._down_s is None else self._down_s
        self._say("down", f"{'lost' if self.is_up else 'cannot connect'}: {self.last_error}; trying again")

    def _say(self, kind: str, what: str) -> None:
        name = f"{self._venue.row.name} {self._market.instrument.symbol}"
        self._log.add(f"{kind} {name}", f"{name}: {what}")

    def snapshot(self) -> bytes:
        """The book as it was told last, whole; raises ``RequestError`` while there is none."""
        if not self.is_up:
            raise RequestError(f"the book of {self._market.instrument.symbol} does not come: {self.last_error}")
        return self._message("book", self._book_ts, id=self._id, **self._levels(self._told))

    async def _connect_and_listen(self) -> None:
        """One connection, from its making to its end, which raises."""
        async with self._route.session() as session:
            exchange = self._venue.new_exchange(session)
            try:
                await self._venue.load_markets(exchange)
                symbol = market_of(exchange, self._venue.row, self._market.instrument.symbol)["symbol"]
                self._has_begun = False
                await self._listen(exchange, symbol)
            finally:
                await exchange.close()

    async def _listen(self, exchange: Any, symbol: str) -> None:
        has = exchange.has
        wanted: list[tuple[Any, Callable[[], Awaitable[Any]], Callable[[Any], None]]] = [
            (has["watchTrades"], lambda: exchange.watch_trades(symbol), self._take_trades)
        ]
        if has["watchBidsAsks"]:
            wanted.append(
                (True, lambda: exchange.watch_bids_asks([symbol]), lambda told: self._take_quote(told[symbol]))
            )
        else:
            wanted.append((has["watchTicker"], lambda: exchange.watch_ticker(symbol), self._take_quote))
        if self._venue.row.market != "spot":
            wanted.append((has["watchMarkPrice"], lambda: exchange.watch_mark_price(symbol), self._take_mark))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_book(exchange, symbol))
                for is_there, watch, take in wanted:
                    if is_there is True:
                        tasks.create_task(self._follow(watch, take))
        except* Exception as group:
            error = group.exceptions[0]
            raise error if isinstance(error, REQUEST_ERRORS) else ccxt.BaseError(repr(error)) from group

    async def _follow(self, watch: Callable[[], Awaitable[Any]], take: Callable[[Any], None]) -> None:
        """Take what a stream brings; one that the exchange does not have is left out."""
        try:
            while True:  # nothing may be waited for between two calls: what comes meanwhile wakes nobody
                take(await watch())
        except NOT_THERE as error:
            self.last_error = told_text(error)

    async def _follow_book(self, exchange: Any, symbol: str) -> None:
        while True:
            try:
                async with asyncio.timeout(self._policy.silent_s):
                    book = await exchange.watch_order_book(symbol)
            except TimeoutError:
                self.silent += 1
                raise
            self._take_book(book)

    def _take_book(self, book: Mapping[str, Any]) -> None:
        """Tell how a book differs from the one before; the first of a connection is told when it is asked for."""
        found: Book = {
            (side, px): qty for side, name in ((1, "bids"), (-1, "asks")) for px, qty, *_ in book[name] if qty
        }
        best = [max((side * px for of, px in found if of == side), default=None) for side in (1, -1)]
        if best[0] is not None and best[1] is not None and best[0] >= -best[1]:
            raise CrossedError(
                f"the book of {self._market.instrument.symbol} is crossed: {best[0]} bid, {-best[1]} asked"
            )
        before, self._told = self._told, found
        previous, self._id = self._id, self._id + 1
        self._book_ts = book.get("timestamp") or 0
        if not self.is_up:
            self.opened += 1
            self.is_up = True
            if self._down_s is not None:
                self._say("up", f"connected again after {time.monotonic() - self._down_s:.1f} s")
                self._down_s = None
            self._market.set_up(is_up=True)
            return
        changed = dict(found.items() - before.items()) | dict.fromkeys(before.keys() - found.keys(), 0.0)
        self._tell("book", self._book_ts, id=self._id, previous=previous, **self._levels(changed))

    def _take_trades(self, trades: Sequence[Mapping[str, Any]]) -> None:
        """Tell trades; several at the beginning of a connection are those before it, which some exchanges send."""
        is_past = not self._has_begun and len(trades) > 1
        self._has_begun = True
        for trade in trades:
            ts_ms = trade["timestamp"] or 0
            number = self._number_of(trade, ts_ms)
            if number in self._trades:
                continue
            self._trades.append(number)
            if is_past:
                continue
            px, qty = self._texts(trade["price"], trade["amount"])
            self._tell("trade", ts_ms, id=number, side=trade["side"] or "", px=px, qty=qty)

    def _number_of(self, trade: Mapping[str, Any], ts_ms: int) -> int:
        """A trade's id as an integer; where the exchange gives it none, a number of ours."""
        if trade.get("id"):
            return trade_number(str(trade["id"]), ts_ms)
        self._unnumbered += 1
        return self._unnumbered

    def _take_quote(self, ticker: Mapping[str, Any]) -> None:
        """Tell a quote that has prices and quantities; tickers of some exchanges have no quantities."""
        told = [ticker.get(name) for name in ("bid", "bidVolume", "ask", "askVolume")]
        if all(number is not None for number in told):
            bid_px, bid_qty, ask_px, ask_qty = told
            ts_ms = ticker.get("timestamp") or 0
            self._quotes += 1
            self._tell(
                "quote", ts_ms, id=self._quotes, bid=self._texts(bid_px, bid_qty), ask=self._texts(ask_px, ask_qty)
            )

    def _take_mark(self, ticker: Mapping[str, Any]) -> None:
        if (px := ticker.get("markPrice")) is not None:
            self._tell("mark", ticker.get("timestamp") or 0, px=number_text(px))

    def _levels(self, book: Book) -> dict[str, list[tuple[str, str]]]:
        return {
            name: [self._texts(px, qty) for (of, px), qty in book.items() if of == side]
            for side, name in ((1, "bids"), (-1, "asks"))
        }

    def _texts(self, px: Any, qty: Any) -> tuple[str, str]:
        """Price and quantity as plain decimal text."""
        instrument = self._market.instrument
        return number_text(px, _decimals(instrument.tick)), number_text(qty, _decimals(instrument.lot))

    def _tell(self, channel: str, ts_ms: int, **content: Any) -> None:
        self._market.take(self._message(channel, ts_ms, **content), time.time_ns())
        self._market.flush()

    def _message(self, channel: str, ts_ms: int, **content: Any) -> bytes:
        symbol = self._market.instrument.symbol
        return _encode({"symbol": symbol, "channel": channel, **content, "ts": int(ts_ms)})


class GenericMarketData:
    """See ``gateways.live.venue.MarketDataVenue`` and ``Kept``: of one row."""

    checksums: Checksums | None = None

    def __init__(self, row: Venue) -> None:
        self.row = row
        self._class = exchange_class(row)
        self._streams: dict[str, InstrumentStream] = {}
        self._markets: tuple[Any, Any] | None = None
        self._asking: tuple[Requests, Any] | None = None

    def feeds(self, instrument: Instrument) -> tuple[Feed, ...]:
        """None: connections are ccxt's."""
        return ()

    def streams(
        self, markets: Sequence[Market], route: Route, policy: Policy, log: SeldomLog
    ) -> list[InstrumentStream]:
        """As ``gateways.live.venue.Watching.streams``."""
        self._streams = {each.instrument.symbol: InstrumentStream(self, each, route, policy, log) for each in markets}
        return list(self._streams.values())

    async def snapshot(self, requests: Requests, instrument: Instrument) -> bytes:
        """The book as it was told last."""
        return self._streams[instrument.symbol].snapshot()

    async def server_ms(self, requests: Requests) -> int:
        """``fetchTime``, where there is one."""
        exchange = self._asked_by(requests)
        if exchange.has["fetchTime"] is not True:
            raise RequestError(f"ccxt has no fetchTime of {self.row.exchange}")
        told: int = await _answered(exchange.fetch_time())
        return told

    async def traded(self, requests: Requests) -> frozenset[str]:
        """``loadMarkets`` says what is active."""
        exchange = self._asked_by(requests)
        await _answered(exchange.load_markets(True))
        self._markets = (exchange.markets, exchange.currencies)
        return traded(exchange, self.row, self._streams)

    def new_exchange(self, session: Any) -> Any:
        """A ccxt.pro exchange without keys."""
        made = self._class({"session": session, "options": {**self.row.options}})
        made.has["fetchCurrencies"] = False
        return made

    async def load_markets(self, exchange: Any) -> None:
        """Give an exchange its markets: those that are known already."""
        if self._markets is None:
            await exchange.load_markets()
            self._markets = (exchange.markets, exchange.currencies)
        else:
            exchange.set_markets(*self._markets)

    async def close(self) -> None:
        """Let the ccxt go that asks."""
        asking, self._asking = self._asking, None
        if asking is not None:
            await asking[1].close()

    def _asked_by(self, requests: Requests) -> Any:
        if self._asking is None or self._asking[0] is not requests:
            self._asking = (requests, self.new_exchange(requests.session))
        return self._asking[1]


def market_data_of(row: Venue) -> GenericMarketData:
    """What implements market data of a row: see ``gateways.venues.implementation``."""
    return GenericMarketData(row)


async def _answered(request: Awaitable[Any]) -> Any:
    """An answer; raises ``RequestError`` where there is none."""
    try:
        return await request
    except REQUEST_ERRORS as error:
        raise RequestError(told_text(error)) from error


def _decimals(step: str) -> int:
    return len(step.partition(".")[2])
