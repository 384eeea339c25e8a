"""What the schedule-based algorithms share: slices in time, and working towards the quantity that is due.

A schedule says how many lots are to be filled by a time, all in all. So a slice that was missed, or is too small for an
order, is part of what the next one wants: nothing is kept of it, and a restart has only to look at the clock.

- What is due rests at the touch of the own side; what **must** be filled, since it has been due for a while, crosses.
- A resting child that must cross is cancelled, or made smaller, first: what is open is never more than what is due.
- A child stays behind a touch that has moved ahead of it by up to ``follow_ticks``. It also stays where it is better
  than the touch: at an exchange it would itself be the touch.
- Who is behind, after a pause, a restart or a market beyond the limit, catches up at a bounded rate (``allowance``).
"""

from __future__ import annotations

from math import ceil
from typing import Final

from oms.algos.api import (
    BUY,
    NO_ASK,
    NO_BID,
    NS_PER_S,
    ROUTES,
    child_leaves,
    child_px,
    cross_px,
    end_at,
    filled,
    finish,
    function,
    is_resting,
    limit_px,
    memory,
    near_px,
    open_qty,
    parameter,
    random,
    rest,
    set_due,
    side,
    smallest_qty,
    start_time,
    take,
    target,
    wake_at,
    wake_on_touch,
    wake_outside,
    within_limit,
)
from oms.core.state import State

DURATION_S: Final = 0
SLICES: Final = 1
TIME_SPREAD: Final = 2
SIZE_SPREAD: Final = 3
PASSIVE_SLICES: Final = 4
FOLLOW_TICKS: Final = 5
MAX_CHILD_LOTS: Final = 6
GRACE_S: Final = 7
OWN: Final = 8
"""The parameters that TWAP, VWAP and implementation shortfall begin with; ``OWN`` is the first of their own."""

REST: Final = 0
TAKE: Final = ROUTES
_SEED: Final = 0
_CHARGED: Final = 1
_FREE: Final = 2
RETRY_NS: Final = 50_000_000
"""When it looks again after it wanted to take, and could not yet."""
_PACES: Final = 4
"""Bursts in the time of a slice that it catches up by at the most."""
_WORD: Final = 2**32
_MIX: Final = 73_244_475
_ROUNDING: Final = 1e-6
"""Of a lot: a product that is whole but for the rounding of its factors is whole."""


# Working towards what is due.


@function
def _wake_within_limit(st: State, me: int) -> None:
    """Look again once the far touch is within the limit."""
    limit = limit_px(st, me)
    if side(st, me) == BUY:
        wake_outside(st, me, -BUY, limit + 1 if limit > 0 else NO_ASK, NO_ASK)
    else:
        wake_outside(st, me, BUY, NO_BID, limit - 1 if limit > 0 else NO_BID)


@function
def _rest_at_touch(st: State, me: int, qty: int, least: int, follow_ticks: int) -> None:
    """Rest at the touch, no worse than the limit, and look again when it has moved ahead.

    What a child has left of less than ``least`` stays where it is: the venue takes no change to so little.
    """
    touch = near_px(st, me)
    kept = child_px(st, me, REST)
    if qty < least:
        rest(st, me, REST, kept, qty, 0)
        return
    if touch == 0:
        wake_on_touch(st, me)
        rest(st, me, REST, kept, qty, 0)
        return
    px = touch if within_limit(st, me, touch) else limit_px(st, me)
    if kept != 0 and (px - kept) * side(st, me) <= follow_ticks and within_limit(st, me, kept):
        px = kept
    rest(st, me, REST, px, qty, 0)
    if px == limit_px(st, me):
        return
    if side(st, me) == BUY:
        wake_outside(st, me, BUY, NO_BID, px + follow_ticks)
    else:
        wake_outside(st, me, -BUY, px - follow_ticks, NO_ASK)


@function
def whole_lots(lots: float) -> int:
    """Rounded down."""
    return int(lots + _ROUNDING)


@function
def work_towards(
    st: State, me: int, now: int, due: int, must: int, allowed: int, least: int, display: int, follow_ticks: int
) -> None:
    """Want working what is missing of the lots that are due.

    Parameters
    ----------
    due, must : int
        Lots to be filled by now, and those of them for which it crosses.
    allowed : int
        The most that may cross now.
    least : int
        Smallest child, at least ``smallest_qty``: less than that waits for more to be due.
    display : int
        The most that rests at a time; 0: nothing does.
    follow_ticks : int
        How far behind the touch a child stays.
    """
    set_due(st, me, due)
    taking = child_leaves(st, me, TAKE)
    resting = open_qty(st, me) - taking
    behind = due - filled(st, me)
    crossing = min(must - filled(st, me), allowed)
    px = cross_px(st, me, max(crossing, 1))
    if crossing > 0 and px == 0:
        _wake_within_limit(st, me)
    if crossing < least or px == 0:
        crossing = 0
    wanted = min(behind - max(crossing, taking), max(display, resting))
    if resting > 0 and 0 <= wanted - resting < least:
        wanted = resting
    if wanted >= least or 0 < wanted == resting:
        _rest_at_touch(st, me, wanted, least, follow_ticks)
    crossing = min(crossing, behind - resting)
    if crossing >= least:
        take(st, me, TAKE, px, crossing)
        if not is_resting(st, me, TAKE):
            wake_at(st, me, now + RETRY_NS)


