"""``no_partial_fill`` against hftbacktest: the same rows, the same orders, the same fills, one by one."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from gateways.recording import RecordingWarning, load_ticks
from oms.config import load_settings
from oms.core.state import NO_ASK, NO_BID
from oms.records import TICK, CommandKind, OrderFlag, OrderState, OrderType, TickFlag, TickKind, TimeInForce
from tests.backtest.oracle import ACTION, oracle_rows, run_oracle
from tests.backtest.ours import run_ours, touches
from tests.backtest.venue import MS, START_NS

Rows = npt.NDArray[np.void]

TICK_SIZE: Final = 0.5
LOT_SIZE: Final = 1.0
LATENCIES: Final = [(0, 0), (1, 1), (300_000, 700_000), (10 * MS, 10 * MS), (50 * MS, 5 * MS)]


def synthetic_ticks(seed: int, messages: int = 3_000) -> Rows:
    """A market that wanders, trades, jumps, crosses and is shown anew from time to time; each message has its ns."""
    rng = np.random.default_rng(seed)
    mid = 10_000
    ts = START_NS
    update_id = 0
    rows: list[tuple[int, ...]] = []

    def message(kind: TickKind, levels: list[tuple[int, int, int]]) -> None:
        nonlocal update_id
        previous_id = update_id
        update_id += kind is not TickKind.TRADE
        for i, (side, px, qty) in enumerate(levels):
            flags = (i == 0) * TickFlag.FIRST | (i == len(levels) - 1) * TickFlag.LAST
            rows.append((ts, ts, px, qty, previous_id, 0, update_id, 0, kind, side, flags))

    def snapshot() -> None:
        away = np.arange(1, 30)
        levels = [(side, mid - side * int(d), int(rng.integers(1, 40))) for side in (1, -1) for d in away]
        message(TickKind.SNAPSHOT, [each for each in levels if rng.random() < 0.8] or levels[:1])

    snapshot()
    for _ in range(messages):
        ts += int(rng.integers(1, 3 * MS))
        mid += int(rng.choice([-1, 0, 0, 0, 0, 1]))
        what = rng.random()
        if what < 0.003:
            mid += int(rng.integers(-15, 16))
            snapshot()
        elif what < 0.35:
            side = int(rng.choice([-1, 1]))
            message(TickKind.TRADE, [(side, mid + side * int(rng.integers(-2, 4)), int(rng.integers(1, 60)))])
        else:
            levels = []
            for _ in range(int(rng.integers(1, 6))):
                side = int(rng.choice([-1, 1]))
                px = mid - side * int(rng.integers(-1, 8))
                levels.append((side, px, int(rng.integers(0, 40)) * int(rng.random() < 0.7)))
            message(TickKind.DEPTH, levels)
    return np.array(rows, TICK)


def random_actions(ticks: Rows, seed: int, orders: int, entry_ns: int, spread_ticks: int) -> Rows:
    """Orders of every kind around the market of their moment, cancels and amends of them at random times later.

    Every fifth order reaches the exchange at the very time of a market data record.
    An order is moved to other prices, or cut to a smaller quantity: when price and quantity change together, or the
    quantity grows, the oracle fills the quantity of before (its ``modify`` leaves the quantity left as it was).
    """
    rng = np.random.default_rng(seed)
    first, last = int(ticks["local_ts"][0]), int(ticks["local_ts"][-1])
    times = rng.integers(first + 1, last, orders)
    times[::5] = rng.choice(ticks["local_ts"], len(times[::5])) - entry_ns
    times = np.sort(times[times > first])
    best = touches(ticks, times)
    kinds = [
        (TimeInForce.GTC, OrderType.LIMIT, 0),
        (TimeInForce.GTC, OrderType.LIMIT, int(OrderFlag.POST_ONLY)),
        (TimeInForce.IOC, OrderType.LIMIT, 0),
        (TimeInForce.FOK, OrderType.LIMIT, 0),
        (TimeInForce.IOC, OrderType.MARKET, 0),
    ]
    rows = []
    for number, ts in enumerate(times.tolist()):
        side = int(rng.choice([1, -1]))
        bid, ask = best[number].tolist()
        if bid == NO_BID or ask == NO_ASK:
            continue
        time_in_force, order_type, flags = kinds[rng.choice(5, p=[0.4, 0.4, 0.08, 0.07, 0.05])]
        touch = bid if side > 0 else ask
        px = touch - side * int(rng.integers(-3, spread_ticks))
        qty = int(rng.integers(1, 30))
        order_id = number + 1
        asked_px = 0 if order_type is OrderType.MARKET else px
        rows.append((ts, CommandKind.NEW, order_id, side, asked_px, qty, time_in_force, order_type, flags))
        moves = int(rng.integers(-1, 3))
        if moves < 0:
            later = ts + int(rng.integers(1, 400 * MS))
            rows.append(
                (later, CommandKind.AMEND, order_id, side, px, (qty + 1) // 2, time_in_force, order_type, flags)
            )
        for _ in range(moves):
            px += int(rng.integers(-3, 4))
            later = ts + int(rng.integers(1, 400 * MS))
            rows.append((later, CommandKind.AMEND, order_id, side, px, qty, time_in_force, order_type, flags))
        if rng.random() < 0.7:
            later = ts + int(rng.integers(1, 800 * MS))
            rows.append((later, CommandKind.CANCEL, order_id, side, 0, 0, time_in_force, order_type, flags))
    actions = np.array(rows, ACTION)
    actions = actions[np.argsort(actions["ts"], kind="stable")]
    return actions[actions["ts"] < last]


def check_agreement(ticks: Rows, actions: Rows, tick_size: float, lot_size: float, latency: tuple[int, int]) -> None:
    """Both exchanges let every order end alike: state, time, price, quantity, maker or taker."""
    expected = run_oracle(oracle_rows(ticks, tick_size, lot_size), actions, tick_size, lot_size, *latency)
    run, outcomes = run_ours(ticks, actions, *latency)
    book = run.st[0]["books"][0]
    assert (book["gaps"], run.st[0]["orders_refused"], run.st[0]["reports_ignored"]) == (0, 0, 0)
    assert set(np.unique(outcomes["state"])) >= {OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED}
    assert set(np.unique(outcomes["maker"])) == {0, 1}
    differing = np.flatnonzero(outcomes != expected.outcomes)
    assert not len(differing), (outcomes[differing][:5], expected.outcomes[differing][:5])
    assert run.st[0]["positions"][0, 0]["qty"] == round(expected.position / lot_size)


@pytest.mark.parametrize("seed", range(20))
def test_every_order_ends_as_the_oracle_says_on_synthetic_books(seed: int) -> None:
    ticks = synthetic_ticks(seed)
    latency = LATENCIES[seed % len(LATENCIES)]
    actions = random_actions(ticks, seed, orders=600, entry_ns=latency[0], spread_ticks=8)
    check_agreement(ticks, actions, TICK_SIZE, LOT_SIZE, latency)


RECORDINGS: Final = {
    "usdm": (Path("usdm_btcusdt_20240808.gz"), "BTCUSDT.binance_usdm"),
    "spot": (Path("spot_btcusdt_20240808.gz"), "BTCUSDT.binance_spot"),
}
DATA: Final = Path(__file__).resolve().parent.parent / "data"


@cache
def recorded_ticks(name: str) -> tuple[Rows, float, float]:
    """A recording from its snapshot on, for instrument 0, with its tick and lot."""
    file, symbol = RECORDINGS[name]
    traded = load_settings(None, {"replay": {"file": "none"}}).instrument(symbol)
    with warnings.catch_warnings(action="ignore", category=RecordingWarning):
        ticks = load_ticks(DATA / file, traded)
    ticks = ticks[np.flatnonzero(ticks["kind"] == TickKind.SNAPSHOT)[0] :].copy()
    ticks["instrument"] = 0
    return ticks, float(traded.tick), float(traded.lot)


@pytest.mark.parametrize("latency", LATENCIES, ids=lambda pair: f"{pair[0]}-{pair[1]}ns")
@pytest.mark.parametrize("name", RECORDINGS)
def test_every_order_ends_as_the_oracle_says_on_recorded_books(name: str, latency: tuple[int, int]) -> None:
    ticks, tick_size, lot_size = recorded_ticks(name)
    actions = random_actions(ticks, LATENCIES.index(latency), orders=1_500, entry_ns=latency[0], spread_ticks=12)
    check_agreement(ticks, actions, tick_size, lot_size, latency)
