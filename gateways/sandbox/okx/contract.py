"""The sandbox's instrument in OKX's words: ids, kinds, numbers as text.

OKX writes numbers without trailing zeros and quantities of contracts in contracts (a recorded ``instruments`` answer,
and recorded streams).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from oms.decimals import cash_text
from oms.instruments import Instrument

Json = dict[str, Any]

LISTED_MS: Final = "1611916828000"
AVERAGE_DECIMALS: Final = 16
"""Digits of an average price, as recorded answers have them."""

MARKET_PARTS: Final = 10
"""A market order may be of so many times less than a limit order at most."""

MOST_AT_MARKET: Final = 1_000_000
"""Of spot: what a market order may be worth at most, USD ("maxMktAmt")."""


class Contract:
    """Writes ids and numbers of one instrument.

    Parameters
    ----------
    instrument
        Its symbol is OKX's ``instId``.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.inst_id = instrument.symbol
        self.is_spot = instrument.kind == "spot"
        self.inst_type = "SPOT" if self.is_spot else "SWAP"
        self.trade_mode = "cash" if self.is_spot else "cross"
        self.family = "-".join(self.inst_id.split("-")[:2])
        self.currency = instrument.settlement
        self._tick = Fraction(instrument.tick)

    def px(self, ticks: int) -> str:
        """A price; empty where there is none."""
        return trimmed(self.instrument.px_from_ticks(ticks)) if ticks else ""

    def average(self, ticks: Fraction) -> str:
        """A price on no grid; empty where there is none."""
        return decimal_text(ticks * self._tick) if ticks else ""

    def sz(self, lots: int) -> str:
        """A quantity."""
        return trimmed(self.instrument.qty_from_lots(lots))

    @property
    def max_market_sz(self) -> Decimal:
        """The most that a market order may be of; 0: nothing is stated, as of spot, where it is a value."""
        return Decimal(0) if self.is_spot else Decimal(self.instrument.max_qty) / MARKET_PARTS

    @property
    def row(self) -> Json:
        """A row of "Get instruments", the fields those of a recorded answer and of the documentation."""
        each = self.instrument
        base, quote = self.family.split("-")
        most = trimmed(each.max_qty) if Decimal(each.max_qty) else "100000000"
        swap = not self.is_spot
        most_at_market = trimmed(format(self.max_market_sz, "f")) if self.max_market_sz else "10000000"
        return {
            "alias": "",
            "auctionEndTime": "",
            "baseCcy": "" if swap else base,
            "category": "1",
            "ctMult": "1" if swap else "",
            "ctType": ("inverse" if each.inverse else "linear") if swap else "",
            "ctVal": trimmed(each.multiplier) if swap else "",
            "ctValCcy": (quote if each.inverse else base) if swap else "",
            "contTdSwTime": "",
            "expTime": "",
            "futureSettlement": False,
            "instFamily": self.family if swap else "",
            "instId": self.inst_id,
            "instType": self.inst_type,
            "lever": trimmed(each.max_leverage) if swap else "",
            "listTime": LISTED_MS,
            "lotSz": trimmed(each.lot),
            "maxIcebergSz": most,
            "maxLmtAmt": "20000000",
            "maxLmtSz": most,
            "maxMktAmt": "" if swap else str(MOST_AT_MARKET),
            "maxMktSz": most_at_market,
            "maxStopSz": most_at_market,
            "maxTriggerSz": most,
            "maxTwapSz": most,
            "minSz": trimmed(each.min_qty) if Decimal(each.min_qty) else trimmed(each.lot),
            "openType": "",
            "optType": "",
            "quoteCcy": "" if swap else quote,
            "ruleType": "normal",
            "settleCcy": each.settlement if swap else "",
            "state": "live",
            "stk": "",
            "tickSz": trimmed(each.tick),
            "uly": self.family if swap else "",
        }


def trimmed(text: str) -> str:
    """Plain decimal text without trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimal_text(number: Fraction) -> str:
    """A number to so many digits as the exchange writes an average."""
    return trimmed(f"{Decimal(number.numerator) / Decimal(number.denominator):.{AVERAGE_DECIMALS}f}")


def cash(amount: int) -> str:
    """An amount of currency."""
    return cash_text(amount) if amount else "0"
