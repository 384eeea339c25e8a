"""Binance COIN-M futures: the venue ``binance_coinm``. Quantities are contracts, profits and fees in the base currency.

Sources: Binance, COIN-M Futures, the pages named at each request, "Error Code", and "Important CM-UM Integration
Notice": its limits of requests and orders are those of USD-M, and used up together with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final

from gateways.orders.binance_futures import BinanceFutures, Futures, futures
from gateways.orders.binance_words import CODES
from gateways.orders.outcomes import UNKNOWN, Code, Codes, Verdict
from oms.instruments import Instrument
from oms.records import Reason

COINM: Final = futures(
    "binancecoinm",
    "dapi",
    "inverse",
    {"modify": 1, "trades": 20, "positions": 1, "income": 20},
    positions="dapiPrivateGetPositionRisk",
    account="dapiPrivateGetAccount",
)

COINM_CODES: Final[dict[int | str, Code]] = {
    **CODES,
    **dict.fromkeys((-1008, -2012, -4078, -5041), UNKNOWN),
    -1099: (Verdict.HALT, Reason.KEYS_REFUSED),
    -4087: (Verdict.REFUSED, Reason.UNKNOWN_INSTRUMENT),
    -4089: (Verdict.REFUSED, Reason.REDUCE_ONLY),
    -4112: (Verdict.REFUSED, Reason.REDUCE_ONLY),
    -4113: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    -4178: (Verdict.REFUSED, Reason.NOTIONAL_BELOW_MIN),
    -4197: (Verdict.UNCHANGED, Reason.NONE),
}
"""Those of USD-M too: since the two share a system, either page may tell what is answered. The first of the others are
in ccxt's table of USD-M and not in that of COIN-M, and would be taken for refusals."""


class BinanceCoinm(BinanceFutures):
    """See ``BinanceFutures``."""

    venue: ClassVar[str] = "binance_coinm"
    futures: ClassVar[Futures] = COINM
    codes: Codes = COINM_CODES

    def check_contract(self, instrument: Instrument, told: Mapping[str, Any]) -> None:
        """ "Exchange Information": a contract is of so many units of the quote currency."""
        size = str(told["contractSize"])
        if Decimal(instrument.multiplier) != Decimal(size):
            raise ValueError(
                f"{instrument.symbol}'s multiplier {instrument.multiplier} is not the exchange's contract size {size}: "
                f"redefine it"
            )
