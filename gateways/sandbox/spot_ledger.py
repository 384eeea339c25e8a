"""The books of spot accounts: two currencies, each free or locked by open orders; what is bought is a balance.

Cash is 1e-8 of its currency. A fee is taken from what a fill brings: of a buy in the base currency, of a sell in the
quote currency, rounded half to even once a fill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple

from gateways.sandbox.accounts import Account, Booked, Order
from gateways.sandbox.conditionals import Conditional
from oms.decimals import rate
from oms.instruments import Instrument
from oms.records import CASH_SCALE


class Balance(NamedTuple):
    """What an account has of a currency, cash."""

    free: int
    locked: int


class SpotLedger:
    """Keeps the books of one spot instrument; see ``gateways.sandbox.accounts.Bookkeeper``.

    Attributes
    ----------
    waiting : callable
        An account's conditional orders that wait: they lock what they will need.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.waiting: Callable[[Account], Iterable[Conditional]] = lambda _account: ()
        self.cash_per_tick_lot = instrument.cash_per_tick_lot
        self.base_per_lot = Fraction(instrument.lot) * CASH_SCALE
        self.rates = {
            True: rate("maker fee rate", instrument.maker_fee_rate),
            False: rate("taker fee rate", instrument.taker_fee_rate),
        }
        """In 1e-8, by whether the order was the maker."""

    def value(self, tick_lots: int | Fraction) -> int:
        """A cost in tick-lots as cash of the quote currency."""
        return round(tick_lots * self.cash_per_tick_lot)

    def notional(self, px: Fraction, qty: int) -> int:
        """What so many lots are worth at a price in ticks."""
        return self.value(abs(qty) * px)

    def base(self, lots: int) -> int:
        """Lots as cash of the base currency."""
        return round(lots * self.base_per_lot)

    def fee_currency(self, side: int) -> str:
        """What the fee of a fill is in."""
        return self.instrument.base if side > 0 else self.instrument.quote

    def balances(self, account: Account) -> dict[str, Balance]:
        """By currency: base, then quote."""
        locking = [(order.side, order.px, order.left) for order in account.open_orders.values()]
        locking += [(each.side, each.px or each.trigger_px, each.qty) for each in self.waiting(account)]
        buys = sum(px * left for side, px, left in locking if side > 0)
        sells = sum(left for side, _, left in locking if side < 0)
        locked = {self.instrument.base: self.base(sells), self.instrument.quote: self.value(buys)}
        had = {self.instrument.base: account.base_wallet, self.instrument.quote: account.wallet}
        return {name: Balance(had[name] - locked[name], locked[name]) for name in had}

    def covers(self, order: Order, px: int, qty: int, mark_px: Fraction) -> bool:
        """See ``Bookkeeper``; an order at the market is put up for at the mark price."""
        free = {name: balance.free for name, balance in self.balances(order.account).items()}
        held = order.left if px else 0
        added = (qty or order.qty) - order.filled_qty - held
        if order.side < 0:
            return added <= 0 or self.base(added) <= free[self.instrument.base]
        at_px = Fraction(px or order.px) or mark_px
        needed = at_px * (held + added) - (order.px * held if px else 0)
        return needed <= 0 or self.value(needed) <= free[self.instrument.quote]

    def affords(self, conditional: Conditional) -> bool:
        """Whether what is free pays for a conditional order, which locks it."""
        free = self.balances(conditional.account)
        if conditional.side < 0:
            return self.base(conditional.qty) <= free[self.instrument.base].free
        px = conditional.px or conditional.trigger_px
        return self.value(px * conditional.qty) <= free[self.instrument.quote].free

    def book(self, account: Account, side: int, px: int, qty: int, *, is_maker: bool) -> Booked:
        """See ``Bookkeeper``; the fee is in ``fee_currency``, and nothing is realized."""
        paid, base = self.value(px * qty), self.base(qty)
        fee = round(Fraction((base if side > 0 else paid) * self.rates[is_maker], CASH_SCALE))
        account.wallet += -paid if side > 0 else paid - fee
        account.base_wallet += base - fee if side > 0 else -base
        return Booked(fee, 0)
