"""The replica: the account's orders, fills and positions as the core's events tell them, bounded in memory.

An order's event carries the whole order, so the last one of each is all that is kept.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from struct import Struct
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.bus import Records
from oms.event_fields import EventFields
from oms.records import (
    EVENT,
    ORDER_EVENTS,
    ORDER_ID_COUNTER_BITS,
    RPC_CLIENT_BASE,
    CommandKind,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
)

_FORMATS: Final = {"u1": "B", "i1": "b", "u2": "H", "i2": "h", "i4": "i", "i8": "q"}
_ROW: Final = Struct("<" + "".join(_FORMATS[EVENT[name].str[1:]] for name in EventFields._fields))
assert _ROW.size == EVENT.itemsize

_ORDER_KINDS: Final = frozenset(int(kind) for kind in ORDER_EVENTS)
_EVENT_KINDS: Final = frozenset(int(kind) for kind in EventKind)
_ORDER_TYPES: Final = frozenset(int(order_type) for order_type in OrderType)
_TIMES_IN_FORCE: Final = frozenset(int(time_in_force) for time_in_force in TimeInForce)
_STATES: Final = frozenset(int(state) for state in OrderState if state != OrderState.EMPTY)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_FILLED: Final = int(EventKind.ORDER_FILLED)
_TERMINAL: Final = frozenset(
    int(state) for state in (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED)
)
_REJECTED_STATE: Final = bytes([OrderState.REJECTED])
_STATE_OFFSET: Final = int(EVENT.fields["state"][1]) if EVENT.fields else 0


def event_row(record: bytes) -> EventFields:
    """One record's bytes as an EventFields."""
    return EventFields._make(_ROW.unpack(record))


def event_rows(records: Records) -> Iterator[tuple[EventFields, bytes]]:
    """Each record of an array, as a row and as bytes."""
    buffer = records.tobytes()
    for at in range(0, len(buffer), _ROW.size):
        yield EventFields._make(_ROW.unpack_from(buffer, at)), buffer[at : at + _ROW.size]


def _table(members: Iterable[int], size: int = 256) -> npt.NDArray[np.bool_]:
    """Membership as a table."""
    table = np.zeros(size, np.bool_)
    table[list(members)] = True
    return table


_IS_ORDER_KIND: Final = _table(_ORDER_KINDS)
_IS_ORDER_TYPE: Final = _table(_ORDER_TYPES)
_IS_TIME_IN_FORCE: Final = _table(_TIMES_IN_FORCE)
_IS_STATE: Final = _table(_STATES)
_IS_TERMINAL: Final = _table(_TERMINAL)


class KnownOrder:
    """The last event of an order."""

    __slots__ = ("record", "serial", "session")

    def __init__(self, serial: int, session: int, record: bytes) -> None:
        self.serial = serial
        """Numbers the orders as they became known: pages are in that order."""
        self.session = session
        self.record = record


class KnownFill(NamedTuple):
    session: int
    record: bytes


