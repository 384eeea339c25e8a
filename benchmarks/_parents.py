"""Parent orders for benchmarks: a mix that firms run, as the records that ask for them.

Schedules (TWAP, VWAP, POV) are at work, icebergs rest behind the touch, snipers and stops wait for their price.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from benchmarks._market import Ticks
from oms.algorithms import read_algorithms
from oms.records import (
    BUY,
    COMMAND,
    ORDER_ID_COUNTER_BITS,
    RPC_CLIENT_BASE,
    SELL,
    TERMS,
    CommandKind,
    OrderType,
    TimeInForce,
    Trigger,
)

QTY: Final = 400
STOP_TICKS: Final = 4_000
"""How far from the market stops are."""


class Kind(NamedTuple):
    """One kind of parent order of a mix."""

    algorithm: str
    behind: int = 0
    """Ticks between the touch and its limit; 0: it has none."""
    parameters: Mapping[str, float] = MappingProxyType({})


Mix = tuple[Kind, ...]

MIX: Final[Mix] = (
    Kind("twap", 0, {"duration_s": 60.0, "slices": 30.0}),
    Kind("vwap", 0, {"duration_s": 60.0}),
    Kind("pov", 0, {"rate": 0.01}),
    Kind("iceberg", 20, {"display_lots": 10.0}),
    Kind("sniper", 400),
    Kind("stop"),
)
PEGS: Final[Mix] = (Kind("best-limit", 0, {"tolerance_ticks": 20.0}),)
IDLE: Final[Mix] = (Kind("sniper", 4_000),)


def parent_orders(
    count: int, instruments: int, accounts: int, mix: Mix, touches: dict[int, int]
) -> tuple[Ticks, Ticks]:
    """TERMS and COMMAND records of so many parents: the kinds of the mix in turn, over instruments, sides and accounts.

    Parameters
    ----------
    touches : dict of int to int
        A price near the market of each instrument, ticks.
    """
    known = read_algorithms(())
    terms, commands = np.zeros(count, TERMS), np.zeros(count, COMMAND)
    terms["routes"] = -1
    for number in range(count):
        kind = mix[number % len(mix)]
        turn = number // len(mix)
        instrument = turn % instruments
        side = BUY if turn // instruments % 2 else SELL
        px = touches[instrument]
        trigger = {"trigger_ticks": float(px + STOP_TICKS * side)} if kind.algorithm == "stop" else {}
        values = known[kind.algorithm].values({**kind.parameters, **trigger})
        terms[number]["algorithm"] = known[kind.algorithm].id
        terms[number]["parameters"][: len(values)] = values
        command = commands[number]
        command["order_type"] = OrderType.LIMIT if kind.behind else OrderType.MARKET
        command["px"] = px - side * kind.behind if kind.behind else 0
        command["side"] = side
        command["instrument"] = instrument
        command["account"] = number % accounts
    commands["kind"] = CommandKind.NEW
    commands["time_in_force"] = TimeInForce.GTC
    commands["trigger"] = Trigger.ALGORITHM
    commands["qty"] = QTY
    commands["strategy"] = -1
    commands["source"] = RPC_CLIENT_BASE
    commands["order_id"] = terms["order_id"] = (RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS) + 1 + np.arange(count)
    return terms, commands
