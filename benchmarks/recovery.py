"""Recovery: a journal of ten million records, read, checked and applied until the state is what it was.

The journal is what the core's loop writes under load: each step's reports, requests and events as entries of their own,
some tens of records each, on the mix of ``core_orders`` (new, amend, cancel, fill). The reference is reading the same
files from start to end and taking zlib's checksum of each byte, in the same run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np

from oms import engine
from oms.compiled import compile_entries
from oms.core.state import State, define_account, define_instrument, new_state
from oms.durable import differences
from oms.instruments import Instrument
from oms.journal import Direction, Journal, segments
from oms.records import (
    CASH_SCALE,
    COMMAND,
    ORDER_ID_COUNTER_BITS,
    REPORT,
    RPC_CLIENT_BASE,
    TICK,
    CommandKind,
    Liquidity,
    OrderType,
    RecordKind,
    ReportKind,
    TickFlag,
    TickKind,
    TimeInForce,
    TradingState,
)
from oms.replay import Replay

RECORDS: Final = 10_000_000
BOUND_S: Final = 5.0
BATCH: Final = 64
"""Commands that the loop finds at a time."""
LIVE: Final = 1_000
SESSION: Final = 1_795_000_000_000_000_000
READ_BYTES: Final = 1024 * 1024
START_TS: Final = 1_723_075_200_000_000_000
PX: Final = 600_000
Records = np.ndarray[Any, np.dtype[np.void]]

PERPETUAL: Final = Instrument(
    id=0, symbol="BTCUSDT", venue="binance_usdm", kind="linear_perpetual", tick="0.1", lot="0.001"
)


def new_core() -> State:
    """A core with one instrument, wide limits, and a book of one level each side."""
    st = new_state()
    define_account(st, 0, TradingState.ACTIVE)
    define_instrument(st, PERPETUAL)
    limits = st[0]["limits"][0, 0]
    limits["defined"] = 1
    for name, value in {
        "max_order_qty": 2**30,
        "max_order_notional": 2**62,
        "collar_rate": CASH_SCALE,
        "max_position": 2**31 - 1,
        "max_open_orders": 2**20,
        "order_interval_ns": 0,
    }.items():
        limits[name] = value
    st[0]["external"] = 1
    return st


def open_market(st: State) -> None:
    ticks = np.zeros(2, TICK)
    ticks["kind"] = TickKind.SNAPSHOT
    ticks["local_ts"] = START_TS
    ticks["side"] = (1, -1)
    ticks["px"] = (PX, PX + 1)
    ticks["qty"] = 1_000
    ticks["flags"] = (TickFlag.FIRST, TickFlag.LAST)
    engine.step_ticks(st, ticks, 0, 0)


class Load:
    """Commands on the mix, and the reports that answer them; about ``LIVE`` orders are open."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._live: list[int] = []
        self._counter = 0
        self._trades = 0

    def commands(self) -> Records:
        """A batch: 82 % amend, 9 % new GTC, 3 % new IOC, 6 % cancel; new ones until there are enough."""
        out = np.zeros(BATCH, COMMAND)
        out["source"] = RPC_CLIENT_BASE
        out["strategy"] = -1
        out["side"] = 1
        out["order_type"] = OrderType.LIMIT
        out["time_in_force"] = TimeInForce.GTC
        draws = self._random.random(BATCH)
        picks = self._random.integers(0, 1 << 30, BATCH)
        ended: set[int] = set()
        for i, draw in enumerate(draws.tolist()):
            row = out[i]
            live = self._live
            if draw < 0.12 or len(live) < LIVE // 2:
                self._counter += 1
                row["kind"] = CommandKind.NEW
                row["order_id"] = RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS | self._counter
                row["px"] = PX - 1 - picks[i] % 500
                row["qty"] = 10
                if draw < 0.03:
                    row["time_in_force"] = TimeInForce.IOC
                    row["side"] = 1 if self._counter % 2 else -1
                else:
                    live.append(int(row["order_id"]))
                continue
            at = int(picks[i]) % len(live)
            row["order_id"] = live[at]
            if draw < 0.18 and len(live) >= LIVE and live[at] not in ended:
                row["kind"] = CommandKind.CANCEL
                ended.add(live[at])
                live[at] = live[-1]
                live.pop()
            else:
                row["kind"] = CommandKind.AMEND
                row["px"] = PX - 1 - picks[i] % 400
        return out

    def answers(self, sent: Records) -> Records:
        """What an exchange says to the requests that left."""
        out = np.zeros(len(sent), REPORT)
        for name in ("order_id", "side", "instrument", "account", "px", "qty"):
            out[name] = sent[name]
        out["ts"] = out["exch_ts"] = sent["ts"] + 1
        kind = sent["kind"]
        is_ioc = (kind == CommandKind.NEW) & (sent["time_in_force"] == TimeInForce.IOC)
        out["kind"] = np.select(
            [is_ioc, kind == CommandKind.NEW, kind == CommandKind.AMEND],
            [ReportKind.FILL, ReportKind.ACCEPTED, ReportKind.AMENDED],
            ReportKind.CANCELLED,
        )
        fills = np.flatnonzero(is_ioc)
        out["trade_id"][fills] = self._trades + 1 + np.arange(len(fills))
        out["liquidity"][fills] = Liquidity.TAKER
        self._trades += len(fills)
        return out


