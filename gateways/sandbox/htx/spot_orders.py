"""Orders of spot by request; the titles below are of the documentation's sections."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

from gateways.sandbox.accounts import Order, Status
from gateways.sandbox.conditionals import Conditional
from gateways.sandbox.exchange import Event, Refusal, RefusedError, What
from gateways.sandbox.htx import spot_conditionals
from gateways.sandbox.htx.connection import Json
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call
from gateways.sandbox.htx.linear_views import SIDES
from gateways.sandbox.htx.parameters import PRICE_LIMIT
from gateways.sandbox.htx.spot_views import account_id_of
from oms.decimals import GridError, parse_decimal
from oms.records import OrderType, TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.htx.spot_venue import SpotVenue

Choice = TypeVar("Choice")

MOST_CLIENT_ID: Final = 64
LEAST_COUNTDOWN_S: Final = 5

KINDS: Final = {
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "limit-maker": (OrderType.LIMIT, TimeInForce.GTC),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "limit-fok": (OrderType.LIMIT, TimeInForce.FOK),
    "market": (OrderType.MARKET, TimeInForce.IOC),
}
STOPS: Final = {"stop-limit": TimeInForce.GTC, "stop-limit-fok": TimeInForce.FOK}
"""Kinds that wait for a price at first."""
OPERATORS: Final = {"gte": 1, "lte": -1}
"""``operator``: +1 waits for the stop price or above, -1 for it or below."""
STILLBORN: Final = (Refusal.WOULD_TAKE, Refusal.NOT_FILLED_AT_ONCE)
"""What the exchange accepts and cancels at once."""


def place(venue: SpotVenue, call: Call) -> str:
    """ "Place a New Order"."""
    _, _, kind = text_of(call, "type").partition("-")
    if kind in STOPS:
        return str(_place_stop(venue, call, STOPS[kind]).order_id)
    order, cost = _read(venue, call)
    try:
        venue.exchange.place(order)
    except RefusedError as refused:
        if refused.refusal not in STILLBORN:
            raise
        order.status = Status.CANCELED
        venue.exchange.orders[order.order_id] = order
        venue.exchange.newest[order.account.number, order.client_order_id] = order
        for what in (What.NEW, What.CANCELED):
            venue.tell([Event(what, order, None, venue.clock.now_ms)])
    if cost:
        venue.views.costs[order.order_id] = cost
    return str(order.order_id)


def cancel(venue: SpotVenue, call: Call) -> str:
    """ "Submit Cancel for an Order"."""
    order = _find(venue, call)
    if isinstance(order, Conditional):
        venue.conditionals.cancel(order)
        return str(order.order_id)
    if not order.status.is_open:
        raise ApiError(Error.SPOT_NOT_OPEN)
    venue.exchange.cancel(order)
    return str(order.order_id)


def cancel_by_client_id(venue: SpotVenue, call: Call) -> int:
    """ "Submit Cancel for an Order (based on client order ID)": the answer is a state."""
    order = _find_by_client_id(venue, call, text_of(call, "client-order-id"))
    if isinstance(order, Conditional):
        venue.conditionals.cancel(order)
        return 10
    if not order.status.is_open:
        return 6 if order.status is Status.FILLED else 7
    venue.exchange.cancel(order)
    return 10


def cancel_open(venue: SpotVenue, call: Call) -> Json:
    """ "Submit Cancel for Multiple Orders by Criteria": at most a hundred."""
    orders = _open(venue, call)[:100]
    for order in orders:
        if isinstance(order, Conditional):
            venue.conditionals.cancel(order)
        else:
            venue.exchange.cancel(order)
    return {"success-count": len(orders), "failed-count": 0, "next-id": -1}


def query(venue: SpotVenue, call: Call) -> Json:
    """ "Get the Order Detail of an Order"."""
    return venue.views.any_order(_find(venue, call))


def query_by_client_id(venue: SpotVenue, call: Call) -> Json:
    """ "Get the Order Detail of an Order (based on client order ID)"."""
    return venue.views.any_order(_find_by_client_id(venue, call, text_of(call, "clientOrderId")))


def open_orders(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Get All Open Orders": newest first; a stop that waits is one of them."""
    return _page(call, [venue.views.open_order(order) for order in _open(venue, call)], 500)


