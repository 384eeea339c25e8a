"""``no_partial_fill`` against hftbacktest: the same rows, the same orders, the same fills, one by one."""

from __future__ import annotations

import warnings
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
from hftbacktest.data.utils.binancefutures import convert

from backtest.run import run_backtest
from gateways.recording import RecordingWarning, load_ticks
from oms.config import load_settings
from oms.core.state import NO_ASK, NO_BID
from oms.instruments import Instrument
from oms.records import (
    CASH_SCALE,
    TICK,
    CommandKind,
    Liquidity,
    OrderFlag,
    OrderState,
    OrderType,
    TickFlag,
    TickKind,
    TimeInForce,
)
from tests.backtest.oracle import ACTION, REQUOTE_NS, oracle_rows, run_oracle, run_requoting
from tests.backtest.ours import run_ours, touches
from tests.backtest.venue import MS, START_NS, STRATEGIES, instrument, settings_of

Rows = npt.NDArray[np.void]

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
            rows.append((ts, ts, px, qty, previous_id, 0, update_id, 0, 0, kind, side, flags))

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


def check_agreement(traded: Instrument, ticks: Rows, actions: Rows, latency: tuple[int, int]) -> None:
    """Both exchanges let every order end alike: state, time, price, quantity, maker or taker."""
    tick_size, lot_size = float(traded.tick), float(traded.lot)
    expected = run_oracle(oracle_rows(ticks, tick_size, lot_size), actions, tick_size, lot_size, *latency)
    run, outcomes = run_ours(traded, ticks, actions, *latency)
    book = run.st[0]["books"][0]
    assert (book["gaps"], run.st[0]["orders_refused"], run.st[0]["reports_ignored"]) == (0, 0, 0)
    assert set(np.unique(outcomes["state"])) >= {OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED}
    assert set(np.unique(outcomes["maker"])) == {0, 1}
    differing = np.flatnonzero(outcomes != expected.outcomes)
    assert not len(differing), (outcomes[differing][:5], expected.outcomes[differing][:5])
    assert run.st[0]["positions"][0, 0, 0]["qty"] == round(expected.position / lot_size)


@pytest.mark.parametrize("seed", range(8))
def test_every_order_ends_as_the_oracle_says_on_synthetic_books(seed: int) -> None:
    ticks = synthetic_ticks(seed)
    latency = LATENCIES[seed % len(LATENCIES)]
    actions = random_actions(ticks, seed, orders=600, entry_ns=latency[0], spread_ticks=8)
    check_agreement(instrument(tick="0.5"), ticks, actions, latency)


RECORDINGS: Final = {
    "usdm": (Path("usdm_btcusdt_20240808.gz"), "BTCUSDT.binance_usdm"),
    "spot": (Path("spot_btcusdt_20240808.gz"), "BTCUSDT.binance_spot"),
}
DATA: Final = Path(__file__).resolve().parent.parent / "data"


@cache
def recorded_ticks(name: str) -> tuple[Instrument, Rows]:
    """A recording from its snapshot on, and a test instrument of its tick and lot."""
    file, symbol = RECORDINGS[name]
    recorded = load_settings(None, {"replay": {"file": "none"}}).instrument(symbol)
    with warnings.catch_warnings(action="ignore", category=RecordingWarning):
        ticks = load_ticks(DATA / file, recorded)
    ticks = ticks[np.flatnonzero(ticks["kind"] == TickKind.SNAPSHOT)[0] :].copy()
    ticks["instrument"] = 0
    return instrument(tick=recorded.tick, lot=recorded.lot), ticks


@pytest.mark.parametrize("latency", LATENCIES, ids=lambda pair: f"{pair[0]}-{pair[1]}ns")
@pytest.mark.parametrize("name", RECORDINGS)
def test_every_order_ends_as_the_oracle_says_on_recorded_books(name: str, latency: tuple[int, int]) -> None:
    traded, ticks = recorded_ticks(name)
    actions = random_actions(ticks, LATENCIES.index(latency), orders=1_500, entry_ns=latency[0], spread_ticks=12)
    check_agreement(traded, ticks, actions, latency)


def test_the_oracle_gives_its_known_answer_on_two_clocks() -> None:
    """So the strategy that our core is compared with below is the known answer's."""
    with redirect_stdout(StringIO()):
        rows = convert(str(DATA / RECORDINGS["usdm"][0]), buffer_size=600_000)
    answer = run_requoting(rows, 0.1, 0.001, 10 * MS)
    assert (answer.steps, answer.orders, answer.trades) == (3_448, 5_737, 327)
    assert answer.position == pytest.approx(-0.030)
    assert answer.balance == pytest.approx(1_827.267)
    assert answer.fee == pytest.approx(40.3588394)


def test_the_known_answers_strategy_comes_to_the_same_on_one_clock() -> None:
    """The same strategy in our core and in the oracle, with the exchange on the clock of the receiver for both."""
    tick_size, lot_size = 0.1, 0.001
    ticks = recorded_ticks("usdm")[1].copy()
    ticks["local_ts"] += (
        -int(ticks["local_ts"][0]) % REQUOTE_NS
    )  # our timers go by the clock, the oracle by its first row
    expected = run_requoting(oracle_rows(ticks, tick_size, lot_size, ending=False), tick_size, lot_size, 10 * MS)

    traded = instrument(tick="0.1", lot="0.001", maker_fee_rate="0.0002", taker_fee_rate="0.0007")
    chosen = settings_of(
        traded,
        matching={"model": "no_partial_fill", "entry_latency_us": 10_000, "response_latency_us": 10_000},
        strategies=[{"file": str(STRATEGIES / "requote.py"), "instrument": traded.symbol}],
    )
    ours = run_backtest(chosen, ticks)

    fills = ours.fills
    position = ours.core.st[0]["positions"][0, 0, 0]
    assert ours.core.st[0]["strategies"][0]["memory"][0] == expected.steps == 3_445
    assert ours.result.orders == expected.orders
    assert ours.result.fills == expected.trades
    assert position["qty"] == round(expected.position / lot_size)
    assert position["cash"] / CASH_SCALE == pytest.approx(expected.balance)
    assert position["fees"] / CASH_SCALE == pytest.approx(expected.fee)
    mine = sorted(
        zip(fills["ts"] - 10 * MS, fills["last_px"], fills["side"] * fills["last_qty"], fills["liquidity"], strict=True)
    )
    theirs = sorted(
        (row["ts"], row["px"], row["qty"], Liquidity.MAKER if row["maker"] else Liquidity.TAKER)
        for row in expected.fills
    )
    assert mine[: len(theirs)] == theirs
    assert len(mine) - len(theirs) <= 1
