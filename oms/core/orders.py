"""The order table: one row an order, found by id, linked per instrument while open, moved only by ``TRANSITIONS``.

The table of legal moves is data: kernels, documents and tests read it. A fill is a fact, so it is taken in every state
but EMPTY; a late acknowledgement never revives an order that is done.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np

from oms.compiled import hot_kernel, kernel, prefetch, prefetch_item
from oms.core.state import MAX_ORDERS, ORDER_INDEX, Record
from oms.instrument_kinds import InstrumentKind
from oms.records import OrderFlag, OrderState, ReportKind, Trigger


class OrderInput(IntEnum):
    """What can happen to an order; the columns of ``TRANSITIONS``. The first ones are the ReportKinds."""

    ACCEPTED = ReportKind.ACCEPTED
    REJECTED = ReportKind.REJECTED
    FILL = ReportKind.FILL
    """A fill that leaves a rest."""
    AMENDED = ReportKind.AMENDED
    AMEND_REJECTED = ReportKind.AMEND_REJECTED
    CANCELLED = ReportKind.CANCELLED
    CANCEL_REJECTED = ReportKind.CANCEL_REJECTED
    EXPIRED = ReportKind.EXPIRED
    FILL_UP = 9
    """What leaves nothing to fill: a fill, or the exchange's word that no more than what has filled was asked for."""
    REQUEST_AMEND = 10
    REQUEST_CANCEL = 11
    RELEASE = 12
    """An order in the core's keeping leaves for the exchange."""
    HELD_CANCEL = 13
    HELD_EXPIRE = 14
    HELD_REFUSE = 15
    """An order in the core's keeping was due, and risk refused it."""
    CANCEL_REJECTED_FIRST = 16
    """A cancel was rejected, and an amend that was asked for before it has not been answered yet."""
    CHILDREN_FILL_UP = 17
    """The children of an order that an algorithm works have filled all of it."""
    TRIGGERED = 18
    """A stop that stands at the exchange has fired."""


class AmendRefusal(IntEnum):
    """What the exchange has refused to change of an order, as it does for none (``Reason.NO_AMEND``)."""

    NONE = 0
    MORE = 1
    """Anything but making it smaller at its price, which some exchanges do alone."""
    EVERYTHING = 2


_S = OrderState
_I = OrderInput
_SAME_AFTER_END = {_I.CANCEL_REJECTED, _I.AMEND_REJECTED}

