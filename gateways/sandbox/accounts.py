"""What an account of the sandbox has: a wallet, one net position, open orders, and the margin that they need.

Quantities are lots, prices ticks, cash 1e-8 of the settlement currency. Cost and PnL are at average cost, rounded half
to even once a fill, as docs/positions.md says of the core: the two must come to the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import ClassVar, Final, NamedTuple, Protocol

from gateways.sandbox.engine.records import OperationFlag
from oms.decimals import rate
from oms.instruments import Instrument
from oms.margin_tiers import tier_rows
from oms.records import CASH_SCALE, OrderType, TimeInForce

DEFAULT_LEVERAGE: Final = 20
MIN_MAX_LEVERAGE: Final = 125
"""Leverage offered for an instrument whose definition states none."""


class Status(Enum):
    """Where an order is: the value is open or not."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"
    """It met an order of its own account."""

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self in (Status.NEW, Status.PARTIALLY_FILLED)


@dataclass(slots=True)
class Order:
    """An order that the exchange has accepted, or has just been asked for."""

    account: Account
    client_order_id: str
    side: int
    order_type: OrderType
    time_in_force: TimeInForce
    qty: int
    px: int = 0
    """Ticks; 0: at the market."""
    is_post_only: bool = False
    is_reduce_only: bool = False
    self_trade: OperationFlag = OperationFlag.EXPIRE_MAKER
    """Which of two orders of the account expires instead of trading with the other."""
    order_id: int = 0
    status: Status = Status.NEW
    filled_qty: int = 0
    filled_cost: int = 0
    """Tick-lots."""
    working_qty: int = 0
    """Of ``qty``, what the engine was given: less where a reduce-only order is for more than the position."""
    created_ms: int = 0
    updated_ms: int = 0
    amends: int = 0
    is_liquidation: bool = False
    """The exchange's own, by which it closes a position."""
    of_conditional: int = 0
    """The conditional order that it came from; 0: none."""

    @property
    def left(self) -> int:
        """Lots that are not filled."""
        return self.qty - self.filled_qty


class Fill(NamedTuple):
    """One fill of an order, booked."""

    order: Order
    trade_id: int
    px: int
    qty: int
    is_maker: bool
    fee: int
    realized_pnl: int
    ts_ms: int


class Income(NamedTuple):
    """One booking in a wallet."""

    kind: str
    amount: int
    trade_id: int
    """0: it came of no trade."""
    ts_ms: int


