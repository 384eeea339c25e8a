"""What the parameters of the built-in execution algorithms mean: a name means the same in each of them."""

from __future__ import annotations

from typing import Final

MEANINGS: Final = {
    "duration_s": "Seconds until all of the target is due. POV: until it ends, with what it has; 0: never.",
    "slices": "Parts in which the target becomes due.",
    "time_spread": "How late a slice may be, as a part of the time between two; 0: on time.",
    "size_spread": "How much larger or smaller than the others a slice may be, as a part of it; 0: not.",
    "passive_slices": "How long a slice rests at the touch before it crosses, in times between two; 0: not at all.",
    "follow_ticks": "How far a touch may move ahead of a resting child before the child follows.",
    "max_child_lots": "The largest child, and how much it catches up with at once; 0: two of the largest slices; POV: "
    "a twentieth of the target.",
    "grace_s": "Seconds after the end in which it goes on trying; 0: a quarter of the duration.",
    **{f"volume_{part}": f"Relative volume of part {part} of the duration." for part in range(1, 9)},
    "kappa": "Urgency, 1/s; 0: from the three below.",
    "risk_aversion": "Lambda, 1 / cash.",
    "volatility": "Sigma, cash a lot and square root of s.",
    "impact": "Eta, cash a lot for each lot/s.",
    "rate": "Share of the market's volume, own fills included.",
    "min_rate": "Own share below which it crosses; 0: never; no more than `rate` counts.",
    "max_rate": "Own share while it catches up; no less than `rate` counts.",
    "offset_ticks": "Distance behind the touch.",
    "tolerance_ticks": "How far ahead of a child the touch may be before the child is moved.",
    "front_lots": "The most that is before a child which counts as first in its queue.",
    "front_ticks": "As `tolerance_ticks`, while the child is first in its queue.",
    "variance": "How much larger or smaller than `display_lots` a part may be, as a part of it.",
    "least_lots": "What must be displayed at the touch; 0: anything.",
    "settle_ms": "Milliseconds for which the book of a route on which a child took is not believed, unless it changes.",
    "patience_s": "Seconds after which a child that is not filled moves to another route; 0: never.",
    "move_bps": "What another route must save, in 1/10,000 of the price, before a child that rests moves there.",
    "rests": "0: nothing rests; what cannot be taken is waited for.",
    "retry_ms": "Milliseconds after which it tries again.",
    "trigger_ticks": "The price that fires it; 0: it trails, and takes its first place from the market.",
    "slippage_ticks": "How far beyond the trigger it takes; 0: without bound.",
    "trail_ticks": "Distance at which the trigger follows the market; 0: it stands.",
    "display_lots": "The most that rests at a time; 0: all.",
    "post_only": "1: the child may only rest, and is rejected where it would trade at once.",
}
