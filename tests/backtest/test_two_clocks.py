"""Two clocks: what a strategy does on hearing of a fill reaches the exchange between the exchange's own rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from backtest.run import run_backtest
from oms.records import TICK, TickFlag, TickKind
from tests.backtest.venue import MS, START_NS, STRATEGIES, fills_of, instrument, settings_of

pytestmark = pytest.mark.pure

Ticks = npt.NDArray[np.void]

LATENCY_MS = 1
FEED_MS = 100
"""The core hears of the market long after everything has happened."""


def message(kind: TickKind, at_ms: int, update_id: int, *levels: tuple[int, int, int]) -> Ticks:
    """One message of (side, px, qty), received after the feed latency."""
    ticks = np.zeros(len(levels), TICK)
    ticks["kind"] = kind
    ticks["exch_ts"] = START_NS + at_ms * MS
    ticks["local_ts"] = ticks["exch_ts"] + FEED_MS * MS
    ticks["side"], ticks["px"], ticks["qty"] = np.array(levels).T
    ticks["update_id"] = update_id
    ticks["px_2"] = update_id - 1 if kind == TickKind.DEPTH else 0
    ticks["flags"][0] |= TickFlag.FIRST
    ticks["flags"][-1] |= TickFlag.LAST
    return ticks


@pytest.mark.parametrize(("falls_at_ms", "px"), [(503, 99), (501, 96)])
def test_an_answer_to_a_fill_meets_the_book_of_its_own_time(falls_at_ms: int, px: int) -> None:
    """The bid of 100 is filled at 500 ms and heard of at 501 ms; what is sold then is there at 502 ms."""
    snapshot = message(TickKind.SNAPSHOT, 0, 1, (1, 100, 5), (1, 99, 9), (1, 96, 9), (-1, 101, 5))
    sold = message(TickKind.TRADE, 500, 1, (-1, 99, 4))
    gone = message(TickKind.DEPTH, 500, 2, (1, 100, 0))
    falls = message(TickKind.DEPTH, falls_at_ms, 3, (1, 99, 0))
    settings = settings_of(
        instrument(),
        matching={
            "model": "no_partial_fill",
            "entry_latency_us": LATENCY_MS * 1_000,
            "response_latency_us": LATENCY_MS * 1_000,
        },
        strategies=[{"file": str(STRATEGIES / "hedger.py"), "instrument": "TEST0"}],
    )
    ran = run_backtest(settings, np.concatenate([snapshot, sold, gone, falls]), clock="dual")
    bought, hedged = fills_of(ran.events)
    at_ms = [(each.ts - START_NS) // MS for each in (bought, hedged)]
    assert at_ms == [501, 503]
    assert (bought.px, hedged.px, hedged.side) == (100, px, -1)


def test_a_stop_at_the_exchange_fires_at_the_exchanges_time() -> None:
    """It trades at 106 there at 500 ms, of which the core hears at 600 ms; of the fill it has heard at 501 ms."""
    snapshot = message(TickKind.SNAPSHOT, 0, 1, (1, 100, 5), (-1, 101, 5))
    trades = message(TickKind.TRADE, 500, 1, (1, 106, 4)), message(TickKind.TRADE, 900, 2, (1, 101, 4))
    settings = settings_of(
        instrument(),
        matching={"model": "no_partial_fill", "entry_latency_us": 1_000, "response_latency_us": 1_000},
        strategies=[{"file": str(STRATEGIES / "breaker.py"), "instrument": "TEST0"}],
    )
    (filled,) = fills_of(run_backtest(settings, np.concatenate([snapshot, *trades]), clock="dual").events)
    assert ((filled.ts - START_NS) // MS, filled.px) == (501, 101)
