"""What is known of the account's orders, and which report follows from each thing that the exchange says.

The exchange says everything more than once and in any order: in answers, on the private stream, when it is asked. Here
each becomes one report: the first sign of life is the acceptance, a fill is told by its trade id, and an order ends
only when all fills that it ended with have been told.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from gateways.orders.ids import ClientIds, external_order_id, is_external
from gateways.orders.recent_trades import RecentTrades
from gateways.orders.reports import new_report
from gateways.orders.views import FillView, FundingView, OrderView, PositionView, Standing, StopTerms
from oms.bus import Records
from oms.decimals import rate
from oms.instruments import Instrument
from oms.records import (
    CASH_SCALE,
    Liquidity,
    OrderFlag,
    OrderType,
    Reason,
    ReportKind,
    TimeInForce,
    Trigger,
    TriggerSource,
)

SPOT: Final = "spot"
"""The kind of instruments that are exchanged, not held as a position."""

REMEMBERED: Final = 20_000
"""Orders that have ended and are still known, so that what is said of them late is understood."""


class KnownError(RuntimeError):
    """What the exchange says contradicts what is known: trading must stop."""


class Trade(NamedTuple):
    """One side of a trade, as the core tells trades apart."""

    instrument: int
    side: int
    trade_id: int


class Foreign(NamedTuple):
    """A fill of an order that is none of the known ones: signed lots, and what it moved in the wallets, by currency."""

    trade_id: int
    qty: int
    cash: dict[str, int]


AT_ONCE: Final = (TimeInForce.IOC, TimeInForce.FOK)
"""An order of these cannot rest."""

UNKNOWN_TERMS: Final = (0, 2**62)
"""Price and quantity of an amend in flight of which it is not known what it asked for."""


class Stage(Enum):
    """Where an order is for us."""

    PENDING = auto()
    """It was asked for, and nothing has been heard of it."""
    LIVE = auto()
    ENDED = auto()


class End(NamedTuple):
    """The end of an order, which is told once ``filled_qty`` lots have been."""

    standing: Standing
    reason: int
    filled_qty: int
    exch_ts: int


@dataclass(slots=True, eq=False)
class Order:
    """One order of the account; ticks and lots."""

    order_id: int
    client_id: str
    instrument: Instrument
    side: int
    order_type: OrderType
    time_in_force: TimeInForce
    flags: int
    px: int
    qty: int
    display_qty: int = 0
    strategy: int = -1
    stage: Stage = Stage.PENDING
    venue_order_id: int = 0
    """0: not known yet."""
    stop: StopTerms | None = None
    """Of one that stands; None: also where they are not known any more."""
    stop_id: int = 0
    """The exchange's id of it as a stop; 0: it is none, or it is not known yet."""
    filled_qty: int = 0
    """As far as has been told."""
    said_filled_qty: int = 0
    """The most that the exchange has said."""
    untraced_qty: int = 0
    """Of ``filled_qty`` what was told in a session before, by trades whose ids are not known."""
    asked: tuple[int, int] | None = None
    """Price and quantity of the amend in flight."""
    end: End | None = None
    heard_ts: int = 0
    """The exchange's time of the newest that was heard."""
    sent_s: float = 0.0
    """Monotonic seconds at which it was asked for last."""
    trades: set[int] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when something new was told of it."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the one request about it that is on its way."""
    is_heard: bool = False
    """Whether the exchange has said how it stands, and not only that it has it."""

    @property
    def is_done(self) -> bool:
        """Whether it cannot fill any more, though fills may still have to be told."""
        return self.stage is Stage.ENDED or self.end is not None

    @property
    def stands(self) -> bool:
        """Whether it is a stop at the exchange that has not fired, as far as is known."""
        return bool(self.flags & OrderFlag.AT_EXCHANGE)

    @property
    def protects(self) -> bool:
        """Whether it stands at the exchange and can do nothing but close a position."""
        return self.stands and bool(self.flags & OrderFlag.REDUCE_ONLY)

    @property
    def is_silent(self) -> bool:
        """Whether the exchange has still to say what became of it: of one that cannot rest, how it ended."""
        can_rest = self.stands or (self.order_type is OrderType.LIMIT and self.time_in_force not in AT_ONCE)
        return not self.is_done and not (self.is_heard and can_rest)

    @property
    def owes(self) -> bool:
        """Whether the exchange has said of more fills than have been told."""
        return self.said_filled_qty > self.filled_qty


