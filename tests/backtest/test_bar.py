"""Exchange model ``bar``: what fills on a bar's way, at which price, as maker or taker."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.core.bars import POINTS, bar_px
from oms.records import TICK, OrderFlag, OrderState, OrderType, TickKind, TimeInForce, Trigger, TriggerSource
from tests.backtest.consistency import check_model
from tests.backtest.venue import BOTH, MS, Venue

pytestmark = pytest.mark.pure

Rows = npt.NDArray[np.void]
MINUTE_NS = 60_000 * MS


class Bars(Venue):
    """A venue whose market comes in bars."""

    def __init__(self) -> None:
        super().__init__("bar")

    def bar(self, o: int, h: int, low: int, c: int, volume: int = 1_000, timeframe: int = 0) -> None:
        tick = np.zeros(1, TICK)
        tick["exch_ts"] = self.now
        self.now += MINUTE_NS
        tick["local_ts"] = self.now
        tick["kind"] = TickKind.BAR
        tick["px"], tick["px_2"], tick["qty_2"], tick["update_id"], tick["qty"] = c, o, h, low, volume
        tick["side"] = timeframe
        tick["flags"] = BOTH
        self.step(tick)
        check_model(self.st)


@pytest.fixture
def venue() -> Bars:
    made = Bars()
    made.bar(100, 101, 99, 100)
    return made


def test_the_way_goes_to_the_nearer_extreme_first() -> None:
    bar = np.zeros(1, TICK)[0]
    bar["px_2"], bar["qty_2"], bar["update_id"], bar["px"] = 100, 103, 95, 101
    assert [bar_px(bar, point) for point in range(POINTS)] == [100, 103, 95, 101]
    bar["update_id"] = 98
    assert [bar_px(bar, point) for point in range(POINTS)] == [100, 98, 103, 101]


def test_a_market_order_fills_at_the_next_open(venue: Bars) -> None:
    order = venue.submit(1, 0, 5, TimeInForce.IOC, OrderType.MARKET)
    assert venue.fills(order) == []
    venue.bar(102, 103, 101, 102)
    assert venue.fills(order) == [(102, 5)]
    assert venue.is_maker(order) == [False]


@pytest.mark.parametrize(("opens", "px"), [(101, 103), (105, 105)])
def test_a_stop_at_the_exchange_fills_at_its_trigger_or_where_the_open_has_jumped_over_it(
    venue: Bars, opens: int, px: int
) -> None:
    trigger = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": 103}
    order = venue.submit(1, 0, 5, TimeInForce.GTC, OrderType.MARKET, OrderFlag.AT_EXCHANGE, **trigger)
    venue.bar(opens, 106, opens - 1, 104)
    venue.bar(104, 106, 101, 102)
    assert venue.fills(order) == [(px, 5)]


def test_a_stop_that_the_core_holds_has_the_bars_own_volume(venue: Bars) -> None:
    trigger = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": 103}
    order = venue.submit(1, 0, 5, TimeInForce.GTC, OrderType.MARKET, **trigger)
    venue.bar(101, 106, 100, 104, volume=3)
    assert venue.fills(order) == [(103, 3)]


def test_a_limit_that_the_open_reaches_takes_there_and_one_that_the_way_reaches_makes_at_its_price(venue: Bars) -> None:
    taker = venue.submit(1, 103, 5)
    maker = venue.submit(1, 98, 5)
    far = venue.submit(1, 90, 5)
    venue.bar(102, 104, 97, 100)
    assert venue.fills(taker) == [(102, 5)]
    assert venue.fills(maker) == [(98, 5)]
    assert venue.is_maker(taker) + venue.is_maker(maker) == [False, True]
    assert venue.state(far) is OrderState.LIVE


def test_a_resting_order_that_a_gap_jumps_over_fills_at_its_own_price(venue: Bars) -> None:
    order = venue.submit(1, 98, 5)
    venue.bar(99, 100, 99, 99)
    venue.bar(95, 96, 94, 95)
    assert venue.fills(order) == [(98, 5)]


def test_together_orders_get_no_more_than_the_volume_and_the_better_priced_come_first(venue: Bars) -> None:
    worse = venue.submit(1, 97, 6)
    better = venue.submit(1, 98, 6)
    venue.bar(100, 101, 96, 100, volume=8)
    assert venue.fills(better) == [(98, 6)]
    assert venue.fills(worse) == [(97, 2)]
    venue.bar(100, 101, 96, 100, volume=0)
    assert venue.fills(worse) == [(97, 2)]


def test_the_rest_of_ioc_expires_and_fok_is_all_or_nothing(venue: Bars) -> None:
    ioc = venue.submit(1, 105, 10, TimeInForce.IOC)
    fok = venue.submit(1, 105, 10, TimeInForce.FOK)
    low = venue.submit(1, 90, 1, TimeInForce.IOC)
    venue.bar(100, 101, 99, 100, volume=4)
    assert venue.fills(ioc) == [(100, 4)]
    assert [venue.state(order) for order in (ioc, fok, low)] == [OrderState.EXPIRED] * 3
    assert venue.fills(fok) == []


def test_the_rest_of_a_limit_that_takes_goes_on_at_the_next_open(venue: Bars) -> None:
    order = venue.submit(1, 105, 10)
    venue.bar(100, 101, 99, 100, volume=4)
    venue.bar(102, 103, 101, 102)
    assert venue.fills(order) == [(100, 4), (102, 6)]


def test_post_only_expires_at_the_price_and_rests_beside_it(venue: Bars) -> None:
    at = venue.submit(1, 100, 5, flags=OrderFlag.POST_ONLY)
    beside = venue.submit(1, 99, 5, flags=OrderFlag.POST_ONLY)
    venue.bar(100, 101, 99, 100)
    assert venue.state(at) is OrderState.EXPIRED
    assert venue.fills(beside) == [(99, 5)]


def test_a_longer_timeframes_bar_moves_nothing(venue: Bars) -> None:
    order = venue.submit(1, 98, 5)
    venue.bar(100, 120, 80, 100, timeframe=1)
    assert venue.fills(order) == []


@settings(max_examples=15)
@given(
    bars=st.lists(
        st.tuples(*[st.integers(80, 120)] * 4, st.integers(0, 20)).map(
            lambda b: (b[0], max(b[:4]), min(b[:4]), b[3], b[4])
        ),
        min_size=1,
        max_size=6,
    ),
    orders=st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(80, 120), st.integers(1, 15)), max_size=5),
)
def test_no_order_gets_a_worse_price_than_its_limit_nor_one_outside_of_the_bar_nor_more_than_the_volume(
    bars: list[tuple[int, int, int, int, int]], orders: list[tuple[int, int, int]]
) -> None:
    venue = Bars()
    venue.bar(100, 100, 100, 100)
    ids = [venue.submit(side, px, qty) for side, px, qty in orders]
    got = dict.fromkeys(ids, 0)
    for bar in bars:
        venue.bar(*bar)
        volume = 0
        for order, (side, px, _qty) in zip(ids, orders, strict=True):
            fills = venue.fills(order)
            new = sum(qty for _, qty in fills) - got[order]
            got[order] += new
            volume += new
            assert all((px - fill) * side >= 0 for fill, _ in fills)
        assert volume <= bar[4]
    for order, (_, _, qty) in zip(ids, orders, strict=True):
        assert got[order] <= qty