@function
def allowance(st: State, me: int, clock: int, pace: int, burst: int) -> int:
    """Lots that may cross now: ``burst`` at once, and as many again with each ``pace`` that ``clock`` goes on.

    A leaky bucket that every fill is charged to, in units of the clock (time, or volume); two cells of memory.
    """
    cells = memory(st, me)
    fresh = filled(st, me) - cells[_CHARGED]
    if fresh > 0:
        cells[_FREE] = max(cells[_FREE], clock - pace) + int(fresh * (pace / burst))
        cells[_CHARGED] = filled(st, me)
    return int(min(clock - cells[_FREE], pace) / pace * burst)


# Slices.


@function
def begin(st: State, me: int) -> None:
    """For ``start``: draw the seed of the order's slices."""
    memory(st, me)[_SEED] = int(random(st, me) * _WORD)


@function
def end_of(st: State, me: int) -> int:
    """When all of the target is due, ns; an amend of the duration moves it."""
    return start_time(st, me) + int(parameter(st, me, DURATION_S) * NS_PER_S)


@function
def _noise(st: State, me: int, number: int) -> float:
    """Random number ``number`` of the order's own, from 0 up to 1: always the same one."""
    word = (memory(st, me)[_SEED] + number * 40_503) % _WORD
    for _ in range(2):
        word = (word ^ (word >> 16)) * _MIX % _WORD
    return (word ^ (word >> 16)) / _WORD


@function
def _interval_ns(st: State, me: int) -> int:
    return (end_of(st, me) - start_time(st, me)) // int(parameter(st, me, SLICES))


@function
def _slice_ts(st: State, me: int, number: int) -> int:
    """When slice ``number``, from 0, becomes due: within its interval, at its start without a spread."""
    interval = _interval_ns(st, me)
    late = _noise(st, me, 2 * number) * parameter(st, me, TIME_SPREAD)
    return start_time(st, me) + number * interval + int(late * interval)


@function
def _slices_due(st: State, me: int, ts: int) -> int:
    """Slices that are due at a time."""
    if ts < start_time(st, me):
        return 0
    slices = int(parameter(st, me, SLICES))
    number = min((ts - start_time(st, me)) // _interval_ns(st, me), slices - 1)
    return number + 1 if ts >= _slice_ts(st, me, number) else number


@function
def _next_slice_ts(st: State, me: int, ts: int) -> int:
    """When the next slice after a time becomes due; the end when all are."""
    due = _slices_due(st, me, ts)
    return _slice_ts(st, me, due) if due < int(parameter(st, me, SLICES)) else end_of(st, me)


@function
def progress(st: State, me: int, ts: int) -> float:
    """Part of the slices that is due at a time, 0 to 1. Sizes are spread, each about its own place in the schedule."""
    slices = int(parameter(st, me, SLICES))
    due = _slices_due(st, me, ts)
    if due == 0 or due == slices or ts >= end_of(st, me):
        return 0.0 if due == 0 else 1.0
    return (due + (_noise(st, me, 2 * due + 1) - 0.5) * parameter(st, me, SIZE_SPREAD)) / slices


@function
def passive_ns(st: State, me: int) -> int:
    """For how long a slice rests before it crosses."""
    return int(parameter(st, me, PASSIVE_SLICES) * _interval_ns(st, me))


@function
def must_progress(st: State, me: int, now: int) -> float:
    """``progress`` of what crosses: what has been due for ``passive_ns``, and all at the end."""
    return progress(st, me, now if now >= end_of(st, me) else now - passive_ns(st, me))


@function
def _wake_later(st: State, me: int, now: int, ts: int) -> None:
    if ts > now:
        wake_at(st, me, ts)


@function
def work_schedule(st: State, me: int, now: int, due_share: float, must_share: float, largest_share: float) -> None:
    """Work by slices: the shares of the target that are due, that must be filled, and of the largest slice; 0 to 1."""
    end = end_of(st, me)
    end_at(st, me, end)
    grace_s = parameter(st, me, GRACE_S)
    last = end + (int(grace_s * NS_PER_S) if grace_s > 0 else (end - start_time(st, me)) // 4)
    if now >= last:
        finish(st, me)
        return
    whole = target(st, me)
    due = whole_lots(whole * due_share)
    must = min(whole_lots(whole * must_share), due)
    least = smallest_qty(st, me)
    burst = int(parameter(st, me, MAX_CHILD_LOTS))
    burst = max(burst if burst > 0 else ceil(2.0 * whole * largest_share - _ROUNDING), least)
    pace = max(_interval_ns(st, me) // _PACES, 1)
    allowed = allowance(st, me, now, pace, burst)
    passive = passive_ns(st, me)
    display = burst if passive > 0 else 0
    work_towards(st, me, now, due, must, allowed, least, display, int(parameter(st, me, FOLLOW_TICKS)))
    if must - filled(st, me) > allowed:
        wake_at(st, me, now + pace)
    _wake_later(st, me, now, _next_slice_ts(st, me, now))
    if passive > 0:
        _wake_later(st, me, now, _next_slice_ts(st, me, now - passive) + passive)
    _wake_later(st, me, now, end)
    wake_at(st, me, last)
