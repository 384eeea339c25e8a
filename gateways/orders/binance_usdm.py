"""Binance USD-M futures: the venue ``binance_usdm``."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from gateways.credentials import Credentials
from gateways.orders.batches import Answer
from gateways.orders.binance import PAGE, WEIGHT, Ask, BinanceOrders, Requests, name_of, new_ccxt
from gateways.orders.binance_views import NS_PER_MS, BinanceViews
from gateways.orders.binance_words import (
    CODES,
    LIMITS,
    MINUTE_ORDERS,
    POST_ONLY,
    SIDES,
    TEN_SECOND_ORDERS,
    TIMES_IN_FORCE,
)
from gateways.orders.clock import Clock
from gateways.orders.ids import number_of
from gateways.orders.known import Order
from gateways.orders.limiter import Cost, Priority
from gateways.orders.outcomes import REQUEST_ERRORS, Codes
from gateways.orders.venue import CommandError, Send
from gateways.orders.views import FundingView, OrderView, PositionView
from oms.decimals import scaled
from oms.instruments import Instrument
from oms.records import CommandKind, OrderFlag, OrderType, Reason, TimeInForce

ORDER_COST: Final = {MINUTE_ORDERS: 1, TEN_SECOND_ORDERS: 1}
CANCEL_COST: Final = {WEIGHT: 1}

REQUESTS: Final = Requests(
    exchange_information=Ask("fapiPublicGetExchangeInfo", {WEIGHT: 1}),
    new_order=Ask("fapiPrivatePostOrder", ORDER_COST),
    cancel_order=Ask("fapiPrivateDeleteOrder", CANCEL_COST),
    cancel_all=Ask("fapiPrivateDeleteAllOpenOrders", {WEIGHT: 1}),
    query_order=Ask("fapiPrivateGetOrder", {WEIGHT: 1}),
    open_orders=Ask("fapiPrivateGetOpenOrders", {WEIGHT: 1}),
    trades=Ask("fapiPrivateGetUserTrades", {WEIGHT: 5}),
    trades_of_order=Ask("fapiPrivateGetUserTrades", {WEIGHT: 5}),
)
MODIFY_ORDER: Final = Ask("fapiPrivatePutOrder", ORDER_COST)
POSITIONS: Final = Ask("fapiPrivateV3GetPositionRisk", {WEIGHT: 5})
ACCOUNT: Final = Ask("fapiPrivateV3GetAccount", {WEIGHT: 5})
INCOME: Final = Ask("fapiPrivateGetIncome", {WEIGHT: 30})
COUNTDOWN: Final = Ask("fapiPrivatePostCountdownCancelAll", {WEIGHT: 10})
START_STREAM: Final = Ask("fapiPrivatePostListenKey", {WEIGHT: 1})
KEEP_STREAM: Final = Ask("fapiPrivatePutListenKey", {WEIGHT: 1})


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

BATCH_ORDERS: Final = Ask("fapiPrivatePostBatchOrders", BATCHES[CommandKind.NEW].cost)
CANCEL_BATCH: Final = Ask("fapiPrivateDeleteBatchOrders", CANCEL_COST)


class BinanceUsdm(BinanceOrders):
    """See ``gateways.orders.venue.Venue``, and ``BinanceOrders`` for what it shares."""

    codes: Codes = CODES

    def __init__(self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock) -> None:
        by_symbol = {each.symbol: each for each in instruments}
        super().__init__("binance_usdm", exchange, by_symbol, BinanceViews(by_symbol), REQUESTS, LIMITS, clock)

    @staticmethod
    def new_exchange(credentials: Credentials, session: Any = None) -> Any:
        """See ``gateways.orders.venue.VenueType``."""
        return new_ccxt("binanceusdm", credentials, session)

    def check(self, order: Order) -> None:
        """See ``Venue``."""
        if order.display_qty:
            raise CommandError("binance_usdm shows orders whole", Reason.BAD_DISPLAY_QTY)
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("this gateway trades accounts in one-way mode", Reason.BAD_LEG)
        if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
            raise CommandError("binance_usdm has no market order of all or nothing", Reason.BAD_TIME_IN_FORCE)

    def check_amend(self, order: Order, px: int, qty: int) -> None:
        """Every limit order can be amended."""

    def batch_size(self, kind: CommandKind, waiting: int) -> int:
        """See ``gateways.orders.batches.Batching``."""
        batch = BATCHES[kind]
        size = min(batch.most, waiting)
        return size if self.limiter.share(batch.cost) < size * self.limiter.share(batch.cost_alone) else 1

    async def place_batch(self, orders: list[Order]) -> list[Answer]:
        """ "Place Multiple Orders"."""
        request = {"batchOrders": [_terms_of(order) for order in orders]}
        rows = await self.ask(BATCH_ORDERS, request, Priority.ORDER, *orders)
        return self._each_answered(rows, len(orders))

    async def cancel_batch(self, orders: list[Order]) -> list[Answer]:
        """ "Cancel Multiple Orders"."""
        request = {
            "symbol": orders[0].instrument.symbol,
            "orderidlist": [str(order.venue_order_id) for order in orders],
        }
        rows = await self.ask(CANCEL_BATCH, request, Priority.CANCEL)
        return self._each_answered(rows, len(orders))

    def _each_answered(self, rows: Any, count: int) -> list[Answer]:
        """Answers of a batch; one that does not have one of each order says nothing of any."""
        if not isinstance(rows, list) or len(rows) != count:
            return [None] * count
        return [self._error_of(row) or self.answered(row) for row in rows]

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
        return self.answered(await self.ask(REQUESTS.new_order, _terms_of(order), Priority.ORDER, order))

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """ "Modify Order"."""
        request = {
            **name_of(order),
            "side": SIDES[order.side],
            "quantity": order.instrument.qty_from_lots(qty),
            "price": order.instrument.px_from_ticks(px),
        }
        return self.answered(await self.ask(MODIFY_ORDER, request, Priority.ORDER, order))

    async def positions(self) -> list[PositionView]:
        """ "Position Information V3"."""
        rows = await self.ask(POSITIONS, {}, Priority.RECONCILE)
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
        answer = await self.ask(ACCOUNT, {}, Priority.RECONCILE)
        return {
            row["asset"]: scaled("balance", row["walletBalance"], f"balance of {row['asset']}")
            for row in answer["assets"]
        }

    async def fundings_since(self, ts: int) -> list[FundingView]:
        """ "Get Income History", FUNDING_FEE."""
        request = {"incomeType": "FUNDING_FEE", "startTime": ts // NS_PER_MS, "limit": PAGE}
        rows = await self.ask(INCOME, request, Priority.RECONCILE)
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
        await self.ask(COUNTDOWN, request, Priority.KEEP)

    async def new_stream(self) -> str:
        """ "Start User Data Stream"."""
        answer = await self.ask(START_STREAM, {}, Priority.KEEP)
        address: str = self.exchange.get_private_ws_url("linear", answer["listenKey"])
        return address

    async def greet(self, _send: Send) -> None:
        """The key in the address says it all."""

    async def keep_stream(self) -> None:
        """ "Keepalive User Data Stream"."""
        await self.ask(KEEP_STREAM, {}, Priority.KEEP)


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
