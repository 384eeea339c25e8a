"""A liquidation: fills of an order of the exchange's own, which the core is told as what others did."""

from __future__ import annotations

from oms.records import ReportKind
from tests.gateways.orders.booth import FAR, Booth, on_booth


@on_booth()
async def test_liquidation_is_told_as_expired_orders_and_a_position_that_others_have_changed(booth: Booth) -> None:
    await booth.done(booth.place(1, 1_000), ReportKind.FILL)
    resting = booth.place(1, 10, FAR)
    await booth.done(resting, ReportKind.ACCEPTED)
    booth.account.wallet = 0
    booth.market_moves(lambda: not booth.account.qty)
    assert booth.account.fills[-1].order.client_order_id.startswith("autoclose-")
    await booth.until(lambda: booth.known.positions[booth.instrument.id] == 0)
    assert booth.of(resting)[-1] in ("EXPIRED", "CANCELLED")
    (position,) = (report for report in booth.reports if report["kind"] == ReportKind.POSITION)
    assert position["qty"] == 0
    assert booth.known.cash["USDT"] == booth.account.wallet
    assert booth.gateway.entry.is_open
    assert "other orders have brought -1000" in " ".join(booth.lines)
