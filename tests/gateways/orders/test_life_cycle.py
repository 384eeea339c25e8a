"""An order's life on the sandbox exchange, from command to report, through an unmodified ccxt."""

from __future__ import annotations

import pytest

from oms.records import CommandKind, Liquidity, OrderFlag, Reason, ReportKind, TimeInForce
from tests.gateways.orders.booth import FAR, Booth, on_booth


@on_booth()
async def test_balance_is_told_before_anything_is_traded(booth: Booth) -> None:
    (report,) = booth.reports
    assert report["kind"] == ReportKind.BALANCE
    assert report["fee"] == booth.account.wallet
    assert booth.gateway.trades


@on_booth()
async def test_order_rests_with_exact_terms_and_is_cancelled(booth: Booth) -> None:
    order_id = booth.place(1, 123, FAR + 3)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    (order,) = booth.account.open_orders.values()
    assert (order.side, order.px, order.qty) == (1, FAR + 3, 123)
    assert booth.known.ids.order_id(order.client_order_id) == order_id
    assert booth.report(order_id, ReportKind.ACCEPTED)["venue_order_id"] == order.order_id
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_market_order_is_filled_and_each_fill_told_once(booth: Booth) -> None:
    order_id = booth.place(1, 8_000)
    await booth.until(lambda: sum(each["qty"] for each in booth.reports if each["kind"] == ReportKind.FILL) == 8_000)
    await booth.gateway.idle()
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    told = [(int(each["trade_id"]), int(each["px"]), int(each["qty"]), int(each["fee"])) for each in fills]
    assert told == [(fill.trade_id, fill.px, fill.qty, fill.fee) for fill in booth.account.fills]
    assert len(told) > 1
    assert all(each["liquidity"] == Liquidity.TAKER and each["fee_known"] for each in fills)
    assert fills[-1]["leaves_qty"] == 0
    assert booth.of(order_id)[0] == "ACCEPTED"
    assert not booth.known.orders


@on_booth()
async def test_resting_order_is_filled_in_part_and_then_whole_as_the_market_moves(booth: Booth) -> None:
    order_id = booth.place(-1, 30, booth.best(-1))
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.market_moves(lambda: booth.account.qty == -30)
    await booth.until(lambda: booth.of(order_id).count("FILL") == len(booth.account.fills))
    assert not booth.known.orders
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    assert {int(each["liquidity"]) for each in fills} == {Liquidity.MAKER}
    assert booth.known.cash["USDT"] == booth.account.wallet


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


@on_booth()
async def test_cancel_right_behind_its_order_comes_after_it(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_booth()
async def test_command_that_comes_twice_places_one_order(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    booth.place(1, 100, FAR, order_id=order_id)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.place(1, 100, FAR, order_id=order_id)
    await booth.gateway.idle()
    assert len(booth.account.open_orders) == 1
    assert booth.of(order_id) == ["ACCEPTED"]


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
async def test_ioc_takes_what_is_there_and_the_rest_expires(booth: Booth) -> None:
    order_id = booth.place(1, 20_000, booth.best(-1), time_in_force=TimeInForce.IOC)
    names = await booth.done(order_id, ReportKind.EXPIRED)
    filled = sum(fill.qty for fill in booth.account.fills)
    assert 0 < filled < 20_000
    assert names[-1] == "EXPIRED"
    report = booth.report(order_id, ReportKind.EXPIRED)
    assert (report["reason"], report["leaves_qty"]) == (Reason.NO_LIQUIDITY, 20_000 - filled)


@on_booth()
async def test_fok_that_can_be_filled_is(booth: Booth) -> None:
    order_id = booth.place(1, 1, booth.best(-1) + 100, time_in_force=TimeInForce.FOK)
    assert await booth.done(order_id, ReportKind.FILL) == ["ACCEPTED", "FILL"]


@on_booth()
async def test_post_only_and_gtd_rest(booth: Booth) -> None:
    for terms in ({"flags": OrderFlag.POST_ONLY}, {"time_in_force": TimeInForce.GTD, "expire_ts": 1}):
        assert await booth.done(booth.place(1, 100, FAR, **terms), ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert [order.is_post_only for order in booth.account.open_orders.values()] == [True, False]


@on_booth()
async def test_reduce_only_closes_and_no_more(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    order_id = booth.place(-1, 10, flags=OrderFlag.REDUCE_ONLY)
    await booth.done(order_id, ReportKind.FILL)
    assert booth.account.qty == 0 == booth.known.positions[booth.instrument.id]


@on_booth()
async def test_cancel_all_ends_every_order_also_those_placed_elsewhere(booth: Booth) -> None:
    ours = [booth.place(1, 100, FAR + step) for step in range(3)]
    for order_id in ours:
        await booth.done(order_id, ReportKind.ACCEPTED)
    await booth.exchange.fapiPrivatePostOrder(
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "61000"}
    )
    booth.send(CommandKind.CANCEL_ALL, 0, account=-1, instrument=-1)
    for order_id in ours:
        assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_command_about_an_order_that_was_never_heard_of_is_left_to_the_journal(booth: Booth) -> None:
    for kind in (CommandKind.CANCEL, CommandKind.AMEND):
        booth.gateway.is_behind = False
        booth.send(kind, order_id := booth.new_id(), px=FAR, qty=100)
        await booth.gateway.idle()
        assert booth.gateway.is_behind
        assert not booth.of(order_id)


@on_booth()
async def test_commands_about_unknown_orders_of_others_are_refused(booth: Booth) -> None:
    order_id = booth.new_id()
    booth.send(CommandKind.CANCEL, order_id, account=3)
    booth.send(CommandKind.AMEND, order_id, account=3)
    assert set(await booth.done(order_id, ReportKind.AMEND_REJECTED)) == {"CANCEL_REJECTED", "AMEND_REJECTED"}


@pytest.mark.parametrize("kind", [CommandKind.HOLD, CommandKind.HELD_AMEND, CommandKind.PAUSE])
def test_commands_of_the_cores_own_keeping_do_nothing(kind: CommandKind) -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        told = len(booth.reports)
        booth.send(kind, booth.new_id(), qty=1, px=FAR)
        await booth.gateway.idle()
        assert len(booth.reports) == told

    body()
