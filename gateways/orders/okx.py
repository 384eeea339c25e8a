"""OKX: orders through an unmodified ccxt, exact decimal text out and in.

Requests go by ccxt's own methods of each path, as those of ``gateways.orders.binance_usdm``. The exchange's answers to
new orders, amends and cancels say only that these were taken, so an amend and a cancel are followed by a query. Swaps
are traded in net mode with cross margin; ``gateways.orders.okx_spot`` is what is spot's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

import ccxt
import msgspec

from gateways.credentials import PASSPHRASE, Credentials, CredentialsError, variable
from gateways.orders.batches import Answer
from gateways.orders.cash import cash_of
from gateways.orders.clock import Clock
from gateways.orders.ids import MOST, external_order_id, is_external, number_of
from gateways.orders.known import Order
from gateways.orders.limiter import Limiter, Priority
from gateways.orders.okx_stops import CONDITIONAL, check_stop, stop_name, stop_terms, stop_view
from gateways.orders.okx_views import ACCOUNT, NS_PER_MS, ORDERS, OkxViews
from gateways.orders.okx_words import (
    ACCOUNT_ORDERS,
    AMEND,
    BALANCE,
    BILLS,
    CANCEL,
    CANCEL_BATCH,
    CANCEL_STOP,
    CODES,
    CONFIGURATION,
    FILLS,
    HISTORY,
    INSTRUMENTS,
    LIMIT_TYPES,
    MARKET,
    OLD_FILLS,
    PENDING,
    PENDING_STOPS,
    PLACE,
    PLACE_BATCH,
    PLACE_STOP,
    POSITIONS,
    POST_ONLY,
    QUERY,
    QUERY_STOP,
    RECEIVE_WINDOW_S,
    SIDES,
    SWITCH,
    TIME,
    limit_name,
    limits_of,
)
from gateways.orders.outcomes import Codes
from gateways.orders.venue import CommandError, Page, Send
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Standing, Told, taken
from oms.instruments import Instrument
from oms.records import CommandKind, OrderFlag, OrderType, Reason, TimeInForce

PAGE: Final = 100
"""Most rows of one answer."""

MOST_IN_BATCH: Final = 20
MOST_STOPS_IN_BATCH: Final = 10
SWITCH_S: Final = (10, 120)
"""The least and the most that the dead man's switch takes."""

FUNDING_BILLS: Final = "8"
NET_MODE: Final = "net_mode"
SPOT_ONLY: Final = "1"
"""``acctLv`` of an account that cannot trade contracts."""

LOGIN_PATH: Final = "GET/users/self/verify"
CHANNELS: Final = ({"channel": ORDERS, "instType": "ANY"}, {"channel": ACCOUNT})


