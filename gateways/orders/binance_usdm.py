"""Binance USD-M futures: orders through an unmodified ccxt, exact decimal text out and in.

Requests go by ccxt's own methods of each path, which sign, send and turn refusals into exceptions. Its unified methods
are not used: they go through binary floating point, and round prices and quantities by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from gateways.credentials import Credentials
from gateways.orders.batches import Answer
from gateways.orders.binance_views import NS_PER_MS, BinanceViews
from gateways.orders.binance_words import (
    CODES,
    LIMITS,
    MINUTE_ORDERS,
    POST_ONLY,
    RECEIVE_WINDOW_S,
    SIDES,
    TEN_SECOND_ORDERS,
    TIMES_IN_FORCE,
    WEIGHT,
)
from gateways.orders.clock import Clock
from gateways.orders.ids import number_of
from gateways.orders.known import Order
from gateways.orders.limiter import Cost, Limiter, Priority
from gateways.orders.outcomes import REQUEST_ERRORS, Code
from gateways.orders.venue import CommandError, Page, Send
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Told
from oms.decimals import scaled
from oms.instruments import Instrument
from oms.records import CommandKind, OrderFlag, OrderType, Reason, TimeInForce

PAGE: Final = 1000
"""Most trades of one answer."""

ORDER_COST: Final = {MINUTE_ORDERS: 1, TEN_SECOND_ORDERS: 1}
CANCEL_COST: Final = {WEIGHT: 1}


class Batch(NamedTuple):
    """Most orders of one request, and what it takes, however many they are, instead of what each takes alone."""

    most: int
    cost: Cost
    cost_alone: Cost


BATCHES: Final = {
    CommandKind.NEW: Batch(5, {WEIGHT: 5, MINUTE_ORDERS: 1, TEN_SECOND_ORDERS: 5}, ORDER_COST),
    CommandKind.CANCEL: Batch(10, CANCEL_COST, CANCEL_COST),
}
""" "Place Multiple Orders", "Cancel Multiple Orders"."""


class BinanceUsdm:
    """The venue ``binance_usdm``; see ``gateways.orders.venue.Venue``.

    Parameters
    ----------
    exchange
        As ``new_exchange`` makes it; its session is its maker's to close.
    instruments
        The session's of this venue.
    clock
        For the rate limits.
    patience_s
        How long a new order or an amend waits for its turn before it is refused.
    """

    codes: Mapping[int, Code] = CODES

    def __init__(
        self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock, patience_s: float | None = 10.0
    ) -> None:
        self.exchange = exchange
        self.limiter = Limiter(LIMITS, clock)
        self._by_symbol = {each.symbol: each for each in instruments}
        self._views = BinanceViews(self._by_symbol)
        self.patience_s = patience_s
        exchange.on_rest_response = self._observe

    @staticmethod
    def new_exchange(credentials: Credentials, session: Any = None) -> Any:
        """See ``gateways.orders.venue.VenueType``."""
        import ccxt.pro

        settings: dict[str, Any] = {
            "apiKey": credentials.key,
            "secret": credentials.secret,
            "enableRateLimit": False,
            "options": {
                "fetchCurrencies": False,
                "adjustForTimeDifference": False,
                "recvWindow": int(RECEIVE_WINDOW_S * 1000),
            },
        }
        if session is not None:
            settings["session"] = session
        return ccxt.pro.binanceusdm(settings)

    @property
    def receive_window_s(self) -> float:
        """``recvWindow``."""
        return RECEIVE_WINDOW_S

    async def open(self) -> None:
        """Learn the clock, and compare tick and lot of each instrument with exchangeInfo's filters."""
        await self.set_clock()
        told = await self._ask(self.exchange.fapiPublicGetExchangeInfo, {}, {WEIGHT: 1}, Priority.RECONCILE)
        symbols = {each["symbol"]: each for each in told["symbols"]}
        for symbol, instrument in self._by_symbol.items():
            if symbol not in symbols:
                raise ValueError(f"{symbol} is not traded at binance_usdm: take it out of the settings")
            filters = {each["filterType"]: each for each in symbols[symbol]["filters"]}
            stated = {"tick": filters["PRICE_FILTER"]["tickSize"], "lot": filters["LOT_SIZE"]["stepSize"]}
            for name, text in stated.items():
                ours = getattr(instrument, name)
                if Decimal(ours) % Decimal(text):
                    raise ValueError(f"{symbol}'s {name} {ours} is no multiple of the exchange's {text}: redefine it")

    async def close(self) -> None:
        """End the streams and, where ccxt made it, the session."""
        self.limiter.close()
        await self.exchange.close()

    async def set_clock(self) -> None:
        """Learn the difference to the exchange's clock, by which requests are then dated."""
        await self.limiter.turn({WEIGHT: 1}, Priority.KEEP)
        await self.exchange.load_time_difference()
        self.exchange.options["adjustForTimeDifference"] = True

    def check(self, order: Order) -> None:
        """See ``Venue``."""
        if order.display_qty:
            raise CommandError("binance_usdm shows orders whole", Reason.BAD_DISPLAY_QTY)
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("this gateway trades accounts in one-way mode", Reason.BAD_LEG)
        if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
            raise CommandError("binance_usdm has no market order of all or nothing", Reason.BAD_TIME_IN_FORCE)

    def batch_size(self, kind: CommandKind, waiting: int) -> int:
        """See ``gateways.orders.batches.Batching``."""
        batch = BATCHES[kind]
        size = min(batch.most, waiting)
        return size if self.limiter.share(batch.cost) < size * self.limiter.share(batch.cost_alone) else 1

    async def place_batch(self, orders: list[Order]) -> list[Answer]:
        """ "Place Multiple Orders"."""
        request = {"batchOrders": [_terms_of(order) for order in orders]}
        cost = BATCHES[CommandKind.NEW].cost
        rows = await self._ask(self.exchange.fapiPrivatePostBatchOrders, request, cost, Priority.ORDER, *orders)
        return self._each_answered(rows, len(orders))

    async def cancel_batch(self, orders: list[Order]) -> list[Answer]:
        """ "Cancel Multiple Orders"."""
        request = {
            "symbol": orders[0].instrument.symbol,
            "orderidlist": [str(order.venue_order_id) for order in orders],
        }
        rows = await self._ask(self.exchange.fapiPrivateDeleteBatchOrders, request, CANCEL_COST, Priority.CANCEL)
        return self._each_answered(rows, len(orders))

    def _each_answered(self, rows: Any, count: int) -> list[Answer]:
        """Answers of a batch; one that does not have one of each order says nothing of any."""
        if not isinstance(rows, list) or len(rows) != count:
            return [None] * count
        return [self._error_of(row) or self._answered(row) for row in rows]

    def _error_of(self, row: Any) -> Exception | None:
        """What ccxt would raise for a refusal, had it come alone; None: it is none."""
        if not isinstance(row, dict) or "code" not in row or row.get("orderId"):
            return None
        body = json.dumps(row)
        try:
            self.exchange.handle_errors(400, "", self.exchange.urls["api"]["fapiPrivate"], "", {}, body, row, {}, "")
        except REQUEST_ERRORS as error:
            return error
        return ValueError(f"an answer that cannot be: {body}")

    async def place(self, order: Order) -> OrderView | None:
        """ "New Order"."""
        return self._answered(
            await self._ask(self.exchange.fapiPrivatePostOrder, _terms_of(order), ORDER_COST, Priority.ORDER, order)
        )

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """ "Modify Order"."""
        request = {
            **_name_of(order),
            "side": SIDES[order.side],
            "quantity": order.instrument.qty_from_lots(qty),
            "price": order.instrument.px_from_ticks(px),
        }
        return self._answered(
            await self._ask(self.exchange.fapiPrivatePutOrder, request, ORDER_COST, Priority.ORDER, order)
        )

    async def cancel(self, order: Order) -> OrderView | None:
        """ "Cancel Order"."""
        return self._answered(
            await self._ask(self.exchange.fapiPrivateDeleteOrder, _name_of(order), CANCEL_COST, Priority.CANCEL)
        )

    async def cancel_all(self, instrument: Instrument) -> None:
        """ "Cancel All Open Orders"."""
        request = {"symbol": instrument.symbol}
        await self._ask(self.exchange.fapiPrivateDeleteAllOpenOrders, request, {WEIGHT: 1}, Priority.CANCEL)

    async def query(self, order: Order) -> OrderView:
        """ "Query Order"."""
        answer = await self._ask(self.exchange.fapiPrivateGetOrder, _name_of(order), {WEIGHT: 1}, Priority.ASK)
        return self._views.order(answer)

    async def query_by_venue_id(self, instrument: Instrument, venue_order_id: int) -> OrderView:
        """ "Query Order"."""
        request = {"symbol": instrument.symbol, "orderId": str(venue_order_id)}
        return self._views.order(await self._ask(self.exchange.fapiPrivateGetOrder, request, {WEIGHT: 1}, Priority.ASK))

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """ "Current All Open Orders"."""
        request = {"symbol": instrument.symbol}
        rows = await self._ask(self.exchange.fapiPrivateGetOpenOrders, request, {WEIGHT: 1}, Priority.RECONCILE)
        return [self._views.order(row) for row in rows]

    async def fills_of(self, order: Order) -> list[FillView]:
        """ "Account Trade List" of one order, page by page."""
        fills: list[FillView] = []
        next_id = 0
        while True:
            request = {"symbol": order.instrument.symbol, "orderId": str(order.venue_order_id), "limit": PAGE}
            if next_id:
                request["fromId"] = next_id
            rows = await self._ask(self.exchange.fapiPrivateGetUserTrades, request, {WEIGHT: 5}, Priority.ASK)
            fills += [self._views.fill(row) for row in rows]
            if len(rows) < PAGE:
                return fills
            next_id = fills[-1].trade_id + 1

    async def fills_from(self, instrument: Instrument, trade_id: int | None) -> Page:
        """ "Account Trade List"."""
        request: dict[str, Any] = {"symbol": instrument.symbol, "limit": PAGE}
        if trade_id is not None:
            request["fromId"] = trade_id
        rows = await self._ask(self.exchange.fapiPrivateGetUserTrades, request, {WEIGHT: 5}, Priority.RECONCILE)
        fills = sorted((self._views.fill(row) for row in rows), key=lambda fill: fill.trade_id)
        return Page(fills, len(rows) < PAGE or trade_id is None)

    async def positions(self) -> list[PositionView]:
        """ "Position Information V3"."""
        rows = await self._ask(self.exchange.fapiPrivateV3GetPositionRisk, {}, {WEIGHT: 5}, Priority.RECONCILE)
        found = []
        for row in rows:
            instrument = self._by_symbol.get(row["symbol"])
            if instrument is not None:
                qty = instrument.qty_to_lots(row["positionAmt"], "position")
                px = instrument.average_to_ticks(row["entryPrice"], "entry price") if qty else (0, 0)
                found.append(PositionView(instrument.id, qty, *px))
        return found

    async def balances(self) -> dict[str, int]:
        """ "Account Information V3"."""
        answer = await self._ask(self.exchange.fapiPrivateV3GetAccount, {}, {WEIGHT: 5}, Priority.RECONCILE)
        return {
            row["asset"]: scaled("balance", row["walletBalance"], f"balance of {row['asset']}")
            for row in answer["assets"]
        }

    async def fundings_since(self, ts: int) -> list[FundingView]:
        """ "Get Income History", FUNDING_FEE."""
        request = {"incomeType": "FUNDING_FEE", "startTime": ts // NS_PER_MS, "limit": PAGE}
        rows = await self._ask(self.exchange.fapiPrivateGetIncome, request, {WEIGHT: 30}, Priority.RECONCILE)
        return [
            FundingView(
                self._by_symbol[row["symbol"]].id,
                number_of(row["tranId"], "tranId"),
                -scaled("income", row["income"], "funding"),
                int(row["time"]) * NS_PER_MS,
            )
            for row in rows
            if row["symbol"] in self._by_symbol
        ]

    async def arm(self, instrument: Instrument, seconds: float) -> None:
        """ "Auto-Cancel All Open Orders"."""
        request = {"symbol": instrument.symbol, "countdownTime": int(seconds * 1000)}
        await self._ask(self.exchange.fapiPrivatePostCountdownCancelAll, request, {WEIGHT: 10}, Priority.KEEP)

    async def new_stream(self) -> str:
        """ "Start User Data Stream"."""
        answer = await self._ask(self.exchange.fapiPrivatePostListenKey, {}, {WEIGHT: 1}, Priority.KEEP)
        address: str = self.exchange.get_private_ws_url("linear", answer["listenKey"])
        return address

    async def greet(self, _send: Send) -> None:
        """The key in the address says it all."""

    async def keep_stream(self) -> None:
        """ "Keepalive User Data Stream"."""
        await self._ask(self.exchange.fapiPrivatePutListenKey, {}, {WEIGHT: 1}, Priority.KEEP)

    def told(self, message: Any) -> list[Told]:
        """See ``Venue``."""
        return self._views.told(message)

    async def _ask(
        self,
        method: Any,
        request: Mapping[str, Any],
        cost: Mapping[str, int],
        priority: Priority,
        *orders: Order,
    ) -> Any:
        """Wait for the turn, note when orders were asked for, and send."""
        await self.limiter.turn(cost, priority, self.patience_s if priority is Priority.ORDER else None)
        for order in orders:
            order.sent_s = self.limiter.now_s()
        sending: Awaitable[Any] = method(dict(request))
        return await sending

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

    def _answered(self, answer: Any) -> OrderView | None:
        """The order of an answer; None where it names none."""
        return self._views.order(answer) if isinstance(answer, dict) and answer.get("orderId") else None


def _name_of(order: Order) -> dict[str, str]:
    """The order of a request: by the exchange's id, or by the client's where that is all that is known."""
    named = {"orderId": str(order.venue_order_id)} if order.venue_order_id else {"origClientOrderId": order.client_id}
    return {"symbol": order.instrument.symbol, **named}


def _terms_of(order: Order) -> dict[str, str]:
    """A new order, as a request says it."""
    request = {
        "symbol": order.instrument.symbol,
        "side": SIDES[order.side],
        "type": order.order_type.name,
        "quantity": order.instrument.qty_from_lots(order.qty),
        "newClientOrderId": order.client_id,
        "newOrderRespType": "RESULT",
    }
    if order.order_type is OrderType.LIMIT:
        is_post_only = order.flags & OrderFlag.POST_ONLY
        request["price"] = order.instrument.px_from_ticks(order.px)
        request["timeInForce"] = POST_ONLY if is_post_only else TIMES_IN_FORCE[order.time_in_force]
    if order.flags & OrderFlag.REDUCE_ONLY:
        request["reduceOnly"] = "true"
    return request
