"""What an operation does: check, take, rest.

Sources, for Binance USD-M futures; pages of developers.binance.com, *USDS-Margined Futures*:

- *Error Code*, -5021 and -5022: a FOK order that cannot be filled at once and a post-only (GTX) order that cannot be a
  maker are rejected; they never were orders.
- *New Order* and *Common Definition*: what an IOC or a market order does not get at once expires.
- *Modify Order*: ``quantity`` and ``price`` are the order's new ones; the order goes to the end of the queue. It is
  cancelled where the quantity is no more than what it has filled, and where it is GTX and would take at the new price.
- *Self Trade Prevention (STP) FAQ*: the mode of the taker counts, and none does for a FOK order.

The *Order Amend Keep Priority* FAQ of *Spot* is the source of KEEP_PRIORITY: an order that only becomes smaller keeps
its place.
"""

from __future__ import annotations

from typing import Final

from gateways.sandbox.engine.outcomes import begin_trade, tell, tell_end, tell_fill
from gateways.sandbox.engine.prices import NO_RANK, best_rank, next_rank, rank_of
from gateways.sandbox.engine.queue import (
    IN_HAND,
    available_qty,
    find_level,
    find_order,
    give_up,
    has_room,
    join,
    keep,
    leave,
    level_px,
    pass_gap,
    reduce,
    remove,
    settle,
    visible_qty,
)
from gateways.sandbox.engine.records import (
    MAX_LEVELS,
    MAX_QTY,
    WINDOW,
    OperationFlag,
    OperationKind,
    OutcomeKind,
    Record,
)
from oms.compiled import hot_kernel
from oms.records import Liquidity, OrderType, Reason, TimeInForce

_PLACE: Final = int(OperationKind.PLACE)
_CANCEL: Final = int(OperationKind.CANCEL)
_AMEND: Final = int(OperationKind.AMEND)
_POST_ONLY: Final = int(OperationFlag.POST_ONLY)
_KEEP_PRIORITY: Final = int(OperationFlag.KEEP_PRIORITY)
_EXPIRE_TAKER: Final = int(OperationFlag.EXPIRE_TAKER)
_EXPIRE_MAKER: Final = int(OperationFlag.EXPIRE_MAKER)
_EXPIRE_BOTH: Final = int(OperationFlag.EXPIRE_BOTH)
_ACCEPTED: Final = int(OutcomeKind.ACCEPTED)
_REJECTED: Final = int(OutcomeKind.REJECTED)
_AMENDED: Final = int(OutcomeKind.AMENDED)
_CANCELLED: Final = int(OutcomeKind.CANCELLED)
_EXPIRED: Final = int(OutcomeKind.EXPIRED)
_LIMIT: Final = int(OrderType.LIMIT)
_MARKET: Final = int(OrderType.MARKET)
_GTC: Final = int(TimeInForce.GTC)
_FOK: Final = int(TimeInForce.FOK)
_MAKER: Final = int(Liquidity.MAKER)
_TAKER: Final = int(Liquidity.TAKER)
_NONE: Final = int(Reason.NONE)
_BAD_COMMAND: Final = int(Reason.BAD_COMMAND)
_BAD_SIDE: Final = int(Reason.BAD_SIDE)
_BAD_ORDER_TYPE: Final = int(Reason.BAD_ORDER_TYPE)
_BAD_TIME_IN_FORCE: Final = int(Reason.BAD_TIME_IN_FORCE)
_BAD_FLAGS: Final = int(Reason.BAD_FLAGS)
_BAD_PRICE: Final = int(Reason.BAD_PRICE)
_QTY_BELOW_MIN: Final = int(Reason.QTY_BELOW_MIN)
_QTY_ABOVE_MAX: Final = int(Reason.QTY_ABOVE_MAX)
_DUPLICATE_ORDER_ID: Final = int(Reason.DUPLICATE_ORDER_ID)
_TABLE_FULL: Final = int(Reason.ORDER_TABLE_FULL)
_WOULD_CROSS: Final = int(Reason.POST_ONLY_WOULD_CROSS)
_NO_LIQUIDITY: Final = int(Reason.NO_LIQUIDITY)
_UNKNOWN: Final = int(Reason.UNKNOWN_AT_EXCHANGE)
_SELF_TRADE: Final = int(Reason.SELF_TRADE)
_REQUESTED: Final = int(Reason.REQUESTED)


@hot_kernel
def check_terms(s: Record, side: int, px: int, qty: int) -> int:
    """The Reason why nothing can be ordered at a price and a quantity, or NONE."""
    if qty < 1:
        return _QTY_BELOW_MIN
    if qty > MAX_QTY:
        return _QTY_ABOVE_MAX
    if px < 1 or not 0 <= rank_of(s, side, px) < WINDOW:
        return _BAD_PRICE
    return _NONE