def write_journal(folder: Path, records: int) -> tuple[State, int]:
    """Drive a core as its loop does, until the journal has so many records; returns the state and their number."""
    st = new_core()
    journal = Journal.create(folder, SESSION, "os", "paper")
    load = Load(7)
    open_market(st)
    s = st[0]
    written = 0

    def flush() -> Records:
        nonlocal written
        sent: Records = s["commands"][: s["command_count"]].copy()
        for kind, direction, name in (
            (RecordKind.REPORT, Direction.INPUT, "report"),
            (RecordKind.COMMAND, Direction.OUTPUT, "command"),
            (RecordKind.EVENT, Direction.EVENT, "event"),
        ):
            written += int(s[f"{name}_count"])
            journal.append(kind, direction, s[f"{name}s"][: s[f"{name}_count"]])
            s[f"{name}_count"] = 0
        journal.commit()
        return sent

    flush()
    while written < records:
        commands = load.commands()
        commands["ts"] = s["now"]
        journal.append(RecordKind.COMMAND, Direction.INPUT, commands)
        written += len(commands)
        assert engine.step_commands(st, commands, 0) == len(commands)
        answers = load.answers(flush())
        assert engine.step_reports(st, answers, 0) == len(answers)
        flush()
    journal.close()
    return st, written


def read_all(files: list[Path]) -> float:
    """Read the files and take their checksum; returns the seconds."""
    start = time.perf_counter()
    for path in files:
        checksum = 0
        with open(path, "rb", buffering=0) as file:
            while block := file.read(READ_BYTES):
                checksum = crc32(block, checksum)
    return time.perf_counter() - start


def measure() -> Iterator[dict[str, Any]]:
    """Seconds from the journal's files to the state."""
    compile_entries()
    with tempfile.TemporaryDirectory(prefix="zoms-recovery-", dir=os.environ.get("ZOMS_BENCH_DIR")) as name:
        folder = Path(name)
        live, records = write_journal(folder, int(os.environ.get("ZOMS_BENCH_RECORDS", RECORDS)))
        files = segments(folder, SESSION)
        size = sum(path.stat().st_size for path in files)
        reference_s = min(read_all(files) for _ in range(2))
        again = new_core()
        start = time.perf_counter()
        done = Replay(again).session(folder, SESSION)
        elapsed_s = time.perf_counter() - start
        wrong = list(differences(live, again, every_input=False))
        if wrong or done.records < records:
            raise RuntimeError(f"{done.records} of {records} records were replayed, with these differences: {wrong}")
        reference_s = min(reference_s, read_all(files))
    yield {
        "name": "recovery",
        "unit": "s",
        "ours": elapsed_s,
        "reference": reference_s,
        "reference_name": "reading the files with zlib.crc32",
        "ratio": elapsed_s / reference_s,
        "details": {
            "records": records,
            "of them events": done.events,
            "MB": size / 1e6,
            "records/s": records / elapsed_s,
            "read and checked s": done.check_s,
            "applied and compared s": done.apply_s,
            "bound s": BOUND_S,
        },
    }