class Known:
    """The account's orders, positions and wallets as the core has been told of them.

    Parameters
    ----------
    account
        Its number in the core.
    ids
        Tells our orders from others.
    instruments
        Of this venue.
    wallets
        Number of the wallet of each currency.
    tell
        Takes reports, each an array of one.
    time_ns
        The present.

    Attributes
    ----------
    repeated : int
        Fills that were said again.
    begun : set of int
        Instruments of whose positions the core knows: of any other the exchange's is the opening one.
    recent_trades : RecentTrades
        What has been told of late, whichever way it came.
    is_disordered : bool
        A fill was told behind a later one, so that the core has realized something else than the exchange, and holds at
        another average: the next positions and balances are told, whatever is known.
    newest_booked : dict of int by instrument
        The highest trade id that the core had booked before; missing: none.
    foreign : dict of list of Foreign by instrument
        What other orders than the known ones have filled, and no position has been told with yet.
    uncharged : dict of int by currency
        Fees that the core has counted, though the exchange has taken another currency, since balances were compared.
    news : int
        Counts whatever may change a position or a wallet.
    """

    def __init__(
        self,
        account: int,
        ids: ClientIds,
        instruments: tuple[Instrument, ...],
        wallets: dict[str, int],
        tell: Callable[[Records], None],
        time_ns: Callable[[], int],
    ) -> None:
        self.account = account
        self.ids = ids
        self.instruments = {each.id: each for each in instruments}
        self.wallets = wallets
        self.orders: dict[int, Order] = {}
        """Those that have not ended, by our id."""
        self.positions: dict[int, int] = dict.fromkeys(self.instruments, 0)
        self.cash: dict[str, int] = {}
        self.uncharged: dict[str, int] = {}
        self.begun: set[int] = set()
        self.newest_booked: dict[int, int] = {}
        self._newest_told: dict[int, int] = {}
        self.recent_trades = RecentTrades()
        self.is_disordered = False
        self.foreign: dict[int, list[Foreign]] = {number: [] for number in self.instruments}
        self.news = 0
        self.repeated = 0
        self._tell = tell
        self._time_ns = time_ns
        self._ended: OrderedDict[int, Order] = OrderedDict()
        self._by_venue_id: dict[tuple[int, int], Order] = {}
        self._booked: set[Trade] = set()
        """Trades that were told before, or are none of ours and counted: not those in ``Order.trades``."""
        self._payments: set[tuple[int, int]] = set()

    def begin(
        self, positions: dict[int, int], cash: dict[str, int], booked: set[Trade], payments: set[tuple[int, int]]
    ) -> None:
        """Take on what the core knows already; see ``gateways.orders.past.Past``."""
        self.positions |= positions
        self.begun |= positions.keys()
        self.cash |= {currency: amount for currency, amount in cash.items() if currency in self.wallets}
        self._booked |= booked
        for trade in booked:
            self.newest_booked[trade.instrument] = max(self.newest_booked.get(trade.instrument, 0), trade.trade_id)
        self._payments |= payments

    def new(self, command: np.void) -> Order:
        """The order of a NEW command, or of another about an order that was not known."""
        order_id = int(command["order_id"])
        order = Order(
            order_id,
            self.ids.text(order_id),
            self.instruments[int(command["instrument"])],
            int(command["side"]),
            OrderType(int(command["order_type"])),
            TimeInForce(int(command["time_in_force"])),
            int(command["flags"]),
            int(command["px"]),
            int(command["qty"]),
            int(command["display_qty"]),
            int(command["strategy"]),
        )
        if order.stands:
            trigger, source = Trigger(int(command["trigger"])), TriggerSource(int(command["trigger_source"]))
            order.stop = StopTerms(trigger, int(command["trigger_px"]), source)
        self.add(order)
        return order

    def add(self, order: Order) -> None:
        """Know an order from now on."""
        self.orders[order.order_id] = order
        for key in (order.venue_order_id, -order.stop_id):
            if key:
                self._by_venue_id[order.instrument.id, key] = order

    def find(self, instrument: int, client_id: str, key: int) -> Order | None:
        """The order that is meant, also one that has ended; None: it is none of the known ones.

        ``key`` is its id at the venue, or of a stop less than 0, as ``OrderView.key``.
        """
        order_id = self.ids.order_id(client_id) if client_id else None
        if order_id is not None:
            return self.orders.get(order_id) or self._ended.get(order_id)
        return self._by_venue_id.get((instrument, key))

    def is_known(self, order_id: int) -> bool:
        """Whether there is, or was of late, an order of that id."""
        return order_id in self.orders or order_id in self._ended

    def owing(self) -> Iterator[Order]:
        """Orders with fills that have not been told."""
        return (order for order in [*self.orders.values()] if order.owes)

    def take_order(self, view: OrderView, *, is_exact: bool = False) -> Order | None:
        """Take what is said of an order, and return it; None when it is unknown.

        Parameters
        ----------
        is_exact
            It is how the order stands now, with no request about it on its way: terms that differ are told.
        """
        order = self.find(view.instrument, view.client_id, view.key)
        if order is None:
            return None
        self.bind(order, view.key)
        if order.stage is Stage.ENDED:
            return order
        self._accept(order, view.exch_ts)
        if view.standing is not Standing.TAKEN and not order.is_heard:
            order.is_heard = True
            order.changed.set()
        if view.stop is not None:
            self._take_stop(order, view)
            return order
        self._fire(order, view.exch_ts)
        order.said_filled_qty = max(order.said_filled_qty, view.filled_qty)
        terms = (view.px, view.qty)
        is_stale = view.exch_ts < order.heard_ts
        order.heard_ts = max(order.heard_ts, view.exch_ts)
        has_changed = is_exact and order.asked is None and terms != (order.px, order.qty)
        if order.order_type is OrderType.LIMIT and not is_stale and (terms == order.asked or has_changed):
            self._amended(order, *terms, view.exch_ts)
        if view.standing.is_end and order.end is None:
            order.end = End(view.standing, view.reason, view.filled_qty, view.exch_ts)
        self._settle(order)
        return order

    def take_fill(self, fill: FillView) -> Order | None:
        """Take a fill: it is told, unless it has been; returns its order, None when that is unknown."""
        self.recent_trades.note(fill.instrument, fill.trade_id)
        order = self.find(fill.instrument, fill.client_id, fill.venue_order_id)
        if order is None:
            self._take_foreign(fill)
            return None
        self.bind(order, fill.venue_order_id)
        if fill.trade_id in order.trades or _trade(fill) in self._booked:
            self.repeated += 1
            return order
        self._accept(order, fill.exch_ts)
        self._fire(order, fill.exch_ts)
        self._note_order(fill)
        order.trades.add(fill.trade_id)
        order.filled_qty += fill.qty
        most = max(order.qty, order.asked[1] if order.asked else 0)
        if order.filled_qty > most or fill.side != order.side:
            raise KnownError(f"order {order.order_id} over {order.qty} lots is said to have filled {order.filled_qty}")
        order.said_filled_qty = max(order.said_filled_qty, order.filled_qty)
        self._book(fill)
        self._report(
            ReportKind.FILL,
            order,
            fill.exch_ts,
            trade_id=fill.trade_id,
            liquidity=fill.liquidity,
            fee_known=fill.fee_known,
            px=fill.px,
            qty=fill.qty,
            fee=fill.fee if fill.fee_known else 0,
        )
        self._tell_wallets(fill)
        self._settle(order)
        return order

    def _note_order(self, fill: FillView) -> None:
        """Notice a fill that is told behind a later one: the core realizes then what the exchange did not."""
        newest = max(self._newest_told.get(fill.instrument, 0), self.newest_booked.get(fill.instrument, 0))
        self.is_disordered = self.is_disordered or fill.trade_id < newest
        self._newest_told[fill.instrument] = max(newest, fill.trade_id)

    def trace(self, order: Order, fills: list[FillView]) -> None:
        """Learn which of an order's fills, in the order of their ids, were told before it was known here.

        Those that the core remembers come first; of the others the oldest are those that it has forgotten.
        """
        for fill in sorted(fills, key=lambda fill: _trade(fill) not in self._booked):
            if order.untraced_qty > 0 and fill.trade_id not in order.trades:
                order.untraced_qty -= fill.qty
                order.trades.add(fill.trade_id)

    def reject(self, order: Order, reason: int) -> None:
        """The order does not exist, and never will."""
        if order.stage is Stage.PENDING:
            self._report(ReportKind.REJECTED, order, 0, reason=reason)
            self._close(order)

    def end_forgotten(self, order: Order) -> None:
        """An order of before has ended, and the exchange knows nothing of it any more."""
        if order.stage is Stage.LIVE:
            self._report(ReportKind.CANCELLED, order, 0, reason=Reason.UNKNOWN_AT_EXCHANGE)
            self._close(order)

    def reject_amend(self, order: Order, reason: int) -> None:
        """The order stands as it did."""
        if order.asked is not None:
            order.asked = None
            self._report(ReportKind.AMEND_REJECTED, order, 0, reason=reason)
            self._settle(order)

    def reject_cancel(self, order: Order, reason: int) -> None:
        """The order stands as it did."""
        self._report(ReportKind.CANCEL_REJECTED, order, 0, reason=reason)

    def refuse_unknown(self, command: np.void, kind: ReportKind, reason: int) -> None:
        """Refuse a command about an order that is not known."""
        names = ("order_id", "side", "instrument", "version", "account")
        self._tell(new_report(kind, reason=reason, ts=self._time_ns(), **{name: command[name] for name in names}))

    def adopt(self, view: OrderView) -> Order:
        """Take on an open order, or a stop that stands, that the core does not know, and tell it.

        Raises
        ------
        KnownError
            When the core could not keep it.
        """
        is_kept = view.order_type is OrderType.LIMIT and view.time_in_force is TimeInForce.GTC
        if view.stop is None and not is_kept:
            raise KnownError(
                f"order {view.venue_order_id} was placed elsewhere and is no limit order good till cancelled: cancel it"
            )
        own_id = self.ids.order_id(view.client_id)
        order = Order(
            own_id if own_id is not None else external_order_id(view.instrument, view.key),
            view.client_id,
            self.instruments[view.instrument],
            view.side,
            view.order_type,
            view.time_in_force,
            view.flags,
            view.px,
            view.qty,
            stage=Stage.LIVE,
            venue_order_id=0 if view.stop else view.venue_order_id,
            stop=view.stop,
            stop_id=view.venue_order_id if view.stop else 0,
            filled_qty=view.filled_qty,
            said_filled_qty=view.filled_qty,
            untraced_qty=view.filled_qty,
            heard_ts=view.exch_ts,
        )
        self.add(order)
        stop: dict[str, int] = {}
        if view.stop is not None:
            trigger, trigger_px, source = view.stop
            stop = {"trigger": trigger, "trigger_source": source, "value": trigger_px}
        self._report(
            ReportKind.ADOPTED,
            order,
            view.exch_ts,
            px=order.px,
            qty=order.qty,
            flags=order.flags,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            **stop,
        )
        return order

    def set_position(self, view: PositionView) -> None:
        """Tell a position that came about elsewhere."""
        self.positions[view.instrument] = view.qty
        self._tell_of_account(
            ReportKind.POSITION, view.instrument, qty=view.qty, px=view.px, px_fraction=view.px_fraction
        )

    def set_cash(self, currency: str, cash: int) -> None:
        """Tell what a wallet holds, where that is not what is known, or not what the core has made of it."""
        if currency in self.wallets and (self.is_disordered or self.cash.get(currency) != cash):
            self.cash[currency] = cash
            self._tell_of_account(ReportKind.BALANCE, -1, value=self.wallets[currency], fee=cash)

    def tell_order_entry(self, reason: Reason) -> None:
        """Tell whether new orders may leave: NONE, or why not."""
        for instrument in self.instruments:
            self._tell_of_account(ReportKind.ORDER_ENTRY, instrument, reason=reason)

    def take_funding(self, view: FundingView) -> None:
        """Tell a payment of funding, once."""
        payment = (view.instrument, view.payment_id)
        if payment in self._payments:
            return
        self._payments.add(payment)
        self._move_cash({self.instruments[view.instrument].settlement: -view.fee})
        self._tell_of_account(
            ReportKind.FUNDING,
            view.instrument,
            trade_id=view.payment_id,
            fee=view.fee,
            exch_ts=view.exch_ts,
            fee_known=1,
        )

    def bind(self, order: Order, key: int) -> None:
        """Learn the exchange's id of an order, by which alone its list of trades names it, or of a stop."""
        if key > 0 and not order.venue_order_id:
            order.venue_order_id = key
        elif key < 0 and not order.stop_id:
            order.stop_id = -key
        else:
            return
        self._by_venue_id[order.instrument.id, key] = order

    def _take_foreign(self, fill: FillView) -> None:
        if _trade(fill) in self._booked:
            return
        self._booked.add(_trade(fill))
        self.news += 1
        moved = self._moved(fill, fill.fee if fill.fee_known else 0)
        self.foreign[fill.instrument].append(Foreign(fill.trade_id, fill.side * fill.qty, moved))

    def _book(self, fill: FillView) -> None:
        self.positions[fill.instrument] += fill.side * fill.qty
        fee = fill.fee
        if not fill.fee_known:
            instrument = self.instruments[fill.instrument]
            fee = _counted_fee(instrument, fill)
            self.uncharged[instrument.settlement] = self.uncharged.get(instrument.settlement, 0) + fee
        self._move_cash(self._moved(fill, fee))

    def _moved(self, fill: FillView, fee: int) -> dict[str, int]:
        """What a fill moves in each currency: spot exchanges two, and may take the fee of the base currency."""
        instrument = self.instruments[fill.instrument]
        if instrument.kind != SPOT:
            return {instrument.settlement: fill.realized_pnl - fee}
        base, quote = exchanged(instrument, fill.side, fill.px, fill.qty)
        return {instrument.quote: quote - (0 if fill.base_fee else fee), instrument.base: base - fill.base_fee}

    def _move_cash(self, amounts: Mapping[str, int]) -> None:
        self.news += 1
        for currency, amount in amounts.items():
            if currency in self.cash:
                self.cash[currency] += amount

    def _tell_wallets(self, fill: FillView) -> None:
        """What is there behind a fill whose fee was taken in the base currency: the core takes it of the quote."""
        if not fill.base_fee:
            return
        instrument = self.instruments[fill.instrument]
        for currency in (instrument.base, instrument.quote):
            if currency in self.cash and currency in self.wallets:
                wallet = self.wallets[currency]
                self._tell_of_account(ReportKind.BALANCE, -1, value=wallet, fee=self.cash[currency])

    def _accept(self, order: Order, exch_ts: int) -> None:
        if order.stage is Stage.PENDING:
            order.stage = Stage.LIVE
            self._report(ReportKind.ACCEPTED, order, exch_ts)

    def _take_stop(self, order: Order, view: OrderView) -> None:
        """Take what is said of an order as a stop; it is old where the order has fired."""
        if not order.stands:
            return
        if view.became and not is_external(order.order_id):
            self._fire(order, view.exch_ts)
            self.bind(order, view.became)
        elif view.became:  # the order that it has become is one placed elsewhere too, and is taken on by itself
            order.end = End(Standing.CANCELLED, Reason.NONE, order.filled_qty, view.exch_ts)
        elif view.standing.is_end and order.end is None:
            order.end = End(view.standing, view.reason, view.filled_qty, view.exch_ts)
        self._settle(order)

    def _fire(self, order: Order, exch_ts: int) -> None:
        """A stop has become the order that it was for."""
        if order.stands:
            order.flags &= ~OrderFlag.AT_EXCHANGE
            order.stop = None
            self._report(ReportKind.TRIGGERED, order, exch_ts)

    def _amended(self, order: Order, px: int, qty: int, exch_ts: int) -> None:
        is_filled = order.filled_qty == max(order.qty, qty)  # at either terms: for the core it has ended by its fills
        order.asked = None
        order.px, order.qty = px, qty
        if not is_filled:
            self._report(ReportKind.AMENDED, order, exch_ts, px=px, qty=qty)

    def _settle(self, order: Order) -> None:
        """End an order that has told all its fills."""
        if order.stage is not Stage.LIVE:
            return
        end = order.end
        if end is not None and order.filled_qty >= end.filled_qty:
            if end.standing is not Standing.FILLED:
                self._report(end.standing.value, order, end.exch_ts, reason=end.reason)
            self._close(order)
        elif order.filled_qty == order.qty and order.asked is None:
            self._close(order)

    def _close(self, order: Order) -> None:
        order.stage = Stage.ENDED
        self.orders.pop(order.order_id, None)
        self._ended[order.order_id] = order
        if len(self._ended) > REMEMBERED:
            _, forgotten = self._ended.popitem(last=False)
            for key in (forgotten.venue_order_id, -forgotten.stop_id):
                self._by_venue_id.pop((forgotten.instrument.id, key), None)

    def _report(self, kind: ReportKind, order: Order, exch_ts: int, **fields: int) -> None:
        order.changed.set()
        self._tell(
            new_report(
                kind,
                ts=self._time_ns(),
                exch_ts=exch_ts,
                order_id=order.order_id,
                venue_order_id=order.venue_order_id,
                side=order.side,
                instrument=order.instrument.id,
                version=order.instrument.version,
                account=self.account,
                strategy=order.strategy,
                leaves_qty=max(order.qty - order.filled_qty, 0),
                **fields,
            )
        )

    def _tell_of_account(self, kind: ReportKind, instrument: int, **fields: int) -> None:
        version = self.instruments[instrument].version if instrument >= 0 else 0
        self._tell(
            new_report(kind, ts=self._time_ns(), instrument=instrument, version=version, account=self.account, **fields)
        )


def exchanged(instrument: Instrument, side: int, px: int, qty: int) -> tuple[int, int]:
    """What a spot fill brings, before fees: of the base currency and of the quote currency, cash; paid is negative."""
    base = round(qty * Fraction(instrument.lot) * CASH_SCALE)
    return side * base, -side * round(px * qty * instrument.cash_per_tick_lot)


def _counted_fee(instrument: Instrument, fill: FillView) -> int:
    """What the core counts as the fee of a fill whose own is in another currency: by the instrument's rates."""
    is_maker = fill.liquidity is Liquidity.MAKER
    fee_rate = rate("fee rate", instrument.maker_fee_rate if is_maker else instrument.taker_fee_rate)
    if instrument.inverse:
        value = round(instrument.inverse_cash * fill.qty / fill.px)
    else:
        value = round(instrument.cash_per_tick_lot * fill.px * fill.qty)
    return round(Fraction(value * fee_rate, CASH_SCALE))


def _trade(fill: FillView) -> Trade:
    return Trade(fill.instrument, fill.side, fill.trade_id)
