"""The step: what one input does to the core, and the entries through which Python drives it.

A market data record passes in this order: everything that fell due before it (answers of the exchange model, timers,
requests that reach the exchange), the book, the exchange model, the strategies once the venue's message is complete,
and then whatever fell due at this very time. Answers come before the review, the review before timers and timers before
requests when they are due together. The same functions run a paper session, a firm session and a backtest.
"""

from __future__ import annotations

from typing import Any, Final

import numba

from oms.compiled import (
    MARKET_WAY,
    ORDER_WAY,
    array_like,
    array_of,
    call_address,
    copy_record,
    entry,
    hot_kernel,
    kernel,
    market_kernel,
)
from oms.core.bars import STAGES, is_waited_for, move_to
from oms.core.book import is_sound
from oms.core.brackets import count_exits, refuse_whole
from oms.core.callbacks import call_strategy
from oms.core.contingency import follow_up
from oms.core.events import MAX_POSITIONS, has_room, open_budget, write_positions
from oms.core.exchange_rows import take_rows
from oms.core.exchange_view import show_price
from oms.core.expiry import first_expired, unlink_timed
from oms.core.idle import REVIEW_INTERVAL_NS, is_idle, skip_reviews
from oms.core.keeping import ask_cancel, end_held
from oms.core.margin_watch import leaves_band, watch_margins
from oms.core.market import refuse_tick, take_levels, take_market
from oms.core.orders import look_ahead, stands_at_exchange
from oms.core.parent_rounds import tell_every_parent, work_concerned, work_due
from oms.core.parent_wakes import wake_every_parent
from oms.core.parents import is_worked
from oms.core.progress import stop_parent
from oms.core.redefine import take_definition
from oms.core.reports import apply_report
from oms.core.requests import handle_command
from oms.core.review import review
from oms.core.state import MAX_ACCOUNTS, MAX_INSTRUMENTS, MODEL_QUEUE, STATE, TERMS_RING, Record, State
from oms.core.trading import set_trading_state, state_of_scope
from oms.core.triggers import fire_triggers
from oms.definition_rows import DEFINITION
from oms.records import (
    COMMAND,
    REPORT,
    TERMS,
    TICK,
    BookState,
    OrderState,
    Reason,
    TickFlag,
    TickKind,
    TimeInForce,
    TradingState,
)

_NONE: Final = int(Reason.NONE)
_TOO_LATE: Final = int(Reason.COMMAND_TOO_LATE)
_TIME: Final = int(TickKind.TIME)
_BAR: Final = int(TickKind.BAR)
_QUIET: Final = int(TickKind.QUIET)
_HEARTBEAT: Final = int(TickKind.HEARTBEAT)
_LAST: Final = int(TickFlag.LAST)
_SYNCED: Final = int(BookState.SYNCED)
_EXPIRED_GTD: Final = int(Reason.EXPIRED_GTD)
_EXPIRED_DAY: Final = int(Reason.EXPIRED_DAY)
_DAY: Final = int(TimeInForce.DAY)
_HELD: Final = int(OrderState.HELD)
_EXPIRED: Final = int(OrderState.EXPIRED)
_HALTED: Final = int(TradingState.HALTED)

# How far the tick in hand has been taken, when the output was full before it was done.
_NOT_TAKEN: Final = 0
_ON_ITS_WAY: Final = 4
_MARKET_TAKEN: Final = 1
_DUE_DONE: Final = 2
_STRATEGIES_CALLED: Final = 3


@kernel
def earliest_due(s: Record) -> int:
    """Time of the earliest answer, timer, request or review; ``NEVER`` when there is none."""
    return min(s["next_review"], earliest_input(s))


@kernel
def earliest_input(s: Record) -> int:
    """Time of the earliest answer, timer or request."""
    model = s["model"]
    due = min(s["next_expiry"], s["next_parent"])
    if model["answer_count"] > 0:
        due = min(due, model["answers"][model["answer_head"]]["ts"])
    if model["request_count"] > 0:
        due = min(due, model["requests"][model["request_head"]]["ts"])
    for i in range(s["strategies_used"]):
        strategy = s["strategies"][i]
        if strategy["on_timer"] != 0 and strategy["halted"] == 0:
            due = min(due, strategy["timer_due"])
    return due


