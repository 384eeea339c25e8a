"""Both of hftbacktest's exchange models with all its queue models of level 2, linear and inverse, on two clocks.

After each step of a random run every order has the state, and has left, what hftbacktest's order has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from oms.exchange_model import QUEUE_MODELS
from oms.instruments import Instrument
from oms.records import CommandKind, OrderState, TickKind
from tests.backtest.oracle import ACTION
from tests.backtest.stepwise import Log, Setting, run_oracle, run_ours
from tests.backtest.test_oracle import LATENCIES, random_actions, recorded_ticks, synthetic_ticks
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
    return actions[actions["kind"] != CommandKind.AMEND]


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


@pytest.mark.parametrize("seed", range(3))
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


_ = (ACTION, Instrument, TickKind, recorded_ticks)
