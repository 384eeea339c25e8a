"""Execution algorithms in the core: live parent orders beside the ticks, and what those cost that have nothing to do.

Parents that have something to do are the mix of ``benchmarks._parents``. The exchange model fills them, so that
children, reports, risk and PnL are part of the figure. Parents that rest at the touch and follow it ask for an amend
each when it has moved away from them; ten of them are measured apart.

The reference is the same ticks through the same core without any parent order, in the same run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

import numpy as np

from benchmarks._market import WIDE_ACCOUNT, Ticks, market_maker_settings, recorded_ticks
from benchmarks._parents import IDLE, MIX, PEGS, Mix, parent_orders
from oms.assembly import Core, build_core
from oms.config import Settings
from oms.core.state import BID, clear_outputs
from oms.engine import step_commands, step_ticks, take_terms
from oms.records import (
    TickKind,
)

INSTRUMENTS: Final = 100
PARENTS: Final = 1_000
IDLE_PARENTS: Final = 10
TICKS_EACH: Final = 10_000
"""Ticks of each of the instruments; one instrument alone gets the whole recording."""
REPEATS: Final = 5
ACCOUNTS: Final = 4
"""Of one account no more orders may be open in an instrument than ``MAX_OPEN_ORDERS``."""
RISK: Final[dict[str, Any]] = {
    "max_order_qty": "1000",
    "max_order_notional": "40000000000",
    "price_collar": "0.05",
    "max_position": "2000000",
    "max_open_orders": 1_024,
    "max_orders_per_second": 1_000_000_000,
    "max_book_age_ms": 60_000,
    "duplicate_window_ms": 0,
    "self_trade": "allow",
}


def settings_of(data_dir: str, instruments: int) -> Settings:
    """Settings with so many instruments like the recorded one, traded by ``ACCOUNTS`` accounts."""
    symbols = [f"S{number:03d}USDT" for number in range(instruments)]
    like = market_maker_settings(data_dir).instrument("BTCUSDT.binance_usdm")
    return market_maker_settings(
        data_dir,
        accounts={f"a{number}": WIDE_ACCOUNT for number in range(ACCOUNTS)},
        account="a0",
        strategies=[],
        instruments=[
            {
                "id": number,
                "symbol": symbol,
                "venue": "binance_usdm",
                "kind": "linear_perpetual",
                "tick": like.tick,
                "lot": like.lot,
                "maker_fee_rate": "0.0002",
                "taker_fee_rate": "0.0005",
            }
            for number, symbol in enumerate(symbols)
        ],
        risk={f"{symbol}.binance_usdm": RISK for symbol in symbols},
    )


def spread(ticks: Ticks, instruments: int) -> Ticks:
    """The same ticks for each instrument, merged by time."""
    if instruments == 1:
        return ticks
    part = ticks[:TICKS_EACH]
    out = np.repeat(part, instruments)
    out["instrument"] = np.tile(np.arange(instruments), len(part))
    messages = np.cumsum((part["flags"] & 1) != 0)  # a message's records stay together
    order = np.lexsort((np.arange(len(out)) // instruments, out["instrument"], np.repeat(messages, instruments)))
    merged: Ticks = out[order]
    return merged


def begin(core: Core, ticks: Ticks) -> int:
    """Step the first snapshot of every instrument; returns the row behind it."""
    last = np.flatnonzero((ticks["kind"] == TickKind.SNAPSHOT) & ((ticks["flags"] & 2) != 0))
    seen: set[int] = set()
    for row in last.tolist():
        seen.add(int(ticks["instrument"][row]))
        if len(seen) == len(np.unique(ticks["instrument"])):
            run(core, ticks[: row + 1])
            return int(row) + 1
    raise RuntimeError("an instrument has no snapshot")


def run(core: Core, ticks: Ticks) -> float:
    """Step the ticks as the host does; returns the seconds."""
    start = time.perf_counter()
    row = 0
    while row < len(ticks):
        row = step_ticks(core.st, ticks, row, 0)
        clear_outputs(core.st)
    return time.perf_counter() - start


def start_parents(core: Core, count: int, instruments: int, mix: Mix) -> None:
    """Place so many parent orders, of which none may be refused."""
    s = core.st[0]
    touches = {number: int(s["books"][number]["best"][BID]) for number in range(instruments)}
    terms, commands = parent_orders(count, instruments, ACCOUNTS, mix, touches)
    for at in range(count):
        take_terms(core.st, terms[at : at + 1])
        step_commands(core.st, commands[at : at + 1], 0)
        clear_outputs(core.st)
    if s["parents_open"] != count:
        raise RuntimeError(f"{s['parents_open']} of {count} parent orders are live: {s['orders_refused']} refused")


def rates(
    settings: Settings, ticks: Ticks, parents: int, instruments: int, mix: Mix
) -> tuple[list[float], list[float], dict[str, int]]:
    """Ticks/s with and without parents, in turn, and what the parents came to in the last run."""
    ours: list[float] = []
    reference: list[float] = []
    came_to: dict[str, int] = {}
    for _ in range(REPEATS):
        for count, into in ((parents, ours), (0, reference)):
            core = build_core(settings)
            row = begin(core, ticks)
            start_parents(core, count, instruments, mix)
            into.append((len(ticks) - row) / run(core, ticks[row:]))
            s = core.st[0]
            if s["events_lost"]:
                raise RuntimeError("events were lost")
            if count:
                came_to = {
                    "live_at_the_end": int(s["parents_open"]),
                    "children": int(s["orders_sent"]),
                    "refused": int(s["orders_refused"]),
                    "fills": int(s["fills"]),
                }
    return ours, reference, came_to


def measure() -> Iterator[dict[str, Any]]:
    """Ticks per second with 1,000 parents over 100 instruments and on one, and what 10 idle ones cost."""
    recorded = recorded_ticks()
    cases = (
        ("core_algos_100_instruments", PARENTS, INSTRUMENTS, MIX),
        ("core_algos_one_instrument", PARENTS, 1, MIX),
        ("core_algos_pegs", 10, 1, PEGS),
        ("core_algos_idle", IDLE_PARENTS, 1, IDLE),
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, parents, instruments, mix in cases:
            settings = settings_of(folder, instruments)
            ticks = spread(recorded, instruments)
            ours, reference, came_to = rates(settings, ticks, parents, instruments, mix)
            paired = [mine / other for mine, other in zip(ours, reference, strict=True)]
            yield {
                "name": name,
                "unit": "ticks/s",
                "ours": median(ours),
                "reference": median(reference),
                "reference_name": "the same ticks without parent orders, same run",
                "ratio": median(paired),
                "details": {
                    "parents": parents,
                    "ticks": len(ticks),
                    **came_to,
                    "cost_of_a_tick": 1 / median(paired) - 1,
                    "each_pair": [round(each, 3) for each in paired],
                },
            }