@hot_kernel
def deliver_report(st: State, report: Record) -> None:
    """Apply a report, and call the strategy whose order it filled."""
    s = st[0]
    at = apply_report(s, report)
    if s["touched_count"] > 0:
        follow_up(s)
    if at < 0:
        return
    number = s["events"][at]["strategy"]
    if number < 0 or s["strategies"][number]["on_fill"] == 0 or s["strategies"][number]["halted"] != 0:
        return
    call_strategy(st, number, s["strategies"][number]["on_fill"], s["events"][at])


@kernel
def take_answer(st: State) -> None:
    """Deliver the exchange model's oldest answer."""
    s = st[0]
    model = s["model"]
    report = s["report"]
    copy_record(report, model["answers"][model["answer_head"]])
    model["answer_head"] = (model["answer_head"] + 1) % MODEL_QUEUE
    model["answer_count"] -= 1
    deliver_report(st, report)


@kernel
def take_request(st: State) -> None:
    """Let the exchange model act on the oldest request that has reached it."""
    s = st[0]
    model = s["model"]
    command = s["command"]
    copy_record(command, model["requests"][model["request_head"]])
    model["request_head"] = (model["request_head"] + 1) % MODEL_QUEUE
    model["request_count"] -= 1
    if stands_at_exchange(command):
        call_address(model["on_stop"], st, 0, command)
    else:
        call_address(model["on_request"], st, 0, command)


@kernel
def fire_timers(st: State, due: int) -> bool:
    """Call every strategy whose timer is due, and set its timer to the next multiple of its interval.

    False when the output had no room for the next one: its timer is still due.
    """
    s = st[0]
    for i in range(s["strategies_used"]):
        strategy = s["strategies"][i]
        if strategy["on_timer"] == 0 or strategy["halted"] != 0 or strategy["timer_due"] > due:
            continue
        if not has_room(s):
            return False
        strategy["timer_due"] += strategy["timer_interval_ns"]
        call_strategy(st, i, strategy["on_timer"], due)
    return True


@kernel
def expire_orders(s: Record) -> bool:
    """Cancel the orders whose time is over; False when the output has no room for the next one."""
    slot = first_expired(s)
    while slot >= 0:
        if not has_room(s):
            return False
        order = s["orders"][slot]
        reason = _EXPIRED_DAY if order["time_in_force"] == _DAY else _EXPIRED_GTD
        if is_worked(order):
            stop_parent(s, slot, _EXPIRED, reason, order["request_id"])
        elif order["state"] == _HELD:
            end_held(s, slot, _EXPIRED, reason, order["request_id"])
        elif not ask_cancel(s, slot, reason, order["request_id"], 0):
            unlink_timed(s, slot)
        if s["touched_count"] > 0:
            follow_up(s)
        slot = first_expired(s)
    return True


