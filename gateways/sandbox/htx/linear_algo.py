"""Algo orders of USDT-margined contracts by request; the titles below are of the documentation's sections.

``trigger`` waits for a price, ``sl`` and ``tp`` are one-sided stops and take-profits; ``tpsl`` and ``trailing_stop``
are refused. What the order is called that one becomes, and which way a ``trigger`` waits for its price, is on no page:
here it keeps the client's id, and waits for the price to come to it from where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.sandbox.conditionals import Conditional
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call
from gateways.sandbox.htx.linear_orders import FLAGS, SUCCESS, page
from gateways.sandbox.htx.linear_views import ALGO_TYPES, FIRST_ALGO_ID, SIDES, STOPS, TRIGGER_PRICES, Json
from gateways.sandbox.htx.parameters import Parameters
from oms.records import TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.htx.linear_venue import LinearVenue

MOST_CANCELS: Final = 10


def place(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Place Algo Order"."""
    given = call.given
    given.contract()
    given.choice("margin_mode", {"cross": "cross"})
    given.choice("position_side", {"both": "both"}, default="both")
    kind = given.choice("type", {name: name for name in ALGO_TYPES})
    side = given.choice("side", SIDES)
    prefix = f"{kind}_" if kind in STOPS else ""
    trigger_px = given.px(f"{prefix}trigger_price")
    is_limit = "price" in given if not prefix else given.get(f"{prefix}type") == "limit"
    px_name = f"{prefix}order_price" if prefix else "price"
    last_px = venue.exchange.last_px
    algo = Conditional(
        call.account,
        given.client_id("algo_client_order_id"),
        kind,
        side,
        qty=given.volume(),
        px=given.px(px_name) if is_limit else 0,
        trigger_px=trigger_px,
        rises=side * STOPS[kind] if prefix else (1 if trigger_px > last_px else -1),
        time_in_force=TimeInForce.GTC,
        source=given.choice(f"{prefix}trigger_price_type", TRIGGER_PRICES, default=TRIGGER_PRICES["last"]),
        is_reduce_only=bool(prefix) or given.choice("reduce_only", FLAGS, default=False),
    )
    waiting = venue.conditionals.open_of(call.account)
    if algo.client_id and any(each.client_id == algo.client_id for each in waiting):
        raise ApiError(Error.DUPLICATE)
    if prefix and venue.conditionals.would_trigger(algo):
        raise ApiError(Error.TRIGGER_FAILED)
    venue.conditionals.place(algo)
    return [venue.views.algo_named(algo)]


def cancel(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Cancel Algo Orders": a list, each by itself."""
    if len(call.rows) > MOST_CANCELS:
        raise ApiError(Error.BATCH_TOO_LONG)
    answers = []
    for given in call.rows:
        given.contract(optional=True)
        try:
            algo = _find(venue, call, given)
        except ApiError as error:
            ids = {name: given.get(name) or None for name in ("algo_id", "algo_client_order_id")}
            answers.append({"code": error.code, "message": error.text, **ids})
        else:
            venue.conditionals.cancel(algo)
            answers.append({**SUCCESS, **venue.views.algo_named(algo)})
    return answers


def query(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Query Algo Order": one that waits."""
    call.given.choice("type", {name: name for name in ALGO_TYPES})
    return [venue.views.algo(_find(venue, call, call.given))]


def opens(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Query Open Algo Orders", of a type."""
    call.given.contract(optional=True)
    kind = call.given.text("type")
    return page(
        call.given, [venue.views.algo(each) for each in venue.conditionals.open_of(call.account) if each.kind == kind]
    )


def _find(venue: LinearVenue, call: Call, given: Parameters) -> Conditional:
    """The one that is meant and still waits: by its id, or else by the client's."""
    if "algo_id" not in given and "algo_client_order_id" not in given:
        raise ApiError(Error.MISSING_PARAMETER, "algo_id")
    algo_id = given.whole("algo_id", 0) - FIRST_ALGO_ID
    client_id = given.client_id("algo_client_order_id")
    for each in venue.conditionals.open_of(call.account):
        if each.algo_id == algo_id or ("algo_id" not in given and each.client_id == client_id):
            return each
    raise ApiError(Error.NO_ORDER_TO_CANCEL)
