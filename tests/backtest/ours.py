"""The actions that the oracle is given, given to our core."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.run import time_record
from oms import engine
from oms.core.state import ASK, BID, State
from oms.instruments import Instrument
from oms.records import COMMAND, EVENT, RPC_CLIENT_BASE, CommandKind, EventKind, Liquidity, OrderState
from tests.backtest.oracle import OUTCOME
from tests.backtest.venue import new_core
from tests.oms.core.builders import joined

Rows = npt.NDArray[np.void]

QUIET_NS: Final = 10_000_000_000
_ENDS: Final = {
    EventKind.ORDER_FILLED: OrderState.FILLED,
    EventKind.ORDER_CANCELLED: OrderState.CANCELLED,
    EventKind.ORDER_EXPIRED: OrderState.EXPIRED,
}


class Run:
    """A core that is stepped over ticks with actions in between, and its events."""

    def __init__(self, st: State, ticks: Rows) -> None:
        self.st = st
        self.ticks = ticks
        self._taken = 0
        self._events: list[Rows] = []

    def until(self, ts: int) -> None:
        """Take every tick up to ``ts``, and be there."""
        end = int(np.searchsorted(self.ticks["local_ts"], ts, side="right"))
        for part in (self.ticks[self._taken : end], time_record(ts)):
            start = 0
            while start < len(part):
                start = engine.step_ticks(self.st, part, start, 0)
                self._flush()
        self._taken = end

    def ask(self, command: Rows) -> None:
        """Hand one command to the core at its present time."""
        start = 0
        while start < len(command):
            start = engine.step_commands(self.st, command, start)
            self._flush()

    def _flush(self) -> None:
        s = self.st[0]
        assert s["events_lost"] == 0
        if s["event_count"]:
            self._events.append(s["events"][: s["event_count"]].copy())
        s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0

    @property
    def events(self) -> Rows:
        return joined(self._events, EVENT)

    def state_of(self, order_id: int) -> int:
        """The order's state as the core knows it now."""
        at = np.flatnonzero(self.st[0]["orders"]["order_id"][: self.st[0]["orders_used"]] == order_id)
        return int(self.st[0]["orders"]["state"][at[0]]) if len(at) else 0


def touches(ticks: Rows, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Best bid and best ask at each of the ascending ``times``; shape (times, 2)."""
    run = Run(new_core(), ticks)
    found = np.zeros((len(times), 2), np.int64)
    for i, ts in enumerate(times):
        run.until(int(ts))
        best = run.st[0]["books"][0]["best"]
        found[i] = best[BID], best[ASK]
    return found


def run_ours(traded: Instrument, ticks: Rows, actions: Rows, entry_ns: int, response_ns: int) -> tuple[Run, Rows]:
    """Run the actions against ``no_partial_fill`` and return the run and an OUTCOME row for each order, by id.

    As in the oracle, an order is cancelled or amended only while it is known to rest and nothing else is asked of it.
    """
    st = new_core("no_partial_fill", entry_ns=entry_ns, response_ns=response_ns, instruments=(traded,))
    run = Run(st, ticks)
    commands = np.zeros(len(actions), COMMAND)
    for name in ("kind", "order_id", "side", "px", "qty", "time_in_force", "order_type", "flags"):
        commands[name] = actions[name]
    commands["strategy"] = -1
    commands["source"] = RPC_CLIENT_BASE
    for i, action in enumerate(actions):
        run.until(int(action["ts"]))
        if action["kind"] == CommandKind.NEW or run.state_of(int(action["order_id"])) == OrderState.LIVE:
            run.ask(commands[i : i + 1])
    run.until(int(ticks["local_ts"][-1]) + QUIET_NS)
    return run, _outcomes(run.events, np.unique(actions["order_id"]), response_ns)


def _outcomes(events: Rows, order_ids: npt.NDArray[np.int64], response_ns: int) -> Rows:
    out = np.zeros(len(order_ids), OUTCOME)
    out["order_id"] = order_ids
    out["state"] = OrderState.LIVE
    for event in events[np.isin(events["kind"], list(_ENDS))]:
        row = out[np.searchsorted(order_ids, event["order_id"])]
        row["state"] = _ENDS[EventKind(int(event["kind"]))]
        row["ts"] = event["ts"] - response_ns
        if event["kind"] == EventKind.ORDER_FILLED:
            row["px"], row["qty"] = event["last_px"], event["last_qty"]
            row["maker"] = event["liquidity"] == Liquidity.MAKER
    return out
