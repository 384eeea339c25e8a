"""Who may trade what, and in which state: scopes, trading states, the kill switch's first half.

A scope is an account or a strategy; both have the same states and limits. A strategy's scope that was never given a
state is ACTIVE, an account's is HALTED until it is defined.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.events import new_event
from oms.core.state import MAX_ACCOUNTS, MAX_INSTRUMENTS, Record
from oms.records import RPC_CLIENT_BASE, EventKind, InstrumentState, OrderFlag, Reason, TradingState


class Cancelling(IntEnum):
    """Which open orders of a scope are cancelled by every review; it follows from events and orders alone."""

    NOTHING = 0
    GROWING = 1
    """Those that would not shrink a position, as long as the scope is REDUCING for its losses."""
    EVERYTHING = 2
    """The kill switch, until no order is open."""


class Flattening(IntEnum):
    """Whether the kill switch closes an account's positions."""

    NO = 0
    CLOSING = 1
    CLOSED = 2
    """Everything is closed; what a late fill opens is closed too, until the account is no longer HALTED."""


CORE_CLIENT: Final = RPC_CLIENT_BASE - 1
"""Client index of the core's own orders."""
FLATTEN_INTERVAL_NS: Final = 100_000_000
"""Pause after closing orders before the next ones of the account; one that the venue rejects doubles it."""
LONGEST_FLATTEN_PAUSE_NS: Final = 64 * FLATTEN_INTERVAL_NS

_NOTHING: Final = int(Cancelling.NOTHING)
_GROWING: Final = int(Cancelling.GROWING)
_EVERYTHING: Final = int(Cancelling.EVERYTHING)
_NO: Final = int(Flattening.NO)
_CLOSING: Final = int(Flattening.CLOSING)
_CLOSED: Final = int(Flattening.CLOSED)
_TRADING_STATE: Final = int(EventKind.TRADING_STATE)
_KILLED: Final = int(EventKind.KILLED)
_HALTED: Final = int(TradingState.HALTED)
_ACTIVE: Final = int(TradingState.ACTIVE)
_REDUCING: Final = int(TradingState.REDUCING)
_TRADING: Final = int(InstrumentState.TRADING)
_EXPIRED: Final = int(InstrumentState.EXPIRED)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)

_NONE: Final = int(Reason.NONE)
_UNKNOWN_ACCOUNT: Final = int(Reason.UNKNOWN_ACCOUNT)
_UNKNOWN_INSTRUMENT: Final = int(Reason.UNKNOWN_INSTRUMENT)
_UNKNOWN_STRATEGY: Final = int(Reason.UNKNOWN_STRATEGY)
_STRATEGY_STOPPED: Final = int(Reason.STRATEGY_STOPPED)
_LIMIT_MISSING: Final = int(Reason.LIMIT_MISSING)
_INSTRUMENT_HALTED: Final = int(Reason.INSTRUMENT_HALTED)
_INSTRUMENT_EXPIRED: Final = int(Reason.INSTRUMENT_EXPIRED)
_WRONG_VERSION: Final = int(Reason.WRONG_VERSION)
_TRADING_HALTED: Final = int(Reason.TRADING_HALTED)
_KILL_SWITCH: Final = int(Reason.KILL_SWITCH)
_DAILY_LOSS: Final = int(Reason.DAILY_LOSS)
_DRAWDOWN: Final = int(Reason.DRAWDOWN)
_BAD_LEG: Final = int(Reason.BAD_LEG)


@kernel
def scope_of_strategy(strategy: int) -> int:
    """The scope of a strategy; -1: there is none."""
    return MAX_ACCOUNTS + strategy if strategy >= 0 else -1


@kernel
def leg_of(flags: int) -> int:
    """The leg of a position that an order of these flags is about."""
    return 1 if flags & _SHORT_LEG else 0


@kernel
def state_of_scope(s: Record, scope: int) -> int:
    """The scope's TradingState; a strategy without one of its own is ACTIVE."""
    sums = s["scopes"][scope]
    if scope >= MAX_ACCOUNTS and sums["defined"] == 0:
        return _ACTIVE
    return sums["trading_state"]


@kernel
def wake_review(s: Record, due: int) -> None:
    """Let the core look at losses, cancels and closing positions at ``due`` already."""
    s["next_review"] = min(s["next_review"], due)
    s["quiet_until"] = 0
    s["next_due"] = min(s["next_due"], s["next_review"])


