"""What an exchange says, in our integers: what each venue's answers and messages are turned into."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from oms.records import Liquidity, OrderType, Reason, ReportKind, TimeInForce, Trigger, TriggerSource

if TYPE_CHECKING:
    from gateways.orders.known import Order


class Standing(Enum):
    """Where an order is; the value is what the core is told of its end."""

    OPEN = None
    TAKEN = "taken"
    """The exchange has it, and has not said what became of it: that comes on the private stream."""
    FILLED = "filled"
    """Its last fill says so."""
    CANCELLED = ReportKind.CANCELLED
    EXPIRED = ReportKind.EXPIRED
    REJECTED = ReportKind.REJECTED

    @property
    def is_end(self) -> bool:
        """Whether it cannot fill any more."""
        return self not in (Standing.OPEN, Standing.TAKEN)


class StopTerms(NamedTuple):
    """At which price a stop at the exchange fires."""

    trigger: Trigger
    trigger_px: int
    trigger_source: TriggerSource


class OrderView(NamedTuple):
    """An order as the exchange shows it; ticks, lots, ns since the epoch.

    With ``stop`` it is one that stands beside the book until its price comes, or did until it ended: ``venue_order_id``
    is then its id as such, which is none of an order in the book.
    """

    instrument: int
    client_id: str
    venue_order_id: int
    side: int
    order_type: OrderType
    time_in_force: TimeInForce
    flags: int
    standing: Standing
    reason: int
    """Why it ended: a Reason."""
    px: int
    qty: int
    filled_qty: int
    exch_ts: int
    stop: StopTerms | None = None
    became: int = 0
    """Of a stop that has fired: the id of the order that it has become."""

    @property
    def key(self) -> int:
        """Its id among those of orders and stops: these are below 0."""
        return -self.venue_order_id if self.stop is not None else self.venue_order_id


def taken(order: Order, number: int, ts: int = 0) -> OrderView:
    """An order that the exchange has answered with its id, and of which it has not said more."""
    return OrderView(
        order.instrument.id,
        order.client_id,
        number,
        order.side,
        order.order_type,
        order.time_in_force,
        order.flags,
        Standing.TAKEN,
        Reason.NONE,
        order.px,
        order.qty,
        0,
        ts,
        order.stop,
    )


class FillView(NamedTuple):
    """One fill of an order; cash is 1e-8 of the settlement currency."""

    instrument: int
    client_id: str
    """Empty where the venue's list of trades does not say it."""
    venue_order_id: int
    trade_id: int
    side: int
    px: int
    qty: int
    liquidity: Liquidity
    fee: int
    """Paid is positive."""
    fee_known: bool
    """False: it was paid in another currency, and the core works it out."""
    realized_pnl: int
    exch_ts: int
    base_fee: int = 0
    """Of spot: a fee that was taken in the base currency, 1e-8 of it; ``fee`` is what that is worth at the price."""


class TradeView(NamedTuple):
    """A trade that has moved the account; its fill is told apart."""

    instrument: int
    trade_id: int


class PositionView(NamedTuple):
    """A position: signed lots, at an average of so many ticks and 1e-8 ticks."""

    instrument: int
    qty: int
    px: int
    px_fraction: int


class FundingView(NamedTuple):
    """One payment of funding: paid is positive; ``payment_id`` is the venue's."""

    instrument: int
    payment_id: int
    fee: int
    exch_ts: int


class Notice(Enum):
    """What else a private stream tells."""

    STREAM_ENDED = auto()
    """It carries nothing any more, though the connection stays."""
    FUNDING_PAID = auto()
    """Payments are to be asked for."""
    BALANCE_CHANGED = auto()
    """Money came or went otherwise than by trading."""


Told = OrderView | FillView | TradeView | Notice
