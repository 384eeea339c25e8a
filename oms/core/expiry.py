"""Orders that end at a time: GTD at their own, DAY at their account's next reset. The core keeps the time itself."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.state import NEVER, Record

RETRY_NS: Final = 1_000_000_000
"""After a cancel that the exchange refused, the core asks again no sooner than this."""


@kernel
def next_reset(s: Record, account: int) -> int:
    """The account's first reset after now; ``NEVER`` when the host has given none."""
    row = s["accounts"][account]
    number = row["reset_number"]
    while number < len(row["resets"]) and row["resets"][number] <= s["now"]:
        number += 1
    return row["resets"][number] if number < len(row["resets"]) else NEVER


@kernel
def link_timed(s: Record, slot: int) -> None:
    """Put an order with an ``expire_ts`` into the list of those that expire by time."""
    orders = s["orders"]
    order = orders[slot]
    if order["expire_ts"] == 0 or order["timed"] != 0:
        return
    head = s["expiry_head"]
    order["timed"] = 1
    order["next_expiry"] = head
    order["prev_expiry"] = -1
    if head >= 0:
        orders[head]["prev_expiry"] = slot
    s["expiry_head"] = slot
    s["next_expiry"] = min(s["next_expiry"], order["expire_ts"])
    s["next_due"] = min(s["next_due"], s["next_expiry"])


@kernel
def unlink_timed(s: Record, slot: int) -> None:
    """Take an order out of that list; ``next_expiry`` may stay too early, never too late."""
    orders = s["orders"]
    order = orders[slot]
    if order["timed"] == 0:
        return
    order["timed"] = 0
    before = order["prev_expiry"]
    following = order["next_expiry"]
    if before >= 0:
        orders[before]["next_expiry"] = following
    else:
        s["expiry_head"] = following
    if following >= 0:
        orders[following]["prev_expiry"] = before
    if s["expiry_head"] < 0:
        s["next_expiry"] = NEVER


@kernel
def first_expired(s: Record) -> int:
    """Slot of an order whose time is over, or -1; then ``next_expiry`` is brought up to date."""
    orders = s["orders"]
    earliest = NEVER
    slot = s["expiry_head"]
    while slot >= 0:
        if orders[slot]["expire_ts"] <= s["now"]:
            return slot
        earliest = min(earliest, orders[slot]["expire_ts"])
        slot = orders[slot]["next_expiry"]
    s["next_expiry"] = earliest
    return -1
