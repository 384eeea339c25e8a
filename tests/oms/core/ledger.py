"""A position in decimal arithmetic, in currency units, to hold the compiled kernels against; and a small cost pool."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, NamedTuple

import numpy as np

from oms.instruments import Instrument
from oms.records import COST_LOT, POSITION, CostBasis

POOL: Final = 64
LEDGER: Final = np.dtype(
    [
        ("cost_lots", COST_LOT, (POOL,)),
        ("cost_lot_free", "i8"),
        ("cost_lots_used", "i8"),
        ("cost_lots_merged", "i8"),
    ]
)
"""The part of the core's state that positions need."""

EXACT: Final = Context(prec=120, rounding=ROUND_HALF_EVEN)
"""Far more digits than any quotient of two 64-bit integers needs to be told from a tie."""
CASH: Final = Decimal("1e-8")

TERMS: Final[dict[str, dict[str, Any]]] = {
    "spot": {"kind": "spot", "base": "BTC", "quote": "USDT", "tick": "0.01", "lot": "0.00001"},
    "fine": {"kind": "spot", "base": "FINE", "quote": "BTC", "tick": "0.0000001", "lot": "0.003"},
    "linear": {"kind": "linear_perpetual", "tick": "0.1", "lot": "0.001"},
    "inverse": {
        "kind": "inverse_perpetual",
        "base": "BTC",
        "quote": "USD",
        "tick": "0.1",
        "lot": "1",
        "multiplier": "100",
    },
    "coarse": {"kind": "inverse_perpetual", "base": "X", "quote": "USD", "tick": "0.3", "lot": "2", "multiplier": "1"},
    "quanto": {
        "kind": "quanto_perpetual",
        "base": "ETH",
        "quote": "USD",
        "settlement": "BTC",
        "tick": "0.05",
        "lot": "1",
        "multiplier": "0.000001",
    },
    "linear_future": {
        "kind": "linear_future",
        "base": "BTC",
        "quote": "USDT",
        "tick": "0.1",
        "lot": "0.001",
        "expiry": "2026-12-25T08:00:00Z",
    },
    "inverse_future": {
        "kind": "inverse_future",
        "base": "ETH",
        "quote": "USD",
        "tick": "0.05",
        "lot": "1",
        "multiplier": "10",
        "expiry": "2026-12-25T08:00:00Z",
    },
    "call": {
        "kind": "option",
        "base": "BTC",
        "quote": "USDT",
        "tick": "0.1",
        "lot": "0.01",
        "expiry": "2026-12-25T08:00:00Z",
        "strike": "60000",
        "option_kind": "call",
        "underlying": "BTCUSDT",
    },
    "coin_put": {
        "kind": "option",
        "base": "BTC",
        "quote": "USD",
        "settlement": "BTC",
        "tick": "0.0005",
        "lot": "0.1",
        "expiry": "2026-12-25T08:00:00Z",
        "strike": "60000",
        "option_kind": "put",
        "underlying": "BTCUSDT",
    },
}


def instrument_of(name: str, **terms: Any) -> Instrument:
    """One instrument of each sort; ``terms`` differ."""
    return Instrument(id=0, symbol=name.upper(), venue="test", **{**TERMS[name], **terms})


INSTRUMENTS: Final = {name: instrument_of(name) for name in TERMS}


def new_ledger() -> Any:
    return np.zeros(1, LEDGER)[0]


def new_position(**fields: int) -> Any:
    position = np.zeros(1, POSITION)[0]
    for name, value in fields.items():
        position[name] = value
    return position


def row_of(instrument: Instrument) -> Any:
    return instrument.row()[0]


def divided(a: Decimal, b: Decimal) -> Decimal:
    return EXACT.divide(a, b)


def rounded(amount: Decimal, unit: Decimal = CASH) -> Decimal:
    """``amount`` as a whole number of units, half to even."""
    return EXACT.multiply(divided(amount, unit).to_integral_value(ROUND_HALF_EVEN), unit)


