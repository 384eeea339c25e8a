"""The engine's entries, which Python calls."""

from __future__ import annotations

from typing import Final

from numba import types

from gateways.sandbox.engine.background import on_tick
from gateways.sandbox.engine.prices import NO_RANK, best_rank, next_rank
from gateways.sandbox.engine.queue import find_level, level_px, visible_qty
from gateways.sandbox.engine.records import (
    MAX_OUTCOMES,
    OPERATION,
    OUTCOMES_OF_ONE,
    QUANTITY_AT,
    STATE,
    Record,
    State,
)
from gateways.sandbox.engine.requests import operate
from oms.compiled import (
    JIT,
    ORDER_WAY,
    SANDBOX_CACHES,
    SANDBOX_SOURCES,
    array_of,
    entry,
    kernel,
    kernel_sources,
    open_cache,
)
from oms.records import TICK

_CACHE: Final = open_cache(kernel_sources(patterns=SANDBOX_SOURCES), SANDBOX_CACHES) if JIT else None


@kernel
def has_outcome_room(s: Record) -> bool:
    """True when there is room for whatever one more operation brings."""
    return bool(s["outcome_count"] <= MAX_OUTCOMES - OUTCOMES_OF_ONE)


@entry(
    lambda: types.int64(array_of(STATE), array_of(OPERATION, readonly=True), types.int64),
    inlines=ORDER_WAY,
    cache=_CACHE,
)
def match_operations(st: State, operations: State, start: int) -> int:
    """Do operations from ``start`` on, as long as there is room for outcomes; returns the first that is not done."""
    s = st[0]
    s["outcome_count"] = 0
    at = start
    while at < len(operations) and has_outcome_room(s):
        operate(s, operations[at])
        at += 1
    return at


@entry(lambda: types.int64(array_of(STATE), array_of(TICK, readonly=True), types.int64), cache=_CACHE)
def match_ticks(st: State, ticks: State, start: int) -> int:
    """Take records of the stream from ``start`` on, as ``match_operations`` does."""
    s = st[0]
    s["outcome_count"] = 0
    at = start
    while at < len(ticks) and has_outcome_room(s):
        on_tick(s, ticks[at])
        at += 1
    return at


@entry(lambda: types.int64(array_of(STATE), types.int64, array_of(QUANTITY_AT)), cache=_CACHE)
def read_levels(st: State, side: int, out: State) -> int:
    """Fill ``out`` with the visible levels of a side, best first; returns how many there are."""
    s = st[0]
    count = 0
    rank = best_rank(s, side)
    while rank != NO_RANK and count < len(out):
        level = s["levels"][find_level(s, side, rank)]
        out[count]["px"] = level_px(s, level)
        out[count]["qty"] = visible_qty(level)
        count += 1
        rank = next_rank(s, side, rank)
    return count
