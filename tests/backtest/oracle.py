"""hftbacktest as an oracle: the same rows and the same orders through its exchange model without partial fills.

Exchange and local time are one here, so that its exchange acts in receive order as ours does with ``--clock local``.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import hftbacktest
import numba
import numpy as np
import numpy.typing as npt
from hftbacktest import types as oracle_types
from hftbacktest.order import CANCELED, EXPIRED, FILLED, GTC, GTX, IOC, LIMIT, MARKET, NEW, NONE
from hftbacktest.order import FOK as ORACLE_FOK

from oms.records import CommandKind, OrderFlag, OrderState, OrderType, TickFlag, TickKind, TimeInForce

Rows = npt.NDArray[np.void]

ACTION: Final = np.dtype(
    [
        ("ts", "i8"),
        ("kind", "i8"),  # CommandKind
        ("order_id", "i8"),
        ("side", "i8"),
        ("px", "i8"),  # ticks
        ("qty", "i8"),  # lots
        ("time_in_force", "i8"),
        ("order_type", "i8"),
        ("flags", "i8"),
    ]
)
"""Something to ask of the exchange at a time; rows are in order of time."""

OUTCOME: Final = np.dtype(
    [
        ("order_id", "i8"),
        ("state", "i8"),  # OrderState; LIVE when it rests
        ("ts", "i8"),  # when it ended at the exchange; 0 when it rests
        ("px", "i8"),
        ("qty", "i8"),
        ("maker", "i8"),
    ]
)
"""What became of an order; price, quantity and liquidity are those of its fill."""

STATES: Final = {
    NEW: OrderState.LIVE,
    EXPIRED: OrderState.EXPIRED,
    FILLED: OrderState.FILLED,
    CANCELED: OrderState.CANCELLED,
}
_NEW: Final = int(CommandKind.NEW)
_CANCEL: Final = int(CommandKind.CANCEL)
QUIET_NS: Final = 10_000_000_000
REQUOTE_NS: Final = 100_000_000


def oracle_rows(ticks: Rows, tick_size: float, lot_size: float, *, ending: bool = True) -> Rows:
    """TICK records as the oracle's events on one clock; the ``ending`` is an event that lets every answer arrive."""
    kept = ticks[np.isin(ticks["kind"], [TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.TRADE])]
    codes = np.zeros(max(TickKind) + 1, np.uint64)
    codes[TickKind.DEPTH] = oracle_types.DEPTH_EVENT
    codes[TickKind.SNAPSHOT] = oracle_types.DEPTH_SNAPSHOT_EVENT
    codes[TickKind.TRADE] = oracle_types.TRADE_EVENT
    everywhere = oracle_types.EXCH_EVENT | oracle_types.LOCAL_EVENT
    rows = np.zeros(len(kept), oracle_types.event_dtype)
    side = np.where(kept["side"] > 0, oracle_types.BUY_EVENT, oracle_types.SELL_EVENT).astype(np.uint64)
    rows["ev"] = codes[kept["kind"]] | side | np.uint64(everywhere)
    rows["exch_ts"] = rows["local_ts"] = kept["local_ts"]
    rows["px"] = kept["px"] * tick_size
    rows["qty"] = kept["qty"] * lot_size
    begins = np.flatnonzero((kept["kind"] == TickKind.SNAPSHOT) & (kept["flags"] & TickFlag.FIRST > 0))
    clears = np.zeros(len(begins), oracle_types.event_dtype)
    clears["ev"] = oracle_types.DEPTH_CLEAR_EVENT | everywhere
    clears["exch_ts"] = clears["local_ts"] = kept["local_ts"][begins]
    rows = np.insert(rows, begins, clears)
    if not ending:
        return rows
    last = np.zeros(1, oracle_types.event_dtype)
    last["ev"] = oracle_types.DEPTH_EVENT | oracle_types.BUY_EVENT | everywhere
    last["exch_ts"] = last["local_ts"] = rows["local_ts"][-1] + QUIET_NS
    last["px"] = tick_size
    return np.concatenate([rows, last])


def new_oracle(
    rows: Rows, tick_size: float, lot_size: float, entry_ns: int, response_ns: int, fees: tuple[float, float]
) -> Any:
    """The oracle over these rows: risk-averse queue, no partial fill, constant latency, fees on value."""
    asset = (
        hftbacktest.BacktestAsset()
        .data(rows)
        .linear_asset(1.0)
        .constant_order_latency(entry_ns, response_ns)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(*fees)
        .tick_size(tick_size)
        .lot_size(lot_size)
        .last_trades_capacity(0)
    )
    return hftbacktest.HashMapMarketDepthBacktest([asset])


