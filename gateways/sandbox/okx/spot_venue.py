"""OKX spot over one recorded instrument: an account in spot mode, which trades with its own cash.

Sources: OKX v5, the sections named in ``gateways.sandbox.okx``; a fee is taken of what a fill brings ("Fee details").
"""

from __future__ import annotations

from fractions import Fraction

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account, Bookkeeper, Fill
from gateways.sandbox.okx.contract import Json, cash
from gateways.sandbox.okx.venue import Venue
from gateways.sandbox.okx.views import Booking, Views
from gateways.sandbox.spot_ledger import SpotLedger
from oms.checks import ConfigError


class SpotVenue(Venue):
    """See ``Venue``."""

    def new_ledger(self) -> Bookkeeper:
        """See ``Venue``."""
        if not self.contract.is_spot:
            raise ConfigError(f"{self.instrument.symbol} is {self.instrument.kind}: its venue is okx")
        return SpotLedger(self.instrument)

    def new_views(self) -> Views:
        """See ``Venue``."""
        return SpotViews(self.exchange, self.contract)

    def open_account(self, credentials: Credentials, wallet: int) -> Account:
        """A new account with so much of the quote currency, and as much of the base currency as that is worth."""
        account = super().open_account(credentials, wallet)
        ledger = self.exchange.ledger
        px = int(self.market.book()["px"][0])
        account.base_wallet = ledger.base(int(wallet / (px * ledger.cash_per_tick_lot)))
        return account


class SpotViews(Views):
    """See ``Views``."""

    def fee_currency(self, side: int) -> str:
        """See ``Views``."""
        currency: str = self.exchange.ledger.fee_currency(side)
        return currency

    def bookings(self, fill: Fill) -> list[Booking]:
        """See ``Views``: a trade exchanges two currencies."""
        instrument, side = self.contract.instrument, fill.order.side
        base, quote = self.exchange.ledger.base(fill.qty), self.exchange.ledger.value(fill.px * fill.qty)
        return [
            Booking(currency, amount - fee, fee)
            for currency, amount in ((instrument.base, side * base), (instrument.quote, -side * quote))
            for fee in (fill.fee if currency == self.fee_currency(side) else 0,)
        ]

    def positions(self, _account: Account) -> list[Json]:
        """There are none."""
        return []

    def balance(self, account: Account) -> Json:
        """The row of "Get balance": what open orders lock is frozen."""
        instrument, mark_px = self.contract.instrument, self.exchange.mark_px
        worth = {instrument.base: mark_px * Fraction(instrument.tick), instrument.quote: Fraction(1)}
        details, total = [], 0
        for currency, has in self.exchange.ledger.balances(account).items():
            in_all = has.free + has.locked
            value = round(in_all * worth[currency])
            total += value
            details.append(
                {
                    "availBal": cash(has.free),
                    "availEq": "",
                    "cashBal": cash(in_all),
                    "ccy": currency,
                    "crossLiab": "",
                    "eq": cash(in_all),
                    "eqUsd": cash(value),
                    "frozenBal": cash(has.locked),
                    "isoEq": "",
                    "ordFrozen": cash(has.locked),
                    "uTime": str(account.wallet_ms),
                    "upl": "",
                }
            )
        return {
            "adjEq": "",
            "details": details,
            "imr": "",
            "isoEq": "",
            "mgnRatio": "",
            "mmr": "",
            "notionalUsd": "",
            "ordFroz": "",
            "totalEq": cash(total),
            "uTime": str(self.exchange.now_ms),
        }
