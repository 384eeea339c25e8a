"""Orders at any exchange of ccxt.pro's, by its unified methods: see ``gateways.orders.venue.Venue``.

What the venues that zoms knows tell in their own words, this one has to ask: fills come from the account's list of
trades alone, so that each has one id however often it is told, and the private stream only says when to look there.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import ccxt

from gateways.abilities import SWITCHED, amends, buys_by_cost, lacks, why_unfit
from gateways.credentials import PASSPHRASE, Credentials, CredentialsError, variable
from gateways.generic import differences, exchange_class, market_of
from gateways.orders.clock import Clock
from gateways.orders.generic_account import GenericAccount
from gateways.orders.generic_requests import NoAnswerError, again, prepared, settings_of
from gateways.orders.generic_views import WAYS, GenericViews, UnfitError
from gateways.orders.ids import MOST, external_order_id, ids_of
from gateways.orders.known import Order
from gateways.orders.limiter import Priority, RateError
from gateways.orders.outcomes import REQUEST_ERRORS, Codes, Verdict
from gateways.orders.venue import CommandError, Send
from gateways.orders.views import OrderView, Standing, Told, taken
from gateways.venues import Venue
from oms.instruments import Instrument
from oms.records import OrderFlag, OrderType, Reason, TimeInForce

SETTLE_S: Final = 0.25
"""How long a stream that has been subscribed to has to be refused: ccxt does not say when it is heard."""
LOOK_S: Final = 0.02

SKEW_MS: Final = 60_000
"""How far the exchange's clock may be from ours, in questions about what has been since an order was sent."""

