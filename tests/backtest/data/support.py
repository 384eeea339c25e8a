"""Records and files to try the sources on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtest.data.npz import BBO, BUY_EVENT, CLEAR, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT
from backtest.data.source import Block, Clock, Part, Reading, Source
from oms.config import Settings, load_settings
from oms.instruments import Instrument
from oms.records import TICK, TickFlag, TickKind
from tests.oms.core.builders import joined as joined_records

Ticks = npt.NDArray[np.void]

START_NS: Final = 1_700_000_000_000_000_000
MS: Final = 1_000_000

EVENT_ROW: Final = np.dtype(
    [
        ("ev", "<u8"),
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),
        ("px", "<f8"),
        ("qty", "<f8"),
        ("order_id", "<u8"),
        ("ival", "<i8"),
        ("fval", "<f8"),
    ]
)
BOTH: Final = EXCH_EVENT | LOCAL_EVENT
CODES: Final = {TickKind.DEPTH: 1, TickKind.TRADE: 2, TickKind.SNAPSHOT: 4, TickKind.QUOTE: BBO}
SIDES: Final = {1: BUY_EVENT, -1: SELL_EVENT, 0: 0}

__all__ = ["BOTH", "BUY_EVENT", "CLEAR", "EXCH_EVENT", "LOCAL_EVENT", "SELL_EVENT"]


def instrument(number: int = 0, tick: str = "0.1", lot: str = "0.001") -> Instrument:
    """A perpetual called ``TEST`` and its number."""
    return Instrument(
        id=number, symbol=f"TEST{number}", venue="venue", kind="linear_perpetual", quote="USDT", tick=tick, lot=lot
    )


def shipped_settings() -> Settings:
    return load_settings(None, {"replay": {"file": ""}})


def record(kind: TickKind = TickKind.TRADE, **fields: Any) -> Ticks:
    """One record that is a message by itself."""
    tick = np.zeros(1, TICK)
    tick["kind"] = kind
    tick["version"] = 1
    tick["flags"] = TickFlag.FIRST | TickFlag.LAST
    for name, value in {"exch_ts": START_NS, "local_ts": START_NS, "px": 100, "qty": 1, "side": 1, **fields}.items():
        tick[name] = value
    return tick


def message(kind: TickKind, levels: Sequence[tuple[int, int, int]], **fields: Any) -> Ticks:
    """Levels ``(side, px, qty)`` as one message."""
    ticks = np.concatenate([record(kind, side=s, px=p, qty=q, flags=0, **fields) for s, p, q in levels])
    ticks["flags"][0] |= TickFlag.FIRST
    ticks["flags"][-1] |= TickFlag.LAST
    return ticks


def event_rows(ticks: Ticks, tick: float = 0.1, lot: float = 0.001, flags: int = BOTH) -> Any:
    """Records as rows of hftbacktest: doubles, and flags for both sides."""
    rows = np.zeros(len(ticks), EVENT_ROW)
    for name in ("exch_ts", "local_ts"):
        rows[name] = ticks[name]
    rows["px"] = np.round(ticks["px"] * tick, 8)
    rows["qty"] = np.round(ticks["qty"] * lot, 8)
    rows["ev"] = [
        CODES[TickKind(int(kind))] | SIDES[int(side)] | flags
        for kind, side in zip(ticks["kind"], ticks["side"], strict=True)
    ]
    return rows


class ListSource(Source):
    """Records that lie in memory, in parts; their rows are counted from 1."""

    format = "list"
    marked = True

    def __init__(self, parts: Iterable[Ticks], traded: Instrument, kinds: Iterable[TickKind] = tuple(TickKind)) -> None:
        super().__init__(Path(f"list-{traded.symbol}"), traded)
        self.kinds = frozenset(kinds)
        self._parts = list(parts)

    def parts(self) -> Iterator[Part]:
        self.reading = Reading()
        for ticks in self._parts:
            yield Part(ticks, np.arange(self.reading.rows + 1, self.reading.rows + 1 + len(ticks)))
            self.reading.rows += len(ticks)


def all_ticks(source: Source) -> Ticks:
    """Everything that a source gives, in the order of receipt."""
    return joined([block.local for block in source.blocks()])


def joined(parts: Iterable[Ticks | None]) -> Ticks:
    return joined_records((part for part in parts if part is not None), TICK)


def check_cuts(blocks: Sequence[Block], clock: Clock) -> None:
    """Blocks keep what they promise: whole messages, in order, nothing before the cut of an earlier block."""
    until = 0
    for block in blocks:
        for ticks, stamp in ((block.local, "local_ts"), (block.exchange, "exch_ts")):
            if ticks is None or not len(ticks):
                continue
            assert (np.diff(ticks[stamp]) >= 0).all()
            assert ticks[stamp][0] >= until
            if clock == "dual":
                assert ticks[stamp][-1] < block.until
            check_whole(ticks)
        assert block.until >= until
        until = block.until


def check_whole(ticks: Ticks) -> None:
    """Every message has its first and its last record, and nothing stands between its records."""
    first = (ticks["flags"] & TickFlag.FIRST) != 0
    last = (ticks["flags"] & TickFlag.LAST) != 0
    assert first[0]
    assert last[-1]
    assert (first[1:] == last[:-1]).all()
