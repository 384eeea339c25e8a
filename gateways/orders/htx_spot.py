"""HTX spot: orders through an unmodified ccxt, exact decimal text out and in.

There are no positions: what is bought is a balance. A buy at the market is asked for by what it may spend, which an
order of ours does not say, so it is refused. An order cannot be amended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import ccxt
import msgspec

from gateways.credentials import Credentials
from gateways.orders.cash import cash_of
from gateways.orders.clock import Clock
from gateways.orders.htx import HtxOrders, new_ccxt
from gateways.orders.htx_spot_views import CLEARING, ORDERS, HtxSpotViews
from gateways.orders.htx_spot_words import (
    ACCOUNT,
    CANCEL,
    CANCEL_ALL,
    CLIENT_ORDER,
    CODES,
    LIMIT_KINDS,
    LIMITS,
    MARKET,
    MATCHES,
    MATCHES_OF,
    OPEN,
    ORDER,
    PLACE,
    POST_ONLY,
    SWITCH,
)
from gateways.orders.htx_words import PUBLIC, SIDES
from gateways.orders.ids import external_order_id, number_of
from gateways.orders.known import Order
from gateways.orders.limiter import Priority
from gateways.orders.outcomes import Codes
from gateways.orders.venue import CommandError, Page, Send
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Standing, Told, taken
from oms.instruments import Instrument
from oms.records import OrderFlag, OrderType, Reason, TimeInForce

PAGE: Final = 500
"""Most rows of one answer."""
LEAST_SWITCH_S: Final = 5
SUCCESS: Final = 200
EVERY_SYMBOL: Final = "*"


class HtxSpot(HtxOrders):
    """The venue ``htx_spot``; see ``gateways.orders.venue.Venue``, and ``HtxOrders`` for what it shares.

    Symbols are the exchange's, such as ``btcusdt``.
    """

    codes: Codes = CODES
    tells_fills = True
    tells_why = False

    def __init__(
        self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock, patience_s: float | None = 10.0
    ) -> None:
        super().__init__("htx_spot", exchange, instruments, LIMITS, clock, patience_s)
        self._views = HtxSpotViews(self.by_symbol)
        self._account_id = ""

    @staticmethod
    def new_exchange(credentials: Credentials, session: Any = None) -> Any:
        """See ``gateways.orders.venue.VenueType``."""
        return new_ccxt(credentials, session, "htx_spot")

    async def open(self) -> None:
        """Learn the clock and the account's number, and compare each symbol's terms with the session's."""
        await self.set_clock()
        accounts = await self._ask("spotPrivateGetV1AccountAccounts", {}, ACCOUNT, Priority.RECONCILE)
        found = [row["id"] for row in accounts if row["type"] == "spot" and row["state"] == "working"]
        if not found:
            raise ValueError("the keys' user at htx has no spot account that works: open one")
        self._account_id = str(found[0])
        rows = await self._ask("spotPublicGetV1CommonSymbols", {}, PUBLIC, Priority.RECONCILE)
        known = {row["symbol"]: row for row in rows}
        for symbol, instrument in self.by_symbol.items():
            if symbol not in known:
                raise ValueError(f"{symbol} is not traded at htx: take it out of the settings")
            _check_terms(instrument, known[symbol])

    def check(self, order: Order) -> None:
        """See ``Venue``; that an order only reduces is for the core to see to, as the exchange cannot."""
        if order.display_qty:
            raise CommandError("htx_spot shows orders whole", Reason.BAD_DISPLAY_QTY)
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("htx_spot has no short leg", Reason.BAD_LEG)
        if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
            raise CommandError("htx_spot has no market order of all or nothing", Reason.BAD_TIME_IN_FORCE)
        if order.order_type is OrderType.MARKET and order.side > 0:
            raise CommandError(
                "htx_spot buys at the market for an amount of money: send a limit order that is IOC",
                Reason.BAD_ORDER_TYPE,
            )

    async def place(self, order: Order) -> OrderView | None:
        """ "Place a New Order"."""
        instrument, kind = order.instrument, MARKET
        request = {
            "account-id": self._account_id,
            "symbol": instrument.symbol,
            "amount": instrument.qty_from_lots(order.qty),
            "source": "spot-api",
            "client-order-id": order.client_id,
        }
        if order.order_type is OrderType.LIMIT:
            request["price"] = instrument.px_from_ticks(order.px)
            kind = POST_ONLY if order.flags & OrderFlag.POST_ONLY else LIMIT_KINDS[order.time_in_force]
        request["type"] = f"{SIDES[order.side]}-{kind}"
        placed = await self._ask("spotPrivatePostV1OrderOrdersPlace", request, PLACE, Priority.ORDER, order)
        return taken(order, number_of(placed, "order id")) if placed else None

    async def cancel(self, order: Order) -> OrderView | None:
        """ "Submit Cancel for an Order", by either id; None while the order is still open."""
        if order.venue_order_id:
            method = "spotPrivatePostV1OrderOrdersOrderIdSubmitcancel"
            request = {"order-id": str(order.venue_order_id)}
        else:
            method = "spotPrivatePostV1OrderOrdersSubmitCancelClientOrder"
            request = {"client-order-id": order.client_id}
        await self._ask(method, request, CANCEL, Priority.CANCEL)
        view = await self.query(order)
        return None if view.standing is Standing.OPEN else view

    async def cancel_all(self, instrument: Instrument) -> None:
        """ "Submit Cancel for Multiple Orders by Criteria": a hundred at a time."""
        request = {"account-id": self._account_id, "symbol": instrument.symbol}
        while True:
            method = "spotPrivatePostV1OrderOrdersBatchCancelOpenOrders"
            told = await self._ask(method, request, CANCEL_ALL, Priority.CANCEL)
            if not told or int(told.get("success-count") or 0) == 0:
                return

    async def query(self, order: Order) -> OrderView:
        """ "Get the Order Detail of an Order", by either id; of an order that was placed elsewhere in a session
        before, whose id is not known, the open ones are searched."""
        if order.venue_order_id:
            return await self.query_by_venue_id(order.instrument, order.venue_order_id)
        if order.client_id:
            request = {"clientOrderId": order.client_id}
            method = "spotPrivateGetV1OrderOrdersGetClientOrder"
            return self._order(await self._ask(method, request, CLIENT_ORDER, Priority.ASK))
        for view in await self.open_orders(order.instrument):
            if external_order_id(order.instrument.id, view.venue_order_id) == order.order_id:
                return view
        raise ccxt.OrderNotFound(f"htx has no open order of {order.instrument.symbol} that is ours as {order.order_id}")

    async def query_by_venue_id(self, instrument: Instrument, venue_order_id: int) -> OrderView:
        """ "Get the Order Detail of an Order"."""
        request = {"order-id": str(venue_order_id)}
        return self._order(await self._ask("spotPrivateGetV1OrderOrdersOrderId", request, ORDER, Priority.ASK))

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """ "Get All Open Orders", page by page."""
        request = {"account-id": self._account_id, "symbol": instrument.symbol}
        rows = await self._pages("spotPrivateGetV1OrderOpenOrders", request, OPEN, Priority.RECONCILE)
        return [self._views.order(row) for row in rows]

    async def fills_of(self, order: Order) -> list[FillView]:
        """ "Get the Match Result of an Order"."""
        request = {"order-id": str(order.venue_order_id)}
        method = "spotPrivateGetV1OrderOrdersOrderIdMatchresults"
        return self._fills(await self._ask(method, request, MATCHES_OF, Priority.ASK) or [])

    async def fills_from(self, instrument: Instrument, trade_id: int | None) -> Page:
        """ "Search Match Results" of 48 hours, from the newest back to the trade."""
        request = {"symbol": instrument.symbol}
        method = "spotPrivateGetV1OrderMatchresults"
        if trade_id is None:
            rows = await self._ask(method, {**request, "size": str(PAGE)}, MATCHES, Priority.RECONCILE) or []
        else:
            rows = await self._pages(method, request, MATCHES, Priority.RECONCILE, back_to_trade=trade_id)
        fills = self._fills(rows)
        return Page([fill for fill in fills if trade_id is None or fill.trade_id >= trade_id], is_last=True)

    async def positions(self) -> list[PositionView]:
        """There are none."""
        return []

    async def balances(self) -> dict[str, int]:
        """ "Get Account Balance of a Specific Account": what is free, and what open orders lock."""
        request = {"account-id": self._account_id}
        method = "spotPrivateGetV1AccountAccountsAccountIdBalance"
        account = await self._ask(method, request, ACCOUNT, Priority.RECONCILE)
        wanted = {currency for each in self.by_symbol.values() for currency in (each.base, each.quote)}
        held = dict.fromkeys(wanted, Decimal(0))
        for row in account["list"]:
            currency = row["currency"].upper()
            if currency in held and row["type"] in ("trade", "frozen"):
                held[currency] += Decimal(row["balance"])
        return {currency: cash_of(str(amount), "balance") for currency, amount in held.items()}

    async def fundings_since(self, _ts: int) -> list[FundingView]:
        """There is no funding."""
        return []

    async def arm(self, instrument: Instrument, seconds: float) -> None:
        """ "Dead man's switch": one for the whole account, so it is told once for all instruments."""
        if instrument is not next(iter(self.by_symbol.values())):
            return
        timeout = max(int(seconds), LEAST_SWITCH_S) if seconds else 0
        await self._ask("v2PrivatePostAlgoOrdersCancelAllAfter", {"timeout": timeout}, SWITCH, Priority.KEEP)

    async def new_stream(self) -> str:
        """The one of private channels."""
        address: str = self.exchange.get_url_by_market_type("spot", True, True)
        return address

    async def greet(self, send: Send) -> None:
        """ "Authentication" of version 2.1, then the subscriptions."""
        parts = urlsplit(await self.new_stream())
        signed = {
            "accessKey": self.exchange.apiKey,
            "signatureMethod": "HmacSHA256",
            "signatureVersion": "2.1",
            "timestamp": self.exchange.ymdhms(self.exchange.nonce(), "T"),
        }
        text = "\n".join(("GET", str(parts.hostname), parts.path, self.exchange.urlencode(signed)))
        signature = self.exchange.hmac(text.encode(), self.exchange.secret.encode(), hashlib.sha256, "base64")
        params = {"authType": "api", **signed, "signature": signature}
        await self.said(send, "auth", {"action": "req", "ch": "auth", "params": params})
        for channel in (f"{ORDERS}{EVERY_SYMBOL}", f"{CLEARING}{EVERY_SYMBOL}#0"):
            await self.said(send, channel, {"action": "sub", "ch": channel})

    def told(self, message: Any) -> list[Told]:
        """See ``Venue``."""
        if isinstance(message, dict):
            action = message.get("action")
            if action == "ping":
                self.pong({"action": "pong", "data": message.get("data")})
            elif action in ("req", "sub"):
                self.note_answer(str(message.get("ch")), message.get("code"), SUCCESS, message.get("message"))
        return self._views.told(message)

    def _order(self, row: Any) -> OrderView:
        if not row:
            raise ccxt.OrderNotFound("htx knows no such order")
        return self._views.order(row)

    def _fills(self, rows: list[Any]) -> list[FillView]:
        return sorted((self._views.fill(row) for row in rows), key=lambda fill: fill.trade_id)

    async def _pages(
        self, method: str, request: Mapping[str, str], cost: str, priority: Priority, back_to_trade: int = 0
    ) -> list[Any]:
        """All rows, newest first; where a trade is named, back to it. A page begins with the last row of the one
        before."""
        rows: dict[str, Any] = {}
        page = {**request, "size": str(PAGE)}
        while True:
            found = await self._ask(method, page, cost, priority) or []
            is_news = any(str(row["id"]) not in rows for row in found)
            rows |= {str(row["id"]): row for row in found}
            reaches_back = any(number_of(row.get("trade-id") or 0) < back_to_trade for row in found)
            if len(found) < PAGE or not is_news or reaches_back:
                return [*rows.values()]
            page |= {"from": min((str(row["id"]) for row in found), key=int), "direct": "next"}

    async def _ask(
        self, method: str, request: Mapping[str, Any], cost: str, priority: Priority, order: Order | None = None
    ) -> Any:
        """Wait for the turn, note when an order was asked for, send, and return what the answer brings.

        Raises
        ------
        ccxt.ExchangeError
            Also for an answer that is none of success, where ccxt has not raised one that says more.
        """
        await self.limiter.turn({cost: 1}, priority, self.patience_s if order is not None else None)
        if order is not None:
            order.sent_s = self.limiter.now_s()
        answer = await getattr(self.exchange, method)(dict(request))
        if not isinstance(answer, dict) or (answer.get("status") != "ok" and answer.get("code") != SUCCESS):
            raise ccxt.ExchangeError(f"htx {msgspec.json.encode(answer).decode()}")
        return answer.get("data")


def _check_terms(instrument: Instrument, row: Mapping[str, Any]) -> None:
    """Compare an instrument with the exchange's; raises ``ValueError``."""
    for name, precision in (("tick", row["price-precision"]), ("lot", row["amount-precision"])):
        ours, theirs = getattr(instrument, name), Decimal(1).scaleb(-int(precision))
        if Decimal(ours) % theirs:
            raise ValueError(
                f"{instrument.symbol}'s {name} {ours} is no multiple of the exchange's {theirs:f}: redefine it"
            )
