"""Letting an order in the core's keeping go, once it is due.

It passes risk in full. A reason that will go by (a stale book, no rate token, an exchange that is sent no new orders)
leaves it due, and it is tried again with each price.

One whose price has come and that may only close what is held (reduce-only, of a scope that is REDUCING, of a leg of a
hedging account) is a protection that must not fail because a target rests: it leaves for what there is left to close,
and what rests on its side gives way, the newest first, as much as must. The cancels leave before it does. Both may
still fill, as in a group of which one cancels the other. While others that do not give way stand for all that is held
it waits, for they may end without a fill; it ends once nothing is held.

An exit, a stop or a market order that closes something, does not end either for what the market or another order of the
account is in the way of: it stays due. Own orders that a stop would trade with are cancelled first.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from oms.compiled import kernel
from oms.core.accounting import count_order, strategy_scope
from oms.core.armed import arm, is_reached, watched_px
from oms.core.entry import enter_release
from oms.core.events import emit_terms
from oms.core.exposure import reachable_qty
from oms.core.funds import spot_wallet
from oms.core.groups import anchor_of
from oms.core.keeping import ask_cancel, change_held, end_held, set_aside, value_market_order
from oms.core.orders import stand_no_more, stands_at_exchange
from oms.core.outbox import can_send, complete, send
from oms.core.positions import closable_qty
from oms.core.progress import FIRST_PAUSE_NS
from oms.core.risk import check_new
from oms.core.self_trade import meets, would_self_trade
from oms.core.state import MAX_ACCOUNTS, Record
from oms.core.terms import expected_px, rests
from oms.core.trading import state_of_scope
from oms.core.valuation import revalue
from oms.instrument_kinds import InstrumentKind
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    TradingState,
    Trigger,
)

_SPOT: Final = int(InstrumentKind.SPOT)
_NEW: Final = int(CommandKind.NEW)
_SUBMITTED: Final = int(EventKind.ORDER_SUBMITTED)
_MARKET: Final = int(OrderType.MARKET)
_IOC: Final = int(TimeInForce.IOC)
_REJECTED: Final = int(OrderState.REJECTED)
_REDUCING: Final = int(TradingState.REDUCING)
_PENDING_NEW: Final = int(OrderState.PENDING_NEW)
_REDUCE_ONLY_FLAG: Final = int(OrderFlag.REDUCE_ONLY)
_NO_TRIGGER: Final = int(Trigger.NONE)
_OTO: Final = int(Contingency.OTO)
_OCO: Final = int(Contingency.OCO)

_NONE: Final = int(Reason.NONE)
_SELF_TRADE: Final = int(Reason.SELF_TRADE)
_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
_OUTPUT_FULL: Final = int(Reason.OUTPUT_FULL)
_GAVE_WAY: Final = int(Reason.GAVE_WAY)
PASSING: Final = np.zeros(256, np.bool_)
"""Reasons that go by: an order that is due waits for their end instead of being lost."""
PASSING[
    [
        Reason.BOOK_STALE,
        Reason.NO_PRICE,
        Reason.ORDER_RATE,
        Reason.OUTPUT_FULL,
        Reason.TRADING_HALTED,
        Reason.INSTRUMENT_HALTED,
        Reason.NO_CONVERSION,
    ]
] = True
PASSING_FOR_EXITS: Final = np.zeros(256, np.bool_)
"""Further reasons that go by, for an order that closes what is held."""
PASSING_FOR_EXITS[[Reason.PRICE_COLLAR, Reason.SELF_TRADE]] = True
CLOSING: Final = np.zeros(256, np.bool_)
"""Reasons for which an order may only close, and with all that is open on its side would do more."""
CLOSING[[Reason.REDUCE_ONLY, Reason.TRADING_REDUCING, Reason.BAD_LEG]] = True


@kernel
def goes_by(s: Record, instrument: int, reason: int) -> bool:
    """True for a reason to refuse that goes by; whatever the exchange of an instrument is sent no orders for does."""
    return bool(PASSING[reason] or (reason != _NONE and reason == s["entry_closed"][instrument]))


@kernel
def may_only_close(s: Record, scope: int, order: Record) -> bool:
    """True when an order may do nothing but close what a scope holds."""
    hedging = scope < MAX_ACCOUNTS and s["accounts"][scope]["hedging"] != 0
    return bool(hedging or order["flags"] & _REDUCE_ONLY_FLAG or state_of_scope(s, scope) == _REDUCING)


@kernel
def gives_way(order: Record, other: Record) -> bool:
    """True for what rests at the exchange and would close what ``order``, whose price has come, is to close.

    What its own price has let go rests only once the exchange has said so.
    """
    return bool(
        other["account"] == order["account"]
        and other["leg"] == order["leg"]
        and other["side"] == order["side"]
        and other["risk_qty"] > 0
        and other["order_type"] != _MARKET
        and rests(other["time_in_force"])
        and (other["trigger"] == _NO_TRIGGER or other["state"] != _PENDING_NEW)
    )


@kernel
def yielding_qty(s: Record, order: Record, strategy: int) -> int:
    """Lots that can give way to an order; of ``strategy`` alone, -1: of any."""
    qty = 0
    at = s["order_lists"][order["instrument"]]["open_head"]
    while at >= 0:
        other = s["orders"][at]
        if gives_way(order, other) and (strategy < 0 or other["strategy"] == strategy):
            qty += other["risk_qty"]
        at = other["next_open"]
    return qty


@kernel
def _left_in_scope(s: Record, scope: int, order: Record, qty: int, strategy: int) -> int:
    """What of ``qty`` lots an order may leave for by what one scope holds; ``strategy`` -1: the scope is an account.

    0 while orders that do not give way stand for it. All of it when nothing is held: risk says why it may not leave.
    """
    if not may_only_close(s, scope, order):
        return qty
    side = order["side"]
    position = s["positions"][scope, order["instrument"], order["leg"]]
    held = closable_qty(position, side)
    if held <= 0 or reachable_qty(position, side, qty) <= 0:
        return qty
    left = min(yielding_qty(s, order, strategy) - reachable_qty(position, side, 0), held)
    if left < held and left < s["instruments"][order["instrument"]]["min_qty"]:
        return 0
    return min(qty, left)


@kernel
def qty_to_close(s: Record, order: Record, qty: int) -> int:
    """What of ``qty`` lots an order may leave for, when it may only close what its account and its strategy hold."""
    account = order["account"]
    if order["side"] == 1 - 2 * int(order["leg"]) and s["accounts"][account]["hedging"] != 0:
        return qty
    qty = _left_in_scope(s, account, order, qty, -1)
    if order["strategy"] < 0:
        return qty
    return _left_in_scope(s, strategy_scope(order), order, qty, order["strategy"])


@kernel
def make_way(s: Record, slot: int, qty: int, cancels: bool) -> tuple[int, int, int]:
    """What rests and gives way so that ``qty`` of an order only closes: the newest orders, until it fits.

    Returns their lots, those of them that are of its strategy, and the cash that all of them count. With ``cancels``
    their cancel is asked for.
    """
    order = s["orders"][slot]
    account = order["account"]
    instrument = order["instrument"]
    side = order["side"]
    scope = strategy_scope(order)
    over = 0
    own_over = 0
    if may_only_close(s, account, order):
        over = reachable_qty(s["positions"][account, instrument, order["leg"]], side, qty)
    if scope >= 0 and may_only_close(s, scope, order):
        own_over = reachable_qty(s["positions"][scope, instrument, order["leg"]], side, qty)
    freed = 0
    own_freed = 0
    value = 0
    at = s["order_lists"][instrument]["open_head"]
    while at >= 0 and (freed < over or own_freed < own_over):
        other = s["orders"][at]
        is_own = scope >= 0 and other["strategy"] == order["strategy"]
        if gives_way(order, other) and (freed < over or is_own):
            freed += other["risk_qty"]
            value += other["risk_value"]
            if is_own:
                own_freed += other["risk_qty"]
            if cancels:
                ask_cancel(s, at, _GAVE_WAY, other["request_id"], 0)
        at = other["next_open"]
    return freed, own_freed, value


@kernel
def _uncount(s: Record, order: Record, freed: int, own_freed: int, value: int) -> None:
    """Take lots out of what is open on an order's side, in its account's position and its strategy's share of it.

    Of spot the cash that they reserve too.
    """
    position = s["positions"][order["account"], order["instrument"], order["leg"]]
    scope = strategy_scope(order)
    share = position if scope < 0 else s["positions"][scope, order["instrument"], order["leg"]]
    if order["side"] > 0:
        position["open_buy_qty"] -= freed
        share["open_buy_qty"] -= own_freed
    else:
        position["open_sell_qty"] -= freed
        share["open_sell_qty"] -= own_freed
    definition = s["instruments"][order["instrument"]]
    wallet = spot_wallet(definition, order["side"])
    if definition["kind"] == _SPOT and wallet >= 0:
        s["wallets"][order["account"], wallet]["reserved"] -= value


@kernel
def write_release(s: Record, order: Record, qty: int) -> Record:
    """The command with which an order in the core's keeping leaves for ``qty`` lots; the core's own command row."""
    command = s["own_command"]
    complete(command, order, order["px"], qty)
    command["kind"] = _NEW
    command["request_id"] = order["request_id"]
    if order["order_type"] == _MARKET and rests(order["time_in_force"]) and not stands_at_exchange(order):
        command["time_in_force"] = _IOC
    return command


@kernel
def check_closing(s: Record, slot: int, qty: int) -> int:
    """Risk in full for ``qty`` lots of an order that may only close, as if what gives way to it were not there; that is
    cancelled then.
    """
    order = s["orders"][slot]
    revalue(s, order["account"])  # with everything counted: the check leaves the values as they are then
    if order["strategy"] >= 0:
        revalue(s, strategy_scope(order))
    freed, own_freed, value = make_way(s, slot, qty, False)
    _uncount(s, order, freed, own_freed, value)
    reason = check_new(s, write_release(s, order, qty), False)
    _uncount(s, order, -freed, -own_freed, -value)
    if reason == _NONE:
        make_way(s, slot, qty, True)
    return reason


@kernel
def check_release(s: Record, slot: int, qty: int) -> tuple[int, int]:
    """Risk in full for ``qty`` lots of an order that is due, as if it were new.

    To one whose price has come and that may only close what is held, what rests on its side gives way. Returns NONE, or
    why it may not leave, and the lots for which it may; 0: others stand for them.
    """
    order = s["orders"][slot]
    anchor = -1
    if order["contingency"] == _OTO or order["contingency"] == _OCO:
        anchor = anchor_of(s, slot)
    count_order(s, order, -1)
    if anchor >= 0:
        set_aside(s, anchor, slot, False)
    fired = order["trigger"] != _NO_TRIGGER and not stands_at_exchange(order)
    if fired:
        qty = qty_to_close(s, order, qty)
    reason = _REDUCE_ONLY
    if qty > 0:
        reason = check_new(s, write_release(s, order, qty), False)
        if CLOSING[reason] and fired:
            reason = check_closing(s, slot, qty)
    if anchor >= 0:
        set_aside(s, anchor, slot, True)
    count_order(s, order, 1)
    return reason, qty


@kernel
def is_exit(s: Record, order: Record) -> bool:
    """True for a stop or a market order in the core's keeping that closes something that its account holds."""
    position = s["positions"][order["account"], order["instrument"], order["leg"]]
    takes = order["trigger"] != _NO_TRIGGER or order["order_type"] == _MARKET
    return bool(takes and closable_qty(position, order["side"]) > 0)


