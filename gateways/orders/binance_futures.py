"""Binance's futures: what USD-M and COIN-M have in common, which is all but names and weights of requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

from gateways.credentials import Credentials
from gateways.orders.batches import Answer
from gateways.orders.binance import PAGE, WEIGHT, Ask, BinanceOrders, Requests, name_of, new_ccxt
from gateways.orders.binance_stops import check_stop, ended, stop_name, stop_terms
from gateways.orders.binance_views import NS_PER_MS, BinanceViews
from gateways.orders.binance_words import (
    LIMITS,
    MINUTE_ORDERS,
    POST_ONLY,
    SIDES,
    TEN_SECOND_ORDERS,
    TIMES_IN_FORCE,
)
from gateways.orders.clock import Clock
from gateways.orders.ids import is_external, number_of
from gateways.orders.known import Order
from gateways.orders.limiter import Cost, Priority
from gateways.orders.outcomes import REQUEST_ERRORS, Codes
from gateways.orders.venue import CommandError, Send
from gateways.orders.views import FundingView, OrderView, PositionView
from oms.decimals import scaled
from oms.instruments import Instrument
from oms.records import CommandKind, OrderFlag, OrderType, Reason, TimeInForce

ORDER_COST: Final[Cost] = {MINUTE_ORDERS: 1, TEN_SECOND_ORDERS: 1}
CANCEL_COST: Final[Cost] = {WEIGHT: 1}


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


class Futures(NamedTuple):
    """One of the markets: ccxt's names, and the requests that both have, by the titles of their pages.

    Attributes
    ----------
    exchange : str
        ccxt's name of it.
    section : str
        ccxt's name of its signed requests, by whose address ccxt chooses the table of errors.
    contracts : str
        ccxt's name of their kind, by which it knows the address of the private stream.
    """

    exchange: str
    section: str
    contracts: str
    requests: Requests
    modify_order: Ask
    place_multiple: Ask
    cancel_multiple: Ask
    positions: Ask
    account: Ask
    income: Ask
    countdown: Ask
    new_stop: Ask
    cancel_stop: Ask
    cancel_stops: Ask
    query_stop: Ask
    open_stops: Ask
    start_stream: Ask
    keep_stream: Ask


def futures(exchange: str, section: str, contracts: str, weights: Mapping[str, int], **methods: str) -> Futures:
    """The market whose requests are ccxt's methods of a section.

    Parameters
    ----------
    weights
        What those weigh that differ between the markets: ``modify``, ``trades``, ``positions``, ``income``.
    methods
        ccxt's methods of ``positions`` and ``account``.
    """
    signed = f"{section}Private"
    trades = Ask(f"{signed}GetUserTrades", {WEIGHT: weights["trades"]})
    return Futures(
        exchange,
        signed,
        contracts,
        Requests(
            exchange_information=Ask(f"{section}PublicGetExchangeInfo", {WEIGHT: 1}),
            new_order=Ask(f"{signed}PostOrder", ORDER_COST),
            cancel_order=Ask(f"{signed}DeleteOrder", CANCEL_COST),
            cancel_all=Ask(f"{signed}DeleteAllOpenOrders", {WEIGHT: 1}),
            query_order=Ask(f"{signed}GetOrder", {WEIGHT: 1}),
            open_orders=Ask(f"{signed}GetOpenOrders", {WEIGHT: 1}),
            trades=trades,
            trades_of_order=trades,
        ),
        modify_order=Ask(f"{signed}PutOrder", {**ORDER_COST, WEIGHT: weights["modify"]}),
        place_multiple=Ask(f"{signed}PostBatchOrders", BATCHES[CommandKind.NEW].cost),
        cancel_multiple=Ask(f"{signed}DeleteBatchOrders", CANCEL_COST),
        positions=Ask(methods["positions"], {WEIGHT: weights["positions"]}),
        account=Ask(methods["account"], {WEIGHT: 5}),
        income=Ask(f"{signed}GetIncome", {WEIGHT: weights["income"]}),
        countdown=Ask(f"{signed}PostCountdownCancelAll", {WEIGHT: 10}),
        new_stop=Ask(f"{signed}PostAlgoOrder", ORDER_COST),
        cancel_stop=Ask(f"{signed}DeleteAlgoOrder", CANCEL_COST),
        cancel_stops=Ask(f"{signed}DeleteAlgoOpenOrders", {WEIGHT: 1}),
        query_stop=Ask(f"{signed}GetAlgoOrder", {WEIGHT: 1}),
        open_stops=Ask(f"{signed}GetOpenAlgoOrders", {WEIGHT: 1}),
        start_stream=Ask(f"{signed}PostListenKey", {WEIGHT: 1}),
        keep_stream=Ask(f"{signed}PutListenKey", {WEIGHT: 1}),
    )


class BinanceFutures(BinanceOrders):
    """See ``gateways.orders.venue.Venue``, and ``BinanceOrders`` for what all markets share.

    Attributes
    ----------
    venue : str
        Our name of the market.
    futures : Futures
        Its requests.
    """

    venue: ClassVar[str]
    futures: ClassVar[Futures]
    codes: Codes

    def __init__(self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock) -> None:
        by_symbol = {each.symbol: each for each in instruments}
        requests = self.futures.requests
        self._futures_views = BinanceViews(by_symbol)
        super().__init__(self.venue, exchange, by_symbol, self._futures_views, requests, LIMITS, clock)

    @classmethod
    def new_exchange(cls, credentials: Credentials, session: Any = None) -> Any:
        """See ``gateways.orders.venue.VenueType``."""
        return new_ccxt(cls.futures.exchange, credentials, session)

    def check(self, order: Order) -> None:
        """See ``Venue``."""
        if order.display_qty:
            raise CommandError(f"{self.name} shows orders whole", Reason.BAD_DISPLAY_QTY)
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("this gateway trades accounts in one-way mode", Reason.BAD_LEG)
        if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
            raise CommandError(f"{self.name} has no market order of all or nothing", Reason.BAD_TIME_IN_FORCE)

    def check_stop(self, order: Order) -> None:
        """See ``gateways.orders.conditional.Conditional``."""
        check_stop(order)

    def check_amend(self, order: Order, _px: int, _qty: int) -> None:
        """Every limit order can be amended; no conditional order can."""
        if order.stands:
            raise CommandError(
                "the exchange does not change a stop that stands there: place another, then cancel it",
                Reason.NO_AMEND,
            )

    def batch_size(self, kind: CommandKind, waiting: int) -> int:
        """See ``gateways.orders.batches.Batching``."""
        batch = BATCHES[kind]
        size = min(batch.most, waiting)
        return size if self.limiter.share(batch.cost) < size * self.limiter.share(batch.cost_alone) else 1

    async def place_batch(self, orders: list[Order]) -> list[Answer]:
        """ "Place Multiple Orders"."""
        request = {"batchOrders": [_terms_of(order) for order in orders]}
        rows = await self.ask(self.futures.place_multiple, request, Priority.ORDER, *orders)
        return self._each_answered(rows, len(orders))

    async def cancel_batch(self, orders: list[Order]) -> list[Answer]:
        """ "Cancel Multiple Orders"."""
        request = {
            "symbol": orders[0].instrument.symbol,
            "orderidlist": [str(order.venue_order_id) for order in orders],
        }
        rows = await self.ask(self.futures.cancel_multiple, request, Priority.CANCEL)
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
            address = self.exchange.urls["api"][self.futures.section]
            self.exchange.handle_errors(400, "", address, "", {}, body, row, {}, "")
        except REQUEST_ERRORS as error:
            return error
        return ValueError(f"an answer that cannot be: {body}")

    async def place(self, order: Order) -> OrderView | None:
        """ "New Order", or "New Algo Order"."""
        if order.stands:
            answer = await self.ask(self.futures.new_stop, stop_terms(order), Priority.ORDER, order)
            return self._futures_views.stop(answer) if isinstance(answer, dict) and answer.get("algoId") else None
        return self.answered(await self.ask(self.futures.requests.new_order, _terms_of(order), Priority.ORDER, order))

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """ "Modify Order"."""
        request = {
            **name_of(order),
            "side": SIDES[order.side],
            "quantity": order.instrument.qty_from_lots(qty),
            "price": order.instrument.px_from_ticks(px),
        }
        return self.answered(await self.ask(self.futures.modify_order, request, Priority.ORDER, order))

    async def cancel(self, order: Order) -> OrderView | None:
        """ "Cancel Order", or "Cancel Algo Order"."""
        if not order.stands:
            return await super().cancel(order)
        return ended(order, await self.ask(self.futures.cancel_stop, stop_name(order), Priority.CANCEL))

    async def cancel_all(self, instrument: Instrument) -> None:
        """ "Cancel All Open Orders", "Cancel All Algo Open Orders"."""
        await super().cancel_all(instrument)
        await self.ask(self.futures.cancel_stops, {"symbol": instrument.symbol}, Priority.CANCEL)

    async def query(self, order: Order) -> OrderView:
        """ "Query Order", or "Query Algo Order" and of one of ours that has fired its order."""
        if not order.stands:
            return await super().query(order)
        row = await self.ask(self.futures.query_stop, stop_name(order), Priority.ASK)
        stop = self._futures_views.stop(row)
        if stop is None:
            raise ValueError(f"an answer that cannot be: {row}")
        if not stop.became or is_external(order.order_id):
            return stop
        view = await self.query_by_venue_id(order.instrument, stop.became)
        return view._replace(client_id=order.client_id)

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """ "Current All Algo Open Orders", "Current Open Orders"."""
        rows = await self.ask(self.futures.open_stops, {"symbol": instrument.symbol}, Priority.RECONCILE)
        stops = [stop for row in rows if (stop := self._futures_views.stop(row)) is not None]
        return [*stops, *await super().open_orders(instrument)]

    async def positions(self) -> list[PositionView]:
        """ "Position Information V3", or "Position Information"."""
        rows = await self.ask(self.futures.positions, {}, Priority.RECONCILE)
        found = []
        for row in rows:
            instrument = self._by_symbol.get(row["symbol"])
            if instrument is not None:
                qty = instrument.qty_to_lots(row["positionAmt"], "position")
                px = instrument.average_to_ticks(row["entryPrice"], "entry price") if qty else (0, 0)
                found.append(PositionView(instrument.id, qty, *px))
        return found

    async def balances(self) -> dict[str, int]:
        """ "Account Information V3", or "Account Information"."""
        answer = await self.ask(self.futures.account, {}, Priority.RECONCILE)
        return {
            row["asset"]: scaled("balance", row["walletBalance"], f"balance of {row['asset']}")
            for row in answer["assets"]
        }

    async def fundings_since(self, ts: int) -> list[FundingView]:
        """ "Get Income History", FUNDING_FEE."""
        request = {"incomeType": "FUNDING_FEE", "startTime": ts // NS_PER_MS, "limit": PAGE}
        rows = await self.ask(self.futures.income, request, Priority.RECONCILE)
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
        await self.ask(self.futures.countdown, request, Priority.KEEP)

    async def new_stream(self) -> str:
        """ "Start User Data Stream"."""
        answer = await self.ask(self.futures.start_stream, {}, Priority.KEEP)
        address: str = self.exchange.get_private_ws_url(self.futures.contracts, answer["listenKey"])
        return address

    async def greet(self, _send: Send) -> None:
        """The key in the address says it all."""

    async def keep_stream(self) -> None:
        """ "Keepalive User Data Stream"."""
        await self.ask(self.futures.keep_stream, {}, Priority.KEEP)


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
