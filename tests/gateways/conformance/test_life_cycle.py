"""An order's life at every venue, from command to report, through an unmodified ccxt."""

from __future__ import annotations

from oms.records import CommandKind, Liquidity, OrderFlag, Reason, ReportKind, TimeInForce
from tests.gateways.conformance.cases import (
    Case,
    Stand,
    every_amending_venue,
    every_other_venue,
    every_venue,
    on_stand,
)

TOO_LOW = (Reason.NOTIONAL_BELOW_MIN, Reason.PRICE_COLLAR, Reason.INSUFFICIENT_FUNDS)
"""Of a buy at a price near 0, for which inverse contracts are worth more coins than the account has."""


@on_stand()
async def test_balances_are_told_before_anything_is_traded(stand: Stand) -> None:
    assert {int(report["kind"]) for report in stand.reports} == {ReportKind.BALANCE}
    told = {int(report["value"]): int(report["fee"]) for report in stand.reports}
    assert told == {number: stand.holdings()[currency] for currency, number in stand.known.wallets.items()}
    assert stand.gateway.entry.is_open


@on_stand()
async def test_order_rests_with_exact_terms_and_is_cancelled(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots + 3, stand.far + 3)
    assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    (order,) = stand.account.open_orders.values()
    assert (order.side, order.px, order.qty) == (1, stand.far + 3, stand.lots + 3)
    assert stand.known.ids.order_id(order.client_order_id) == order_id
    assert stand.report(order_id, ReportKind.ACCEPTED)["venue_order_id"] == order.order_id
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not stand.account.open_orders


@on_stand()
async def test_market_orders_are_filled_and_each_fill_told_once(stand: Stand) -> None:
    for side in (1, -1):
        order_id = stand.take(side, 13 * stand.lots)
        names = await stand.done(order_id, ReportKind.FILL)
        await stand.until(lambda: not stand.known.orders)
        assert names[0] == "ACCEPTED"
    assert len(stand.fills) > 2
    assert all(each["liquidity"] == Liquidity.TAKER and each["fee_known"] for each in stand.fills)
    assert stand.fills[-1]["leaves_qty"] == 0
    stand.check()


@on_stand()
async def test_resting_order_is_filled_as_the_market_moves(stand: Stand) -> None:
    order_id = stand.place(-stand.case.trend, stand.least, stand.best(-stand.case.trend))
    await stand.done(order_id, ReportKind.ACCEPTED)
    stand.market_moves(lambda: sum(fill.qty for fill in stand.account.fills) == stand.least)
    await stand.until(lambda: not stand.known.orders)
    assert {int(each["liquidity"]) for each in stand.fills} == {Liquidity.MAKER}
    stand.check()


