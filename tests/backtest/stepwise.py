"""Every order's state after every step, of our core and of hftbacktest, over the same rows with two clocks.

A step is an action: everything up to its time has happened, then it is asked for.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import hftbacktest
import numba
import numpy as np
import numpy.typing as npt
from hftbacktest import types as oracle_types
from hftbacktest.order import NEW, NONE, PARTIALLY_FILLED

from backtest.data.clocks import exchange_order
from backtest.run import set_exchange_rows, time_record
from benchmarks._events import event_rows
from oms import engine
from oms.assembly import build_core
from oms.instruments import Instrument
from oms.records import COMMAND, RPC_CLIENT_BASE, CommandKind, OrderState
from tests.backtest.oracle import QUIET_NS, STATES, in_its_words
from tests.backtest.venue import settings_of

Rows = npt.NDArray[np.void]

CHANGE: Final = np.dtype(
    [
        ("step", "i8"),  # number of the action before which it was seen
        ("order_id", "i8"),
        ("state", "i8"),  # OrderState; LIVE with fills too
        ("leaves", "i8"),  # lots; of an order that has ended, what it was not filled
    ]
)
"""An order that is not as it was one step earlier."""

QUEUES: Final = {
    "risk_averse": lambda asset: asset.risk_adverse_queue_model(),
    "log": lambda asset: asset.log_prob_queue_model(),
    "log2": lambda asset: asset.log_prob_queue_model2(),
    "power1": lambda asset: asset.power_prob_queue_model(3.0),
    "power2": lambda asset: asset.power_prob_queue_model2(3.0),
    "power3": lambda asset: asset.power_prob_queue_model3(3.0),
}
EXCHANGES: Final = {
    "no_partial_fill": lambda asset: asset.no_partial_fill_exchange(),
    "partial_fill": lambda asset: asset.partial_fill_exchange(),
}
_NEW: Final = int(CommandKind.NEW)
_CANCEL: Final = int(CommandKind.CANCEL)
_SETTLED: Final = {
    OrderState.LIVE: OrderState.LIVE,
    OrderState.PENDING_AMEND: OrderState.LIVE,
    OrderState.PENDING_CANCEL: OrderState.LIVE,
}


class Setting(NamedTuple):
    """What both sides run."""

    exchange: str
    queue: str
    latency: tuple[int, int] | npt.NDArray[np.int64]
    """Constant entry and response latency in ns; or rows of recorded ones, ``LATENCY_COLUMNS``."""
    inverse: bool = False


class Log(NamedTuple):
    """What one side came to."""

    changes: Rows
    """Of CHANGE, by step and order."""
    position: float
    """Lots; not of the oracle's partial fills, whose sum it leaves out."""
    balance: float
    fee: float
    steps: int
    """Actions before which it was seen; less than all where the oracle stopped."""


def two_sided(ticks: Rows, traded: Instrument) -> Rows:
    """TICK records as the oracle's events, each side's in its own order, and one that lets every answer arrive."""
    rows = event_rows(ticks, traded)
    last = np.zeros(1, oracle_types.event_dtype)
    last["ev"] = oracle_types.DEPTH_EVENT | oracle_types.BUY_EVENT | oracle_types.EXCH_EVENT | oracle_types.LOCAL_EVENT
    last["exch_ts"] = last["local_ts"] = max(rows["exch_ts"].max(), rows["local_ts"].max()) + 2 * QUIET_NS
    last["px"] = float(traded.tick)
    return np.concatenate([rows, last])


@numba.njit  # type: ignore[untyped-decorator]
def _note(hbt: Any, step: int, seen: Any, out: Any, count: int, lot_size: float) -> int:
    values = hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        status = order.status
        if status == NONE:
            continue
        leaves = round(order.leaves_qty / lot_size)
        if status == PARTIALLY_FILLED:
            if leaves == 0:
                return -1  # a dead order: the next trade at its price ends the run
            status = NEW
        at = order.order_id
        if seen[at, 0] == status and seen[at, 1] == leaves:
            continue
        seen[at, 0] = status
        seen[at, 1] = leaves
        out[count]["step"] = step
        out[count]["order_id"] = at
        out[count]["state"] = status
        out[count]["leaves"] = leaves
        count += 1
    return count


@numba.njit  # type: ignore[untyped-decorator]
def _act(hbt: Any, actions: Any, first_ts: int, tick_size: float, lot_size: float, seen: Any, out: Any) -> Any:
    now = first_ts
    count = 0
    for i in range(actions.shape[0] + 1):
        until = actions[i]["ts"] if i < actions.shape[0] else now + QUIET_NS
        if hbt.elapse(until - now) != 0:
            return i, count
        now = until
        found = _note(hbt, i, seen, out, count, lot_size)
        if found < 0:
            return i, count
        count = found
        if i == actions.shape[0]:
            break
        action = actions[i]
        order_id = action["order_id"]
        px = action["px"] * tick_size
        qty = action["qty"] * lot_size
        if action["kind"] == _NEW:
            if action["side"] > 0:
                hbt.submit_buy_order(0, order_id, px, qty, action["time_in_force"], action["order_type"], False)
            else:
                hbt.submit_sell_order(0, order_id, px, qty, action["time_in_force"], action["order_type"], False)
            continue
        order = hbt.orders(0).get(order_id)
        if order is None or not order.cancellable:
            continue
        if action["kind"] == _CANCEL:
            hbt.cancel(0, order_id, False)
        else:
            hbt.modify(0, order_id, px, qty, False)
    return actions.shape[0] + 1, count


