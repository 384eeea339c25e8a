"""The review: once a second of record time, and whenever something asks for it, the core looks at what time and the
market have done: losses, days, expired instruments, cancels and closing positions that are under way.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.events import new_event
from oms.core.flatten import CANCELS_A_REVIEW, CORE_CLIENT, cancel_scope, flatten_account
from oms.core.halts import halt_failed
from oms.core.keeping import ask_cancel
from oms.core.losses import review_losses
from oms.core.outbox import can_send
from oms.core.state import MAX_ACCOUNTS, MAX_INSTRUMENTS, Record, State
from oms.core.trading import wake_review
from oms.records import EventKind, InstrumentState, OrderState, Reason

REVIEW_INTERVAL_NS: Final = 1_000_000_000

_INSTRUMENT: Final = int(EventKind.INSTRUMENT)
_EXPIRED: Final = int(InstrumentState.EXPIRED)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)
_INSTRUMENT_EXPIRED: Final = int(Reason.INSTRUMENT_EXPIRED)


@kernel
def expire(s: Record, instrument: int) -> None:
    """Take an instrument out of trading at its expiry, and say so."""
    s["instrument_states"][instrument] = _EXPIRED
    at = new_event(s, _INSTRUMENT, _INSTRUMENT_EXPIRED)
    event = s["events"][at]
    event["instrument"] = instrument
    event["version"] = s["instruments"][instrument]["version"]
    event["px"] = s["instruments"][instrument]["version"]
    event["aux"] = _EXPIRED


@kernel
def cancel_expired(s: Record, instrument: int) -> bool:
    """Cancel what is open in an expired instrument; False when the rest has to wait for the next review."""
    budget = CANCELS_A_REVIEW
    slot = s["order_lists"][instrument]["open_head"]
    while slot >= 0:
        order = s["orders"][slot]
        following = order["next_open"]
        if order["state"] != _PENDING_CANCEL:
            if budget == 0 or not can_send(s):
                return False
            ask_cancel(s, slot, _INSTRUMENT_EXPIRED, 0, CORE_CLIENT)
            budget -= 1
        slot = following
    return True


@kernel
def review_instruments(s: Record) -> bool:
    """Expire what is due and cancel what is open in it, one instrument's orders a review."""
    for instrument in range(MAX_INSTRUMENTS):
        expiry_ts = s["instruments"][instrument]["expiry_ts"]
        if s["instruments"][instrument]["defined"] == 0 or expiry_ts == 0 or s["now"] < expiry_ts:
            continue
        if s["instrument_states"][instrument] != _EXPIRED:
            expire(s, instrument)
            return cancel_expired(s, instrument) and False
        if s["order_lists"][instrument]["open_head"] >= 0 and not cancel_expired(s, instrument):
            return False
    return True


@kernel
def cancel_due(s: Record) -> bool:
    """Go on with the cancels that scopes are due; False when the rest has to wait for the next review."""
    budget = CANCELS_A_REVIEW
    for scope in range(MAX_ACCOUNTS + s["strategies_used"]):
        budget = cancel_scope(s, scope, budget)
        if budget < 0:
            return False
    return True


@kernel
def flatten_due(s: Record) -> None:
    """Go on with closing positions, and come back for them when the next orders may leave."""
    if s["flattening"] == 0:
        return
    for account in range(MAX_ACCOUNTS):
        sums = s["scopes"][account]
        flatten_account(s, account)
        if sums["flattening"] != 0 and sums["flatten_ts"] > s["now"]:
            wake_review(s, sums["flatten_ts"])


@kernel
def review(st: State) -> None:
    """Look at everything once; what does not fit into one review is gone on with at the same time.

    One review writes no more than a part of ``OUTPUT_MARGIN``, whatever room there is, so that the order of events
    never depends on when the host empties the output.
    """
    s = st[0]
    now = s["now"]
    s["next_review"] = (now // REVIEW_INTERVAL_NS + 1) * REVIEW_INTERVAL_NS
    for number in range(s["strategies_used"]):
        halt_failed(s, number)
    for scope in range(MAX_ACCOUNTS + s["strategies_used"]):
        if scope >= MAX_ACCOUNTS or s["accounts"][scope]["defined"] != 0:
            review_losses(s, scope)
    if not cancel_due(s) or not review_instruments(s):
        wake_review(s, now)
        return
    flatten_due(s)
