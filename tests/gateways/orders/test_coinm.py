"""Orders at Binance COIN-M: what differs from USD-M, whose life of an order the conformance suite shows."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import ccxt
import numpy as np
import pytest
from msgspec.structs import replace

from gateways.doctor import examine_venue
from gateways.orders.binance_coinm import COINM_CODES, BinanceCoinm
from gateways.orders.clock import Clock
from gateways.orders.outcomes import Verdict, outcome_of
from gateways.sandbox.server import credentials_of
from gateways.venues import VENUES, Sandbox
from oms.config import load_settings
from oms.records import CASH_SCALE, CommandKind, OrderFlag, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.orders.booth import FAR, Booth, on_booth
from tests.gateways.reference import COINM_FILE
from tests.gateways.sandbox.desk import defined

on_coinm = on_booth(recording=COINM_FILE, balance=CASH_SCALE)


def fills(booth: Booth) -> list[np.void]:
    """The reports of fills."""
    return [each for each in booth.reports if each["kind"] == ReportKind.FILL]


@on_coinm
async def test_fills_position_and_balance_are_told_in_contracts_and_coins(booth: Booth) -> None:
    booth.place(1, 8_000)
    await booth.until(lambda: sum(int(each["qty"]) for each in fills(booth)) == 8_000)
    await booth.gateway.idle()
    told = [(int(each["trade_id"]), int(each["px"]), int(each["qty"]), int(each["fee"])) for each in fills(booth)]
    assert told == [(fill.trade_id, fill.px, fill.qty, fill.fee) for fill in booth.account.fills]
    (view,) = await booth.venue.positions()
    entry_px = booth.binance.exchange.ledger.entry_px(booth.account)
    assert view.qty == 8_000
    assert abs(Fraction(view.px_fraction, CASH_SCALE) + view.px - entry_px) <= Fraction(1, 10**6)
    await booth.done(booth.place(-1, 8_000, flags=OrderFlag.REDUCE_ONLY), ReportKind.FILL)
    await booth.until(lambda: booth.known.positions[booth.instrument.id] == 0)
    assert await booth.gateway.reconcile()
    assert booth.known.cash == {"BTC": booth.account.wallet}


@on_coinm
async def test_funding_is_told_in_coins(booth: Booth) -> None:
    await booth.done(booth.place(1, 100), ReportKind.FILL)
    booth.sandbox.pay_funding("0.0001")
    await booth.until(lambda: any(each["kind"] == ReportKind.FUNDING for each in booth.reports))
    (payment,) = [each for each in booth.reports if each["kind"] == ReportKind.FUNDING]
    (income,) = [each for each in booth.account.incomes if each.kind == "FUNDING_FEE"]
    assert int(payment["fee"]) == -income.amount > 0
    await booth.gateway.idle()
    assert booth.known.cash == {"BTC": booth.account.wallet}


@on_coinm
async def test_five_orders_and_their_ends_are_two_requests(booth: Booth) -> None:
    counts: Counter[str] = Counter()
    for name in ("PostOrder", "PostBatchOrders", "DeleteOrder", "DeleteBatchOrders"):
        real = getattr(booth.exchange, f"dapiPrivate{name}")

        async def method(request: Any, name: str = name, real: Any = real) -> Any:
            counts[name] += 1
            return await real(request)

        setattr(booth.exchange, f"dapiPrivate{name}", method)
    terms = {"side": 1, "qty": 5, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
    ids = [booth.new_id() for _ in range(5)]
    pxs = [FAR, FAR + 1, FAR + 2, 2 * FAR, FAR + 3]  # the fourth is too far above the market
    commands = [booth.command(CommandKind.NEW, each, px=px, **terms) for each, px in zip(ids, pxs, strict=True)]
    booth.gateway.take(np.concatenate(commands))
    kinds = [ReportKind.REJECTED if px == 2 * FAR else ReportKind.ACCEPTED for px in pxs]
    for order_id, kind in zip(ids, kinds, strict=True):
        assert await booth.done(order_id, kind) == [kind.name]
    assert booth.report(ids[3], ReportKind.REJECTED)["reason"] == Reason.PRICE_COLLAR
    resting = [order_id for order_id, kind in zip(ids, kinds, strict=True) if kind is ReportKind.ACCEPTED]
    ends = [booth.command(CommandKind.CANCEL, each, px=FAR, **terms) for each in resting]
    booth.gateway.take(np.concatenate(ends))
    for order_id in resting:
        assert (await booth.done(order_id, ReportKind.CANCELLED))[-1] == "CANCELLED"
    assert counts == {"PostBatchOrders": 1, "DeleteBatchOrders": 1}


@on_coinm
async def test_exchange_cancels_when_the_gateway_no_longer_says_that_it_lives(booth: Booth) -> None:
    order_id = booth.place(1, 5, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    await booth.venue.arm(booth.instrument, 60.0)
    booth.sandbox.advance(59_000)
    assert booth.account.open_orders
    booth.sandbox.advance(1_001)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_booth(recording=COINM_FILE, balance=CASH_SCALE, is_open=False)
async def test_contract_of_another_size_is_refused(booth: Booth) -> None:
    other = replace(booth.instrument, multiplier="10")
    venue = BinanceCoinm(booth.exchange, (other,), Clock())
    with pytest.raises(ValueError, match="BTCUSD_PERP's multiplier 10 is not the exchange's contract size 100"):
        await venue.open()
    venue.limiter.close()
    await booth.venue.open()


def test_doctor_refuses_a_contract_of_another_size(tmp_path: Path) -> None:
    @on_coinm
    async def body(booth: Booth) -> None:
        ca = tmp_path / "ca.pem"
        ca.write_bytes(booth.sandbox.ca_pem)
        settings = load_settings(None, {"replay": {"file": ""}, "data_dir": str(tmp_path)})
        settings, _ = defined(settings, replace(booth.instrument, multiplier="10"))
        found = await examine_venue(
            VENUES["binance_coinm"], settings, Sandbox(booth.sandbox.port, ca), credentials=credentials_of(0)
        )
        texts = [each.text for each in found if each.level == "refused"]
        assert texts == ["BTCUSD_PERP has multiplier 10, at the exchange 100.0: set that"]

    body()


@pytest.mark.parametrize(
    ("code", "verdict", "reason"),
    [
        (-1006, Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
        (-1007, Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
        (-1008, Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
        (-1099, Verdict.HALT, Reason.KEYS_REFUSED),
        (-2011, Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
        (-2019, Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
        (-4112, Verdict.REFUSED, Reason.REDUCE_ONLY),
        (-4116, Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
        (-4178, Verdict.REFUSED, Reason.NOTIONAL_BELOW_MIN),
        (-4197, Verdict.UNCHANGED, Reason.NONE),
        (-5022, Verdict.REFUSED, Reason.POST_ONLY_WOULD_CROSS),
    ],
)
def test_code_means_the_same_whatever_ccxt_makes_of_it(code: int, verdict: Verdict, reason: Reason) -> None:
    exchange: Any = ccxt.binancecoinm()
    answer = {"code": code, "msg": "words"}
    body = f'{{"code":{code},"msg":"words"}}'
    with pytest.raises(ccxt.BaseError) as raised:
        exchange.handle_errors(400, "", "https://dapi.binance.com/dapi/v1/order", "POST", {}, body, answer, {}, "")
    outcome = outcome_of(raised.value, COINM_CODES, sent_once=True)
    assert (outcome.verdict, outcome.reason, outcome.code) == (verdict, reason, code)
