"""A core whose exchange liquidates, on contracts of which the figures can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from oms.instruments import Instrument
from oms.margin_tiers import MarginTier
from oms.records import BUY, CASH_SCALE, SELL, EventKind, Liquidation, OrderState, Reason
from tests.oms.core.builders import Records, Rig, client_id, new_order, snapshot

WATCH: Final = Path(__file__).parents[1] / "strategies" / "samples" / "watch.py"
FIRST_TIER: Final = MarginTier(notional="0", initial_rate="0.05", maintenance_rate="0.05")
SECOND_TIER: Final = MarginTier(notional="5000", initial_rate="0.1", maintenance_rate="0.1")
MODES: Final = {"liquidation": int(Liquidation.BANKRUPTCY), "liquidation_fee_rate": 0}


def contract(number: int = 0, *tiers: MarginTier, **others: Any) -> Instrument:
    """A contract of tick 1, lot 1 and no fees, whose maintenance margin is 5 % of its value."""
    terms: dict[str, Any] = {
        "symbol": f"C{number}USDT",
        "venue": "binance_usdm",
        "kind": "linear_perpetual",
        "tick": "1",
        "lot": "1",
        "maker_fee_rate": "0",
        "taker_fee_rate": "0",
        "max_leverage": "20",
        **others,
    }
    return Instrument(id=number, margin_tiers=tiers or (FIRST_TIER,), **terms)


INVERSE: Final = contract(kind="inverse_perpetual", base="BTC", quote="USD", multiplier="100")


class Desk(Rig):
    """A rig whose exchange liquidates; the account has ``balance`` in each wallet."""

    def __init__(
        self, *instruments: Instrument, balance: int = 1_000, leverage: int = 20, isolated: int = 0, **options: Any
    ) -> None:
        super().__init__(external=False, instruments=instruments or (contract(),), **options)
        set_up(self, balance, leverage, isolated)


def set_up(rig: Rig, balance: int, leverage: int = 20, isolated: int = 0, **modes: int) -> None:
    for name, value in {**MODES, **modes}.items():
        rig.s["model"][name] = value
    rig.s["accounts"]["leverage"] = leverage * CASH_SCALE
    rig.s["accounts"]["isolated"] = isolated
    rig.s["wallets"]["balance"] = balance * CASH_SCALE


def move(rig: Rig, px: int, number: int = 0) -> Records:
    """Let the mid price of an instrument be ``px``."""
    return rig.ticks(snapshot(number, {px - 1: 1_000}, {px + 1: 1_000}))


def hold(rig: Rig, qty: int, px: int = 1_000, number: int = 0, **fields: int) -> None:
    """Take ``qty`` signed lots at the mid price ``px``: a tick worse than that."""
    move(rig, px, number)
    side = BUY if qty > 0 else SELL
    order_id = client_id(int(rig.s["orders_used"]) + 1)
    rig.commands(new_order(order_id, side, px + side, abs(qty), instrument=number, **{"strategy": -1, **fields}))
    assert rig.state(order_id) is OrderState.FILLED


def liquidations(rig: Rig) -> list[tuple[int, int, int]]:
    """Instrument, signed lots and price of each fill by which the exchange liquidated."""
    rows = rig.events[(rig.events["kind"] == EventKind.ORDER_FILLED) & (rig.events["reason"] == Reason.LIQUIDATION)]
    return [(int(row["instrument"]), int(row["side"] * row["last_qty"]), int(row["last_px"])) for row in rows]


def balance(rig: Rig, number: int = 0) -> float:
    return float(rig.s["wallets"][0, rig.s["instruments"][number]["settle_wallet"]]["balance"]) / CASH_SCALE
