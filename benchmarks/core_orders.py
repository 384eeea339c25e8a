"""Orders through the core alone: each command through every risk check and the state table, and its report behind it.

The mix is exchange-core's (published: 5 M operations/s on one core for risk and matching): 9 % new GTC orders, 3 % new
IOC orders that fill, 6 % cancels and 82 % amends, with about 1,000 orders live; as many resting orders are filled by
others as IOC orders come, so that the number stays. An operation is one command with its report, both events included.
Commands come in batches, as a drained socket gives them; the exchange's reports follow each batch.

The reference of the same run is the memory that an operation must move whatever it decides: one compiled loop that
copies a command, a report and two events, 128 bytes each.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from benchmarks._market import INSTRUMENT, WIDE_ACCOUNT, market_maker_settings
from oms.assembly import build_core
from oms.core.state import State, clear_outputs
from oms.engine import step_commands, step_reports, step_ticks
from oms.records import (
    BUY,
    COMMAND,
    ORDER_ID_COUNTER_BITS,
    REPORT,
    RPC_CLIENT_BASE,
    SELL,
    TICK,
    CommandKind,
    Liquidity,
    OrderType,
    ReportKind,
    TickFlag,
    TickKind,
    TimeInForce,
)

LIVE: Final = 980
OPERATIONS: Final = 500_000
REPEATS: Final = 5
PUBLISHED: Final = 5_000_000.0
"""Operations/s that exchange-core publishes for this mix."""
MIX: Final = {"new": 23, "ioc": 8, "cancel": 15, "amend": 210}
"""Of the operations of a batch; with each IOC order a resting one is filled, so that as many come as go."""
MID_PX: Final = 600_000
BATCH: Final = sum(MIX.values())
START_TS: Final = 1_723_075_200_000_000_000
RISK: Final[dict[str, Any]] = {
    "max_order_qty": "500",
    "max_order_notional": "40000000000",
    "price_collar": "0.02",
    "max_position": "2000000",
    "max_open_orders": 1_024,
    "max_orders_per_second": 1_000_000_000,
    "max_book_age_ms": 5_000,
    "duplicate_window_ms": 10,
}

Records = npt.NDArray[np.void]


class Workload(NamedTuple):
    """Batches of commands, and the reports that follow each."""

    commands: list[Records]
    reports: list[Records]


class Flow:
    """Makes the commands and reports, as an exchange that accepts everything would answer them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._live: list[tuple[int, int, int]] = []  # id, side, qty
        self._counter = 0
        self._trade = 0
        self._ts = START_TS

    def _terms(self, side: int) -> dict[str, int]:
        px = MID_PX - side * self._random.randrange(5, 4_000)
        return {"side": side, "px": px, "qty": 10 + self._counter % 4_093}

    def _command(self, kind: CommandKind, order_id: int, **fields: int) -> dict[str, int]:
        base = {"kind": kind, "order_id": order_id, "strategy": -1, "source": RPC_CLIENT_BASE}
        return {**base, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, **fields}

    def _report(self, kind: ReportKind, order_id: int, **fields: int) -> dict[str, int]:
        return {"kind": kind, "order_id": order_id, "ts": self._ts, "exch_ts": self._ts, **fields}

    def _fill(self, order_id: int, side: int, px: int, qty: int, liquidity: Liquidity) -> dict[str, int]:
        self._trade += 1
        fields = {"side": side, "px": px, "qty": qty, "liquidity": liquidity, "trade_id": self._trade}
        return self._report(ReportKind.FILL, order_id, **fields)

    def _new(self) -> tuple[dict[str, int], dict[str, int]]:
        self._counter += 1
        order_id = RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS | self._counter
        side = BUY if self._counter & 1 else SELL
        terms = self._terms(side)
        self._live.append((order_id, side, terms["qty"]))
        return self._command(CommandKind.NEW, order_id, **terms), self._report(ReportKind.ACCEPTED, order_id)

    def _ioc(self) -> tuple[dict[str, int], dict[str, int]]:
        self._counter += 1
        order_id = RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS | self._counter
        side = BUY if self._counter & 1 else SELL
        terms = {"side": side, "px": MID_PX - side * 4, "qty": 10 + self._counter % 4_093}
        command = self._command(CommandKind.NEW, order_id, **{**terms, "time_in_force": TimeInForce.IOC})
        return command, self._fill(order_id, side, terms["px"], terms["qty"], Liquidity.TAKER)

    def batch(self) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
        """One batch of operations, none about an order that an earlier one of the batch is about."""
        self._ts += 20_000
        chosen = [kind for kind, count in MIX.items() for _ in range(count)]
        self._random.shuffle(chosen)
        about = self._random.sample(range(len(self._live)), BATCH)
        commands, reports, gone = [], [], set()
        for kind in chosen:
            if kind == "new":
                made = self._new()
            elif kind == "ioc":
                made = self._ioc()
                at = about.pop()  # somebody takes a resting order of ours
                order_id, side, qty = self._live[at]
                gone.add(at)
                reports.append(self._fill(order_id, side, MID_PX - side * 5, qty, Liquidity.MAKER))
            else:
                at = about.pop()
                order_id, side, qty = self._live[at]
                if kind == "cancel":
                    gone.add(at)
                    command = self._command(CommandKind.CANCEL, order_id)
                    made = command, self._report(ReportKind.CANCELLED, order_id)
                else:
                    px = MID_PX - side * self._random.randrange(5, 4_000)
                    command = self._command(CommandKind.AMEND, order_id, px=px)
                    made = command, self._report(ReportKind.AMENDED, order_id, px=px, qty=qty)
            commands.append(made[0])
            reports.append(made[1])
        self._live = [each for at, each in enumerate(self._live) if at not in gone]
        return commands, reports

    def opening(self) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
        """The orders that are live at the start."""
        made = [self._new() for _ in range(LIVE)]
        return [command for command, _ in made], [report for _, report in made]


