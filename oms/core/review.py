"""The review: once a second of record time, and whenever something asks for it, the core looks at what time and the
market have done: losses, days, expired instruments, new versions, cancels and closing positions under way.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.flatten import CANCELS_A_REVIEW, cancel_scope, flatten_account
from oms.core.halts import halt_failed
from oms.core.idle import REVIEW_INTERVAL_NS, note_idle
from oms.core.instrument_states import cancel_instrument, tell_instrument
from oms.core.losses import review_losses
from oms.core.own_reports import settle_expired
from oms.core.redefine import drop_pending, is_changing, switch
from oms.core.state import MAX_ACCOUNTS, Record, State
from oms.core.trading import wake_review
from oms.records import InstrumentState, Reason

_EXPIRED: Final = int(InstrumentState.EXPIRED)
_INSTRUMENT_HALTED: Final = int(Reason.INSTRUMENT_HALTED)
_INSTRUMENT_EXPIRED: Final = int(Reason.INSTRUMENT_EXPIRED)


@kernel
def expire(s: Record, instrument: int) -> None:
    """Take an instrument out of trading at its expiry, and say so; a new version of it is not waited for any more."""
    drop_pending(s, instrument)
    s["instrument_states"][instrument] = _EXPIRED
    tell_instrument(s, instrument, _INSTRUMENT_EXPIRED)


@kernel
def review_expired(s: Record, instrument: int, budget: int) -> int:
    """Cancel what is open in an expired instrument, then settle what is held where the core plays the exchange.

    Returns what is left of the budget of cancels, -1 when the rest has to wait for the next review.
    """
    if s["instrument_states"][instrument] != _EXPIRED:
        expire(s, instrument)
    budget = cancel_instrument(s, instrument, _INSTRUMENT_EXPIRED, budget)
    if budget < 0 or s["external"] != 0 or s["order_lists"][instrument]["open_head"] >= 0:
        return budget
    return -1 if settle_expired(s, instrument) else budget


@kernel
def review_changing(s: Record, instrument: int, budget: int) -> int:
    """Cancel what is open in an instrument that waits for its new version, which is put in force once nothing is.

    Returns what is left of the budget of cancels, -1 when the rest has to wait for the next review.
    """
    budget = cancel_instrument(s, instrument, _INSTRUMENT_HALTED, budget)
    if budget >= 0 and s["order_lists"][instrument]["open_head"] < 0:
        switch(s, instrument)
    return budget


@kernel
def review_instruments(s: Record) -> bool:
    """Expire what is due, and go on with new versions; False when the rest has to wait for the next review."""
    budget = CANCELS_A_REVIEW
    for instrument in range(s["instruments_used"]):
        if s["instruments"][instrument]["defined"] == 0:
            continue
        if 0 < s["instruments"][instrument]["expiry_ts"] <= s["now"]:
            budget = review_expired(s, instrument, budget)
        elif s["switching"] > 0 and is_changing(s, instrument):
            budget = review_changing(s, instrument, budget)
        if budget < 0:
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
    note_idle(s)