LEGAL: Final[dict[OrderState, dict[OrderInput, OrderState]]] = {
    _S.PENDING_NEW: {
        _I.ACCEPTED: _S.LIVE,
        _I.TRIGGERED: _S.LIVE,
        _I.REJECTED: _S.REJECTED,
        _I.FILL: _S.LIVE,
        _I.FILL_UP: _S.FILLED,
        _I.CANCELLED: _S.CANCELLED,
        _I.EXPIRED: _S.EXPIRED,
        _I.REQUEST_CANCEL: _S.PENDING_CANCEL,
    },
    _S.LIVE: {
        _I.ACCEPTED: _S.LIVE,
        _I.TRIGGERED: _S.LIVE,
        _I.FILL: _S.LIVE,
        _I.FILL_UP: _S.FILLED,
        _I.AMENDED: _S.LIVE,
        _I.AMEND_REJECTED: _S.LIVE,
        _I.CANCELLED: _S.CANCELLED,
        _I.EXPIRED: _S.EXPIRED,
        _I.REQUEST_AMEND: _S.PENDING_AMEND,
        _I.REQUEST_CANCEL: _S.PENDING_CANCEL,
    },
    _S.PENDING_AMEND: {
        _I.ACCEPTED: _S.PENDING_AMEND,
        _I.TRIGGERED: _S.PENDING_AMEND,
        _I.FILL: _S.PENDING_AMEND,
        _I.FILL_UP: _S.FILLED,
        _I.AMENDED: _S.LIVE,
        _I.AMEND_REJECTED: _S.LIVE,
        _I.CANCELLED: _S.CANCELLED,
        _I.EXPIRED: _S.EXPIRED,
        _I.REQUEST_CANCEL: _S.PENDING_CANCEL,
    },
    _S.PENDING_CANCEL: {
        _I.ACCEPTED: _S.PENDING_CANCEL,
        _I.TRIGGERED: _S.PENDING_CANCEL,
        _I.REJECTED: _S.REJECTED,
        _I.FILL: _S.PENDING_CANCEL,
        _I.FILL_UP: _S.FILLED,
        _I.AMENDED: _S.PENDING_CANCEL,
        _I.AMEND_REJECTED: _S.PENDING_CANCEL,
        _I.CANCELLED: _S.CANCELLED,
        _I.CANCEL_REJECTED: _S.LIVE,
        _I.EXPIRED: _S.EXPIRED,
        _I.CANCEL_REJECTED_FIRST: _S.PENDING_AMEND,
    },
    _S.HELD: {
        _I.REQUEST_AMEND: _S.HELD,
        _I.RELEASE: _S.PENDING_NEW,
        _I.HELD_CANCEL: _S.CANCELLED,
        _I.HELD_EXPIRE: _S.EXPIRED,
        _I.HELD_REFUSE: _S.REJECTED,
        _I.CHILDREN_FILL_UP: _S.FILLED,
    },
    _S.FILLED: dict.fromkeys(_SAME_AFTER_END, _S.FILLED),
    _S.CANCELLED: {
        **dict.fromkeys(_SAME_AFTER_END, _S.CANCELLED),
        _I.FILL: _S.CANCELLED,
        _I.FILL_UP: _S.FILLED,
    },
    _S.REJECTED: {
        **dict.fromkeys(_SAME_AFTER_END, _S.REJECTED),
        _I.FILL: _S.REJECTED,
        _I.FILL_UP: _S.FILLED,
    },
    _S.EXPIRED: {
        **dict.fromkeys(_SAME_AFTER_END, _S.EXPIRED),
        _I.FILL: _S.EXPIRED,
        _I.FILL_UP: _S.FILLED,
    },
}
"""Every legal move: state -> input -> next state. What is not here is refused and counted."""

ILLEGAL: Final = 255

TRANSITIONS: Final = np.full((len(OrderState), max(OrderInput) + 1), ILLEGAL, np.uint8)
"""``LEGAL`` as a table of bytes, ``ILLEGAL`` elsewhere; shape (states, inputs)."""
for _state, _moves in LEGAL.items():
    for _input, _next in _moves.items():
        TRANSITIONS[_state, _input] = _next

OPEN_STATES: Final = (_S.PENDING_NEW, _S.LIVE, _S.PENDING_AMEND, _S.PENDING_CANCEL, _S.HELD)
_LAST_SENT: Final = int(_S.PENDING_CANCEL)
_HELD: Final = int(_S.HELD)
assert {state for state in OrderState if _S.EMPTY < state <= _LAST_SENT or state == _HELD} == set(OPEN_STATES)

_EMPTY: Final = int(_S.EMPTY)
_MORE: Final = int(AmendRefusal.MORE)
_EVERYTHING: Final = int(AmendRefusal.EVERYTHING)
_AT_EXCHANGE: Final = int(OrderFlag.AT_EXCHANGE)
BUT_AT_EXCHANGE: Final = 0xFFFF ^ _AT_EXCHANGE
_PROTECTION: Final = int(OrderFlag.AT_EXCHANGE | OrderFlag.REDUCE_ONLY)
_NO_TRIGGER: Final = int(Trigger.NONE)
_SPOT: Final = int(InstrumentKind.SPOT)
_INDEX_MASK: Final = ORDER_INDEX - 1
_GROUP_BITS: Final = 4
_GROUP_MASK: Final = (1 << _GROUP_BITS) - 1
_LOW_31_BITS: Final = 2**31 - 1
_KNUTH: Final = 2_654_435_761
"""Multiplicative hashing: D. E. Knuth, The Art of Computer Programming, vol. 3, 6.4."""


@kernel
def next_state(state: int, order_input: int) -> int:
    """The state after ``order_input``, or ``ILLEGAL``."""
    return TRANSITIONS[state, order_input]


