"""Orders by request (Binance, USDⓈ-M Futures: "Trade"); the titles below are of its pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final

from gateways.sandbox.accounts import Order
from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.parameters import MAX_ORDERS, Parameters, check_notional, check_percent
from gateways.sandbox.binance.views import SIDES, Json
from gateways.sandbox.engine.records import OperationFlag
from gateways.sandbox.exchange import Refusal, RefusedError
from oms.records import OrderType, TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Call
    from gateways.sandbox.binance.venue import Venue

TYPES: Final = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}
CONDITIONAL_TYPES: Final = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
TIMES_IN_FORCE: Final = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTX": TimeInForce.GTC,
}
SELF_TRADES: Final = {
    "NONE": OperationFlag(0),
    "EXPIRE_TAKER": OperationFlag.EXPIRE_TAKER,
    "EXPIRE_MAKER": OperationFlag.EXPIRE_MAKER,
    "EXPIRE_BOTH": OperationFlag.EXPIRE_BOTH,
}
DEFAULT_SELF_TRADE: Final = "EXPIRE_MAKER"
"""As the examples of "New Algo Order" have it, which ask for none."""

POST_ONLY: Final = "GTX"
"""Good till crossing ("Common Definition", timeInForce)."""

REFUSALS: Final = {
    Refusal.MARGIN: Error.NO_MARGIN,
    Refusal.REDUCE_ONLY: Error.REDUCE_ONLY,
    Refusal.WOULD_TAKE: Error.WOULD_TAKE,
    Refusal.NOT_FILLED_AT_ONCE: Error.NOT_FILLED_AT_ONCE,
    Refusal.NOT_OPEN: Error.UNKNOWN_ORDER,
    Refusal.IMPOSSIBLE: Error.NOT_SUPPORTED,
}
MOST_IN_BATCH: Final = 5
MOST_CANCELLED_IN_BATCH: Final = 10
MOST_AMENDS: Final = 10_000
"""Of one order ("Modify Order")."""

DONE: Final[Json] = {"code": 200, "msg": "The operation of cancel all open order is done."}


def new(venue: Venue, call: Call) -> Json:
    """ "New Order". An id of the client's must be unique among its open orders."""
    return venue.views.order(_place(venue, call, call.parameters), queried=False)


def test(venue: Venue, call: Call) -> Json:
    """ "Test Order": checked, and not placed."""
    return venue.views.order(_read(venue, call, call.parameters), queried=False)


def new_batch(venue: Venue, call: Call) -> list[Json]:
    """ "Place Multiple Orders": each is taken or refused by itself."""
    return _each(venue, call, MOST_IN_BATCH, lambda given: venue.views.order(_place(venue, call, given), queried=False))


def amend(venue: Venue, call: Call) -> Json:
    """ "Modify Order"."""
    return _amend(venue, call, call.parameters)


def amend_batch(venue: Venue, call: Call) -> list[Json]:
    """ "Modify Multiple Orders"."""
    return _each(venue, call, MOST_IN_BATCH, lambda given: _amend(venue, call, given))


def cancel(venue: Venue, call: Call) -> Json:
    """ "Cancel Order"."""
    call.parameters.symbol()
    order = find(call, call.parameters, only_open=True)
    venue.exchange.cancel(order)
    return venue.views.order(order, queried=False)


def cancel_batch(venue: Venue, call: Call) -> list[Json]:
    """ "Cancel Multiple Orders": by a list of order ids or of the client's own."""
    call.parameters.symbol()
    listed = {
        "orderId": _list(call.parameters, "orderIdList") or _list(call.parameters, "orderidlist"),
        "origClientOrderId": _list(call.parameters, "origClientOrderIdList")
        or _list(call.parameters, "origclientorderidlist"),
    }
    wanted = [(name, str(value)) for name, values in listed.items() for value in values][:MOST_CANCELLED_IN_BATCH]
    if not wanted:
        raise ApiError(Error.MISSING_EITHER, "orderIdList", "origClientOrderIdList")

    def cancel_one(given: Parameters) -> Json:
        order = find(call, given, only_open=True)
        venue.exchange.cancel(order)
        return venue.views.order(order, queried=False)

    return [_answer(venue, cancel_one, venue.parameters({name: value})) for name, value in wanted]


