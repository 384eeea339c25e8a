"""Queue model ``power2``: a cancel was behind by the share of behind^n in (behind + ahead)^n; n is ``queue_power``.

Source: hftbacktest 2.4.4, ``PowerProbQueueModel2``.
"""

from __future__ import annotations

from backtest.queues.position import cancel_some, cancelled_qty, cap, power, previous_qty, share_of
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
    exponent = s["model"]["queue_power"]
    share = share_of(power(behind, exponent), power(behind + ahead, exponent))
    cancel_some(s, order, tick, cancelled, behind, share)