@hot_kernel
def check_defined(s: Record, account: int, instrument: int, version: int) -> int:
    """Account, instrument and limits are known, the instrument is traded in this version, its exchange takes orders."""
    if not 0 <= account < MAX_ACCOUNTS or s["accounts"][account]["defined"] == 0:
        return _UNKNOWN_ACCOUNT
    if not 0 <= instrument < MAX_INSTRUMENTS or s["instruments"][instrument]["defined"] == 0:
        return _UNKNOWN_INSTRUMENT
    if s["limits"][account, instrument]["defined"] == 0:
        return _LIMIT_MISSING
    state = s["instrument_states"][instrument]
    definition = s["instruments"][instrument]
    if state == _EXPIRED or 0 < definition["expiry_ts"] <= s["now"]:
        return _INSTRUMENT_EXPIRED
    if state != _TRADING:
        return _INSTRUMENT_HALTED
    if s["entry_closed"][instrument] != 0:
        return s["entry_closed"][instrument]
    if version != 0 and version != definition["version"]:
        return _WRONG_VERSION
    return _NONE


@hot_kernel
def check_states(s: Record, account: int, strategy: int) -> int:
    """Neither the account nor the strategy is halted, and the strategy runs for this account."""
    if s["scopes"][account]["trading_state"] == _HALTED:
        return _TRADING_HALTED
    if strategy < 0:
        return _NONE
    if strategy >= s["strategies_used"] or s["strategies"][strategy]["account"] != account:
        return _UNKNOWN_STRATEGY
    if s["strategies"][strategy]["halted"] != 0:
        return _STRATEGY_STOPPED
    if state_of_scope(s, MAX_ACCOUNTS + strategy) == _HALTED:
        return _TRADING_HALTED
    return _NONE


@kernel
def check_leg(s: Record, account: int, flags: int) -> int:
    """Only an account in hedging mode has a short leg."""
    return _BAD_LEG if flags & _SHORT_LEG and s["accounts"][account]["hedging"] == 0 else _NONE


@kernel
def enter_loss(s: Record, scope: int, reason: int) -> None:
    """Note that a scope which is REDUCING has reached a loss limit, if that is the reason: its growing orders end."""
    if reason == _DAILY_LOSS or reason == _DRAWDOWN:
        s["scopes"][scope]["cancelling"] = _GROWING
    if reason == _DRAWDOWN:
        s["scopes"][scope]["drawn_down"] = 1


@kernel
def minds_losses(s: Record, scope: int) -> bool:
    """True while a loss limit that a scope reaches has still to be acted on: a HALTED one lets nothing grow."""
    state = state_of_scope(s, scope)
    return bool(state == _ACTIVE or (state == _REDUCING and s["scopes"][scope]["cancelling"] == _NOTHING))


@kernel
def enter_trading_state(s: Record, scope: int, trading_state: int, reason: int) -> None:
    """Put a scope into a trading state, live and in a replay of the journal.

    Whoever sets it ACTIVE after a drawdown, whatever state it was in since, measures the next one from here; what a day
    has lost stays lost until its reset. Any state but HALTED ends the closing of positions; once losses have been acted
    on, growing orders end as long as it is REDUCING.
    """
    sums = s["scopes"][scope]
    if trading_state == _ACTIVE and sums["drawn_down"] != 0:
        sums["peak_pnl"] = sums["pnl"]
        sums["drawn_down"] = 0
    if trading_state != _HALTED:
        if sums["flattening"] != _NO:
            sums["flattening"] = _NO
            s["flattening"] -= 1
        if trading_state == _ACTIVE or state_of_scope(s, scope) != _REDUCING:
            sums["cancelling"] = _NOTHING
    sums["defined"] = 1
    sums["trading_state"] = trading_state
    sums["reason"] = reason
    if trading_state == _REDUCING:
        enter_loss(s, scope, reason)


@kernel
def set_trading_state(s: Record, scope: int, trading_state: int, reason: int, request_id: int) -> None:
    """Set a scope's trading state and report it."""
    enter_trading_state(s, scope, trading_state, reason)
    tell_trading_state(s, scope, reason, request_id)


@kernel
def tell_trading_state(s: Record, scope: int, reason: int, request_id: int) -> None:
    """Write a TRADING_STATE event of a scope as it stands: its state, why it is in it, and its peak PnL."""
    at = new_event(s, _TRADING_STATE, reason)
    event = s["events"][at]
    if scope < MAX_ACCOUNTS:
        event["account"] = scope
    else:
        event["strategy"] = scope - MAX_ACCOUNTS
        event["account"] = s["strategies"][scope - MAX_ACCOUNTS]["account"]
    event["request_id"] = request_id
    event["aux"] = state_of_scope(s, scope)
    event["qty"] = s["scopes"][scope]["peak_pnl"]
    event["last_qty"] = s["scopes"][scope]["reason"]