@numba.njit  # type: ignore[untyped-decorator]
def _act(hbt: Any, actions: Any, first_ts: int, tick_size: float, lot_size: float) -> int:
    now = first_ts
    for i in range(actions.shape[0]):
        action = actions[i]
        if hbt.elapse(action["ts"] - now) != 0:
            return i + 1
        now = action["ts"]
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
        if order is None or order.status != NEW or order.req != NONE:
            continue
        if action["kind"] == _CANCEL:
            hbt.cancel(0, order_id, False)
        else:
            hbt.modify(0, order_id, px, qty, False)
    while hbt.elapse(QUIET_NS) == 0:
        pass
    return 0


@numba.njit  # type: ignore[untyped-decorator]
def _outcomes(hbt: Any, out: Any, lot_size: float) -> None:
    values = hbt.orders(0).values()
    i = 0
    while values.has_next():
        order = values.get()
        out[i]["order_id"] = order.order_id
        out[i]["state"] = order.status
        if order.status != NEW:
            out[i]["ts"] = order.exch_timestamp
        if order.status == FILLED:
            out[i]["px"] = order.exec_price_tick
            out[i]["qty"] = round(order.exec_qty / lot_size)
            out[i]["maker"] = order.arr[0].maker
        i += 1


class OracleRun(NamedTuple):
    """What came of a run: an OUTCOME row for each order by id, and the account in the oracle's floats."""

    outcomes: Rows
    position: float
    balance: float
    fee: float


def run_oracle(
    rows: Rows, actions: Rows, tick_size: float, lot_size: float, entry_ns: int, response_ns: int
) -> OracleRun:
    """Run the actions against the oracle."""
    hbt = new_oracle(rows, tick_size, lot_size, entry_ns, response_ns, (0.0002, 0.0005))
    failed = _act(hbt, in_its_words(actions), int(rows["local_ts"][0]), tick_size, lot_size)
    assert failed == 0, f"the oracle stopped at action {failed - 1}"
    out = np.zeros(int((actions["kind"] == _NEW).sum()), OUTCOME)
    _outcomes(hbt, out, lot_size)
    out["state"] = [STATES[int(status)] for status in out["state"]]
    values = hbt.state_values(0)
    run = OracleRun(np.sort(out, order="order_id"), values.position, values.balance, values.fee)
    hbt.close()
    return run


def in_its_words(actions: Rows) -> Rows:
    words = actions.copy()
    in_force = np.zeros(max(TimeInForce) + 1, np.int64)
    in_force[[TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]] = GTC, IOC, ORACLE_FOK
    post_only = actions["flags"] & OrderFlag.POST_ONLY > 0
    words["time_in_force"] = np.where(post_only, GTX, in_force[actions["time_in_force"]])
    words["order_type"] = np.where(actions["order_type"] == OrderType.MARKET, MARKET, LIMIT)
    return words


@numba.njit  # type: ignore[untyped-decorator]
def _requote(hbt: Any, out: Any, lot_size: float) -> tuple[int, int, int]:
    steps = 0
    order_id = 0
    fills = 0
    while hbt.elapse(REQUOTE_NS) == 0:
        steps += 1
        values = hbt.orders(0).values()
        while values.has_next():
            order = values.get()
            if order.status == FILLED:
                out[fills]["order_id"] = order.order_id
                out[fills]["state"] = FILLED
                out[fills]["ts"] = order.exch_timestamp
                out[fills]["px"] = order.exec_price_tick
                out[fills]["qty"] = round(order.exec_qty / lot_size) * order.arr[0].side
                out[fills]["maker"] = order.arr[0].maker
                fills += 1
            if order.cancellable:
                hbt.cancel(0, order.order_id, False)
        hbt.clear_inactive_orders(0)
        depth = hbt.depth(0)
        held = round(hbt.position(0) / lot_size)
        if held < 50:
            order_id += 1
            hbt.submit_buy_order(0, order_id, depth.best_bid, 10 * lot_size, GTX, LIMIT, False)
        if held > -50:
            order_id += 1
            hbt.submit_sell_order(0, order_id, depth.best_ask, 10 * lot_size, GTX, LIMIT, False)
    return steps, order_id, fills


class Requoting(NamedTuple):
    """What the known answer's strategy came to."""

    steps: int
    orders: int
    trades: int
    position: float
    balance: float
    fee: float
    fills: Rows
    """OUTCOME rows, the quantity signed; the few that were answered after the last step are not among them."""


def run_requoting(rows: Rows, tick_size: float, lot_size: float, latency_ns: int) -> Requoting:
    """Every 100 ms cancel all orders, then quote 10 lots post-only at both touches while the position is within 50."""
    hbt = new_oracle(rows, tick_size, lot_size, latency_ns, latency_ns, (0.0002, 0.0007))
    out = np.zeros(10_000, OUTCOME)
    steps, orders, fills = _requote(hbt, out, lot_size)
    values = hbt.state_values(0)
    found = Requoting(steps, orders, values.num_trades, values.position, values.balance, values.fee, out[:fills])
    hbt.close()
    return found
