"""The replica: the account's orders, fills and positions as the core's events tell them, bounded in memory.

An order's event carries the whole order, so the last one of each is all that is kept.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.bus import Records
from oms.core.state import MAX_ACCOUNTS
from oms.definitions import Definitions
from oms.record_fields import EVENT_STRUCT, EventFields, event_fields
from oms.records import (
    ALGORITHM_CLIENT,
    EVENT,
    ORDER_EVENTS,
    ORDER_ID_COUNTER_BITS,
    RPC_CLIENT_BASE,
    TERMS_EVENTS,
    CommandKind,
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    Reason,
    TimeInForce,
    TradingState,
)
from rpc.order_forms import NAMES

_ORDER_KINDS: Final = frozenset(int(kind) for kind in ORDER_EVENTS)
_EVENT_KINDS: Final = frozenset(int(kind) for kind in EventKind)
_CONTINGENCIES: Final = frozenset(int(contingency) for contingency in Contingency)
_TIMES_IN_FORCE: Final = frozenset(int(time_in_force) for time_in_force in TimeInForce)
_STATES: Final = frozenset(int(state) for state in OrderState if state != OrderState.EMPTY)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_TERMS_KINDS: Final = frozenset(int(kind) for kind in TERMS_EVENTS)
"""Events that carry an order's KnownTerms."""
_FILLED: Final = int(EventKind.ORDER_FILLED)
_PROGRESS: Final = int(EventKind.PROGRESS)
_TERMINAL: Final = frozenset(
    int(state) for state in (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED)
)
_REJECTED_STATE: Final = bytes([OrderState.REJECTED])
_ACTIVE: Final = (int(TradingState.ACTIVE), int(Reason.NONE))
_UNSAID: Final = (-1, -1)
_STATE_OFFSET: Final = int(EVENT.fields["state"][1]) if EVENT.fields else 0


def event_rows(records: Records) -> Iterator[tuple[EventFields, bytes]]:
    """Each record of an array, as a row and as bytes."""
    buffer = records.tobytes()
    for at in range(0, len(buffer), EVENT_STRUCT.size):
        yield EventFields._make(EVENT_STRUCT.unpack_from(buffer, at)), buffer[at : at + EVENT_STRUCT.size]


def _table(members: Iterable[int], size: int = 256) -> npt.NDArray[np.bool_]:
    """Membership as a table."""
    table = np.zeros(size, np.bool_)
    table[list(members)] = True
    return table


_IS_ORDER_KIND: Final = _table(_ORDER_KINDS)
_IS_TERMS_KIND: Final = _table(_TERMS_KINDS)
_IS_FORM: Final = _table((order_type * 256 + trigger for order_type, trigger in NAMES), 2**16)
_IS_CONTINGENCY: Final = _table(_CONTINGENCIES)
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


class KnownTerms(NamedTuple):
    """What few orders have: the trigger price in ticks, the lots shown at a time, the parent's order id, the trailing
    distance and its TrailUnit; 0: none."""

    trigger_px: int
    display_qty: int
    parent_id: int
    trail: int
    trail_unit: int


class FillTotals(NamedTuple):
    """What all known fills of an order come to: lots, and cash realized and paid in fees."""

    qty: int
    realized_pnl: int
    fees: int


NO_FILLS: Final = FillTotals(0, 0, 0)

_TERMS_FIELDS: Final = ("last_px", "last_qty", "aux", "realized_pnl", "fees")
"""Where an event has them, in the order of KnownTerms."""
_terms_of: Final = attrgetter(*_TERMS_FIELDS)


def owner_index(order_id: int, terms: Mapping[int, KnownTerms]) -> int:
    """Client index of an order's owner: that of an algorithm's child order is its parent's."""
    index = order_id >> ORDER_ID_COUNTER_BITS
    if index == ALGORITHM_CLIENT and order_id in terms:
        return terms[order_id].parent_id >> ORDER_ID_COUNTER_BITS
    return index