@dataclass(eq=False)
class Account:
    """One account with one instrument's position."""

    number: int
    wallet: int
    """In the settlement currency."""
    base_wallet: int = 0
    """Of spot: in the base currency, 1e-8."""
    leverage: int = DEFAULT_LEVERAGE
    qty: int = 0
    """Position in lots, signed."""
    open_cost: int = 0
    """Of the open quantity, tick-lots, signed as ``qty``."""
    updated_ms: int = 0
    """When the position changed last; 0: never."""
    realized_pnl: int = 0
    """Of all fills, before fees."""
    wallet_ms: int = 0
    """When the wallet changed last."""
    open_orders: dict[int, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    incomes: list[Income] = field(default_factory=list)


class Booked(NamedTuple):
    """What a fill came to, cash."""

    fee: int
    realized_pnl: int


class Bookkeeper(Protocol):
    """What the exchange asks of an instrument's accounts."""

    def notional(self, px: Fraction, qty: int) -> int:
        """What so many lots are worth at a price in ticks."""

    def covers(self, order: Order, px: int, qty: int, mark_px: Fraction) -> bool:
        """Whether the account can put up an order at other terms; 0: at its own, and nothing is put up for it yet."""

    def book(self, account: Account, side: int, px: int, qty: int, *, is_maker: bool) -> Booked:
        """Book one fill, ticks and lots."""


class Ledger:
    """Computes the cash of fills, positions and margin of one linear instrument.

    Raises
    ------
    ValueError
        For an instrument of another kind.
    """

    IS_INVERSE: ClassVar = False

    def __init__(self, instrument: Instrument) -> None:
        if instrument.inverse != self.IS_INVERSE or instrument.kind == "option":
            raise ValueError(f"the sandbox has no accounts for {instrument.kind} {instrument.symbol} yet")
        self.instrument = instrument
        self.cash_per_tick_lot = instrument.cash_per_tick_lot
        self.rates = {
            True: rate("maker fee rate", instrument.maker_fee_rate),
            False: rate("taker fee rate", instrument.taker_fee_rate),
        }
        """In 1e-8, by whether the order was the maker."""
        stated = int(Decimal(instrument.max_leverage))
        self.max_leverage = stated if stated > 1 else MIN_MAX_LEVERAGE
        self.tiers = tier_rows(instrument.symbol, instrument.margin_tiers, Decimal(self.max_leverage))

    def value(self, tick_lots: int | Fraction) -> int:
        """A cost in tick-lots as cash."""
        return round(tick_lots * self.cash_per_tick_lot)

    def notional(self, px: Fraction, qty: int) -> int:
        """What so many lots are worth at a price in ticks."""
        return self.value(abs(qty) * px)

    def book(self, account: Account, side: int, px: int, qty: int, *, is_maker: bool) -> Booked:
        """Book one fill in position and wallet."""
        fee = round(Fraction(self.value(px * qty) * self.rates[is_maker], CASH_SCALE))
        closed = min(qty, abs(account.qty)) if account.qty * side < 0 else 0
        realized = 0
        if closed:
            released = round(Fraction(account.open_cost * closed, abs(account.qty)))
            realized = self.value(-side * px * closed - released)
            account.open_cost -= released
        account.qty += side * qty
        account.open_cost += side * px * (qty - closed)
        account.wallet += realized - fee
        return Booked(fee, realized)

    def covers(self, order: Order, px: int, qty: int, mark_px: Fraction) -> bool:
        """See ``Bookkeeper``; what makes the exposure smaller is always covered."""
        account = order.account
        at_px = px or order.px or mark_px
        added = round(at_px * ((qty or order.qty) - order.filled_qty))
        if px:
            added = max(added - order.px * order.left, 0)
        before = self.initial_margin(account, mark_px)
        needed = self.initial_margin(account, mark_px, order.side * added)
        return needed <= before or needed <= account.wallet + self.unrealized_pnl(account, mark_px)

    def entry_px(self, account: Account) -> Fraction:
        """Average price of the position in ticks; 0 when it is flat."""
        return Fraction(account.open_cost, account.qty) if account.qty else Fraction(0)

    def unrealized_pnl(self, account: Account, mark_px: Fraction) -> int:
        """At a mark in ticks."""
        return self.value(account.qty * mark_px - account.open_cost) if account.qty else 0

    def initial_margin(self, account: Account, mark_px: Fraction, added: int = 0) -> int:
        """What position and open orders need (Binance, "Leverage and Margin of USDⓈ-M Futures", in one-way mode: the
        larger of what both sides could come to).

        Parameters
        ----------
        added
            Tick-lots, signed by side, of an order that is not open yet.
        """
        sides = {1: Fraction(max(added, 0)), -1: Fraction(max(-added, 0))}
        for order in account.open_orders.values():
            if not order.is_reduce_only:
                px = Fraction(order.px) if order.side > 0 else max(Fraction(order.px), mark_px)
                sides[order.side] += px * order.left
        position = account.qty * mark_px
        most = max(abs(position + sides[1]), abs(position - sides[-1]))
        return -(-self.value(most) // account.leverage)

    def position_margin(self, account: Account, mark_px: Fraction) -> int:
        """The position's part of the initial margin."""
        return -(-self.notional(mark_px, account.qty) // account.leverage)

    def maintenance_margin(self, account: Account, mark_px: Fraction) -> int:
        """By the tier that the position's notional is in."""
        notional = self.notional(mark_px, account.qty)
        tier = next(row for row in self.tiers[::-1] if notional >= row["floor_value"])
        return max(
            round(Fraction(notional * int(tier["maintenance_rate"]), CASH_SCALE)) - int(tier["maintenance_deduction"]),
            0,
        )

    def is_exhausted(self, account: Account, mark_px: Fraction) -> bool:
        """Whether wallet and unrealized PnL no longer cover the maintenance margin: the position is to be liquidated
        (Binance, "Liquidation Protocols")."""
        if not account.qty:
            return False
        balance = account.wallet + self.unrealized_pnl(account, mark_px)
        return balance < self.maintenance_margin(account, mark_px)

    def available(self, account: Account, mark_px: Fraction) -> int:
        """What new orders may take: wallet and unrealized PnL less the initial margin; never below 0."""
        free = account.wallet + self.unrealized_pnl(account, mark_px) - self.initial_margin(account, mark_px)
        return max(free, 0)