def cancel_all(venue: Venue, call: Call) -> Json:
    """ "Cancel All Open Orders"."""
    call.parameters.symbol()
    for order in list(call.owner.open_orders.values()):
        venue.exchange.cancel(order)
    return DONE


def query(venue: Venue, call: Call) -> Json:
    """ "Query Order"."""
    call.parameters.symbol()
    return venue.views.order(find(call, call.parameters, only_open=False), queried=True)


def query_open(venue: Venue, call: Call) -> Json:
    """ "Query Current Open Order": one that is not open does not exist here."""
    call.parameters.symbol()
    order = find(call, call.parameters, only_open=False)
    if not order.status.is_open:
        raise ApiError(Error.NO_ORDER)
    return venue.views.order(order, queried=True)


def all_open(venue: Venue, call: Call) -> list[Json]:
    """ "Current All Open Orders"."""
    call.parameters.symbol(optional=True)
    return [venue.views.order(order, queried=True) for order in call.owner.open_orders.values()]


def orders_asked(call: Call) -> list[Order]:
    """The orders that a history is to show: from an order id on, or the latest."""
    call.parameters.symbol()
    first = call.parameters.whole("orderId", 0)
    start_ms, end_ms = call.parameters.whole("startTime", 0), call.parameters.whole("endTime", 10**15)
    found = [
        order
        for order in call.venue.exchange.orders.values()
        if order.account is call.owner and order.order_id >= first and start_ms <= order.created_ms <= end_ms
    ]
    limit = call.parameters.limit(500, 1000)
    return found[:limit] if first else found[-limit:]


def history(venue: Venue, call: Call) -> list[Json]:
    """ "All Orders"."""
    return [venue.views.order(order, queried=True) for order in orders_asked(call)]


def countdown(venue: Venue, call: Call) -> Json:
    """ "Auto-Cancel All Open Orders": without another call in time all are cancelled; 0 stops the countdown."""
    symbol = call.parameters.symbol()
    countdown_ms = call.parameters.whole("countdownTime")
    account = call.owner

    def expire() -> None:
        for order in list(account.open_orders.values()):
            venue.exchange.cancel(order)

    venue.timers.set(("countdown", account.number), countdown_ms, expire)
    return {"symbol": symbol, "countdownTime": str(countdown_ms)}


def check_position_side(parameters: Parameters) -> None:
    """One-way mode only: an order for a leg is refused as the exchange does when the account is not in hedge mode."""
    if parameters.get("positionSide", "BOTH") != "BOTH":
        raise ApiError(Error.BAD_POSITION_SIDE)


def translated(refused: RefusedError) -> ApiError:
    """USD-M's error for a refusal of the exchange."""
    return ApiError(REFUSALS[refused.refusal])


def own_id(parameters: Parameters, name: str) -> str:
    """The client's id, or one that the exchange makes."""
    return parameters.client_id(name) or token_urlsafe(16).replace("-", "A").replace("_", "B")


def _place(venue: Venue, call: Call, given: Parameters) -> Order:
    order = _read(venue, call, given)
    venue.exchange.place(order)
    return order


