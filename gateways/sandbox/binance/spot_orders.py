"""Binance spot: orders by request (Binance, Spot API: "Trading endpoints"); the titles below are of its page."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from gateways.sandbox.accounts import Order
from gateways.sandbox.binance.account import fills_asked
from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.orders import DEFAULT_SELF_TRADE, REFUSALS, SELF_TRADES, find, orders_asked, own_id
from gateways.sandbox.binance.parameters import Parameters, check_notional
from gateways.sandbox.binance.spot_words import MAX_ORDERS, MAX_STOPS, MULTIPLIER_DOWN, MULTIPLIER_UP
from gateways.sandbox.binance.views import SIDES, Json
from gateways.sandbox.conditionals import Conditional
from gateways.sandbox.exchange import Refusal, RefusedError
from oms.records import OrderType, TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Call
    from gateways.sandbox.binance.spot_venue import SpotVenue

TYPES: Final = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET, "LIMIT_MAKER": OrderType.LIMIT}
STOPS: Final = {"STOP_LOSS": 1, "STOP_LOSS_LIMIT": 1, "TAKE_PROFIT": -1, "TAKE_PROFIT_LIMIT": -1}
"""+1: a buy triggers at its stop price or above, a sell at or below; -1 the other way round ("New order")."""

TIMES_IN_FORCE: Final = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
RESPONSES: Final = ("ACK", "RESULT", "FULL")
MOST_AMENDS: Final = 10


def new(venue: SpotVenue, call: Call) -> Json:
    """ "New order". An id of the client's must be unique among its open orders."""
    given = call.parameters
    if given.get("type") in STOPS:
        return venue.views.acknowledged(_place_stop(venue, call))
    order = _read(venue, call)
    before = len(call.owner.fills)
    try:
        venue.exchange.place(order)
    except RefusedError as refused:
        if refused.refusal is not Refusal.NOT_FILLED_AT_ONCE:
            raise
        venue.exchange.expire_at_once(order)  # an order of all or nothing that finds too little is no refusal here
    kind = (
        given.choice("newOrderRespType", {name: name for name in RESPONSES}, Error.BAD_PARAMETER)
        if ("newOrderRespType" in given)
        else "FULL"
    )
    if kind == "ACK":
        return venue.views.acknowledged(order)
    fills = [fill for fill in call.owner.fills[before:] if fill.order is order]
    return venue.views.new_order(order, fills if kind == "FULL" else None)


def test(venue: SpotVenue, call: Call) -> Json:
    """ "Test new order": checked, and not placed."""
    _read(venue, call)
    return {}


def cancel(venue: SpotVenue, call: Call) -> Json:
    """ "Cancel order"."""
    call.parameters.symbol()
    stop = _stop(venue, call)
    if stop is not None:
        venue.conditionals.cancel(stop)
        return venue.views.cancelled(stop)
    order = find(call, call.parameters, only_open=True)
    venue.exchange.cancel(order)
    return venue.views.cancelled(order)


