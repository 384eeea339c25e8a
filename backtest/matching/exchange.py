"""What every exchange model does alike: requests, answers under way, own orders at rest.

An exchange model is a module with three functions, called by address: ``on_request`` when a request reaches the
exchange, ``on_depth`` after a level of the book changed, ``on_trade`` when the market traded. How far a resting order
moves in its queue when a level is set anew, a queue model of ``backtest/queues`` says.
"""

from __future__ import annotations

from typing import Final

from backtest.matching.costs import slipped_px, state_fee
from backtest.matching.quantities import raw_qty
from oms.compiled import call_address, clear_record, kernel
from oms.core.book import next_occupied
from oms.core.exchange_view import exchange_book, rests_near
from oms.core.latencies import response_latency
from oms.core.orders import find_order, stands_at_exchange
from oms.core.state import ASK, BID, MODEL_BUCKETS, MODEL_QUEUE, NO_ASK, NO_BID, Record, State
from oms.core.terms import rests
from oms.core.trading import leg_of
from oms.instrument_kinds import InstrumentKind
from oms.records import CommandKind, Liquidity, OrderFlag, OrderType, Reason, ReportKind

ACCEPTED: Final = int(ReportKind.ACCEPTED)
REJECTED: Final = int(ReportKind.REJECTED)
FILL: Final = int(ReportKind.FILL)
AMENDED: Final = int(ReportKind.AMENDED)
AMEND_REJECTED: Final = int(ReportKind.AMEND_REJECTED)
CANCELLED: Final = int(ReportKind.CANCELLED)
CANCEL_REJECTED: Final = int(ReportKind.CANCEL_REJECTED)
EXPIRED: Final = int(ReportKind.EXPIRED)
TRIGGERED: Final = int(ReportKind.TRIGGERED)
ADOPTED: Final = int(ReportKind.ADOPTED)
MAKER: Final = int(Liquidity.MAKER)
TAKER: Final = int(Liquidity.TAKER)

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
NO_LIQUIDITY_SIDE: Final = int(Liquidity.NONE)
_MARKET: Final = int(OrderType.MARKET)
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_NONE: Final = int(Reason.NONE)
_REDUCE_ONLY_REASON: Final = int(Reason.REDUCE_ONLY)
_NO_LIQUIDITY: Final = int(Reason.NO_LIQUIDITY)
_UNKNOWN: Final = int(Reason.UNKNOWN_AT_EXCHANGE)
_MODEL_FULL: Final = int(Reason.MODEL_FULL)
_LIQUIDATION: Final = int(Reason.LIQUIDATION)
_SPOT: Final = int(InstrumentKind.SPOT)


@kernel
def answer(s: Record, order: Record, kind: int, reason: int, px: int, qty: int, liquidity: int) -> None:
    """Send one answer about an order; it reaches the core after the response latency, never before an earlier one.

    An answer that finds the queue full is counted among the lost events, on which the host stops.
    """
    model = s["model"]
    count = model["answer_count"]
    if count == MODEL_QUEUE:
        s["events_lost"] += 1
        return
    if count == 0:
        model["answer_head"] = 0
    report = model["answers"][(model["answer_head"] + count) % MODEL_QUEUE]
    due = s["now"] + response_latency(s, order["instrument"])
    if count > 0:
        due = max(due, model["answers"][(model["answer_head"] + count - 1) % MODEL_QUEUE]["ts"])
    clear_record(report)
    report["ts"] = due
    report["exch_ts"] = s["now"]
    report["order_id"] = order["order_id"]
    report["kind"] = kind
    report["side"] = order["side"]
    report["liquidity"] = liquidity
    report["reason"] = reason
    report["instrument"] = order["instrument"]
    report["account"] = order["account"]
    report["px"] = px
    report["qty"] = qty
    if kind == FILL:
        model["trade_counter"] += 1
        report["trade_id"] = model["trade_counter"]
        state_fee(s, report)
    model["answer_count"] = count + 1
    s["next_due"] = min(s["next_due"], due)