def _read(venue: Venue, call: Call, given: Parameters) -> Order:
    """A new order, with the venue's checks in front of the matching engine."""
    given.symbol()
    side = given.choice("side", SIDES, Error.BAD_SIDE)
    if given.get("type") in CONDITIONAL_TYPES:
        raise ApiError(Error.USE_ALGO_API)
    order_type = given.choice("type", TYPES, Error.BAD_TYPE)
    check_position_side(given)
    is_limit = order_type is OrderType.LIMIT
    tif = given.choice("timeInForce", TIMES_IN_FORCE, Error.BAD_TIME_IN_FORCE) if is_limit else TimeInForce.IOC
    for name in () if is_limit else ("price", "timeInForce"):
        if name in given:
            raise ApiError(Error.NOT_REQUIRED, name)
    qty = given.qty()
    px = given.px() if is_limit else 0
    client_id = own_id(given, "newClientOrderId")
    account = call.owner
    mark_px = venue.exchange.mark_px
    is_reduce_only = given.flag("reduceOnly")
    if is_limit:
        check_percent(venue.instrument, side, px, mark_px, venue.market.px_decimals)
    if not is_reduce_only:
        check_notional(venue.instrument, Fraction(px) if is_limit else mark_px, qty)
    namesake = venue.exchange.newest.get((account.number, client_id))
    if namesake is not None and namesake.status.is_open:
        raise ApiError(Error.DUPLICATE_CLIENT_ID)
    if len(account.open_orders) >= MAX_ORDERS:
        raise ApiError(Error.TOO_MANY_OPEN)
    return Order(
        account,
        client_id,
        side,
        order_type,
        tif,
        qty,
        px,
        is_post_only=given.get("timeInForce") == POST_ONLY,
        is_reduce_only=is_reduce_only,
        self_trade=given.choice("selfTradePreventionMode", SELF_TRADES, Error.BAD_PARAMETER)
        if "selfTradePreventionMode" in given
        else SELF_TRADES[DEFAULT_SELF_TRADE],
    )


def _amend(venue: Venue, call: Call, given: Parameters) -> Json:
    given.symbol()
    order = find(call, given, only_open=True)
    given.choice("side", {name: side for name, side in SIDES.items() if side == order.side}, Error.BAD_SIDE)
    px, qty = given.px(), given.qty()
    if order.order_type is not OrderType.LIMIT:
        raise ApiError(Error.ONLY_LIMIT)
    if (px, qty) == (order.px, order.qty):
        raise ApiError(Error.NOTHING_TO_AMEND)
    if order.amends >= MOST_AMENDS:
        raise ApiError(Error.TOO_MANY_AMENDS)
    check_percent(venue.instrument, order.side, px, venue.exchange.mark_px, venue.market.px_decimals)
    venue.exchange.amend(order, px, qty)
    return venue.views.order(order, queried=False)


def find(call: Call, given: Parameters, *, only_open: bool) -> Order:
    """The order that is meant: by its id, or else the newest of the client's own id."""
    venue, account = call.venue, call.owner
    missing = Error.UNKNOWN_ORDER if only_open else Error.NO_ORDER
    if "orderId" in given:
        order = venue.exchange.orders.get(given.whole("orderId"))
    elif "origClientOrderId" in given:
        order = venue.exchange.newest.get((account.number, given.text("origClientOrderId")))
    else:
        raise ApiError(Error.MISSING_EITHER, "orderId", "origClientOrderId")
    if order is None or order.account is not account or (only_open and not order.status.is_open):
        raise ApiError(missing)
    return order


def _each(venue: Venue, call: Call, most: int, act: Callable[[Parameters], Json]) -> list[Json]:
    """Do something with each object of the JSON list ``batchOrders``."""
    rows = _list(call.parameters, "batchOrders")
    if not 0 < len(rows) <= most or not all(isinstance(row, dict) for row in rows):
        raise ApiError(Error.BATCH_TOO_LONG)
    parameters = [venue.parameters({name: _text(value) for name, value in row.items()}) for row in rows]
    return [_answer(venue, act, given) for given in parameters]


def _answer(venue: Venue, act: Callable[[Parameters], Json], given: Parameters) -> Json:
    """What one of several comes to: its view, or its own error."""
    try:
        return act(given)
    except RefusedError as refused:
        return translated(refused).in_words(venue.words).body
    except ApiError as error:
        return error.in_words(venue.words).body


def _list(parameters: Parameters, name: str) -> list[Any]:
    if name not in parameters:
        return []
    try:
        rows = json.loads(parameters.text(name))
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise ApiError(Error.BAD_PARAMETER, name)
    return rows


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