class Replica:
    """What the events said so far.

    Parameters
    ----------
    definitions : Definitions
        Of the instruments; an event about one that is not known in its version is counted as unusable.
    accounts : int
        How many accounts there are.
    closed_limit, fill_limit : int
        Closed orders and fills to keep; the oldest go first.

    Attributes
    ----------
    orders, open : dict of int to KnownOrder
        All known orders by id, and those that may still trade.
    closed_own : list of (int, KnownOrder)
        RPC clients' orders that were closed, for the ledger; whoever settles them clears it.
    terms : dict of int to KnownTerms
        Of the orders that have any.
    totals : dict of int to FillTotals
        Of the orders that have fills; what a child order fills in its parent's instrument counts for that too.
    progress : dict of int to EventFields
        Last PROGRESS event of each order that an algorithm works.
    positions : dict of (account, strategy, instrument, leg) to EventFields
        Last POSITION event of each.
    standings : dict of int to EventFields
        Last SCOPE event by scope: an account's number, or ``MAX_ACCOUNTS`` and a strategy's.
    trading_states : dict of int to (int, int)
        Trading state and its reason by scope, as far as the core has said it.
    unusable : int
        Events that make no sense, which were passed over.
    """

    def __init__(self, definitions: Definitions, *, accounts: int, closed_limit: int, fill_limit: int) -> None:
        self.orders: dict[int, KnownOrder] = {}
        self.open: dict[int, KnownOrder] = {}
        self.closed_own: list[tuple[int, KnownOrder]] = []
        self.fills: deque[KnownFill] = deque(maxlen=fill_limit)
        self.terms: dict[int, KnownTerms] = {}
        self.totals: dict[int, FillTotals] = {}
        self.progress: dict[int, EventFields] = {}
        self.positions: dict[tuple[int, int, int, int], EventFields] = {}
        self.standings: dict[int, EventFields] = {}
        self.trading_states: dict[int, tuple[int, int]] = {}
        self.session = 0
        self.unusable = 0
        self._definitions = definitions
        self._accounts = accounts
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
        self.standings.clear()
        self.trading_states.clear()

    def trading_state(self, scope: int) -> tuple[int, int]:
        """Trading state and reason of an account or a strategy; -1 each until the core has said it.

        The core says every account's state when it begins, a strategy's when it is another than ACTIVE, or was.
        """
        is_active = scope >= MAX_ACCOUNTS and self.trading_states
        return self.trading_states.get(scope, _ACTIVE if is_active else _UNSAID)

    def is_usable(self, row: EventFields) -> bool:
        """Whether an event is one that this replica and its readers can take; counted when it is not."""
        known = row.instrument == -1 or self._definitions.of(row.instrument, row.version) is not None
        usable = row.kind in _EVENT_KINDS and known and row.account < self._accounts
        if row.kind in _ORDER_KINDS and (row.kind != _REFUSED or row.aux == CommandKind.NEW):
            usable = usable and self._is_order(row)
        elif row.kind == EventKind.POSITION:
            usable = usable and row.instrument >= 0 and row.account >= 0
        elif row.kind == EventKind.SCOPE:
            usable = usable and row.aux >= 0
        self.unusable += not usable
        return usable

    @staticmethod
    def _is_order(row: EventFields) -> bool:
        return (
            row.order_id > 0
            and row.instrument >= 0
            and row.account >= 0
            and row.side in (1, -1)
            and (row.order_type, row.trigger) in NAMES
            and row.contingency in _CONTINGENCIES
            and row.time_in_force in _TIMES_IN_FORCE
            and (row.state in _STATES or row.kind == _REFUSED)
        )

    def apply(self, row: EventFields, record: bytes) -> None:
        """Take one usable event."""
        if row.kind in _ORDER_KINDS:
            self._apply_order(row, record)
        elif row.kind == EventKind.POSITION:
            leg = int(bool(row.flags & OrderFlag.SHORT_LEG))
            self.positions[row.account, row.strategy, row.instrument, leg] = row
        elif row.kind == EventKind.SCOPE:
            self.standings[row.aux] = row
        elif row.kind == EventKind.TRADING_STATE:
            scope = row.account if row.strategy < 0 else MAX_ACCOUNTS + row.strategy
            self.trading_states[scope] = (row.aux, row.reason)
        elif row.kind == EventKind.INSTRUMENT:
            self._definitions.put_in_force(row.instrument, row.px)

    def load(self, records: Records) -> None:
        """Take a block of events at once: only the last one of each order counts.

        Records are picked by ``take`` and ``compress``; by an index NumPy copies them field by field.
        """
        kinds = records["kind"]
        of_orders = _IS_ORDER_KIND[kinds] & (kinds != _REFUSED)
        at = np.flatnonzero(of_orders)
        _, last = np.unique(records["order_id"][at][::-1], return_index=True)
        _, first_order = np.unique(records["order_id"][at], return_index=True)
        last_at = at[len(at) - 1 - last][np.argsort(first_order)]
        filled = at[kinds[at] == _FILLED]
        progress = records.take(at[kinds[at] == _PROGRESS])
        others = np.flatnonzero(~of_orders)
        with_terms = _IS_TERMS_KIND[kinds] & np.any([records[name] != 0 for name in _TERMS_FIELDS], axis=0)
        for row, _ in event_rows(records.compress(with_terms)):
            self._keep_terms(row)
        for row, record in event_rows(records.take(filled)):
            if self.is_usable(row):
                self._take_fill(row, record)
        for row, _ in event_rows(progress.compress(self._are_orders(progress))):
            self.progress[row.order_id] = row
        last_rows = records.take(last_at)
        usable = self._are_orders(last_rows)
        self.unusable += int((~usable).sum())
        self._keep(last_rows.compress(usable))
        for row, record in event_rows(records.take(others)):
            if self.is_usable(row):
                self.apply(row, record)

    def _are_orders(self, records: Records) -> npt.NDArray[np.bool_]:
        """``is_usable`` of many order events at once."""
        definition = records["instrument"].astype(np.int64) << 16 | records["version"]
        known = [
            number
            for number in np.unique(definition).tolist()
            if number >= 0 and self._definitions.of(number >> 16, number & 0xFFFF) is not None
        ]
        usable: npt.NDArray[np.bool_] = (
            np.isin(definition, known)
            & (records["order_id"] > 0)
            & (records["account"] >= 0)
            & (records["account"] < self._accounts)
            & (np.abs(records["side"]) == 1)
            & _IS_FORM[records["order_type"].astype(np.int64) * 256 + records["trigger"]]
            & _IS_CONTINGENCY[records["contingency"]]
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
            self._take_fill(row, record)
        elif row.kind in _TERMS_KINDS:
            self._keep_terms(row)
        elif row.kind == _PROGRESS:
            self.progress[row.order_id] = row
        self._keep_last(row, record)

    def _take_fill(self, row: EventFields, record: bytes) -> None:
        self.fills.append(KnownFill(self.session, record))
        self._add_fill(row.order_id, row)
        if row.order_id >> ORDER_ID_COUNTER_BITS == ALGORITHM_CLIENT and row.order_id in self.terms:
            parent_id = self.terms[row.order_id].parent_id
            parent = self.orders.get(parent_id)
            if parent is not None and event_fields(parent.record).instrument == row.instrument:
                self._add_fill(parent_id, row)

    def _add_fill(self, order_id: int, row: EventFields) -> None:
        qty, realized_pnl, fees = self.totals.get(order_id, NO_FILLS)
        self.totals[order_id] = FillTotals(qty + row.last_qty, realized_pnl + row.realized_pnl, fees + row.fees)

    def _keep_terms(self, row: EventFields) -> None:
        terms = KnownTerms(*_terms_of(row))
        if any(terms):
            self.terms[row.order_id] = terms

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
            self.terms.pop(oldest, None)
            self.totals.pop(oldest, None)
            self.progress.pop(oldest, None)

    def open_group(self, head: int) -> list[int]:
        """Open orders of a bracket or an OCO group by the id of its first order; only that one where there is none."""
        return [
            order_id
            for order_id, order in self.open.items()
            if order_id == head
            or (
                order_id in self.terms
                and self.terms[order_id].parent_id == head
                and event_fields(order.record).contingency in (Contingency.OTO, Contingency.OCO)
            )
        ]

    def page_of_orders(
        self,
        *,
        open_only: bool,
        client_index: int | None,
        instrument: int | None = None,
        worked_only: bool = False,
        before: int | None,
        limit: int,
    ) -> tuple[list[tuple[int, KnownOrder]], int | None]:
        """Orders, newest first, and the cursor of the next page.

        Parameters
        ----------
        client_index, instrument : int or None
            None: all of them.
        worked_only : bool
            Only those that an algorithm works.
        before : int or None
            Cursor of the page before.
        """
        found = (
            (order_id, order)
            for order_id, order in reversed((self.open if open_only else self.orders).items())
            if (before is None or order.serial < before)
            and (not worked_only or order_id in self.progress)
            and (client_index is None or owner_index(order_id, self.terms) == client_index)
            and (instrument is None or event_fields(order.record).instrument == instrument)
        )
        page = list(islice(found, limit + 1))
        more = len(page) > limit
        page = page[:limit]
        return page, page[-1][1].serial if more else None

    def fills_after(self, session: int, seq: int) -> Iterator[tuple[KnownFill, EventFields]]:
        """Fills after a place in the event stream, oldest first."""
        newer: list[tuple[KnownFill, EventFields]] = []
        for fill in reversed(self.fills):
            row = event_fields(fill.record)
            if (fill.session, row.seq) <= (session, seq):
                break
            newer.append((fill, row))
        return reversed(newer)
