"""Both of hftbacktest's exchange models with all its queue models of level 2, linear and inverse, on two clocks.

After each step of a random run every order has the state, and has left, what hftbacktest's order has.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from gateways.recording import RecordingWarning, load_ticks
from oms.exchange_model import QUEUE_MODELS
from oms.instruments import Instrument
from oms.records import CommandKind, OrderState, TickKind
from tests.backtest.stepwise import Log, Setting, run_oracle, run_ours
from tests.backtest.test_oracle import DATA, LATENCIES, random_actions, recorded_ticks, synthetic_ticks
from tests.backtest.venue import MS, instrument

Rows = npt.NDArray[np.void]


def late(ticks: Rows, seed: int) -> Rows:
    """The ticks with a feed latency, message by message: trades overtake levels, and levels trades, not each other."""
    rng = np.random.default_rng(seed)
    slow: Rows = ticks.copy()
    message = np.cumsum(np.diff(ticks["local_ts"], prepend=0) != 0) - 1
    spent = rng.integers(0, 5 * MS, message[-1] + 1)
    slow["exch_ts"] = ticks["local_ts"] - spent[message]
    is_level = ticks["kind"] != TickKind.TRADE
    slow["exch_ts"][is_level] = np.maximum.accumulate(slow["exch_ts"][is_level])
    return slow


def without_amends(actions: Rows) -> Rows:
    """Partial fills: what an amend of a partly filled order means, the oracle answers in a way of its own."""
    kept: Rows = actions[actions["kind"] != CommandKind.AMEND]
    return kept


def check(ours: Log, theirs: Log, *, whole: bool) -> None:
    """Equal states after each step, as far as the oracle came; in a ``whole`` run equal accounts too."""
    assert theirs.steps > 0
    mine = ours.changes[ours.changes["step"] < theirs.steps]
    same = min(len(mine), len(theirs.changes))
    differing = np.flatnonzero(mine[:same] != theirs.changes[:same])
    assert not len(differing), (mine[differing[:4]], theirs.changes[differing[:4]])
    assert len(mine) == len(theirs.changes)
    assert set(np.unique(mine["state"])) >= {OrderState.LIVE, OrderState.FILLED, OrderState.CANCELLED}
    if whole:
        assert ours.position == round(theirs.position)


@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("queue", QUEUE_MODELS)
@pytest.mark.parametrize("exchange", ["no_partial_fill", "partial_fill"])
def test_every_order_is_as_the_oracle_says_after_each_step(exchange: str, queue: str, seed: int) -> None:
    ticks = late(synthetic_ticks(100 + seed, messages=1_500), seed)
    latency = LATENCIES[(seed + len(queue)) % len(LATENCIES)]
    actions = random_actions(ticks, seed, orders=300, entry_ns=latency[0], spread_ticks=8)
    if exchange == "partial_fill":
        actions = without_amends(actions)
    setting = Setting(exchange, queue, latency)
    traded = instrument(tick="0.5", lot="0.001")
    theirs = run_oracle(traded, ticks, actions, setting)
    check(run_ours(traded, ticks, actions, setting), theirs, whole=exchange == "no_partial_fill")


def random_latencies(ticks: Rows, seed: int) -> npt.NDArray[np.int64]:
    """Recorded order latencies of up to 30 ms each way, on part of the time that the ticks take."""
    rng = np.random.default_rng(seed)
    first, last = int(ticks["local_ts"][0]), int(ticks["local_ts"][-1])
    sent = np.sort(rng.integers(first + (last - first) // 4, last - (last - first) // 4, 400))
    rows = np.cumsum([sent, *rng.integers(0, 30 * MS, (2, len(sent)))], axis=0).T
    kept = (np.diff(rows[:, :2], axis=0, prepend=rows[:1, :2] - 1) > 0).all(axis=1)
    kept &= rows[:, 1] == np.maximum.accumulate(rows[:, 1])
    return np.ascontiguousarray(rows[kept])


@pytest.mark.parametrize("seed", range(3))
def test_recorded_latencies_are_interpolated_as_the_oracle_does(seed: int) -> None:
    ticks = late(synthetic_ticks(200 + seed, messages=1_500), seed)
    latencies = random_latencies(ticks, seed)
    assert len(latencies) > 50
    actions = random_actions(ticks, seed, orders=300, entry_ns=0, spread_ticks=8)
    setting = Setting("no_partial_fill", "risk_averse", latencies)
    traded = instrument(tick="0.5", lot="0.001")
    check(run_ours(traded, ticks, actions, setting), run_oracle(traded, ticks, actions, setting), whole=True)


@cache
def recorded(name: str) -> tuple[Instrument, Rows]:
    """A recording of the market from its snapshot on, with the exchange's times as they are, and what it is of."""
    if name == "usdm":
        return recorded_ticks(name)
    traded = Instrument(
        id=0,
        symbol="BTCUSD_PERP",
        venue="binance_coinm",
        kind="inverse_perpetual",
        base="BTC",
        quote="USD",
        tick="0.1",
        lot="1",
        multiplier="100",
    )
    with warnings.catch_warnings(action="ignore", category=RecordingWarning):
        ticks = load_ticks(DATA / "coinm_btcusd_perp_20240808.gz", traded)
    return traded, ticks[np.flatnonzero(ticks["kind"] == TickKind.SNAPSHOT)[0] :]


@pytest.mark.parametrize("queue", ["risk_averse", "power3"])
@pytest.mark.parametrize("exchange", ["no_partial_fill", "partial_fill"])
@pytest.mark.parametrize("name", ["usdm", "coinm"])
def test_every_order_is_as_the_oracle_says_on_recorded_books(name: str, exchange: str, queue: str) -> None:
    traded, ticks = recorded(name)
    actions = random_actions(ticks, len(queue), orders=300, entry_ns=10 * MS, spread_ticks=8)
    if exchange == "partial_fill":
        actions = without_amends(actions)
    setting = Setting(exchange, queue, (10 * MS, 10 * MS), inverse=name == "coinm")
    theirs = run_oracle(traded, ticks, actions, setting)
    check(run_ours(traded, ticks, actions, setting), theirs, whole=exchange == "no_partial_fill")