@hot_kernel
def check_order(s: Record, operation: Record) -> int:
    """The Reason why an order cannot be accepted, whatever the book holds, or NONE."""
    order_type = operation["order_type"]
    tif = operation["tif"]
    if operation["side"] != 1 and operation["side"] != -1:
        return _BAD_SIDE
    if order_type != _LIMIT and order_type != _MARKET:
        return _BAD_ORDER_TYPE
    if tif < _GTC or tif > _FOK:
        return _BAD_TIME_IN_FORCE
    if operation["flags"] & _POST_ONLY and (order_type != _LIMIT or tif != _GTC):
        return _BAD_FLAGS
    px = operation["px"] if order_type == _LIMIT else s["base"] + 1
    reason = check_terms(s, operation["side"], px, operation["qty"])
    if reason != _NONE:
        return reason
    if operation["order_id"] < 1:
        return _BAD_COMMAND
    if find_order(s, operation["order_id"]) != 0:
        return _DUPLICATE_ORDER_ID
    if order_type == _LIMIT and tif == _GTC and not has_room(s, operation["side"], px):
        return _TABLE_FULL
    return _NONE


@hot_kernel
def worst_rank(s: Record, side: int, px: int, order_type: int) -> int:
    """Worst rank of the other side at which an order of ``side`` takes."""
    return rank_of(s, -side, px) if order_type == _LIMIT else NO_RANK - 1


@hot_kernel
def can_fill(s: Record, side: int, worst: int, qty: int) -> bool:
    """True when the other side shows ``qty`` lots down to rank ``worst``."""
    rank = best_rank(s, -side)
    while rank <= worst and qty > 0:
        qty -= visible_qty(s["levels"][find_level(s, -side, rank)])
        rank = next_rank(s, -side, rank)
    return qty <= 0


@hot_kernel
def take_background(s: Record, order: Record, row: int, slot: int, qty: int) -> None:
    """An order takes lots of the background at a level: what is ahead of ``slot``, or 0: what is last."""
    level = s["levels"][row]
    level["taken"] += qty
    order["left"] -= qty
    if slot != 0:
        pass_gap(s, slot, qty)
    settle(s, row)
    px = level_px(s, level)
    begin_trade(s, px, qty)
    tell_fill(s, order, px, qty, _TAKER)


@hot_kernel
def take_order(s: Record, order: Record, slot: int) -> None:
    """An order trades with a resting one."""
    maker = s["orders"][slot]
    qty = min(order["left"], maker["left"])
    px = maker["px"]
    order["left"] -= qty
    begin_trade(s, px, qty)
    reduce(s, slot, qty)
    tell_fill(s, order, px, qty, _TAKER)
    tell_fill(s, maker, px, qty, _MAKER)


@hot_kernel
def take_level(s: Record, order: Record, row: int, prevention: int) -> bool:
    """Take from a level by time, as far as an order wants; False: it met one of its own account and expires."""
    level = s["levels"][row]
    while order["left"] > 0:
        slot = level["first"]
        ahead = available_qty(level)
        if slot != 0:
            ahead = min(ahead, s["orders"][slot]["gap"])
        if ahead > 0:
            take_background(s, order, row, slot, min(order["left"], ahead))
        elif slot == 0:
            break
        elif prevention != 0 and s["orders"][slot]["account"] == order["account"]:
            if prevention & _EXPIRE_MAKER:
                remove(s, slot)
                tell_end(s, _EXPIRED, _SELF_TRADE, s["orders"][slot])
            if prevention & _EXPIRE_TAKER:
                return False
        else:
            take_order(s, order, slot)
    return True


@hot_kernel
def take(s: Record, order: Record, worst: int, prevention: int) -> bool:
    """Take from the other side, best price first; False: the order met one of its own account and expires."""
    side = -order["side"]
    while order["left"] > 0:
        rank = best_rank(s, side)
        if rank > worst:
            break
        if not take_level(s, order, find_level(s, side, rank), prevention):
            return False
    return True


@hot_kernel
def take_hold(s: Record, operation: Record) -> None:
    """Put a new order in hand."""
    order = s["orders"][IN_HAND]
    order["order_id"] = operation["order_id"]
    order["account"] = operation["account"]
    order["side"] = operation["side"]
    order["px"] = operation["px"] if operation["order_type"] == _LIMIT else 0
    order["qty"] = operation["qty"]
    order["left"] = operation["qty"]
    order["flags"] = operation["flags"]


