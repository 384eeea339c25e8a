"""What an account has at any exchange of ccxt.pro's: fills, positions, balances and payments of funding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateways.orders.cash import cash_of
from gateways.orders.clock import Clock
from gateways.orders.generic_requests import GenericRequests
from gateways.orders.generic_views import NS_PER_MS, GenericViews
from gateways.orders.known import Order
from gateways.orders.limiter import Priority
from gateways.orders.venue import Page
from gateways.orders.views import FillView, FundingView, OrderView, PositionView
from gateways.venues import Venue
from oms.instruments import Instrument

BACK_MS: Final = 86_400_000
"""How far back fills are read of which it is not known since when they are missing."""
MANY: Final = 50
"""Fills of one answer from which on there may be more than it has: no exchange's pages are shorter."""

EQUITY_TOTALS: Final = (
    "apex",
    "binance",
    "binancecoinm",
    "binanceusdm",
    "bitget",
    "blofin",
    "coinbaseinternational",
    "deribit",
    "htx",
    "kucoin",
    "kucoinfutures",
    "okx",
)
"""Exchanges of whose contract accounts ccxt states the equity: what is not realized is taken off."""

PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {"bybit": {"acknowledged": True}}
"""Without which ``fetchOrder`` refuses, by exchange."""


class GenericAccount(GenericRequests):
    """Asks what the account has; see ``gateways.orders.venue.Venue``.

    Parameters
    ----------
    row, exchange, instruments, clock
        As of ``gateways.orders.generic.GenericOrders``.
    """

    def __init__(self, row: Venue, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock) -> None:
        super().__init__(exchange, clock)
        self._row = row
        self._instruments = instruments
        self._symbols: dict[int, str] = {}
        """ccxt's, by instrument."""
        self._views = GenericViews({})

    async def query_by_venue_id(self, instrument: Instrument, venue_order_id: int) -> OrderView:
        """``fetchOrder``."""
        identity = (self._views.order_ids.text(venue_order_id), self._symbols[instrument.id], self._parameters)
        return self._views.order(await self.ask(Priority.ASK, "fetch_order", *identity))

    async def fills_of(self, order: Order) -> list[FillView]:
        """``fetchMyTrades`` since the order was made."""
        number = order.venue_order_id
        if number not in self._views.created_ms:
            await self.query_by_venue_id(order.instrument, number)
        since_ms = self._views.created_ms.get(number, self.exchange.milliseconds() - BACK_MS)
        fills = await self._fills_since(order.instrument, since_ms, Priority.ASK)
        return [fill for fill in fills if fill.venue_order_id == number]

    async def fills_from(self, instrument: Instrument, trade_id: int | None) -> Page:
        """``fetchMyTrades``: the latest ones, or all since the trade before that id.

        Ids of trades grow with time at few exchanges, so that the time of that trade is what is asked for.
        """
        if trade_id is None:
            trades = await self.ask(Priority.RECONCILE, "fetch_my_trades", self._symbols[instrument.id])
            return Page(self._views.fills(trades), is_last=True)
        views = self._views
        since_ms = views.traded_ms(instrument, trade_id - 1) or self.exchange.milliseconds() - BACK_MS
        fills = await self._fills_since(instrument, since_ms, Priority.RECONCILE)
        before_ms = views.traded_ms(instrument, trade_id - 1) or 0  # it may be one of them
        return Page([fill for fill in fills if fill.exch_ts >= before_ms * NS_PER_MS], is_last=True)

    async def _fills_since(self, instrument: Instrument, since_ms: int, priority: Priority) -> list[FillView]:
        """All fills from a time on, page by page, until one brings nothing new.

        Some exchanges answer with the oldest of them, others with the newest: then those before are asked for, too.
        """
        symbol = self._symbols[instrument.id]
        has_until = self.exchange.feature_value(symbol, "fetchMyTrades", "untilDays") is not None
        found: dict[int, FillView] = {}
        until: dict[str, int] = {}
        while True:
            request = (symbol, since_ms, None, until)
            page = self._views.fills(await self.ask(priority, "fetch_my_trades", *request))
            new = [fill for fill in page if fill.trade_id not in found]
            found |= {fill.trade_id: fill for fill in new}
            oldest_ms, newest_ms = (page[at].exch_ts // NS_PER_MS if page else 0 for at in (0, -1))
            if has_until and new and len(page) >= MANY and oldest_ms > since_ms:
                until = {"until": oldest_ms}
            elif until:
                until, since_ms = {}, max(fill.exch_ts for fill in found.values()) // NS_PER_MS
            elif not new or newest_ms == since_ms:
                return sorted(found.values(), key=lambda fill: (fill.exch_ts, fill.trade_id))
            else:
                since_ms = newest_ms

    async def positions(self) -> list[PositionView]:
        """``fetchPositions``."""
        rows = await self._position_rows()
        found = {view.instrument: view for row in rows if (view := self._views.position(row)) is not None}
        for each in self._instruments if self._row.market != "spot" else ():
            self._views.averages.state(found.get(each.id, PositionView(each.id, 0, 0, 0)))
        return list(found.values())

    async def _position_rows(self) -> list[Any]:
        if self._row.market == "spot":
            return []
        symbols = list(self._symbols.values())
        rows = await self.ask(Priority.RECONCILE, "fetch_positions", symbols)
        return [row for row in rows if self._views.is_ours(row)]

    async def balances(self) -> dict[str, int]:
        """``fetchBalance``: all that there is of each currency; of contracts without what is not realized."""
        totals = (await self.ask(Priority.RECONCILE, "fetch_balance"))["total"]
        found = {currency: cash_of(text, "balance") for currency, text in totals.items() if text is not None}
        if self._row.exchange in EQUITY_TOTALS and self._row.market != "spot":
            for row in await self._position_rows():
                currency = next(
                    each.settlement for each in self._instruments if self._symbols[each.id] == row["symbol"]
                )
                found[currency] = found.get(currency, 0) - cash_of(row.get("unrealizedPnl"), "unrealizedPnl")
        return found

    async def fundings_since(self, ts: int) -> list[FundingView]:
        """``fetchFundingHistory``, where there is one."""
        if self._row.market == "spot" or self.exchange.has["fetchFundingHistory"] is not True:
            return []
        found: list[FundingView] = []
        for symbol in self._symbols.values():
            rows = await self.ask(Priority.RECONCILE, "fetch_funding_history", symbol, ts // NS_PER_MS)
            found += [view for row in rows if (view := self._views.funding(row)) is not None]
        return found

    @property
    def _parameters(self) -> dict[str, Any]:
        return dict(PARAMETERS.get(self._row.exchange, {}))