@kernel
def start_timers(s: Record, ts: int) -> None:
    """Set every timer to the first multiple of its interval after ``ts``, the time of the first tick.

    A recording that is played again after a restart begins before the time that was reached: the clock follows it.
    """
    s["now"] = min(s["now"], ts)
    for i in range(s["strategies_used"]):
        strategy = s["strategies"][i]
        if strategy["on_timer"] != 0:
            strategy["timer_due"] = (ts // strategy["timer_interval_ns"] + 1) * strategy["timer_interval_ns"]
    s["next_review"] = (ts // REVIEW_INTERVAL_NS + 1) * REVIEW_INTERVAL_NS
    s["next_due"] = earliest_due(s)


@kernel
def advance(st: State, until: int) -> bool:
    """Do everything that is due before ``until``, in order of time; False when the output has no room for more."""
    s = st[0]
    model = s["model"]
    while s["next_due"] < until:
        if not has_room(s):
            return False
        due = s["next_due"]
        s["now"] = max(s["now"], due)
        if model["answer_count"] > 0 and model["answers"][model["answer_head"]]["ts"] <= due:
            take_answer(st)
        elif s["next_review"] <= due and is_idle(s):
            inputs_due = earliest_input(s)
            skip_reviews(s, min(until, s["quiet_until"], max(inputs_due, due + 1)))
            s["next_due"] = min(s["next_review"], inputs_due)
            continue
        elif s["next_review"] <= due:
            review(st)
            if s["touched_count"] > 0:
                follow_up(s)
        elif s["next_expiry"] <= due:
            if not expire_orders(s):
                return False
        elif s["next_parent"] <= due:
            if not work_due(st):
                return False
        elif not fire_timers(st, due):
            return False
        elif model["request_count"] > 0 and model["requests"][model["request_head"]]["ts"] <= due:
            take_request(st)
        s["next_due"] = earliest_due(s)
    return True


@hot_kernel
def catch_up(st: State) -> bool:
    """Do everything that is due by now; False when the output has no room for more."""
    return bool(st[0]["next_due"] > st[0]["now"] or advance(st, st[0]["now"] + 1))


@market_kernel
def take_bar(st: State, bar: Record) -> bool:
    """Let the market go a bar's way, and do what falls due at each point of it.

    False when the output had no room: called again it goes on from there.
    """
    s = st[0]
    instrument = bar["instrument"]
    if s["bar_stage"] == 0 and not is_waited_for(s, instrument) and not leaves_band(s, bar):
        s["bar_stage"] = STAGES - 2  # nobody waits for what comes before the close
    while s["bar_stage"] < STAGES:
        if not has_room(s):
            return False
        if s["bar_stage"] % 2 == 0:
            move_to(st, bar, s["bar_stage"] // 2)
            s["bar_stage"] += 1
            show_price(st, bar)
        if not (fire_triggers(s, instrument) and work_concerned(st, instrument)):
            return False
        if s["next_due"] <= bar["local_ts"] and not advance(st, bar["local_ts"] + 1):
            return False
        if watch_margins(st, instrument, bar) and not advance(st, bar["local_ts"] + 1):
            return False
        s["bar_stage"] += 1
    return True


@market_kernel
def call_strategies(st: State, tick: Record) -> bool:
    """Call every strategy that follows the instrument, while its book can be traded on and its account may trade.

    None is called while the exchange takes no orders.

    False when the output had no room for the next one: called again it goes on from there.
    """
    s = st[0]
    instrument = tick["instrument"]
    if s["books"][instrument]["state"] != _SYNCED or s["entry_closed"][instrument] != 0:
        return True
    for i in range(s["next_strategy"], s["strategies_used"]):
        strategy = s["strategies"][i]
        address = strategy["on_bar"] if tick["kind"] == _BAR else strategy["on_tick"]
        if address == 0 or strategy["halted"] != 0:
            continue
        if s["scopes"][strategy["account"]]["trading_state"] == _HALTED:
            continue
        if state_of_scope(s, MAX_ACCOUNTS + i) == _HALTED:
            continue
        if strategy["instrument"] != instrument and strategy["instrument"] >= 0:
            continue
        if not has_room(s):
            s["next_strategy"] = i
            return False
        call_strategy(st, i, address, tick)
    s["next_strategy"] = 0
    return True


@kernel
def report_every_position(s: Record) -> bool:
    """Report every position; False when the output had no room for the next one: called again it goes on from there."""
    s["next_position"] = write_positions(s, s["next_position"])
    if s["next_position"] < MAX_POSITIONS:
        return False
    s["next_position"] = 0
    return True


@kernel
def report_all(s: Record) -> bool:
    """Report every position, then every parent order; False as ``report_every_position``."""
    if s["next_told_parent"] == 0 and not report_every_position(s):
        return False
    return tell_every_parent(s)


@market_kernel
def take_tick(st: State, tick: Record) -> bool:
    """Everything that one market data record does; what is due before it has been done.

    False when the output had no room for all of it: called again with the same record it goes on from there, so that
    the order of events never depends on when the host empties the output.
    """
    s = st[0]
    ts = tick["local_ts"]
    kind = tick["kind"]
    is_time = kind == _TIME or kind == _QUIET or kind == _HEARTBEAT
    if s["tick_stage"] == _NOT_TAKEN:
        s["now"] = max(s["now"], ts)
        if kind != _QUIET and kind != _HEARTBEAT:
            s["ticks"] += 1
        if kind == _QUIET:
            s["feed_quiet"] = 1
        elif kind != _HEARTBEAT:
            if s["feed_quiet"] != 0:
                s["feed_quiet"] = 0
                wake_every_parent(s)
        elif not report_all(s):
            return False
        if not is_time:
            instrument = tick["instrument"]
            if not 0 <= instrument < MAX_INSTRUMENTS or s["instruments"][instrument]["defined"] == 0:
                s["ticks_refused"] += 1
                return True
            if not is_sound(tick):
                refuse_tick(s, tick)
                return True
            if tick["version"] != 0 and tick["version"] != s["instruments"][instrument]["version"]:
                s["ticks_refused"] += 1
                return True
            if kind != _BAR:
                take_market(st, tick)
        if not is_time and not tick["flags"] & _LAST:
            return True
        s["bar_stage"] = 0
        s["tick_stage"] = _ON_ITS_WAY if kind == _BAR else _MARKET_TAKEN
    if s["tick_stage"] == _ON_ITS_WAY:
        if tick["side"] == 0 and not take_bar(st, tick):
            return False
        s["tick_stage"] = _DUE_DONE if tick["side"] == 0 else _MARKET_TAKEN
    if s["tick_stage"] == _MARKET_TAKEN:
        if not is_time and not (fire_triggers(s, tick["instrument"]) and work_concerned(st, tick["instrument"])):
            return False
        if s["next_due"] <= ts and not advance(st, ts + 1):
            return False
        is_seen = not is_time and s["model"]["first_book"] == 0
        if is_seen and watch_margins(st, tick["instrument"], tick) and not advance(st, ts + 1):
            return False
        s["tick_stage"] = _DUE_DONE
    if s["tick_stage"] == _DUE_DONE:
        if not is_time and not call_strategies(st, tick):
            return False
        s["tick_stage"] = _STRATEGIES_CALLED
    if s["next_due"] <= ts and not advance(st, ts + 1):
        return False
    s["tick_stage"] = _NOT_TAKEN
    return True


@kernel
def let_happen(st: State, rows: Any, until: int) -> bool:
    """Let the rows of an exchange with a clock of its own act that happened there until a tick is received.

    What falls due in between comes between, and after what happens at the same time. False as ``advance``.
    """
    s = st[0]
    model = s["model"]
    while model["rows_taken"] < rows.shape[0]:
        ts = rows[model["rows_taken"]]["exch_ts"]
        if ts > until:
            break
        if s["next_due"] < ts and not advance(st, ts):
            return False
        take_rows(st, rows, until)
    return True


@kernel
def take_some(st: State, ticks: Any, at: int, rows: Any) -> int:
    """Take the record in row ``at``, or the levels of one message from there; returns the first row not taken.

    That is ``at`` itself when the outputs have no room. ``rows`` are those of an exchange with a clock of its own.
    """
    s = st[0]
    if not has_room(s):
        return at
    tick = ticks[at]
    if s["model"]["rows_taken"] < rows.shape[0] and not let_happen(st, rows, tick["local_ts"]):
        return at
    if s["next_due"] < tick["local_ts"] and not advance(st, tick["local_ts"]):
        return at
    if s["tick_stage"] == _NOT_TAKEN:
        following = take_levels(st, ticks, at)
        if following > at:
            return following
    return at + 1 if take_tick(st, tick) else at


@entry(
    lambda: numba.int64(array_of(STATE), array_of(TICK, readonly=True), numba.int64, numba.int64), inlines=MARKET_WAY
)
def step_ticks(st: State, ticks: Any, start: int, cause_ts: int) -> int:
    """Take the ticks from row ``start`` on and return the first row that was not taken.

    It is less than ``len(ticks)`` when the outputs have no room for more: empty them and call again from there.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    ticks : array of TICK
    start : int
    cause_ts : int
        Wall clock, ns, at which the gateway sent the frame; requests that the ticks cause carry it.
    """
    s = st[0]
    s["cause_ts"] = cause_ts
    if s["ticks"] == 0 and ticks.shape[0] > 0 and ticks[0]["kind"] != _QUIET and ticks[0]["kind"] != _HEARTBEAT:
        start_timers(s, ticks[0]["local_ts"])
    rows = array_like(ticks, s["model"]["rows"], s["model"]["rows_count"])
    at = start
    while at < ticks.shape[0]:
        following = take_some(st, ticks, at, rows)
        if following == at:
            return at
        at = following
    return at


@entry(lambda: numba.void(array_of(STATE), array_of(COMMAND), numba.int64))
def stamp_commands(st: State, commands: Any, wall_now: int) -> None:
    """Give commands that have arrived the core's present time, and those that ``wall_now`` is too late for the reason.

    They are journalled like that, so that a replay does not need the wall clock.
    """
    for i in range(commands.shape[0]):
        command = commands[i]
        command["ts"] = st[0]["now"]
        command["reason"] = _TOO_LATE if 0 < command["wall_ts"] < wall_now else _NONE


@entry(lambda: numba.int64(array_of(STATE), array_of(COMMAND, readonly=True), numba.int64), inlines=ORDER_WAY)
def step_commands(st: State, commands: Any, start: int) -> int:
    """Act on clients' commands from row ``start`` on at the core's present time; returns as ``step_ticks`` does."""
    s = st[0]
    s["cause_ts"] = 0
    command = s["command"]
    following = start
    for i in range(start, commands.shape[0]):
        if i < following:
            continue
        if not has_room(s) or not catch_up(st):
            return i
        exits = count_exits(commands, i)
        if exits > 0 and refuse_whole(s, commands, i, exits):
            following = i + exits + 1
            continue
        look_ahead(s, commands, i)
        source = commands[i]
        copy_record(command, source)
        command["strategy"] = max(source["strategy"], -1)
        open_budget(s)
        done = handle_command(st, command)
        if s["touched_count"] > 0:
            follow_up(s)
        if not done:
            return i
    catch_up(st)
    return commands.shape[0]


@entry(lambda: numba.int64(array_of(STATE), array_of(REPORT, readonly=True), numba.int64), inlines=ORDER_WAY)
def step_reports(st: State, reports: Any, start: int) -> int:
    """Apply an exchange's reports from row ``start`` on; returns as ``step_ticks`` does."""
    s = st[0]
    s["cause_ts"] = 0
    for i in range(start, reports.shape[0]):
        if not has_room(s):
            return i
        look_ahead(s, reports, i)
        s["now"] = max(s["now"], reports[i]["ts"])
        deliver_report(st, reports[i])
        if min(s["next_review"], s["next_parent"]) <= s["now"] and not advance(st, s["now"] + 1):
            return i + 1
    return reports.shape[0]


@entry(lambda: numba.int64(array_of(STATE), array_of(DEFINITION, readonly=True), numba.int64))
def step_definitions(st: State, definitions: Any, start: int) -> int:
    """Take new versions of instruments from row ``start`` on at the core's present time; returns as ``step_ticks``."""
    s = st[0]
    s["cause_ts"] = 0
    for i in range(start, definitions.shape[0]):
        if not has_room(s) or not catch_up(st):
            return i
        take_definition(s, definitions[i])
        catch_up(st)
    return definitions.shape[0]


@entry(lambda: numba.void(array_of(STATE), array_of(TERMS, readonly=True)))
def take_terms(st: State, terms: Any) -> None:
    """Take what algorithms are to work the orders of the commands behind, and how; the oldest ``TERMS_RING`` go."""
    s = st[0]
    for i in range(terms.shape[0]):
        copy_record(s["terms"][s["terms_count"] % TERMS_RING], terms[i])
        s["terms_count"] += 1


@entry(lambda: numba.boolean(array_of(STATE)))
def report_positions(st: State) -> bool:
    """Write a POSITION event for every position that has ever traded or has open orders.

    False when the output had no room for the next one: empty it, and call again from there.
    """
    return report_every_position(st[0])


@entry(lambda: numba.void(array_of(STATE), numba.int64, numba.int64, numba.int64))
def change_trading_state(st: State, account: int, trading_state: int, reason: int) -> None:
    """Set an account's trading state from the host and report it."""
    set_trading_state(st[0], account, trading_state, reason, 0)
