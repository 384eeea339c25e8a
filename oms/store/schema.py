"""The embedded store's tables. A row is a struct; its fields are the table's columns, declared here once.

Integers are the core's own: price in ticks, quantity in lots, cash in 1e-8, time in ns. A field ``<name>_text`` is the
same number as exact decimal text; it is empty where the settings know no such instrument. A symbol is the qualified
one, with its venue: ``BTCUSDT.binance_usdm``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from oms.records import EventKind

SCHEMA_VERSION: Final = 2
DATABASE_FILE: Final = "zoms.sqlite"


class StoreError(RuntimeError):
    """The store cannot be opened, read or written; the message names its file and the remedy.

    Attributes
    ----------
    damaged : bool
        Whether trying again is of no use: the file is no store of this schema.
    """

    def __init__(self, message: str, *, damaged: bool = False) -> None:
        super().__init__(message)
        self.damaged = damaged


def damage_remedy(path: Path) -> str:
    """What to do about a database that cannot be used: it can always be had again."""
    return f"move {path.name} away, and the recorder makes it anew from the journal when it starts next"


class OrderRow(msgspec.Struct, frozen=True):
    """An order as it stood after its last event; one row an order of a core session."""

    session: int
    order_id: int
    account: str
    instrument: int
    symbol: str
    client: int
    """Client index, the upper bits of the order id."""
    strategy: int
    """-1: none."""
    side: str
    order_type: str
    time_in_force: str
    flags: str
    """Names joined by ``+``; empty: none."""
    trigger: str
    """A Trigger's name; ``none`` for an order that waits for no price."""
    contingency: str
    version: int
    """Of the instrument's definition that ``px`` and the quantities are counted in."""
    state: str
    reason: str
    px: int
    qty: int
    filled_qty: int
    px_text: str
    qty_text: str
    filled_qty_text: str
    request_id: int
    created_ts: int
    """Record time of the order's first event."""
    updated_ts: int
    last_event: str
    last_seq: int


class TermsRow(msgspec.Struct, frozen=True):
    """What few orders have: a trigger price, a display quantity, a parent; as last asked for, or trailed."""

    session: int
    order_id: int
    seq: int
    ts: int
    trigger_px: int
    """0: none."""
    trigger_px_text: str
    display_qty: int
    """0: all is shown."""
    display_qty_text: str
    parent_id: int
    """0: none."""


class FillRow(msgspec.Struct, frozen=True):
    """One fill, with the position after it."""

    session: int
    seq: int
    ts: int
    trade_id: int
    order_id: int
    account: str
    instrument: int
    symbol: str
    client: int
    strategy: int
    side: str
    liquidity: str
    px: int
    qty: int
    px_text: str
    qty_text: str
    fee: int
    """Cash; paid is positive."""
    fee_text: str
    position_qty: int
    position_qty_text: str
    realized_pnl: int
    """Cash, of the position, before fees."""
    realized_pnl_text: str


class PositionRow(msgspec.Struct, frozen=True):
    """A position: the latest of its owner, instrument and leg, or in the history, as it stood after a fill."""

    account: str
    strategy: int
    """-1: the account's as a whole."""
    instrument: int
    leg: int
    """0: the net position, or in hedging mode the long one; 1: the short one."""
    symbol: str
    session: int
    seq: int
    ts: int
    order_id: int
    """The filled order; 0 for a position at the core's heartbeat."""
    qty: int
    qty_text: str
    average_px: int
    """1e-8 ticks."""
    average_px_text: str
    mark: int
    """Half ticks."""
    mark_text: str
    realized_pnl: int
    realized_pnl_text: str
    unrealized_pnl: int
    unrealized_pnl_text: str
    fees: int
    fees_text: str
    fills: int
    open_orders: int


class ScopeRow(msgspec.Struct, frozen=True):
    """How an account or a strategy stood when the core last reported it; amounts in the reporting currency."""

    account: str
    strategy: int
    """-1: the account."""
    session: int
    seq: int
    ts: int
    pnl: int
    pnl_text: str
    peak_pnl: int
    peak_pnl_text: str
    day_start_pnl: int
    day_start_pnl_text: str
    next_reset_ts: int
    gross: int
    gross_text: str
    net: int
    net_text: str
    margin: int
    margin_text: str
    open_orders: int


