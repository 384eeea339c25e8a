"""Telling a core what fills cost at its exchange model, and the chances of the one that throws dice."""

from __future__ import annotations

from backtest.matching.chance import seeded
from oms.core.margin_watch import note_margins
from oms.core.state import State
from oms.decimals import rate
from oms.records import FeeBasis, Liquidation
from oms.session_settings import IMPACT_POWERS, MatchingSettings


def define_costs(st: State, matching: MatchingSettings) -> None:
    """Enter slippage, impact, fees, chances and liquidation; no account has traded anything yet."""
    model = st[0]["model"]
    model["slippage_ticks"] = matching.slippage_ticks
    model["impact_power"] = IMPACT_POWERS[matching.impact]
    for name in ("impact_rate", "impact_qty", "fill_chance", "slip_chance"):
        model[name] = getattr(matching, name)
    model["random"] = seeded(matching.seed)
    model["fee_basis"] = FeeBasis[matching.fees.upper()]
    model["maker_unit_fee"] = rate("maker_fee_per_unit", matching.maker_fee_per_unit)
    model["taker_unit_fee"] = rate("taker_fee_per_unit", matching.taker_fee_per_unit)
    model["fee_tier_count"] = len(matching.fee_tiers)
    for row, tier in zip(model["fee_tiers"], matching.fee_tiers, strict=False):
        for name in ("traded_value", "maker_fee_rate", "taker_fee_rate"):
            row[name] = rate(name, getattr(tier, name))
    model["liquidation"] = Liquidation[matching.liquidation.upper()]
    model["liquidation_fee_rate"] = rate("liquidation_fee_rate", matching.liquidation_fee_rate)
    note_margins(st[0])
