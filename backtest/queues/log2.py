"""Queue model ``log2``: a cancel was behind by the share of ln(1 + behind) in ln(1 + behind + ahead).

Source: hftbacktest 2.4.4, ``LogProbQueueModel2``.
"""

from __future__ import annotations

from backtest.queues.position import cancel_some, cancelled_qty, cap, log_of, previous_qty, share_of
from oms.core.state import Record, State


def on_level(st: State, slot: int, tick: Record) -> None:
    """The level at which the own order in ``slot`` rests has been set."""
    s = st[0]
    order = s["model"]["orders"][slot]
    cancelled = cancelled_qty(s, order, tick)
    if cancelled < 0.0:
        cap(s, order, tick)
        return
    ahead = order["queue_ahead"]
    behind = previous_qty(s, tick) - ahead
    share = share_of(log_of(behind), log_of(behind + ahead))
    cancel_some(s, order, tick, cancelled, behind, share)