@kernel
def clear_way(s: Record, order: Record, px: int) -> None:
    """Ask for the cancel of own orders on the other side with which an order would trade up to a price.

    A cancel that the exchange has rejected is asked for again after a pause.
    """
    at = s["order_lists"][order["instrument"]]["open_head"]
    while at >= 0:
        other = s["orders"][at]
        following = other["next_open"]
        is_asked = other["cancel_reason"] != 0 and s["now"] < other["updated_ts"] + FIRST_PAUSE_NS
        if other["account"] == order["account"] and meets(other, order["side"], px) and not is_asked:
            ask_cancel(s, at, _SELF_TRADE, other["request_id"], 0)
        at = following


@kernel
def has_way(s: Record, order: Record, px: int) -> bool:
    """True when what is worked for an order may take up to a price; False while own orders that give way are there.

    To an order that closes what is held, those that it would trade with do. Else risk refuses it for them.
    """
    if not would_self_trade(s, order["account"], order["instrument"], order["side"], px) or not is_exit(s, order):
        return True
    clear_way(s, order, px)
    return False


@kernel
def keep_due(s: Record, slot: int, qty: int, reason: int) -> bool:
    """True when an order that may not leave now stays due: for a reason that goes by, or because others stand for it.

    To a stop that closes what is held the own orders that it would trade with give way.
    """
    order = s["orders"][slot]
    if goes_by(s, order["instrument"], reason) or qty == 0:
        return True
    if not PASSING_FOR_EXITS[reason] or stands_at_exchange(order) or not is_exit(s, order):
        return False
    if reason == _SELF_TRADE and order["trigger"] != _NO_TRIGGER:
        book = s["books"][order["instrument"]]
        clear_way(s, order, expected_px(book, order["side"], order["order_type"], order["px"], qty))
    return True