def match_results(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Search Match Results": newest first."""
    return _page(call, [venue.views.fill(*each) for each in enumerate(call.account.fills)], 500)


def matches_of(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Get the Match Result of an Order"."""
    order = _find(venue, call)
    return [venue.views.fill(*each) for each in enumerate(call.account.fills) if each[1].order is order]


def accounts(_venue: SpotVenue, call: Call) -> list[Json]:
    """ "Get all Accounts of the Current User"."""
    return [{"id": account_id_of(call.account), "type": "spot", "subtype": "", "state": "working"}]


def balance(venue: SpotVenue, call: Call) -> Json:
    """ "Get Account Balance of a Specific Account"."""
    check_account(call)
    head = {"id": account_id_of(call.account), "type": "spot", "state": "working"}
    return {**head, "list": venue.views.balances(call.account)}


def cancel_after(venue: SpotVenue, call: Call) -> Json:
    """ "Dead man's switch": without another call in time all the account's orders are cancelled; 0 ends that."""
    seconds = int(text_of(call, "timeout"))
    if seconds and seconds < LEAST_COUNTDOWN_S:
        raise ApiError(Error.SPOT_FORMAT, "timeout")
    account = call.account

    def expire() -> None:
        with venue.acting():
            for order in list(account.open_orders.values()):
                venue.exchange.cancel(order)

    venue.timers.set(("countdown", account.number), seconds * 1000, expire)
    now_ms = venue.clock.now_ms
    return {"currentTime": now_ms, "triggerTime": now_ms + seconds * 1000 if seconds else 0}


def _read(venue: SpotVenue, call: Call) -> tuple[Order, str]:
    """A new order, and of a buy at the market what it is to spend."""
    side, kind = _kind_of(venue, call)
    if kind not in KINDS:
        raise ApiError(Error.SPOT_FORMAT, "type")
    order_type, time_in_force = KINDS[kind]
    instrument, amount = venue.instrument, decimal_of(call, "amount")
    px = 0
    if order_type is OrderType.LIMIT:
        px = px_of(venue, call, "price")
        _check_price(venue, side, px)
    spends = side > 0 and order_type is OrderType.MARKET
    at_px = px or venue.exchange.ask_px
    if spends:  # for as many lots as that pays at the best price
        whole = int(amount / (Decimal(instrument.lot) * at_px * Decimal(instrument.tick)))
        amount_bought = whole * Decimal(instrument.lot)
    lots = lots_of(venue, amount_bought if spends else amount, at_px)
    client_id = _own_id(venue, call)
    order = Order(
        call.account,
        client_id,
        side,
        order_type,
        time_in_force,
        lots,
        px,
        is_post_only=kind == "limit-maker",
    )
    return order, f"{amount:f}" if spends else ""


def _place_stop(venue: SpotVenue, call: Call, time_in_force: TimeInForce) -> Conditional:
    """An order that waits for a price, with the id that it keeps; one that would not wait is refused."""
    side, kind = _kind_of(venue, call)
    px, stop_px = px_of(venue, call, "price"), px_of(venue, call, "stop-price")
    lots = lots_of(venue, decimal_of(call, "amount"), px)
    rises = choice_of(call, "operator", OPERATORS)
    stop = Conditional(call.account, _own_id(venue, call), kind, side, lots, px, stop_px, rises, time_in_force)
    if venue.conditionals.would_trigger(stop):
        raise ApiError(Error.SPOT_WOULD_TRIGGER)
    stop.order_id = venue.exchange.new_order_id()
    venue.conditionals.place(stop)
    return stop


def _kind_of(venue: SpotVenue, call: Call) -> tuple[int, str]:
    """Side and kind of ``type``."""
    check_account(call)
    if text_of(call, "symbol") != venue.instrument.symbol:
        raise ApiError(Error.SPOT_NO_SYMBOL)
    side_name, _, kind = text_of(call, "type").partition("-")
    if side_name not in SIDES:
        raise ApiError(Error.SPOT_FORMAT, "type")
    return SIDES[side_name], kind


def px_of(venue: SpotVenue, call: Call, name: str) -> int:
    """A price in ticks."""
    ticks = decimal_of(call, name) / Decimal(venue.instrument.tick)
    if ticks <= 0 or ticks != int(ticks):
        raise ApiError(Error.SPOT_PRICE_PRECISION, venue.instrument.tick)
    return int(ticks)


def lots_of(venue: SpotVenue, amount: Decimal, at_px: int) -> int:
    """An amount of the base currency in lots, which must be worth enough at a price."""
    instrument = venue.instrument
    lots = amount / Decimal(instrument.lot)
    if lots != int(lots):
        raise ApiError(Error.SPOT_AMOUNT_PRECISION, instrument.lot)
    if lots <= 0 or amount < Decimal(instrument.min_qty):
        raise ApiError(Error.SPOT_AMOUNT_MIN, instrument.min_qty)
    most = Decimal(instrument.max_qty)
    if most and amount > most:
        raise ApiError(Error.SPOT_AMOUNT_MAX, instrument.max_qty)
    if amount * at_px * Decimal(instrument.tick) < Decimal(instrument.min_notional):
        raise ApiError(Error.SPOT_VALUE_MIN, instrument.min_notional, instrument.quote)
    return int(lots)


def _own_id(venue: SpotVenue, call: Call) -> str:
    """The client's own id, which no other order may have."""
    client_id = call.given.get("client-order-id")
    if len(client_id) > MOST_CLIENT_ID:
        raise ApiError(Error.SPOT_FORMAT, "client-order-id")
    waiting = venue.conditionals.open_of(call.account)
    is_used = (call.account.number, client_id) in venue.exchange.newest
    if client_id and (is_used or any(each.client_id == client_id for each in waiting)):
        raise ApiError(Error.SPOT_DUPLICATE)
    return client_id


def _check_price(venue: SpotVenue, side: int, px: int) -> None:
    mark_px = venue.exchange.mark_px
    most, least = (mark_px * (1 + sign * PRICE_LIMIT) for sign in (1, -1))
    if mark_px and side * (px - (most if side > 0 else least)) > 0:
        error, at = (Error.SPOT_BUY_MAX, most) if side > 0 else (Error.SPOT_SELL_MIN, least)
        raise ApiError(error, venue.instrument.px_from_ticks(int(at)))


def check_account(call: Call, name: str = "account-id") -> None:
    """The account must be the key's."""
    if text_of(call, name) != str(account_id_of(call.account)):
        raise ApiError(Error.SPOT_NO_ACCOUNT, call.given.get(name))


def _open(venue: SpotVenue, call: Call) -> list[Order | Conditional]:
    return [*call.account.open_orders.values(), *spot_conditionals.stops_of(venue, call.account)]


def _find(venue: SpotVenue, call: Call) -> Order | Conditional:
    text = text_of(call, "order-id")
    order_id = int(text) if text.isdigit() else 0
    for stop in spot_conditionals.stops_of(venue, call.account):
        if stop.order_id == order_id:
            return stop
    order = venue.exchange.orders.get(order_id)
    if order is None or order.account is not call.account:
        raise ApiError(Error.SPOT_NO_RECORD)
    return order


def _find_by_client_id(venue: SpotVenue, call: Call, client_id: str) -> Order | Conditional:
    for stop in spot_conditionals.stops_of(venue, call.account):
        if stop.client_id == client_id:
            return stop
    order = venue.exchange.newest.get((call.account.number, client_id))
    if order is None:
        raise ApiError(Error.SPOT_NO_RECORD)
    return order


def text_of(call: Call, name: str) -> str:
    """A parameter that must be there."""
    if name not in call.given:
        raise ApiError(Error.SPOT_MISSING, name)
    return call.given.get(name)


def choice_of(call: Call, name: str, choices: Mapping[str, Choice], default: Choice | None = None) -> Choice:
    """One of the words that the exchange knows."""
    if default is not None and name not in call.given:
        return default
    if text_of(call, name) not in choices:
        raise ApiError(Error.SPOT_FORMAT, name)
    return choices[call.given.get(name)]


def decimal_of(call: Call, name: str) -> Decimal:
    """A decimal number."""
    try:
        return parse_decimal(name, text_of(call, name))
    except GridError:
        raise ApiError(Error.SPOT_FORMAT, name) from None


def _page(call: Call, rows: list[Json], most: int) -> list[Json]:
    """Rows newest first: with ``from`` that one and those behind it (``next``), or those before it (``prev``)."""
    rows = sorted(rows, key=lambda row: int(row["id"]), reverse=True)
    start, size = call.given.get("from"), min(int(call.given.get("size", "100")), most)
    if start and call.given.get("direct", "next") == "next":
        rows = [row for row in rows if int(row["id"]) <= int(start)]
    elif start:
        rows = [row for row in rows if int(row["id"]) >= int(start)][-size:]
    return rows[:size]