@kernel
def is_open(state: int) -> bool:
    """True for the states in which an order may still trade: on its way, at the exchange, or in the core's keeping."""
    return bool(_EMPTY < state <= _LAST_SENT or state == _HELD)


@kernel
def stands_at_exchange(order: Record) -> bool:
    """True for an order, or a command for one, whose trigger the exchange watches and has not reached."""
    return bool(order["flags"] & _AT_EXCHANGE)


@kernel
def stand_no_more(order: Record) -> None:
    """Make a stop that stood at the exchange, or was to, the order that it is for."""
    order["flags"] = order["flags"] & BUT_AT_EXCHANGE
    order["amend_refusal"] = 0


@kernel
def _asks_more(order: Record, px: int, qty: int) -> bool:
    """True for another price or a larger total quantity, and for any change of a stop at the exchange."""
    return bool(stands_at_exchange(order) or px != order["px"] or qty > order["qty"])


@kernel
def is_refused_for_good(order: Record, px: int, qty: int) -> bool:
    """True when the exchange has refused to change an order, and would refuse this price and total quantity too."""
    refusal = order["amend_refusal"]
    return bool(refusal == _EVERYTHING or (refusal == _MORE and _asks_more(order, px, qty)))


@kernel
def note_no_amend(order: Record) -> None:
    """Note that the exchange does not make the change of an order which is in flight, as it makes none like it."""
    if order["pending_qty"] > 0:
        refusal = _MORE if _asks_more(order, order["pending_px"], order["pending_qty"]) else _EVERYTHING
        order["amend_refusal"] = max(order["amend_refusal"], refusal)


@kernel
def is_protection(s: Record, order: Record) -> bool:
    """True for a stop at the exchange that can do nothing but close: it takes no lots and no funds until it fires.

    Spot has no reduce-only orders.
    """
    flags = order["flags"]
    if flags & _PROTECTION != _PROTECTION:
        return False
    return bool(s["instruments"][order["instrument"]]["kind"] != _SPOT)


@kernel
def has_fired(order: Record) -> bool:
    """True for an order that its price has let go, in the core or at the exchange."""
    was_let_go = order["trigger"] != _NO_TRIGGER and order["held_for"] == 0 and order["state"] != _HELD
    return bool(was_let_go and not stands_at_exchange(order))


@kernel
def home_of(order_id: int) -> int:
    """First index position of an order id: sixteen consecutive ids share a cache line, and such groups are scattered.

    Were all consecutive ids side by side, a full table would be one cluster, which each removal walks to its end.
    """
    group = order_id >> _GROUP_BITS
    spread = ((group ^ (group >> 31)) & _LOW_31_BITS) * _KNUTH >> 19
    return ((spread << _GROUP_BITS) & _INDEX_MASK) | (order_id & _GROUP_MASK)


@hot_kernel
def find_order(s: Record, order_id: int) -> int:
    """Slot of an order, or -1."""
    index = s["order_index"]
    orders = s["orders"]
    at = home_of(order_id)
    while index[at] != 0:
        slot = index[at] - 1
        if orders[slot]["order_id"] == order_id:
            return slot
        at = (at + 1) & _INDEX_MASK
    return -1


@hot_kernel
def look_ahead(s: Record, records: Any, at: int) -> None:
    """Ask for what the next records of a batch are about, so that it comes from memory while others are worked on.

    First the record, then its place in the index, then the order's row: each is there when the next step needs it.
    It is a guess that changes nothing; an id that is not at its first place in the index is found in its turn.
    """
    last = records.shape[0] - 1
    prefetch(records[min(at + 8, last)])
    prefetch_item(s["order_index"], home_of(records[min(at + 4, last)]["order_id"]))
    prefetch(s["orders"][max(s["order_index"][home_of(records[min(at + 2, last)]["order_id"])] - 1, 0)])


