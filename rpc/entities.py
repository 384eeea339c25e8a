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

PENDING_STATES: Final = frozenset({"pending_new", "pending_amend", "pending_cancel"})
"""States of an order of which the exchange has been asked something."""
SENT_STATES: Final = PENDING_STATES | {"live"}
"""States of an order that the exchange has, or may have."""
OPEN_STATES: Final = SENT_STATES | {"held"}
"""States of an order that may yet trade."""

Side: TypeAlias = Literal["buy", "sell"]
OrderTypeName: TypeAlias = Literal[
    "limit",
    "market",
    "stop_limit",
    "stop_market",
    "take_profit_limit",
    "take_profit_market",
    "trailing_stop_limit",
    "trailing_stop_market",
    "algorithm_limit",
    "algorithm_market",
]
"""Stops, take-profits and trailing stops are kept by the core, or with ``at_exchange`` by the exchange, until the price
reaches their trigger; then they are what their name ends in. The last two are worked by an algorithm, within a limit
price or without one: they never leave themselves."""
TimeInForceName: TypeAlias = Literal["gtc", "ioc", "fok", "gtd", "day"]
TriggerBy: TypeAlias = Literal["last", "mark", "index", "bid_ask"]
"""The price that a trigger watches; ``bid_ask``: what the order would trade at."""
TrailUnitName: TypeAlias = Literal["price", "basis_points", "ticks"]
PositionSide: TypeAlias = Literal["long", "short"]
ContingencyName: TypeAlias = Literal["oto", "oco", "replace"]
TradingStateName: TypeAlias = Literal["halted", "active", "reducing"]
Topic: TypeAlias = Literal["orders", "fills", "progress", "positions", "standings", "logs", "status", "all"]
"""``orders``, ``fills`` and ``progress`` are the client's own; ``all`` is every topic, with the orders, fills and
progress of everyone."""
Scope: TypeAlias = Literal["own", "account"]
"""``own``: the client's own orders; ``account``: those of every client and strategy."""
Outcome: TypeAlias = Literal["acknowledged", "unknown"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it stands."""

    order_id: int
    client: str
    """The client's name, or the strategy's; of an algorithm's child order its parent's."""
    client_order_id: str | None
    symbol: str
    side: Side
    order_type: OrderTypeName
    algorithm: str | None
    """The algorithm that works it, ``unknown`` where this session has none of that id; None: none does."""
    account: str
    time_in_force: TimeInForceName
    good_till_ts: int
    """gtd: when it expires. 0: it does not, or, for a strategy's order, it is not known."""
    post_only: bool
    reduce_only: bool
    at_exchange: bool
    """A stop that stands at the exchange, or is to: its price has not come there."""
    position_side: PositionSide | None
    """None: of an account in netting mode."""
    price: str | None
    qty: str
    """Total, the filled part included."""
    display_qty: str | None
    """Shown at a time; None: all."""
    trigger_price: str | None
    """Where its trigger stands now; None: it has none, or a trailing one that has not seen a price yet."""
    trigger_by: TriggerBy | None
    """None: it has no trigger, or, for a strategy's order, it is not known."""
    trail_by: str | None
    """Distance at which its trigger follows the price, as last amended, in ``trail_unit``; None: it does not trail."""
    trail_unit: TrailUnitName | None
    """The unit in which the distance was given when the order was placed."""
    contingency: ContingencyName | None
    parent_order_id: int | None
    """The order that it hangs on, or whose algorithm has placed it."""
    filled_qty: str
    realized_pnl: str | None
    """What its fills have closed of the account's position, before fees, in the settlement currency; None: some of its
    fills are not known any more."""
    fees: str | None
    """What its fills have paid in fees, in the settlement currency; received is negative. None: as above."""
    state: str
    """An OrderState's name in lower case, or ``unknown``. ``held``: by the core, not at the exchange."""
    reason: str
    """Why it was refused, rejected or ended; ``NONE`` otherwise."""
    ts: int
    """Record time of its last event; 0: the core has not answered."""
    session: int
    """Core session of its last event."""
    seq: int
    """Sequence number of its last event in that session; -1: there is none."""


def trail_text(order: Order) -> str:
    """A trailing distance in words: ``0.7``, ``7 ticks``, ``25 basis points``; empty where there is none."""
    if order.trail_by is None or order.trail_unit is None:
        return ""
    return order.trail_by if order.trail_unit == "price" else f"{order.trail_by} {order.trail_unit.replace('_', ' ')}"


def trigger_text(order: Order) -> str:
    """An order's trigger, to stand behind its price: `` from 99, trailing by 0.7``; empty where there is none."""
    at = f" from {order.trigger_price}" if order.trigger_price else ""
    return at + (f", trailing by {trail_text(order)}" if order.trail_by else "")


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
    realized_pnl: str
    """What it has closed of the account's position, before fees, in the settlement currency."""
    liquidity: str
    trade_id: int
    ts: int
    session: int
    seq: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far an algorithm has worked an order: the parent, whose fills are those of its child orders."""

    order_id: int
    client: str
    client_order_id: str | None
    algorithm: str
    """``unknown`` where this session has none of that id."""
    parameters: dict[str, float]
    symbol: str
    venues: tuple[str, ...]
    """Other instruments in which it may trade."""
    side: Side
    account: str
    price: str | None
    """Its limit price; None: it has none."""
    state: str
    """``running``, ``paused`` or ``stopping`` while it is open; then the order's state, such as ``filled``."""
    reason: str
    """Why it has ended; ``NONE`` otherwise."""
    qty: str
    """The target."""
    filled_qty: str
    left_qty: str
    """Of the target, what is open included."""
    open_qty: str
    """In child orders that are open."""
    due_qty: str
    """What its schedule wants filled by now."""
    average_price: str | None
    """Of its fills; None: it has none."""
    arrival_price: str | None
    """The mid price when it began; None: it has not begun, or there was none."""
    market_vwap: str | None
    """The average price of the market's trades since it began, weighted by quantity; None: there was none."""
    arrival_slippage_bps: str | None
    """How much worse its average price is than the arrival price, in 1e-4 of that; negative: better."""
    vwap_slippage_bps: str | None
    """The same against ``market_vwap``."""
    started_ts: int
    """0: the core has not said it."""
    ts: int
    """Record time of what is told here."""


class AlgorithmInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An execution algorithm that the session has."""

    name: str
    summary: str
    parameters: dict[str, float]
    """Its parameters and their defaults."""
    ranges: dict[str, tuple[float, float]]
    """Lowest and highest value, of those that have a range."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The position of an account, or of a strategy in it, in one instrument; amounts in the settlement currency."""

    symbol: str
    account: str
    strategy: str | None
    """None: the account's as a whole."""
    position_side: PositionSide | None
    """None: of an account in netting mode."""
    currency: str
    """The settlement currency."""
    qty: str
    average_price: str
    mark_price: str
    realized_pnl: str
    """Before fees."""
    unrealized_pnl: str
    fees: str
    liquidation_price: str | None
    """None: it is never liquidated, is flat or not on margin, or is a strategy's share."""
    liquidation_distance: str | None
    """The fraction of the mark price by which that may move against the position until then; 0 or less: reached."""
    fills: int
    open_orders: int
    ts: int


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an account, or a strategy, stands as a whole; amounts in the reporting currency."""

    account: str
    strategy: str | None
    """None: the account."""
    trading_state: str
    """``unknown`` until the core has said it."""
    trading_reason: str
    currency: str
    """The reporting currency."""
    pnl: str
    """Realized and unrealized, less fees and funding."""
    day_pnl: str
    """Since the last reset."""
    drawdown: str
    """Below the highest PnL."""
    gross_exposure: str
    net_exposure: str
    margin: str
    open_orders: int
    next_reset_ts: int
    ts: int
    """0: the core has not reported it yet, and the amounts are nought."""


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
    version: int
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


class ProgressEvent(EventBody, frozen=True):
    """An algorithm has got on with its order, was paused, or is ending it; how far it is at the core's heartbeat."""

    progress: Progress


class PositionEvent(EventBody, frozen=True):
    """A position, after a fill or at the core's heartbeat."""

    position: Position


class StandingEvent(EventBody, frozen=True):
    """How an account or a strategy stands, at the core's heartbeat."""

    standing: Standing


class LogEvent(EventBody, frozen=True):
    """A strategy's log line, its halt, a book's state, funding, a kill switch, and whatever else is worth a line."""

    kind: str
    source: str
    """The strategy, or the instrument's symbol."""
    reason: str
    number: int
    arguments: tuple[int, ...]
    ts: int


class TradingStateEvent(EventBody, frozen=True):
    """The trading state of an account, or of a strategy, is now ``state``."""

    account: str
    strategy: str | None
    """None: the account."""
    state: str
    reason: str
    ts: int


class ProcessEvent(EventBody, frozen=True):
    """A sign of life of a process."""

    process: Process


AnyEvent: TypeAlias = (
    OrderEvent | FillEvent | ProgressEvent | PositionEvent | StandingEvent | LogEvent | TradingStateEvent | ProcessEvent
)