@on_stand(at=every_amending_venue)
async def test_order_is_made_smaller(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    stand.amend(order_id, stand.far, stand.lots - 30)
    assert await stand.done(order_id, ReportKind.AMENDED) == ["ACCEPTED", "AMENDED"]
    report = stand.report(order_id, ReportKind.AMENDED)
    assert (report["px"], report["qty"], report["leaves_qty"]) == (stand.far, stand.lots - 30, stand.lots - 30)
    (order,) = stand.account.open_orders.values()
    assert (order.px, order.qty) == (stand.far, stand.lots - 30)
    stand.cancel(order_id)
    assert (await stand.done(order_id, ReportKind.CANCELLED))[-1] == "CANCELLED"


@on_stand(at=every_amending_venue)
async def test_order_gets_another_price_or_stays_as_it_is(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    stand.amend(order_id, stand.far + 5, stand.lots)
    kind = ReportKind.AMENDED if stand.case.amends_px else ReportKind.AMEND_REJECTED
    assert await stand.done(order_id, kind) == ["ACCEPTED", kind.name]
    (order,) = stand.account.open_orders.values()
    assert order.px == stand.far + 5 * stand.case.amends_px
    if not stand.case.amends_px:
        assert stand.report(order_id, kind)["reason"] == Reason.NO_AMEND
        assert "only makes orders smaller" in stand.lines[-1]


@on_stand(at=every_other_venue)
async def test_amend_where_there_are_none_is_refused_with_a_reason_that_says_so(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    stand.amend(order_id, stand.far, stand.lots - 30)
    assert await stand.done(order_id, ReportKind.AMEND_REJECTED) == ["ACCEPTED", "AMEND_REJECTED"]
    assert stand.report(order_id, ReportKind.AMEND_REJECTED)["reason"] == Reason.NO_AMEND
    assert f"{stand.case.name} does not amend orders" in stand.lines[-1]
    (order,) = stand.account.open_orders.values()
    assert (order.px, order.qty) == (stand.far, stand.lots)


@on_stand()
async def test_cancel_right_behind_its_order_comes_after_it(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_stand()
async def test_command_that_comes_twice_places_one_order(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    stand.place(1, stand.lots, stand.far, order_id=order_id)
    await stand.done(order_id, ReportKind.ACCEPTED)
    stand.place(1, stand.lots, stand.far, order_id=order_id)
    await stand.gateway.idle()
    assert len(stand.account.open_orders) == 1
    assert stand.of(order_id) == ["ACCEPTED"]


@on_stand()
async def test_refusals_have_their_reasons(stand: Stand) -> None:
    lots = stand.lots
    cases = [
        (stand.place(1, 900 * lots, stand.far), Reason.INSUFFICIENT_FUNDS),
        (stand.place(1, 200_000 * lots, stand.far), (Reason.QTY_ABOVE_MAX, Reason.QTY_BELOW_MIN)),
        (stand.place(1, 0, stand.far), Reason.QTY_BELOW_MIN),
        (stand.place(1, lots, 6 * stand.far), Reason.PRICE_COLLAR),
        (stand.place(1, lots, stand.far, display_qty=1), Reason.BAD_DISPLAY_QTY),
        (stand.place(1, lots, time_in_force=TimeInForce.FOK), Reason.BAD_TIME_IN_FORCE),
        (stand.place(1, lots, stand.far, account=3), Reason.UNKNOWN_ACCOUNT),
    ]
    if stand.case.has_least_px:
        cases.append((stand.place(1, 1, stand.far // 20_000), TOO_LOW))
    for order_id, reasons in cases:
        assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        expected = reasons if isinstance(reasons, tuple) else (reasons,)
        if stand.case.by:  # ccxt's errors do not say all that the exchange's do
            expected = (*expected, Reason.EXCHANGE_REFUSED)
        assert stand.report(order_id, ReportKind.REJECTED)["reason"] in expected
    assert not stand.account.fills
    assert not stand.account.open_orders


@on_stand()
async def test_post_only_that_would_take_takes_nothing(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.best(-1) + 100, flags=OrderFlag.POST_ONLY)
    kind = stand.case.post_only_end
    names = await stand.done(order_id, kind)
    assert names == (["REJECTED"] if kind is ReportKind.REJECTED else ["ACCEPTED", kind.name])
    says_why = kind is not ReportKind.CANCELLED
    assert stand.report(order_id, kind)["reason"] == (Reason.POST_ONLY_WOULD_CROSS if says_why else Reason.NONE)
    assert not stand.account.fills


@on_stand()
async def test_all_or_nothing_that_finds_too_little_fills_nothing(stand: Stand) -> None:
    qty = 150 * stand.few if stand.case.expires_all_or_nothing else 1_000 * stand.few
    order_id = stand.place(1, qty, stand.best(1), time_in_force=TimeInForce.FOK)
    kind = ReportKind.EXPIRED if stand.case.expires_all_or_nothing else ReportKind.REJECTED
    names = await stand.done(order_id, kind)
    assert names == (["ACCEPTED", "EXPIRED"] if stand.case.expires_all_or_nothing else ["REJECTED"])
    assert stand.report(order_id, kind)["reason"] == Reason.NO_LIQUIDITY
    stand.check()


@on_stand()
async def test_ioc_takes_what_is_there_and_the_rest_expires(stand: Stand) -> None:
    order_id = stand.place(-1, stand.few, stand.best(1), time_in_force=TimeInForce.IOC)
    await stand.done(order_id, ReportKind.FILL)
    order_id = stand.place(1, stand.few, stand.best(1), time_in_force=TimeInForce.IOC)
    names = await stand.done(order_id, ReportKind.EXPIRED)
    assert names == ["ACCEPTED", "EXPIRED"]
    report = stand.report(order_id, ReportKind.EXPIRED)
    assert (report["reason"], report["leaves_qty"]) == (Reason.NO_LIQUIDITY, stand.few)
    stand.check()


@on_stand()
async def test_fok_that_can_be_filled_is(stand: Stand) -> None:
    order_id = stand.place(1, stand.few, stand.best(-1) + 100, time_in_force=TimeInForce.FOK)
    await stand.done(order_id, ReportKind.FILL)
    await stand.until(lambda: not stand.known.orders)
    assert stand.of(order_id)[0] == "ACCEPTED"
    stand.check()


@on_stand()
async def test_post_only_and_gtd_rest(stand: Stand) -> None:
    for terms in ({"flags": OrderFlag.POST_ONLY}, {"time_in_force": TimeInForce.GTD, "expire_ts": 1}):
        order_id = stand.place(1, stand.lots, stand.far, **terms)
        assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert [order.is_post_only for order in stand.account.open_orders.values()] == [True, False]


@on_stand()
async def test_cancel_all_ends_every_order_also_those_placed_elsewhere(stand: Stand) -> None:
    ours = [stand.place(1, stand.lots, stand.far + step) for step in range(3)]
    for order_id in ours:
        await stand.done(order_id, ReportKind.ACCEPTED)
    await stand.elsewhere(1, stand.lots, stand.far)
    stand.send(CommandKind.CANCEL_ALL, 0, account=-1, instrument=-1)
    for order_id in ours:
        assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not stand.account.open_orders


@on_stand()
async def test_commands_about_unknown_orders_of_others_are_refused(stand: Stand) -> None:
    order_id = stand.new_id()
    stand.send(CommandKind.CANCEL, order_id, account=3)
    stand.send(CommandKind.AMEND, order_id, account=3)
    assert set(await stand.done(order_id, ReportKind.AMEND_REJECTED)) == {"CANCEL_REJECTED", "AMEND_REJECTED"}


@every_venue
def test_stop_at_the_exchange_waits_and_becomes_an_order(case: Case) -> None:
    @on_stand()
    async def body(stand: Stand) -> None:
        booth, exchange, side = stand.booth, stand.exchange, case.trend
        amount = float(booth.instrument.qty_from_lots(stand.few))
        trigger = float(booth.instrument.px_from_ticks(booth.best(-1))) + 4 * side
        kind, price = ("limit", trigger + 50 * side) if case.stop_has_price else ("market", None)
        way = "buy" if side > 0 else "sell"
        terms = {"triggerPrice": trigger, **case.stop_terms}
        stop = await exchange.create_order(case.symbol, kind, way, amount, price, terms)
        assert [each["id"] for each in await exchange.fetch_open_orders(case.symbol, params=case.stop_query)] == [
            stop["id"]
        ]
        booth.market_moves(lambda: booth.account.fills, most=1_000)
        (fill, *_) = booth.account.fills
        assert (fill.order.side, fill.order.qty) == (side, stand.few)
        assert await exchange.fetch_open_orders(case.symbol, params=case.stop_query) == []

    body(case)