@kernel
def _forget_order(s: Record, order_id: int) -> None:
    """Take an id out of the index, moving later entries of its cluster back so that no search breaks."""
    index = s["order_index"]
    orders = s["orders"]
    at = home_of(order_id)
    while orders[index[at] - 1]["order_id"] != order_id:
        at = (at + 1) & _INDEX_MASK
    gap = at
    while True:
        at = (at + 1) & _INDEX_MASK
        if index[at] == 0:
            break
        home = home_of(orders[index[at] - 1]["order_id"])
        if ((at - home) & _INDEX_MASK) >= ((at - gap) & _INDEX_MASK):
            index[gap] = index[at]
            gap = at
    index[gap] = 0


@kernel
def _take_retired(s: Record) -> int:
    """The slot that has been retired the longest; -1 when there is none.

    One on which orders have come to hang since is passed over; it is retired again when they have ended.
    """
    orders = s["orders"]
    slot = s["retired_head"]
    while slot >= 0:
        s["retired_head"] = orders[slot]["next_open"]
        if s["retired_head"] < 0:
            s["retired_tail"] = -1
        orders[slot]["retired"] = 0
        if orders[slot]["first_child"] < 0:
            return slot
        slot = s["retired_head"]
    return -1


@kernel
def has_free_slot(s: Record) -> bool:
    """False when every slot holds an open order."""
    return bool(s["orders_used"] < MAX_ORDERS or s["retired_head"] >= 0)


@kernel
def new_order_slot(s: Record, order_id: int) -> int:
    """Take a slot for a new order and index it; -1 when every slot holds an open order.

    A slot that was never used comes first, then that of the order which has been closed the longest.
    """
    orders = s["orders"]
    slot = s["orders_used"]
    if slot < MAX_ORDERS:
        s["orders_used"] = slot + 1
    else:
        slot = _take_retired(s)
        if slot < 0:
            return -1
        _forget_order(s, orders[slot]["order_id"])
    index = s["order_index"]
    at = home_of(order_id)
    while index[at] != 0:
        at = (at + 1) & _INDEX_MASK
    index[at] = slot + 1
    return slot


@kernel
def link_open(s: Record, slot: int) -> None:
    """Put an order at the head of its instrument's list of open orders."""
    orders = s["orders"]
    lists = s["order_lists"][orders[slot]["instrument"]]
    head = lists["open_head"]
    orders[slot]["next_open"] = head
    orders[slot]["prev_open"] = -1
    if head >= 0:
        orders[head]["prev_open"] = slot
    lists["open_head"] = slot
    s["open_orders"] += 1


@kernel
def retire(s: Record, slot: int) -> None:
    """Put an order that is done at the end of the retired list, where its slot waits for reuse."""
    orders = s["orders"]
    if orders[slot]["retired"] != 0:
        return
    orders[slot]["retired"] = 1
    orders[slot]["next_open"] = -1
    tail = s["retired_tail"]
    if tail >= 0:
        orders[tail]["next_open"] = slot
    else:
        s["retired_head"] = slot
    s["retired_tail"] = slot


@kernel
def close_order(s: Record, slot: int) -> None:
    """Take an order that is done out of the open list; one on which open orders hang keeps its slot until they end."""
    orders = s["orders"]
    order = orders[slot]
    following = order["next_open"]
    before = order["prev_open"]
    if before >= 0:
        orders[before]["next_open"] = following
    else:
        s["order_lists"][order["instrument"]]["open_head"] = following
    if following >= 0:
        orders[following]["prev_open"] = before
    s["open_orders"] -= 1
    if order["first_child"] < 0:
        retire(s, slot)


@kernel
def leaves_qty(order: Record) -> int:
    """Lots that are still to be filled."""
    return order["qty"] - order["filled_qty"]


@kernel
def fillable_qty(order: Record) -> int:
    """Lots that may yet fill; the amend in flight may have taken effect."""
    return max(order["qty"], order["pending_qty"]) - order["filled_qty"]


@kernel
def completes(order: Record, qty: int) -> bool:
    """True when a fill of ``qty`` lots leaves nothing to fill, by an open order's larger amend in flight neither."""
    if is_open(order["state"]) or qty > leaves_qty(order):
        return bool(qty == fillable_qty(order))
    return bool(qty == leaves_qty(order))