@kernel
def restore_trading_state(s: Record, scope: int, event: Record) -> None:
    """Take over a TRADING_STATE event of the journal; cancels that it began go on at the next review."""
    reason = event["last_qty"] if event["last_qty"] != 0 else event["reason"]
    enter_trading_state(s, scope, event["aux"], reason)
    if event["aux"] == _REDUCING:
        enter_loss(s, scope, event["reason"])
    s["scopes"][scope]["peak_pnl"] = event["qty"]


@kernel
def reduce_scope(s: Record, scope: int, reason: int) -> None:
    """Let a scope only shrink its positions from here, for its losses, and have its other orders cancelled.

    One that someone has set REDUCING stays so for that reason, over a reset of the day too.
    """
    if state_of_scope(s, scope) == _REDUCING:
        enter_loss(s, scope, reason)
        tell_trading_state(s, scope, reason, 0)
    else:
        set_trading_state(s, scope, _REDUCING, reason, 0)
    wake_review(s, s["now"])


@kernel
def begin_flattening(s: Record, account: int) -> None:
    """Have the account's positions closed once its orders are gone."""
    sums = s["scopes"][account]
    if sums["flattening"] == _NO:
        s["flattening"] += 1
    sums["flattening"] = _CLOSING
    sums["flatten_ts"] = s["now"]
    sums["flatten_pause_ns"] = 0


@kernel
def note_closing(s: Record, account: int) -> None:
    """A closing order of an account is entered: what is left is looked at after it, and after a pause."""
    sums = s["scopes"][account]
    if sums["flattening"] != _NO:
        sums["flattening"] = _CLOSING
        sums["flatten_ts"] = s["now"] + FLATTEN_INTERVAL_NS


@kernel
def note_closing_answer(s: Record, account: int, rejected: bool) -> None:
    """A closing order of an account was rejected, which makes the pauses longer, or has filled, which ends that."""
    sums = s["scopes"][account]
    if not rejected:
        sums["flatten_pause_ns"] = 0
        return
    pause_ns = 2 * max(sums["flatten_pause_ns"], FLATTEN_INTERVAL_NS)
    sums["flatten_pause_ns"] = min(pause_ns, LONGEST_FLATTEN_PAUSE_NS)
    sums["flatten_ts"] = max(sums["flatten_ts"], s["now"] + sums["flatten_pause_ns"])


@kernel
def note_last_order(s: Record, account: int) -> None:
    """No order of an account is open any more: the kill switch has cancelled everything."""
    sums = s["scopes"][account]
    if sums["cancelling"] == _EVERYTHING:
        sums["cancelling"] = _NOTHING


@kernel
def enter_kill(s: Record, account: int, flatten: bool) -> None:
    """Have everything open cancelled and, where asked, positions closed after that; live and in a replay."""
    sums = s["scopes"][account]
    sums["cancelling"] = _EVERYTHING if sums["open_orders"] > 0 else _NOTHING
    if flatten:
        begin_flattening(s, account)


@kernel
def kill_account(s: Record, account: int, flatten: int, request_id: int) -> None:
    """Halt an account, have all its orders cancelled and, where ``flatten`` is 1, its positions closed after that.

    Closing that is under way goes on.
    """
    set_trading_state(s, account, _HALTED, _KILL_SWITCH, request_id)
    sums = s["scopes"][account]
    enter_kill(s, account, bool(flatten == 1 or sums["flattening"] != _NO))
    at = new_event(s, _KILLED, _KILL_SWITCH)
    event = s["events"][at]
    event["account"] = account
    event["request_id"] = request_id
    event["aux"] = int(sums["flattening"] != _NO)
    wake_review(s, s["now"])


@kernel
def restore_kill(s: Record, event: Record) -> None:
    """Take over a KILLED event of the journal: what was under way goes on at the next review."""
    sums = s["scopes"][event["account"]]
    if event["reason"] == _NONE:
        sums["flattening"] = _CLOSED
        return
    enter_kill(s, event["account"], bool(event["aux"] == 1))


@kernel
def kill(s: Record, account: int, flatten: int, request_id: int) -> int:
    """The kill switch of one account, or of every one (-1); returns a Reason. Asking again goes on, and may flatten."""
    if account == -1:
        for each in range(MAX_ACCOUNTS):
            if s["accounts"][each]["defined"] != 0:
                kill_account(s, each, flatten, request_id)
        return _NONE
    if not 0 <= account < MAX_ACCOUNTS or s["accounts"][account]["defined"] == 0:
        return _UNKNOWN_ACCOUNT
    kill_account(s, account, flatten, request_id)
    return _NONE
