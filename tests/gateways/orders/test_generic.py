"""Orders at an exchange that zoms has no gateway of its own for: what ccxt says is read exactly, or refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ccxt
import pytest
from msgspec.structs import replace

from gateways.abilities import lacks, why_unfit
from gateways.credentials import Credentials, CredentialsError
from gateways.generic import definition_of, differences, exchange_class, number_text, settings_text
from gateways.orders.averages import Averages
from gateways.orders.generic import LATE_S, orders_of
from gateways.orders.generic_requests import limits_of
from gateways.orders.generic_views import GenericViews, TextIds, UnfitError, trade_number
from gateways.orders.ids import ids_of, ours_in
from gateways.orders.private import MOST_MISSED
from gateways.orders.views import PositionView, Standing
from gateways.sandbox.faults import Fault
from gateways.sandbox.server import Sandbox, credentials_of
from gateways.sidecar import open_recording
from gateways.venue_check.place import place_of
from gateways.venue_check.run import Verdict, try_venue
from gateways.venues import Role, Venue, find_venue, implementation, venues_with_keys
from gateways.venues import Sandbox as SandboxAddress
from oms.checks import ConfigError
from oms.instruments import Instrument
from oms.records import Liquidity, OrderFlag, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.conformance.cases import GENERIC, Stand
from tests.gateways.orders.booth import Booth, SkippingClock, answered_by, on_booth
from tests.gateways.test_venue_check import played

(SPOT,) = (case for case in GENERIC if case.by == "ccxt_binance_spot")

SYMBOL = "BTC/USDT"
INSTRUMENT = Instrument(
    id=3, symbol="BTCUSDT", venue="ccxt_any_spot", kind="spot", tick="0.1", lot="0.001", base="BTC", quote="USDT"
)
PERPETUAL = Instrument(
    id=4, symbol="BTCUSDT", venue="ccxt_any_linear", kind="linear_perpetual", tick="0.1", lot="0.001", quote="USDT"
)

MARKET: dict[str, Any] = {
    "id": "BTCUSDT",
    "symbol": SYMBOL,
    "base": "BTC",
    "quote": "USDT",
    "baseId": "BTC",
    "quoteId": "USDT",
    "type": "spot",
    "spot": True,
    "swap": False,
    "linear": None,
    "inverse": None,
    "active": True,
    "contractSize": None,
    "maker": 0.001,
    "taker": None,
    "precision": {"price": 0.1, "amount": 0.001},
    "limits": {"amount": {"min": 0.001, "max": 1000.0}, "cost": {"min": 5.0}, "leverage": {"max": None}},
    "info": {},
}

ORDER: dict[str, Any] = {
    "id": "a1-b2",
    "clientOrderId": "t-" + ids_of("desk", are_integers=False).text(77),
    "symbol": SYMBOL,
    "side": "sell",
    "type": "limit",
    "timeInForce": "GTC",
    "status": "open",
    "price": "60000.5",
    "amount": "0.123",
    "filled": "0.023",
    "timestamp": 1_700_000_000_000,
    "lastUpdateTimestamp": 1_700_000_000_500,
}
TRADE: dict[str, Any] = {
    "id": "41",
    "order": "a1-b2",
    "symbol": SYMBOL,
    "side": "buy",
    "price": "60000.0",
    "amount": "0.010",
    "takerOrMaker": "maker",
    "fee": {"cost": "0.00001", "currency": "BTC"},
    "timestamp": 1_700_000_000_000,
}


def row_of(name: str) -> Venue:
    row = find_venue(name)
    assert row is not None
    return row


def views() -> GenericViews:
    return GenericViews({SYMBOL: INSTRUMENT})


def test_any_exchange_has_a_row_and_one_that_ccxt_does_not_know_is_refused_when_it_is_asked_for() -> None:
    row = row_of("ccxt_bybit_linear")
    assert (row.exchange, row.market, row.has_positions, row.hosts) == ("bybit", "linear", True, ())
    assert row_of("ccxt_binance_spot").hosts == row_of("binance_spot").hosts
    assert find_venue("ccxt_bybit") is find_venue("bybit_linear") is None
    with pytest.raises(ConfigError, match="has no exchange 'nowhere' with streams; it has"):
        exchange_class(row_of("ccxt_nowhere_spot"))
    with pytest.raises(ConfigError, match="by ccxt any exchange, as ccxt_bybit_linear"):
        implementation("bybit", Role.ORDERS)
    assert venues_with_keys({"ZOMS_CCXT_KRAKEN_SPOT_KEY": "k", "ZOMS_OKX_KEY": "k"}) == ["ccxt_kraken_spot"]


def test_what_an_exchange_lacks_is_named() -> None:
    def missing(name: str) -> str:
        row = row_of(name)
        return " ".join(lacks(exchange_class(row)(), row))

    assert [missing(name) for name in ("ccxt_bybit_linear", "ccxt_kraken_spot", "ccxt_gate_spot")] == ["", "", ""]
    assert "hands on no client order ids" in missing("ccxt_bitvavo_spot")
    assert "has no fetchMyTrades" in missing("ccxt_bithumb_spot")
    with pytest.raises(CredentialsError, match="privateKey"):
        orders_of(row_of("ccxt_hyperliquid_linear")).new_exchange(Credentials("key", "secret"))
    with pytest.raises(CredentialsError, match="ZOMS_CCXT_KUCOIN_SPOT_PASSPHRASE"):
        orders_of(row_of("ccxt_kucoin_spot")).new_exchange(Credentials("key", "secret"))


def test_order_is_read_exactly() -> None:
    view = views().order(ORDER)
    assert (view.instrument, view.side, view.px, view.qty, view.filled_qty) == (3, -1, 600_005, 123, 23)
    assert (view.order_type, view.time_in_force, view.standing) == (OrderType.LIMIT, TimeInForce.GTC, Standing.OPEN)
    assert ids_of("desk", are_integers=False).order_id(view.client_id) == 77
    assert view.exch_ts == 1_700_000_000_500_000_000


@pytest.mark.parametrize(
    ("changes", "standing", "reason"),
    [
        ({"status": "closed", "filled": "0.123"}, Standing.FILLED, Reason.NONE),
        ({"status": "closed"}, Standing.CANCELLED, Reason.NONE),
        ({"status": "canceled"}, Standing.CANCELLED, Reason.NONE),
        ({"status": "canceled", "timeInForce": "IOC"}, Standing.EXPIRED, Reason.NO_LIQUIDITY),
        ({"status": "rejected"}, Standing.REJECTED, Reason.NONE),
    ],
)
def test_end_of_an_order(changes: dict[str, Any], standing: Standing, reason: Reason) -> None:
    view = views().order(ORDER | changes)
    assert (view.standing, view.reason) == (standing, reason)


@pytest.mark.parametrize("left_out", ["status", "filled", "amount", "price", "id"])
def test_order_that_is_not_whole_is_not_guessed_at(left_out: str) -> None:
    with pytest.raises(UnfitError, match="how order"):
        views().order(ORDER | {left_out: None})


def test_post_only_and_reduce_only_are_read() -> None:
    assert views().order(ORDER | {"timeInForce": "PO"}).flags == OrderFlag.POST_ONLY
    assert views().order(ORDER | {"reduceOnly": True}).flags == OrderFlag.REDUCE_ONLY


def test_fill_has_one_number_and_its_fee_is_worth_what_was_taken() -> None:
    reader = views()
    (fill,) = reader.fills([TRADE, TRADE | {"symbol": "ETH/USDT"}])
    assert (fill.trade_id, fill.px, fill.qty, fill.liquidity) == (41, 600_000, 10, Liquidity.MAKER)
    assert (fill.fee, fill.fee_known, fill.base_fee) == (60_000_000, True, 1_000)
    assert fill.venue_order_id == reader.order(ORDER).venue_order_id
    other = reader.fill(TRADE | {"fee": {"cost": "0.1", "currency": "BNB"}})
    assert (other.fee, other.fee_known) == (0, False)
    with pytest.raises(UnfitError, match="which trade"):
        reader.fill(TRADE | {"order": None})


def test_fills_come_in_the_order_of_their_ids_though_ccxt_sorts_them_as_text() -> None:
    trades = [TRADE | {"id": number} for number in ("10", "9", "11")]
    assert [fill.trade_id for fill in views().fills(trades)] == [9, 10, 11]


def test_ids_that_are_no_numbers_have_numbers_that_grow_with_time_and_are_the_same_tomorrow() -> None:
    early, late = (trade_number("f-1", ts_ms) for ts_ms in (1_700_000_000_000, 1_700_000_000_001))
    assert early < late < 2**63
    assert trade_number("f-1", 1_700_000_000_000) == early
    ids = TextIds()
    number = ids.number("0f3c-aa")
    assert 0 < number < 2**62
    assert (ids.text(number), ids.number("12"), ids.text(12)) == ("0f3c-aa", 12, "12")


def test_fills_of_an_order_are_looked_for_since_the_earliest_time_that_is_known_of_it() -> None:
    """Some streams state the time of the event, and not that of the order."""
    reader = views()
    number = reader.order_ids.number(ORDER["id"])
    for ts_ms in (1_700_000_000_000, 1_700_000_030_000, 1_699_999_999_000):
        reader.made(number, ts_ms)
    reader.order(ORDER)
    assert reader.created_ms[number] == 1_699_999_999_000


def test_fills_behind_the_latest_ones_are_read_from_the_trade_before_them() -> None:
    async def body() -> None:
        exchange = bybit()
        venue = orders_of(row_of("ccxt_bybit_spot"))(exchange, (INSTRUMENT,), SkippingClock())
        venue._symbols[INSTRUMENT.id] = SYMBOL
        venue._views = views()
        now_ms = exchange.milliseconds()
        trades = [TRADE | {"id": str(number), "timestamp": now_ms - 1_000 * (20 - number)} for number in range(1, 10)]
        asked = []

        async def fetch_my_trades(_: str, since_ms: int | None = None, *__: Any) -> list[dict[str, Any]]:
            asked.append(since_ms)
            return [each for each in trades if each["timestamp"] >= since_ms] if since_ms else trades[-2:]

        exchange.fetch_my_trades = fetch_my_trades

        async def numbers(trade_id: int | None) -> list[int]:
            return [fill.trade_id for fill in (await venue.fills_from(INSTRUMENT, trade_id)).fills]

        assert await numbers(None) == [8, 9]
        assert await numbers(4) == [3, 4, 5, 6, 7, 8, 9]  # booked by a session before, and all behind it
        assert asked[1] < now_ms - 86_000_000
        trades.append(TRADE | {"id": "10", "timestamp": now_ms - 5_000})
        assert await numbers(None) == [9, 10]  # somebody else has asked for the latest ones meanwhile
        assert await numbers(10) == [9, 10]
        assert asked[-1] > now_ms - 86_000_000
        await exchange.close()

    asyncio.run(body())


def test_position_is_signed_and_legs_are_refused() -> None:
    reader = GenericViews({"BTC/USDT:USDT": PERPETUAL})
    position = {"symbol": "BTC/USDT:USDT", "side": "short", "contracts": "0.5", "entryPrice": "60000.05"}
    assert reader.position(position) == PositionView(4, -500, 600_000, 50_000_000)
    assert reader.position(position | {"contracts": "0"}) is None
    with pytest.raises(UnfitError, match="one-way mode"):
        reader.position(position | {"hedged": True})


def test_fills_realize_what_the_average_says() -> None:
    averages = Averages()
    assert averages.realized(PERPETUAL, -1, 600_000, 10) == 0  # the position before it is not known
    averages.state(PositionView(4, 100, 600_000, 0))
    assert averages.realized(PERPETUAL, 1, 602_000, 100) == 0
    assert averages.realized(PERPETUAL, -1, 603_000, 50) == 50 * 2_000 * 10_000  # held at 601000
    assert averages.realized(PERPETUAL, -1, 600_000, 200) == -150 * 1_000 * 10_000  # the rest of it, and 50 short
    assert averages.realized(PERPETUAL, 1, 599_000, 50) == 50 * 1_000 * 10_000


def test_prefix_that_an_exchange_wants_is_left_out_of_a_client_order_id() -> None:
    for is_short, length in ((False, 23), (True, 18)):
        ids = ids_of("desk", are_integers=False, are_short=is_short)
        text = ids.text(2**62)
        assert len(text) == length
        assert ids.order_id(ours_in(text)) == 2**62
    assert ours_in("t-" + ids_of("desk", are_integers=False).text(5)) == ids_of("desk", are_integers=False).text(5)
    assert ours_in("of-another") == "of-another"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.1, "0.1"),
        (1e-8, "0.00000001"),
        ("60000.50", "60000.5"),
        (100.0, "100"),
        (123456789.12345678, "123456789.123"),
    ],
)
def test_numbers_of_ccxt_are_the_text_that_they_came_from(number: float | str, text: str) -> None:
    assert number_text(number, 3) == text


def test_limit_is_as_often_as_ccxt_says() -> None:
    assert limits_of(50.0)[0][:3] == ("requests", 4_000, 2.0)
    assert limits_of(1000.0)[0][:3] == ("requests", 1_000, 10.0)


def bybit() -> Any:
    exchange = exchange_class(row_of("ccxt_bybit_spot"))({"apiKey": "key", "secret": "secret"})
    exchange.set_markets([MARKET])
    return exchange


def test_definition_is_the_exchanges_and_what_differs_from_it_is_named() -> None:
    row, exchange = row_of("ccxt_bybit_spot"), bybit()
    found = definition_of(exchange, row, SYMBOL, 3)
    stated = {"maker_fee_rate": "0.001", "min_qty": "0.001", "max_qty": "1000", "min_notional": "5"}
    assert replace(found, taker_fee_rate="0.0005") == replace(INSTRUMENT, venue=row.name, **stated)
    assert 'symbol = "BTCUSDT"\nvenue = "ccxt_bybit_spot"\nkind = "spot"\ntick = "0.1"' in settings_text(found)
    assert differences(exchange, row, found) == []
    assert differences(exchange, row, replace(found, tick="0.5")) == [
        "BTCUSDT has tick 0.5, at the exchange 0.1: set that"
    ]
    with pytest.raises(ConfigError, match="trades no spot ETHUSDT"):
        definition_of(exchange, row, "ETHUSDT")
    exchange.precisionMode = 3  # significant digits
    with pytest.raises(ConfigError, match="no fixed tick"):
        definition_of(exchange, row, SYMBOL)


@pytest.mark.parametrize(
    ("client_id", "why"),
    [("zoms0abc", ""), ("not-handed-on", "ccxt does not hand on the client order id of an order as it is")],
)
def test_what_ccxt_would_send_is_looked_at_before_anything_is_traded(client_id: str, why: str) -> None:
    async def body() -> None:
        exchange = bybit()
        real = exchange.create_order
        questions = []

        async def fetch(url: str, *_: Any) -> dict[str, Any]:
            questions.append(url)
            return {"retCode": 0, "result": {"unifiedMarginStatus": 5}}

        async def create_order(*terms: Any) -> Any:
            return await real(*terms[:-1], {} if client_id == "not-handed-on" else terms[-1])

        exchange.fetch, exchange.create_order = fetch, create_order
        assert await why_unfit(exchange, INSTRUMENT, SYMBOL, client_id) == why
        assert all("account" in url or "user" in url for url in questions)
        await exchange.close()

    asyncio.run(body())


def test_made_up_order_does_not_leave_where_orders_are_asked_for_by_get() -> None:
    """coinbaseinternational is such an exchange; its token may be there from a question before."""

    async def body() -> None:
        exchange = exchange_class(row_of("ccxt_coinbaseinternational_spot"))({"apiKey": "key", "secret": "secret"})
        exchange.set_markets([MARKET])
        sent = []

        async def fetch(url: str, *_: Any) -> dict[str, Any]:
            sent.append(url)
            return {"result": {"order": {}}}

        async def authenticate_v2() -> None:
            exchange.options["v2AccessToken"] = "token"

        exchange.fetch, exchange.authenticate_v2 = fetch, authenticate_v2
        assert await why_unfit(exchange, INSTRUMENT, SYMBOL, "zoms0abc") == ""
        assert sent == []
        assert exchange.fetch is fetch
        await exchange.close()

    asyncio.run(body())


def on_spot(**options: Any) -> Callable[[Callable[[Booth], Awaitable[None]]], Callable[[], None]]:
    market: dict[str, Any] = {"recording": SPOT.recording, "instrument": SPOT.instrument, "traded": SPOT.traded}
    return on_booth(SkippingClock, **market, **options)


def test_life_of_orders_by_ccxts_unified_methods() -> None:
    @on_spot(is_open=False)
    async def body(booth: Booth) -> None:
        stand = Stand(booth, SPOT)
        await booth.open()
        order_id = stand.place(1, stand.lots + 3, stand.far + 3)
        assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
        (order,) = stand.account.open_orders.values()
        assert (order.px, order.qty) == (stand.far + 3, stand.lots + 3)
        assert stand.known.ids.order_id(order.client_order_id) == order_id
        stand.sandbox.venue.exchange.cancel(order)  # the stream tells
        assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
        await check_what_ccxt_leaves_open(stand)
        stand.place(1, 13 * stand.lots)
        await stand.until(lambda: stand.account.fills and not stand.known.orders)
        stand.check()

    body()


@on_spot(is_open=False)
async def test_stream_is_doubted_for_orders_of_which_it_says_nothing_for_long(booth: Booth) -> None:
    stand = Stand(booth, SPOT)
    await booth.open()
    stream, clock = stand.gateway.stream, booth.clock
    assert isinstance(clock, SkippingClock)
    await stand.done(stand.place(1, stand.lots, stand.far), ReportKind.ACCEPTED)

    async def overtaken(real: Any) -> Any:
        answer = await real()
        await stand.until(lambda: stand.reports[-1]["kind"] == ReportKind.ACCEPTED)
        return answer

    for _ in range(MOST_MISSED):
        answered_by(booth, "create_order", overtaken)
        await stand.done(stand.place(1, stand.lots, stand.far), ReportKind.ACCEPTED)
    assert (stream._missed, stand.gateway.asking.resolver.asked) == (0, 0)
    stand.faults(Fault.DROP)
    orders = [stand.place(1, stand.lots, stand.far) for _ in range(MOST_MISSED)]  # a burst: they may be late
    for order_id in orders:
        await stand.done(order_id, ReportKind.ACCEPTED)
    assert (stream._missed, stream.connections) == (MOST_MISSED, 1)
    clock.skipped_s += LATE_S
    stand.place(1, stand.lots, stand.far)
    await stand.until(lambda: stream.connections == 2 and stand.gateway.entry.is_open)


@on_spot(is_open=False)
async def test_order_is_ours_where_the_exchange_does_not_show_its_client_order_id(booth: Booth) -> None:
    stand = Stand(booth, SPOT)
    await booth.open()

    async def unnamed(real: Any) -> Any:
        return await real() | {"clientOrderId": None}

    answered_by(booth, "fetch_order", unnamed)
    order_id = stand.take(-1, stand.lots)
    assert (await stand.done(order_id, ReportKind.FILL))[0] == "ACCEPTED"  # it has ended: that proves nothing
    answered_by(booth, "fetch_order", unnamed)
    order_id = stand.place(1, stand.lots, stand.far)
    assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert list(stand.known.orders) == [order_id]
    refused = stand.place(1, stand.lots, stand.far)
    assert await stand.done(refused, ReportKind.REJECTED) == ["REJECTED"]
    assert "does not keep client order ids" in stand.lines[-1]


async def check_what_ccxt_leaves_open(stand: Stand) -> None:
    """A cancelled order that is forgotten has ended; no turn for one request of several leaves the order unknown."""

    async def forgotten(_: Any) -> Any:
        raise ccxt.OrderNotFound("no such order")

    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    answered_by(stand.booth, "fetch_order", forgotten)
    view = await stand.venue.cancel(stand.known.orders[order_id])
    assert (view.standing, view.filled_qty) == (Standing.CANCELLED, 0)
    await stand.done(order_id, ReportKind.CANCELLED)

    async def twice(real: Any) -> Any:
        await real()
        stand.venue.limiter.paused_until_s = 10**9
        stand.venue.patience_s = 0.0
        return await real()

    answered_by(stand.booth, "create_order", twice)
    order_id = stand.place(1, stand.lots, stand.far)
    await stand.until(lambda: "UNKNOWN" in stand.lines[-1])
    stand.venue.limiter.paused_until_s, stand.venue.patience_s = 0.0, 10.0
    assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    stand.cancel(order_id)
    await stand.done(order_id, ReportKind.CANCELLED)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["ccxt_binance_spot", "ccxt_binanceusdm_linear"])
def test_venue_check_finds_any_exchange_as_it_should_be(name: str, tmp_path: Path) -> None:
    async def body() -> None:
        (case,) = (each for each in GENERIC if each.by == name)
        async with Sandbox(open_recording(case.recording), case.instrument, loop=True) as sandbox:
            sandbox.step(50)
            ca = tmp_path / "ca.pem"
            ca.write_bytes(sandbox.ca_pem)
            place = place_of(row_of(name), SandboxAddress(sandbox.port, ca))
            playing = asyncio.ensure_future(played(sandbox, 0.05))
            told: list[Verdict] = []
            try:
                result = await try_venue(place, case.traded, credentials_of(0), told.append, patience_s=30.0)
            finally:
                playing.cancel()
            assert [each for each in told if each.level == "failed"] == []
            assert result.has_passed

    asyncio.run(body())