def run_oracle(traded: Instrument, ticks: Rows, actions: Rows, setting: Setting) -> Log:
    """Run the actions against hftbacktest."""
    tick_size, lot_size = float(traded.tick), float(traded.lot)
    rows = two_sided(ticks, traded)
    asset = hftbacktest.BacktestAsset().data(rows)
    asset = asset.inverse_asset(float(traded.multiplier)) if setting.inverse else asset.linear_asset(1.0)
    asset = EXCHANGES[setting.exchange](QUEUES[setting.queue](asset))
    if isinstance(setting.latency, tuple):
        asset = asset.constant_order_latency(*setting.latency)
    else:
        recorded = np.zeros(len(setting.latency), [("req_ts", "i8"), ("exch_ts", "i8"), ("resp_ts", "i8"), ("_", "i8")])
        for at, name in enumerate(("req_ts", "exch_ts", "resp_ts")):
            recorded[name] = setting.latency[:, at]
        asset = asset.intp_order_latency(recorded)
    asset = (
        asset.trading_value_fee_model(0.0002, 0.0005).tick_size(tick_size).lot_size(lot_size).last_trades_capacity(0)
    )
    hbt = hftbacktest.HashMapMarketDepthBacktest([asset])
    seen = np.full((int(actions["order_id"].max()) + 1, 2), -1, np.int64)
    out = np.zeros(8 * len(actions) + 1_000, CHANGE)
    first_ts = min(int(rows["local_ts"].min()), int(rows["exch_ts"].min()))
    steps, count = _act(hbt, in_its_words(actions), first_ts, tick_size, lot_size, seen, out)
    changes = out[:count]
    changes["state"] = [STATES[int(status)] for status in changes["state"]]
    values = hbt.state_values(0)
    log = Log(
        np.sort(changes[changes["step"] < steps], order=["step", "order_id"]),
        values.position / lot_size,
        values.balance,
        values.fee,
        steps,
    )
    hbt.close()
    return log


def run_ours(traded: Instrument, ticks: Rows, actions: Rows, setting: Setting) -> Log:
    """Run the actions in our core, with the exchange on a clock of its own."""
    matching = {"model": setting.exchange, "queue": setting.queue, "queue_power": 3.0}
    core = build_core(settings_of(traded, matching=matching, reporting_currency=traded.settlement), two_clocks=True)
    st = core.st
    s = st[0]
    if isinstance(setting.latency, tuple):
        s["model"]["entry_latency_ns"], s["model"]["response_latency_ns"] = setting.latency
    else:
        s["model"]["latency_rows"] = setting.latency.ctypes.data
        s["model"]["latency_count"] = len(setting.latency)
    rows = exchange_order(ticks)
    set_exchange_rows(st, rows)
    taken = 0
    commands = np.zeros(len(actions), COMMAND)
    for name in ("kind", "order_id", "side", "px", "qty", "time_in_force", "order_type", "flags"):
        commands[name] = actions[name]
    commands["strategy"] = -1
    commands["source"] = RPC_CLIENT_BASE
    seen: dict[int, tuple[int, int]] = {}
    changes: list[tuple[int, int, int, int]] = []
    times = [*actions["ts"].tolist(), int(actions["ts"][-1]) + QUIET_NS]
    for i, ts in enumerate(times):
        end = int(np.searchsorted(ticks["local_ts"], ts, side="right"))
        for part in (ticks[taken:end], time_record(ts)):
            start = 0
            while start < len(part):
                start = engine.step_ticks(st, part, start, 0)
                _clear(s)
        taken = end
        orders = s["orders"][: s["orders_used"]]
        states = {}
        for order_id, state, qty, filled in zip(
            orders["order_id"].tolist(),
            orders["state"].tolist(),
            orders["qty"].tolist(),
            orders["filled_qty"].tolist(),
            strict=True,
        ):
            states[order_id] = state
            if state == OrderState.PENDING_NEW:
                continue
            now_is = int(_SETTLED.get(OrderState(state), state)), qty - filled
            if seen.get(order_id) != now_is:
                seen[order_id] = now_is
                changes.append((i, order_id, *now_is))
        if i == len(actions):
            break
        action = actions[i]
        if action["kind"] == CommandKind.NEW or states.get(int(action["order_id"])) == OrderState.LIVE:
            while engine.step_commands(st, commands[i : i + 1], 0) == 0:
                _clear(s)
            _clear(s)
    assert s["orders_refused"] == s["reports_ignored"] == 0
    position = s["positions"][0, 0, 0]
    found = np.sort(np.array(changes, CHANGE), order=["step", "order_id"])
    return Log(found, float(position["qty"]), position["cash"] / 1e8, position["fees"] / 1e8, len(times))


def _clear(s: Any) -> None:
    assert s["events_lost"] == 0
    s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0
