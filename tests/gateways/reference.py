"""An independent, slow decoder of Binance messages, in json and Decimal: what the fast one is measured against."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from oms.config import Settings, load_settings
from oms.instruments import Instrument
from oms.records import TICK

DATA: Final = Path(__file__).resolve().parent.parent / "data"
USDM_FILE: Final = DATA / "usdm_btcusdt_20240808.gz"
SPOT_FILE: Final = DATA / "spot_btcusdt_20240808.gz"
COINM_FILE: Final = DATA / "coinm_btcusd_perp_20240808.gz"

USDM: Final = Instrument(id=3, symbol="BTCUSDT", venue="binance_usdm", kind="linear_perpetual", tick="0.1", lot="0.001")
SPOT: Final = Instrument(
    id=4, symbol="BTCUSDT", venue="binance_spot", kind="spot", base="BTC", quote="USDT", tick="0.01", lot="0.00001"
)
COINM: Final = Instrument(
    id=5,
    symbol="BTCUSD_PERP",
    venue="binance_coinm",
    kind="inverse_perpetual",
    base="BTC",
    quote="USD",
    tick="0.1",
    lot="1",
    multiplier="100",
)

FIRST, LAST = 1, 2
DEPTH, TRADE, QUOTE, SNAPSHOT = 1, 2, 3, 4
LARGEST: Final = 2**62


class CannotTakeError(Exception):
    """The reference decoder gives no record for this."""


def settings_for(file: Path, folder: Path, **replay: Any) -> Settings:
    """The shipped settings with a recording and a data folder."""
    return load_settings(
        None, {"data_dir": str(folder), "heartbeat_s": 0.05, "replay": {"file": str(file), "speed": "max", **replay}}
    )


def on_grid(text: Any, step: str) -> int | None:
    """Decimal text as a number of steps; None when it is none."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,40}(\.[0-9]{1,40})?", text, re.ASCII):
        raise CannotTakeError
    steps = Fraction(Decimal(text)) / Fraction(Decimal(step))
    return steps.numerator if steps.denominator == 1 and steps <= LARGEST else None


def integer(value: Any, lowest: int = 0, highest: int = LARGEST) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise CannotTakeError
    return value


def reference_decode(message: bytes, local_ts: int, instrument: Instrument) -> npt.NDArray[np.void]:
    """The records of one message, none when it gives none."""
    try:
        rows = _rows(json.loads(message.decode("utf-8", "surrogateescape"), strict=False), local_ts, instrument)
    except (CannotTakeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return np.zeros(0, TICK)
    ticks = np.array([(*row, instrument.id, instrument.version, kind, side, 0) for *row, kind, side in rows], TICK)
    ticks["flags"][0] = FIRST
    ticks["flags"][-1] |= LAST
    return ticks


def _rows(document: Any, local_ts: int, instrument: Instrument) -> list[tuple[int, ...]]:
    if document.get("lastUpdateId") is not None:
        number = integer(document["lastUpdateId"])
        if document.get("symbol") not in (None, instrument.symbol):
            raise CannotTakeError
        time = _time(document, local_ts)
        return _levels(document["bids"], document["asks"], (time, local_ts), (number, number), SNAPSHOT, instrument)
    stream, body = document["stream"], document["data"]
    if body["s"] != instrument.symbol:
        raise CannotTakeError
    time = _time(body, local_ts)
    name = stream.removeprefix(instrument.symbol.lower() + "@")
    if name == stream:
        raise CannotTakeError
    if name == "trade" and body.get("e") in (None, "trade"):
        px, qty = on_grid(body["p"], instrument.tick), on_grid(body["q"], instrument.lot)
        if not px or not qty or type(body["m"]) is not bool or body.get("X", "MARKET") != "MARKET":
            raise CannotTakeError
        return [(time, local_ts, px, qty, 0, 0, integer(body["t"]), TRADE, -1 if body["m"] else 1)]
    if name == "bookTicker" and body.get("e") in (None, "bookTicker"):
        prices = [on_grid(body[key], instrument.tick) for key in "ba"]
        sizes = [on_grid(body[key], instrument.lot) for key in "BA"]
        if None in prices or None in sizes:
            raise CannotTakeError
        (bid, ask), (bid_qty, ask_qty) = prices, sizes
        return [(time, local_ts, bid, bid_qty, ask, ask_qty, integer(body["u"]), QUOTE, 0)]  # type: ignore[list-item]
    if re.fullmatch(r"depth(@[0-9]+ms)?", name, re.ASCII) and body.get("e") in (None, "depthUpdate"):
        before = body["pu"] if instrument.venue != "binance_spot" else integer(body["U"], 0, LARGEST + 1) - 1
        ids = (integer(body["u"]), integer(before, -1))
        return _levels(body["b"], body["a"], (time, local_ts), ids, DEPTH, instrument)
    raise CannotTakeError


def _time(body: Any, local_ts: int) -> int:
    value = body.get("T") if body.get("T") is not None else body.get("E")
    return local_ts if value is None else integer(value, 0, LARGEST // 10**6) * 10**6


def _levels(
    bids: Any, asks: Any, times: tuple[int, int], ids: tuple[int, int], kind: int, instrument: Instrument
) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    for side, levels in ((1, bids), (-1, asks)):
        if not isinstance(levels, list):
            raise CannotTakeError
        for px_text, qty_text in levels:
            px, qty = on_grid(px_text, instrument.tick), on_grid(qty_text, instrument.lot)
            if not px:
                raise CannotTakeError
            if qty is not None:  # a quantity off the lot is refused by itself
                rows.append((*times, px, qty, ids[1], 0, ids[0], kind, side))
    return rows or [(*times, 0, 0, ids[1], 0, ids[0], kind, 0)]
