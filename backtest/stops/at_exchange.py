"""Stops that stand at the exchange: they wait beside the book for a price, and become orders when it is reached.

- A stop is accepted when its request arrives, and waits. One whose price has been reached then is rejected
  (``WOULD_TRIGGER``).
- It fires on the first last, mark or index price of the exchange at or past its trigger, while the exchange's book is
  in step. It is then matched at once by the exchange model, as an order that arrives at that moment; those that one
  price lets go do so in the order in which they came.
- While it waits it takes nothing, and can be amended (price, quantity, trigger) and cancelled. Once it has fired it is
  an order as any other.
- A reduce-only one fills no more than it closes at that moment; what is over expires.

Source: Binance, USDⓈ-M Futures, "New Algo Order" (when a conditional order fires, and its refusal with -2021).
"""

from __future__ import annotations

from typing import Final

from backtest.matching.exchange import (
    ACCEPTED,
    AMENDED,
    CANCELLED,
    NO_LIQUIDITY_SIDE,
    REJECTED,
    TRIGGERED,
    answer,
    enter,
    newest_answer,
    plain_answer,
)
from oms.compiled import call_address, kernel
from oms.core.armed import sign_of, watched_px
from oms.core.exchange_view import exchange_book
from oms.core.orders import find_order
from oms.core.outbox import complete
from oms.core.state import Record, State
from oms.core.terms import rests
from oms.records import CommandKind, OrderType, Reason, TimeInForce

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_MARKET: Final = int(OrderType.MARKET)
_IOC: Final = int(TimeInForce.IOC)
_NONE: Final = int(Reason.NONE)
_WOULD_TRIGGER: Final = int(Reason.WOULD_TRIGGER)


@kernel
def is_reached(s: Record, slot: int) -> bool:
    """True when a price of the exchange is at or past the trigger of the stop in ``slot``."""
    asked = s["orders"][slot]
    book = exchange_book(s, asked["instrument"])
    px = watched_px(book, asked["trigger_source"], asked["side"])
    return bool(px > 0 and (px - s["model"]["orders"][slot]["trigger_px"]) * sign_of(asked) >= 0)


@kernel
def wait(s: Record, slot: int) -> None:
    """Put the stop in ``slot`` behind the instrument's others."""
    model = s["model"]
    order = model["orders"][slot]
    instrument = order["instrument"]
    order["waits"] = 1
    order["next"] = -1
    order["previous"] = model["last_stop"][instrument] - 1
    if order["previous"] >= 0:
        model["orders"][order["previous"]]["next"] = slot
    else:
        model["first_stop"][instrument] = slot + 1
    model["last_stop"][instrument] = slot + 1


@kernel
def wait_no_more(s: Record, slot: int) -> None:
    """Take a stop out of those that wait."""
    model = s["model"]
    order = model["orders"][slot]
    instrument = order["instrument"]
    order["waits"] = 0
    if order["previous"] >= 0:
        model["orders"][order["previous"]]["next"] = order["next"]
    else:
        model["first_stop"][instrument] = order["next"] + 1
    if order["next"] >= 0:
        model["orders"][order["next"]]["previous"] = order["previous"]
    else:
        model["last_stop"][instrument] = order["previous"] + 1


@kernel
def place(s: Record, command: Record) -> None:
    """A new stop has come."""
    slot = enter(s, command, REJECTED)
    if slot < 0:
        return
    order = s["model"]["orders"][slot]
    order["trigger_px"] = command["trigger_px"]
    if is_reached(s, slot):
        plain_answer(s, order, REJECTED, _WOULD_TRIGGER)
        return
    wait(s, slot)
    plain_answer(s, order, ACCEPTED, _NONE)


@kernel
def change(s: Record, slot: int, command: Record) -> None:
    """Amend or cancel a stop that waits."""
    order = s["model"]["orders"][slot]
    if command["kind"] != _AMEND:
        wait_no_more(s, slot)
        plain_answer(s, order, CANCELLED, _NONE)
        return
    order["px"] = command["px"]
    order["qty"] = command["qty"]
    order["leaves"] = command["qty"]
    order["trigger_px"] = command["trigger_px"]
    answer(s, order, AMENDED, _NONE, command["px"], command["qty"], NO_LIQUIDITY_SIDE)
    newest_answer(s)["value"] = command["trigger_px"]


@kernel
def fire(st: State, slot: int) -> None:
    """Let a stop become the order that it is for, and have it matched."""
    s = st[0]
    order = s["model"]["orders"][slot]
    wait_no_more(s, slot)
    plain_answer(s, order, TRIGGERED, _NONE)
    command = s["command"]
    complete(command, s["orders"][slot], order["px"], order["qty"])
    command["kind"] = _NEW
    command["trigger_px"] = order["trigger_px"]
    if command["order_type"] == _MARKET and rests(command["time_in_force"]):
        command["time_in_force"] = _IOC
    call_address(s["model"]["on_request"], st, 0, command)


def on_stop(st: State, _me: int, command: Record) -> None:
    """A request about a stop, which for the core has not fired, has reached the exchange."""
    s = st[0]
    slot = find_order(s, command["order_id"])
    waits = slot >= 0 and s["model"]["orders"][slot]["waits"] != 0
    if command["kind"] == _NEW:
        place(s, command)
    elif waits and s["model"]["orders"][slot]["order_id"] == command["order_id"]:
        change(s, slot, command)
    else:
        call_address(s["model"]["on_request"], st, 0, command)


def on_price(st: State, instrument: int, _tick: Record) -> None:
    """The exchange has another price of an instrument of which stops wait."""
    s = st[0]
    slot = s["model"]["first_stop"][instrument] - 1
    while slot >= 0:
        following = s["model"]["orders"][slot]["next"]
        if is_reached(s, slot):
            fire(st, slot)
        slot = following
