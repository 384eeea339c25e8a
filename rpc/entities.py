"""What messages are about: orders, fills, positions, processes and instruments, as clients see them.

Numbers are decimal text in the instrument's or the settlement currency's own units, and exact; times are ns since the
epoch. Every field is plain, so a client needs neither NumPy nor the records.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import msgspec

UNKNOWN: Final = "unknown"
"""State of an order, or outcome of a request, that the core has not answered: it may or may not have had effect."""

Side: TypeAlias = Literal["buy", "sell"]
OrderTypeName: TypeAlias = Literal["limit", "market"]
TimeInForceName: TypeAlias = Literal["gtc", "ioc", "fok", "gtd", "day"]
TradingStateName: TypeAlias = Literal["halted", "active", "reducing"]
Topic: TypeAlias = Literal["orders", "fills", "positions", "logs", "status", "all"]
"""``orders`` and ``fills`` are the client's own; ``all`` is every topic, with the orders and fills of everyone."""
Scope: TypeAlias = Literal["own", "account"]
"""``own``: the client's own orders; ``account``: those of every client and strategy."""
Outcome: TypeAlias = Literal["acknowledged", "unknown"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands."""

    order_id: int
    client: str
    """The client's name, or the strategy's."""
    client_order_id: str | None
    symbol: str
    side: Side
    order_type: OrderTypeName
    time_in_force: TimeInForceName
    post_only: bool
    reduce_only: bool
    price: str | None
    qty: str
    """Total, the filled part included."""
    filled_qty: str
    state: str
    """An OrderState's name in lower case, or ``unknown``."""
    reason: str
    """Why it was refused, rejected or ended; ``NONE`` otherwise."""
    ts: int
    """Record time of its last event; 0: the core has not answered."""
    session: int
    """Core session of its last event."""
    seq: int
    """Sequence number of its last event in that session; -1: there is none."""


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of an order; ``session`` and ``seq`` are its place in the core's event stream."""

    order_id: int
    client: str
    client_order_id: str | None
    symbol: str
    side: Side
    price: str
    qty: str
    fee: str
    """In the settlement currency; paid is positive."""
    liquidity: str
    trade_id: int
    ts: int
    session: int
    seq: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The account's position in one instrument; amounts in the settlement currency."""

    symbol: str
    account: int
    qty: str
    average_price: str
    mark_price: str
    realized_pnl: str
    """Before fees."""
    unrealized_pnl: str
    fees: str
    fills: int
    open_orders: int
    ts: int


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The last sign of life of a process."""

    name: str
    pid: int
    state: str
    age_s: float
    """Since that sign of life."""
    rss_mb: float
    counters: dict[str, float]


class InstrumentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument as clients need it; see ``oms.instruments.Instrument``."""

    id: int
    """Its number, in orders that are sent in batches."""
    symbol: str
    venue: str
    kind: str
    tick: str
    lot: str
    multiplier: str
    settlement: str
    min_qty: str
    max_qty: str
    min_notional: str


# What a subscriber is told


def tag_of(name: str) -> str:
    """A message's ``type``: its class's name in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class EventBody(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=tag_of):
    """Base of all events."""


class OrderEvent(EventBody, frozen=True):
    """Something happened to an order; ``order`` is how it stands now."""

    kind: str
    """An EventKind's name in lower case."""
    reason: str
    """Why the order, or an amend or a cancel of it, was refused or rejected; ``NONE`` otherwise."""
    order: Order


class FillEvent(EventBody, frozen=True):
    """An order was filled, wholly or in part."""

    fill: Fill


class PositionEvent(EventBody, frozen=True):
    """A position, after a fill or at the core's heartbeat."""

    position: Position


class LogEvent(EventBody, frozen=True):
    """A strategy's log line, its halt, a book's state, or a report that the core ignored."""

    kind: str
    source: str
    """The strategy, or the instrument's symbol."""
    reason: str
    number: int
    arguments: tuple[int, ...]
    ts: int


class TradingStateEvent(EventBody, frozen=True):
    """The account's trading state is now ``state``."""

    state: str
    reason: str
    ts: int


class ProcessEvent(EventBody, frozen=True):
    """A sign of life of a process."""

    process: Process


AnyEvent: TypeAlias = OrderEvent | FillEvent | PositionEvent | LogEvent | TradingStateEvent | ProcessEvent