class EventRow(msgspec.Struct, frozen=True):
    """Anything else that happened: refusals, rejections, trading states, halts, book states, funding, log lines."""

    session: int
    seq: int
    ts: int
    kind: str
    account: str
    instrument: int
    symbol: str
    strategy: int
    order_id: int
    request_id: int
    reason: str
    aux: int
    aux_text: str
    """The name of ``aux`` where it is a state or a kind."""
    px: int
    qty: int
    last_px: int
    last_qty: int
    filled_qty: int
    position_qty: int
    realized_pnl: int
    fees: int


class NoteRow(msgspec.Struct, frozen=True):
    """What the recorder itself has to say: records that are lost, damaged files, errors that it got over."""

    kind: str
    text: str
    ts: int
    """Wall clock of the last time, ns."""
    times: int


class Table(NamedTuple):
    """A table: its row, its key, and what a newer row with the same key leaves as it was."""

    row: type[msgspec.Struct]
    key: tuple[str, ...]
    kept: tuple[str, ...] = ()


TABLES: Final = {
    "orders": Table(OrderRow, ("session", "order_id"), kept=("created_ts",)),
    "fills": Table(FillRow, ("session", "seq")),
    "order_terms": Table(TermsRow, ("session", "order_id")),
    "positions": Table(PositionRow, ("account", "strategy", "instrument", "leg")),
    "position_history": Table(PositionRow, ("session", "seq")),
    "scopes": Table(ScopeRow, ("account", "strategy")),
    "events": Table(EventRow, ("session", "seq")),
}

OTHER_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS progress (session INTEGER PRIMARY KEY, next_seq INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS notes (kind TEXT NOT NULL, text TEXT NOT NULL, ts INTEGER NOT NULL,"
    " times INTEGER NOT NULL, PRIMARY KEY (kind, text))",
)

EVENT_TABLE_KINDS: Final = frozenset(
    {
        EventKind.ORDER_REFUSED,
        EventKind.ORDER_REJECTED,
        EventKind.AMEND_REJECTED,
        EventKind.CANCEL_REJECTED,
        EventKind.TRADING_STATE,
        EventKind.STRATEGY_HALTED,
        EventKind.BOOK_STATE,
        EventKind.LOG,
        EventKind.REPORT_IGNORED,
        EventKind.HELD_ENDED,
        EventKind.FUNDING,
        EventKind.POSITION_ADOPTED,
        EventKind.BALANCE,
        EventKind.SETTLED,
        EventKind.ORDER_ADOPTED,
        EventKind.KILLED,
        EventKind.INSTRUMENT,
        EventKind.DEFINITION_REFUSED,
        EventKind.LEG_TURNED,
        EventKind.ORDER_ENTRY,
    }
)
"""Events that have a row of their own in ``events``, beside what they do to orders."""

_COLUMN_TYPES: Final = {"int": "INTEGER", "str": "TEXT"}


def columns(table: str) -> tuple[str, ...]:
    """The columns of a table, in the order of its row's fields."""
    return TABLES[table].row.__struct_fields__


def create_statement(table: str) -> str:
    """The SQL that makes a table."""
    row, key, _ = TABLES[table]
    declared = [f"{name} {_COLUMN_TYPES[row.__annotations__[name]]} NOT NULL" for name in row.__struct_fields__]
    return f"CREATE TABLE IF NOT EXISTS {table} ({', '.join(declared)}, PRIMARY KEY ({', '.join(key)}))"


def write_statement(table: str) -> str:
    """The SQL that writes a row: a row with the same key is overwritten, so that writing twice is writing once."""
    row, key, kept = TABLES[table]
    names = row.__struct_fields__
    renewed = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key and name not in kept)
    return f"{_insert(table)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {renewed}"


def write_if_absent_statement(table: str) -> str:
    """The SQL that writes a row unless there is one with the same key."""
    return f"{_insert(table)} ON CONFLICT ({', '.join(TABLES[table].key)}) DO NOTHING"


def _insert(table: str) -> str:
    names = columns(table)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
