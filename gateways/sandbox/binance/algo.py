"""Conditional orders by request (Binance, USDⓈ-M Futures: "Trade"); the titles below are of its pages."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.orders import (
    CONDITIONAL_TYPES,
    DONE,
    TIMES_IN_FORCE,
    check_position_side,
    own_id,
)
from gateways.sandbox.binance.parameters import MAX_CONDITIONALS
from gateways.sandbox.binance.views import SIDES, Json
from gateways.sandbox.conditionals import Conditional, Source, Waiting
from oms.records import TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Call
    from gateways.sandbox.binance.venue import Venue

RISES: Final = {"STOP": 1, "STOP_MARKET": 1, "TAKE_PROFIT": -1, "TAKE_PROFIT_MARKET": -1, "TRAILING_STOP_MARKET": 1}
"""+1: a buy triggers at its trigger price or above, a sell at or below; -1 the other way round ("New Algo Order")."""

WITH_PRICE: Final = ("STOP", "TAKE_PROFIT")
TRAILING: Final = "TRAILING_STOP_MARKET"
SOURCES: Final = {source.value: source for source in Source}
LEAST_CALLBACK, MOST_CALLBACK = Fraction(1, 10), Fraction(10)
"""Percent."""


def new(venue: Venue, call: Call) -> Json:
    """ "New Algo Order"."""
    given = call.parameters
    given.symbol()
    if given.text("algoType") != "CONDITIONAL":
        raise ApiError(Error.BAD_PARAMETER, "algoType")
    side = given.choice("side", SIDES, Error.BAD_SIDE)
    kind = given.choice("type", {name: name for name in CONDITIONAL_TYPES}, Error.BAD_TYPE)
    check_position_side(given)
    closes_position = given.flag("closePosition")
    if closes_position and "quantity" in given:
        raise ApiError(Error.NOT_REQUIRED, "quantity")
    trigger_px = given.px("triggerPrice") if kind != TRAILING else 0
    callback = Fraction(0)
    if kind == TRAILING:
        trigger_px = given.px("activatePrice") if "activatePrice" in given else 0
        percent = Fraction(given.number("callbackRate"))
        if not LEAST_CALLBACK <= percent <= MOST_CALLBACK:
            raise ApiError(Error.BAD_PARAMETER, "callbackRate")
        callback = percent / 100
    conditional = Conditional(
        call.owner,
        own_id(given, "clientAlgoId"),
        kind,
        side,
        qty=0 if closes_position else given.qty(),
        px=given.px() if kind in WITH_PRICE else 0,
        trigger_px=trigger_px,
        rises=RISES[kind] * side,
        time_in_force=given.choice("timeInForce", TIMES_IN_FORCE, Error.BAD_TIME_IN_FORCE)
        if "timeInForce" in given
        else TimeInForce.GTC,
        source=given.choice("workingType", SOURCES, Error.BAD_PARAMETER) if "workingType" in given else Source.LAST,
        is_reduce_only=given.flag("reduceOnly"),
        closes_position=closes_position,
        callback=callback,
    )
    waiting = venue.conditionals.open_of(call.owner)
    if any(each.client_id == conditional.client_id for each in waiting):
        raise ApiError(Error.DUPLICATE_CLIENT_ID)
    if len(waiting) >= MAX_CONDITIONALS:
        raise ApiError(Error.TOO_MANY_OPEN)
    if venue.conditionals.would_trigger(conditional):
        raise ApiError(Error.WOULD_TRIGGER)
    venue.conditionals.place(conditional)
    return venue.views.conditional(conditional)


def cancel(venue: Venue, call: Call) -> Json:
    """ "Cancel Algo Order"."""
    conditional = _find(venue, call)
    if conditional.state is not Waiting.NEW:
        raise ApiError(Error.UNKNOWN_ORDER)
    venue.conditionals.cancel(conditional)
    return {"algoId": conditional.algo_id, "clientAlgoId": conditional.client_id, "code": "200", "msg": "success"}


def cancel_all(venue: Venue, call: Call) -> Json:
    """ "Cancel All Algo Open Orders"."""
    call.parameters.symbol()
    for conditional in venue.conditionals.open_of(call.owner):
        venue.conditionals.cancel(conditional)
    return DONE


def query(venue: Venue, call: Call) -> Json:
    """ "Query Algo Order"."""
    return venue.views.conditional(_find(venue, call, missing=Error.NO_ORDER))


def all_open(venue: Venue, call: Call) -> list[Json]:
    """ "Current All Algo Open Orders"."""
    call.parameters.symbol(optional=True)
    return [venue.views.conditional(each) for each in venue.conditionals.open_of(call.owner)]


def history(venue: Venue, call: Call) -> list[Json]:
    """ "Query All Algo Orders"."""
    call.parameters.symbol()
    found = [each for each in venue.conditionals.all.values() if each.account is call.owner]
    return [venue.views.conditional(each) for each in found[-call.parameters.limit(500, 1000) :]]


def _find(venue: Venue, call: Call, *, missing: Error = Error.UNKNOWN_ORDER) -> Conditional:
    given = call.parameters
    if "algoId" not in given and "clientAlgoId" not in given:
        raise ApiError(Error.MISSING_EITHER, "algoId", "clientAlgoId")
    algo_id = given.whole("algoId", 0)
    named = [
        each
        for each in venue.conditionals.all.values()
        if each.account is call.owner
        and (each.algo_id == algo_id if algo_id else each.client_id == given.get("clientAlgoId"))
    ]
    if not named:
        raise ApiError(missing)
    return named[-1]