class Okx:
    """The venue ``okx``: swaps; see ``gateways.orders.venue.Venue``.

    Parameters
    ----------
    exchange
        As ``new_exchange`` makes it; its session is its maker's to close.
    instruments
        The session's of this venue; their symbols are the exchange's ``instId``.
    clock
        For the rate limits.
    patience_s
        How long a new order or an amend waits for its turn before it is refused.

    Attributes
    ----------
    name : str
        Our name of the market.
    kinds : tuple of str
        Of the instruments that are traded.
    inst_type, trade_mode : str
        What the exchange calls those, and how they are traded: ``instType``, ``tdMode``.
    """

    name: ClassVar[str] = "okx"
    kinds: ClassVar[tuple[str, ...]] = ("linear_perpetual", "inverse_perpetual")
    inst_type: ClassVar[str] = "SWAP"
    trade_mode: ClassVar[str] = "cross"
    codes: Codes = CODES
    tells_fills = True
    tells_why = True

    def __init__(
        self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock, patience_s: float | None = 10.0
    ) -> None:
        self.exchange = exchange
        self._by_symbol = {each.symbol: each for each in instruments}
        self.limiter = Limiter(limits_of(list(self._by_symbol)), clock)
        self._views = self.new_views()
        self.patience_s = patience_s
        self._awaited: dict[str, asyncio.Future[None]] = {}
        """What the exchange is still to say on a stream that has just been opened, by event and channel."""
        exchange.on_rest_response = self._observe

    def new_views(self) -> OkxViews:
        """Who reads what the exchange writes."""
        return OkxViews(self._by_symbol)

    @classmethod
    def new_exchange(cls, credentials: Credentials, session: Any = None) -> Any:
        """See ``VenueType``; raises ``CredentialsError`` where the passphrase is missing."""
        import ccxt.pro

        if not credentials.passphrase:
            raise CredentialsError(
                f"the keys of {cls.name} have a passphrase too: set {variable(cls.name, PASSPHRASE)}"
            )

        settings: dict[str, Any] = {
            "apiKey": credentials.key,
            "secret": credentials.secret,
            "password": credentials.passphrase,
            "enableRateLimit": False,
            "options": {"adjustForTimeDifference": False},
        }
        if session is not None:
            settings["session"] = session
        return ccxt.pro.okx(settings)

    @property
    def receive_window_s(self) -> float:
        """By the time that a request carries."""
        return RECEIVE_WINDOW_S

    async def open(self) -> None:
        """Learn the clock, and compare the account's mode and each instrument's terms with the session's."""
        for symbol, instrument in self._by_symbol.items():
            if instrument.kind not in self.kinds:
                raise ValueError(f"{symbol} is {instrument.kind}, which {self.name} does not trade: see its venues")
        await self.set_clock()
        (account,) = await self._ask("privateGetAccountConfig", {}, CONFIGURATION, Priority.RECONCILE)
        self.check_account(account)
        for symbol, instrument in self._by_symbol.items():
            request = {"instType": self.inst_type, "instId": symbol}
            try:
                rows = await self._ask("publicGetPublicInstruments", request, INSTRUMENTS, Priority.RECONCILE)
            except ccxt.BadSymbol:
                rows = []
            if not rows:
                raise ValueError(f"{symbol} is not traded at okx: take it out of the settings")
            _check_grid(instrument, rows[0])
            self.check_contract(instrument, rows[0])

    def check_account(self, account: Mapping[str, str]) -> None:
        """Raise ``ValueError`` for an account of another mode ("Get account configuration")."""
        if account["posMode"] != NET_MODE:
            raise ValueError(f"the account at okx is in {account['posMode']}: set its position mode to net")
        if account["acctLv"] == SPOT_ONLY:
            raise ValueError("the account at okx is in spot mode, and swaps are traded: change its mode")

    def check_contract(self, instrument: Instrument, row: Mapping[str, str]) -> None:
        """Raise ``ValueError`` where the exchange tells more of a contract, and it is not the instrument's."""
        size = Decimal(row["ctVal"]) * Decimal(row["ctMult"])
        if Decimal(instrument.multiplier) != size or instrument.inverse != (row["ctType"] == "inverse"):
            raise ValueError(
                f"{instrument.symbol} is {row['ctType']} with contracts of {size:f} {row['ctValCcy']} at the exchange, "
                f"not {instrument.kind} of {instrument.multiplier}: redefine it"
            )

    async def close(self) -> None:
        """End the streams and, where ccxt made it, the session."""
        self.limiter.close()
        await self.exchange.close()

    async def set_clock(self) -> None:
        """Learn the difference to the exchange's clock, by which requests are then dated."""
        await self.limiter.turn({TIME: 1}, Priority.KEEP)
        await self.exchange.load_time_difference()

    def check(self, order: Order) -> None:
        """See ``Venue``."""
        if order.display_qty:
            raise CommandError(f"{self.name} shows orders whole", Reason.BAD_DISPLAY_QTY)
        if order.flags & OrderFlag.SHORT_LEG:
            raise CommandError("this gateway trades accounts in net mode", Reason.BAD_LEG)
        if order.order_type is OrderType.MARKET and order.time_in_force is TimeInForce.FOK:
            raise CommandError(f"{self.name} has no market order of all or nothing", Reason.BAD_TIME_IN_FORCE)

    def check_stop(self, order: Order) -> None:
        """See ``gateways.orders.conditional.Conditional``."""
        check_stop(order)

    def check_amend(self, order: Order, _px: int, _qty: int) -> None:
        """Every limit order can be amended; stops are not."""
        if order.stands:
            raise CommandError("a stop at okx is not changed: place another, then cancel it", Reason.NO_AMEND)

    async def place(self, order: Order) -> OrderView | None:
        """ "Place order", or "Place algo order"."""
        if order.stands:
            terms = stop_terms(order, self.trade_mode)
            rows = await self._ask(
                "privatePostTradeOrderAlgo", terms, (PLACE_STOP, order), Priority.ORDER, is_order=True
            )
            return taken(order, number_of(rows[0]["algoId"], "algoId")) if rows and rows[0].get("algoId") else None
        request = self.terms_of(order)
        rows = await self._ask("privatePostTradeOrder", request, (PLACE, order), Priority.ORDER, is_order=True)
        return _taken(order, rows[0]) if rows else None

    def batch_size(self, kind: CommandKind, waiting: int) -> int:
        """See ``gateways.orders.batches.Batching``: cancels go alone, for each is followed by a query anyway."""
        return min(waiting, MOST_IN_BATCH) if kind is CommandKind.NEW else 1

    async def place_batch(self, orders: list[Order]) -> list[Answer]:
        """ "Place multiple orders"."""
        counts = Counter(limit_name(PLACE_BATCH, order.instrument.symbol) for order in orders)
        await self.limiter.turn({**counts, ACCOUNT_ORDERS: len(orders)}, Priority.ORDER, self.patience_s)
        for order in orders:
            order.sent_s = self.limiter.now_s()
        try:
            answer = await self.exchange.privatePostTradeBatchOrders([self.terms_of(order) for order in orders])
        except ccxt.BaseError as error:  # when all are refused, ccxt raises what the first is refused for
            answer = _answer_in(error)
            if len(answer["data"]) != len(orders):
                raise
        rows = answer["data"]
        if len(rows) != len(orders):
            return [None] * len(orders)
        return [self._error_of(row) or _taken(order, row) for order, row in zip(orders, rows, strict=True)]

    async def cancel_batch(self, orders: list[Order]) -> list[Answer]:
        """Each by itself."""
        return [await self.cancel(order) for order in orders]

    def terms_of(self, order: Order) -> dict[str, Any]:
        """A new order, as a request says it."""
        instrument = order.instrument
        request: dict[str, Any] = {
            "instId": instrument.symbol,
            "tdMode": self.trade_mode,
            "clOrdId": order.client_id,
            "side": SIDES[order.side],
            "ordType": MARKET,
            "sz": instrument.qty_from_lots(order.qty),
        }
        if order.order_type is OrderType.LIMIT:
            is_post_only = order.flags & OrderFlag.POST_ONLY
            request["ordType"] = POST_ONLY if is_post_only else LIMIT_TYPES[order.time_in_force]
            request["px"] = instrument.px_from_ticks(order.px)
        if order.flags & OrderFlag.REDUCE_ONLY:
            request["reduceOnly"] = True
        return request

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """ "Amend order": what has come of it is asked for."""
        request = {
            **_name_of(order),
            "newPx": order.instrument.px_from_ticks(px),
            "newSz": order.instrument.qty_from_lots(qty),
        }
        await self._ask("privatePostTradeAmendOrder", request, (AMEND, order), Priority.ORDER, is_order=True)
        return None

    async def cancel(self, order: Order) -> OrderView | None:
        """ "Cancel order", or "Cancel algo order"; None while the order is still open."""
        if order.stands:
            return await self._cancel_stop(order)
        await self._ask("privatePostTradeCancelOrder", _name_of(order), (CANCEL, order), Priority.CANCEL)
        view = await self.query(order)
        return None if view.standing is Standing.OPEN else view

    async def _cancel_stop(self, order: Order) -> OrderView | None:
        if not order.stop_id:  # they are cancelled by the exchange's id alone
            view = await self.query(order)
            if view.stop is None or view.standing is not Standing.OPEN:
                return view
            order.stop_id = view.venue_order_id
        request = [{"instId": order.instrument.symbol, "algoId": str(order.stop_id)}]
        await self._cancel_stops(order.instrument, request)
        view = await self.query(order)
        return None if view.stop is not None and view.standing is Standing.OPEN else view

    async def _cancel_stops(self, instrument: Instrument, request: list[dict[str, str]]) -> None:
        """ "Cancel algo order" of several."""
        await self.limiter.turn({limit_name(CANCEL_STOP, instrument.symbol): len(request)}, Priority.CANCEL)
        await self.exchange.privatePostTradeCancelAlgos(request)

    async def cancel_all(self, instrument: Instrument) -> None:
        """ "Cancel multiple orders" of all that are open, "Cancel algo order": those that have ended meanwhile are as
        good."""
        found = await self.open_orders(instrument)
        stops = [view for view in found if view.stop is not None]
        for first in range(0, len(stops), MOST_STOPS_IN_BATCH):
            batch = stops[first : first + MOST_STOPS_IN_BATCH]
            named = [{"instId": instrument.symbol, "algoId": str(view.venue_order_id)} for view in batch]
            try:
                await self._cancel_stops(instrument, named)
            except ccxt.OrderNotFound:
                continue
        views = [view for view in found if view.stop is None]
        cost = limit_name(CANCEL_BATCH, instrument.symbol)
        for first in range(0, len(views), MOST_IN_BATCH):
            batch = views[first : first + MOST_IN_BATCH]
            request = [{"instId": instrument.symbol, "ordId": str(view.venue_order_id)} for view in batch]
            await self.limiter.turn({cost: len(batch)}, Priority.CANCEL)
            try:
                await self.exchange.privatePostTradeCancelBatchOrders(request)
            except ccxt.OrderNotFound:
                continue

    async def query(self, order: Order) -> OrderView:
        """ "Order details", or "Algo order details" and of one of ours that has fired its order; of an order that was
        placed elsewhere in a session before, whose id is not known, the lists are searched."""
        if order.stands:
            (row,) = await self._ask("privateGetTradeOrderAlgo", stop_name(order), QUERY_STOP, Priority.ASK)
            stop = stop_view(self._by_symbol, row)
            if stop is None:
                raise ValueError(f"an answer that cannot be: {row}")
            if not stop.became or is_external(order.order_id):
                return stop
            view = await self.query_by_venue_id(order.instrument, stop.became)
            return view._replace(client_id=order.client_id)
        if not order.venue_order_id and not order.client_id:
            return await self._elsewhere(order)
        (row,) = await self._ask("privateGetTradeOrder", _name_of(order), (QUERY, order), Priority.ASK)
        return self._views.order(row)

    async def query_by_venue_id(self, instrument: Instrument, venue_order_id: int) -> OrderView:
        """ "Order details"."""
        request = {"instId": instrument.symbol, "ordId": str(venue_order_id)}
        cost = limit_name(QUERY, instrument.symbol)
        (row,) = await self._ask("privateGetTradeOrder", request, cost, Priority.ASK)
        return self._views.order(row)

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """ "Algo order list", "Order List", page by page."""
        request = {"instType": self.inst_type, "instId": instrument.symbol}
        asked = {**request, "ordType": CONDITIONAL}
        rows = await self._pages("privateGetTradeOrdersAlgoPending", asked, PENDING_STOPS, Priority.RECONCILE, "algoId")
        stops = [stop for row in rows if (stop := stop_view(self._by_symbol, row)) is not None]
        rows = await self._pages("privateGetTradeOrdersPending", request, PENDING, Priority.RECONCILE, "ordId")
        return [*stops, *(self._views.order(row) for row in rows)]

    async def fills_of(self, order: Order) -> list[FillView]:
        """ "Transaction details" of three days, and where that is not all, of three months."""
        request = {
            "instType": self.inst_type,
            "instId": order.instrument.symbol,
            "ordId": str(order.venue_order_id),
        }
        rows = await self._pages("privateGetTradeFills", request, FILLS, Priority.ASK, "billId")
        fills = self._fills(rows)
        if sum(fill.qty for fill in fills) < order.said_filled_qty:
            rows = await self._pages("privateGetTradeFillsHistory", request, OLD_FILLS, Priority.ASK, "billId")
            fills = self._fills(rows)
        return fills

    async def fills_from(self, instrument: Instrument, trade_id: int | None) -> Page:
        """ "Transaction details": from the newest back to the trade."""
        request = {"instType": self.inst_type, "instId": instrument.symbol}
        rows = await self._pages(
            "privateGetTradeFills",
            request,
            FILLS,
            Priority.RECONCILE,
            "billId",
            back_to_trade=MOST if trade_id is None else trade_id,
        )
        fills = self._fills(rows)
        return Page([fill for fill in fills if trade_id is None or fill.trade_id >= trade_id], is_last=True)

    async def positions(self) -> list[PositionView]:
        """ "Get positions"."""
        request = {"instType": self.inst_type}
        rows = await self._ask("privateGetAccountPositions", request, POSITIONS, Priority.RECONCILE)
        return [view for row in rows if (view := self._views.position(row)) is not None]

    async def balances(self) -> dict[str, int]:
        """ "Get balance": cash, without what is open."""
        rows = await self._ask("privateGetAccountBalance", {}, BALANCE, Priority.RECONCILE)
        details = [detail for row in rows for detail in row["details"]]
        return {detail["ccy"]: cash_of(detail["cashBal"], "cashBal") for detail in details}

    async def fundings_since(self, ts: int) -> list[FundingView]:
        """ "Get bills details" of seven days."""
        request = {"type": FUNDING_BILLS, "begin": str(ts // NS_PER_MS)}
        rows = await self._pages("privateGetAccountBills", request, BILLS, Priority.RECONCILE, "billId")
        return [view for row in rows if (view := self._views.funding(row)) is not None]

    async def arm(self, instrument: Instrument, seconds: float) -> None:
        """ "Cancel All After": one switch for the whole account, so it is told once for all instruments."""
        if instrument is not next(iter(self._by_symbol.values())):
            return
        least, most = SWITCH_S
        told = min(max(int(seconds), least), most) if seconds else 0
        await self._ask("privatePostTradeCancelAllAfter", {"timeOut": str(told)}, SWITCH, Priority.KEEP)

    async def new_stream(self) -> str:
        """The one of private channels."""
        address: str = self.exchange.get_url(ORDERS, "private")
        return address

    async def greet(self, send: Send) -> None:
        """ "Login", then "Subscribe"."""
        timestamp = str(int(self.exchange.nonce()) // 1000)
        signature = self.exchange.hmac(
            f"{timestamp}{LOGIN_PATH}".encode(), self.exchange.secret.encode(), hashlib.sha256, "base64"
        )
        login = {"apiKey": self.exchange.apiKey, "passphrase": self.exchange.password}
        await self._said(
            send, {"op": "login", "args": [{**login, "timestamp": timestamp, "sign": signature}]}, ["login"]
        )
        await self._said(send, {"op": "subscribe", "args": [*CHANNELS]}, [each["channel"] for each in CHANNELS])

    async def keep_stream(self) -> None:
        """It lasts as long as its connection, which ccxt keeps with the text ``ping``."""

    def told(self, message: Any) -> list[Told]:
        """See ``Venue``."""
        if isinstance(message, dict) and "event" in message:
            self._note_event(message)
        return self._views.told(message)

    async def _elsewhere(self, order: Order) -> OrderView:
        """ "Order List", then "Order history" of seven days."""
        instrument = order.instrument
        request = {"instType": self.inst_type, "instId": instrument.symbol}
        for method, cost in (("privateGetTradeOrdersPending", PENDING), ("privateGetTradeOrdersHistory", HISTORY)):
            for row in await self._pages(method, request, cost, Priority.ASK, "ordId"):
                if external_order_id(instrument.id, number_of(row["ordId"])) == order.order_id:
                    return self._views.order(row)
        raise ccxt.OrderNotFound(f"okx lists no order of {instrument.symbol} that is ours as {order.order_id}")

    async def _said(self, send: Send, request: Any, awaited: list[str]) -> None:
        """Send a request on a stream, and wait for what it is answered with."""
        loop = asyncio.get_running_loop()
        self._awaited = {name: loop.create_future() for name in awaited}
        await send(request)
        await asyncio.gather(*self._awaited.values())

    def _error_of(self, row: Mapping[str, Any]) -> Exception | None:
        """What ccxt would raise for a refusal, had it come alone; None: it is none."""
        if row.get("sCode", "0") == "0":
            return None
        content = {"code": "1", "data": [row], "msg": ""}
        body = msgspec.json.encode(content).decode()
        try:
            self.exchange.handle_errors(200, "", "", "", {}, body, content, {}, "")
        except ccxt.BaseError as error:
            refusal: Exception = error
            return refusal
        return ValueError(f"an answer that cannot be: {body}")

    def _note_event(self, message: Mapping[str, Any]) -> None:
        """An answer to a login or a subscription; a refusal ends whatever is waited for."""
        if message["event"] == "error":
            text = f"okx {message.get('code')} {message.get('msg')}"
            for waiting in self._awaited.values():
                if not waiting.done():
                    waiting.set_exception(ccxt.AuthenticationError(text))
            return
        waiting_for = self._awaited.get(message.get("arg", {}).get("channel", message["event"]))
        if waiting_for is not None and not waiting_for.done():
            waiting_for.set_result(None)

    def _fills(self, rows: list[Any]) -> list[FillView]:
        return sorted((self._views.fill(row) for row in rows), key=lambda fill: fill.trade_id)

    async def _pages(
        self,
        method: str,
        request: Mapping[str, Any],
        cost: str,
        priority: Priority,
        key: str,
        back_to_trade: int = 0,
    ) -> list[Any]:
        """All rows, newest first; where a trade is named, back to it: the rows behind its page are left out."""
        rows: list[Any] = []
        page: dict[str, Any] = {**request, "limit": str(PAGE)}
        while True:
            found = await self._ask(method, page, cost, priority)
            rows += found
            if len(found) < PAGE or any(number_of(row.get("tradeId") or "0") < back_to_trade for row in found):
                return rows
            page["after"] = min((row[key] for row in found), key=int)

    async def _ask(
        self,
        method: str,
        request: Mapping[str, Any],
        cost: str | tuple[str, Order],
        priority: Priority,
        *,
        is_order: bool = False,
    ) -> list[Any]:
        """Wait for the turn, note when an order was asked for, send, and return the answer's rows."""
        order = None if isinstance(cost, str) else cost[1]
        name = cost if isinstance(cost, str) else limit_name(cost[0], cost[1].instrument.symbol)
        costs = {name: 1, ACCOUNT_ORDERS: 1} if is_order else {name: 1}
        await self.limiter.turn(costs, priority, self.patience_s if is_order else None)
        if order is not None and is_order:
            order.sent_s = self.limiter.now_s()
        sending: Awaitable[Any] = getattr(self.exchange, method)(dict(request))
        rows: list[Any] = (await sending)["data"]
        return rows

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


def _check_grid(instrument: Instrument, row: Mapping[str, str]) -> None:
    """Compare an instrument's tick and lot with the exchange's; raises ``ValueError``."""
    for name, text in (("tick", row["tickSz"]), ("lot", row["lotSz"])):
        ours = getattr(instrument, name)
        if Decimal(ours) % Decimal(text):
            raise ValueError(
                f"{instrument.symbol}'s {name} {ours} is no multiple of the exchange's {text}: redefine it"
            )


def _answer_in(error: ccxt.BaseError) -> dict[str, Any]:
    """The answer that an exception of ccxt's quotes; one without rows where it quotes none."""
    try:
        return {"data": [], **msgspec.json.decode(str(error).partition(" ")[2], type=dict[str, Any])}
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {"data": []}


def _taken(order: Order, row: Mapping[str, Any]) -> OrderView | None:
    """An order by the answer to it; None: it has no id."""
    if not row.get("ordId"):
        return None
    return taken(order, number_of(row["ordId"], "ordId"), int(row.get("ts") or 0) * NS_PER_MS)


def _name_of(order: Order) -> dict[str, str]:
    """The order of a request: by the exchange's id, or by the client's where that is all that is known."""
    named = {"ordId": str(order.venue_order_id)} if order.venue_order_id else {"clOrdId": order.client_id}
    return {"instId": order.instrument.symbol, **named}
