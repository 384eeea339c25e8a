"""What a market data record changes: the book, the touch, the marks, and what follows when a book cannot be trusted."""

from __future__ import annotations

from typing import Any, Final

from oms.compiled import kernel, market_kernel
from oms.core.book import apply_depth
from oms.core.events import new_event, open_budget
from oms.core.exchange_view import show_depth, show_price, show_trade
from oms.core.levels import set_levels
from oms.core.mass_cancel import cancel_open
from oms.core.own_reports import pay_fundings
from oms.core.parent_wakes import wake_instrument
from oms.core.state import ASK, BID, MAX_INSTRUMENTS, Record, State
from oms.records import STRATEGY_CLIENT_BASE, BookState, EventKind, Reason, TickKind

_DEPTH: Final = int(TickKind.DEPTH)
_TRADE: Final = int(TickKind.TRADE)
_QUOTE: Final = int(TickKind.QUOTE)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_MARK: Final = int(TickKind.MARK)
_FUNDING: Final = int(TickKind.FUNDING)
_STALE_TICK: Final = int(TickKind.STALE)
_SYNCED: Final = int(BookState.SYNCED)
_STALE: Final = int(BookState.STALE)
_BOOK_STATE: Final = int(EventKind.BOOK_STATE)
_NONE: Final = int(Reason.NONE)
_GATEWAY_STALE: Final = int(Reason.GATEWAY_STALE)
_TICKS_LOST: Final = int(Reason.TICKS_LOST)
_MALFORMED: Final = int(Reason.MALFORMED)


@kernel
def report_book_state(s: Record, tick: Record, reason: int) -> None:
    """Report a book's new state; when it cannot be traded on any more, cancel the strategies' orders in it.

    It concerns every parent order that trades there.
    """
    instrument = tick["instrument"]
    book = s["books"][instrument]
    at = new_event(s, _BOOK_STATE, reason)
    event = s["events"][at]
    event["instrument"] = instrument
    event["aux"] = book["state"]
    event["px"] = tick["px_2"]
    event["qty"] = book["update_id"]
    wake_instrument(s, instrument)
    if book["state"] == _SYNCED:
        return
    open_budget(s)
    for i in range(s["strategies_used"]):
        cancel_open(s, s["strategies"][i]["account"], instrument, i, False, reason, 0, i + STRATEGY_CLIENT_BASE)


@kernel
def make_stale(s: Record, tick: Record, reason: int) -> None:
    """Take a book out of trading until its next snapshot."""
    book = s["books"][tick["instrument"]]
    if book["state"] == _SYNCED:
        book["state"] = _STALE
        report_book_state(s, tick, reason)


@kernel
def refuse_tick(s: Record, tick: Record) -> None:
    """Count a record that cannot be; without one of its levels a book is out of step."""
    s["ticks_refused"] += 1
    if tick["kind"] == _DEPTH or tick["kind"] == _SNAPSHOT:
        s["books"][tick["instrument"]]["skipping"] = 1
        make_stale(s, tick, _MALFORMED)


@kernel
def take_depth(st: State, tick: Record) -> None:
    """A level: the book first, then the exchange model's own orders."""
    s = st[0]
    book = s["books"][tick["instrument"]]
    reason = apply_depth(s, book, tick)
    change = s["change"]
    if (
        change["best"][BID] != book["best"][BID]
        or change["best"][ASK] != book["best"][ASK]
        or tick["kind"] == _SNAPSHOT
    ):
        s["market_updates"] += 1
    if reason > _NONE:
        report_book_state(s, tick, reason)
    if s["model"]["first_book"] == 0 and book["skipping"] == 0:
        show_depth(st, tick)


@kernel
def take_market(st: State, tick: Record) -> None:
    """Update the market by one record of a known instrument."""
    s = st[0]
    kind = tick["kind"]
    if kind == _DEPTH or kind == _SNAPSHOT:
        take_depth(st, tick)
        return
    instrument = tick["instrument"]
    book = s["books"][instrument]
    if kind == _TRADE:
        s["market_updates"] += int(book["trade_px"] != tick["px"])
        book["trade_px"] = tick["px"]
        book["trade_qty"] = tick["qty"]
        book["traded_qty"] += tick["qty"]
        book["traded_value"] += float(tick["px"]) * tick["qty"]
        if s["model"]["first_book"] == 0:
            show_trade(st, tick)
            show_price(st, tick)
    elif kind == _QUOTE:
        book["quote_px"][BID] = tick["px"]
        book["quote_qty"][BID] = tick["qty"]
        book["quote_px"][ASK] = tick["px_2"]
        book["quote_qty"][ASK] = tick["qty_2"]
    elif kind == _MARK:
        s["market_updates"] += 1
        book["mark_px"] = tick["px"]
        book["index_px"] = tick["px_2"]
        if s["model"]["first_book"] == 0:
            show_price(st, tick)
    elif kind == _FUNDING:
        if s["external"] == 0:
            pay_fundings(s, instrument, tick["qty"])
    elif kind == _STALE_TICK:
        make_stale(s, tick, _TICKS_LOST if tick["qty"] == _TICKS_LOST else _GATEWAY_STALE)


@market_kernel
def take_levels(st: State, ticks: Any, start: int) -> int:
    """Take the levels of one message from row ``start`` on, up to its last; returns the first row that was not taken.

    What is not such a level of a known instrument goes the way of every other record. The output has room, and nothing
    is due.
    """
    s = st[0]
    first = ticks[start]
    instrument = first["instrument"]
    if s["feed_quiet"] != 0 or not 0 <= instrument < MAX_INSTRUMENTS or s["instruments"][instrument]["defined"] == 0:
        return start
    if first["version"] != 0 and first["version"] != s["instruments"][instrument]["version"]:
        return start
    s["now"] = max(s["now"], first["local_ts"])
    following = set_levels(st, instrument, ticks, start)
    s["ticks"] += following - start
    return following
