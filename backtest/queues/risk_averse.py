"""Queue model ``risk_averse``: whoever cancels stands behind, so only trades, and a level that shrinks, move an order.

Source: hftbacktest 2.4.4, ``RiskAdverseQueueModel``.
"""

from __future__ import annotations

from backtest.queues.position import cap
from oms.core.state import Record, State


def on_level(st: State, slot: int, tick: Record) -> None:
    """The level at which the own order in ``slot`` rests has been set."""
    s = st[0]
    cap(s, s["model"]["orders"][slot], tick)