@kernel
def fire_here(s: Record, slot: int) -> None:
    """Make a stop that is to stand at the exchange fire in the core when its price has come: there it is refused."""
    order = s["orders"][slot]
    if not stands_at_exchange(order):
        return
    px = watched_px(s["books"][order["instrument"]], order["trigger_source"], order["side"])
    if is_reached(order, px):
        stand_no_more(order)
        change_held(s, slot, order["px"], order["qty"], order["trigger_px"], order["trail"], order["held_for"])


@kernel
def release(s: Record, slot: int, qty: int) -> int:
    """Let an order that is due leave for ``qty`` lots, or for what there is left to close if it may only do that.

    Returns NONE, or why it did not: for a reason that goes by it stays due, for any other it is ended REJECTED.
    """
    order = s["orders"][slot]
    if not can_send(s):
        arm(s, slot)
        return _OUTPUT_FULL
    fire_here(s, slot)
    reason, qty = check_release(s, slot, qty)
    if reason == _NONE and not can_send(s):
        reason = _OUTPUT_FULL  # what gave way has filled it
    if reason == _NONE:
        command = write_release(s, order, qty)
        value_market_order(s, command)
        enter_release(s, slot, command)
        emit_terms(s, slot, _SUBMITTED, _NONE)
        send(s, command)
        return _NONE
    if keep_due(s, slot, qty, reason):
        arm(s, slot)
    else:
        end_held(s, slot, _REJECTED, reason, order["request_id"])
    return reason