def units(amount: Decimal) -> int:
    """An amount of currency in cash."""
    cash = divided(amount, CASH)
    assert cash == cash.to_integral_value()
    return int(cash)


class Fill(NamedTuple):
    side: int
    px: int
    """Ticks."""
    qty: int
    """Lots."""
    fee: int = 0
    """Cash."""


class Opened(NamedTuple):
    qty: Decimal
    cost: Decimal


class Model:
    """Open quantity as a list of what was opened; under average cost it is one entry."""

    def __init__(self, instrument: Instrument, cost_basis: CostBasis = CostBasis.AVERAGE) -> None:
        self.tick, self.lot = Decimal(instrument.tick), Decimal(instrument.lot)
        self.multiplier = Decimal(instrument.multiplier)
        self.inverse = instrument.inverse
        self.unit = CASH if self.inverse else EXACT.multiply(self.tick, self.lot)
        """A cost is a whole number of these."""
        self.fifo = cost_basis == CostBasis.FIFO
        self.opened: list[Opened] = []
        self.cash = self.realized = self.fees = Decimal(0)

    def value(self, price: Decimal, qty: Decimal) -> Decimal:
        """Exact notional in the settlement currency."""
        if self.inverse:
            return divided(qty * self.multiplier, price)
        return EXACT.multiply(EXACT.multiply(price, qty), self.multiplier)

    def to_currency(self, cost: Decimal) -> Decimal:
        return cost if self.inverse else EXACT.multiply(cost, self.multiplier)

    @property
    def qty(self) -> Decimal:
        return sum((each.qty for each in self.opened), Decimal(0))

    @property
    def cost(self) -> Decimal:
        return sum((each.cost for each in self.opened), Decimal(0))

    @property
    def lots(self) -> int:
        return int(divided(self.qty, self.lot))

    def _open(self, qty: Decimal, cost: Decimal) -> None:
        if self.fifo or not self.opened:
            self.opened.append(Opened(qty, cost))
        else:
            self.opened = [Opened(self.qty + qty, self.cost + cost)]

    def _release(self, qty: Decimal) -> Decimal:
        """Take ``qty`` (unsigned) from the oldest entries and return its signed cost."""
        cost = Decimal(0)
        while qty:
            first = self.opened[0]
            taken = min(qty, abs(first.qty))
            part = rounded(divided(EXACT.multiply(first.cost, taken), abs(first.qty)), self.unit)
            rest = Opened(first.qty - taken.copy_sign(first.qty), first.cost - part)
            self.opened[:1] = [rest] if rest.qty else []
            cost += part
            qty -= taken
        return cost

    def apply(self, trade: Fill) -> Decimal:
        """Book a fill and return what it realized."""
        price, qty = trade.px * self.tick, trade.qty * self.lot
        exact = -self.value(price, qty) if self.inverse else EXACT.multiply(price, qty)
        cost = trade.side * rounded(exact, self.unit)
        self.cash -= rounded(self.to_currency(cost))
        self.fees += trade.fee * CASH
        realized = Decimal(0)
        held = self.qty
        closed = min(qty, abs(held)) if held * trade.side < 0 else Decimal(0)
        if closed:
            closing = rounded(divided(EXACT.multiply(cost, closed), qty), self.unit)
            realized = rounded(self.to_currency(-closing - self._release(closed)))
            self.realized += realized
            cost -= closing
        if qty > closed:
            self._open(trade.side * (qty - closed), cost)
        return realized

    def value_held(self, price: Decimal) -> Decimal:
        """What the open quantity would bring at ``price``, exactly."""
        value = self.value(price, self.qty)
        return -value if self.inverse else value

    def unrealized(self, half_ticks: int) -> Decimal:
        if not self.opened or half_ticks <= 0:
            return Decimal(0)
        return rounded(self.value_held(divided(half_ticks * self.tick, Decimal(2))) - self.to_currency(self.cost))