def cancel_all(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Cancel All Open Orders on a Symbol": when there is none that is an error."""
    call.parameters.symbol()
    orders = list(call.owner.open_orders.values())
    stops = venue.conditionals.open_of(call.owner)
    if not orders and not stops:
        raise ApiError(Error.UNKNOWN_ORDER)
    for order in orders:
        venue.exchange.cancel(order)
    for stop in stops:
        venue.conditionals.cancel(stop)
    ended: list[Order | Conditional] = [*orders, *stops]
    return [venue.views.cancelled(each) for each in ended]


def amend(venue: SpotVenue, call: Call) -> Json:
    """ "Order Amend Keep Priority": only to a smaller quantity, which what has been filled counts to."""
    given = call.parameters
    given.symbol()
    order = find(call, given, only_open=True)
    qty = given.qty("newQty")
    if qty == order.qty:
        raise ApiError(Error.NOTHING_TO_AMEND)
    if qty > order.qty:
        raise ApiError(Error.AMEND_ADDS)
    if order.amends >= MOST_AMENDS:
        raise ApiError(Error.TOO_MANY_AMENDS)
    check_notional(venue.instrument, Fraction(order.px), qty)
    was_called = order.client_order_id
    venue.exchange.rename(order, own_id(given, "newClientOrderId"))
    venue.renamed_from = was_called
    venue.exchange.amend(order, order.px, qty)
    return venue.views.amended(order, was_called)


def query(venue: SpotVenue, call: Call) -> Json:
    """ "Query order"."""
    call.parameters.symbol()
    stop = _stop(venue, call)
    return venue.views.order(stop or find(call, call.parameters, only_open=False))


def all_open(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Current open orders"."""
    call.parameters.symbol(optional=True)
    account = call.owner
    found: list[Order | Conditional] = [*account.open_orders.values(), *venue.conditionals.open_of(account)]
    return [venue.views.order(each) for each in found]


def history(venue: SpotVenue, call: Call) -> list[Json]:
    """ "All orders"."""
    return [venue.views.order(order) for order in orders_asked(call)]


def my_trades(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Account trade list"."""
    return [venue.views.trade(fill) for fill in fills_asked(call)]


def account(venue: SpotVenue, call: Call) -> Json:
    """ "Account information"."""
    return venue.views.account(call.owner)


def _read(venue: SpotVenue, call: Call) -> Order:
    """A new order, with the filters in front of the matching engine."""
    given = call.parameters
    given.symbol()
    side = given.choice("side", SIDES, Error.BAD_SIDE)
    order_type = given.choice("type", TYPES, Error.BAD_TYPE)
    is_post_only = given.text("type") == "LIMIT_MAKER"
    is_limit = order_type is OrderType.LIMIT
    needs_tif = is_limit and not is_post_only
    for name in () if is_limit else ("price",):
        if name in given:
            raise ApiError(Error.NOT_REQUIRED, name)
    if not needs_tif and "timeInForce" in given:
        raise ApiError(Error.NOT_REQUIRED, "timeInForce")
    if "quoteOrderQty" in given or "icebergQty" in given:
        raise ApiError(Error.NOT_SUPPORTED)
    otherwise = TimeInForce.GTC if is_limit else TimeInForce.IOC
    tif = given.choice("timeInForce", TIMES_IN_FORCE, Error.BAD_TIME_IN_FORCE) if needs_tif else otherwise
    qty = given.qty()
    px = given.px() if is_limit else 0
    check_terms(venue, px, qty)
    client_id = own_id(given, "newClientOrderId")
    check_unused(venue, call, client_id)
    return Order(
        call.owner,
        client_id,
        side,
        order_type,
        tif,
        qty,
        px,
        is_post_only=is_post_only,
        self_trade=given.choice("selfTradePreventionMode", SELF_TRADES, Error.BAD_PARAMETER)
        if "selfTradePreventionMode" in given
        else SELF_TRADES[DEFAULT_SELF_TRADE],
    )


def _place_stop(venue: SpotVenue, call: Call) -> Conditional:
    """An order that waits for a price; its id stays when it is placed."""
    given = call.parameters
    given.symbol()
    side = given.choice("side", SIDES, Error.BAD_SIDE)
    kind = given.text("type")
    has_price = kind.endswith("_LIMIT")
    qty = given.qty()
    px = given.px() if has_price else 0
    trigger_px = given.px("stopPrice")
    check_terms(venue, px or trigger_px, qty)
    client_id = own_id(given, "newClientOrderId")
    check_unused(venue, call, client_id)
    tif = given.choice("timeInForce", TIMES_IN_FORCE, Error.BAD_TIME_IN_FORCE) if has_price else TimeInForce.GTC
    stop = Conditional(call.owner, client_id, kind, side, qty, px, trigger_px, STOPS[kind] * side, tif)
    if len(venue.conditionals.open_of(call.owner)) >= MAX_STOPS:
        raise ApiError(Error.TOO_MANY_STOPS)
    if venue.conditionals.would_trigger(stop):
        raise ApiError(Error.WOULD_TRIGGER)
    if not venue.exchange.ledger.affords(stop):
        raise ApiError(REFUSALS[Refusal.MARGIN])
    stop.order_id = venue.exchange.new_order_id()
    venue.conditionals.place(stop)
    return stop


def check_terms(venue: SpotVenue, px: int, qty: int) -> None:
    """PERCENT_PRICE_BY_SIDE and NOTIONAL; ``px`` 0: at the market."""
    average = venue.average_px
    if px and average:
        if px > average * Fraction(MULTIPLIER_UP):
            raise ApiError(Error.ABOVE_CAP, "")
        if px < average * Fraction(MULTIPLIER_DOWN):
            raise ApiError(Error.BELOW_FLOOR, "")
    check_notional(venue.instrument, Fraction(px) or average, qty)


def check_unused(venue: SpotVenue, call: Call, client_id: str) -> None:
    """Raise ``ApiError`` when an open order has the id, or there are as many as may be."""
    account = call.owner
    namesake = venue.exchange.newest.get((account.number, client_id))
    waiting = venue.conditionals.open_of(account)
    if (namesake is not None and namesake.status.is_open) or any(each.client_id == client_id for each in waiting):
        raise ApiError(Error.DUPLICATE_CLIENT_ID)
    if len(account.open_orders) + len(waiting) >= MAX_ORDERS:
        raise ApiError(Error.TOO_MANY_OPEN)


def _stop(venue: SpotVenue, call: Call) -> Conditional | None:
    """The order that is meant, where it is one that waits."""
    given: Parameters = call.parameters
    order_id, client_id = given.whole("orderId", 0), given.get("origClientOrderId")
    for each in venue.conditionals.open_of(call.owner):
        if each.order_id == order_id or (not order_id and each.client_id == client_id):
            return each
    return None
