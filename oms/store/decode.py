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
from oms.core.state import MAX_ACCOUNTS
from oms.decimals import cash_text
from oms.definitions import Definitions
from oms.record_fields import EventFields
from oms.records import (
    BUY,
    ORDER_EVENTS,
    ORDER_ID_COUNTER_BITS,
    SELL,
    TERMS_EVENTS,
    BookState,
    CommandKind,
    Contingency,
    EventKind,
    InstrumentState,
    Liquidity,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    TradingState,
    Trigger,
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
TRIGGERS: Final = _names(Trigger)
CONTINGENCIES: Final = _names(Contingency)
REASONS: Final = _names(Reason)
AUX_NAMES: Final = {
    int(EventKind.TRADING_STATE): _names(TradingState),
    int(EventKind.BOOK_STATE): _names(BookState),
    int(EventKind.ORDER_REFUSED): _names(CommandKind),
    int(EventKind.INSTRUMENT): _names(InstrumentState),
    int(EventKind.KILLED): {0: "orders cancelled", 1: "positions being closed"},
}
"""What ``aux`` names, by event kind."""


def _numbers(kinds: frozenset[EventKind]) -> list[int]:
    return sorted(int(kind) for kind in kinds)


ORDER_KINDS: Final = _numbers(ORDER_EVENTS - {EventKind.ORDER_REFUSED})
TERMS_KINDS: Final = _numbers(TERMS_EVENTS)
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
    order_terms: list[Row]
    fills: list[Row]
    positions: list[Row]
    position_history: list[Row]
    scopes: list[Row]
    events: list[Row]


class EventDecoder:
    """Turns EVENT records into rows.

    Parameters
    ----------
    accounts : sequence of str
        The accounts' names by number.
    definitions : Definitions
        Of the instruments whose symbol and decimal text are known.
    """

    def __init__(self, accounts: Sequence[str], definitions: Definitions) -> None:
        self._accounts = accounts
        self._definitions = definitions
        self._px_text = lru_cache(maxsize=65536)(self._to_px_text)
        self._qty_text = lru_cache(maxsize=65536)(self._to_qty_text)

    def rows(self, session: int, records: Records) -> Rows:
        """The rows that consecutive EVENT records of one session make."""
        kind = records["kind"]
        position = records[kind == EventKind.POSITION]
        scope = records[kind == EventKind.SCOPE]
        terms = records[np.isin(kind, TERMS_KINDS) & (records["last_px"] | records["last_qty"] | records["aux"] != 0)]
        refused_new = (kind == EventKind.ORDER_REFUSED) & (records["aux"] == CommandKind.NEW)
        return Rows(
            orders=self._orders(session, records[np.isin(kind, ORDER_KINDS)]),
            refused_orders=self._orders(session, records[refused_new]),
            order_terms=self._each(self._terms, session, _last_of_each(terms, terms["order_id"])),
            fills=self._each(self._fill, session, records[kind == EventKind.ORDER_FILLED]),
            positions=self._each(self._position, session, _last_of_each(position, _position_keys(position))),
            position_history=self._each(self._position, session, position[position["aux"] != 0]),
            scopes=self._each(self._scope, session, _last_of_each(scope, scope["aux"])),
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
            self._symbol(event.instrument, event.version),
            event.order_id >> ORDER_ID_COUNTER_BITS,
            event.strategy,
            name_of(SIDES, event.side),
            name_of(ORDER_TYPES, event.order_type),
            name_of(TIMES_IN_FORCE, event.time_in_force),
            flag_names(event.flags),
            name_of(TRIGGERS, event.trigger),
            name_of(CONTINGENCIES, event.contingency),
            event.version,
            name_of(STATES, event.state),
            name_of(REASONS, event.reason),
            event.px,
            event.qty,
            event.filled_qty,
            self._px_text(event.instrument, event.version, event.px),
            self._qty_text(event.instrument, event.version, event.qty),
            self._qty_text(event.instrument, event.version, event.filled_qty),
            event.request_id,
            created[event.order_id],
            event.ts,
            name_of(EVENT_KINDS, event.kind),
            event.seq,
        )

    def _terms(self, session: int, values: Row) -> Row:
        event = EventFields._make(values)
        return (
            session,
            event.order_id,
            event.seq,
            event.ts,
            event.last_px,
            self._px_text(event.instrument, event.version, event.last_px),
            event.last_qty,
            self._qty_text(event.instrument, event.version, event.last_qty),
            event.aux,
        )

    def _scope(self, session: int, values: Row) -> Row:
        event = EventFields._make(values)
        of_account = event.aux < MAX_ACCOUNTS
        amounts = (event.px, event.qty, event.filled_qty)
        return (
            self._account_name(event.aux if of_account else event.account),
            -1 if of_account else event.aux - MAX_ACCOUNTS,
            session,
            event.seq,
            event.ts,
            *(cell for amount in amounts for cell in (amount, cash_text(amount))),
            event.last_px,
            *(
                cell
                for amount in (event.last_qty, event.position_qty, event.realized_pnl)
                for cell in (amount, cash_text(amount))
            ),
            event.fees,
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
            self._symbol(event.instrument, event.version),
            event.order_id >> ORDER_ID_COUNTER_BITS,
            event.strategy,
            name_of(SIDES, event.side),
            name_of(LIQUIDITY, event.liquidity),
            event.last_px,
            event.last_qty,
            self._px_text(event.instrument, event.version, event.last_px),
            self._qty_text(event.instrument, event.version, event.last_qty),
            event.fees,
            cash_text(event.fees),
            event.position_qty,
            self._qty_text(event.instrument, event.version, event.position_qty),
            event.realized_pnl,
            cash_text(event.realized_pnl),
        )

    def _position(self, session: int, values: Row) -> Row:
        event = EventFields._make(values)
        return (
            self._account_name(event.account),
            event.strategy,
            event.instrument,
            int(bool(event.flags & OrderFlag.SHORT_LEG)),
            self._symbol(event.instrument, event.version),
            session,
            event.seq,
            event.ts,
            event.aux,
            event.position_qty,
            self._qty_text(event.instrument, event.version, event.position_qty),
            event.px,
            self._scaled_px_text(event.instrument, event.version, Decimal(event.px).scaleb(-AVERAGE_PX_SCALE)),
            event.last_px,
            self._scaled_px_text(event.instrument, event.version, Decimal(event.last_px) / 2),
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
            self._symbol(event.instrument, event.version),
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
            event.filled_qty,
            event.position_qty,
            event.realized_pnl,
            event.fees,
        )

    def _account_name(self, account: int) -> str:
        if 0 <= account < len(self._accounts):
            return self._accounts[account]
        return f"account {account}" if account >= 0 else ""

    def _symbol(self, instrument: int, version: int) -> str:
        known = self._definitions.of(instrument, version)
        if known is None:
            return "" if instrument < 0 else f"instrument {instrument}"
        return qualified_symbol(known)

    def _to_px_text(self, instrument: int, version: int, ticks: int) -> str:
        known = self._definitions.of(instrument, version)
        return known.px_from_ticks(ticks) if known else ""

    def _to_qty_text(self, instrument: int, version: int, lots: int) -> str:
        known = self._definitions.of(instrument, version)
        return known.qty_from_lots(lots) if known else ""

    def _scaled_px_text(self, instrument: int, version: int, ticks: Decimal) -> str:
        known = self._definitions.of(instrument, version)
        return format((ticks * Decimal(known.tick)).normalize(), "f") if known else ""


def _position_keys(records: Records) -> npt.NDArray[np.int64]:
    """A number for each position: of its account, strategy, instrument and leg."""
    keys: npt.NDArray[np.int64] = (
        (records["account"].astype(np.int64) << 48)
        + ((records["strategy"].astype(np.int64) + 1) << 32)
        + (records["instrument"].astype(np.int64) << 1)
        + (records["flags"] & OrderFlag.SHORT_LEG != 0)
    )
    return keys


def _last_of_each(records: Records, keys: npt.NDArray[Any]) -> Records:
    """The last record of each key, in the records' order."""
    _, from_end = np.unique(keys[::-1], return_index=True)
    last: Records = records[np.sort(len(records) - 1 - from_end)]
    return last
