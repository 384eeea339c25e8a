"""Order and cancel rates: token buckets per instrument, account and strategy.

A bucket is kept as the time at which it will be full again (generic cell rate algorithm, ITU-T I.371): one request
moves that time by one interval, and it may lie at most one second ahead.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.state import Record
from oms.core.trading import scope_of_strategy

RATE_WINDOW_NS: Final = 1_000_000_000


@kernel
def bucket_after(full_ts: int, interval_ns: int, now: int) -> int:
    """When a bucket will be full again after one more request; after several, with as many intervals."""
    return max(full_ts, now) + interval_ns


@kernel
def has_tokens(s: Record, scope: int, instrument: int, count: int) -> bool:
    """True when the scope's bucket and its bucket of the instrument each hold ``count`` tokens."""
    now = s["now"]
    latest = now + RATE_WINDOW_NS
    sums = s["scopes"][scope]
    limits = s["limits"][scope, instrument]
    return bool(
        bucket_after(limits["rate_ts"], limits["order_interval_ns"] * count, now) <= latest
        and bucket_after(sums["rate_ts"], sums["order_interval_ns"] * count, now) <= latest
    )


@kernel
def take_tokens(s: Record, scope: int, instrument: int) -> None:
    """Take a token of each of the scope's two buckets."""
    now = s["now"]
    sums = s["scopes"][scope]
    limits = s["limits"][scope, instrument]
    limits["rate_ts"] = bucket_after(limits["rate_ts"], limits["order_interval_ns"], now)
    sums["rate_ts"] = bucket_after(sums["rate_ts"], sums["order_interval_ns"], now)


@kernel
def has_rate_tokens(s: Record, account: int, strategy: int, instrument: int, count: int) -> bool:
    """True when every bucket that an order concerns holds ``count`` tokens."""
    if not has_tokens(s, account, instrument, count):
        return False
    return bool(strategy < 0 or has_tokens(s, scope_of_strategy(strategy), instrument, count))


@hot_kernel
def take_rate_tokens(s: Record, account: int, strategy: int, instrument: int) -> bool:
    """Take a token of every bucket that an order concerns, or of none and return False when one is empty."""
    if not has_rate_tokens(s, account, strategy, instrument, 1):
        return False
    if strategy >= 0:
        take_tokens(s, scope_of_strategy(strategy), instrument)
    take_tokens(s, account, instrument)
    return True


@kernel
def take_scope_cancel(s: Record, scope: int) -> None:
    """Count one cancel of a scope: over its rate it passes all the same, and is counted."""
    sums = s["scopes"][scope]
    if sums["cancel_interval_ns"] == 0:
        return
    full_ts = bucket_after(sums["cancel_ts"], sums["cancel_interval_ns"], s["now"])
    if full_ts - s["now"] > RATE_WINDOW_NS:
        sums["cancels_over_rate"] += 1
    else:
        sums["cancel_ts"] = full_ts


@kernel
def take_cancel_token(s: Record, order: Record) -> None:
    """Count the cancel of an order in the buckets of its account and its strategy; it always passes."""
    take_scope_cancel(s, order["account"])
    if order["strategy"] >= 0:
        take_scope_cancel(s, scope_of_strategy(order["strategy"]))