def records(rows: list[dict[str, int]], dtype: np.dtype[np.void]) -> Records:
    """Dictionaries of fields as an array."""
    found = np.zeros(len(rows), dtype)
    for name in {name for row in rows for name in row}:
        found[name] = [row.get(name, 0) for row in rows]
    return found


def workload(operations: int = OPERATIONS, seed: int = 1) -> Workload:
    """The opening orders in batch 0, then batches of the mix."""
    flow = Flow(seed)
    batches = [flow.opening(), *(flow.batch() for _ in range(operations // BATCH))]
    return Workload(
        [records(commands, COMMAND) for commands, _ in batches], [records(reports, REPORT) for _, reports in batches]
    )


def new_core() -> State:
    """A core with one instrument, its book synced, every limit set, and an exchange that the benchmark plays."""
    settings = market_maker_settings(
        "",
        strategies=[],
        accounts={"paper": WIDE_ACCOUNT},
        risk={INSTRUMENT: RISK},
    )
    core = build_core(settings)
    core.st["external"] = 1
    book = np.zeros(2, TICK)
    book["kind"] = TickKind.SNAPSHOT
    book["local_ts"] = book["exch_ts"] = START_TS
    book["side"] = (1, -1)
    book["px"] = (MID_PX - 4, MID_PX + 4)
    book["qty"] = 1_000
    book["flags"] = (TickFlag.FIRST, TickFlag.LAST)
    step_ticks(core.st, book, 0, 0)
    trade = book[:1].copy()
    trade["kind"], trade["px"], trade["flags"] = TickKind.TRADE, MID_PX, TickFlag.FIRST | TickFlag.LAST
    step_ticks(core.st, trade, 0, 0)
    clear_outputs(core.st)
    return core.st


def drive(st: State, load: Workload, first: int, last: int) -> None:
    """Step batches ``first`` to ``last``; the outputs are emptied as the host does."""
    for at in range(first, last):
        for step, rows in ((step_commands, load.commands[at]), (step_reports, load.reports[at])):
            start = 0
            while start < len(rows):
                start = step(st, rows, start)
                clear_outputs(st)


@numba.njit  # type: ignore[untyped-decorator]
def _copy(target: Any, source: Any, operations: int) -> None:  # pragma: no cover
    rows = target.shape[0]
    for i in range(operations):
        for part in range(4):
            at = (4 * i + part) % rows
            for word in range(16):
                target[at, word] = source[at, word]


def _copies_per_s(operations: int) -> float:
    """Operations/s of the memory alone."""
    source = np.arange(16_384 * 16, dtype=np.int64).reshape(-1, 16)
    target = np.zeros_like(source)
    _copy(target, source, 1_000)
    start = time.perf_counter()
    _copy(target, source, operations)
    return operations / (time.perf_counter() - start)


def measure() -> Iterator[dict[str, Any]]:
    """Operations per second, and what was refused: nothing."""
    load = workload()
    operations = BATCH * (len(load.commands) - 1)
    ours, memory, live = [], [], 0
    for _ in range(REPEATS):
        st = new_core()
        drive(st, load, 0, 1)
        start = time.perf_counter()
        drive(st, load, 1, len(load.commands))
        ours.append(operations / (time.perf_counter() - start))
        memory.append(_copies_per_s(operations))
        s = st[0]
        if s["orders_refused"] or s["reports_ignored"] or s["events_lost"]:
            raise RuntimeError(f"{s['orders_refused']} refused, {s['reports_ignored']} reports ignored: no such mix")
        live = int(s["open_orders"])
    yield {
        "name": "core_orders",
        "unit": "operations/s",
        "ours": median(ours),
        "reference": median(memory),
        "reference_name": "copying the four records of an operation, same run",
        "ratio": median(ours) / median(memory),
        "details": {
            "to_published_exchange_core": median(ours) / PUBLISHED,
            "ns_an_operation": 1e9 / median(ours),
            "live_orders_at_the_end": live,
            "operations": operations,
            "ours_all": ours,
            "reference_all": memory,
        },
    }
