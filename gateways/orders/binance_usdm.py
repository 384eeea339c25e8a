"""Binance USD-M futures: the venue ``binance_usdm``."""

from __future__ import annotations

from typing import ClassVar, Final

from gateways.orders.binance_futures import BinanceFutures, Futures, futures
from gateways.orders.binance_words import CODES
from gateways.orders.outcomes import Codes

USDM: Final = futures(
    "binanceusdm",
    "fapi",
    "linear",
    {"modify": 0, "trades": 5, "positions": 5, "income": 30},
    positions="fapiPrivateV3GetPositionRisk",
    account="fapiPrivateV3GetAccount",
)


class BinanceUsdm(BinanceFutures):
    """See ``BinanceFutures``."""

    venue: ClassVar[str] = "binance_usdm"
    futures: ClassVar[Futures] = USDM
    codes: Codes = CODES