class Replica:
    """What the events said so far.

    Parameters
    ----------
    instruments : frozenset of int
        Ids that the settings define; an event about any other is counted as unusable.
    closed_limit, fill_limit : int
        Closed orders and fills to keep; the oldest go first.

    Attributes
    ----------
    orders, open : dict of int to KnownOrder
        All known orders by id, and those that may still trade.
    closed_own : list of (int, KnownOrder)
        RPC clients' orders that were closed, for the ledger; whoever settles them clears it.
    positions : dict of (int, int) to EventFields
        Last POSITION event by account and instrument.
    trading_state, trading_reason : int
        -1 until the core has said it.
    unusable : int
        Events that make no sense, which were passed over.
    """

    def __init__(self, instruments: frozenset[int], *, closed_limit: int, fill_limit: int) -> None:
        self.orders: dict[int, KnownOrder] = {}
        self.open: dict[int, KnownOrder] = {}
        self.closed_own: list[tuple[int, KnownOrder]] = []
        self.fills: deque[KnownFill] = deque(maxlen=fill_limit)
        self.positions: dict[tuple[int, int], EventFields] = {}
        self.session = 0
        self.trading_state = -1
        self.trading_reason = 0
        self.unusable = 0
        self._instruments = instruments
        self._is_instrument = _table(instruments, 2**16)
        self._closed_limit = closed_limit
        self._closed: OrderedDict[int, KnownOrder] = OrderedDict()
        self._serial = 0

    def enter(self, session: int) -> None:
        """Begin a core session: what was at an exchange is told anew or has ended; what the core keeps stays open."""
        for order_id, order in list(self.open.items()):
            if order.record[_STATE_OFFSET] != OrderState.HELD:
                self._close(order_id, order)
        self.session = session
        self.positions.clear()
        self.trading_state = -1

    def is_usable(self, row: EventFields) -> bool:
        """Whether an event is one that this replica and its readers can take; counted when it is not."""
        usable = row.kind in _EVENT_KINDS and (row.instrument in self._instruments or row.instrument == -1)
        if row.kind in _ORDER_KINDS and (row.kind != _REFUSED or row.aux == CommandKind.NEW):
            usable = usable and self._is_order(row)
        elif row.kind == EventKind.POSITION:
            usable = usable and row.instrument >= 0
        self.unusable += not usable
        return usable

    @staticmethod
    def _is_order(row: EventFields) -> bool:
        return (
            row.order_id > 0
            and row.instrument >= 0
            and row.side in (1, -1)
            and row.order_type in _ORDER_TYPES
            and row.time_in_force in _TIMES_IN_FORCE
            and (row.state in _STATES or row.kind == _REFUSED)
        )

    def apply(self, row: EventFields, record: bytes) -> None:
        """Take one usable event."""
        if row.kind in _ORDER_KINDS:
            self._apply_order(row, record)
        elif row.kind == EventKind.POSITION:
            self.positions[row.account, row.instrument] = row
        elif row.kind == EventKind.TRADING_STATE:
            self.trading_state = row.aux
            self.trading_reason = row.reason

    def load(self, records: Records) -> None:
        """Take a block of events at once: only the last one of each order counts."""
        kinds = records["kind"]
        of_orders = _IS_ORDER_KIND[kinds] & (kinds != _REFUSED)
        at = np.flatnonzero(of_orders)
        _, last = np.unique(records["order_id"][at][::-1], return_index=True)
        _, first_order = np.unique(records["order_id"][at], return_index=True)
        last_at = at[len(at) - 1 - last][np.argsort(first_order)]
        filled = at[kinds[at] == _FILLED]
        others = np.flatnonzero(~of_orders)
        for row, record in event_rows(records[filled]):
            if self.is_usable(row):
                self.fills.append(KnownFill(self.session, record))
        last_rows = records[last_at]
        usable = self._are_orders(last_rows)
        self.unusable += int((~usable).sum())
        self._keep(last_rows[usable])
        for row, record in event_rows(records[others]):
            if self.is_usable(row):
                self.apply(row, record)

    def _are_orders(self, records: Records) -> npt.NDArray[np.bool_]:
        """``is_usable`` of many order events at once."""
        usable: npt.NDArray[np.bool_] = (
            self._is_instrument[records["instrument"]]  # the last row is that of -1, which is none
            & (records["order_id"] > 0)
            & (np.abs(records["side"]) == 1)
            & _IS_ORDER_TYPE[records["order_type"]]
            & _IS_TIME_IN_FORCE[records["time_in_force"]]
            & _IS_STATE[records["state"]]
        )
        return usable

    def _keep(self, records: Records) -> None:
        """Keep usable order events, one of each order and none of them a refusal."""
        buffer = records.tobytes()
        terminal = _IS_TERMINAL[records["state"]].tolist()
        known, session, size = self.orders, self.session, EVENT.itemsize
        start = 0
        for order_id, is_closed in zip(records["order_id"].tolist(), terminal, strict=True):
            record = buffer[start : start + size]
            start += size
            order = known.get(order_id)
            if order is None:
                self._serial += 1
                order = known[order_id] = KnownOrder(self._serial, session, record)
            else:
                order.record = record
                order.session = session
            if is_closed:
                self._close(order_id, order)
            else:
                self.open[order_id] = order
                self._closed.pop(order_id, None)

    def _apply_order(self, row: EventFields, record: bytes) -> None:
        if row.kind == _FILLED:
            self.fills.append(KnownFill(self.session, record))
        self._keep_last(row, record)

    def _keep_last(self, row: EventFields, record: bytes) -> None:
        order_id = row.order_id
        order = self.orders.get(order_id)
        if row.kind == _REFUSED:
            if row.aux != CommandKind.NEW or row.reason == Reason.DUPLICATE_ORDER_ID or order is not None:
                return  # it says nothing about how the order stands
            record = record[:_STATE_OFFSET] + _REJECTED_STATE + record[_STATE_OFFSET + 1 :]
        is_open = row.kind != _REFUSED and row.state not in _TERMINAL
        if order is None:
            self._serial += 1
            order = KnownOrder(self._serial, self.session, record)
            self.orders[order_id] = order
        order.record = record
        order.session = self.session
        if is_open:
            self.open[order_id] = order
            self._closed.pop(order_id, None)
        else:
            self._close(order_id, order)

    def _close(self, order_id: int, order: KnownOrder) -> None:
        self.open.pop(order_id, None)
        self._closed[order_id] = order
        if order_id >> ORDER_ID_COUNTER_BITS >= RPC_CLIENT_BASE:
            self.closed_own.append((order_id, order))
        if len(self._closed) > self._closed_limit:
            oldest, _ = self._closed.popitem(last=False)
            del self.orders[oldest]

    def page_of_orders(
        self, *, open_only: bool, client_index: int | None, instrument: int | None, before: int | None, limit: int
    ) -> tuple[list[tuple[int, KnownOrder]], int | None]:
        """Orders, newest first, and the cursor of the next page.

        Parameters
        ----------
        client_index, instrument : int or None
            None: all of them.
        before : int or None
            Cursor of the page before.
        """
        found = (
            (order_id, order)
            for order_id, order in reversed((self.open if open_only else self.orders).items())
            if (before is None or order.serial < before)
            and (client_index is None or order_id >> ORDER_ID_COUNTER_BITS == client_index)
            and (instrument is None or event_row(order.record).instrument == instrument)
        )
        page = list(islice(found, limit + 1))
        more = len(page) > limit
        page = page[:limit]
        return page, page[-1][1].serial if more else None

    def fills_after(self, session: int, seq: int) -> Iterator[tuple[KnownFill, EventFields]]:
        """Fills after a place in the event stream, oldest first."""
        newer: list[tuple[KnownFill, EventFields]] = []
        for fill in reversed(self.fills):
            row = event_row(fill.record)
            if (fill.session, row.seq) <= (session, seq):
                break
            newer.append((fill, row))
        return reversed(newer)