@hot_kernel
def place(s: Record, operation: Record) -> None:
    """PLACE."""
    take_hold(s, operation)
    order = s["orders"][IN_HAND]
    reason = check_order(s, operation)
    if reason != _NONE:
        order["left"] = 0
        tell(s, _REJECTED, reason, order)
        return
    side = operation["side"]
    tif = operation["tif"]
    worst = worst_rank(s, side, operation["px"], operation["order_type"])
    if operation["flags"] & _POST_ONLY and best_rank(s, -side) <= worst:
        reason = _WOULD_CROSS
    elif tif == _FOK and not can_fill(s, side, worst, operation["qty"]):
        reason = _NO_LIQUIDITY
    if reason != _NONE:
        order["left"] = 0
        tell(s, _REJECTED, reason, order)
        return
    tell(s, _ACCEPTED, _NONE, order)
    prevention = operation["flags"] & _EXPIRE_BOTH if tif != _FOK else 0
    if not take(s, order, worst, prevention):
        tell_end(s, _EXPIRED, _SELF_TRADE, order)
    elif order["left"] > 0 and operation["order_type"] == _LIMIT and tif == _GTC:
        keep(s)
    elif order["left"] > 0:
        tell_end(s, _EXPIRED, _NO_LIQUIDITY, order)


@hot_kernel
def reject_unknown(s: Record, operation: Record) -> None:
    """An operation is about no open order of its account."""
    take_hold(s, operation)
    s["orders"][IN_HAND]["left"] = 0
    tell(s, _REJECTED, _UNKNOWN, s["orders"][IN_HAND])


@hot_kernel
def find_own(s: Record, operation: Record) -> int:
    """Row of the open order that an operation is about; 0: its account has none of that id."""
    slot = find_order(s, operation["order_id"])
    return slot if s["orders"][slot]["account"] == operation["account"] else 0


@hot_kernel
def end(s: Record, slot: int, reason: int) -> None:
    """Cancel a resting order."""
    remove(s, slot)
    tell_end(s, _CANCELLED, reason, s["orders"][slot])


@hot_kernel
def cancel(s: Record, operation: Record) -> None:
    """CANCEL."""
    slot = find_own(s, operation)
    if slot == 0:
        reject_unknown(s, operation)
    else:
        end(s, slot, _REQUESTED)


@hot_kernel
def requeue(s: Record, slot: int, operation: Record) -> None:
    """Take an order out of its queue and bring it to the end of the one at its new price; it may take."""
    leave(s, slot)
    order = s["orders"][slot]
    order["left"] += operation["qty"] - order["qty"]
    order["qty"] = operation["qty"]
    order["px"] = operation["px"]
    tell(s, _AMENDED, _NONE, order)
    worst = rank_of(s, -order["side"], order["px"])
    if not take(s, order, worst, operation["flags"] & _EXPIRE_BOTH):
        tell_end(s, _EXPIRED, _SELF_TRADE, order)
        give_up(s, slot)
    elif order["left"] > 0:
        join(s, slot)
    else:
        give_up(s, slot)


@hot_kernel
def amend(s: Record, operation: Record) -> None:
    """AMEND."""
    slot = find_own(s, operation)
    if slot == 0:
        reject_unknown(s, operation)
        return
    order = s["orders"][slot]
    side = order["side"]
    px = operation["px"]
    qty = operation["qty"]
    reason = check_terms(s, side, px, qty)
    if reason == _NONE and s["level_count"] == MAX_LEVELS and find_level(s, side, rank_of(s, side, px)) == 0:
        reason = _TABLE_FULL
    if reason != _NONE:
        tell(s, _REJECTED, reason, order)
    elif qty <= order["qty"] - order["left"]:
        end(s, slot, _QTY_BELOW_MIN)
    elif order["flags"] & _POST_ONLY and best_rank(s, -side) <= rank_of(s, -side, px):
        end(s, slot, _WOULD_CROSS)
    elif operation["flags"] & _KEEP_PRIORITY and px == order["px"] and qty < order["qty"]:
        less = order["qty"] - qty
        order["qty"] = qty
        reduce(s, slot, less)
        tell(s, _AMENDED, _NONE, order)
    else:
        requeue(s, slot, operation)


@hot_kernel
def operate(s: Record, operation: Record) -> None:
    """Do one operation; its outcomes are added to ``outcomes``."""
    s["ts"] = operation["ts"]
    kind = operation["kind"]
    if kind == _PLACE:
        place(s, operation)
    elif kind == _CANCEL:
        cancel(s, operation)
    elif kind == _AMEND:
        amend(s, operation)
    else:
        take_hold(s, operation)
        s["orders"][IN_HAND]["left"] = 0
        tell(s, _REJECTED, _BAD_COMMAND, s["orders"][IN_HAND])
