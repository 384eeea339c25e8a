"""OKX spot: its answers and messages in our integers.

Sources: OKX v5, the sections named at each method of ``gateways.orders.okx_views``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gateways.orders.okx_views import OkxViews
from gateways.orders.okx_words import BASE
from gateways.orders.views import FillView, OrderView
from oms.instruments import Instrument


class OkxSpotViews(OkxViews):
    """See ``OkxViews``."""

    def order(self, row: Mapping[str, Any]) -> OrderView:
        """See ``OkxViews``; one that was placed elsewhere for so much of the quote currency is of what it has
        filled."""
        if row.get("tgtCcy") not in ("", BASE, None):
            row = {**row, "sz": row["accFillSz"] or "0"}
        return super().order(row)

    def with_fee(self, fill: FillView, instrument: Instrument, cash: int, currency: str) -> FillView:
        """See ``OkxViews``; a fee is taken of what a fill brings."""
        if currency != instrument.base:
            return super().with_fee(fill, instrument, cash, currency)
        worth = round(cash * fill.px * Fraction(instrument.tick))
        return fill._replace(fee=worth, fee_known=True, base_fee=cash)
