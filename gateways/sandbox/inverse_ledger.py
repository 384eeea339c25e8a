"""Accounts of an inverse contract: quantities are contracts of so many units of the quote currency, cash is the base.

Cost, PnL and their rounding are those of docs/positions.md: buying costs minus the value in cash, rounded half to even
once a fill, and a fill that turns a position over has both its parts bear their share of it. ``open_cost`` of an
account is that cost, signed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from gateways.sandbox.accounts import Account, Booked, Ledger, Order
from oms.instruments import Instrument
from oms.records import CASH_SCALE


class InverseLedger(Ledger):
    """Computes the cash of fills, positions and margin of one inverse contract; raises as ``Ledger``."""

    IS_INVERSE: ClassVar = True

    def _worth(self, px: Fraction | int, qty: int) -> Fraction:
        """Cash that so many lots are worth at a price in ticks, not rounded, signed as the lots."""
        return self.instrument.inverse_cash * qty / px if px else Fraction(0)

    def notional(self, px: Fraction, qty: int) -> int:
        """As ``Ledger.notional``."""
        return round(self._worth(px, abs(qty)))

    def book(self, account: Account, side: int, px: int, qty: int, *, is_maker: bool) -> Booked:
        """As ``Ledger.book``."""
        cost = -round(self._worth(px, qty))
        fee = round(Fraction(-cost * self.rates[is_maker], CASH_SCALE))
        closed = min(qty, abs(account.qty)) if account.qty * side < 0 else 0
        realized = closing_cost = 0
        if closed:
            closing_cost = round(Fraction(cost * closed, qty))
            released = round(Fraction(account.open_cost * closed, abs(account.qty)))
            realized = -side * closing_cost - released
            account.open_cost -= released
        account.qty += side * qty
        account.open_cost += side * (cost - closing_cost)
        account.wallet += realized - fee
        return Booked(fee, realized)

    def covers(self, order: Order, px: int, qty: int, mark_px: Fraction) -> bool:
        """As ``Ledger.covers``."""
        account = order.account
        added = self._worth(px or order.px or mark_px, (qty or order.qty) - order.filled_qty)
        if px:
            added = max(added - self._worth(order.px, order.left), Fraction(0))
        before = self._margin(account, mark_px)
        needed = self._margin(account, mark_px, order.side * added)
        return needed <= before or needed <= account.wallet + self.unrealized_pnl(account, mark_px)

    def entry_px(self, account: Account) -> Fraction:
        """The harmonic average in ticks; 0 when it is flat."""
        return self.instrument.inverse_cash * account.qty / -account.open_cost if account.open_cost else Fraction(0)

    def unrealized_pnl(self, account: Account, mark_px: Fraction) -> int:
        """As ``Ledger.unrealized_pnl``: what is open brings its cost at the mark, less its cost."""
        return round(-self._worth(mark_px, account.qty)) - account.open_cost if account.qty else 0

    def initial_margin(self, account: Account, mark_px: Fraction, added: int = 0) -> int:
        """As ``Ledger.initial_margin``, without an order that is not open yet."""
        assert not added
        return self._margin(account, mark_px)

    def _margin(self, account: Account, mark_px: Fraction, added: Fraction = Fraction(0)) -> int:
        """What position, open orders and ``added`` cash, signed by side, need: the larger of both sides."""
        sides = {1: max(added, Fraction(0)), -1: max(-added, Fraction(0))}
        for order in account.open_orders.values():
            if not order.is_reduce_only:
                sides[order.side] += self._worth(order.px or mark_px, order.left)
        position = self._worth(mark_px, account.qty)
        most = max(abs(position + sides[1]), abs(position - sides[-1]))
        return -(-round(most) // account.leverage)


def ledger_of(instrument: Instrument) -> Ledger:
    """The books of a contract's accounts."""
    return InverseLedger(instrument) if instrument.inverse else Ledger(instrument)