CODES: Final[Codes] = {
    "uplicate": (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    "already exist": (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
}
"""Words by which exchanges say that a client order id is there already: ccxt takes some of them for refusals."""

LATE_S: Final = 5.0
"""How long a stream may take with an order that was placed: ccxt does not notice every end of one."""

IN_FORCE: Final = {TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}


class GenericOrders(GenericAccount):
    """One market of an exchange; see ``gateways.orders.venue.Venue``.

    Parameters
    ----------
    row
        Says which.
    exchange
        As ``orders_of(row).new_exchange`` makes it.
    instruments
        The session's of this venue.
    clock
        For the rate limits, and for what the streams wait for.
    """

    codes: Codes = CODES
    tells_fills = False
    tells_why = False

    def __init__(self, row: Venue, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock) -> None:
        super().__init__(row, exchange, instruments, clock)
        self.receive_window_s = row.receive_window_s
        self.settle_s = SETTLE_S
        self.late_s = LATE_S
        self._clock = clock
        self._asks_by_client_id = "clientOrderId" in inspect.getsource(type(exchange).fetch_order)
        self._is_named: bool | None = None
        """Whether the exchange keeps client order ids; None: no open order has shown it yet."""
        self._is_told = bool(exchange.has["watchOrders"])
        """Whether a stream tells of orders, and not only of their fills."""

    async def open(self) -> None:
        """Learn the clock and the markets, and compare each instrument with its market; raises ``ValueError``."""
        if missing := lacks(self.exchange, self._row):
            raise ValueError(f"{self._row.name} cannot be traded: {'; '.join(missing)}")
        await self.set_clock()
        await self.ask(Priority.RECONCILE, "load_markets", True)
        by_symbol: dict[str, Instrument] = {}
        for each in self._instruments:
            if found := differences(self.exchange, self._row, each):
                raise ValueError("; ".join(found))
            symbol = market_of(self.exchange, self._row, each.symbol)["symbol"]
            by_symbol[symbol] = each
            self._symbols[each.id] = symbol
            client_id = ids_of("", are_integers=self._row.has_integer_ids, are_short=self._row.has_short_ids).text(MOST)
            if why := await why_unfit(self.exchange, each, symbol, client_id):
                raise ValueError(f"{each.symbol} cannot be traded at {self._row.name}: {why}")
        self._views = GenericViews(by_symbol)

    async def close(self) -> None:
        """End all connections."""
        self.limiter.close()
        await self.exchange.close()

    async def set_clock(self) -> None:
        """Learn the difference to the exchange's clock, where ccxt dates requests by it."""
        if "timeDifference" in self.exchange.options:
            await self.ask(Priority.KEEP, "load_time_difference")

    def check(self, order: Order) -> None:
        """See ``Venue``."""
        symbol = self._symbols[order.instrument.id]
        is_market = order.order_type is OrderType.MARKET
        feature = self.exchange.feature_value
        times = feature(symbol, "createOrder", "timeInForce", {}) or {}
        for stands, text, reason in (
            (self._is_named is False, "does not keep client order ids", Reason.EXCHANGE_REFUSED),
            (order.display_qty, "shows orders whole", Reason.BAD_DISPLAY_QTY),
            (order.flags & OrderFlag.SHORT_LEG, "is traded in one-way mode", Reason.BAD_LEG),
            (
                is_market and order.time_in_force is TimeInForce.FOK,
                "has no market order of all or nothing",
                Reason.BAD_TIME_IN_FORCE,
            ),
            (
                not is_market and times.get(IN_FORCE.get(order.time_in_force, "")) is False,
                f"has no {order.time_in_force.name} orders",
                Reason.BAD_TIME_IN_FORCE,
            ),
            (
                order.flags & OrderFlag.POST_ONLY and times.get("PO") is False,
                "has no post-only orders",
                Reason.BAD_FLAGS,
            ),
            (
                is_market and order.side > 0 and buys_by_cost(self.exchange, self._row),
                "takes what a buy at the market may spend, and not how much: send a limit order that is IOC",
                Reason.BAD_ORDER_TYPE,
            ),
        ):
            if stands:
                raise CommandError(f"{self._row.name} {text}", reason)

    def check_amend(self, order: Order, px: int, qty: int) -> None:
        """Only where an order stays what it is: another one in its place would be another order."""
        if not amends(self._row):
            raise CommandError(
                f"order {order.order_id}: {self._row.name} does not amend orders; cancel it and place another one",
                Reason.NO_AMEND,
            )

    async def place(self, order: Order) -> OrderView | None:
        """``createOrder``. One that cannot rest is asked for at once, as its answer seldom says what it has filled; so
        is the first, for its client order id, and each of which no stream would say that it rests.
        """
        instrument = order.instrument
        symbol = self._symbols[instrument.id]
        parameters: dict[str, Any] = {"clientOrderId": order.client_id}
        px = None
        if order.order_type is OrderType.LIMIT:
            px = instrument.px_from_ticks(order.px)
            if order.flags & OrderFlag.POST_ONLY:
                parameters["postOnly"] = True
            elif order.time_in_force in IN_FORCE:
                parameters["timeInForce"] = IN_FORCE[order.time_in_force]
        if order.flags & OrderFlag.REDUCE_ONLY and self._row.market != "spot":
            parameters["reduceOnly"] = True
        terms = (symbol, order.order_type.name.lower(), WAYS[order.side], instrument.qty_from_lots(order.qty), px)
        since_ms = self.exchange.milliseconds() - SKEW_MS
        try:
            answer = await self.ask(Priority.ORDER, "create_order", *terms, parameters, order=order)
        except ccxt.OrderNotFillable as error:  # one class for what cannot be filled, and for what must not be
            if order.flags & OrderFlag.POST_ONLY:
                raise ccxt.OrderImmediatelyFillable(str(error)) from error
            raise
        if not answer.get("id"):
            return None
        number = self._views.order_ids.number(str(answer["id"]))
        self._views.made(number, since_ms)
        can_rest = order.order_type is OrderType.LIMIT and order.time_in_force not in IN_FORCE
        if can_rest and self._is_named is not None and self._is_told:
            return taken(order, number)
        with suppress(
            *REQUEST_ERRORS, RateError
        ):  # that it was taken is certain: its stream or the next question will say more
            view = await self.query_by_venue_id(instrument, number)
            if view.client_id == order.client_id or view.standing is Standing.OPEN:
                self._is_named = view.client_id == order.client_id
            return view._replace(client_id=order.client_id)  # the id was answered to our own request
        return taken(order, number)

    async def amend(self, order: Order, px: int, qty: int) -> OrderView | None:
        """``editOrder``: what has come of it is asked for."""
        instrument = order.instrument
        number = order.venue_order_id or (await self.query(order)).venue_order_id
        texts = (instrument.qty_from_lots(qty), instrument.px_from_ticks(px))
        identity = (self._views.order_ids.text(number), self._symbols[instrument.id], "limit", WAYS[order.side])
        try:
            await self.ask(Priority.ORDER, "edit_order", *identity, *texts, order=order)
        except (ccxt.InvalidOrder, ccxt.BadRequest) as error:
            if isinstance(error, ccxt.OrderNotFound):
                raise
            view = await self.query_by_venue_id(instrument, number)
            if (view.px, view.qty) != (px, qty):
                raise
            return view  # the same amend, sent before
        return None

    async def cancel(self, order: Order) -> OrderView | None:
        """``cancelOrder``; None while the order is still open."""
        number = order.venue_order_id or (await self.query(order)).venue_order_id
        identity = (self._views.order_ids.text(number), self._symbols[order.instrument.id])
        await self.ask(Priority.CANCEL, "cancel_order", *identity)
        try:
            view = await self.query_by_venue_id(order.instrument, number)
        except ccxt.OrderNotFound:
            if not order.venue_order_id:
                raise
            filled_qty = sum(fill.qty for fill in await self.fills_of(order))  # an exchange that forgets what has ended
            return taken(order, number)._replace(standing=Standing.CANCELLED, filled_qty=filled_qty)
        return None if view.standing is Standing.OPEN else view

    async def cancel_all(self, instrument: Instrument) -> None:
        """``cancelAllOrders``, or each open one where there is no such request."""
        symbol = self._symbols[instrument.id]
        if self.exchange.has["cancelAllOrders"] is True:
            await self.ask(Priority.CANCEL, "cancel_all_orders", symbol)
            return
        for view in await self.open_orders(instrument):
            text = self._views.order_ids.text(view.venue_order_id)
            with suppress(ccxt.OrderNotFound):
                await self.ask(Priority.CANCEL, "cancel_order", text, symbol)

    async def query(self, order: Order) -> OrderView:
        """``fetchOrder`` by the exchange's id or by ours; where that cannot be, the lists of orders are searched."""
        if order.venue_order_id:
            return await self.query_by_venue_id(order.instrument, order.venue_order_id)
        symbol = self._symbols[order.instrument.id]
        if self._asks_by_client_id and order.client_id:
            named = {**self._parameters, "clientOrderId": order.client_id}
            try:
                found = await self.ask(Priority.ASK, "fetch_order", "", symbol, named)
                view = self._views.order(found)
                if view.client_id == order.client_id:
                    return view
            except ccxt.OrderNotFound:
                raise
            except (ccxt.BadRequest, ccxt.InvalidOrder, ccxt.ArgumentsRequired, ccxt.NotSupported, UnfitError):
                pass
            self._asks_by_client_id = False  # the exchange takes the id otherwise than ccxt hands it on
        return await self._searched(order)

    async def _searched(self, order: Order) -> OrderView:
        """An order among those that are open and those that have ended of late."""
        symbol, has = self._symbols[order.instrument.id], self.exchange.has
        ended = ["fetch_orders"] if has["fetchOrders"] is True else []
        ended = ended or [
            f"fetch_{which}_orders" for which in ("closed", "canceled") if has[f"fetch{which.title()}Orders"] is True
        ]
        for method in ("fetch_open_orders", *ended):
            rows = await self.ask(Priority.ASK, method, symbol)
            for view in map(self._views.order, filter(self._views.is_whole, rows)):
                is_it = view.client_id == order.client_id if order.client_id else self._is_adopted(order, view)
                if is_it:
                    return view
        raise ccxt.OrderNotFound(f"{self._row.name} lists no order that is ours as {order.order_id}")

    @staticmethod
    def _is_adopted(order: Order, view: OrderView) -> bool:
        return external_order_id(order.instrument.id, view.venue_order_id) == order.order_id

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """``fetchOpenOrders``."""
        symbol = self._symbols[instrument.id]
        rows = await self.ask(Priority.RECONCILE, "fetch_open_orders", symbol)
        return [self._views.order(row) for row in rows if row["symbol"] == symbol]

    async def arm(self, instrument: Instrument, seconds: float) -> None:
        """``cancelAllOrdersAfter``, where it is one switch for the whole account; told once for all instruments."""
        if self._row.exchange in SWITCHED and instrument is self._instruments[0]:
            timeout_ms = int(seconds * 1000)
            await self.ask(Priority.KEEP, "cancel_all_orders_after", timeout_ms)

    async def new_stream(self) -> str:
        """Streams are ccxt's to open: see ``watch``."""
        raise NotImplementedError

    async def greet(self, send: Send) -> None:
        """As ``new_stream``."""

    async def keep_stream(self) -> None:
        """ccxt keeps them."""

    def told(self, _message: Any) -> list[Told]:
        """As ``new_stream``."""
        return []

    async def watch(self, take: Callable[[Told], None], is_open: Callable[[], None]) -> None:
        """See ``gateways.orders.private.Watched``.

        Each connection is a new exchange of ccxt's: nothing of one that was lost, such as a key that has expired, is
        there in the next. ``watchOrders`` is taken; where there is none, ``watchMyTrades`` says which orders to ask
        for.
        """
        watcher = again(self.exchange, self._row)
        watcher.throttle = self.throttle
        watcher.set_markets(self.exchange.markets, self.exchange.currencies)
        heard: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        watches = watcher.watch_orders if self._is_told else watcher.watch_my_trades

        async def hear(symbol: str) -> None:
            while True:  # nothing may be waited for between two calls: what comes meanwhile wakes nobody
                for each in await watches(symbol):
                    heard.put_nowait(each)

        async def tell() -> None:
            while True:
                structure = await heard.get()
                if not self._views.is_ours(structure):
                    continue
                if self._is_told and self._views.is_whole(structure):
                    take(self._views.order(structure))
                else:
                    await self._tell_as_asked(structure, take)

        async def settle() -> None:
            while not any(_is_connected(client) for client in watcher.clients.values()):
                await asyncio.sleep(LOOK_S)
            await self._clock.sleep(self.settle_s)
            is_open()

        try:
            async with asyncio.TaskGroup() as tasks:
                for symbol in self._symbols.values():
                    tasks.create_task(hear(symbol))
                tasks.create_task(tell())
                tasks.create_task(settle())
        except* Exception as group:
            error = group.exceptions[0]
            raise error if isinstance(error, REQUEST_ERRORS) else NoAnswerError(repr(error)) from group
        finally:
            await watcher.close()

    async def _tell_as_asked(self, structure: Mapping[str, Any], take: Callable[[Told], None]) -> None:
        """Ask how an order stands that a stream has told of without saying that."""
        text = _order_id_in(structure)
        instrument = next(each for each in self._instruments if self._symbols[each.id] == structure["symbol"])
        with suppress(ccxt.OrderNotFound):
            take(await self.query_by_venue_id(instrument, self._views.order_ids.number(str(text))))


class _OrdersOfRow:
    """See ``gateways.orders.venue.VenueType``: of one row."""

    def __init__(self, row: Venue) -> None:
        self._row = row

    def new_exchange(self, credentials: Credentials, session: Any = None) -> Any:
        """See ``VenueType``; ccxt's limiter is in use, but for its waiting, which is this gateway's.

        Raises
        ------
        CredentialsError
            Where the exchange's keys are others than a key, a secret and a passphrase, or that is missing.
        ConfigError
            Where ccxt has no such exchange.
        """
        made = exchange_class(self._row)(settings_of(self._row, *credentials, session))
        needed = {name for name, is_needed in made.requiredCredentials.items() if is_needed}
        if needed - {"apiKey", "secret", "password"}:
            raise CredentialsError(
                f"the keys of {self._row.exchange} are {', '.join(sorted(needed))}: zoms has no place for them"
            )
        if "password" in needed and not credentials.passphrase:
            raise CredentialsError(
                f"the keys of {self._row.exchange} have a passphrase too: set {variable(self._row.name, PASSPHRASE)}"
            )
        return prepared(made)

    def __call__(self, exchange: Any, instruments: tuple[Instrument, ...], clock: Clock) -> GenericOrders:
        """See ``VenueType``."""
        return GenericOrders(self._row, exchange, instruments, clock)


def orders_of(row: Venue) -> _OrdersOfRow:
    """What implements orders of a row: see ``gateways.venues.implementation``."""
    return _OrdersOfRow(row)


def _order_id_in(structure: Mapping[str, Any]) -> str:
    """The exchange's id of the order that a structure is, or that a trade is of."""
    return str(structure.get("id") if "status" in structure else structure.get("order"))


def _is_connected(client: Any) -> bool:
    return bool(client.connected.done() and not client.connected.cancelled() and client.connected.exception() is None)