@kernel
def newest_answer(s: Record) -> Record:
    """The answer that was given last."""
    model = s["model"]
    return model["answers"][(model["answer_head"] + model["answer_count"] - 1) % MODEL_QUEUE]


@kernel
def has_answer_room(s: Record) -> bool:
    """True while the answers that one order can cause find room."""
    return bool(s["model"]["answer_count"] < MODEL_QUEUE // 2)


@kernel
def plain_answer(s: Record, order: Record, kind: int, reason: int) -> None:
    """An answer without price and quantity."""
    answer(s, order, kind, reason, 0, 0, NO_LIQUIDITY_SIDE)


@kernel
def take(s: Record, order: Record, px: int, qty: int) -> None:
    """Fill ``qty`` lots of an order that takes, at a price of the market or worse by slippage and impact."""
    order["leaves"] -= qty
    order["taken"] += qty
    answer(s, order, FILL, _NONE, slipped_px(s, order, px), qty, TAKER)


@kernel
def closable_qty(s: Record, order: Record) -> int:
    """Lots that a reduce-only order can close: of the position as it is once the fills under way have arrived."""
    model = s["model"]
    leg = order["reduces"] - 1
    qty: int = s["positions"][order["account"], order["instrument"], leg]["qty"]
    for i in range(model["answer_count"]):
        report = model["answers"][(model["answer_head"] + i) % MODEL_QUEUE]
        if (
            report["kind"] != FILL
            or report["account"] != order["account"]
            or report["instrument"] != order["instrument"]
        ):
            continue
        slot = find_order(s, report["order_id"])
        if (s["orders"][slot]["leg"] if slot >= 0 else leg_of(report["flags"])) == leg:
            qty += report["side"] * report["qty"]
    return max(-qty * order["side"], 0)


@kernel
def cut_to_position(s: Record, order: Record) -> int:
    """Leave of a reduce-only order what it can close now; returns the lots that are too many."""
    if order["reduces"] == 0:
        return 0
    excess = max(order["leaves"] - closable_qty(s, order), 0)
    order["leaves"] -= excess
    return excess


@kernel
def fill_at(s: Record, slot: int, qty: int, px: int, liquidity: int) -> int:
    """Fill up to ``qty`` lots of an order in the list at a price, and return how many.

    It leaves the list when nothing is left. A reduce-only order that would open a position is filled as far as it
    closes one; the rest expires.
    """
    order = s["model"]["orders"][slot]
    excess = cut_to_position(s, order)
    qty = min(qty, order["leaves"])
    if qty > 0:
        answer(s, order, FILL, _NONE, px, qty, liquidity)
    order["leaves"] -= qty
    if order["leaves"] == 0:
        remove(s, slot)
        if excess > 0:
            plain_answer(s, order, EXPIRED, _REDUCE_ONLY_REASON)
    order["leaves"] += excess
    return qty


@kernel
def fill_resting(s: Record, slot: int, qty: int) -> int:
    """Fill up to ``qty`` lots of a resting order as maker at its own price; returns as ``fill_at``."""
    return fill_at(s, slot, qty, s["model"]["orders"][slot]["px"], MAKER)


@kernel
def best_reached(s: Record, instrument: int, side: int, px: int) -> int:
    """Slot of the own order of ``side`` with the best price among those at or through ``px``, earliest first; or -1."""
    model = s["model"]
    found = -1
    slot = model["head"][instrument]
    while slot >= 0:
        order = model["orders"][slot]
        reached = order["side"] == side and (order["px"] - px) * side >= 0
        if reached and (found < 0 or (order["px"] - model["orders"][found]["px"]) * side > 0):
            found = slot
        slot = order["next"]
    return found


@kernel
def advance_queue(s: Record, order: Record, lots: int) -> int:
    """Let ``lots`` trade at the price of a resting order; returns for how many of its own lots the queue has come.

    That is what the trade had left over when it had used up the queue, rounded to lots (rule of hftbacktest).
    """
    instrument = order["instrument"]
    traded = raw_qty(s, instrument, lots)
    order["queue_ahead"] -= traded
    order["queue_traded"] += traded
    if order["queue_ahead"] >= 0.0:
        return 0
    reached = int(-order["queue_ahead"] / raw_qty(s, instrument, 1) + 0.5)
    if reached > 0:
        order["queue_ahead"] = 0.0
    return reached


@kernel
def advance_level(st: State, tick: Record) -> None:
    """A level was set: let the queue model move every own order that rests there."""
    s = st[0]
    if not rests_near(s, tick["instrument"], tick["px"]):
        return
    model = s["model"]
    slot = model["head"][tick["instrument"]]
    while slot >= 0:
        order = model["orders"][slot]
        if order["px"] == tick["px"] and order["side"] == tick["side"]:
            call_address(model["on_level"], st, slot, tick)
        slot = order["next"]


@kernel
def rest(s: Record, slot: int, queue_ahead: float) -> None:
    """Put the order in ``slot`` behind the instrument's other own orders, with ``queue_ahead`` before it."""
    model = s["model"]
    order = model["orders"][slot]
    instrument = order["instrument"]
    order["active"] = 1
    order["queue_ahead"] = queue_ahead
    order["queue_traded"] = 0.0
    tail = model["tail"][instrument]
    order["previous"] = tail
    order["next"] = -1
    if tail >= 0:
        model["orders"][tail]["next"] = slot
    else:
        model["head"][instrument] = slot
    model["tail"][instrument] = slot
    reach = model["reach"][instrument]
    if model["resting"][instrument] == 0:
        reach[BID] = NO_BID
        reach[ASK] = NO_ASK
    at = (order["side"] + 1) >> 1
    if (order["px"] - reach[at]) * order["side"] > 0:
        reach[at] = order["px"]
    model["resting"][instrument] += 1
    model["bucket"][instrument, order["px"] & (MODEL_BUCKETS - 1)] += 1


@kernel
def remove(s: Record, slot: int) -> None:
    """Take a resting order out of the exchange."""
    model = s["model"]
    order = model["orders"][slot]
    instrument = order["instrument"]
    order["active"] = 0
    before = order["previous"]
    following = order["next"]
    if before >= 0:
        model["orders"][before]["next"] = following
    else:
        model["head"][instrument] = following
    if following >= 0:
        model["orders"][following]["previous"] = before
    else:
        model["tail"][instrument] = before
    model["resting"][instrument] -= 1
    model["bucket"][instrument, order["px"] & (MODEL_BUCKETS - 1)] -= 1


@kernel
def was_liquidated(s: Record, slot: int) -> bool:
    """True when the core had not heard of its wallet's liquidation when the order in ``slot`` left: it is rejected."""
    order = s["orders"][slot]
    definition = s["instruments"][order["instrument"]]
    wallet = definition["settle_wallet"]
    if wallet < 0 or definition["kind"] == _SPOT:
        return False
    return bool(order["updated_ts"] < s["model"]["liquidated_ts"][order["account"], wallet])


@kernel
def enter(s: Record, command: Record, refused: int) -> int:
    """Copy an order that has reached the exchange into the model's table and return its slot.

    -1: it is unknown, or has been answered with ``refused``.
    """
    slot = find_order(s, command["order_id"])
    if slot < 0:
        return -1
    order = s["model"]["orders"][slot]
    order["active"] = 0
    order["arrival"] = 0
    order["waits"] = 0
    order["order_id"] = command["order_id"]
    order["instrument"] = command["instrument"]
    order["account"] = command["account"]
    order["side"] = command["side"]
    order["px"] = command["px"] if command["order_type"] != _MARKET else 0
    order["qty"] = command["qty"]
    order["leaves"] = command["qty"]
    order["taken"] = 0
    order["reduces"] = 1 + leg_of(command["flags"]) if command["flags"] & _REDUCE_ONLY else 0
    if not has_answer_room(s):
        plain_answer(s, order, refused, _MODEL_FULL)
        return -1
    if was_liquidated(s, slot):
        plain_answer(s, order, refused, _LIQUIDATION)
        return -1
    return slot


@kernel
def find_resting(s: Record, command: Record, kind: int) -> int:
    """Slot of the resting order that a command is about; without one it is answered with ``kind``, and -1 returned."""
    slot = find_order(s, command["order_id"])
    if slot >= 0:
        order = s["model"]["orders"][slot]
        if order["active"] != 0 and order["order_id"] == command["order_id"]:
            return slot
    plain_answer(s, command, kind, _UNKNOWN)
    return -1


@kernel
def cancel_resting(s: Record, command: Record) -> None:
    """Cancel an order at rest, or answer that there is none."""
    slot = find_resting(s, command, CANCEL_REJECTED)
    if slot >= 0:
        remove(s, slot)
        plain_answer(s, s["model"]["orders"][slot], CANCELLED, _NONE)


@kernel
def amend_in_place(s: Record, command: Record) -> int:
    """Amend an order at rest where its place in the queue stays.

    Price unchanged and quantity not above what is left: in place (fill rule 9). Returns the slot of an order whose
    amend needs a new place, already taken out of the queue and changed; -1 when the command has been answered.
    """
    slot = find_resting(s, command, AMEND_REJECTED)
    if slot < 0:
        return -1
    order = s["model"]["orders"][slot]
    leaves = command["qty"] - (order["qty"] - order["leaves"])
    if leaves <= 0:
        remove(s, slot)
        plain_answer(s, order, CANCELLED, _NONE)
        return -1
    in_place = command["px"] == order["px"] and leaves <= order["leaves"]
    if not in_place:
        remove(s, slot)
    order["px"] = command["px"]
    order["qty"] = command["qty"]
    order["leaves"] = leaves
    answer(s, order, AMENDED, _NONE, command["px"], command["qty"], NO_LIQUIDITY_SIDE)
    return -1 if in_place else slot


@kernel
def receive(s: Record, command: Record) -> int:
    """Answer a request as far as every model does it alike; the slot of an order that is to be matched now, or -1.

    A stop that stood at the exchange comes here once it has fired: it has been accepted before.
    """
    if command["kind"] == _AMEND:
        return amend_in_place(s, command)
    if command["kind"] != _NEW:
        cancel_resting(s, command)
        return -1
    if stands_at_exchange(command):
        return enter(s, command, EXPIRED)
    slot = enter(s, command, REJECTED)
    if slot >= 0:
        plain_answer(s, s["model"]["orders"][slot], ACCEPTED, _NONE)
    return slot


@kernel
def rest_or_expire(s: Record, slot: int, command: Record, queue_ahead: float) -> None:
    """What is left of an order that has been matched rests with ``queue_ahead`` before it, or expires."""
    if command["order_type"] == _MARKET or not rests(command["time_in_force"]):
        plain_answer(s, s["model"]["orders"][slot], EXPIRED, _NO_LIQUIDITY)
    else:
        rest(s, slot, queue_ahead)


@kernel
def best_opposite(s: Record, instrument: int, side: int) -> int:
    """Best price that an order of ``side`` could take; ``NO_ASK`` or ``NO_BID`` when there is none."""
    return exchange_book(s, instrument)["best"][(1 - side) >> 1]


@kernel
def would_cross(s: Record, instrument: int, side: int, order_type: int, px: int) -> bool:
    """True when an order would take liquidity on arrival: a buy at or above the best ask, and mirrored."""
    opposite = best_opposite(s, instrument, side)
    if opposite == NO_ASK or opposite == NO_BID:
        return False
    return bool(order_type == _MARKET or (px - opposite) * side >= 0)


@kernel
def next_level(s: Record, instrument: int, side: int, px: int) -> int:
    """Next occupied price of ``side``'s book beyond ``px``, away from the market."""
    return next_occupied(exchange_book(s, instrument), (side + 1) >> 1, px, -side)
