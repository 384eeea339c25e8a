"""Binance spot: the venue ``binance_spot``. There are no positions: what is bought is a balance.

An account's events come on the exchange's WebSocket API, to whoever subscribes there with a signature.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateways.credentials import Credentials
from gateways.orders.binance import WEIGHT, Ask, BinanceOrders, Requests, name_of, new_ccxt
from gateways.orders.binance_spot_views import BinanceSpotViews
from gateways.orders.binance_spot_words import CODES, DAY_ORDERS, LIMITS, POST_ONLY, TEN_SECOND_ORDERS
from gateways.orders.binance_words import SIDES, TIMES_IN_FORCE
from gateways.orders.clock import Clock
from gateways.orders.known import Order
from gateways.orders.limiter import Priority
from gateways.orders.outcomes import Codes
from gateways.orders.venue import CommandError, Send
from gateways.orders.views import FundingView, OrderView, PositionView, Told
from oms.decimals import scaled
from oms.instruments import Instrument
from oms.records import OrderFlag, OrderType, Reason, TimeInForce

REQUESTS: Final = Requests(
    exchange_information=Ask("publicGetExchangeInfo", {WEIGHT: 20}),
    new_order=Ask("privatePostOrder", {WEIGHT: 1, DAY_ORDERS: 1, TEN_SECOND_ORDERS: 1}),
    cancel_order=Ask("privateDeleteOrder", {WEIGHT: 1}),
    cancel_all=Ask("privateDeleteOpenOrders", {WEIGHT: 1}),
    query_order=Ask("privateGetOrder", {WEIGHT: 4}),
    open_orders=Ask("privateGetOpenOrders", {WEIGHT: 6}),
    trades=Ask("privateGetMyTrades", {WEIGHT: 20}),
    trades_of_order=Ask("privateGetMyTrades", {WEIGHT: 5}),
)
ACCOUNT: Final = Ask("privateGetAccount", {WEIGHT: 20})
AMEND_PATH: Final = "order/amend/keepPriority"
AMEND_COST: Final = {WEIGHT: 4}
SUBSCRIBE: Final = "userDataStream.subscribe.signature"
SUBSCRIBE_COST: Final = {WEIGHT: 2}
OUT_OF_TIME: Final = -1021


class BinanceSpot(BinanceOrders):
    """See ``gateways.orders.venue.Venue``, and ``BinanceOrders`` for what it shares."""

    codes: Codes = CODES

    def __init__(self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock) -> None:
        by_symbol = {each.symbol: each for each in instruments}
        super().__init__("binance_spot", exchange, by_symbol, BinanceSpotViews(by_symbol), REQUESTS, LIMITS, clock)
        self._greetings = 0
        self._greeted: asyncio.Future[Any] | None = None

    @staticmethod
    def new_exchange(credentials: Credentials, session: Any = None) -> Any:
        """See ``gateways.orders.venue.VenueType``."""
        return new_ccxt("binance", credentials, session, fetchMargins=False, fetchMarkets={"types": ["spot"]})

    def check(self, order: Order) -> None:
        """See ``Venue``; that an order only reduces is for the core to see to, as the exchange cannot."""
        if order.display_qty:
            raise CommandError("binance_spot shows orders whole", Reason.BAD_DISPLAY_QTY)
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("binance_spot has no short leg", Reason.BAD_LEG)
        if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
            raise CommandError("binance_spot has no market order of all or nothing", Reason.BAD_TIME_IN_FORCE)

    def check_amend(self, order: Order, px: int, qty: int) -> None:
        """An order can be made smaller, and nothing else: another order in its place would be another order."""
        if px != order.px or qty > order.qty:
            raise CommandError(
                f"order {order.order_id}: binance_spot only makes orders smaller, at the price that they have; "
                f"cancel it and place another one",
                Reason.NO_AMEND,
            )

    async def place(self, order: Order) -> OrderView | None:
        """ "New order"; one at the market has no price, which would be taken for what it may cost."""
        request = {
            "symbol": order.instrument.symbol,
            "side": SIDES[order.side],
            "type": order.order_type.name,
            "quantity": order.instrument.qty_from_lots(order.qty),
            "newClientOrderId": order.client_id,
            "newOrderRespType": "RESULT",
        }
        if order.order_type is OrderType.LIMIT:
            request["price"] = order.instrument.px_from_ticks(order.px)
            if order.flags & OrderFlag.POST_ONLY:
                request["type"] = POST_ONLY
            else:
                request["timeInForce"] = TIMES_IN_FORCE[order.time_in_force]
        return self.answered(await self.ask(REQUESTS.new_order, request, Priority.ORDER, order))

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """ "Order Amend Keep Priority", of which ccxt has no method of its own; the order keeps its id."""
        request = {
            **name_of(order),
            "newQty": order.instrument.qty_from_lots(qty),
            "newClientOrderId": order.client_id,
        }
        await self.turn(AMEND_COST, Priority.ORDER, order)
        answer = await self.exchange.request(AMEND_PATH, ["private"], "PUT", request)
        amended = answer.get("amendedOrder") if isinstance(answer, dict) else None
        return self.answered({**amended, "transactTime": answer["transactTime"]} if amended else None)

    async def positions(self) -> list[PositionView]:
        """There are none."""
        return []

    async def balances(self) -> dict[str, int]:
        """ "Account information": what is free, and what open orders lock."""
        answer = await self.ask(ACCOUNT, {}, Priority.RECONCILE)
        return {
            row["asset"]: sum(scaled("balance", row[part], f"balance of {row['asset']}") for part in ("free", "locked"))
            for row in answer["balances"]
        }

    async def fundings_since(self, _ts: int) -> list[FundingView]:
        """There is no funding."""
        return []

    async def arm(self, _instrument: Instrument, _seconds: float) -> None:
        """The exchange has no dead man's switch."""

    async def new_stream(self) -> str:
        """The WebSocket API."""
        address: str = self.exchange.urls["api"]["ws"]["ws-api"]["spot"]
        return address

    async def greet(self, send: Send) -> None:
        """ "Subscribe to User Data Stream through signature subscription"."""
        await self.turn(SUBSCRIBE_COST, Priority.KEEP)
        self._greetings += 1
        greeted = self._greeted = asyncio.get_running_loop().create_future()
        await send({"id": self._greetings, "method": SUBSCRIBE, "params": self.exchange.sign_params({})})
        answer = await greeted
        if answer.get("status") != 200:
            refusal = answer.get("error") or {}
            if refusal.get("code") == OUT_OF_TIME:
                await self.set_clock()
            raise ValueError(f"the exchange tells no events: {refusal}")

    async def keep_stream(self) -> None:
        """A subscription lasts as long as its connection."""

    def told(self, message: Any) -> list[Told]:
        """See ``Venue``; an answer is that to the greeting."""
        if isinstance(message, dict) and message.get("id") == self._greetings and "event" not in message:
            if self._greeted is not None and not self._greeted.done():
                self._greeted.set_result(message)
            return []
        return super().told(message)
