"""Calling a strategy: one callback, what it asks for counted, its failure contained, what follows from it done."""

from __future__ import annotations

from typing import Any, Final

from oms.compiled import call_address, kernel
from oms.core.contingency import follow_up
from oms.core.events import open_budget
from oms.core.halts import halt_failed, halt_strategy
from oms.core.state import State
from oms.records import Reason

_STRATEGY_EXCEPTION: Final = int(Reason.STRATEGY_EXCEPTION)


@kernel
def call_strategy(st: State, number: int, address: int, record: Any) -> None:
    """Call one callback of a strategy, and halt the strategy when it fails."""
    s = st[0]
    open_budget(s)
    status = call_address(address, st, number, record)
    if status != 0:
        halt_strategy(s, number, _STRATEGY_EXCEPTION, status)
    halt_failed(s, number)
    if s["touched_count"] > 0:
        follow_up(s)


@kernel
def tell_end(st: State, slot: int) -> None:
    """Tell the strategy whose order an algorithm has worked that it has ended; its end is the last event so far."""
    s = st[0]
    number = s["orders"][slot]["strategy"]
    if number < 0 or s["strategies"][number]["on_end"] == 0 or s["strategies"][number]["halted"] != 0:
        return
    call_strategy(st, number, s["strategies"][number]["on_end"], s["events"][s["event_count"] - 1])
