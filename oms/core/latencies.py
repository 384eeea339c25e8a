"""How long a request is under way to the exchange model, and its answer back.

Constant; or with a share of the feed's latency, which grows when the venue is busy; or as recorded of real orders, with
what lies between two of them interpolated on a straight line (as hftbacktest's interpolated order latency does).
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel, read_int64
from oms.core.state import Record

_REQUEST: Final = 0
_EXCHANGE: Final = 1
_COLUMNS: Final = 3


@kernel
def recorded_time(model: Record, row: int, column: int) -> int:
    """One time of a recorded order: of its request, its arrival at the exchange, or its answer's arrival."""
    return read_int64(model["latency_rows"], row * _COLUMNS + column)


@kernel
def recorded_latency(model: Record, column: int, ts: int) -> int:
    """Latency from ``column`` to the next one at time ``ts`` there; outside all rows, that of the nearest."""
    low = 0
    high = model["latency_count"] - 1
    first_ns = recorded_time(model, low, column + 1) - recorded_time(model, low, column)
    if ts < recorded_time(model, low, column):
        return first_ns
    last_ns = recorded_time(model, high, column + 1) - recorded_time(model, high, column)
    if ts >= recorded_time(model, high, column):
        return last_ns
    while high - low > 1:
        middle = (low + high) >> 1
        if recorded_time(model, middle, column) <= ts:
            low = middle
        else:
            high = middle
    before = recorded_time(model, low, column)
    after = recorded_time(model, high, column)
    before_ns = recorded_time(model, low, column + 1) - before
    after_ns = recorded_time(model, high, column + 1) - after
    return int((after_ns - before_ns) / float(after - before) * (ts - before)) + before_ns


@kernel
def feed_latency(s: Record, instrument: int) -> int:
    """How long the instrument's newest message was under way."""
    book = s["books"][instrument]
    return max(book["local_ts"] - book["exch_ts"], 0)


@kernel
def latency(s: Record, instrument: int, constant_ns: int, column: int) -> int:
    """Latency from ``column`` to the next one now, in ns."""
    model = s["model"]
    if model["latency_count"] > 0:
        return constant_ns + recorded_latency(model, column, s["now"])
    if model["feed_factor"] > 0.0:
        return constant_ns + int(model["feed_factor"] * feed_latency(s, instrument))
    return constant_ns


@kernel
def entry_latency(s: Record, instrument: int) -> int:
    """From the core to the exchange, now."""
    return latency(s, instrument, s["model"]["entry_latency_ns"], _REQUEST)


@kernel
def response_latency(s: Record, instrument: int) -> int:
    """From the exchange to the core, now."""
    return latency(s, instrument, s["model"]["response_latency_ns"], _EXCHANGE)
