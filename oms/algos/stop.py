"""Stop: wait until the market reaches the trigger, then take, no farther from it than the slippage allows.

The trigger watches what the order would trade at: the best ask for a buy, the best bid for a sell; a buy fires at or
above it, a sell at or below. With ``trail_ticks`` the trigger follows the market at that distance and never moves back;
``trigger_ticks`` 0 then takes its first place from the market. Once fired it takes at once whatever is displayed up to
``slippage_ticks`` beyond the trigger (0: without bound) and the limit price, and goes on until it is filled: what the
plain stop orders of the core leave to one order is worked here. Own orders with which it would trade are cancelled
first where it closes what is held, as for those.

It is held in the core, and dies with it: where the exchange has stops of its own that can rest there, those outlive it.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import (
    NO_ASK,
    NO_BID,
    TAKING,
    cross_px,
    far_px,
    left,
    memory,
    parameter,
    refuse,
    set_due,
    side,
    take_as_exit,
    target,
    wake_on_touch,
    wake_outside,
)
from oms.core.state import State

PARAMETERS: Final = {"trigger_ticks": 0.0, "slippage_ticks": 0.0, "trail_ticks": 0.0}
RANGES: Final = {"trigger_ticks": (0.0, 6e10), "slippage_ticks": (0.0, 6e10), "trail_ticks": (0.0, 6e10)}
TRIGGER: Final = 0
SLIPPAGE: Final = 1
TRAIL: Final = 2

PX: Final = 0
"""Memory: where the trigger stands, in ticks; 0: it has no place yet."""
FIRED: Final = 1
GIVEN: Final = 2
"""The trigger as it was given: an amend changes it."""


def start(st: State, me: int, now: int) -> None:
    if parameter(st, me, TRIGGER) < 1 and parameter(st, me, TRAIL) < 1:
        refuse(st, me)


def work(st: State, me: int, now: int) -> None:
    cells = memory(st, me)
    px = far_px(st, me)
    direction = side(st, me)
    if px == 0:
        wake_on_touch(st, me)
        return
    given = int(parameter(st, me, TRIGGER))
    if given != cells[GIVEN]:
        cells[GIVEN] = given
        cells[PX] = given
    trail = int(parameter(st, me, TRAIL))
    if trail > 0 and cells[FIRED] == 0:
        follows = px + direction * trail
        if cells[PX] == 0 or (cells[PX] - follows) * direction > 0:
            cells[PX] = max(follows, 1)
    if (px - cells[PX]) * direction >= 0:
        cells[FIRED] = 1
    if cells[FIRED] == 0:
        best = px if trail > 0 else (NO_BID if direction > 0 else NO_ASK)
        if direction > 0:  # the ask rises to the trigger, or falls and takes a trailing trigger with it
            wake_outside(st, me, -direction, best, cells[PX] - 1)
        else:
            wake_outside(st, me, -direction, cells[PX] + 1, best)
        return
    set_due(st, me, target(st, me))
    worst = cross_px(st, me, left(st, me))
    slippage = int(parameter(st, me, SLIPPAGE))
    if slippage > 0 and worst > 0:
        bound = cells[PX] + direction * slippage
        worst = min(worst, bound) if direction > 0 else max(worst, bound)
    wake_on_touch(st, me)
    if worst > 0 and (worst - px) * direction >= 0:
        take_as_exit(st, me, TAKING, worst, left(st, me))
