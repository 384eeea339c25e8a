"""Options for tests of the core: calls and puts on one perpetual, and what selling them short needs, in decimals."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, Final

from oms.instruments import Instrument
from oms.records import CASH_SCALE, Reason
from tests.oms.core.builders import (
    BUY,
    PERPETUAL,
    SECOND,
    SELL,
    Records,
    Rig,
    client_id,
    fill,
    new_order,
    reason_of,
    snapshot,
    time_tick,
)
from tests.oms.journalled import JournalledRig

FEE_RATE: Final = Decimal("0.0003")
INDEX: Final = Decimal("60000.05")
"""Mid price of the underlying when its market opens."""
LOT: Final = Decimal("0.01")
UNIT: Final = CASH_SCALE * 5 // 100
"""Cash of one tick-lot of the options in USDT."""
MARK: Final = 200
"""Ticks of 5 USDT."""


def option(number: int, kind: str, strike: str, **others: Any) -> Instrument:
    terms = {
        "symbol": f"BTC-240808-{strike}-{kind[0].upper()}-{number}",
        "venue": "binance_usdm",
        "kind": "option",
        "base": "BTC",
        "quote": "USDT",
        "tick": "5",
        "lot": str(LOT),
        "expiry": "2024-08-08T00:00:10Z",
        "underlying": "BTCUSDT.binance_usdm",
        "maker_fee_rate": "0",
        "taker_fee_rate": str(FEE_RATE),
    }
    return Instrument(id=number, option_kind=kind, strike=strike, **{**terms, **others})


CALL: Final = option(3, "call", "59000")
PUT: Final = option(4, "put", "61000")
FAR_CALL: Final = option(5, "call", "64200")
COIN_PUT: Final = option(6, "put", "61000", venue="deribit", settlement="BTC", tick="0.0005", lot="0.1")
BOTH: Final = (CALL, PUT)


def ready(*, priced: bool = True, folder: Path | None = None) -> Rig:
    instruments = (PERPETUAL, CALL, PUT, FAR_CALL, COIN_PUT)
    rig = Rig(instruments=instruments) if folder is None else JournalledRig(folder, instruments=instruments)
    for each in (CALL, PUT, FAR_CALL, COIN_PUT):
        rig.s["instruments"][each.id]["underlying"] = PERPETUAL.id
    rig.s["strategies_used"] = 1
    rig.s["strategies"]["defined"][0] = 1
    if priced:
        rig.open_market(0)
    for each in (CALL, PUT, FAR_CALL, COIN_PUT):
        rig.open_market(each.id, bid=MARK - 1, ask=MARK + 1)
    return rig


def wallet(rig: Rig, instrument: Instrument = CALL) -> Any:
    return rig.s["wallets"][0, rig.s["instruments"][instrument.id]["settle_wallet"]]


def free(rig: Rig, instrument: Instrument = CALL) -> int:
    row = wallet(rig, instrument)
    return int(row["balance"] - row["reserved"] - row["margin"] + min(row["unrealized"], 0))


def hold(rig: Rig, instrument: Instrument, qty: int, px: int = MARK, *, trade_id: int = 1, **fields: int) -> None:
    side, order_id = (BUY if qty > 0 else SELL), client_id(trade_id)
    sent = rig.commands(new_order(order_id, side, px, abs(qty), instrument=instrument.id, **fields))
    assert reason_of(sent) == Reason.NONE
    rig.reports(fill(order_id, abs(qty), px, side=side, trade_id=trade_id))


def asked(rig: Rig, *commands: Records) -> list[Reason]:
    return [reason_of(rig.commands(each)) for each in commands]


def move(rig: Rig, instrument: Instrument, px: int) -> None:
    """Move a market to a mid price in ticks, and have the account valued."""
    rig.ticks(snapshot(instrument.id, {px - 1: 10_000}, {px + 1: 10_000}))
    rig.ticks(time_tick(rig.now + SECOND // 10))
    rig.s["next_review"] = rig.s["next_due"] = rig.now
    rig.ticks(time_tick(rig.now + 1))


def with_fee(value: int) -> int:
    return value + int((value * FEE_RATE).to_integral_value(ROUND_CEILING))


def short_margin(instrument: Instrument, qty: int, *, mark: int = MARK, index: Decimal = INDEX) -> int:
    """Initial margin of ``qty`` lots sold short of an option in USDT, in cash."""
    kind = 1 if instrument.option_kind == "call" else -1
    out = max(kind * (Decimal(instrument.strike) - index), Decimal(0))
    discount = (out / index).quantize(Decimal("1e-8"), ROUND_FLOOR)
    notional = index * qty * LOT
    premium = mark * qty * UNIT
    initial = cash_up(notional * max(Decimal("0.15") - discount, Decimal("0.1"))) + premium
    maintenance = cash_up(notional * Decimal("0.075"))
    if kind < 0:
        maintenance = max(maintenance, cash_up(Decimal(premium) / CASH_SCALE * Decimal("0.075")))
    return max(initial, maintenance + premium)


def cash_up(amount: Decimal) -> int:
    """An amount of currency in whole units of 1e-8, rounded up."""
    return int((amount * CASH_SCALE).to_integral_value(ROUND_CEILING))
