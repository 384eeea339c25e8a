"""Trigger orders by request (OKX v5, "Order Book Trading / Algo Trading"); the titles below are of its sections.

Of the algo orders only ``trigger`` and one-sided ``conditional`` ones are here; the others are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateways.sandbox.conditionals import Conditional, Waiting
from gateways.sandbox.okx.contract import Json
from gateways.sandbox.okx.errors import ApiError, Error
from gateways.sandbox.okx.orders import MOST_IN_BATCH, check_mode, check_spot_at_market, page
from gateways.sandbox.okx.parameters import Parameters
from gateways.sandbox.okx.views import AT_MARKET, SIDES, TRIGGER_PRICES
from oms.records import TimeInForce

if TYPE_CHECKING:
    from gateways.sandbox.okx.venue import Call, Venue

TRIGGER, CONDITIONAL = "trigger", "conditional"
STOPS: Final = {"sl": 1, "tp": -1}
"""+1: a buy triggers at its trigger price or above, a sell at or below; -1 the other way round."""


def new(venue: Venue, call: Call) -> list[Json]:
    """ "Place algo order"."""
    given = call.only
    given.instrument()
    check_mode(venue, given)
    kind = given.choice("ordType", {name: name for name in (TRIGGER, CONDITIONAL)})
    side = given.choice("side", SIDES)
    stop = "" if kind == TRIGGER else _stop_of(given)
    names = ("triggerPx", "orderPx", "triggerPxType") if kind == TRIGGER else _names(stop)
    trigger_px = given.px(names[0])
    last_px = venue.exchange.last_px
    rises = side * STOPS[stop] if stop else (1 if trigger_px > last_px else -1)
    qty, is_at_market = given.sz(), given.text(names[1]) == AT_MARKET
    if is_at_market and venue.contract.is_spot:
        check_spot_at_market(venue, given, side, qty)
    conditional = Conditional(
        call.owner,
        given.client_id("algoClOrdId") or given.client_id(),
        kind,
        side,
        qty=qty,
        px=0 if is_at_market else given.px(names[1]),
        trigger_px=trigger_px,
        rises=rises,
        time_in_force=TimeInForce.GTC,
        source=given.choice(names[2], TRIGGER_PRICES, default=TRIGGER_PRICES["last"]),
        is_reduce_only=given.flag("reduceOnly") and not venue.contract.is_spot,
    )
    waiting = venue.conditionals.open_of(call.owner)
    if conditional.client_id and any(each.client_id == conditional.client_id for each in waiting):
        raise ApiError(Error.DUPLICATE)
    if stop and venue.conditionals.would_trigger(conditional):
        raise ApiError(Error.WOULD_TRIGGER)
    venue.conditionals.place(conditional)
    return [_answer(conditional.client_id, str(conditional.algo_id))]


def cancel(venue: Venue, call: Call) -> list[Json]:
    """ "Cancel algo order": each by itself."""
    if len(call.rows) > MOST_IN_BATCH:
        raise ApiError(Error.BATCH_TOO_LONG, MOST_IN_BATCH)
    answers = []
    for given in call.rows:
        given.instrument()
        conditional = venue.conditionals.all.get(given.whole("algoId"))
        if conditional is None or conditional.account is not call.owner or conditional.state is not Waiting.NEW:
            error = ApiError(Error.NOT_CANCELLED)
            answers.append({**_answer("", given.get("algoId")), "sCode": error.code, "sMsg": error.text})
            continue
        venue.conditionals.cancel(conditional)
        answers.append(_answer(conditional.client_id, str(conditional.algo_id)))
    return answers


def query(venue: Venue, call: Call) -> list[Json]:
    """ "Algo order details"."""
    given = call.only
    algo_id, client_id = given.whole("algoId", 0), given.get("algoClOrdId")
    for conditional in venue.conditionals.all.values():
        if conditional.account is call.owner and (conditional.algo_id == algo_id or conditional.client_id == client_id):
            return [venue.views.conditional(conditional)]
    raise ApiError(Error.NO_ORDER)


def pending(venue: Venue, call: Call) -> list[Json]:
    """ "Algo order list"."""
    given = call.only
    kinds = given.text("ordType").split(",")
    found = venue.conditionals.open_of(call.owner) if given.is_of_type() else []
    return page(given, [venue.views.conditional(each) for each in found if each.kind in kinds], "algoId")


def _stop_of(given: Parameters) -> str:
    """Which of the two prices a conditional order has: exactly one."""
    found = [name for name in STOPS if f"{name}TriggerPx" in given]
    if len(found) != 1:
        raise ApiError(Error.BAD_PARAMETER, "slTriggerPx")
    return found[0]


def _names(stop: str) -> tuple[str, str, str]:
    return f"{stop}TriggerPx", f"{stop}OrdPx", f"{stop}TriggerPxType"


def _answer(client_id: str, algo_id: str) -> Json:
    return {"algoClOrdId": client_id, "algoId": algo_id, "clOrdId": "", "sCode": "0", "sMsg": "", "tag": ""}
