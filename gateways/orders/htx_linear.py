"""HTX's USDT-margined contracts: orders through an unmodified ccxt, exact decimal text out and in.

Requests go by ccxt's own methods of each path. The exchange answers that it has taken an order or a cancel, not what
became of it, so a cancel is followed by a query; ccxt raises nothing for a code that it does not know, so each answer's
is looked at. An order cannot be amended. The private stream tells of orders, and fills are asked for, as it does not
say what they cost. Accounts are in one-way mode with cross margin.
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
from gateways.orders.htx_views import NS_PER_MS, ORDERS, HtxLinearViews
from gateways.orders.htx_words import (
    CODES,
    FUNDING_BILLS,
    LIMIT,
    LIMITS,
    MARKET,
    ONE_WAY,
    POST_ONLY,
    PUBLIC,
    READ,
    RECEIVE_WINDOW_S,
    SIDES,
    TIMES_IN_FORCE,
    TRADE,
)
from gateways.orders.ids import MOST, external_order_id, number_of
from gateways.orders.known import Order
from gateways.orders.limiter import Priority
from gateways.orders.outcomes import Codes, Verdict, outcome_of
from gateways.orders.venue import CommandError, Page, Send
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Standing, Told, taken
from oms.instruments import Instrument
from oms.records import OrderFlag, OrderType, Reason, TimeInForce

PAGE: Final = 100
"""Most rows of one answer."""
SUCCESS: Final = 200
LEAST_SWITCH_MS: Final = 5_000
CROSS: Final = "cross"
EVERY_CONTRACT: Final = "*"


class HtxLinear(HtxOrders):
    """The venue ``htx_linear``; see ``gateways.orders.venue.Venue``, and ``HtxOrders`` for what it shares.

    Symbols are contract codes.
    """

    codes: Codes = CODES
    tells_fills = False
    tells_why = True

    def __init__(
        self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock, patience_s: float | None = 10.0
    ) -> None:
        super().__init__("htx_linear", exchange, instruments, LIMITS, clock, patience_s)
        self._views = HtxLinearViews(self.by_symbol)

    @staticmethod
    def new_exchange(credentials: Credentials, session: Any = None) -> Any:
        """See ``gateways.orders.venue.VenueType``."""
        return new_ccxt(credentials, session, "htx_linear")

    async def open(self) -> None:
        """Learn the clock, and compare the account's mode and each contract's terms with the session's."""
        await self.set_clock()
        mode = (await self._ask("contractPrivateGetV5PositionMode", {}, READ, Priority.RECONCILE))["position_mode"]
        if mode != ONE_WAY:
            raise ValueError(f"the account at htx is in {mode} mode: set its position mode to one-way")
        await self.limiter.turn({PUBLIC: 1}, Priority.RECONCILE)
        answer = await self.exchange.contractPublicGetLinearSwapApiV1SwapContractInfo({"business_type": "all"})
        rows = {row["contract_code"]: row for row in answer["data"]}
        for symbol, instrument in self.by_symbol.items():
            if symbol not in rows:
                raise ValueError(f"{symbol} is not traded at htx: take it out of the settings")
            _check_terms(instrument, rows[symbol])

    def check(self, order: Order) -> None:
        """See ``Venue``."""
        if order.display_qty:
            raise CommandError("htx_linear shows orders whole", Reason.BAD_DISPLAY_QTY)
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("this gateway trades accounts in one-way mode", Reason.BAD_LEG)
        if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
            raise CommandError("htx_linear has no market order of all or nothing", Reason.BAD_TIME_IN_FORCE)

    async def place(self, order: Order) -> OrderView | None:
        """ "Place Order"."""
        instrument = order.instrument
        request: dict[str, Any] = {
            "contract_code": instrument.symbol,
            "margin_mode": CROSS,
            "position_side": "both",
            "client_order_id": int(order.client_id),
            "side": SIDES[order.side],
            "type": MARKET,
            "volume": instrument.qty_from_lots(order.qty),
        }
        if order.order_type is OrderType.LIMIT:
            request["type"] = POST_ONLY if order.flags & OrderFlag.POST_ONLY else LIMIT
            request["price"] = instrument.px_from_ticks(order.px)
            request["time_in_force"] = TIMES_IN_FORCE[order.time_in_force]
        if order.flags & OrderFlag.REDUCE_ONLY:
            request["reduce_only"] = 1
        row = await self._ask("contractPrivatePostV5TradeOrder", request, TRADE, Priority.ORDER, order)
        return taken(order, number_of(row["order_id"], "order_id")) if row and row.get("order_id") else None

    async def cancel(self, order: Order) -> OrderView | None:
        """ "Cancel Order"; None while the order is still open."""
        await self._ask("contractPrivatePostV5TradeCancelOrder", _name_of(order), TRADE, Priority.CANCEL)
        view = await self.query(order)
        return None if view.standing is Standing.OPEN else view

    async def cancel_all(self, instrument: Instrument) -> None:
        """ "Cancel All Orders" of a contract; that there are none is as good."""
        request = {"contract_code": instrument.symbol}
        try:
            await self._ask("contractPrivatePostV5TradeCancelAllOrders", request, TRADE, Priority.CANCEL)
        except ccxt.ExchangeError as error:
            if outcome_of(error, CODES, sent_once=False).verdict is not Verdict.GONE:
                raise

    async def query(self, order: Order) -> OrderView:
        """ "Get Order Info"; the lists are searched for an order that was placed elsewhere in a session before, whose
        id is not known, and for one that has ended, which is not found by the client's id any more."""
        if not order.venue_order_id and not order.client_id:
            return await self._elsewhere(order)
        try:
            return await self._query(_name_of(order))
        except ccxt.ExchangeError as error:
            is_gone = outcome_of(error, CODES, sent_once=False).verdict is Verdict.GONE
            if order.venue_order_id or not is_gone:
                raise
            ended = await self._ended_lately(order)
            if ended is None:
                raise
            return ended

    async def query_by_venue_id(self, instrument: Instrument, venue_order_id: int) -> OrderView:
        """ "Get Order Info"."""
        return await self._query({"contract_code": instrument.symbol, "order_id": str(venue_order_id)})

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """ "Get Current Orders", page by page."""
        request = {"contract_code": instrument.symbol}
        rows = await self._pages("contractPrivateGetV5TradeOrderOpens", request, Priority.RECONCILE)
        return [self._views.order(row) for row in rows]

    async def fills_of(self, order: Order) -> list[FillView]:
        """ "Get Execution Details" of an order."""
        request = {"contract_code": order.instrument.symbol, "order_id": str(order.venue_order_id)}
        return self._views.fills(await self._pages("contractPrivateGetV5TradeOrderDetails", request, Priority.ASK))

    async def fills_from(self, instrument: Instrument, trade_id: int | None) -> Page:
        """ "Get Execution Details" of 48 hours, from the newest back to the trade."""
        rows = await self._pages(
            "contractPrivateGetV5TradeOrderDetails",
            {"contract_code": instrument.symbol},
            Priority.RECONCILE,
            back_to_trade=MOST if trade_id is None else trade_id,
        )
        fills = self._views.fills(rows)
        return Page([fill for fill in fills if trade_id is None or fill.trade_id >= trade_id], is_last=True)

    async def positions(self) -> list[PositionView]:
        """ "Get Current Position"."""
        rows = await self._ask("contractPrivateGetV5TradePositionOpens", {}, READ, Priority.RECONCILE)
        return [view for row in rows or [] if (view := self._views.position(row)) is not None]

    async def balances(self) -> dict[str, int]:
        """ "Get Account Balance": the equity of each currency without what is not realized."""
        account = await self._ask("contractPrivateGetV5AccountBalance", {}, READ, Priority.RECONCILE)
        return {
            row["currency"]: cash_of(str(Decimal(row["equity"]) - Decimal(row["profit_unreal"] or 0)), "equity")
            for row in account["details"]
        }

    async def fundings_since(self, ts: int) -> list[FundingView]:
        """ "Query Financial Records", of payments of funding."""
        request = {"type": FUNDING_BILLS, "start_time": str(ts // NS_PER_MS)}
        rows = await self._pages("contractPrivateGetV5AccountBills", request, Priority.RECONCILE)
        return [view for row in rows if (view := self._views.funding(row)) is not None]

    async def arm(self, instrument: Instrument, seconds: float) -> None:
        """ "Automatic Order Cancellation": one switch for the whole account, so it is told once for all instruments."""
        if instrument is not next(iter(self.by_symbol.values())):
            return
        request = {"on_off": "0"}
        if seconds:
            request = {"on_off": "1", "time_out": str(max(int(seconds * 1000), LEAST_SWITCH_MS))}
        await self._ask("contractPrivatePostV5TradeCancelAfter", request, TRADE, Priority.KEEP)

    async def new_stream(self) -> str:
        """The one of private topics."""
        address: str = self.exchange.get_url_by_market_type("swap", True, True, False, True)
        return address

    async def greet(self, send: Send) -> None:
        """ "Authentication", then "Subscribe to order data"."""
        parts = urlsplit(await self.new_stream())
        signed = {
            "AccessKeyId": self.exchange.apiKey,
            "SignatureMethod": "HmacSHA256",
            "SignatureVersion": "2",
            "Timestamp": self.exchange.ymdhms(self.exchange.nonce(), "T"),
        }
        text = "\n".join(("GET", str(parts.hostname), parts.path, self.exchange.urlencode(signed)))
        signature = self.exchange.hmac(text.encode(), self.exchange.secret.encode(), hashlib.sha256, "base64")
        await self.said(send, "auth", {"op": "auth", "type": "api", **signed, "Signature": signature})
        request = {"op": "sub", "cid": ORDERS, "topic": ORDERS, "contract_code": EVERY_CONTRACT}
        await self.said(send, "sub", request)

    def told(self, message: Any) -> list[Told]:
        """See ``Venue``."""
        if isinstance(message, dict):
            operation = str(message.get("op"))
            if operation == "ping":
                self.pong({"op": "pong", "ts": message.get("ts")})
            else:
                self.note_answer(operation, message.get("err-code"), 0, message.get("err-msg"))
        return self._views.told(message)

    async def _elsewhere(self, order: Order) -> OrderView:
        """ "Get Current Orders", then "Get Order History"."""
        instrument = order.instrument
        request = {"contract_code": instrument.symbol, "margin_mode": CROSS}
        for method in ("contractPrivateGetV5TradeOrderOpens", "contractPrivateGetV5TradeOrderHistory"):
            for row in await self._pages(method, request, Priority.ASK):
                if external_order_id(instrument.id, number_of(row["order_id"])) == order.order_id:
                    return self._views.order(row)
        raise ccxt.OrderNotFound(f"htx lists no order of {instrument.symbol} that is ours as {order.order_id}")

    async def _ended_lately(self, order: Order) -> OrderView | None:
        """ "Get Order History", as far back as a request may be that is still on its way, and as far again."""
        request = {
            "contract_code": order.instrument.symbol,
            "margin_mode": CROSS,
            "start_time": str(self.exchange.nonce() - int(2000 * RECEIVE_WINDOW_S)),
        }
        for row in await self._pages("contractPrivateGetV5TradeOrderHistory", request, Priority.ASK):
            view = self._views.order(row)
            if view.client_id == order.client_id:
                return view
        return None

    async def _query(self, request: Mapping[str, str]) -> OrderView:
        row = await self._ask("contractPrivateGetV5TradeOrder", request, READ, Priority.ASK)
        if not row:
            raise ccxt.OrderNotFound(f"htx knows no order {dict(request)}")
        return self._views.order(row)

    async def _pages(
        self, method: str, request: Mapping[str, str], priority: Priority, back_to_trade: int = 0
    ) -> list[Any]:
        """All rows; where a trade is named, back to it: the rows behind its page are left out.

        Whether the oldest or the newest come first is not said of each list, so that a full page is left both ways.
        """

        async def asked(**more: str) -> list[Any]:
            found: list[Any] = await self._ask(method, {**request, **more, "limit": str(PAGE)}, READ, priority) or []
            return found

        def reaches_back(found: list[Any]) -> bool:
            return any(number_of(row.get("trade_id") or "0") < back_to_trade for row in found)

        first = await asked()
        rows = [*first]
        for towards, last in (("prev", min), ("next", max)):
            found = first
            while len(found) == PAGE and not (towards == "prev" and reaches_back(found)):
                start = last((row["id"] for row in found), key=int)
                found = await asked(**{"from": start, "direct": towards})
                rows += found
        return rows

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
        if not isinstance(answer, dict) or str(answer.get("code")) != str(SUCCESS):
            raise ccxt.ExchangeError(f"htx {msgspec.json.encode(answer).decode()}")
        return answer.get("data")


def _check_terms(instrument: Instrument, row: Mapping[str, Any]) -> None:
    """Compare a contract with the exchange's; raises ``ValueError``."""
    for name, text in (("tick", str(row["price_tick"])), ("lot", "1")):
        ours = getattr(instrument, name)
        if Decimal(ours) % Decimal(text):
            raise ValueError(
                f"{instrument.symbol}'s {name} {ours} is no multiple of the exchange's {text}: redefine it"
            )
    if Decimal(instrument.multiplier) != Decimal(str(row["contract_size"])):
        raise ValueError(
            f"{instrument.symbol} has contracts of {row['contract_size']} at the exchange, not of "
            f"{instrument.multiplier}: redefine it"
        )


def _name_of(order: Order) -> dict[str, str]:
    """The order of a request: by the exchange's id, or by the client's where that is all that is known."""
    named = {"order_id": str(order.venue_order_id)} if order.venue_order_id else {"client_order_id": order.client_id}
    return {"contract_code": order.instrument.symbol, **named}
