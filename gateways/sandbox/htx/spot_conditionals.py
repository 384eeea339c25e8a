"""Conditional orders of spot ("Conditional Order"): they wait beside the list of open orders, under the client's id.

One that is triggered becomes an order with that id. Trailing ones are not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.sandbox.accounts import Account
from gateways.sandbox.conditionals import Conditional
from gateways.sandbox.htx import spot_orders
from gateways.sandbox.htx.connection import Json
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call
from gateways.sandbox.htx.linear_views import SIDES
from oms.records import OrderType, TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.htx.spot_venue import SpotVenue

KIND: Final = "algo"
"""Told apart from stops, which are in the list of open orders."""
TYPES: Final = {"limit": OrderType.LIMIT, "market": OrderType.MARKET}
TIMES: Final = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
MOST_CANCELS: Final = 50


def stops_of(venue: SpotVenue, account: Account) -> list[Conditional]:
    """Stops of an account that wait."""
    return [each for each in venue.conditionals.open_of(account) if each.kind != KIND]


def place(venue: SpotVenue, call: Call) -> Json:
    """ "Place a conditional order"; which way the price must go is where the stop price is."""
    spot_orders.check_account(call, "accountId")
    if spot_orders.text_of(call, "symbol") != venue.instrument.symbol:
        raise ApiError(Error.SPOT_NO_SYMBOL)
    if "trailingRate" in call.given:
        raise ApiError(Error.SPOT_FORMAT, "trailingRate")
    side = spot_orders.choice_of(call, "orderSide", SIDES)
    order_type = spot_orders.choice_of(call, "orderType", TYPES)
    stop_px = spot_orders.px_of(venue, call, "stopPrice")
    px = spot_orders.px_of(venue, call, "orderPrice") if order_type is OrderType.LIMIT else 0
    amount = spot_orders.decimal_of(call, "orderSize")
    client_id = spot_orders.text_of(call, "clientOrderId")
    if client_id in _all(venue, call):
        raise ApiError(Error.SPOT_DUPLICATE)
    algo = Conditional(
        call.account,
        client_id,
        KIND,
        side,
        spot_orders.lots_of(venue, amount, px or stop_px),
        px,
        stop_px,
        1 if stop_px > venue.exchange.last_px else -1,
        spot_orders.choice_of(call, "timeInForce", TIMES, TimeInForce.GTC if px else TimeInForce.IOC),
    )
    venue.conditionals.place(algo)
    return {"clientOrderId": client_id}


def cancel(venue: SpotVenue, call: Call) -> Json:
    """ "Cancel conditional orders (before triggering)": each by itself."""
    ids = call.given.given.get("clientOrderIds")
    if not isinstance(ids, list) or len(ids) > MOST_CANCELS:
        raise ApiError(Error.SPOT_FORMAT, "clientOrderIds")
    waiting = {each.client_id: each for each in _open(venue, call)}
    accepted = [each for each in ids if each in waiting]
    for client_id in accepted:
        venue.conditionals.cancel(waiting[client_id])
    return {"accepted": accepted, "rejected": [each for each in ids if each not in waiting]}


def opening(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Query open conditional orders (before triggering)": newest first."""
    return [venue.views.algo(each) for each in reversed(_open(venue, call))]


def specific(venue: SpotVenue, call: Call) -> Json:
    """ "Query a specific conditional order"."""
    algo = _all(venue, call).get(spot_orders.text_of(call, "clientOrderId"))
    if algo is None:
        raise ApiError(Error.SPOT_NO_RECORD)
    return venue.views.algo(algo)


def _open(venue: SpotVenue, call: Call) -> list[Conditional]:
    return [each for each in venue.conditionals.open_of(call.account) if each.kind == KIND]


def _all(venue: SpotVenue, call: Call) -> dict[str, Conditional]:
    """Those of the account, ended ones too, by the client's id."""
    found = venue.conditionals.all.values()
    return {each.client_id: each for each in found if each.kind == KIND and each.account is call.account}
