"""What of an order's life is USD-M's own; what all venues share is in the conformance suite."""

from __future__ import annotations

import pytest

from oms.records import CommandKind, OrderFlag, Reason, ReportKind, TimeInForce
from tests.gateways.orders.booth import FAR, Booth, on_booth


@on_booth()
async def test_order_is_amended(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.amend(order_id, FAR + 5, 70)
    assert await booth.done(order_id, ReportKind.AMENDED) == ["ACCEPTED", "AMENDED"]
    report = booth.report(order_id, ReportKind.AMENDED)
    assert (report["px"], report["qty"], report["leaves_qty"]) == (FAR + 5, 70, 70)
    (order,) = booth.account.open_orders.values()
    assert (order.px, order.qty) == (FAR + 5, 70)


@on_booth()
async def test_amend_to_a_price_too_far_away_is_rejected_and_the_order_stays(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.amend(order_id, 2 * FAR, 100)
    assert await booth.done(order_id, ReportKind.AMEND_REJECTED) == ["ACCEPTED", "AMEND_REJECTED"]
    assert booth.report(order_id, ReportKind.AMEND_REJECTED)["reason"] == Reason.PRICE_COLLAR
    assert next(iter(booth.account.open_orders.values())).px == FAR


def test_refusals_have_their_reasons() -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        over = booth.best(-1) + 100
        cases = [
            (booth.place(1, 100, over, flags=OrderFlag.POST_ONLY), Reason.POST_ONLY_WOULD_CROSS),
            (booth.place(-1, 100, FAR, flags=OrderFlag.REDUCE_ONLY), Reason.REDUCE_ONLY),
            (booth.place(1, 20_000, booth.best(-1), time_in_force=TimeInForce.FOK), Reason.NO_LIQUIDITY),
            (booth.place(1, 900_000, FAR), Reason.INSUFFICIENT_FUNDS),
            (booth.place(1, 2_000_000, FAR), Reason.QTY_ABOVE_MAX),
            (booth.place(1, 0, FAR), Reason.QTY_BELOW_MIN),
            (booth.place(1, 1, 2 * FAR), Reason.PRICE_COLLAR),
            (booth.place(1, 100, FAR, display_qty=10), Reason.BAD_DISPLAY_QTY),
            (booth.place(1, 100, FAR, flags=OrderFlag.SHORT_LEG), Reason.BAD_LEG),
            (booth.place(1, 100, time_in_force=TimeInForce.FOK), Reason.BAD_TIME_IN_FORCE),
            (booth.place(1, 100, FAR, account=1), Reason.UNKNOWN_ACCOUNT),
        ]
        for order_id, reason in cases:
            assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
            assert booth.report(order_id, ReportKind.REJECTED)["reason"] == reason
        assert not booth.known.orders

    body()


@on_booth()
async def test_orders_that_the_venue_does_not_take_are_logged_once_for_all_of_one_reason(booth: Booth) -> None:
    ids = [booth.place(1, 100, FAR, display_qty=10) for _ in range(5)]
    for order_id in ids:
        await booth.done(order_id, ReportKind.REJECTED)
    assert [line for line in booth.lines if "shows orders whole" in line] == ["binance_usdm shows orders whole"]


@on_booth()
async def test_ioc_takes_what_is_there_and_the_rest_expires(booth: Booth) -> None:
    order_id = booth.place(1, 20_000, booth.best(-1), time_in_force=TimeInForce.IOC)
    names = await booth.done(order_id, ReportKind.EXPIRED)
    filled = sum(fill.qty for fill in booth.account.fills)
    assert 0 < filled < 20_000
    assert names[-1] == "EXPIRED"
    report = booth.report(order_id, ReportKind.EXPIRED)
    assert (report["reason"], report["leaves_qty"]) == (Reason.NO_LIQUIDITY, 20_000 - filled)


@on_booth()
async def test_reduce_only_closes_and_no_more(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    order_id = booth.place(-1, 10, flags=OrderFlag.REDUCE_ONLY)
    await booth.done(order_id, ReportKind.FILL)
    assert booth.account.qty == 0 == booth.known.positions[booth.instrument.id]


@on_booth()
async def test_command_about_an_order_that_was_never_heard_of_is_left_to_the_journal(booth: Booth) -> None:
    for kind in (CommandKind.CANCEL, CommandKind.AMEND):
        booth.gateway.commands.is_behind = False
        booth.send(kind, order_id := booth.new_id(), px=FAR, qty=100)
        await booth.gateway.idle()
        assert booth.gateway.commands.is_behind
        assert not booth.of(order_id)


@pytest.mark.parametrize("kind", [CommandKind.HOLD, CommandKind.HELD_AMEND, CommandKind.PAUSE])
def test_commands_of_the_cores_own_keeping_do_nothing(kind: CommandKind) -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        told = len(booth.reports)
        booth.send(kind, booth.new_id(), qty=1, px=FAR)
        await booth.gateway.idle()
        assert len(booth.reports) == told

    body()
