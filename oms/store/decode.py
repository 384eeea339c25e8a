"""EVENT records as rows of the embedded store: numbers become names, and exact decimal text beside the integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.config import qualified_symbol
from oms.decimals import cash_text
from oms.event_fields import EventFields
from oms.instruments import Instrument
from oms.records import (
    BUY,
    ORDER_EVENTS,
    ORDER_ID_COUNTER_BITS,
    SELL,
    BookState,
    CommandKind,
    EventKind,
    Liquidity,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    TradingState,
)
from oms.store.schema import EVENT_TABLE_KINDS

Records = npt.NDArray[np.void]
Row = tuple[Any, ...]

AVERAGE_PX_SCALE: Final = 8
"""POSITION events give the average price in 1e-8 ticks."""


def _names(enum: type[IntEnum]) -> dict[int, str]:
    return {int(member): member.name.lower() for member in enum}


SIDES: Final = {BUY: "buy", SELL: "sell", 0: ""}
EVENT_KINDS: Final = _names(EventKind)
STATES: Final = _names(OrderState)
ORDER_TYPES: Final = _names(OrderType)
TIMES_IN_FORCE: Final = _names(TimeInForce)
LIQUIDITY: Final = _names(Liquidity)
REASONS: Final = _names(Reason)
AUX_NAMES: Final = {
    int(EventKind.TRADING_STATE): _names(TradingState),
    int(EventKind.BOOK_STATE): _names(BookState),
    int(EventKind.ORDER_REFUSED): _names(CommandKind),
}
"""What ``aux`` names, by event kind."""


def _numbers(kinds: frozenset[EventKind]) -> list[int]:
    return sorted(int(kind) for kind in kinds)


ORDER_KINDS: Final = _numbers(ORDER_EVENTS - {EventKind.ORDER_REFUSED})
ROW_KINDS: Final = _numbers(EVENT_TABLE_KINDS)
KNOWN_KINDS: Final = _numbers(frozenset(EventKind))


def name_of(names: dict[int, str], number: int) -> str:
    """The name of a number, or ``unknown <number>``: a record from a newer core is stored, not refused."""
    return names.get(number) or ("" if number in names else f"unknown {number}")


@lru_cache(maxsize=256)
def flag_names(flags: int) -> str:
    """Order flags as names joined by ``+``."""
    return "+".join((flag.name or "").lower() for flag in OrderFlag if flags & flag)


class Rows(NamedTuple):
    """Rows by what is done with them; see ``oms.store.schema``."""

    orders: list[Row]
    refused_orders: list[Row]
    """Orders refused before they existed: written only where there is no order of that id."""
    fills: list[Row]
    positions: list[Row]
    position_history: list[Row]
    events: list[Row]


class EventDecoder:
    """Turns EVENT records into rows.

    Parameters
    ----------
    account : str
        The name of account 0.
    instruments : sequence of Instrument
        Those whose symbol and decimal text are known.
    """

    def __init__(self, account: str, instruments: Sequence[Instrument]) -> None:
        self._account = account
        self._instruments = {instrument.id: instrument for instrument in instruments}
        self._px_text = lru_cache(maxsize=65536)(self._to_px_text)
        self._qty_text = lru_cache(maxsize=65536)(self._to_qty_text)

    def rows(self, session: int, records: Records) -> Rows:
        """The rows that consecutive EVENT records of one session make."""
        kind = records["kind"]
        position = records[kind == EventKind.POSITION]
        account_and_instrument = (position["account"].astype(np.int64) << 32) + position["instrument"]
        refused_new = (kind == EventKind.ORDER_REFUSED) & (records["aux"] == CommandKind.NEW)
        return Rows(
            orders=self._orders(session, records[np.isin(kind, ORDER_KINDS)]),
            refused_orders=self._orders(session, records[refused_new]),
            fills=self._each(self._fill, session, records[kind == EventKind.ORDER_FILLED]),
            positions=self._each(self._position, session, _last_of_each(position, account_and_instrument)),
            position_history=self._each(self._position, session, position[position["aux"] != 0]),
            events=self._each(self._event, session, records[np.isin(kind, ROW_KINDS) | ~np.isin(kind, KNOWN_KINDS)]),
        )

    def _each(self, make: Callable[[int, Row], Row], session: int, records: Records) -> list[Row]:
        return [make(session, values) for values in records.tolist()]

    def _orders(self, session: int, records: Records) -> list[Row]:
        if not len(records):
            return []
        ids = records["order_id"]
        unique, first = np.unique(ids, return_index=True)
        created = dict(zip(unique.tolist(), records["ts"][first].tolist(), strict=True))
        return [self._order(session, values, created) for values in _last_of_each(records, ids).tolist()]

    def _order(self, session: int, values: Row, created: dict[int, int]) -> Row:
        event = EventFields._make(values)
        return (
            session,
            event.order_id,
            self._account_name(event.account),
            event.instrument,
            self._symbol(event.instrument),
            event.order_id >> ORDER_ID_COUNTER_BITS,
            event.strategy,
            name_of(SIDES, event.side),
            name_of(ORDER_TYPES, event.order_type),
            name_of(TIMES_IN_FORCE, event.time_in_force),
            flag_names(event.flags),
            name_of(STATES, event.state),
            name_of(REASONS, event.reason),
            event.px,
            event.qty,
            event.filled_qty,
            self._px_text(event.instrument, event.px),
            self._qty_text(event.instrument, event.qty),
            self._qty_text(event.instrument, event.filled_qty),
            event.request_id,
            created[event.order_id],
            event.ts,
            name_of(EVENT_KINDS, event.kind),
            event.seq,
        )

    def _fill(self, session: int, values: Row) -> Row:
        event = EventFields._make(values)
        return (
            session,
            event.seq,
            event.ts,
            event.aux,
            event.order_id,
            self._account_name(event.account),
            event.instrument,
            self._symbol(event.instrument),
            event.order_id >> ORDER_ID_COUNTER_BITS,
            event.strategy,
            name_of(SIDES, event.side),
            name_of(LIQUIDITY, event.liquidity),
            event.last_px,
            event.last_qty,
            self._px_text(event.instrument, event.last_px),
            self._qty_text(event.instrument, event.last_qty),
            event.fees,
            cash_text(event.fees),
            event.position_qty,
            self._qty_text(event.instrument, event.position_qty),
            event.realized_pnl,
            cash_text(event.realized_pnl),
        )

    def _position(self, session: int, values: Row) -> Row:
        event = EventFields._make(values)
        return (
            self._account_name(event.account),
            event.instrument,
            self._symbol(event.instrument),
            session,
            event.seq,
            event.ts,
            event.aux,
            event.position_qty,
            self._qty_text(event.instrument, event.position_qty),
            event.px,
            self._scaled_px_text(event.instrument, Decimal(event.px).scaleb(-AVERAGE_PX_SCALE)),
            event.last_px,
            self._scaled_px_text(event.instrument, Decimal(event.last_px) / 2),
            event.realized_pnl,
            cash_text(event.realized_pnl),
            event.qty,
            cash_text(event.qty),
            event.fees,
            cash_text(event.fees),
            event.last_qty,
            event.filled_qty,
        )

    def _event(self, session: int, values: Row) -> Row:
        event = EventFields._make(values)
        aux_names = AUX_NAMES.get(event.kind)
        return (
            session,
            event.seq,
            event.ts,
            name_of(EVENT_KINDS, event.kind),
            self._account_name(event.account),
            event.instrument,
            self._symbol(event.instrument),
            event.strategy,
            event.order_id,
            event.request_id,
            name_of(REASONS, event.reason),
            event.aux,
            name_of(aux_names, event.aux) if aux_names else "",
            event.px,
            event.qty,
            event.last_px,
            event.last_qty,
        )

    def _account_name(self, account: int) -> str:
        return self._account if account == 0 else f"account {account}"

    def _symbol(self, instrument: int) -> str:
        known = self._instruments.get(instrument)
        if known is None:
            return "" if instrument < 0 else f"instrument {instrument}"
        return qualified_symbol(known)

    def _to_px_text(self, instrument: int, ticks: int) -> str:
        known = self._instruments.get(instrument)
        return known.px_from_ticks(ticks) if known else ""

    def _to_qty_text(self, instrument: int, lots: int) -> str:
        known = self._instruments.get(instrument)
        return known.qty_from_lots(lots) if known else ""

    def _scaled_px_text(self, instrument: int, ticks: Decimal) -> str:
        known = self._instruments.get(instrument)
        return format((ticks * Decimal(known.tick)).normalize(), "f") if known else ""


def _last_of_each(records: Records, keys: npt.NDArray[Any]) -> Records:
    """The last record of each key, in the records' order."""
    _, from_end = np.unique(keys[::-1], return_index=True)
    last: Records = records[np.sort(len(records) - 1 - from_end)]
    return last
